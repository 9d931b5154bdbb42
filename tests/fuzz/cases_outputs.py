"""Output directories: `verify` sees what was altered, a resume trusts nothing that was."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from fuzzing import Kind
from guard import Broken
from mutate import mutated, mutated_json

from textmill.model.errors import TextmillError
from textmill.model.network.directory import load_model, save_model
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.job.generate import Interrupted, _job, generate
from textmill.pipeline.job.manifest import CARD, DONE, MANIFEST, REJECTED, STATS
from textmill.pipeline.job.resumable_run import RunDirectory
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.reading import AS_USUAL

SETTINGS = GenerationSettings(samples=2, max_words=6, seed=3)
FORMS = {
    "jsonl": Format(),
    "csv": Format(name="csv", compression="gzip"),
    "parquet": Format(name="parquet"),
    "text": Format(name="text", compression="zstd"),
}
_ROWS = """{"prompt": "the cat", "id": "a", "note": "é"}
{"prompt": "dog", "id": "b", "list": [1, null]}
{"prompt": 3}

{"prompt": "a \\"dog\\"", "id": 7, "note": "x,y\\nz"}
{"prompt": "the the", "samples": 3}
nothing
{"prompt": "cat", "id": "c", "temperature": 0}
"""


@dataclass
class Case:
    """An output directory that something was done to.

    Attributes:
        out: the directory. form: its format. how: what was done.
        task: `verify`, `look` (what a resume does before Beam starts) or `resume`.
        altered: whether `verify` has to see it; None if that is not known.
        mends: whether a resume has to give the right files and a directory that is whole.
    """

    out: Path
    form: str
    how: str
    task: str
    altered: bool | None
    mends: bool


@contextlib.contextmanager
def _small_shards() -> Iterator[None]:
    with patch("textmill.pipeline.prompts.planning._LEAST_WORDS", 25):
        yield


class Outputs(Kind):
    """Output directories of finished and of stopped runs."""

    name = "outputs"

    def __init__(self, make_model: Callable[..., Any]):
        self._make_model = make_model

    def prepare(self, folder: Path) -> None:
        folder.mkdir()
        self._root = folder
        self._model, self._prompts = folder / "model", folder / "p.jsonl"
        words = ["the", "cat", "dog", "sat", "mat"]
        save_model(self._model, self._make_model(words), card="")
        self._prompts.write_text(_ROWS, "utf-8")
        self._true: dict[str, dict[str, bytes]] = {}
        self._jobs: dict[str, Any] = {}
        with _small_shards():
            for name in FORMS:
                self._generate(name, self._finished(name))
                self._true[name] = _contents(self._finished(name))
                self._jobs[name] = _job(
                    load_model(self._model), str(self._model), [str(self._prompts)],
                    str(self._finished(name)), SETTINGS, AS_USUAL, FORMS[name],
                )  # fmt: skip
            self._stop("jsonl", self._stopped("jsonl"))
            self._stop("text", self._stopped("text"))

    def _finished(self, name: str) -> Path:
        return self._root / f"finished-{name}"

    def _stopped(self, name: str) -> Path:
        return self._root / f"stopped-{name}"

    def _generate(self, name: str, out: Path, **more: Any) -> None:
        generate(
            str(self._model), prompts=[str(self._prompts)], out=str(out), settings=SETTINGS,
            form=FORMS[name], launch=Launch(runner_flags=("--runner=FnApiRunner",)), **more,
        )  # fmt: skip

    def _stop(self, name: str, out: Path) -> None:
        """A run that was stopped after two shards."""
        import textmill.pipeline.job.beam_steps as steps

        real, calls = steps.write_shard, []

        def write(*args: Any) -> Any:
            calls.append(args)
            if len(calls) > 2:
                raise KeyboardInterrupt
            return real(*args)

        with patch.object(steps, "write_shard", write), contextlib.suppress(Interrupted):
            self._generate(name, out)
        assert len(list(out.glob("shard-*"))) == 2

    # -- a case ------------------------------------------------------------------------------------

    def make(self, random: Random, folder: Path) -> Case:
        out, name = folder / "out", random.choice(("jsonl", "jsonl", *FORMS))
        task = random.choices(("verify", "look", "resume"), (60, 39, 1))[0]
        stopped = task != "verify" and name in ("jsonl", "text") and random.random() < 0.6
        base = self._stopped(name) if stopped else self._finished(name)
        shutil.copytree(base, out)
        how = random.choice(
            (_bytes, _bytes, _bytes, _missing, _stranger, _exchange, _link, _a_folder, _a_field,
             _a_field, _elsewhere, _bomb)
        )  # fmt: skip
        changed = how(random, out)
        altered = changed is not None
        mended = ("shard-", f"{REJECTED}/", f"{DONE}/", CARD, STATS)
        mends = changed is not None and changed.startswith(mended)
        return Case(out, name, how.__name__.strip("_"), task, altered or None, mends)

    def check(self, case: Case) -> str:
        if case.task == "verify":
            return self._verify(case)
        with _small_shards():
            return self._look(case) if case.task == "look" else self._resume(case)

    def _verify(self, case: Case) -> str:
        before = _contents(case.out)
        problems = verify(str(case.out)).problems
        if any("\n" in problem or "\r" in problem for problem in problems):
            raise Broken(f"a problem of several lines | {problems!r:.300}")
        if case.altered and not problems:
            raise Broken(f"verify sees no problem ({case.how})")
        if _contents(case.out) != before:
            raise Broken("verify has changed the directory")
        return "problems" if problems else "right"

    def _look(self, case: Case) -> str:
        """Opens and checks a directory, as a resume does before Beam starts."""
        job = self._jobs[case.form]
        output = type(job.output)(str(case.out), job.output.form, job.output.columns)
        said: list[str] = []
        directory = RunDirectory(output, job.header(), resume=True, warn=said.append)
        try:
            directory.progress()
            directory.working_on()
            directory.count()
            done = [] if directory.finished else directory.done(job.plan.shards, machine=None)
        finally:
            directory.release()
        if any("\n" in text for text in said):
            raise Broken(f"a warning of several lines | {said!r:.300}")
        true = self._true[case.form]
        for summary in done:  # what a note tells of its shard beside the checksum is believed
            name = job.plan.shards[summary.number].file_name + job.output.form.ending
            beside = f"{REJECTED}/{name}"
            if (case.out / name).read_bytes() != true[name]:
                raise Broken(f"an altered shard is trusted ({case.how})")
            told = summary.rejected_sha256 is not None and beside in true
            if told and (case.out / beside).read_bytes() != true[beside]:
                raise Broken(f"altered rejected rows are trusted ({case.how})")
        figures = [
            (summary.name, summary.rows, summary.prompts, summary.records, summary.words)
            for summary in done
        ]
        if not set(figures) <= self._figures(case.form):
            raise Broken(f"a note is trusted that somebody changed ({case.how})")
        return "looked at"

    @functools.cache  # noqa: B019 - there is one of this kind
    def _figures(self, name: str) -> set[tuple[Any, ...]]:
        """Of each shard, as its manifest has them."""
        shards = json.loads(self._true[name][MANIFEST])["shards"]
        fields = ("name", "rows", "prompts", "records", "words")
        return {tuple(shard[field] for field in fields) for shard in shards}

    def _resume(self, case: Case) -> str:
        """Resumes to the end: the files are those of a run that nobody touched."""
        try:
            self._generate(case.form, case.out, resume=True)
        except TextmillError as error:
            if case.mends:
                raise Broken(f"a damage was not mended ({case.how}) | {error}") from error
            raise
        if not case.mends:
            return "resumed"
        found = _contents(case.out)
        for name, data in self._true[case.form].items():
            if name != STATS and found.get(name) != data:
                raise Broken(f"other bytes after a resume ({case.how}) | {name}")
        if problems := verify(str(case.out)).problems:
            raise Broken(f"not right after a resume ({case.how}) | {problems}")
        return "mended"


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# -- damages: each gives the path of what it changed, or None if nothing is altered ----------------


def _files(out: Path) -> list[str]:
    return sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())


def _one(random: Random, out: Path) -> str:
    """A file, each kind of file with a like chance."""
    kinds: dict[str, list[str]] = {}
    for name in _files(out):
        if not name.endswith(".lock"):
            kinds.setdefault(name.split("-")[0], []).append(name)
    return random.choice(kinds[random.choice(sorted(kinds))])


def _bytes(random: Random, out: Path) -> str:
    name = _one(random, out)
    (out / name).write_bytes(mutated(random, (out / name).read_bytes()))
    return name


def _missing(random: Random, out: Path) -> str:
    name = _one(random, out)
    (out / name).unlink()
    if name == STATS:
        return "gone"
    return name


def _stranger(random: Random, out: Path) -> str:
    name = random.choice((
        "x", "shard-99999-of-00002.jsonl", ".attempt-x", f"{REJECTED}/x", "a\nb", "\x1b[2J", ".x",
        "shard-", f"{REJECTED}/shard-00000-of-99999.jsonl", "manifest.json.bak", "é", "-",
    ))  # fmt: skip
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_bytes(random.choice((b"", b"x", b"{}\n")))
    return "stranger"


def _exchange(random: Random, out: Path) -> str | None:
    names = [name for name in _files(out) if name.startswith("shard-")]
    one, other = random.sample(names, 2)
    a, b = (out / one).read_bytes(), (out / other).read_bytes()
    (out / one).write_bytes(b)
    (out / other).write_bytes(a)
    return one if a != b else None


def _link(random: Random, out: Path) -> str | None:
    """A file is a link to one with the same bytes, or to nowhere."""
    name = _one(random, out)
    aside = out.parent / "aside"
    (out / name).rename(aside)
    whole = random.random() < 0.5
    (out / name).symlink_to(aside if whole else "nowhere")
    return None if whole else ("gone" if name == STATS else f"link {name}")


def _a_folder(random: Random, out: Path) -> str:
    name = _one(random, out)
    (out / name).unlink()
    (out / name).mkdir()
    return f"folder {name}"


def _a_field(random: Random, out: Path) -> str:
    """A field of a JSON file is odd."""
    name = random.choice([n for n in _files(out) if n.endswith(".json") and "shard" not in n] + [
        n for n in _files(out) if n.startswith(DONE) and n.endswith(".json")])  # fmt: skip
    line, end, digest = (out / name).read_bytes(), b"\n", b""
    if name.startswith(DONE):
        line, end, digest = line.partition(b"\n")
    indent = None if name.startswith(DONE) else 2
    text = json.dumps(mutated_json(random, json.loads(line)), indent=indent)
    (out / name).write_bytes(text.encode() + end + digest)
    return name


def _elsewhere(random: Random, out: Path) -> str:
    """A folder of the run is a link to one elsewhere, where nothing may be changed."""
    aside = out.parent.parent / "elsewhere"
    shutil.rmtree(aside, ignore_errors=True)
    name = random.choice([n for n in (REJECTED, DONE) if (out / n).is_dir()])
    shutil.copytree(out / name, aside)
    for more in ("shard-00001-of-00009.jsonl", ".attempt-x", "shard-00007-of-00009.started"):
        (aside / more).write_text("not of this run")
    shutil.rmtree(out / name)
    (out / name).symlink_to(aside)
    return "elsewhere" if name == REJECTED else f"link {name}"


@functools.cache
def _zeros(compression: str | None) -> bytes:
    """Gigabytes that are packed into little."""
    import gzip

    import zstandard

    if compression == "gzip":
        part = gzip.compress(bytes(200_000_000), 1, mtime=0)
        return part * 15
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(packer.compress(bytes(100_000_000)) for _ in range(30)) + packer.flush()


def _bomb(random: Random, out: Path) -> str:
    names = [name for name in _files(out) if name.startswith(("shard-", f"{REJECTED}/shard"))]
    name = random.choice(names)
    if name.endswith((".gz", ".zst")) and random.random() < 0.15:
        packed = _zeros("gzip" if name.endswith(".gz") else "zstd")
        (out / name).write_bytes(packed)
    else:
        (out / name).write_bytes(b"[" * 200_000 + b"\n")
    return name
