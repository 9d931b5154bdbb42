"""Tells at the end how many cases of each kind there were."""

from __future__ import annotations

from fuzzing import TOLD


def pytest_terminal_summary(terminalreporter):
    if TOLD:
        terminalreporter.write_line("\n| kind | cases | a second | faults | how they ended |")
        terminalreporter.write_line("|---|---|---|---|---|")
        for row in TOLD:
            terminalreporter.write_line(row)
