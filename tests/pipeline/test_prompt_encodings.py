"""Prompt files in any encoding: what is not valid costs its row only."""

from __future__ import annotations

import json

import pytest
from prompt_files import compress, loaded_rows, rows_of, written

from textmill.model.errors import SettingError
from textmill.pipeline.prompts.reading import InputSettings

WORDS = ["Grüße an alle", "naïve café", "plain", "Žluťoučký kůň", "日本語の文"]


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-be-mark"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding, ending):
    text = "\r\n".join(WORDS * 400)
    data = text.encode(encoding.removesuffix("-be-mark"))
    if encoding == "utf-16-be-mark":
        data = b"\xfe\xff" + text.encode("utf-16-be")
    planned = written(tmp_path, compress(data, ending) if ending else data, f"p.txt{ending}")
    assert len(planned.shards) > 10
    good, bad = rows_of(planned)
    assert ([text for _, text in good], bad) == (WORDS * 400, [])


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "shift-jis", "utf8"])
@pytest.mark.parametrize("name", ["p.txt", "p.jsonl", "p.csv", "p.tsv"])
def test_a_named_encoding(tmp_path, encoding, name):
    rows = [w for w in WORDS if w == w.encode(encoding, "replace").decode(encoding)] * 200
    objects = [json.dumps({"prompt": row}, ensure_ascii=False) for row in rows]
    lines = {"p.txt": rows, "p.jsonl": objects}.get(name, ["prompt", *rows])
    reading = InputSettings(encoding=encoding)
    planned = written(tmp_path, "\n".join(lines).encode(encoding), name, reading)
    good, bad = rows_of(planned, reading)
    assert ([text for _, text in good], bad) == (rows, [])
    assert [id for id, _ in good] == [f"{name}:{i}" for i in range(1, len(rows) + 1)]


def test_what_is_not_valid_in_its_encoding_costs_its_row_only(tmp_path):
    reading = InputSettings(encoding="shift-jis")
    content = "前\n".encode("shift-jis") + b"bad \x81\x00 \xff\n" + "後".encode("shift-jis")
    good, bad = rows_of(written(tmp_path, content, reading=reading), reading)
    assert good == [("p.txt:1", "前"), ("p.txt:3", "後")]
    assert bad[0][1:3] == (2, "not valid shift-jis; --encoding says what a file is")
    # An odd byte at the end of UTF-16.
    good, bad = rows_of(written(tmp_path, "one\ntwo".encode("utf-16") + b"x"))
    assert (good, bad[0][2]) == (
        [("p.txt:1", "one")], "not valid utf-16; --encoding says what a file is",
    )  # fmt: skip


def test_a_mark_counts_more_than_the_option(tmp_path):
    reading = InputSettings(encoding="latin-1")
    for encoding in ("utf-16", "utf-8-sig"):
        planned = written(tmp_path, "é\nü".encode(encoding), reading=reading)
        assert [text for _, text in rows_of(planned, reading)[0]] == ["é", "ü"]


def test_a_row_with_a_nul_is_rejected(tmp_path):
    content = "one\ntwo\n".encode("utf-16-le")  # without a mark: as UTF-8 it is full of NULs
    good, bad = rows_of(written(tmp_path, content))
    assert good == []
    assert bad[0][2] == "a NUL character; if the file is UTF-16, say --encoding utf-16-le"
    _, bad = loaded_rows(tmp_path, b'{"prompt": "a\\u0000b"}\n{"prompt": "c"}', "p.jsonl")
    assert bad[1].startswith("a NUL character")


@pytest.mark.parametrize("encoding", ["no-such", "hex", "", 3])
def test_an_encoding_that_is_none(encoding):
    with pytest.raises(SettingError, match="encoding must be the name of a text encoding, such as"):
        InputSettings(encoding=encoding)
