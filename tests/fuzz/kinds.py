"""All kinds of cases, with their share of the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cases_commands import Commands
from cases_corpora import Corpora
from cases_models import Models
from cases_outputs import Outputs
from cases_play import Play
from cases_prompts import Prompts
from cases_tables import Tables
from fuzzing import Kind


@dataclass(frozen=True)
class Share:
    """A kind of cases.

    Attributes:
        make: makes it, from the fixture that makes models.
        share: its share of the time of `make fuzz`. few: number of its cases in `make test`.
    """

    make: Callable[[Any], Kind]
    share: float
    few: int


KINDS = {
    "prompts": Share(lambda _: Prompts(), 0.3, 250),
    "corpora": Share(lambda _: Corpora(), 0.1, 500),
    "tables": Share(lambda _: Tables(), 0.1, 300),
    "models": Share(Models, 0.15, 250),
    "outputs": Share(Outputs, 0.2, 60),
    "commands": Share(Commands, 0.1, 80),
    "play": Share(Play, 0.05, 15),
}
