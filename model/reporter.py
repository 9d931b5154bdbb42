"""The interface that receives news of a training."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Reporter(Protocol):
    """Receives news of a training."""

    def message(self, text: str) -> None:
        """Shows one line to the user."""

    def progress(self, share: float, *, loss: float, rate: float) -> None:
        """Shows the share done (0 to 1), the recent mean loss in nats and words a second."""

    def validated(self, epoch: float, *, perplexity: float, best: bool) -> None:
        """Shows the result of a validation."""


@contextmanager
def quiet_logs(*names: str) -> Iterator[None]:
    """Lets loggers of these names tell nothing for a while: what matters comes as an exception."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
