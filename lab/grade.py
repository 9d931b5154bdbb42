"""For teachers: `python -m lab.grade FOLDER` checks all submissions in a folder.

A submission is FOLDER/NAME.py or FOLDER/NAME/exercises.py. Each runs in a process of its own, which
cannot read or write other files, start others, or reach the network; the checks run elsewhere, with
inputs drawn anew for each submission. What this system does not protect from is said at the start.
FOLDER-grades gets the tables, and each result when it is there; `--resume` goes on from those.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lab import assignment, tables
from lab.checks import EXERCISES
from lab.language import add_option, say
from lab.sandbox.run import FAILED, MEMORY_GIB, ROOT, Result, results, unprotected
from lab.tables import Grade, points, write
from textmill.model.errors import TextmillError
from textmill.model.visible import visible

_MOST_BYTES = 1 << 20  # of a submission


@dataclass(frozen=True)
class Submission:
    """A student's file.

    Attributes:
        file: where it is.
        fault: why it is not graded; empty if it is.
    """

    file: Path
    fault: str = ""


def submissions(folder: Path) -> dict[str, Submission]:
    """Finds the submissions by name, in alphabetical order.

    Raises:
        ValueError: two have the same name.
    """
    found: dict[str, Submission] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):  # of the system or of Python, not of a student
            continue
        if path.suffix == ".py":
            name, file = path.stem, path
        elif path.is_dir():
            name, file = path.name, path / "exercises.py"
        else:
            continue
        if name in found:
            raise ValueError(f"there are two submissions of {name}: {found[name].file} and {file}")
        found[name] = Submission(file, _fault(path, file))
    return dict(sorted(found.items()))


def _fault(path: Path, file: Path) -> str:
    """Says why a file is not taken: through a link, someone else's work would be read."""
    if path.is_symlink() or file.is_symlink():
        return f"{file.name} is a link, which is not followed"
    try:
        about = file.lstat()
    except OSError:
        return f"there is no {file.name}"
    if stat.S_ISDIR(about.st_mode):
        return f"{file.name} is a folder, not a file"
    if not stat.S_ISREG(about.st_mode) or about.st_size > _MOST_BYTES:
        return f"{file.name} is no file, or larger than 1 MiB"
    return ""


def grade(submission: Submission, *, seed: int, seconds: float, memory: float) -> Grade:
    """Checks one submission; what cannot be graded fails in all."""
    begin = time.monotonic()
    fault, graded = submission.fault, list[Result]()
    if not fault:
        try:
            graded = list(
                results(submission.file, list(EXERCISES), seed=seed, seconds=seconds, memory=memory)
            )
        except OSError as error:
            fault = f"the file cannot be read: {error.strerror}"
    if fault:
        what, hint = "the submission is refused", "hand in the file exercises.py itself"
        graded = [
            Result(name, FAILED, what, "a file", fault, hint, function)
            for name, exercise in EXERCISES.items() for function in exercise.checks
        ]  # fmt: skip
    return Grade(tuple(graded), round(time.monotonic() - begin, 1))


def _digest(submission: Submission, *, seconds: float, memory: float) -> str:
    """Tells whether a saved result is still that of the file, the checks and the settings."""
    found = hashlib.sha256(f"{seconds} {memory} {submission.fault}".encode(errors="replace"))
    lab = ROOT / "lab"
    for path in sorted(lab.rglob("*.py")):
        if path.name != "exercises.py":
            found.update(path.read_bytes())
    if not submission.fault:
        found.update(submission.file.read_bytes())
    return found.hexdigest()


