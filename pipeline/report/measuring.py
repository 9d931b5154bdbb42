"""Figures of groups of texts, taken on samples of equal size so that they can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from textmill.model.text.corpus import Source
from textmill.pipeline.report import metrics
from textmill.pipeline.report.figures import Figures, GroupFigures, Measured, Points, RealText
from textmill.pipeline.report.metrics import CopyIndex, Words
from textmill.pipeline.report.tally import SAMPLE, Group, Lowest

_BLEU_TEXTS = 500  # of a sample, with each other
_REPETITION = 4  # words in a row
_POINTS = 60  # of a curve


@dataclass(frozen=True)
class RealTexts:
    """Texts that people wrote: the corpus, or the real rows of an augmentation.

    Attributes:
        name: for people.
        sources: files that they were read from.
    """

    name: str
    texts: Sequence[Words]
    sources: tuple[Source, ...] = ()


def compare(
    groups: Sequence[Group], real: RealTexts | None, *, copied_words: int
) -> tuple[tuple[GroupFigures, ...], RealText | None, Measured]:
    """Figures of every group, those of real texts beside them, and what they were taken on."""
    samples: list[list[Words]] = [
        [metrics.plain_words(text) for text, _ in group.sample] for group in groups
    ]
    longest = max((len(text) for texts in samples for text in texts), default=0)
    own = [] if real is None else _cut_sample(real.texts, longest)
    compared = samples if real is None else [*samples, own]
    spoken = _common([sum(map(bool, texts)) for texts in compared], least=2, enough=50)
    measured = Measured(
        texts=sum(group.texts for group in groups),
        sampled=sum(map(len, samples)),
        sample_of_a_group=SAMPLE,
        distinct_words=_common([sum(map(len, texts)) for texts in compared], least=1, enough=500),
        bleu_texts=min(_BLEU_TEXTS, spoken) if metrics.has_bleu() else 0,
        copied_words=copied_words,
    )
    copies = None if real is None else CopyIndex(real.texts, copied_words)
    figures = []
    for group, texts in zip(groups, samples, strict=True):
        lengths = [length for _, length in group.sample]
        taken = _figures(texts, lengths, measured, copies)
        one = GroupFigures(
            name=group.name,
            temperature=group.temperature,
            texts=group.texts,
            figures=replace(taken, perplexity=group.perplexity, cut=group.cut),
            lengths=_at_most(lengths),
            ranks=_ranks(texts, measured.distinct_words),
        )
        figures.append(one)
    if real is None:
        return tuple(figures), None, measured
    lengths = list(map(len, real.texts))  # of all of them, and none is cut
    beside = RealText(
        name=real.name,
        files=real.sources,
        texts=len(lengths),
        words=sum(lengths),
        figures=_figures(own, lengths, measured, None),
        lengths=_at_most(lengths),
        ranks=_ranks(own, measured.distinct_words),
    )
    return tuple(figures), beside, measured


def _cut_sample(texts: Sequence[Words], longest: int) -> list[Words]:
    """Of real texts, each cut to the length of the longest drawn one."""
    chosen: Lowest[Words] = Lowest(SAMPLE)
    for number, text in enumerate(texts):
        if text:
            chosen.add(str(number), text[:longest])
    return list(chosen)


def _common(sizes: Sequence[int], *, least: int, enough: int) -> int:
    """The least size that is of use: `enough`, or a tenth of the largest, but never below `least`.

    What has less does without the figures.
    """
    return min((n for n in sizes if n >= max(least, min(enough, max(sizes) / 10))), default=0)


def _figures(
    texts: Sequence[Words], lengths: Sequence[int], measured: Measured, copies: CopyIndex | None
) -> Figures:
    """Diversity, repetition and copying; what takes more words or texts than there are is None.

    Args:
        texts: of a sample.
        lengths: of the whole texts in words.
        measured: how much distinct-n and self-BLEU are taken over.
        copies: of the corpus, where there is one.
    """
    words = sum(map(len, texts))
    cut = _first(texts, measured.distinct_words) if measured.distinct_words <= words else []
    alike = [text for text in texts if text][: measured.bleu_texts]
    repeated = [metrics.repetition(text, _REPETITION) for text in texts]
    copied = [] if copies is None else [copies.copied(text) for text in texts]
    return Figures(
        sampled=len(texts),
        mean_length=_mean(lengths),
        distinct_1=metrics.distinct(cut, 1),
        distinct_2=metrics.distinct(cut, 2),
        distinct_3=metrics.distinct(cut, 3),
        self_bleu=metrics.self_bleu(alike) if len(alike) == measured.bleu_texts > 0 else None,
        repetition=_mean([share for share in repeated if share is not None]),
        copied=sum(n for n, _ in copied) / words if copied and words else None,
        texts_with_copies=_mean([n > 0 for n, _ in copied]),
        longest_copy=None if copies is None else max((most for _, most in copied), default=0),
    )


def _ranks(texts: Sequence[Words], words: int) -> Points:
    """How frequent the words are among the first so many."""
    counts = Counter(word for text in _first(texts, words) for word in text)
    return tuple(metrics.rank_frequency(counts, points=_POINTS))


def _first(texts: Sequence[Words], words: int) -> list[Words]:
    """The first so many words, in their texts."""
    cut: list[Words] = []
    for text in texts:
        if words <= 0:
            break
        cut.append(text[:words])
        words -= len(text)
    return cut


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _at_most(lengths: Sequence[int]) -> Points:
    """(words, share of the texts that have at most so many)."""
    values, counts = np.unique(np.array(lengths, int), return_counts=True)
    points = list(zip(values.tolist(), (counts.cumsum() / len(lengths)).tolist(), strict=True))
    step = max(1, len(points) / _POINTS)
    kept = {round(i * step) for i in range(_POINTS)} | {len(points) - 1}
    return tuple(point for i, point in enumerate(points) if i in kept and point[0] > 0)
