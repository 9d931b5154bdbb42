"""Runs the table: `python -m tests.lab.mutants`.

Each mutant is checked on its own exercise, those that need TensorFlow last. The exit status is 1 if
fewer than 99 % of the wrong ones are caught or of the hints are apt, or a right one fails.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from multiprocessing.pool import Pool
from pathlib import Path

import lab

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest does

from mutants import warm
from mutants.mutant import Mutant
from mutants.score import blamed, fault, line, score, table
from mutants.table import Verdict, judge, mutants, needs_tensorflow


def fingerprint(mutant: Mutant) -> str:
    """Changes with the mutant, with what is asked of its hint, and with the lab's own code."""
    whole = hashlib.sha256(f"{mutant.source}\0{mutant.hint}\0{mutant.shown}".encode())
    for file in sorted(Path(lab.__file__).parent.rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:16]


def known(file: Path) -> dict[tuple[str, int, str], Verdict]:
    """Verdicts of an earlier run; a line that was cut off is left out."""
    found = {}
    for text in file.read_text("utf-8").splitlines() if file.is_file() else []:
        try:
            row = json.loads(text)
        except ValueError:
            continue
        mark = row.pop("mark")
        verdict = Verdict(**row)
        found[verdict.id, verdict.seed, mark] = verdict
    return found


def chosen(patterns: Sequence[str], *, light: bool) -> list[Mutant]:
    """Mutants whose exercise or id is asked for; all if nothing is."""
    found = [
        mutant
        for mutant in mutants()
        if not patterns
        or any(p == mutant.exercise or fnmatch.fnmatch(mutant.id, p) for p in patterns)
    ]
    return [mutant for mutant in found if not (light and needs_tensorflow(mutant))]


def write_whole(file: Path, text: str) -> None:
    """Writes a file that is there whole or not at all."""
    part = file.with_name(f".{file.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; exit status 1 below the bars."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab.mutants",
        description="Measures the lab's checks with right and wrong code.",
    )
    parser.add_argument("which", nargs="*", metavar="EXERCISE|ID",
                        help="exercises, or ids with * for anything (default: all)")  # fmt: skip
    parser.add_argument("--light", action="store_true", help="without those that need TensorFlow")
    parser.add_argument("--list", action="store_true", help="shows the ids, and runs nothing")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], metavar="SEED",
                        help="of the checks' inputs (default: 0)")  # fmt: skip
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="checks at the same time (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N",
                        help="for one exercise (default: 60)")  # fmt: skip
    parser.add_argument("--results", type=Path, metavar="FILE",
                        help="verdicts, a line each; an ended run goes on there")  # fmt: skip
    parser.add_argument("--report", type=Path, metavar="FILE",
                        help="the table and the faults, as Markdown")  # fmt: skip
    args = parser.parse_args(argv)
    if args.processes < 1:
        parser.error("--processes has to be at least 1")
    asked = chosen(args.which, light=args.light)
    if not asked:
        parser.error(f"no mutant is called {' or '.join(args.which)}; --list shows all")
    if args.list:
        for mutant in asked:
            print(f"{mutant.exercise}  {'right' if mutant.right else 'wrong'}  {mutant.id}")
        return 0
    verdicts = run(
        asked, args.seeds, processes=args.processes, seconds=args.seconds, file=args.results
    )
    faults = [line(each) for each in verdicts if fault(each)]
    print("\n".join(["", *faults, "", blamed(verdicts) + table(verdicts)]))
    if args.report is not None:
        listed = "".join(f"- {each}\n" for each in faults)
        write_whole(
            args.report,
            f"# Mutants of the lab's solution\n\n{table(verdicts)}\n{listed}\n{blamed(verdicts)}",
        )
    return 0 if score(verdicts).enough else 1


def run(
    asked: Sequence[Mutant],
    seeds: Sequence[int],
    *,
    processes: int,
    seconds: float,
    file: Path | None,
) -> list[Verdict]:
    """Judges mutants, and tells of each that did not get its verdict.

    Args:
        asked: the mutants, in the order in which they begin.
        seeds: of the checks' inputs.
        processes: checks at the same time.
        seconds: for one exercise.
        file: verdicts that are known already, to which the others are added; None for none.

    Returns:
        The verdicts, in the order of mutants and seeds.
    """

    @cache
    def forks() -> Pool:
        return warm.pool(processes)

    def judged(mutant: Mutant, seed: int) -> Verdict:
        if needs_tensorflow(mutant):
            with making:
                workers = forks()
            found = workers.apply_async(warm.judge_warm, (mutant, seed, seconds))
            return found.get(2 * warm.TIMES * seconds)  # a fork that was killed gives nothing
        return judge(mutant, seed=seed, seconds=seconds)

    done = known(file) if file is not None else {}
    jobs = [(mutant, seed, fingerprint(mutant)) for mutant in asked for seed in seeds]
    lock, making, started, count = threading.Lock(), threading.Lock(), time.monotonic(), 0

    def one(job: tuple[Mutant, int, str]) -> Verdict:
        nonlocal count
        mutant, seed, mark = job
        verdict = done.get((mutant.id, seed, mark))
        fresh = verdict is None
        if verdict is None:
            verdict = judged(mutant, seed)
        with lock:
            count += 1
            if fresh and file is not None:
                with file.open("a", encoding="utf-8") as out:
                    out.write(json.dumps({**vars(verdict), "mark": mark}) + "\n")
            if fresh and (fault(verdict) or count % 50 == 0):
                taken = time.monotonic() - started
                print(
                    f"{count} of {len(jobs)}, {taken:.0f} s  {fault(verdict)}  {verdict.id}",
                    flush=True,
                )
        return verdict

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(one, jobs))


if __name__ == "__main__":
    sys.exit(main())
