"""A run of a billion texts: simulated, and what of it can be measured here.

    python benchmarks/scaling.py simulate --out docs
    python benchmarks/scaling.py measure --shards 3000 15000

`simulate` draws the pictures of docs/scaling.md and prints its tables: a discrete-event simulation
of workers that take shards from one queue, are slow, are lost and are replaced. `measure` makes the
notes, files and manifest of many shards, with nothing in them, and says what they cost the
launcher, in seconds of a core: waiting for the disk is not in them. What a resume gains by reading
side by side is told in seconds of a clock.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import math
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DASHES = ("-", "--", "-.", ":")
SHARD_COST = 1.0  # seconds besides the words: reading, encoding, five requests for each file
SPREAD = 0.1  # of shards' seconds


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Workers that take shards from one queue.

    Attributes:
        workers: how many. start: seconds until one has a shard in hand, at first and when replaced.
        lost: workers lost in an hour, for each worker; a new one is started in its place.
        slow: share of the workers that take `slowness` times as long.
    """

    workers: int
    start: float = 0.0
    lost: float = 0.0
    slow: float = 0.0
    slowness: float = 3.0


@dataclass(frozen=True)
class Outcome:
    """A simulated run.

    Attributes:
        seconds: from the workers' start to the last shard. done: shards, in the order they ended.
        lost: shards whose worker was lost. wasted: seconds spent on those.
        spans: start and end of every attempt, [attempts, 2].
    """

    seconds: float
    done: tuple[int, ...]
    lost: int
    wasted: float
    spans: np.ndarray


def simulate(seconds: Sequence[float], cluster: Cluster, *, seed: int = 0) -> Outcome:
    """Runs shards of so many seconds each; those of a lost worker go to the end of the queue."""
    random = np.random.default_rng(seed)
    speed = np.where(random.random(cluster.workers) < cluster.slow, cluster.slowness, 1.0)

    def life() -> float:
        return random.exponential(3600 / cluster.lost) if cluster.lost else math.inf

    dies = [cluster.start + life() for _ in range(cluster.workers)]
    queue, idle = deque(range(len(seconds))), []
    # When what happens to which worker: it is ready, or its shard is done or lost.
    events = [(cluster.start, i, i, -1, True) for i in range(cluster.workers)]
    order, now = cluster.workers, 0.0
    done: list[int] = []
    spans: list[tuple[float, float]] = []
    wasted = 0.0

    def give(worker: int) -> None:
        nonlocal order
        if dies[worker] <= now:  # lost and replaced while there was nothing to do
            dies[worker] = now + life()
        shard = queue.popleft()
        end = now + seconds[shard] * speed[worker]
        whole = end <= dies[worker]
        end = end if whole else dies[worker]
        spans.append((now, end))
        heapq.heappush(events, (end, order, worker, shard, whole))
        order += 1
        if not whole:
            nonlocal wasted
            wasted += end - now

    while len(done) < len(seconds):
        now, _, worker, shard, whole = heapq.heappop(events)
        if not whole:
            queue.append(shard)
            dies[worker] = now + cluster.start + life()
            heapq.heappush(events, (now + cluster.start, order, worker, -1, True))
            order += 1
            if idle:
                give(idle.pop())
            continue
        if shard >= 0:
            done.append(shard)
        if queue:
            give(worker)
        else:
            idle.append(worker)
    return Outcome(now, tuple(done), len(spans) - len(done), wasted, np.array(spans))


def shards_of(work: float, seconds: float, *, seed: int = 0) -> np.ndarray:
    """Seconds of the shards that so many seconds of work are cut into, with their fixed cost."""
    count = max(1, round(work / seconds))
    sigma = math.sqrt(math.log1p(SPREAD**2))
    factors = np.random.default_rng(seed).lognormal(-(sigma**2) / 2, sigma, count)
    return work / count * factors + SHARD_COST


def waste(work: float, outcome: Outcome, workers: int) -> float:
    """Worker time paid beyond the work, as a share of it."""
    return outcome.seconds * workers / work - 1


# -- pictures --------------------------------------------------------------------------------------

SIZES = (10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600)
RATES = (0.0, 0.05, 0.2, 1.0)


def _axes() -> Any:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "textmill", "font.size": 11, "axes.grid": True,
         "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False}
    )  # fmt: skip
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(7, 4), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    figure.clf()


def sizes_and_losses(work: float, workers: int, start: float, out: Path) -> list[tuple[str, str]]:
    """Waste by a shard's seconds and the rate of lost workers: a picture and rows of a table."""
    figure, axes = _axes()
    rows = []
    for rate, colour, dash in zip(RATES, COLOURS, DASHES, strict=True):
        found = []
        for size in SIZES:
            cluster = Cluster(workers=workers, start=start, lost=rate)
            outcome = simulate(shards_of(work, size).tolist(), cluster)
            found.append(100 * waste(work, outcome, workers))
            if size in (10, 60, 180, 300, 1800):
                rows.append(
                    (
                        f"shards of {size:,} s, {rate:g} of the workers lost an hour",
                        f"{found[-1]:.1f} % waste, {outcome.lost:,} shards lost, "
                        f"{outcome.seconds / 3600:.2f} h",
                    )
                )
        axes.plot(SIZES, found, dash, color=colour, marker="o", markersize=4,
                  label=f"{rate:g} of the workers lost an hour")  # fmt: skip
    axes.axvspan(60, 300, color="#999999", alpha=0.2, label="1 to 5 minutes")
    axes.set(xscale="log", ylim=(0, 60), xlabel="seconds of a shard", ylabel="waste, % of the work")
    axes.set_xticks([10, 30, 60, 180, 300, 600, 1800, 3600])
    axes.set_xticklabels(["10", "30", "60", "180", "300", "600", "1800", "3600"])
    axes.minorticks_off()
    axes.legend()
    _save(figure, out / "scaling-shards.svg")
    return rows


