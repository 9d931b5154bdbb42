"""Every format holds what it was given, and every library that should can load it."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import records_of, run

from textmill.model.errors import SettingError, TextmillError
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.columns import OWN, REJECTED, Column, Kinds, columns_of, plain
from textmill.pipeline.output.formats import COMPRESSIONS, FORMATS, Format

ALL = [
    Format(name=name, compression=compression)
    for name in FORMATS
    for compression in COMPRESSIONS
    if (name, compression) != ("tfrecord", "zstd")
]
ODD = [
    'say "no"', "two\nlines\r\nand\rmore", "tab\there", "🙂 e\u0301 \u200d", "\u202eright to left",
    "=cmd()", "<script>alert(1)</script>", "NA", "null", "", " ", "a\\nb\\", "a,b;c", "\x00nul",
    "\u2028\x85\v",
]  # fmt: skip
COLUMNS = (
    *OWN,
    Column("note", "text", "note"),
    Column("n", "int", "n"),
    Column("x", "float", "x"),
    Column("yes", "bool", "yes"),
    Column("more", "json", "more"),
)


def row(text="a", *, label="l", n=1, x=0.5, yes=True, more=None):
    return {
        "id": f"p:{text}#1", "row": "p:1", "prompt": text, "text": text, "label": label,
        "temperature": 0.5, "words": 3, "finish": "eos", "logprob": -1.25, "score": -2.5,
        "note": text, "n": n, "x": x, "yes": yes, "more": more,
    }  # fmt: skip


def as_held(form: Format, rows):
    """What a format can hold of rows: CSV has no null text, text files have only the texts."""
    if form.name == "text":
        return [{"text": r["text"]} for r in rows]
    if form.name == "csv":
        return [
            {name: "" if value is None and name == "label" else value for name, value in r.items()}
            for r in rows
        ]
    return rows


@pytest.mark.parametrize("form", ALL, ids=lambda form: f"{form.name}-{form.compression}")
def test_odd_texts_survive(form):
    rows = [row(text, more={"deep": [text]}) for text in ODD]
    rows.append(row(label=None, n=None, x=None, yes=None))
    rows.append(row(n=-(2**63), x=2.0**100, yes=False, more=[1, None]))
    data = form.encode(rows, COLUMNS)
    assert form.decode(data, COLUMNS) == as_held(form, rows)
    assert form.encode(rows, COLUMNS) == data
    assert form.decode(form.encode([], COLUMNS), COLUMNS) == []


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet", "text"])
@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=5))
def test_any_text_survives(name, texts):
    form, rows = Format(name=name), [row(text) for text in texts]
    assert form.decode(form.encode(rows, COLUMNS), COLUMNS) == as_held(form, rows)


@pytest.mark.parametrize("form", ALL, ids=lambda form: f"{form.name}-{form.compression}")
def test_damage_is_told(form):
    data = form.encode([row(f"{i}", more=[i]) for i in range(50)], COLUMNS)
    for damaged in (data[: len(data) // 2], b"\xff\xfe" + data):
        with contextlib.suppress(TextmillError):
            assert form.decode(damaged, COLUMNS) != form.decode(data, COLUMNS)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"name": "xml"}, "format must be one of jsonl, csv"),
        ({"compression": "lzma"}, "compression must be one of none, gzip, zstd for jsonl"),
        ({"name": "tfrecord", "compression": "zstd"}, "one of none, gzip for tfrecord"),
    ],
)
def test_no_such_format(wanted, message):
    with pytest.raises(SettingError, match=message):
        Format(**wanted)


def test_kinds_of_fields():
    kinds = Kinds()
    kinds.learn({"prompt": "a", "a": 1, "b": 1, "c": None, "d": [1], "e": "x", "f": True})
    kinds.learn({"a": 2, "b": 0.5, "c": 1, "d": "x", "e": 3, "f": 1, "g": 2**63, "h": None})
    assert kinds.known() == {
        "prompt": "text", "a": "int", "b": "float", "c": "int", "d": "json", "e": "json",
        "f": "json", "g": "json", "h": "text",
    }  # fmt: skip
    columns = columns_of({"text": "text", "input_text": "int", "label": "text"}, labelled=False)
    assert [(c.name, c.source) for c in columns if c.source] == [
        ("input_input_text", "text"),
        ("input_text", "input_text"),
        ("label", "label"),
    ]
    with pytest.raises(TextmillError, match="more than 1,000 different fields"):
        Kinds().learn({str(i): i for i in range(1001)})
    assert plain({"a": math.nan, "b": (b"\xff", 1), "c": math.inf}) == {
        "a": None, "b": ["\\xff", 1], "c": None
    }  # fmt: skip


# -- whole runs ------------------------------------------------------------------------------------

ROWS = [
    {"prompt": "the old cat", "note": 'a "b"\n=cmd()', "rank": 1, "tags": ["x"]},
    {"prompt": "a <script> dog", "note": None, "rank": 2},
    {"prompt": ""},
    {"prompt": "🙂 said, \u202eok", "note": "NA", "samples": 3},
]


@pytest.fixture(scope="module")
def prompt_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture(scope="module")
def as_jsonl(model_dir, prompt_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("jsonl") / "o"
    run(model_dir, prompt_file, out)
    return records_of(out, Format())


SOME = [form for form in ALL if form.name in ("jsonl", "text") or form == Format(name=form.name)]


@pytest.mark.parametrize("form", SOME, ids=lambda form: f"{form.name}-{form.compression}")
def test_outputs_load_with_the_lines_of_their_card(
    model_dir, prompt_file, as_jsonl, tmp_path, monkeypatch, form
):
    out = tmp_path / "o"
    run(model_dir, prompt_file, out, form=form)
    verdict = verify(str(out))
    assert verdict.problems == []
    assert verdict.counts["records"] == len(as_jsonl) == 7
    texts = [row["text"] for row in as_jsonl]
    assert [row["text"] for row in records_of(out, form)] == texts
    rejected = form.decode(
        next((out / "rejected").iterdir()).read_bytes(),
        REJECTED,
    )  # fmt: skip
    assert [str(r["line"]) for r in rejected] == ["3"]
    code = (out / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(out)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found: dict = {}
    exec(code, found)
    if "dataset" in found:
        assert found["dataset"]["train"]["text"][:] == texts
        if form.name != "text":
            assert found["dataset"]["train"]["note"][0] == 'a "b"\n=cmd()'
    if "frame" in found:
        assert list(found["frame"]["text"]) == texts
        assert list(found["frame"]["note"])[-1] == "NA"
    if "table" in found:
        assert found["table"]["text"].to_pylist() == texts
    if "tensors" in found:
        seen = [
            t["text"] if isinstance(t, dict) else t for t in found["tensors"].as_numpy_iterator()
        ]
        assert [t.decode() for t in seen] == texts
    expected = {"jsonl": 4, "csv": 4, "parquet": 4, "text": 2, "tfrecord": 1}[form.name]
    if (form.name, form.compression) == ("text", "zstd"):
        expected = 1
    assert len({"dataset", "frame", "table", "tensors"} & found.keys()) == expected


def test_statistics_and_card(model_dir, prompt_file, as_jsonl, tmp_path):
    run(model_dir, prompt_file, tmp_path / "o")
    stats = json.loads((tmp_path / "o" / "stats.json").read_text())
    assert stats["samples"] == 7
    assert stats["words"] == sum(row["words"] for row in as_jsonl)
    assert sum(stats["finish"].values()) == 7
    assert stats["rejected"] == {"rows": 1, "by_reason": {"empty": 1}}
    for name, field in (("words_a_sample", "words"), ("logprob", "logprob")):
        for bin in stats[name]["histogram"]:
            inside = [r for r in as_jsonl if bin["from"] <= r[field] < (bin["to"] or math.inf)]
            assert len(inside) == bin["count"] > 0
        assert sum(bin["count"] for bin in stats[name]["histogram"]) == 7
    assert stats["generator_seconds"] > 0
    card = (tmp_path / "o" / "README.md").read_text()
    assert card.startswith("---\nconfigs:\n")
    assert "7 texts for 3 prompts" in card
    assert "| tags | json | carried through" in card


def test_nothing_in_the_card_from_a_file_is_markup():
    from textmill.pipeline.job.dataset_card import dataset_card

    manifest = {
        "counts": {"records": 1, "prompts": 1, "rows": 1, "rejected": 0},
        "model": "m", "versions": {"textmill": "0"},
        "settings": {"stop": ["```\n<script>"], "label": "<b>"},
    }  # fmt: skip
    columns = columns_of({"<script>|`x`\n": "text", "a: [": "int"}, labelled=False)
    card = dataset_card(manifest, columns, Format(name="parquet"))
    assert "<script>" not in card.split("---")[2]
    import yaml

    header = yaml.safe_load(card.split("---")[1])
    features = header["dataset_info"][0]["features"]
    assert [f["name"] for f in features][-2:] == ["<script>|`x`\n", "a: ["]
