"""What a generating worker costs: CPU seconds and memory, step by step, and over a whole job.

    python benchmarks/worker.py MODEL --prompts headlines.txt

Prints two Markdown tables. The first is of one process that makes the steps of a local worker one
after the other. The second is of the worker of `textmill generate --workers 1`, watched from
outside. Seconds are those of the processor, as other work on the machine changes them little.
Resident memory is what the system counts for the process. Most of what is not its own are pages of
libraries, which all workers of a machine share. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bulk_job import COMMAND, children
from table import machine

STEPS = """
import json, os, sys, time
started = 0.0
def step(what):
    global started
    with open("/proc/self/status") as file:
        kib = {line.split(":")[0]: line.split()[1] for line in file if line.endswith("kB\\n")}
    mib = [int(kib[name]) / 1024 for name in ("VmRSS", "RssAnon", "VmHWM")]
    print(json.dumps([what, time.process_time() - started, *mib]), flush=True)
    started = time.process_time()

path, model, words = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
step("Python")
import numpy
step("NumPy")
import logging
logging.disable(logging.CRITICAL)
from textmill.pipeline.engines.local_worker import harness
harness(buckets=False)
step("Beam's harness")
import textmill.pipeline.job.beam_steps
step("textmill's steps")
from textmill.model.tensorflow_setup import use_one_thread
use_one_thread()
step("TensorFlow")
from textmill.model.generation.generator import Generator
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
generator = Generator(load_model(model))
step("the model: a shard can begin")
lines = open(path, encoding="utf-8").read().splitlines()
prompts = [Prompt(f"p.txt:{i}", line) for i, line in enumerate(lines, 1)]
generator.model.vocabulary.encode_prompts(lines[:1])
step("the tokeniser's program")
settings = GenerationSettings(max_words=words, temperatures=(0.8,))
list(generator.generate(prompts[:500], settings))
step("500 texts, with the generator's programs")
import pyarrow.parquet
step("pyarrow, for Parquet only")
list(generator.generate(prompts, settings))
step(f"{len(prompts):,} texts")
"""


def seconds_of(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> dict[str, float]:
    """Memory of a process in MiB: resident now, its own part of it, the most that was resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith("kB")}
    return {name: int(found[name]) / 1024 for name in ("VmRSS", "RssAnon", "VmHWM")}


def watched(model: Path, prompts: Path, out: Path, words: int) -> list[tuple[str, str]]:
    """Rows about the worker of one job."""
    arguments = [
        *COMMAND, "generate", model, "--prompts", prompts, "--out", out, "--workers", 1,
        "--max-words", words, "--temperature", 0.8, "--json", "--quiet",
    ]  # fmt: skip
    begun = worker = None
    own = 0.0
    with subprocess.Popen(map(str, arguments), stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            time.sleep(0.02)
            for child in children(process.pid):
                try:
                    if "local_worker" not in Path(f"/proc/{child}/cmdline").read_text():
                        continue
                    worker = seconds_of(child), memory_of(child)
                except (OSError, KeyError):  # it has ended
                    continue
                own = max(own, worker[1]["RssAnon"])
                if begun is None and any(out.glob(".done/*")):
                    begun = worker[0]
        told = json.loads(process.stdout.read())  # type: ignore[union-attr]
    if begun is None or worker is None:
        raise SystemExit("the job ended before its worker could be looked at")
    seconds, memory = worker
    return [
        ("CPU seconds until the first shard began", f"{begun:.2f}"),
        (f"... until the last of {told['words']:,} words", f"{seconds:.1f}"),
        ("most that was resident", f"{memory['VmHWM']:,.0f} MiB"),
        ("... of its own", f"{own:,.0f} MiB"),
        ("resident at the end", f"{memory['VmRSS']:,.0f} MiB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--prompts", required=True, type=Path)
    parser.add_argument("--max-words", type=int, default=20)
    args = parser.parse_args()
    steps = subprocess.run(
        [sys.executable, "-P", "-c", STEPS, args.prompts, args.model, str(args.max_words)],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip
    print(f"{machine()}\n")
    print("| step | CPU seconds | resident, MiB | its own, MiB | most so far, MiB |")
    print("|---|---|---|---|---|")
    for line in steps.splitlines():
        what, seconds, *mib = json.loads(line)
        print(f"| {what} | {seconds:.2f} | " + " | ".join(f"{each:,.0f}" for each in mib) + " |")
    print("\n| a job's worker | figure |\n|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for what, figure in watched(args.model, args.prompts, Path(name) / "out", args.max_words):
            print(f"| {what} | {figure} |")


if __name__ == "__main__":
    main()
