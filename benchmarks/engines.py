"""The same job on several engines, in turns: words a second, workers over one, engine over local.

    python benchmarks/engines.py MODEL --prompts headlines.txt --samples 8 \
        --engine Dask 1 "--runner=DaskRunner --dask_client_address=tcp://127.0.0.1:8786" \
        --engine Dask 2 "--runner=DaskRunner --dask_client_address=tcp://127.0.0.1:8787"

Each --engine is a name, the number of its workers and the flags after `--`, for a cluster that runs
already; the local runner with as many workers is added. A run with one worker gets the first half
of the prompts, so that all take about as long. The seconds are those of the whole command, with its
start. With --plan, `textmill plan` says before each run how long it will take. Prints two Markdown
tables: the runs, and medians and ratios.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from table import machine

COMMAND = [sys.executable, "-m", "textmill"]


def told_by(*arguments: str) -> dict[str, Any]:
    """What a command tells as JSON."""
    done = subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def one_run(
    args: argparse.Namespace, folder: Path, workers: int, flags: list[str]
) -> tuple[int, float, float | None]:
    """Runs the job; gives the words that were drawn, the seconds, and those that were planned."""
    lines = args.prompts.read_bytes().splitlines(keepends=True)
    prompts = folder / "prompts.txt"
    prompts.write_bytes(b"".join(lines[: len(lines) * workers // args.most]))
    job = [
        args.model, "--prompts", str(prompts), "--samples", str(args.samples),
        "--max-words", str(args.max_words), "--temperature", "0.8", "--json",
    ]  # fmt: skip
    planned = None
    if args.plan:
        elsewhere = ["--scratch", str(folder / "scratch"), "--", *flags] if flags else []
        plan = told_by("plan", *job, "--workers", str(workers), *elsewhere)
        planned = plan["workers"][0]["seconds"]
    where = ["--", *flags] if flags else ["--workers", str(workers)]
    told = told_by("generate", *job, "--out", str(folder / "out"), "--quiet", *where)
    return told["words"], told["seconds"], planned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--prompts", required=True, type=Path)
    parser.add_argument("--samples", default=8, type=int)
    parser.add_argument("--max-words", default=20, type=int)
    parser.add_argument("--rounds", default=1, type=int)
    parser.add_argument("--plan", action="store_true", help="plan each run, too")
    parser.add_argument("--work", default=tempfile.gettempdir(), type=Path)
    parser.add_argument(
        "--engine", nargs=3, action="append", required=True, metavar=("NAME", "WORKERS", "FLAGS")
    )
    args = parser.parse_args()
    given = [(name, int(count), shlex.split(flags)) for name, count, flags in args.engine]
    args.most = max(count for _, count, _ in given)
    counts = sorted({count for _, count, _ in given})
    engines = [*(("local", count, []) for count in counts), *given]
    print(f"{machine()}\n\n| engine | workers | round | words | seconds | words/s | planned |")
    print("|---|---|---|---|---|---|---|")
    found: dict[tuple[str, int], list[float]] = {}
    for number in range(1, args.rounds + 1):
        for name, workers, flags in engines:
            with tempfile.TemporaryDirectory(dir=args.work) as folder:
                words, seconds, planned = one_run(args, Path(folder), workers, flags)
            found.setdefault((name, workers), []).append(words / seconds)
            print(
                f"| {name} | {workers} | {number} | {words:,} | {seconds:.1f} "
                f"| {words / seconds:,.0f} "
                f"| {f'{planned:.0f} ({planned / seconds - 1:+.1%})' if planned else ''} |",
                flush=True,
            )
    print("\n| engine | workers | words/s, median | over one worker | over local |")
    print("|---|---|---|---|---|")
    medians = {key: statistics.median(values) for key, values in found.items()}
    for (name, workers), median in medians.items():
        ratios = []
        for other in ((name, 1), ("local", workers)):
            known = other in medians and other != (name, workers)
            ratios.append(f"{median / medians[other]:.2f}" if known else "")
        print(f"| {name} | {workers} | {median:,.0f} | {ratios[0]} | {ratios[1]} |")


if __name__ == "__main__":
    main()
