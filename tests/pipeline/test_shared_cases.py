"""Small inputs that once failed, from the shared data folder: each has its right outcome."""

from __future__ import annotations

import pytest

from textmill.model.errors import TextmillError
from textmill.model.settings import GenerationSettings
from textmill.model.text.corpus import CorpusSettings
from textmill.pipeline.command.cli import main
from textmill.pipeline.prompts.planning import plan, read_shard
from textmill.pipeline.prompts.reading import InputSettings

SETTINGS = GenerationSettings()


def rows_of(path, **how):
    """Texts of a prompt file's rows, and the reasons of those that are rejected."""
    reading = InputSettings(**how)
    loaded = [
        read_shard(shard, SETTINGS, reading)
        for shard in plan([str(path)], SETTINGS, reading).shards
    ]
    texts = [prompt.text for shard in loaded for prompt in shard.prompts]
    return texts, [row.reason for shard in loaded for row in shard.rejected]


READ = {
    "u16.txt": ({}, ["The value", "Return a new", "Äpfel und Birnen"]),
    "u16.csv": ({}, ["The value", "Return a new"]),
    "sep.csv": ({}, ["The value"]),
}


@pytest.mark.parametrize("name", READ)
def test_prompt_files_that_are_read(shared, name):
    how, texts = READ[name]
    assert rows_of(shared / "cases" / name, **how) == (texts, [])


REFUSED = {
    "bz2_second_stream_header_flipped.txt.bz2": "cannot read .*: Invalid data stream",
    "latin.csv": "the header is not valid UTF-8; .* --encoding latin-1",
    "special_footer_says_10000000000_f10000000000.parquet": "tells of 10,000,000,000 rows",
    "fz_1215_p.parquet": r"don't know what type: \\x0f",
}


@pytest.mark.parametrize("name", REFUSED)
def test_prompt_files_that_are_refused(shared, name):
    with pytest.raises(TextmillError, match=REFUSED[name]):
        rows_of(shared / "cases" / name)


def test_a_number_beyond_all_bounds(shared):
    texts, reasons = rows_of(shared / "cases" / "special_overflow_o.jsonl")
    assert texts == []
    assert reasons[0].startswith("samples must be a whole number from 1 to 100000. Received: 1000")


def test_latin_1_with_its_option(shared):
    path = shared / "cases" / "latin.csv"
    column = path.read_bytes().decode("latin-1").splitlines()[0].split(",")[0]
    texts, reasons = rows_of(path, encoding="latin-1", prompt_column=column)
    assert texts
    assert reasons == []


@pytest.mark.parametrize("name", ["pg_old.txt", "pg_note.txt"])
def test_books_keep_their_chapters(shared, name):
    found = CorpusSettings(paths=(str(shared / "cases" / name),)).read()
    assert [text.split(".")[0] for text in found.texts] == [f"Chapter {i}" for i in range(300)]


def test_fasttext(shared, tmp_path, capsys):
    path = str(shared / "cases" / "ft.txt")
    assert main(["train", path, "--out", str(tmp_path / "m")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "holds labels as fastText writes them" in line
    assert "--label fasttext" in line
    found = CorpusSettings(paths=(path,), labels="fasttext").read()
    assert set(found.labels) == {"pos", "neg"}
    assert len(found.texts) == 200
    assert not any("__label__" in text for text in found.texts)
