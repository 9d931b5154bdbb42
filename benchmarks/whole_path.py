"""Speed, memory and quality of the whole path: help, train, evaluate, generate, demo.

    python benchmarks/whole_path.py --book alice.txt --prompts headlines.txt --minutes 5

Prints one Markdown table. Each command runs as a user would run it, in a process of its own; peak
memory is the largest of any one process, workers included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from table import print_table

COMMAND = [sys.executable, "-m", "textmill"]


def run(*arguments: object) -> tuple[float, str, float]:
    """Seconds, standard output, and the peak memory in GiB of this and all children before it."""
    started = time.monotonic()
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return seconds, done.stdout, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--book", required=True, type=Path)
    parser.add_argument("--prompts", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--max-words", type=int, default=12)
    args = parser.parse_args()

    rows: list[tuple[str, str]] = []
    helps = [run("--help")[0] for _ in range(7)]
    rows.append(("`textmill --help`, median of 7", f"{median(helps):.2f} s"))
    with tempfile.TemporaryDirectory() as folder:
        model, out = Path(folder, "model"), Path(folder, "out")
        seconds, text, peak = run(
            "train", args.book, "--out", model, "--minutes", args.minutes, "--json", "--quiet"
        )
        metrics = json.loads(text)
        rows.append((f"train {args.book.name}, --minutes {args.minutes:g}", f"{seconds:.0f} s"))
        rows.append(("... words trained on a second", f"{metrics['words_a_second']:,}"))
        rows.append(("... peak memory of a process", f"{peak:.2f} GiB"))
        _, text, _ = run("evaluate", model, args.book, "--baselines", "--json")
        found = json.loads(text)
        ours, theirs = found["perplexity"], found["kneser_ney_5gram_perplexity"]
        rows.append(("perplexity on the last 5 %", f"{ours:.1f}"))
        rows.append(
            ("Kneser-Ney 5-gram / unigram", f"{theirs:.1f} / {found['unigram_perplexity']}")
        )
        rows.append(("ratio to Kneser-Ney", f"{ours / theirs:.2f}"))
        rows.append(("unknown words", f"{found['unknown_rate']:.1%}"))
        for workers in (os.cpu_count() or 1, 1):
            place = f"{out}-{workers}"
            seconds, text, peak = run(
                "generate", model, "--prompts", args.prompts, "--out", place, "--json", "--quiet",
                "--temperature", 0.8, "--max-words", args.max_words, "--workers", workers,
            )  # fmt: skip
            counts = json.loads(text)
            what = (
                f"generate for {counts['rows']:,} rows, {args.max_words} words, {workers} worker(s)"
            )
            rate = counts["words"] / seconds
            rows.append((what, f"{seconds:.1f} s, {rate:,.0f} words/s with start"))
            rows.append(("... peak memory of a process", f"{peak:.2f} GiB (training's at least)"))
        seconds, _, peak = run("demo", "--out", Path(folder, "demo"), "--quiet")
        rows.append(("`textmill demo`", f"{seconds:.0f} s"))
    print_table(rows)


if __name__ == "__main__":
    main()
