"""Runs the checks in this process, through the same messages as between two: it takes no time."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lab.checks import EXERCISES
from lab.sandbox import wire
from lab.sandbox.run import Exercises, read_reply
from lab.sandbox.student import Functions, load


@contextmanager
def only(*names):
    """Leaves these exercises, and puts all back in their order."""
    kept = dict(EXERCISES)
    for name in set(EXERCISES) - set(names):
        del EXERCISES[name]
    try:
        yield
    finally:
        EXERCISES.clear()
        EXERCISES.update(kept)


def functions_of(file) -> Exercises:
    """Loads a file, and gives its functions as a check gets them."""
    functions, lent = Functions(load(file), str(file)), {}

    def lend(function):
        lent[len(lent)] = function
        return len(lent) - 1

    def through(value, borrow=None, **how):
        packer = wire.Packer(**how)
        data = wire.message(packer.pack(value), packer.blocks)
        size = wire.LENGTHS.size
        text, arrays = wire.lengths(data[:size])
        assert len(data) == size + text + arrays
        return wire.parse(data[size : size + text], data[size + text :], borrow)

    def borrow(number):
        return lambda *arguments: through(lent[number](*through(list(arguments))))

    def ask(request, function=""):
        reply = functions.answer(through(request, borrow, lend=lend))
        return read_reply(through(reply, keep=functions.keep), request, function)

    return Exercises(ask)


def run_checks(name, file, seed=0):
    """Runs the checks of an exercise until one raises an error."""
    exercises = functions_of(file)
    for function, check in EXERCISES[name].checks.items():
        random = np.random.default_rng([seed, *function.encode()])
        if EXERCISES[name].keras:
            exercises._ask(["seed", int(random.integers(1 << 31))])
        check(exercises, random)
        exercises.restore()
        exercises.passed.add(function)


def with_class(folder, name) -> Path:
    """Writes the solution with a class of `subclassed` as its network."""
    file = Path(folder, "exercises.py")
    here = Path(__file__).parent
    kinds = (here / "subclassed.py").read_text("utf-8")
    solution = (here / "lab_solution.py").read_text("utf-8")
    future = "from __future__ import annotations\n"
    assert future in solution
    file.write_text(f"{kinds}\n{solution.replace(future, '')}\n\nbuild_model = {name}\n", "utf-8")
    return file
