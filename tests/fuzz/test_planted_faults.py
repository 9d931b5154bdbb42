"""The fuzzer sees faults: each promise is broken once, and the case that shows it is found."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
import zlib
from pathlib import Path

import pytest
from cases_prompts import Row
from fuzzing import run_case
from guard import Broken, check_command, refused, watched
from hypothesis import given, settings
from hypothesis import strategies as st
from mutate import mutated, mutated_json

from textmill.model.errors import TextmillError, UsageError
from textmill.model.network import directory
from textmill.pipeline.command import cli, commands, play
from textmill.pipeline.job import manifest, resumable_run, verify
from textmill.pipeline.prompts import opening, planning

# -- what the guard sees ---------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path) -> tuple[Path, Path]:
    """The folder of a case, and one beside it."""
    for name in ("case", "beside"):
        (tmp_path / name).mkdir()
    (tmp_path / "beside" / "file").write_text("x")
    return tmp_path / "case", tmp_path / "beside"


def _through_a_link(own: Path, other: Path) -> None:
    (own / "link").symlink_to(other)
    (own / "link" / "file").unlink()


STRAYS = {
    "open": lambda own, other: (other / "new").write_text("x"),
    "append": lambda own, other: open(other / "file", "a").close(),
    "low": lambda own, other: os.close(os.open(other / "low", os.O_CREAT | os.O_RDWR)),
    "mkdir": lambda own, other: (other / "folder").mkdir(),
    "rename": lambda own, other: (other / "file").rename(own / "file"),
    "replace": lambda own, other: os.replace(other / "file", own / "file"),
    "remove": lambda own, other: (other / "file").unlink(),
    "rmdir": lambda own, other: (other / "none").rmdir(),
    "link": lambda own, other: os.link(other / "file", other / "linked"),
    "symlink": lambda own, other: (other / "symlinked").symlink_to("x"),
    "truncate": lambda own, other: os.truncate(other / "file", 0),
    "through a link": _through_a_link,
}


@pytest.mark.parametrize("name", STRAYS)
def test_what_is_written_elsewhere_is_seen(name, places):
    own, other = places
    with (
        pytest.raises(Broken, match="wrote outside"),
        watched(own, own.parent),
        contextlib.suppress(FileNotFoundError),  # what is tried counts, too
    ):
        STRAYS[name](own, other)


def test_what_is_written_in_the_folder_or_read_elsewhere_is_not(places):
    own, other = places
    with watched(own, own.parent):
        (own / "a").mkdir()
        (own / "a" / "b").write_text((other / "file").read_text())
        (own / "a" / "b").unlink()
        (own / "a").rmdir()


def test_time_of_the_processor_and_on_the_clock(places):
    own, _ = places

    def work() -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:  # what the product may do
                pass

    with (
        pytest.raises(Broken, match=r"more than 0\.05 s of the processor"),
        watched(own, own.parent, cpu=0.05),
    ):
        work()
    with pytest.raises(Broken, match="on the clock"), watched(own, own.parent, wall=0.05):
        time.sleep(60)  # a signal ends it


def test_memory(places):
    own, _ = places
    with (
        pytest.raises(Broken, match=r"took 0\.2 GB more memory"),
        watched(own, own.parent, more=200_000_000),
    ):
        bytearray(400_000_000)
    with watched(own, own.parent):
        bytearray(400_000_000)


def _with(text: str) -> TextmillError:
    """An error of several lines, which its class would not allow."""
    error = TextmillError()
    error.args = (text,)
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("x"), "raised KeyError"),
        (OSError("x"), "raised OSError"),
        (_with("two\nlines"), "several lines"),
        (_with("a\rb"), "several lines"),
        (UsageError(""), "several lines, or of none"),
    ],
)
def test_errors_that_are_no_refusal(error, said):
    with pytest.raises(Broken, match=said):
        refused(error)
    refused(UsageError("one line"))


@pytest.mark.parametrize(
    ("status", "out", "err", "said"),
    [
        (7, "", "textmill: error: x\n", "exit status 7"),
        (1, "", "", "0 lines of errors"),
        (1, "", "textmill: error: x\ntextmill: error: y\n", "2 lines of errors"),
        (0, "", "textmill: error: x\n", "exit status 0, 1 lines"),
        (0, "a\x1b[2J\n", "", "standard output"),
        (2, "", "textmill train: error: \x9b2J\n", "standard error"),
        (1, "", "textmill: error: a\rb\n", "standard error"),
        (1, "", "textmill: error: a\tb\n", "standard error"),
    ],
)
def test_what_a_command_may_not_print(status, out, err, said):
    with pytest.raises(Broken, match=said):
        check_command(status, out, err)
    check_command(2, "a\tb\né\n", "textmill train: error: x\n")


# -- what the cases see ----------------------------------------------------------------------------


def finds(prepared, name: str, said: str, most: int = 1500) -> bool:
    """Whether a case of a kind finds a certain fault."""
    kind, folder = prepared(name)
    for number in range(most):
        failure, _ = run_case(kind, folder, seed="planted", number=number)
        if failure is not None and said in failure.what:
            return True
    return False


@pytest.mark.fuzz
def test_texts_that_come_back_changed(prepared, monkeypatch):
    real = planning.text_prompt
    monkeypatch.setattr(
        planning, "text_prompt", lambda raw, **how: real(raw.replace(b"a", b"b"), **how)
    )
    assert finds(prepared, "prompts", "a row came back changed")


@pytest.mark.fuzz
def test_rows_that_are_lost(prepared, monkeypatch):
    monkeypatch.setattr(opening, "_decompressed", lambda path, raw: io.BytesIO(raw.read(200)))
    assert finds(prepared, "prompts", "rows came back of")


@pytest.mark.fuzz
def test_rows_that_are_lost_in_many_shards(prepared, monkeypatch):
    real = planning._records
    monkeypatch.setattr(
        planning, "_records",
        lambda shard: (r for i, r in enumerate(real(shard)) if i or shard.number < 2),
    )  # fmt: skip
    assert finds(prepared, "prompts", "read in few shards, refused in many")


@pytest.mark.fuzz
def test_rows_that_are_lost_from_a_damaged_archive(prepared, monkeypatch):
    real = opening._decompressed

    def tolerant(path, raw):
        if not path.endswith(".gz"):
            return real(path, raw)
        part, out = zlib.decompressobj(31), b""
        for byte in iter(lambda: raw.read(1), b""):
            try:
                out += part.decompress(byte)
            except zlib.error:
                break
        return io.BytesIO(out)

    monkeypatch.setattr(opening, "_decompressed", tolerant)
    assert finds(prepared, "prompts", "out of a damaged .gz")


@pytest.mark.fuzz
def test_errors_of_other_kinds(prepared, monkeypatch):
    monkeypatch.setattr(
        planning, "json_row", lambda raw, **_: {"prompt": raw[10], "samples": 1 / raw[0]}
    )
    assert finds(prepared, "prompts", "raised IndexError")


@pytest.mark.fuzz
def test_corpora_and_tables_that_come_back_changed(prepared, monkeypatch):
    from textmill.model.text import corpus
    from textmill.pipeline.augment import table

    monkeypatch.setattr(corpus, "clean", lambda text: text.replace("e", ""))
    assert finds(prepared, "corpora", "other texts")
    monkeypatch.setattr(table, "read_cells", lambda raw, **how: iter([("a", "b")]))
    assert finds(prepared, "tables", "read_labelled gives other cells")


@pytest.mark.fuzz
def test_models_whose_damage_nobody_sees(prepared, monkeypatch):
    prepared("models")  # by honest checksums

    def trusting(path):
        return json.loads((path.parent / "model.json").read_text())["files"][path.name]

    monkeypatch.setattr(directory, "_sha256", trusting)
    assert finds(prepared, "models", "an altered directory was loaded (bytes)")


@pytest.mark.fuzz
def test_outputs_whose_damage_verify_does_not_see(prepared, monkeypatch):
    monkeypatch.setattr(verify, "_strangers", lambda out, manifest: iter(()))
    assert finds(prepared, "outputs", "verify sees no problem (stranger)")


@pytest.mark.fuzz
def test_outputs_whose_damage_a_resume_does_not_see(prepared, monkeypatch):
    def trusting(shard, output):
        note = resumable_run.join(output.directory, ".done", f"{shard.file_name}.json")
        return resumable_run.ShardSummary.of_note(resumable_run.read(note))

    monkeypatch.setattr(resumable_run, "standing", trusting)
    assert finds(prepared, "outputs", "an altered shard is trusted")


@pytest.mark.fuzz
def test_notes_whose_damage_a_resume_does_not_see(prepared, monkeypatch):
    real = manifest.ShardSummary.of_note

    def trusting(note):
        line = note.partition(b"\n")[0] + b"\n"
        return real(line + manifest.sha256(line).encode() + b"\n")

    monkeypatch.setattr(manifest.ShardSummary, "of_note", trusting)
    assert finds(prepared, "outputs", "a note is trusted that somebody changed")


@pytest.mark.fuzz
def test_commands_that_end_otherwise(prepared, monkeypatch):
    def crash(args):
        raise ZeroDivisionError(args.directory)

    monkeypatch.setitem(commands.COMMANDS, "verify", crash)
    assert finds(prepared, "commands", "an unforeseen ZeroDivisionError")
    monkeypatch.setitem(commands.COMMANDS, "verify", lambda args: print("\x1b[2J") or 0)
    assert finds(prepared, "commands", "a control character on the standard output")
    monkeypatch.setattr(cli, "fail", lambda message, status: status)
    assert finds(prepared, "commands", "0 lines of errors")


@pytest.mark.fuzz
def test_a_playground_that_breaks(prepared, monkeypatch):
    monkeypatch.setattr(play, "answer", lambda *asked: 1 / 0)
    assert finds(prepared, "play", "the playground answered 500")


# -- the machinery ---------------------------------------------------------------------------------


def test_a_case_is_the_same_each_time(prepared):
    for name in ("prompts", "corpora", "tables"):
        kind, folder = prepared(name)
        for number in range(20):
            seen = []
            for _ in range(2):
                run_case(kind, folder, seed="same", number=number)
                made = sorted(p for p in (folder / "case").iterdir() if p.is_file())
                seen.append([p.read_bytes() for p in made])
            assert seen[0] == seen[1]


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), st.binary(max_size=300))
def test_damaged_bytes_differ(random, data):
    assert mutated(random, data) != data


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_damaged_json_leaves_the_original(random):
    value = {"a": [1, {"b": None}], "c": "x"}
    mutated_json(random, value)
    assert value == {"a": [1, {"b": None}], "c": "x"}


FORMS = st.sampled_from(["txt", "jsonl", "csv", "tsv", "parquet"])


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.text(max_size=30), min_size=1, max_size=8), form=FORMS, random=st.randoms())
def test_any_texts_come_back(prepared, rows, form, random):
    """As `prompts`, with texts that are made smaller by Hypothesis where one does not come back."""
    kind, folder = prepared("prompts")
    rows = [row for row in rows if "\x00" not in row] or ["x"]
    place = folder / "hypothesis"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    kind.check(kind.case(random, place, [Row(text) for text in rows], form))
