"""Generators and trained models that tests share: compiling and training are what takes time.

A generator is shared by the tests of one process, for one model and one number of slots. A trained
model is shared by all processes of a test run: the first that needs it trains it, under a lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from textmill.model.generation.generator import SLOTS, Generator, Times
from textmill.model.network.directory import SavedModel

_MOST = 8  # generators of a process, each of which holds its programs
_generators: dict[tuple[str, int], Generator] = {}


def generator_of(model: SavedModel, *, slots: int = SLOTS) -> Generator:
    """A generator with its clock at zero; compiled before, if a test has had it."""
    key = (model.fingerprint, slots)
    generator = _generators.pop(key, None) or Generator(model, slots=slots)
    _generators[key] = generator  # the last one is the last to go
    if len(_generators) > _MOST:
        del _generators[next(iter(_generators))]
    generator.times = Times()
    return generator


def trained_once(name: str, train: Callable[[Path], None]) -> Path:
    """A folder for `name` that one process of the run has filled by `train`."""
    folder = Path(os.environ["TEXTMILL_TEST_MODELS"])
    place = folder / name
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            unfinished = folder / f"{name}.unfinished"
            unfinished.mkdir()
            train(unfinished)
            unfinished.rename(place)
    return place
