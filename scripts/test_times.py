"""The table of docs/contributing.md: how long each file of tests takes.

    make test PYTEST_FLAGS=--junitxml=times.xml
    python scripts/test_times.py times.xml

Seconds are those of the tests and their fixtures, added up over all processes.
"""

from __future__ import annotations

import sys
from collections import Counter
from xml.etree import ElementTree

LEAST = 3.0  # seconds; files that take less are one row


def main(path: str) -> None:
    seconds: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for case in ElementTree.parse(path).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        seconds[file] += float(case.get("time", 0))
        tests[file] += 1
    shown = [file for file, taken in seconds.most_common() if taken >= LEAST]
    others = [file for file in seconds if file not in shown]
    print("| file | tests | seconds |\n|---|---|---|")
    for file in shown:
        print(f"| {file} | {tests[file]} | {seconds[file]:.0f} |")
    print(
        f"| {len(others)} other files | {sum(tests[f] for f in others)} | "
        f"{sum(seconds[f] for f in others):.0f} |"
    )
    print(f"| all | {tests.total()} | {seconds.total():.0f} |")


if __name__ == "__main__":
    main(sys.argv[1])
