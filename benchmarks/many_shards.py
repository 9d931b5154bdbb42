"""What very many shards cost the launcher, with nothing in them.

    python benchmarks/many_shards.py --shards 3000 15000

Makes the notes, files and manifest of many shards and says what they cost, in seconds of a core:
waiting for the disk is not in them. What a resume gains by reading side by side is told in seconds
of a clock.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from table import print_table

from textmill.model.machine import cpu_kind
from textmill.model.settings import GenerationSettings
from textmill.pipeline.files import parallel
from textmill.pipeline.job.manifest import Output, ShardSummary, write_manifest
from textmill.pipeline.job.progress import NotedProgress
from textmill.pipeline.job.resumable_run import RunDirectory
from textmill.pipeline.job.run_statistics import Statistics
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Plan, PromptFile, Shard, even_shards, plan
from textmill.pipeline.prompts.reading import AS_USUAL, Form

# Okabe and Ito's colours, told apart by everyone; lines differ in their dashes too.


def measured(args: argparse.Namespace) -> None:
    rows: list[tuple[str, str]] = []
    shards = even_shards(10**9, 5 * 10**10)
    rows.append(
        (
            "10^9 texts of up to 50 words, in one file: shards",
            f"{len(shards):,}, of {max(shards):,} words",
        )
    )
    for count in args.shards:
        # In a process of its own: peaks are the process's.
        command = [sys.executable, __file__, "--launcher", str(count)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows += [tuple(row) for row in json.loads(done.stdout)]  # type: ignore[misc]
    rows += planning(args.rows)
    rows += passes()
    rows += checks(args.files)
    print_table(rows)


def planning(count: int) -> list[tuple[str, str]]:
    """Seconds of the planning pass over text, objects and a table."""
    rows = []
    line = "President attends the opening of the new bridge, says it is late"
    with tempfile.TemporaryDirectory() as folder:
        for name, head, text in (
            ("p.txt", "", line + "\n"),
            ("p.jsonl", "", json.dumps({"prompt": line, "source": "news"}) + "\n"),
            ("p.csv", "prompt,source\n", f'"{line}",news\n'),
        ):
            path = Path(folder, name)
            path.write_text(head + text * count)
            started = time.process_time()  # other work may run beside it
            plan([str(path)], GenerationSettings())
            seconds = time.process_time() - started
            rows.append(
                (
                    f"planning {count:,} rows of {path.suffix}",
                    f"{seconds:.2f} s of a core; 10^9 rows: {seconds * 1e9 / count / 60:,.0f} min",
                )
            )
    return rows


def passes() -> list[tuple[str, str]]:
    """What a pass over many bytes costs: the checksums of a resume, a compressed file's start."""
    import gzip

    words = np.random.default_rng(0).choice(["the", "of", "and", "to", "in", "is"], 4_000_000)
    data = " ".join(words).encode()
    started = time.process_time()
    hashlib.sha256(data).hexdigest()
    rate = len(data) / (time.process_time() - started)
    packed = gzip.compress(data, 6)
    started = time.process_time()
    gzip.decompress(packed)
    unpacked = len(data) / (time.process_time() - started)
    return [
        ("SHA-256", f"{rate / 1e6:,.0f} MB/s; 250 GB: {250e9 / rate / 60:,.0f} min of a core"),
        ("reading over gzip", f"{unpacked / 1e6:,.0f} MB/s unpacked; 25 GB: "
                              f"{25e9 / unpacked:,.0f} s of a core"),
    ]  # fmt: skip


TEXTS = 20_000  # of a shard
LATE = 0.05  # seconds until a store answers


def checks(count: int) -> list[tuple[str, str]]:
    """What a resume and the looks at notes take, one file after the other and side by side."""
    store = late_store()  # noqa: F841  # held
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for what, place, size in (
            (f"{count} files of 4 MB on this disk", f"{folder}/disk", 4_000_000),
            (f"{count} shards in a store that answers after 50 ms", f"late://{folder}/store", 9),
        ):
            output, shards = Output(place, Format(), ()), even(count)
            here = Output(place.removeprefix("late://"), output.form, ())
            RunDirectory(here, {"versions": {}}, resume=False).release()
            for shard in shards:
                note(shard, here, bytes(size))
            directory = RunDirectory(output, {"versions": {}}, resume=True)
            work = {
                "resume's check": lambda d=directory, s=shards: d.done(s, machine=None),
                "progress's first look": lambda p=place: NotedProgress(f"{p}/.done").look(),
            }
            for doing in work if "late" in place else ("resume's check",):
                seconds = []
                for at_once in (1, parallel.AT_ONCE):
                    with mock.patch.object(parallel, "AT_ONCE", at_once):
                        started = time.monotonic()
                        work[doing]()
                        seconds.append(f"{time.monotonic() - started:.1f} s")
                rows.append((f"{doing}, {what}", " one by one, ".join(seconds) + " side by side"))
            directory.release()
    return rows


