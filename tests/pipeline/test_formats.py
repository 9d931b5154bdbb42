"""Every format holds what it was given, and every library that should can load it."""

from __future__ import annotations

import contextlib
import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmill.model.errors import SettingError, TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.job.generate import generate
from textmill.pipeline.job.launch import Launch
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.columns import OWN, REJECTED, Column, Kinds, columns_of, plain
from textmill.pipeline.output.formats import COMPRESSIONS, FORMATS, Format
from textmill.pipeline.prompts.reading import InputSettings

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
        "temperature": 0.5, "words": 3, "finish": "eos", "logprob": -1.25, "note": text, "n": n,
        "x": x, "yes": yes, "more": more,
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


def run(model_dir, prompt_file, out, **more):
    return generate(
        str(model_dir),
        prompts=[str(prompt_file)],
        out=str(out),
        settings=GenerationSettings(max_words=8, samples=2),
        launch=Launch(runner_flags=("--runner=FnApiRunner",)),
        **more,
    )


def records_of(out, form):
    manifest = json.loads((out / "manifest.json").read_text())
    columns = [Column(**column) for column in manifest["columns"]]
    files = sorted(out.glob("shard-*"))
    return [row for file in files for row in form.decode(file.read_bytes(), columns)]


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


# -- inputs ----------------------------------------------------------------------------------------


def test_parquet_in(model_dir, tmp_path):
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "prompt": f"the {i}" if i % 7 else None, "samples": 2.0 if i % 2 else None,
            "day": datetime.date(2020, 1, 1), "n": i, "tags": [str(i)],
        }
        for i in range(100)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=9)
    run(model_dir, tmp_path / "p.parquet", tmp_path / "o", form=Format(name="parquet"))
    manifest = json.loads((tmp_path / "o" / "manifest.json").read_text())
    assert manifest["counts"]["rows"] == 100
    assert manifest["counts"]["rejected"] == 15
    assert len(manifest["shards"]) > 1
    found = records_of(tmp_path / "o", Format(name="parquet"))
    assert {r["id"] for r in found} == {
        f"p.parquet:{i + 1}#{s}" for i in range(100) if i % 7 for s in (1, 2)
    }
    assert found[0]["day"] == "2020-01-01"
    assert (found[0]["n"], found[0]["tags"]) == (1, ["1"])
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing of the kind PAR1")
    with pytest.raises(TextmillError, match=r"cannot read .*bad\.parquet"):
        run(model_dir, tmp_path / "bad.parquet", tmp_path / "p")


def test_parquet_texts_that_are_no_utf8(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from textmill.pipeline.prompts.planning import plan, read_shard

    column = pa.array([b"good", b"\xff", b"x" * 70_000], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": column}), tmp_path / "p.parquet")
    planned = plan([str(tmp_path / "p.parquet")], GenerationSettings())
    loaded = [read_shard(shard, GenerationSettings()) for shard in planned.shards]
    assert [p.text for one in loaded for p in one.prompts] == ["good"]
    assert [r.reason for one in loaded for r in one.rejected] == [
        "not valid UTF-8 in a column: prompt",
        "longer than 65,536 bytes",
    ]


def rejected_in(tmp_path, name, content, **reading):
    """Prompts' texts, and lines and reasons of the rejected rows."""
    from textmill.pipeline.prompts.planning import plan, read_shard

    (tmp_path / name).write_bytes(content)
    settings, how = GenerationSettings(), InputSettings(**reading)
    planned = plan([str(tmp_path / name)], settings, how)
    loaded = [read_shard(shard, settings, how) for shard in planned.shards]
    good = [p.text for one in loaded for p in one.prompts]
    return good, {r.line: r.reason for one in loaded for r in one.rejected}, planned


NINES = "9" * 400


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f'{{"prompt": "a", "temperature": {NINES}}}', "temperature must be 0"),
        (f'{{"prompt": "a", "top_p": {NINES}}}', "top_p must be"),
        ('{"prompt": "a", "x": ' + "[" * 100 + "]" * 100 + "}", "values nested more than 64 deep"),
        ('{"prompt": "a", "x": ' + "[" * 700 + "]" * 700 + "}", "values nested more than 64 deep"),
        ('{"prompt": "a", "\\ud800": 1}', "half a surrogate pair"),
        ('{"prompt": "a", "id": ' + "9" * 3000 + "}", "id must be a text"),
        ('{"prompt": "a", "samples": 50, "temperature": ' + str([1] * 3000) + "}", "samples must"),
    ],
    ids=range(7),
)
def test_one_row_stops_no_run(tmp_path, row, reason):
    good, bad, planned = rejected_in(tmp_path, "p.jsonl", f'{row}\n{{"prompt": "b"}}\n'.encode())
    assert good == ["b"]
    assert bad[1].startswith(reason)
    assert len(bad[1]) < 300
    json.dumps(planned.fields).encode()


