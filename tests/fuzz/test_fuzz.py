"""Inputs of all kinds, made and damaged at random, and what must hold for each of them.

`make test` runs a few hundred cases of a fixed seed; `make fuzz` runs as many as its time allows.
"""

from __future__ import annotations

import itertools
import os
import time

import pytest
from fuzzing import TOLD, run
from kinds import KINDS

SEED = os.environ.get("FUZZ_SEED", "1")
MINUTES = float(os.environ.get("FUZZ_MINUTES", "10"))
CASES = int(os.environ.get("FUZZ_CASES", "0"))  # of all kinds together; 0 is no limit
CASE = os.environ.get("FUZZ_CASE", "")


# Odd arrays, and names that an archive holds twice.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::UserWarning")


def _tell(told) -> None:
    TOLD.append(told.row())
    if told.faults:
        pytest.fail(told.summary(), pytrace=False)


@pytest.mark.parametrize("name", KINDS)
def test_some_of_every_kind(name, prepared):
    kind, folder = prepared(name)
    _tell(run(kind, folder, seed="1", numbers=iter(range(KINDS[name].few))))


@pytest.mark.fuzz
@pytest.mark.parametrize("name", KINDS)
def test_as_many_as_there_is_time_for(name, prepared):
    if CASE and CASE.partition(":")[0] != name:
        pytest.skip(f"{CASE} is asked for")
    kind, folder = prepared(name)
    numbers, until = itertools.count(), time.monotonic() + 60 * MINUTES * KINDS[name].share
    if CASES:
        numbers = iter(range(max(1, round(CASES * KINDS[name].share))))
    if CASE:
        numbers = iter([int(CASE.partition(":")[2])])
    _tell(run(kind, folder, seed=SEED, numbers=numbers, until=until))