def late_store() -> type:
    """Makes the files of this disk a store of Beam's, `late://`, that takes its time to answer.

    Beam finds the class as long as somebody holds it.
    """
    from apache_beam.io.filesystem import FileMetadata
    from apache_beam.io.localfilesystem import LocalFileSystem

    class Late(LocalFileSystem):
        @classmethod
        def scheme(cls) -> str:
            return "late"

        def has_dirs(self) -> bool:
            return False

        def _list(self, prefix: str) -> Iterator[FileMetadata]:
            time.sleep(LATE)
            for path in sorted(Path(prefix.removeprefix("late://")).rglob("*")):
                if path.is_file():
                    yield FileMetadata(f"late://{path}", 0)

        def open(self, path: str, *_: Any, **__: Any) -> Any:
            time.sleep(LATE)
            return open(path.removeprefix("late://"), "rb")

    return Late


def even(count: int) -> tuple[Shard, ...]:
    """Shards of 20,000 texts, all of one file."""
    return tuple(
        Shard(i, count, "/prompts/p.txt", "p.txt", Form("text"), (), i * 10**6, (i + 1) * 10**6,
              i * TEXTS + 1, TEXTS)
        for i in range(count)
    )  # fmt: skip


def note(shard: Shard, output: Output, data: bytes) -> None:
    """Writes a finished shard's file and note, as its worker would."""
    random = np.random.default_rng(shard.number)
    words, logprobs = (
        {str(i): int(n) for i, n in enumerate(random.integers(1, 2000, bins))} for bins in (40, 50)
    )
    summary = ShardSummary(
        shard.number, shard.file_name + ".jsonl", TEXTS, TEXTS, 0, TEXTS, TEXTS * 20,
        hashlib.sha256(data).hexdigest(), None, cpu_kind(), "2.21.0",
        Statistics({"eos": 15_000, "length": 5_000}, {}, words, logprobs, 160.0),
    )  # fmt: skip
    Path(output.path(shard)).write_bytes(data)
    Path(output.directory, ".done", f"{shard.file_name}.json").write_bytes(summary.note())


def launcher(count: int) -> None:
    """What so many shards cost the launcher; printed as JSON, for `measured`."""
    import apache_beam as beam

    from textmill.pipeline.job.generate import Job, build

    rows: list[tuple[str, str]] = []
    base = resident()

    def tell(what: str, figure: str) -> None:
        rows.append((f"{count:,} shards: {what}", figure))

    def timed(what: str, work: Any) -> Any:
        started = time.process_time()
        result = work()
        tell(what, f"{time.process_time() - started:.2f} s of a core")
        return result

    shards = even(count)
    tell("the plan in memory", mib(resident() - base))
    with tempfile.TemporaryDirectory() as folder:
        output = Output(f"{folder}/out", Format(), columns_of({}, labelled=False))
        file = PromptFile("p.txt", count * 10**6, count * TEXTS, "0" * 64)
        planned = Plan((file,), shards, {}, (10**6,) * count, count * TEXTS)
        job = Job(model_dir=folder, fingerprint="0" * 64, settings=GenerationSettings(),
                  reading=AS_USUAL, plan=planned, output=output)  # fmt: skip

        def graph_of(done: Sequence[Any]) -> bytes:
            pipeline = beam.Pipeline(runner="FnApiRunner")
            build(pipeline, job, done)
            return pipeline.to_runner_api().SerializeToString()

        graph = timed("writing the graph", lambda: graph_of(()))
        tell("the graph that is submitted", mib(len(graph)))

        directory = RunDirectory(output, job.header(), resume=False)
        for shard in shards:
            note(shard, output, b"%d\n" % shard.number)
        timed("the progress's first look at all notes", directory.progress)
        timed("... and each one after it", directory.progress)
        before = resident()
        found = timed(
            "resume's check of notes and empty shards",
            lambda: directory.done(shards, machine=cpu_kind()),
        )
        assert len(found) == count
        tell("the summaries in memory", mib(resident() - before))
        graph = graph_of(found[:-1])
        tell("the graph that a resume submits, one shard missing", mib(len(graph)))
        timed(
            "the manifest",
            lambda: write_manifest(found, output=output, header=job.header(), rows=planned.rows),
        )
        tell("the manifest's size", mib(Path(output.directory, "manifest.json").stat().st_size))
        timed("removing the notes", lambda: directory.release(finished=True))
    import resource

    tell("the launcher's peak",
         mib(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))  # fmt: skip
    print(json.dumps(rows))


def resident() -> int:
    """Resident memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def mib(size: float) -> str:
    """Bytes as a person reads them."""
    return f"{size / 2**20:,.1f} MiB"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shards", type=int, nargs="+", default=[3_000, 15_000])
    parser.add_argument("--rows", type=int, default=200_000, help="to plan")
    parser.add_argument("--files", type=int, default=250, help="to check side by side")
    parser.add_argument("--launcher", type=int, metavar="SHARDS", help="only this, as JSON")
    args = parser.parse_args(argv)
    if args.launcher is not None:
        launcher(args.launcher)
    else:
        measured(args)


if __name__ == "__main__":
    main()
