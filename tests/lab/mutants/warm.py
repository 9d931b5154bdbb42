"""Judges mutants that need TensorFlow, in forks of a process that has loaded it.

A process for each, as `lab.sandbox.run` starts it, would load TensorFlow for ten seconds.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.pool
import os
import signal
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from lab_here import functions_of

from lab.checks import EXERCISES
from lab.sandbox.run import Exercises, Result, checked
from mutants.mutant import Mutant
from mutants.table import Verdict, judge

TIMES = 10  # as long for a network, while other checks run


def pool(processes: int) -> multiprocessing.pool.Pool:
    """Makes the pool for `judge_warm`; each fork judges one mutant."""
    os.environ |= {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tensorflow", "keras"])
    return context.Pool(processes, maxtasksperchild=1)


def judge_warm(mutant: Mutant, seed: int, seconds: float) -> Verdict:
    """Judges a mutant in this process; see `mutants.table.judge`."""

    def late(number: int, frame: Any) -> None:
        raise TimeoutError(f"it takes more than {TIMES * seconds:g} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(int(TIMES * seconds))
    try:
        return judge(mutant, seed=seed, seconds=seconds, run=_results)
    finally:
        signal.alarm(0)


def _results(
    file: Path,
    names: Sequence[str],
    *,
    functions: Collection[str] | None = None,
    seed: int = 0,
    seconds: float = 30.0,
) -> Iterator[Result]:
    """Does what `lab.sandbox.run.results` does, with the student's functions in this process."""
    exercises = functions_of(file)
    for name in names:
        for function in EXERCISES[name].checks:
            if functions is None or function in functions:
                here = _Here(exercises)
                yield checked(here, exercises, name, function, seed=seed, seconds=seconds)


class _Here:
    """This process, as one that serves the functions; one alarm limits the whole."""

    def __init__(self, exercises: Exercises):
        self.deadline, self._exercises = 0.0, exercises

    def seed(self, seed: int) -> None:
        self._exercises._ask(["seed", seed])

    def end(self) -> None:
        pass
