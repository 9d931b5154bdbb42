"""Measures what reading a corpus costs: one line of N megabytes beside the same text in paragraphs.

    python benchmarks/long_line.py [--megabytes N] [--times N]

Reads and tokenises each in a process of its own, in turns. Prints medians: seconds of the
processor, words of a second, the most memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SENTENCE = "The old cat number {} sat on the mat, and said: “Stop it!” Then 3.14 dogs ran. "
ENDS = {"one line": "", "paragraphs": "\n\n"}


def write(path: Path, end: str, size: int) -> None:
    """Writes a text of `size` bytes."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(size // len(SENTENCE.encode())):
            file.write(SENTENCE.format(number % 5000) + end)


def measure(path: str) -> None:
    """Reads and tokenises a corpus; prints what that took."""
    from textmill.model.text.corpus import read_corpus
    from textmill.model.text.split import tokenized_part

    started = time.process_time()
    part = tokenized_part(read_corpus([path], mode="stream"), level="word", mode="stream")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps([time.process_time() - started, part.tokens, memory]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure)
        return
    found: dict[str, list[list[float]]] = {name: [] for name in ENDS}
    with tempfile.TemporaryDirectory() as folder:
        for name, end in ENDS.items():
            write(Path(folder, f"{name}.txt"), end, args.megabytes * 1_000_000)
        for _ in range(args.times):
            for name, rows in found.items():
                command = [sys.executable, __file__, "--measure", str(Path(folder, f"{name}.txt"))]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                rows.append(json.loads(done.stdout.splitlines()[-1]))
    for name, rows in found.items():
        seconds, words, memory = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:12} {seconds:6.1f} s  {words / seconds:10,.0f} words/s  {memory:5.2f} GB")


if __name__ == "__main__":
    main()
