"""Ways to make new labelled rows of old ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Candidate:
    """A row that may be added.

    Attributes:
        origin: how it was made: `generated`, or a name of `AUGMENTERS`.
        source: the number of the real row it began as, if it did.
    """

    text: str
    label: str
    origin: str
    source: int | None


def swap(
    texts: Sequence[str],
    labels: Sequence[str],
    count_per_label: Mapping[str, int],
    *,
    seed: int,
    model_dir: str | None = None,
) -> list[Candidate]:
    """Real rows with a tenth of their words swapped (Wei and Zou 2019)."""
    random, found = np.random.default_rng(seed), []
    for label, count in count_per_label.items():
        rows = [i for i, own in enumerate(labels) if own == label]
        for number in range(count):
            source = rows[number % len(rows)]
            words = texts[source].split()
            for _ in range(max(1, len(words) // 10) if len(words) > 1 else 0):
                i, j = random.choice(len(words), 2, replace=False)
                words[i], words[j] = words[j], words[i]
            found.append(Candidate(" ".join(words), label, "swap", source))
    return found


AUGMENTERS: dict[str, Callable[..., list[Candidate]]] = {"swap": swap}
