"""Which columns hold prompts and ids, and files that are no rows at all."""

from __future__ import annotations

import io
import json

import pytest
from prompt_files import SETTINGS, loaded_rows, rows_of, written

from textmill.model.errors import SettingError, TextmillError
from textmill.model.text.corpus import read_table
from textmill.pipeline.prompts.column_names import own_names
from textmill.pipeline.prompts.planning import read_shard
from textmill.pipeline.prompts.reading import InputSettings


def parquet(rows: list[dict]) -> bytes:
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out, row_group_size=3)
    return out.getvalue()


COLUMNS = [{"text": f"row {i}", "key": f"k{i}", "prompt": "other", "id": i} for i in range(8)]
FILES = {
    "p.jsonl": "\n".join(map(json.dumps, COLUMNS)).encode(),
    "p.csv": ("text,key,prompt,id\n" + "\n".join(
        f"{row['text']},{row['key']},other,{row['id']}" for row in COLUMNS)).encode(),
    "p.parquet": parquet(COLUMNS),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_prompts_and_ids_of_other_columns(tmp_path, name):
    reading = InputSettings(prompt_column="text", id_column="key")
    planned = written(tmp_path, FILES[name], name, reading)
    loaded = [read_shard(shard, SETTINGS, reading) for shard in planned.shards]
    prompts = [prompt for shard in loaded for prompt in shard.prompts]
    assert [(p.id, p.text) for p in prompts] == [(f"k{i}", f"row {i}") for i in range(8)]
    # Fields that are called so in the file are carried through under other names.
    assert [str(p.extra["input_id"]) for p in prompts] == [str(i) for i in range(8)]
    assert {p.extra["input_prompt"] for p in prompts} == {"other"}
    assert set(planned.carried) == {"input_prompt", "input_id"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("columns", "option"),
    [({"prompt_column": "nope"}, "--prompt-column"), ({"id_column": "nope"}, "--id-column")],
)
def test_a_column_that_is_not_there(tmp_path, name, columns, option):
    found = "'text', 'key', 'prompt', 'id'"
    said = rf"{name}: no column named 'nope'\. Found: {found}; {option} names"
    with pytest.raises(TextmillError, match=said):
        written(tmp_path, FILES[name], name, InputSettings(**columns))


def test_one_object_with_a_prompt_is_enough(tmp_path):
    good, bad = loaded_rows(tmp_path, b'{"text": 1}\n{"prompt": "a"}', "p.jsonl")
    assert (good[2].text, bad) == ("a", {1: "no field 'prompt'. Found: 'text'"})


def test_names_that_are_taken():
    assert own_names(("input_prompt", "text", "prompt"), InputSettings(prompt_column="text")) == {
        "input_prompt": "input_prompt", "text": "prompt", "prompt": "input_input_prompt",
    }  # fmt: skip
    with pytest.raises(SettingError, match="id_column must be another column than the prompts'"):
        InputSettings(prompt_column="a", id_column="a")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_separator_line_of_a_spreadsheet(tmp_path, encoding):
    content = 'sep=;\r\nid;prompt\r\na;one, two\r\nb;"x;y"\r\n'.encode(encoding)
    good, bad = rows_of(written(tmp_path, content, "p.csv"))
    assert (good, bad) == ([("a", "one, two"), ("b", "x;y")], [])
    (tmp_path / "t.csv").write_bytes(content)
    assert read_table([str(tmp_path / "t.csv")], text="prompt").texts == ["one, two", "x;y"]
    (tmp_path / "t.csv").write_bytes(b"sep=;\nid;prompt\na\n")
    with pytest.raises(TextmillError, match=r"t\.csv:3 has 1 columns, needs 2"):
        read_table([str(tmp_path / "t.csv")], text="prompt")


@pytest.mark.parametrize(
    "content",
    [
        '[{"prompt": "a"}, {"prompt": "b"}]',
        '\n[\n  {"prompt": "a"},\n  {"prompt": "b"}\n]\n',
        '[{"prompt": "a"},\n{"prompt": "b"}]',
        '{\n  "prompt": "a"\n}\n',
        "[" + ", ".join(['{"prompt": "a long list in one line"}'] * 4000) + "]",
    ],
)
def test_one_json_value_in_a_jsonl(tmp_path, content):
    with pytest.raises(TextmillError, match=r"p\.jsonl holds one JSON value, not .*jq -c"):
        written(tmp_path, content.encode(), "p.jsonl")


@pytest.mark.parametrize("first", ["[1, 2]", "[]", '["a", {}]', "[oops}", '{"prompt": "a"'])
def test_a_bad_first_line_is_one_bad_row(tmp_path, first):
    _, bad = loaded_rows(tmp_path, f'{first}\n{{"prompt": "b"}}\n'.encode(), "p.jsonl")
    assert list(bad) == [1]