def stragglers(work: float, workers: int, start: float, out: Path) -> list[tuple[str, str]]:
    """Busy workers near the end, some of them slow: a picture and rows of a table."""
    figure, axes = _axes()
    rows = []
    for size, colour, dash in zip((30, 180, 1800), COLOURS, DASHES, strict=False):
        cluster = Cluster(workers=workers, start=start, slow=0.02, slowness=3.0)
        outcome = simulate(shards_of(work, size).tolist(), cluster)
        begins, ends = np.sort(outcome.spans[:, 0]), np.sort(outcome.spans[:, 1])
        times = np.linspace(0, outcome.seconds, 2000)
        busy = np.searchsorted(begins, times, "right") - np.searchsorted(ends, times, "right")
        axes.plot(times / 3600, busy, dash, color=colour, label=f"shards of {size:,} s")
        full = float(ends[max(len(ends) - workers, 0)])
        rows.append(
            (
                f"shards of {size:,} s, 2 % of the workers three times as slow",
                f"{outcome.seconds / 3600:.2f} h, of them {(outcome.seconds - full) / 60:.1f} min "
                f"with idle workers; {100 * waste(work, outcome, workers):.1f} % waste",
            )
        )
    axes.set(xlabel="hours since the start", ylabel="busy workers", ylim=(0, workers * 1.05))
    axes.legend(loc="lower left")
    _save(figure, out / "scaling-stragglers.svg")
    return rows


def more_workers(work: float, start: float, size: float, out: Path) -> list[tuple[str, str]]:
    """Hours by the number of workers: a picture and rows of a table."""
    figure, axes = _axes()
    rows, hours = [], []
    numbers = (10, 30, 100, 300, 1000, 3000, 10_000)
    shards = shards_of(work, size).tolist()
    for workers in numbers:
        cluster = Cluster(workers=workers, start=start, lost=0.05, slow=0.02)
        outcome = simulate(shards, cluster)
        hours.append(outcome.seconds / 3600)
        rows.append(
            (
                f"{workers:,} workers, shards of {size:,.0f} s, 0.05 lost an hour, 2 % slow",
                f"{hours[-1]:.2f} h, {100 * waste(work, outcome, workers):.1f} % waste",
            )
        )
    axes.plot(numbers, hours, "-", color=COLOURS[0], marker="o", label="simulated")
    ideal = [work / 3600 / n for n in numbers]
    axes.plot(numbers, ideal, "--", color=COLOURS[1], label="work over workers")
    axes.set(xscale="log", yscale="log", xlabel="workers", ylabel="hours")
    axes.legend()
    _save(figure, out / "scaling-workers.svg")
    return rows


def simulated(args: argparse.Namespace) -> None:
    work = args.texts * args.text_seconds
    args.out.mkdir(parents=True, exist_ok=True)
    rows = [
        (
            "the work",
            f"{args.texts:,.0f} texts of {1000 * args.text_seconds:g} ms: {work / 3600:,.0f} hours "
            f"of one worker; {args.workers:,} workers, {args.start:g} s to start one, "
            f"{SHARD_COST:g} s more for each shard",
        ),
        *sizes_and_losses(work, args.workers, args.start, args.out),
        *stragglers(work, args.workers, args.start, args.out),
        *more_workers(work, args.start, args.shard_seconds, args.out),
    ]
    print_table(rows)


# -- measured --------------------------------------------------------------------------------------


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
        command = [sys.executable, __file__, "launcher", str(count)]
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
    Path(output.directory, ".done", f"{shard.file_name}.json").write_text(
        json.dumps(asdict(summary)) + "\n"
    )


def launcher(args: argparse.Namespace) -> None:
    """What so many shards cost the launcher; printed as JSON, for `measured`."""
    import apache_beam as beam

    from textmill.pipeline.job.generate import Job, build

    count, rows, base = args.count, [], resident()

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
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("simulate")
    one.add_argument("--out", type=Path, default=Path("docs"))
    one.add_argument("--texts", type=float, default=1e9)
    one.add_argument("--text-seconds", type=float, default=0.008, help="of one worker")
    one.add_argument("--workers", type=int, default=1000)
    one.add_argument("--start", type=float, default=60.0, help="seconds to start a worker")
    one.add_argument("--shard-seconds", type=float, default=160.0, help="where workers vary")
    one.set_defaults(run=simulated)
    two = commands.add_parser("measure")
    two.add_argument("--shards", type=int, nargs="+", default=[3_000, 15_000])
    two.add_argument("--rows", type=int, default=200_000, help="to plan")
    two.add_argument("--files", type=int, default=250, help="to check side by side")
    two.set_defaults(run=measured)
    three = commands.add_parser("launcher")
    three.add_argument("count", type=int)
    three.set_defaults(run=launcher)
    args = parser.parse_args(argv)
    args.run(args)


if __name__ == "__main__":
    main()
