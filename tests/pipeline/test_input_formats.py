"""Prompt files of every format, whatever their rows hold."""

from __future__ import annotations

import json
import os

import pytest
from small_runs import records_of, run

from textmill.model.errors import SettingError, TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.reading import InputSettings


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
