"""All mutants, and how one of them is run against the lab's checks."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.sandbox.run import FAILED, PASSED, Result, results
from mutants import (
    book,
    greedy,
    lstm,
    ngrams,
    operators,
    quality,
    sampler,
    state,
    tokens,
    tour,
    vocabulary,
    weights,
    windows,
)
from mutants.mutant import Mutant

_FILES = (
    book,
    tokens,
    vocabulary,
    ngrams,
    weights,
    windows,
    lstm,
    greedy,
    sampler,
    state,
    quality,
    tour,
)


def mutants() -> list[Mutant]:
    """All mutants, those that need TensorFlow last."""
    written = [mutant for file in _FILES for variants in file.ALL for mutant in variants.found]
    light = [mutant for mutant in written if not needs_tensorflow(mutant)]
    return [*light, *operators.generated(), *(each for each in written if needs_tensorflow(each))]


def needs_tensorflow(mutant: Mutant) -> bool:
    """Whether the mutant's exercise loads TensorFlow."""
    from lab.checks import EXERCISES

    return EXERCISES[mutant.exercise].keras


@dataclass(frozen=True)
class Verdict:
    """What the checks said of a mutant.

    Attributes:
        id: the mutant's.
        exercise: the mutant's.
        function: the mutant's.
        right: the mutant's.
        seed: seed of the checks' inputs.
        passed: whether all results of the exercise were passed.
        apt: whether the words of an apt hint are there; true for what passed.
        said: what the checks said of what failed, a line each.
        others: other functions that failed, where the checks name functions.
    """

    id: str
    exercise: str
    function: str
    right: bool
    seed: int
    passed: bool
    apt: bool
    said: str
    others: list[str]

    @property
    def good(self) -> bool:
        """Whether it is the verdict that the exercise's text demands."""
        return self.passed if self.right else not self.passed and self.apt


def judge(
    mutant: Mutant,
    *,
    seed: int = 0,
    seconds: float = 60.0,
    run: Callable[..., Iterable[Result]] | None = None,
) -> Verdict:
    """Runs the checks of the mutant's exercise, in the lab's own process.

    Of an exercise that needs TensorFlow it runs only the mutant's function: no function of these
    calls another one, and a network is trained in each check.

    Args:
        mutant: what is checked.
        seed: seed of the checks' inputs.
        seconds: time for the exercise.
        run: runs the checks; None for `lab.sandbox.run.results`.
    """
    run = run or results
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        file = Path(folder) / "exercises.py"
        file.write_text(mutant.source, encoding="utf-8")
        functions = {mutant.function} if needs_tensorflow(mutant) else None
        found = list(run(file, [mutant.exercise], functions=functions, seed=seed, seconds=seconds))
    failed = [each for each in found if each.status != PASSED]
    named = [each for each in failed if getattr(each, "function", "") == mutant.function]
    told = named or [each for each in failed if not getattr(each, "function", "")] or failed
    words = "\n".join(_words(each) for each in told)
    values = "\n".join(f"expected {each.expected} | received {each.received}" for each in told)
    apt = bool(re.search(mutant.hint, words, re.I) and re.search(mutant.shown, values))
    return Verdict(
        id=mutant.id,
        exercise=mutant.exercise,
        function=mutant.function,
        right=mutant.right,
        seed=seed,
        passed=bool(found) and not failed,
        apt=not failed or mutant.right or apt,
        said="\n".join(
            f"{each.what} | expected {each.expected} | received {each.received} | hint: {each.hint}"
            for each in told
        ),
        others=[
            each.function
            for each in failed
            if each.status == FAILED
            and getattr(each, "function", mutant.function) != mutant.function
        ],
    )


def _words(result: Result) -> str:
    """What a result says in words: an error's message is words, other values are not."""
    found = f"{getattr(result, 'function', '')} {result.what} | {result.hint}"
    error = re.match(r"\w*(Error|Exception|Exit)\b", result.received)
    return f"{found} | {result.received}" if error or result.received == "None" else found
