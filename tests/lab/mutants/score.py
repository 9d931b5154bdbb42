"""How many verdicts are as they have to be, as a table and as the list of those that are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mutants.table import Verdict

LEAST_CAUGHT = LEAST_APT = 0.99
LEAST_RIGHT = 1.0


@dataclass(frozen=True)
class Score:
    """Counts over some verdicts; a hint is only looked for where a wrong one was caught.

    Attributes:
        caught: wrong ones that failed.
        wrong: wrong ones.
        passed: right ones that passed.
        right: right ones.
        apt: caught ones with an apt hint.
    """

    caught: int
    wrong: int
    passed: int
    right: int
    apt: int

    @property
    def enough(self) -> bool:
        """Whether all three are at the bars or above."""
        return (
            self.caught >= LEAST_CAUGHT * self.wrong
            and self.passed >= LEAST_RIGHT * self.right
            and self.apt >= LEAST_APT * self.caught
        )

    def cells(self) -> list[str]:
        """`n of n` for wrong ones caught, right ones passed and hints that are apt."""
        return [
            f"{self.caught} of {self.wrong}",
            f"{self.passed} of {self.right}",
            f"{self.apt} of {self.caught}",
        ]


def score(verdicts: Sequence[Verdict]) -> Score:
    """Counts some verdicts."""
    wrong = [each for each in verdicts if not each.right]
    right = [each for each in verdicts if each.right]
    caught = [each for each in wrong if not each.passed]
    return Score(
        caught=len(caught),
        wrong=len(wrong),
        passed=sum(each.passed for each in right),
        right=len(right),
        apt=sum(each.apt for each in caught),
    )


def rows(verdicts: Sequence[Verdict], key: Callable[[Verdict], str]) -> list[list[str]]:
    """A row for each exercise or function, in their order, and one for all."""
    names = dict.fromkeys(key(each) for each in verdicts)
    found = [[name, *score([v for v in verdicts if key(v) == name]).cells()] for name in names]
    return [*found, ["all", *score(verdicts).cells()]]


def fault(verdict: Verdict) -> str:
    """What is not as it has to be, in three words; empty if nothing is."""
    if verdict.good:
        return ""
    if verdict.right:
        return "right failed"
    return "wrong passed" if verdict.passed else "hint not apt"


def line(verdict: Verdict) -> str:
    """`id | exercise.function | fault | what the checks said`."""
    said = " / ".join(verdict.said.splitlines()) or "passed"
    seed = f", seed {verdict.seed}" if verdict.seed else ""
    return f"{verdict.id} | {verdict.exercise}.{verdict.function} | {fault(verdict)}{seed} | {said}"


def blamed(verdicts: Sequence[Verdict]) -> str:
    """Which mutants made other functions fail, too; empty if none did."""
    found = [f"{each.id} ({', '.join(each.others)})" for each in verdicts if each.others]
    return f"Other functions failed, too, with {len(found)}: {'; '.join(found)}\n" if found else ""


def table(verdicts: Sequence[Verdict]) -> str:
    """A Markdown table with a row for each exercise."""
    lines = ["| exercise | wrong caught | right passed | hint apt |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(verdicts, lambda each: each.exercise)]
    return "\n".join(lines) + "\n"
