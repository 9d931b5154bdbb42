"""Splits a tokenised corpus into training, validation and test parts: 90, 5 and 5 %."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.text.corpus import Corpus
from textmill.model.text.tokens import join
from textmill.model.text.vocabulary import (
    EOS,
    UNKNOWN,
    TokenizedTexts,
    Vocabulary,
    tokenize_texts,
)

END = -1  # the provisional id of <eos>, before a vocabulary is chosen
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Part:
    """A part of a corpus, as provisional ids.

    Attributes:
        ids: int32 [N], positions in `words`; in `stream` mode `END` closes each paragraph.
        lengths: number of tokens of each line, or None in `stream` mode.
        labels: one label for each line, or None.
        numbers: the numbers of each line's row, float32 [lines, F], or None.
        source: the sources of the lines, as a part of their own, or None.
        words: the distinct tokens of the whole corpus.
    """

    ids: np.ndarray
    lengths: np.ndarray | None
    labels: list[str] | None
    words: list[str]
    numbers: np.ndarray | None = None
    source: Part | None = None

    def encode(self, vocabulary: Vocabulary) -> np.ndarray:
        """Gives the ids of the vocabulary, int32 [N]."""
        mapping = np.append(vocabulary.lookup(self.words), EOS).astype(np.int32)
        return mapping[self.ids]  # END is -1 and so takes the last entry

    def counts(self) -> np.ndarray:
        """Counts how often each of `words` occurs in this part."""
        return np.bincount(self.ids[self.ids != END], minlength=len(self.words))

    def unknown_rate(self, vocabulary: Vocabulary) -> float:
        """Gives the share of tokens, without `<eos>`, that are not in the vocabulary."""
        tokens = self.ids != END
        return float(np.mean(self.encode(vocabulary)[tokens] == UNKNOWN)) if tokens.any() else 0.0

    def characters(self, level: str) -> int:
        """Gives the length of the text; each `<eos>` counts as one character."""
        if self.lengths is None:
            ends = np.flatnonzero(self.ids == END)
            texts = np.split(self.ids, ends)
        else:
            ends = np.cumsum(self.lengths)
            texts = np.split(self.ids, ends[:-1])
        tokens = ([self.words[i] for i in text[text != END]] for text in texts)
        return sum(len(join(words, level)) for words in tokens) + len(ends)

    def head(self, tokens: int) -> Part:
        """Gives the first words, or the first lines that hold about this number of tokens."""
        if self.lengths is None:
            return replace(self, ids=self.ids[:tokens])
        lines = max(1, int(np.searchsorted(np.cumsum(self.lengths + 1), tokens)))
        return replace(
            self,
            ids=self.ids[: int(self.lengths[:lines].sum())],
            lengths=self.lengths[:lines],
            labels=None if self.labels is None else self.labels[:lines],
            numbers=None if self.numbers is None else self.numbers[:lines],
            source=None if self.source is None else _lines(self.source, np.arange(lines)),
        )

    @property
    def ends(self) -> int:
        """How many times `<eos>` is to be predicted."""
        return int(np.sum(self.ids == END)) if self.lengths is None else len(self.lengths)

    @property
    def tokens(self) -> int:
        """Number of words to predict, each `<eos>` included."""
        return len(self.ids) + (0 if self.lengths is None else len(self.lengths))


def whole(
    texts: TokenizedTexts,
    *,
    mode: str,
    labels: list[str] | None = None,
    numbers: np.ndarray | None = None,
    source: TokenizedTexts | None = None,
) -> Part:
    """Makes one part of the whole corpus."""
    if mode == "stream":
        stream = np.insert(texts.ids, np.cumsum(texts.lengths), END).astype(np.int32)
        return Part(stream, None, None, texts.words)
    own = None if source is None else whole(source, mode="lines")
    return Part(texts.ids, texts.lengths, labels, texts.words, numbers, own)


def tokenized_part(corpus: Corpus, *, level: str, mode: str) -> Part:
    """Tokenises a whole corpus into one part."""
    texts = tokenize_texts(corpus.texts, level)
    source = None
    if corpus.sources_of_texts is not None:
        source = tokenize_texts(corpus.sources_of_texts, level)
    return whole(texts, mode=mode, labels=corpus.labels, numbers=corpus.numbers, source=source)


def split(part: Part) -> dict[str, Part]:
    """Cuts the parts `train`, `valid` and `test` by position in words or lines.

    Tables are often sorted, so lines that are rows are first shuffled, always alike.

    Raises:
        TextmillError: the corpus is too small for three parts.
    """
    if part.lengths is None:
        cuts = _cuts(len(part.ids), least=400, unit="words")
        return {
            name: Part(part.ids[a:b], None, None, part.words)
            for name, (a, b) in zip(PARTS, cuts, strict=True)
        }
    rows = any(each is not None for each in (part.labels, part.numbers, part.source))
    lines = lines_of_parts(len(part.lengths), rows=rows)
    return {name: _lines(part, chosen) for name, chosen in lines.items()}


def lines_of_parts(count: int, *, rows: bool) -> dict[str, np.ndarray]:
    """Gives the numbers of the lines of each part.

    Args:
        count: of all lines.
        rows: whether the lines are rows, with labels, numbers or sources.
    """
    order = np.arange(count)
    if rows:
        np.random.default_rng(0).shuffle(order)
    cuts = _cuts(count, least=20, unit="lines")
    return {name: order[a:b] for name, (a, b) in zip(PARTS, cuts, strict=True)}


def _cuts(count: int, *, least: int, unit: str) -> list[tuple[int, int]]:
    if count < least:
        raise TextmillError(
            f"the corpus has only {count} {unit}, at least {least} are needed to train, validate "
            "and test on; add text"
        )
    ends = [count * 90 // 100, count * 95 // 100, count]
    return list(zip([0, *ends], ends, strict=False))


def _lines(part: Part, chosen: np.ndarray) -> Part:
    assert part.lengths is not None
    starts = np.concatenate([[0], np.cumsum(part.lengths)])
    pieces = [part.ids[starts[i] : starts[i + 1]] for i in chosen]
    labels = None if part.labels is None else [part.labels[i] for i in chosen]
    numbers = None if part.numbers is None else part.numbers[chosen]
    source = None if part.source is None else _lines(part.source, chosen)
    return Part(np.concatenate(pieces), part.lengths[chosen], labels, part.words, numbers, source)
