"""The interface that receives news of a training."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives news of a training."""

    def message(self, text: str) -> None:
        """Shows one line to the user."""

    def progress(self, share: float, *, loss: float, rate: float) -> None:
        """Shows the share done (0 to 1), the recent mean loss in nats and words a second."""

    def validated(self, epoch: float, *, perplexity: float, best: bool) -> None:
        """Shows the result of a validation."""
