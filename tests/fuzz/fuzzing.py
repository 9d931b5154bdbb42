"""Runs cases by their numbers, collects what failed, and tells how each is repeated alone."""

from __future__ import annotations

import os
import re
import shutil
import time
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from guard import Broken, refused, watched

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "fuzz"
TOLD: list[str] = []  # a row for each kind that was run, for the end
_MOST_SHOWN = 12  # faults of a kind


class Kind(ABC):
    """A kind of input.

    `name` stands in the names of its cases. `prepare` makes once what all cases need. `make`
    writes the input of a case into a folder, by the given random numbers alone, and gives what
    `check` has to know. `check` lets the product have it, and raises `Broken` if it breaks a
    promise; errors of other kinds are looked at by the caller.
    """

    name: str

    def prepare(self, folder: Path) -> None:
        """Makes what all cases share; where they share nothing, nothing."""
        return

    @abstractmethod
    def make(self, random: Random, folder: Path) -> Any:
        """Writes a case's input."""

    @abstractmethod
    def check(self, case: Any) -> str:
        """Hands the input to the product; gives a word for how it ended."""


@dataclass
class Failure:
    """A case that broke a promise: its name, what it broke, and how many bytes its input has."""

    case: str
    seed: str
    what: str
    where: str
    bytes: int

    @property
    def again(self) -> str:
        """The command that repeats it alone."""
        return f"FUZZ_SEED={self.seed} FUZZ_CASE={self.case} make fuzz"


@dataclass
class Told:
    """How the cases of a kind went: how many ended in what way, and for each fault its smallest."""

    name: str
    ends: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    faults: dict[str, Failure] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)

    def add(self, failure: Failure) -> bool:
        """Notes a failure; tells whether it is the smallest of its kind so far.

        What stands behind ` | ` in its message are details of the case.
        """
        same = re.sub(r"\d+|'[^']*'|\"[^\"]*\"|/\S+", "#", failure.what.partition(" | ")[0])
        same = f"{same[:100]} at {failure.where}"
        self.times[same] += 1
        known = self.faults.get(same)
        if known is None or failure.bytes < known.bytes:
            self.faults[same] = failure
            return True
        return False

    @property
    def cases(self) -> int:
        """Number of cases."""
        return sum(self.ends.values())

    def row(self) -> str:
        """A line of the table of all kinds."""
        rate = self.cases / max(self.seconds, 1e-9)
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.most_common())
        return f"| {self.name} | {self.cases} | {rate:.1f} | {len(self.faults)} | {ends} |"

    def summary(self) -> str:
        """What failed, the most frequent fault first."""
        lines = [f"{len(self.faults)} faults in {self.cases} cases of {self.name}"]
        for same, count in self.times.most_common(_MOST_SHOWN):
            failure = self.faults[same]
            lines += [
                f"- {count} times: {failure.what}",
                f"  at {failure.where}; smallest input, of {failure.bytes} bytes: "
                f"build/fuzz/{_file_name(failure.case, failure.seed)}",
                f"  {failure.again}",
            ]
        if len(self.faults) > _MOST_SHOWN:
            lines.append(f"- and {len(self.faults) - _MOST_SHOWN} faults more")
        return "\n".join(lines)


def _file_name(case: str, seed: str) -> str:
    return f"{case.replace(':', '-')}-seed-{seed}"


def run(
    kind: Kind,
    folder: Path,
    *,
    seed: str,
    numbers: Iterator[int],
    until: float = float("inf"),
) -> Told:
    """Runs the cases of a kind.

    Args:
        folder: an empty folder; each case has a folder of its own in it.
        seed: with a case's number it makes the case.
        numbers: the numbers of the cases.
        until: the moment of `time.monotonic` after which no case begins.
    """
    told = Told(kind.name)
    started = time.monotonic()
    for number in numbers:
        if time.monotonic() > until:
            break
        failure, end = run_case(kind, folder, seed=seed, number=number)
        told.ends[end] += 1
        if failure is not None and told.add(failure):
            _keep(kind, failure, number)
    told.seconds = time.monotonic() - started
    return told


def run_case(kind: Kind, folder: Path, *, seed: str, number: int) -> tuple[Failure | None, str]:
    """Runs one case; gives its failure or None, and how it ended in a word."""
    place = folder / "case"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    name, size = f"{kind.name}:{number}", 0
    note = _note(name, seed)
    try:
        case = kind.make(_random(kind, seed, number), place)
        size = sum(p.stat().st_size for p in place.rglob("*") if p.is_file())
        with watched(place, folder):
            try:
                return None, kind.check(case)
            except Exception as error:
                refused(error)
                return None, "refused"
    except (Broken, AssertionError) as error:
        return Failure(name, seed, str(error)[:700], _where(error), size), "broken"
    finally:
        note.unlink(missing_ok=True)


def _random(kind: Kind, seed: str, number: int) -> Random:
    return Random(f"{seed}:{kind.name}:{number}")


def _note(name: str, seed: str) -> Path:
    """A file that names the case, while it runs: it stays if the process dies."""
    KEPT.mkdir(parents=True, exist_ok=True)
    note = KEPT / f"running-{os.getpid()}"
    note.write_text(f"FUZZ_SEED={seed} FUZZ_CASE={name} make fuzz\n")
    return note


def _keep(kind: Kind, failure: Failure, number: int) -> None:
    """Writes the input of a failed case, and what it broke, for people to look at."""
    place = KEPT / _file_name(failure.case, failure.seed)
    shutil.rmtree(place, ignore_errors=True)
    (place / "input").mkdir(parents=True)
    case = kind.make(_random(kind, failure.seed, number), place / "input")
    text = f"{failure.what}\nat {failure.where}\n{failure.again}\n\n{case!r}\n"
    (place / "what.txt").write_text(text, encoding="utf-8", errors="backslashreplace")


def _where(error: BaseException) -> str:
    """The innermost line of the product that an error came through."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "/tests/" not in f.filename and f.filename.startswith(str(ROOT))]
    if not ours:
        return "the check"
    last = ours[-1]
    return f"{Path(last.filename).relative_to(ROOT)}:{last.lineno} {last.name}"
