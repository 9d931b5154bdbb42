"""Figures of groups of texts, taken on samples of equal size so that they can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from textmill.model.text.corpus import Source
from textmill.pipeline.report.figures import Figures, GroupFigures, Measured, Points, RealText
from textmill.pipeline.report.metrics import (
    CopyIndex,
    Words,
    distinct,
    has_bleu,
    plain_words,
    rank_frequency,
    repetition,
    self_bleu,
)
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
    texts: list[Words]
    sources: tuple[Source, ...] = ()


def compare(
    groups: Sequence[Group], real: RealTexts | None, *, copied_words: int
) -> tuple[tuple[GroupFigures, ...], RealText | None, Measured]:
    """Figures of every group, those of real texts beside them, and what they were taken on."""
    samples = [_Sample.of(group.sample) for group in groups]
    longest = max((len(text) for sample in samples for text in sample.texts), default=0)
    own = None if real is None else _Sample.of_real(real.texts, longest=longest)
    compared = samples if own is None else [*samples, own]
    spoken = _common([len(sample.spoken) for sample in compared], least=2, enough=50)
    measured = Measured(
        texts=sum(group.texts for group in groups),
        sampled=sum(len(sample.texts) for sample in samples),
        sample_of_a_group=SAMPLE,
        distinct_words=_common([sample.words for sample in compared], least=1, enough=500),
        bleu_texts=min(_BLEU_TEXTS, spoken) if has_bleu() else 0,
        copied_words=copied_words,
    )
    copies = None if real is None else CopyIndex(real.texts, copied_words)
    figures = tuple(
        _of_group(group, sample, measured, copies)
        for group, sample in zip(groups, samples, strict=True)
    )
    beside = None if real is None or own is None else _of_real(real, own, measured)
    return figures, beside, measured


def _of_group(
    group: Group, sample: _Sample, measured: Measured, copies: CopyIndex | None
) -> GroupFigures:
    figures = sample.figures(measured, copies)
    return GroupFigures(
        name=group.name,
        temperature=group.temperature,
        texts=group.texts,
        figures=replace(figures, perplexity=group.perplexity, cut=group.cut),
        lengths=_at_most(sample.lengths),
        ranks=sample.ranks(measured.distinct_words),
    )


def _of_real(real: RealTexts, own: _Sample, measured: Measured) -> RealText:
    """Figures of a sample, except lengths: those are of all texts, and none is cut."""
    lengths = sorted(map(len, real.texts))
    return RealText(
        name=real.name,
        files=real.sources,
        texts=len(lengths),
        words=sum(lengths),
        figures=replace(own.figures(measured, None), mean_length=_mean(lengths)),
        lengths=_at_most(lengths),
        ranks=own.ranks(measured.distinct_words),
    )


def _common(sizes: Sequence[int], *, least: int, enough: int) -> int:
    """The least size that is of use: `enough`, or a tenth of the largest, but never below `least`.

    What has less does without the figures.
    """
    return min((n for n in sizes if n >= max(least, min(enough, max(sizes) / 10))), default=0)


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """The words of sampled texts, and what is measured on them.

    Attributes:
        lengths: of the whole texts in words, rising.
    """

    texts: list[Words]
    lengths: list[int]

    @classmethod
    def of(cls, drawn: Iterable[tuple[str, int]]) -> _Sample:
        """Of (what was drawn, how many words it has with its prompt)."""
        pairs = list(drawn)
        texts: list[Words] = [plain_words(text) for text, _ in pairs]
        return cls(texts=texts, lengths=sorted(length for _, length in pairs))

    @classmethod
    def of_real(cls, texts: Iterable[Words], *, longest: int) -> _Sample:
        """Of real texts, each cut to the length of the longest drawn one."""
        chosen: Lowest[Words] = Lowest(SAMPLE)
        for number, text in enumerate(texts):
            if text:
                chosen.add(str(number), text[:longest])
        return cls(texts=list(chosen), lengths=sorted(map(len, chosen)))

    @property
    def words(self) -> int:
        """Of all texts."""
        return sum(map(len, self.texts))

    @property
    def spoken(self) -> list[Words]:
        """The texts that hold a word."""
        return [text for text in self.texts if text]

    def ranks(self, words: int) -> Points:
        """How frequent the words are among the first so many."""
        counts = Counter(word for text in _first(self.texts, words) for word in text)
        return tuple(rank_frequency(counts, points=_POINTS))

    def figures(self, measured: Measured, copies: CopyIndex | None) -> Figures:
        """Diversity, repetition and copying; what takes more words or texts than there are is None.

        Args:
            measured: how much distinct-n and self-BLEU are taken over.
            copies: of the corpus, where there is one.
        """
        words, bleu_texts = measured.distinct_words, measured.bleu_texts
        cut = _first(self.texts, words) if words <= self.words else []
        alike = self.spoken[:bleu_texts]
        repeated = [repetition(text, _REPETITION) for text in self.texts]
        figures = Figures(
            sampled=len(self.texts),
            mean_length=_mean(self.lengths),
            distinct_1=distinct(cut, 1),
            distinct_2=distinct(cut, 2),
            distinct_3=distinct(cut, 3),
            self_bleu=self_bleu(alike) if alike and len(alike) == bleu_texts else None,
            repetition=_mean([share for share in repeated if share is not None]),
        )
        return figures if copies is None else self._copied(copies, figures)

    def _copied(self, copies: CopyIndex, figures: Figures) -> Figures:
        found = [copies.copied(text) for text in self.texts]
        return replace(
            figures,
            copied=sum(n for n, _ in found) / self.words if self.words else None,
            texts_with_copies=_mean([n > 0 for n, _ in found]),
            longest_copy=max((longest for _, longest in found), default=0),
        )


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
    """(words, share of the texts that have at most so many), of rising lengths."""
    points = [
        (length, (i + 1) / len(lengths))
        for i, length in enumerate(lengths)
        if i + 1 == len(lengths) or lengths[i + 1] != length
    ]
    step = max(1, len(points) / _POINTS)
    kept = {round(i * step) for i in range(_POINTS)} | {len(points) - 1}
    return tuple(point for i, point in enumerate(points) if i in kept and point[0] > 0)