def test_numbers_that_a_column_cannot_hold(model_dir, tmp_path):
    rows = [{"x": 2**53 + 1, "y": 2**70}, {"x": 1.5, "y": 1}, {"x": 3}]
    (tmp_path / "p.jsonl").write_text(
        "".join(json.dumps({"prompt": "the", **row}) + "\n" for row in rows)
    )
    run(model_dir, tmp_path / "p.jsonl", tmp_path / "o", form=Format(name="parquet"))
    found = records_of(tmp_path / "o", Format(name="parquet"))[::2]
    assert [(r["x"], r["y"]) for r in found] == [(2**53 + 1, str(2**70)), (1.5, 1), (3, None)]


def test_parquet_values_that_python_cannot_hold(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "prompt": ["a", "b", "c"],
            "day": pa.array([1, 2**30, 2], pa.int32()).view(pa.date32()),
            "temperature": pa.array([0.5, float("nan"), float("inf")]),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    good, bad, _ = rejected_in(tmp_path, "p.parquet", (tmp_path / "x.parquet").read_bytes())
    assert good == ["a"]
    assert bad[2] == "no value in a column: day"
    assert bad[3].startswith("temperature must be 0")


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path):
    content = b'id,prompt\n1,"He said\n2,"She said hi"\n3,foo\n4,"two\nlines"\n5,"end\n'
    good, bad, _ = rejected_in(tmp_path, "p.csv", content)
    assert good == ["She said hi", "foo", "two\nlines"]
    assert bad == {1: "a quote is not closed", 5: "a quote is not closed"}


@pytest.fixture
def looked_at(monkeypatch):
    """A function that gives how many bytes the reading of a table looks at."""
    from textmill.pipeline.prompts import reading, rows

    seen = []

    def watch(place, name, size):
        look = getattr(place, name)

        def looks(*given, **named):
            found = look(*given, **named)
            seen.append(size(given, found))
            return found

        monkeypatch.setattr(place, name, looks)

    class Quoted:
        pattern = reading._QUOTED

        @classmethod
        def match(cls, line, at):
            found = cls.pattern.match(line, at)
            seen.append(found.end() - at)
            return found

    watch(reading.Input, "line", lambda given, found: len(found))
    watch(reading, "_quote_open", lambda given, found: len(given[0]))
    watch(rows, "csv_fields", lambda given, found: len(given[0]))
    monkeypatch.setattr(reading, "_QUOTED", Quoted)

    def look(tmp_path, content):
        seen.clear()
        rejected_in(tmp_path, "p.csv", content)
        return sum(seen)

    return look


@pytest.mark.parametrize(
    ("first", "row"), [(b"", b'x""",\n'), (b'"open\n', b'a""b\n'), (b"", b'"x\n'), (b"", b'"a",')]
)
def test_odd_quotes_take_linear_time(tmp_path, looked_at, first, row):
    """Each byte is looked at a few times, however many rows follow; it took hours once."""
    for many in (6_000, 24_000):
        content = b"prompt,b\n" + first + row * many
        assert looked_at(tmp_path, content) < 10 * len(content)


def test_shards_are_cut_by_what_rows_ask_for(tmp_path):
    rows = "".join('{"prompt": "a", "samples": 1000, "max_words": 50}\n' for _ in range(1000))
    _, _, planned = rejected_in(tmp_path, "p.jsonl", rows.encode())
    assert {shard.rows for shard in planned.shards} == {4}  # of 200,000 words
    _, _, planned = rejected_in(tmp_path, "p.csv", b"prompt,samples\n" + b"a,100\n" * 1000)
    assert {shard.rows for shard in planned.shards} == {25}


@pytest.mark.parametrize("name", ["p.json", "p.JSON.gz", "p.parquet.gz"])
def test_files_that_are_no_prompt_files(tmp_path, name):
    with pytest.raises(TextmillError, match="is no prompt file"):
        rejected_in(tmp_path, name, b"[]")


def test_a_pipe_is_no_prompt_file(model_dir, tmp_path):
    read, write = os.pipe()
    os.write(write, b"a\n")
    os.close(write)
    with pytest.raises(TextmillError, match="is no regular file but a pipe"):
        run(model_dir, f"/dev/fd/{read}", tmp_path / "o")
    os.close(read)


def test_bad_names(tmp_path, model_dir):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/p\xff.txt")
    with open(path, "w") as file:
        file.write("a\n")
    with pytest.raises(TextmillError, match="is not valid UTF-8; rename it"):
        run(model_dir, path, tmp_path / "o")
    header = b"prompt," + b"y" * 70_000 + b",z\na,b,c\n"
    with pytest.raises(TextmillError, match=r"the header is no row of a table: longer than"):
        rejected_in(tmp_path, "p.csv", header)