def _saved(place: Path, digest: str) -> Grade | None:
    """Reads a result that an earlier run saved; None if there is none of just this file."""
    try:
        told = json.loads(place.read_text("utf-8"))
        if told["digest"] == digest:
            return Grade(tuple(Result(**each) for each in told["results"]), told["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _seed(secret: str, name: str) -> int:
    """Gives a submission's own seed, so that one that gets known is no help to the others."""
    text = f"{secret}\n{name}".encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def _remaining(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(minutes, 1)} min"


def grade_all(
    found: dict[str, Submission], out: Path, args: argparse.Namespace
) -> dict[str, Grade]:
    """Grades the submissions, and saves each result when it is there."""
    secret = secrets.token_hex(16) if args.seed is None else str(args.seed)
    limits = {"seconds": args.seconds, "memory": args.memory}
    graded: dict[str, Grade] = {}
    spent: list[float] = []
    for i, (name, submission) in enumerate(found.items(), start=1):
        digest = _digest(submission, **limits)
        place = out / "results" / f"{file_name(name)}.json"
        old = _saved(place, digest) if args.resume else None
        seed = _seed(secret, name)
        grade_ = old or grade(submission, seed=seed, **limits)
        graded[name] = grade_
        if old is None:
            spent.append(grade_.seconds)
            told = {
                "name": name, "digest": digest, "seed": seed, "seconds": grade_.seconds,
                "results": [vars(result) for result in grade_.results],
            }  # fmt: skip
            write(place, json.dumps(told, indent=1))
        rest = (len(found) - i) * sum(spent) / max(len(spent), 1)
        left = say(f", about {_remaining(rest)} left") if i < len(found) and old is None else ""
        again = say(", graded before") if old else ""
        fault = f" ({say(submission.fault)})" if submission.fault else ""
        line = say(f"{i} of {len(found)}  {name}: {points(grade_.results)}")
        print(visible(f"{line}{fault}{again}{left}"), flush=True)
    return graded


def warn() -> None:
    """Says what this system does not protect the teacher from, if there is anything."""
    if missing := unprotected():
        what = ", ".join(map(say, missing))
        print(
            say(
                f"this system does not protect you from: {what}; "
                "grade in a container instead (see lab/README.md)"
            ),
            file=sys.stderr,
        )


def file_name(name: str) -> str:
    """Makes a file's name of a submission's, whatever characters it has."""
    found = quote(os.fsencode(name), safe=" =+,@")
    return found if len(found) < 200 else hashlib.sha256(os.fsencode(name)).hexdigest()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; the exit status is 0 when all are graded."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    kinds, known = ", ".join(tables.FORMATS), ", ".join(assignment.KINDS)
    add("folder", type=Path, metavar="FOLDER")
    add("--write", nargs="+", choices=tables.FORMATS, default=["csv", "html"], metavar="FORMAT",
        help=f"tables: {kinds} (default: csv html)")  # fmt: skip
    add("--roster", type=Path, metavar="CSV",
        help="the table that Moodle or Canvas exports: who is who, for its own format")  # fmt: skip
    add("--resume", action="store_true",
        help="keep the results that are there, of files that did not change")  # fmt: skip
    add("--make", choices=assignment.KINDS, metavar="KIND",
        help=f"make an assignment in FOLDER instead, for {known}")  # fmt: skip
    add("--seed", type=int, help="of the inputs (default: drawn, and secret)")
    add("--seconds", type=float, default=60.0, metavar="N",
        help="for a function, 4 N if it makes a network (default: 60)")  # fmt: skip
    add("--memory", type=float, default=MEMORY_GIB, metavar="GIB",
        help="for a submission (default: %(default)g)")  # fmt: skip
    add_option(parser)
    args = parser.parse_args(argv)
    if args.make:
        try:
            for path in assignment.make(args.make, args.folder):
                print(path)
        except TextmillError as error:
            parser.error(say(str(error)))
        return 0
    if not args.folder.is_dir():
        parser.error(say(f"{args.folder} is no folder"))
    try:
        found = submissions(args.folder)
        roster = tables.read_roster(args.roster) if args.roster else []
        if roster and not any(tables.fits(kind, roster) for kind in args.write):
            raise ValueError(
                f"{args.roster} is no export in English of Moodle (column Grade) or Canvas "
                "(Student), for --write moodle or canvas; set that site to English, and export "
                "it again"
            )
    except (OSError, ValueError) as error:
        parser.error(say(str(error)))
    if not found:
        parser.error(say(f"{args.folder} holds neither NAME.py nor NAME/exercises.py"))
    warn()
    place = args.folder.resolve()
    out = place.with_name(f"{place.name}-grades")
    try:
        graded = grade_all(found, out, args)
    except KeyboardInterrupt:
        print(say("stopped; the same command with --resume goes on from here"), file=sys.stderr)
        return 130
    for kind in args.write:
        for path in tables.save(kind, graded, out, roster=roster, file_name=file_name):
            print(visible(str(path)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
