"""Inputs of all kinds, made and damaged at random, and what must hold for each of them.

`make test` runs a few hundred cases of a fixed seed; `make fuzz` runs as many as its time allows.
"""

from __future__ import annotations

import itertools
import os
import time

import pytest
from cases_commands import Commands
from cases_corpora import Corpora
from cases_models import Models
from cases_outputs import Outputs
from cases_prompts import Prompts
from cases_tables import Tables
from fuzzing import TOLD, Kind, run

# A kind, its share of the time of `make fuzz`, and its cases in `make test`.
KINDS: dict[str, tuple[type[Kind], float, int]] = {
    "prompts": (Prompts, 0.3, 400),
    "corpora": (Corpora, 0.1, 600),
    "tables": (Tables, 0.1, 600),
    "models": (Models, 0.15, 400),
    "outputs": (Outputs, 0.2, 300),
    "commands": (Commands, 0.15, 200),
}
SEED = os.environ.get("FUZZ_SEED", "1")
MINUTES = float(os.environ.get("FUZZ_MINUTES", "10"))
CASES = int(os.environ.get("FUZZ_CASES", "0"))  # of all kinds together; 0 is no limit
CASE = os.environ.get("FUZZ_CASE", "")


@pytest.fixture
def prepared(request, tmp_path_factory, make_model):
    """A kind, and a folder for its cases."""
    made = KINDS[request.param][0]
    kind = made(make_model) if made in (Models, Outputs, Commands) else made()
    folder = tmp_path_factory.mktemp(request.param)
    kind.prepare(folder / "shared")
    (folder / "cases").mkdir(parents=True)
    return kind, folder / "cases"


def _tell(told) -> None:
    TOLD.append(told.row())
    if told.faults:
        pytest.fail(told.summary(), pytrace=False)


@pytest.mark.parametrize("prepared", KINDS, indirect=True)
def test_some_of_every_kind(prepared):
    kind, folder = prepared
    _tell(run(kind, folder, seed="1", numbers=iter(range(KINDS[kind.name][2]))))


@pytest.mark.fuzz
@pytest.mark.parametrize("prepared", KINDS, indirect=True)
def test_as_many_as_there_is_time_for(prepared):
    kind, folder = prepared
    share = KINDS[kind.name][1]
    numbers, until = itertools.count(), time.monotonic() + 60 * MINUTES * share
    if CASES:
        numbers = iter(range(max(1, round(CASES * share))))
    if CASE:
        name, _, number = CASE.partition(":")
        if name != kind.name:
            pytest.skip(f"{CASE} is asked for")
        numbers = iter([int(number)])
    _tell(run(kind, folder, seed=SEED, numbers=numbers, until=until))
