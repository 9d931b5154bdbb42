"""Measures waits: `import textmill`, `textmill --help`, the first text of `textmill sample`.

    python benchmarks/first_text.py MODEL [--times N]

Prints the median of N runs of each, taken in turns, in seconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

WAITS = {
    "import textmill": ["-c", "import textmill"],
    "python, nothing imported": ["-c", ""],
    "textmill --help": ["-m", "textmill", "--help"],
    "textmill sample, to its first text": ["-m", "textmill", "sample", "MODEL", "The", "-t", "0.7"],
}


def wait(arguments: list[str]) -> float:
    """Seconds until a command's first output, or its end."""
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in WAITS}
    for _ in range(args.times):
        for name, arguments in WAITS.items():
            found[name].append(wait([args.model if a == "MODEL" else a for a in arguments]))
    for name, seconds in found.items():
        print(f"{name:36} {statistics.median(seconds):6.2f} s")


if __name__ == "__main__":
    main()
