"""Speed and memory of a bulk job: planning, one and two workers, few and many prompts.

    python benchmarks/bulk_job.py MODEL --prompts headlines.txt --minutes 5
        [--parts memory planning speed]

Prints one Markdown table. Each part runs in processes of its own. The bare generator is one process
with one thread that is given the same prompts with no Beam, files or formats around it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from table import print_table

from textmill.model.settings import GenerationSettings
from textmill.pipeline.prompts.planning import plan

COMMAND = [sys.executable, "-m", "textmill"]
BARE = """
import json, sys, time
from textmill.model.generation.generator import Generator
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.tensorflow_setup import use_one_thread
path, model, samples, words = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
use_one_thread()
generator = Generator(load_model(model))
settings = GenerationSettings(samples=samples, max_words=words, temperatures=(0.8,))
lines = open(path, encoding="utf-8").read().splitlines()
prompts = [Prompt(f"p.txt:{i}", line) for i, line in enumerate(lines, 1)]
list(generator.generate(prompts[:64], settings))  # compiles
started = time.monotonic()
count = sum(g.words for g in generator.generate(prompts, settings))
print(json.dumps([count, time.monotonic() - started]))
"""

PLANS = """
import sys, time
from textmill.model.settings import GenerationSettings
from textmill.pipeline.prompts.planning import plan
started = time.monotonic()
planned = plan([sys.argv[1]], GenerationSettings(max_words=4))
assert planned.rows == int(sys.argv[2])
print(len(planned.shards), time.monotonic() - started)
"""
PARTS = ("memory", "planning", "speed")


class Watched:
    """A command, the peak memory of its processes, and when its workers began.

    Attributes:
        seconds: it took. start: seconds until the first worker had a shard in hand.
        launcher, worker: peak resident memory in MiB, of the largest worker.
        output: standard output.
    """

    def __init__(self, arguments: list[str], out: Path):
        self.start, self.launcher, self.worker = 0.0, 0.0, 0.0
        started = time.monotonic()
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                self.launcher = max(self.launcher, peak_mib(process.pid))
                for child in children(process.pid):
                    self.worker = max(self.worker, peak_mib(child))
                if not self.start and any(out.glob(".done/*")):
                    self.start = time.monotonic() - started

        thread = threading.Thread(target=watch)
        thread.start()
        self.output = process.communicate()[0]
        self.seconds = time.monotonic() - started
        over.set()
        thread.join()
        if process.returncode:
            raise SystemExit(f"{arguments} ended with {process.returncode}")


def children(pid: int) -> list[int]:
    """Processes that another started, from whichever of its threads."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found


def peak_mib(pid: int) -> float:
    """Peak resident memory of a process so far, 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def generate(
    model: Path, prompts: Path, out: Path, *, workers: int, samples: int, words: int
) -> tuple[Watched, int]:
    """A run of the command; also the words it wrote."""
    done = Watched(
        [
            *COMMAND, "generate", str(model), "--prompts", str(prompts), "--out", str(out),
            "--workers", str(workers), "--samples", str(samples), "--max-words", str(words),
            "--temperature", "0.8", "--json", "--quiet",
        ],
        out,
    )  # fmt: skip
    return done, json.loads(done.output)["words"]


def memory_rows(model: Path, folder: Path) -> list[tuple[str, str]]:
    """Peak memory of many prompts beside that of few, and the time of planning."""
    rows, peaks = [], []
    for count in (10_000, 1_000_000):
        prompts = folder / f"{count}.txt"
        prompts.write_text("".join(f"the {i} was\n" for i in range(count)))
        if count > 10_000:
            started = time.monotonic()
            shards = len(plan([str(prompts)], GenerationSettings(max_words=4)).shards)
            seconds = time.monotonic() - started
            rows.append((f"planning {count:,} lines, {shards} shards", f"{seconds:.2f} s"))
        done, _ = generate(model, prompts, folder / f"o{count}", workers=2, samples=1, words=4)
        peaks.append((done.launcher, done.worker))
        rows.append(
            (
                f"{count:,} prompts, 4 words each, 2 workers",
                f"{done.seconds:.0f} s; peak {done.launcher:,.0f} MiB launcher, "
                f"{done.worker:,.0f} MiB worker",
            )
        )
    ratios = [many / few for few, many in zip(*peaks, strict=True)]
    rows.append(("... ratio of peaks", " / ".join(f"{ratio:.3f}" for ratio in ratios)))
    return rows


def parquet_rows(folder: Path) -> list[tuple[str, str]]:
    """Time and peak memory of planning few and many rows of Parquet."""
    import pyarrow
    import pyarrow.parquet

    rows = []
    for count in (10**6, 10**8):
        path, group = folder / f"{count}.parquet", pyarrow.table({"prompt": ["the old"] * 10**6})
        with pyarrow.parquet.ParquetWriter(path, group.schema) as file:
            for _ in range(count // 10**6):
                file.write_table(group)
        done = Watched([sys.executable, "-c", PLANS, str(path), str(count)], folder)
        shards, seconds = done.output.split()
        rows.append(
            (
                f"planning {count:,} rows of Parquet, {shards} shards",
                f"{float(seconds):.1f} s; peak {done.launcher:,.0f} MiB",
            )
        )
    return rows


def speed_rows(
    model: Path, prompts: Path, folder: Path, minutes: float, words: int
) -> list[tuple[str, str]]:
    """Words a second of the bare generator, of one worker and of two."""

    def bare(samples: int, path: Path = prompts) -> tuple[int, float]:
        command = [sys.executable, "-c", BARE, path, model, samples, words]
        text = subprocess.run(
            [str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        return tuple(json.loads(text))  # type: ignore[return-value]

    # Every sample after the first costs the same; the first costs the reading of the prompts too.
    _, first = bare(1)
    _, third = bare(3)
    samples = 1 + max(1, round((minutes * 60 - first) / (third - first) * 2))
    count, seconds = bare(samples)
    alone = count / seconds
    rows = [(f"bare generator, {count:,} words", f"{seconds:.0f} s, {alone:,.0f} words/s")]
    rates = []
    for workers in (1, 2):
        done, drawn = generate(
            model, prompts, folder / f"w{workers}", workers=workers, samples=samples, words=words
        )
        assert drawn > 0
        rates.append(drawn / (done.seconds - done.start))
        rows.append(
            (
                f"`textmill generate`, {workers} worker(s), {drawn:,} words",
                f"{done.seconds:.0f} s, of them {done.start:.1f} s start; "
                f"{rates[-1]:,.0f} words/s after it",
            )
        )
    rows.append(("one worker over the bare generator", f"{rates[0] / alone:.2f}"))
    rows.append(("two workers over one", f"{rates[1] / rates[0]:.2f}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--tiny", type=Path, help="model for the memory (default: the same)")
    parser.add_argument("--prompts", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=5.0, help="of the bare generator")
    parser.add_argument("--max-words", type=int, default=20)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows: list[tuple[str, str]] = []
        if "memory" in args.parts:
            rows += memory_rows(args.tiny or args.model, folder)
        if "planning" in args.parts:
            rows += parquet_rows(folder)
        if "speed" in args.parts:
            rows += speed_rows(args.model, args.prompts, folder, args.minutes, args.max_words)
    print_table(rows)


if __name__ == "__main__":
    main()
