"""Who hears how training goes."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Hears how training goes."""

    def message(self, text: str) -> None:
        """One line for the person."""

    def progress(self, share: float, *, loss: float, rate: float) -> None:
        """Share done (0 to 1), mean loss in nats of late, words a second."""

    def validated(self, epoch: float, *, perplexity: float, best: bool) -> None:
        """A validation's result."""