CHANGING = [
    [{"x": 1}, {"x": "s"}],
    [{"n": None}, {"n": {"a": [1]}}],
    [{"n": {"a": 1}}, {"n": {"b": "x"}}],
    [{"x": None, "n": {}}, {"x": "s", "n": {"a": 1}}],
    [{"x": 2**70}, {"x": 1}],
    [{"😀": 1, "": "e", "row": 1, "\u2028": 2}, {"😀": 1, "row": 1}],
    [{"x": 1, "y": "NA"}, {"x": None, "y": "null"}],
]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        *(("jsonl", fields) for fields in CHANGING),
        *(("csv", CHANGING[i]) for i in (1, 5, 6)),
        *(("parquet", CHANGING[i]) for i in (1, 4, 6)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_data_sets_load_whatever_the_rows_carry(model_dir, tmp_path, monkeypatch, name, fields):
    """It loads even if the first or last shard has no records, or only nulls in a column."""
    import datasets

    rows = [{"prompt": "", **fields[0]}] * 10
    rows += [{"prompt": "the", "samples": 40, **own} for own in fields for _ in range(8)]
    rows += [{"prompt": ""}] * 10
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    form = Format(name=name)
    outcome = run(model_dir, tmp_path / "p.jsonl", tmp_path / "o", form=form)
    assert len(outcome.manifest["shards"]) > 3
    assert verify(str(tmp_path / "o")).problems == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    loaded = datasets.load_dataset(str(tmp_path / "o"), cache_dir=str(tmp_path / "cache"))["train"]
    held = records_of(tmp_path / "o", form)
    assert len(held) == len(loaded) == 640
    assert [text or "" for text in loaded["text"]] == [r["text"] for r in held]
    for column in fields[0]:
        at = column if column.strip() and column != "row" else f"input_{column}"
        at = column if column == "row" else at
        seen = loaded[at][:]
        kinds = {c["name"]: c["kind"] for c in outcome.manifest["columns"]}
        if kinds[at] == "json" and name != "jsonl":
            seen = [json.loads(value) if value else None for value in seen]
        same = (
            a == b or (a in ("", None) and b in ("", None) and name == "csv")
            for a, b in zip(seen, (r[at] for r in held), strict=True)
        )
        assert all(same)


def test_delimiter_and_strict(model_dir, tmp_path):
    (tmp_path / "p.csv").write_text('prompt;note\n"a; b";"x\ny"\nplain;1,5\n')
    reading = InputSettings(delimiter=";")
    run(model_dir, tmp_path / "p.csv", tmp_path / "o", reading=reading)
    found = records_of(tmp_path / "o", Format())
    assert [(r["prompt"], r["note"]) for r in found[::2]] == [("a; b", "x\ny"), ("plain", "1,5")]
    strict = InputSettings(delimiter=";", strict=True)
    with pytest.raises(TextmillError, match="unknown column 'note'; with --strict only prompt, id"):
        run(model_dir, tmp_path / "p.csv", tmp_path / "p", reading=strict)
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "note": 1}\n{"prompt": "b", "top_k": 1}\n')
    outcome = run(model_dir, tmp_path / "p.jsonl", tmp_path / "q", reading=strict)
    assert outcome.manifest["counts"]["rejected"] == 1
    assert "unknown field: 'note'" in next((tmp_path / "q/rejected").iterdir()).read_text()
    for delimiter in ("", ";;", '"', "\n", "é"):
        with pytest.raises(SettingError, match="delimiter must be"):
            InputSettings(delimiter=delimiter)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "-1e999"])
def test_numbers_that_json_has_not(model_dir, tmp_path, value):
    (tmp_path / "p.jsonl").write_text(f'{{"prompt": "a", "x": {value}}}\n{{"prompt": "b"}}\n')
    outcome = run(model_dir, tmp_path / "p.jsonl", tmp_path / "o")
    assert outcome.manifest["counts"]["rejected"] == 1


def test_ids_that_occur_twice(model_dir, tmp_path):
    """Both rows are kept and differ in their place; only a repeated record is a fault."""
    (tmp_path / "p.jsonl").write_text(
        '{"prompt": "a dog", "id": "x"}\n{"prompt": "the cat", "id": "x"}\n{"prompt": "the"}\n'
    )
    run(model_dir, tmp_path / "p.jsonl", tmp_path / "o")
    found = records_of(tmp_path / "o", Format())
    assert [(r["id"], r["row"]) for r in found[::2]] == [
        ("x#1", "p.jsonl:1"),
        ("x#1", "p.jsonl:2"),
        ("p.jsonl:3#1", "p.jsonl:3"),
    ]
    verdict = verify(str(tmp_path / "o"))
    assert (verdict.problems, verdict.duplicate_ids) == ([], 4)


def test_files_of_several_kinds_give_one_set_of_columns(model_dir, tmp_path):
    (tmp_path / "a.csv").write_text("prompt,rank\nthe cat,1\n")
    (tmp_path / "b.jsonl").write_text('{"prompt": "a dog", "rank": 2, "more": {}}\n')
    (tmp_path / "c.txt").write_text("the dog\n")
    run(model_dir, tmp_path / "*.*", tmp_path / "o")
    found = records_of(tmp_path / "o", Format())
    assert [(r["rank"], r["more"]) for r in found[::2]] == [("1", None), (2, {}), (None, None)]
    assert os.listdir(tmp_path / "o").count("rejected") == 0
