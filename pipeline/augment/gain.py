"""Measures whether added rows help: a classifier with and without them, tested on unseen rows.

The real rows are cut into folds. Each fold is held out once; the others are augmented again, by a
function that sees nothing else, and both classifiers are trained on them. Rows made from all rows
would carry words of the held-out rows, and the gain would look too good. So a language model has to
be trained for each fold.

The training parts of the folds overlap, so their gains are not independent. The interval is that of
the corrected resampled t-test (Nadeau and Bengio, "Inference for the generalization error", 2003).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from textmill.model.errors import UsageError
from textmill.model.settings import check_choice, check_float, check_int
from textmill.pipeline.augment.classifiers import (
    CLASSIFIERS,
    Classifier,
    folds_of,
    needs_scikit_learn,
)
from textmill.pipeline.augment.edits import Candidate

HELPS, NONE_SHOWN, HURTS = "helps", "no difference shown", "hurts"
_WIDE = 10.0  # points; an interval of more tells neither that rows help nor that they do not

# Takes texts, labels and a seed; gives the rows to add, whose `source` is an index of these texts.
Augment = Callable[[Sequence[str], Sequence[str], int], Sequence[Candidate]]


@dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """How the gain is measured.

    Attributes:
        classifiers: names of `CLASSIFIERS`.
        folds: number of parts that the rows are cut into.
        seeds: how many times they are cut; rows are added folds x seeds times.
        confidence: confidence of the interval.
        seed: seed of the first cut; the next cuts use the next seeds.
    """

    classifiers: tuple[str, ...] = ("tfidf",)
    folds: int = 5
    seeds: int = 3
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.classifiers:
            check_choice("classifiers", name, tuple(CLASSIFIERS))
        check_int("folds", self.folds, 2)
        check_int("seeds", self.seeds, 1)
        check_float("confidence", self.confidence, "a number between 0 and 1", lambda x: 0 < x < 1)


@dataclass(frozen=True)
class Gain:
    """What added rows did to one classifier. Accuracies and the gain are in points, 0 to 100.

    Attributes:
        classifier: name of the classifier.
        without: mean accuracy on held-out rows without the added rows.
        augmented: mean accuracy on held-out rows with the added rows.
        gain: the difference of the two.
        low: lower end of the gain's confidence interval.
        high: upper end of it.
        verdict: `HELPS`, `HURTS` or `NONE_SHOWN`, depending on the interval.
    """

    classifier: str
    without: float
    augmented: float
    gain: float
    low: float
    high: float
    verdict: str

    def record(self) -> dict[str, Any]:
        """Gives the fields for JSON."""
        fields = {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {"with" if name == "augmented" else name: v for name, v in fields.items()}

    def sentence(self) -> str:
        """Says in one line what the figures mean."""
        found = (
            f"{self.classifier}: {self.without:.1f} % without the added rows, "
            f"{self.augmented:.1f} % with them: {self.gain:+.1f} points "
            f"({self.low:+.1f} to {self.high:+.1f})"
        )
        said = {
            HELPS: "they help",
            HURTS: "they hurt: don't use them",
            NONE_SHOWN: "no difference shown: there is no reason to use them"
            if self.high - self.low <= _WIDE
            else "no difference shown: the rows are too few to tell",
        }
        return f"{found}; {said[self.verdict]}"


def check(
    texts: Sequence[str], labels: Sequence[str], augment: Augment, *, settings: CheckSettings
) -> list[Gain]:
    """Measures the gain of each classifier.

    Args:
        texts: texts of the real rows.
        labels: labels of the real rows.
        augment: makes rows from the part that is not held out.
        settings: how the gain is measured.

    Raises:
        UsageError: there are too few rows, or only one label.
    """
    needs_scikit_learn()
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in settings.classifiers}
    ratios = []
    for seed in range(settings.seed, settings.seed + settings.seeds):
        fold = folds_of(labels, folds=settings.folds, seed=seed)
        for number in range(settings.folds):
            held_out = np.flatnonzero(fold == number).tolist()
            rest = np.flatnonzero(fold != number).tolist()
            if not held_out:
                continue
            ratios.append(len(held_out) / len(rest))
            part = [texts[i] for i in rest], [labels[i] for i in rest]
            added = augment(*part, seed)
            tested = [texts[i] for i in held_out], [labels[i] for i in held_out]
            both = [*part[0], *(row.text for row in added)], [*part[1], *(r.label for r in added)]
            sources = [row.source for row in added]
            for name in settings.classifiers:
                make = functools.partial(CLASSIFIERS[name], seed=seed)
                without = accuracy(make().fit(*part), *tested)
                augmented = accuracy(make().fit(*both, sources=sources), *tested)
                scores[name].append((without, augmented))
    if len(ratios) < 2:
        raise UsageError(
            "the gain cannot be measured on so few rows: two labels need two rows each at least"
        )
    ratio = float(np.mean(ratios))
    return [_gain(name, scores[name], ratio, settings.confidence) for name in settings.classifiers]


def accuracy(classifier: Classifier, texts: Sequence[str], labels: Sequence[str]) -> float:
    """Gives the share of rows whose label is the most probable one, in points."""
    best = classifier.probabilities(texts).argmax(axis=1)
    right = [classifier.labels[i] == label for i, label in zip(best, labels, strict=True)]
    return 100.0 * float(np.mean(right))


def interval(
    differences: Sequence[float], *, ratio: float, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Gives mean and confidence interval of paired differences over resampled folds.

    The variance of the mean is (1 / J + ratio) times that of the J differences; 1 / J alone would
    assume independent folds (Nadeau and Bengio 2003).

    Args:
        differences: the J differences.
        ratio: held-out rows divided by rows trained on; 0 for independent differences.
        confidence: confidence of the interval.
    """
    from scipy.stats import t

    d = np.asarray(differences, np.float64)
    half = float(t.ppf((1 + confidence) / 2, len(d) - 1)) * math.sqrt(
        (1 / len(d) + ratio) * float(d.var(ddof=1))
    )
    mean = float(d.mean())
    return mean, mean - half, mean + half


def verdict(low: float, high: float) -> str:
    """Says what the interval of a gain shows."""
    return HELPS if low > 0 else HURTS if high < 0 else NONE_SHOWN


def _gain(name: str, scores: list[tuple[float, float]], ratio: float, confidence: float) -> Gain:
    without, augmented = np.mean(scores, axis=0)
    gain, low, high = interval([b - a for a, b in scores], ratio=ratio, confidence=confidence)
    shown = CLASSIFIERS[name].name
    return Gain(shown, float(without), float(augmented), gain, low, high, verdict(low, high))
