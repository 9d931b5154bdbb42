"""Runs of very many shards: their names, their progress, a resume's look at what stands."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import tempfile
import threading
import time
import tracemalloc
from dataclasses import astuple, replace
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from outputs import generation, write_output
from waiting import until

from textmill.model.errors import TextmillError
from textmill.pipeline.files import filesystem
from textmill.pipeline.files.filesystem import sha256
from textmill.pipeline.files.parallel import AT_ONCE, parallel
from textmill.pipeline.job import beam_steps, generate, manifest, notes, progress
from textmill.pipeline.job.beam_steps import Collect
from textmill.pipeline.job.manifest import Output, ShardSummary, folded, write_manifest
from textmill.pipeline.job.notes import note_done, note_working
from textmill.pipeline.job.progress import Counts
from textmill.pipeline.job.resumable_run import _SHARD, RunDirectory
from textmill.pipeline.job.run_statistics import NO_FIGURES, Statistics
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Shard
from textmill.pipeline.prompts.reading import Form


def shard(number: int, of: int) -> Shard:
    return Shard(
        number=number, of=of, path="p", name="p", form=Form("text"), columns=(), start=0, end=9,
        first=1, rows=3,
    )  # fmt: skip


# -- names -----------------------------------------------------------------------------------------

COUNTS = st.one_of(
    st.integers(99_990, 100_010), st.integers(999_990, 1_000_010), st.integers(1, 2_000_000)
)


@given(st.data())
def test_names_sort_as_their_shards_do(data):
    of = data.draw(COUNTS)
    near = st.integers(0, of - 1) | st.sampled_from([n for n in (0, 9, 99_999, 100_000) if n < of])
    numbers = sorted(data.draw(st.sets(near | st.just(of - 1), min_size=1, max_size=20)))
    names = [shard(number, of).file_name for number in numbers]
    assert sorted(names) == names
    assert len({len(name) for name in names}) == 1
    assert all(_SHARD.fullmatch(f"{name}.jsonl.gz") for name in names)


def test_names_of_usual_runs_are_as_ever():
    assert shard(1, 40).file_name == "shard-00001-of-00040"
    assert shard(99_998, 99_999).file_name == "shard-99998-of-99999"
    assert shard(7, 100_000).file_name == "shard-000007-of-100000"
    assert shard(999_999, 1_000_000).file_name == "shard-0999999-of-1000000"


# -- summaries -------------------------------------------------------------------------------------

FIGURES = st.builds(
    Statistics,
    finish=st.dictionaries(st.sampled_from(["eos", "length", "stop"]), st.integers(1, 10**7)),
    reasons=st.dictionaries(st.sampled_from(["empty", "no text"]), st.integers(1, 10**7)),
    words=st.dictionaries(st.integers(0, 100).map(str), st.integers(1, 10**7), max_size=5),
    logprobs=st.dictionaries(st.integers(0, 80).map(str), st.integers(1, 10**7), max_size=5),
    seconds=st.integers(0, 10**6).map(lambda n: n / 1000),
)


def summary(number: int, figures: Statistics) -> ShardSummary:
    return ShardSummary(
        number, f"{shard(number, 9).file_name}.jsonl", 3, 2, 1, 4, 9, "", None, "m", "t", figures
    )


def combined(parts: list[list[ShardSummary]]) -> list[ShardSummary]:
    """The summaries of some workers, as an engine puts them together."""
    collect, found = Collect(), []
    for part in parts:
        found.append(collect.create_accumulator())
        for each in part:
            found[-1] = collect.add_input(found[-1], pickle.loads(pickle.dumps(each)))
    return collect.extract_output(collect.merge_accumulators(found))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), FIGURES), max_size=30), st.integers(1, 5))
def test_folded_summaries_make_the_same_manifest(made, few):
    whole = [summary(number, figures) for number, (_, figures) in enumerate(made)]
    parts = [[each for each, (part, _) in zip(whole, made, strict=True) if part == i]
             for i in range(4)]  # fmt: skip
    header = {"model": "m", "settings": {}, "versions": {"textmill": "0"}}

    def written(summaries: list[ShardSummary]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as out:
            for name in ("run.json", *(each.name for each in whole)):
                Path(out, name).touch()
            output = Output(out, Format(), ())
            write_manifest(summaries, output=output, header=header, rows=3 * len(whole))
            return {path.name: path.read_bytes() for path in Path(out).iterdir()}

    with mock.patch.multiple(manifest, FEW=few), mock.patch.multiple(beam_steps, FEW=few):
        kept, new = folded(whole[:3]), combined(parts)
        assert written(whole) == written(new) == written(folded(iter(whole)))
        assert sum(each.statistics != NO_FIGURES for each in new) <= 1
        new = combined([[each for each in part if each.number >= 3] for part in parts])
        assert written([*kept, *new]) == written(whole)


def test_figures_of_few_shards_are_held_at_a_time():
    """Those of 2,000 shards take some 12 MiB."""

    def figures() -> Statistics:
        return Statistics({}, {}, {str(i + 1000): 9 for i in range(90)}, {}, 1.0)

    folded(summary(number, figures()) for number in range(300))  # imports and caches
    tracemalloc.start()
    found = folded(summary(number, figures()) for number in range(2_000))
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found[0].statistics.words["1089"] == 18_000
    assert peak < size + 3 * 2**20 < 5 * 2**20


# -- a run without a model -------------------------------------------------------------------------


def made(number: int, *, rejected: int = 0, words: int = 9) -> tuple[bytes, ShardSummary]:
    data = f'{{"shard": {number}}}\n'.encode() * 100
    done = summary(number, Statistics({"eos": 4}, {}, {"2": 4}, {"70": 4}, 0.5))
    bad = sha256(b"bad\n") if rejected else None
    return data, replace(done, sha256=sha256(data), rejected_sha256=bad, words=words)


class Run:
    """A run of shards of three rows; the files of a shard come with its note."""

    def __init__(self, place: Path, *, of: int):
        self.output = Output(str(place), Format(), ())
        self.shards = [shard(number, of) for number in range(of)]
        self.notes = Path(place, ".done")
        self.said: list[str] = []
        self.directory: RunDirectory
        self.open(resume=False)

    def open(self, *, resume: bool = True) -> None:
        self.directory = RunDirectory(
            self.output, {"versions": {}}, resume=resume, warn=self.said.append
        )

    def finish(self, number: int, **more) -> None:
        data, done = made(number, **more)
        mine = self.shards[number]
        done = replace(done, name=f"{mine.file_name}.jsonl")
        Path(self.output.path(mine)).write_bytes(data)
        if done.rejected_sha256 is not None:
            path = Path(self.output.rejected_path(mine))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"bad\n")
        note_done(done, mine, str(self.output.directory))

    def note(self, number: int, ending: str = "json") -> Path:
        return self.notes / f"{self.shards[number].file_name}.{ending}"

    def file(self, number: int) -> Path:
        return Path(self.output.path(self.shards[number]))

    def done(self) -> list[int]:
        self.directory.release()
        self.open()
        return [each.number for each in self.directory.done(self.shards, machine="m")]


@pytest.fixture
def finished(tmp_path):
    run = Run(tmp_path / "o", of=60)
    for number in range(60):
        run.finish(number, rejected=number % 2)
    return run


# -- what a resume checks --------------------------------------------------------------------------


def test_damaged_shards_are_told_in_their_order(finished, monkeypatch):
    """Those that come first are read last."""
    finished.file(3).write_bytes(finished.file(3).read_bytes()[:-1])
    finished.note(7).write_text("{")
    finished.file(11).unlink()
    finished.file(20).unlink()
    finished.file(20).symlink_to("nowhere")
    Path(finished.output.rejected_path(finished.shards[41])).write_bytes(b"")
    damaged = [3, 7, 11, 20, 41]
    real = notes.digest_of

    def late(path):
        if "shard-00003-" in path or "shard-00011-" in path:
            time.sleep(0.3)
        return real(path)

    monkeypatch.setattr(notes, "digest_of", late)
    assert finished.done() == [n for n in range(60) if n not in damaged]
    assert finished.said == [
        f"{finished.shards[n].file_name} is damaged and is made again" for n in damaged
    ]
    for number in damaged:
        place = finished.file(number)
        assert not place.exists()
        assert not place.is_symlink()
        assert not finished.note(number).exists()
        assert not Path(finished.output.rejected_path(finished.shards[number])).exists()
    assert finished.done() == [n for n in range(60) if n not in damaged]
    assert len(finished.said) == len(damaged)


def test_a_note_that_goes_between_list_and_look(finished, monkeypatch):
    real = notes.read

    def read(path):
        if "shard-00005-" in path:
            Path(path).unlink(missing_ok=True)
        return real(path)

    monkeypatch.setattr(notes, "read", read)
    assert finished.done() == [n for n in range(60) if n != 5]
    assert finished.said == [f"{finished.shards[5].file_name} is damaged and is made again"]


def test_files_are_checked_in_blocks(finished, monkeypatch):
    """A worker of 16 that read whole files would need 16 times the largest."""
    monkeypatch.setattr(filesystem, "_BLOCK", 100)
    sizes = []
    real = filesystem.open_read

    class Counted(io.BytesIO):
        def read(self, size=-1):
            sizes.append(size)
            return super().read(size)

    def open_read(path):
        with real(path) as file:
            return Counted(file.read())

    monkeypatch.setattr(filesystem, "open_read", open_read)
    path = str(finished.file(3))
    assert filesystem.digest_of(path) == sha256(finished.file(3).read_bytes())
    assert set(sizes) == {100}
    assert len(sizes) > 5
    with pytest.raises(TextmillError, match=r"cannot read \S+: No such file"):
        filesystem.digest_of(f"{path}x")


def test_files_are_read_side_by_side(finished, monkeypatch):
    together = threading.Barrier(4)  # opens for four at a time, so one after the other would wait

    def digest_of(path):
        together.wait(timeout=600)
        return "other"

    monkeypatch.setattr(notes, "digest_of", digest_of)
    assert finished.done() == []


def test_ctrl_c_ends_the_check(finished, monkeypatch):
    begun, over = [], threading.Event()

    def slow(path):
        begun.append(path)
        over.wait(600)
        return "other"

    def interrupt():
        until(lambda: len(begun) >= AT_ONCE, "nothing is read")
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(notes, "digest_of", slow)
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        finished.directory.done(finished.shards, machine="m")
    over.set()  # only now, so the check did not wait for what had begun
    readers = [each for each in threading.enumerate() if each.name.startswith("textmill-files")]
    for reader in readers:
        reader.join(600)
    assert len(begun) == AT_ONCE
    assert finished.directory.count() == 60


def test_a_finished_run_is_not_decoded_to_see_that_it_is_whole(tmp_path):
    texts = [generation(f"p:{i}", 1, "a b", 1.0) for i in range(4)]
    write_output(tmp_path / "o", texts)
    header = json.loads((tmp_path / "o" / "run.json").read_text())
    output = Output(str(tmp_path / "o"), Format(), columns_of({}, labelled=False))
    decode = mock.Mock(side_effect=AssertionError)
    with mock.patch.object(Format, "decode", decode):
        directory = RunDirectory(output, header, resume=True)
        assert directory.finished
        directory.release()
    (tmp_path / "o" / "shard-00001-of-00002.jsonl").unlink()
    directory = RunDirectory(output, header, resume=True)
    assert not directory.finished
    assert directory.count() == 1
    directory.release()


# -- side by side ----------------------------------------------------------------------------------


def test_results_come_in_order_and_few_wait():
    begun = []

    def work(i: int) -> int:
        begun.append(i)
        time.sleep(0.01 * (i % 3))
        return i

    with parallel(work, iter(range(300))) as found:
        assert next(found) == 0
        time.sleep(0.3)
        assert len(begun) <= 2 * AT_ONCE + 2
        assert list(found) == list(range(1, 300))
    with parallel(lambda i: 1 // (i - 3), range(9)) as found:
        assert [next(found) for _ in range(3)] == [-1, -1, -1]
        with pytest.raises(ZeroDivisionError):
            next(found)


# -- progress --------------------------------------------------------------------------------------

ALL = Counts(8, 16, 36, 4)  # of four shards

# What happens to a shard: its worker begins, tells how far it is, is killed in the middle of a
# note, begins anew, ends; an engine may have it made twice. Or somebody looks, or all is resumed.
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "tell", "torn", "gone", "finish", "look", "look", "resume"]),
        st.integers(0, 3),
        st.integers(0, 2),
    ),
    max_size=40,
)


AGAIN = [("tell", 0, 2), ("look", 0, 0), ("begin", 0, 0), ("look", 0, 0)]
TWICE = [("begin", 0, 0), ("finish", 0, 0), ("look", 0, 0), ("tell", 0, 1), ("look", 0, 0)]


@settings(max_examples=60, deadline=None)
@given(EVENTS)
@example(AGAIN)
@example(TWICE)
def test_progress_never_goes_back_and_ends_exact(events):
    whole = Counts(2, 4, 9, 1)  # of a shard
    with tempfile.TemporaryDirectory() as place:
        run, last = Run(Path(place, "o"), of=4), Counts()
        ended: set[int] = set()

        def happen(what: str, number: int, far: int) -> None:
            mine, out = run.shards[number], run.output.directory
            if what == "begin":
                note_working(mine, out)
            elif what == "tell":
                note_working(mine, out, Counts(far, far, 4 * far, 1))
            elif what == "torn":
                run.note(number, "started").write_text('{"pid": 1, "cou')
            elif what == "gone":
                run.note(number, "started").unlink(missing_ok=True)
            elif what == "finish":
                run.finish(number)
                ended.add(number)

        for event in events:
            happen(*event)
            if event[0] == "resume":
                assert run.done() == sorted(ended)
                last = Counts()
            elif event[0] == "look":
                counts = run.directory.progress()
                least = Counts(*(len(ended) * n for n in astuple(whole)))
                assert counts.most(last).most(least) == counts
                assert counts.most(ALL) == ALL
                last = counts
        for number in {0, 1, 2, 3} - ended:
            happen("finish", number, 0)
        assert run.directory.progress() == ALL
        assert run.done() == [0, 1, 2, 3]
        assert run.directory.progress() == ALL
        run.directory.release()


def test_a_look_reads_only_what_is_new(finished, monkeypatch):
    finished.note(9).write_text("{")
    looked: list[str] = []  # threads append to a list safely; a mock's count of calls may lose some

    def noted(address: str) -> bytes:
        looked.append(address)
        return read(address)

    read = progress.read
    monkeypatch.setattr(progress, "read", noted)
    assert finished.directory.progress().prompts == 59 * 2
    assert len(looked) == len(set(looked)) == 60
    finished.directory.progress()
    assert len(looked) == 61  # the damaged one, which may be whole by now
    assert len(finished.done()) == 59
    looked.clear()
    assert finished.directory.progress().prompts == 59 * 2  # known from the resume's check
    assert not looked


def test_pauses_follow_from_looks():
    assert progress.pause(0.0) == progress.pause(0.02) == 1.0
    assert progress.pause(0.5) == pytest.approx(25.0)
    assert progress.pause(9.0) == 60.0


class Ill:
    """A directory whose notes cannot be listed now and then, and come late to this host."""

    def __init__(self, finished: RunDirectory):
        self.looks, self.ended = 0, finished.ended

    def progress(self) -> Counts:
        self.looks += 1
        if self.looks == 2:
            raise TextmillError("cannot read gs://b/o/.done: try again")
        if self.looks == 3:
            raise OSError("stale file handle")
        return Counts(prompts=self.looks)


def test_a_look_that_fails_does_not_end_the_progress(finished, monkeypatch):
    manifest_of = {
        "format": 1,
        "counts": {"prompts": 120, "records": 240, "words": 540, "rejected": 60},
    }
    Path(finished.output.directory, "manifest.json").write_text(json.dumps(manifest_of))
    for number in range(60):
        finished.note(number).unlink()
    monkeypatch.setattr(generate, "pause", lambda took: 0.01)
    told: list[Counts] = []
    ill = Ill(finished.directory)
    with generate._watch(ill, 180, lambda counts, rows: told.append(counts)):
        until(lambda: ill.looks >= 5, "nobody looks")
    assert [counts.prompts for counts in told[:3]] == [1, 4, 5]
    assert told[-1] == Counts(120, 240, 540, 60)
