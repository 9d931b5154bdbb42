"""Kinds that are prepared once; at the end, how many cases of each there were."""

from __future__ import annotations

import pytest
from fuzzing import TOLD


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, make_model):
    """Gives a kind by its name, prepared once, and a folder for its cases."""
    from kinds import KINDS

    made: dict[str, tuple] = {}

    def get(name: str):
        if name not in made:
            kind, folder = KINDS[name].make(make_model), tmp_path_factory.mktemp(name)
            kind.prepare(folder / "shared")
            (folder / "cases").mkdir()
            made[name] = (kind, folder / "cases")
        return made[name]

    return get


def pytest_terminal_summary(terminalreporter):
    if TOLD:
        terminalreporter.write_line("\n| kind | cases | a second | faults | how they ended |")
        terminalreporter.write_line("|---|---|---|---|---|")
        for row in TOLD:
            terminalreporter.write_line(row)
