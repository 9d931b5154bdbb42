"""What a text starts from besides words: a label, and the numbers of a row, as one vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from textmill.model.errors import SettingError

# A number further from the mean than this, in standard deviations, is refused: the products of
# larger ones could get infinite.
MOST_DEVIATIONS = 1e6


@dataclass(frozen=True)
class Context:
    """How a label and numbers become the vector that sets the state and is added at every step.

    The vector has an entry for each label, of which one is 1, then the numbers, standardised by
    the training part's mean and deviation.

    Attributes:
        labels: names of the labels.
        columns: the fields of a row that hold the numbers: one with a list, or one for each number.
        mean: float32 [F], one for each number.
        deviation: float32 [F]; 0 for a number that never changed in training, which is left out.
    """

    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    mean: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    deviation: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @classmethod
    def learned(
        cls, labels: Sequence[str], columns: Sequence[str], numbers: np.ndarray | None
    ) -> Context:
        """Takes mean and deviation from the numbers of the training part, float32 [rows, F].

        Raises:
            SettingError: the numbers are the same in all rows.
        """
        if numbers is None:
            return cls(tuple(labels))
        wide = numbers.astype(np.float64)
        mean, deviation = wide.mean(axis=0).astype(np.float32), wide.std(axis=0).astype(np.float32)
        # Of equal numbers, rounding can leave a deviation that is not quite 0.
        deviation[np.ptp(numbers, axis=0) == 0] = 0
        if len(columns) > 1 and not deviation.all():
            name = columns[int(np.argmin(deviation))]
            raise SettingError("context", "columns whose numbers differ from row to row", name)
        if not deviation.any():
            raise SettingError("context", "numbers that differ from row to row", columns[0])
        return cls(tuple(labels), tuple(columns), mean, deviation)

    @property
    def numbers(self) -> int:
        """F, how many numbers a row has."""
        return len(self.mean)

    @property
    def width(self) -> int:
        """C, entries of the vector."""
        return len(self.labels) + self.numbers

    @property
    def unused(self) -> int:
        """How many numbers never changed in training."""
        return int((self.deviation == 0).sum())

    def vectors(
        self, labels: Sequence[str | None] | None, numbers: np.ndarray | None, *, rows: int
    ) -> np.ndarray:
        """Makes the vectors of rows, float32 [rows, C].

        Args:
            labels: a label for each row, if there are labels; None leaves its entries at 0.
            numbers: [rows, F], if there are numbers.
            rows: number of rows.
        """
        found = np.zeros((rows, self.width), np.float32)
        if self.labels:
            assert labels is not None, "the model needs labels"
            index = {name: i for i, name in enumerate(self.labels)}
            for row, label in enumerate(labels):
                if label is not None:
                    found[row, index[label]] = 1.0
        if self.numbers:
            assert numbers is not None, "the model needs numbers"
            found[:, len(self.labels) :] = self.standardised(numbers)
        return found

    def standardised(self, numbers: np.ndarray) -> np.ndarray:
        """Gives (x - mean) / deviation, float32 [rows, F]; 0 where the deviation is 0."""
        wide = np.asarray(numbers, np.float32).astype(np.float64) - self.mean
        found = np.zeros_like(wide)
        np.divide(wide, self.deviation, out=found, where=self.deviation > 0)
        return found.astype(np.float32)

    def check(self, numbers: Sequence[float] | None) -> None:
        """Refuses numbers that a text cannot start from.

        Raises:
            SettingError: there are none and the model needs some, or the reverse; they are too many
                or too few, not finite, or too far from those of training.
        """
        named = " ".join(self.columns)
        if numbers is None or not self.numbers:
            if numbers is None and not self.numbers:
                return
            allowed = f"the model's {self.numbers} numbers ({named})" if self.numbers else (
                "left out: the model has none"
            )  # fmt: skip
            raise SettingError("context", allowed, _shown(numbers))
        if len(numbers) != self.numbers:
            raise SettingError("context", f"{self.numbers} numbers", f"{len(numbers)} numbers")
        with np.errstate(over="ignore"):
            given = np.asarray(numbers, np.float32)
        if not np.isfinite(given).all():
            raise SettingError("context", "finite numbers", float(given[~np.isfinite(given)][0]))
        far = np.abs(self.standardised(given[None])[0])
        if far.max(initial=0) > MOST_DEVIATIONS:
            allowed = f"within {MOST_DEVIATIONS:,.0f} standard deviations of training's mean"
            raise SettingError("context", allowed, float(given[int(far.argmax())]))


def _shown(numbers: Sequence[float] | None) -> str | None:
    return None if numbers is None else f"{len(numbers)} numbers"
