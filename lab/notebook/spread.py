"""Measures over several seeds: their mean and range."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Spread:
    """One measure, or several at once, over seeds; each field is float64 of the measure's shape."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __str__(self) -> str:
        if self.mean.shape:
            raise ValueError("only a single number is shown as text")
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def spread(values: Any) -> Spread:
    """Puts measures [seeds, ...] together."""
    found = np.asarray(values, np.float64)
    return Spread(found.mean(axis=0), found.min(axis=0), found.max(axis=0))


def over_seeds(measure: Callable[[int], Any], seeds: Iterable[int]) -> Spread:
    """Measures once for each seed. The difference of two means says something if it is larger than
    the ranges."""
    return spread([measure(seed) for seed in seeds])
