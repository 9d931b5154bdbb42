"""Clusters lose a part in the middle of a job, once a kind; TEXTMILL_TRIALS=10 for ten trials each.

TEXTMILL_AT_ONCE=N is how many trials of a kind share the machine, TEXTMILL_TABLE=FILE where the
table of all kinds goes, and TEXTMILL_FAULT_WORDS=N the words a text: by default a job takes ten
seconds on two cores, and three minutes if there are several trials.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults import ENGINES, KINDS, Kind, Trial, trial

pytestmark = [pytest.mark.cluster, pytest.mark.trial]

TRIALS = int(os.environ.get("TEXTMILL_TRIALS", 1))
AT_ONCE = int(os.environ.get("TEXTMILL_AT_ONCE", 1))
WORDS = int(os.environ.get("TEXTMILL_FAULT_WORDS", 40 if TRIALS == 1 else 900 // AT_ONCE))
TABLE = os.environ.get("TEXTMILL_TABLE")
TITLE = (
    "| engine | killed | trials | survived | same bytes | seconds | begun again |\n"
    "|---|---|---|---|---|---|---|\n"
)


def cells(trials: list[Trial]) -> list[str]:
    """What a row of the table tells of a kind's trials."""
    seconds = sorted(each.seconds for each in trials)
    return [
        f"{len(trials)}",
        f"{sum(each.survived for each in trials)} of {len(trials)}",
        f"{sum(each.same for each in trials)} of {len(trials)}",
        f"{statistics.median(seconds):.0f} ({seconds[0]:.0f} to {seconds[-1]:.0f})",
        f"{max(each.again for each in trials)}",
    ]


@pytest.fixture(scope="module", autouse=True)
def table() -> None:
    """Begins the file of the table, if one is asked for and not begun yet."""
    if TABLE:
        with contextlib.suppress(FileExistsError), open(TABLE, "x") as file:
            file.write(TITLE)


def named(kinds: Sequence[Kind]) -> str:
    return f"{kinds[0].engine}, {', '.join(kind.part for kind in kinds)}"


# A single trial of each kind shares its cluster with others, as starting one takes long.
@pytest.mark.parametrize(
    "kinds", KINDS if TRIALS == 1 else [[kind] for line in KINDS for kind in line], ids=named
)
def test_killed_parts(kinds: Sequence[Kind], job, undisturbed, tmp_path, told_of_engine):
    wanted = undisturbed(WORDS)
    shared = None
    with contextlib.ExitStack() as stack:
        if len(kinds) > 1:
            shared = stack.enter_context(ENGINES[kinds[0].engine](tmp_path))
        for kind in kinds:

            def one(number: int, kind: Kind = kind) -> Trial:
                folder = tmp_path / f"{kind.part.replace(' ', '-')}-{number}"
                folder.mkdir()
                told = trial(
                    kind, job, wanted, folder, words=WORDS, number=number, shared=shared
                )  # fmt: skip
                if told.same:
                    shutil.rmtree(folder)  # a job server keeps hundreds of megabytes
                return told

            with ThreadPoolExecutor(AT_ONCE) as at_once:
                check(kind, list(at_once.map(one, range(TRIALS))), told_of_engine)


def check(kind: Kind, trials: list[Trial], told_of_engine) -> None:
    """Adds a row to the tables, and asserts that it is as it has to be."""
    told, survived, same, seconds, again = cells(trials)
    told_of_engine(
        f"{kind.engine}: {kind.part} killed", None, all(each.same for each in trials),
        f"survived {survived}, same {same}, {seconds} s, begun again {again}",
    )  # fmt: skip
    if TABLE:
        with open(TABLE, "a") as file:
            row = [kind.engine, kind.part, told, survived, same, seconds, again]
            file.write(f"| {' | '.join(row)} |\n")
    assert all(each.same for each in trials), trials
    if kind.survives:
        assert all(each.survived for each in trials), trials
    assert max(each.again for each in trials) <= kind.workers, trials
