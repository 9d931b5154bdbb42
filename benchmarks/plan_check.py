"""What `textmill plan` says of a run, beside the run.

    python benchmarks/plan_check.py MODEL --prompts headlines.txt --samples 20 --workers 1 2

Prints a Markdown table. Planned and made one after the other, for each number of workers. With
--flags "--runner=..." both go to a cluster that runs already and has as many workers.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from bulk_job import COMMAND, Watched
from table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--samples", default=20, type=int)
    parser.add_argument("--max-words", default=20, type=int)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--flags", default="", help="flags of an engine")
    args = parser.parse_args()
    flags = shlex.split(args.flags)
    run = [
        args.model, "--prompts", args.prompts, "--samples", str(args.samples),
        "--max-words", str(args.max_words), "--temperature", "0.8", "--json",
    ]  # fmt: skip
    rows: list[tuple[str, str]] = []

    def row(what: str, planned: float, made: float, form: str = ",.0f") -> None:
        share = f"{planned / made - 1:+.1%}" if planned != made else "the same"
        rows.append((what, f"{planned:{form}} planned, {made:{form}} made: {share}"))

    for workers in args.workers:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out")
            elsewhere = ["--scratch", str(Path(folder, "scratch")), "--", *flags] if flags else []
            text = subprocess.run(
                [*COMMAND, "plan", *run, "--workers", str(workers), *elsewhere],
                check=True, stdout=subprocess.PIPE, text=True,
            ).stdout  # fmt: skip
            plan = json.loads(text)
            where = ["--", *flags] if flags else ["--workers", str(workers)]
            done = Watched([*COMMAND, "generate", *run, "--out", str(out), "--quiet", *where], out)
        made = json.loads(done.output)
        if not rows:
            for what in ("shards", "rows"):
                row(what, plan[what], made[what])
            row("texts", plan["texts"], made["records"])
            row("words", plan["words"], made["words"])
        row(f"seconds, {workers} worker(s)", plan["workers"][0]["seconds"], done.seconds)
        if not flags:  # workers elsewhere are no children of the command
            memory = plan["worker"]["memory_bytes"] / 2**20
            row(f"MiB of a worker, {workers} worker(s)", memory, done.worker)
    print_table(rows)


if __name__ == "__main__":
    sys.exit(main())
