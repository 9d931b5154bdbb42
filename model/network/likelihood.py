"""Measures a network's perplexity, as defined here so that others can check it.

Perplexity is exp of the mean negative log-likelihood over all words to predict: unknown words count
as the word `<unk>`, each `<eos>` counts, padding does not. In `stream` mode the text starts from a
zero state and an `<eos>`, and the state is carried through it. A text of 4,000 words or more is cut
into up to 32 equal streams, which run side by side; each starts in this way. In `lines` mode each
line starts in this way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from textmill.model.network.context import Context
from textmill.model.network.lstm import LanguageModel
from textmill.model.network.reader import Judge
from textmill.model.text.dataset import WIDTHS, reversed_padded
from textmill.model.text.split import Part
from textmill.model.text.vocabulary import EOS, PAD, Vocabulary

_STREAM_WORDS = 2_000  # a text is cut into streams of at least this many words
_MOST_STREAMS = 32
_LINES = 32
_WINDOW = 64


@dataclass(frozen=True)
class Likelihood:
    """Total negative log-likelihood in nats of `tokens` words."""

    nats: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(nats / tokens)."""
        return math.exp(min(self.nats / self.tokens, 700.0))

    def bits_a_character(self, characters: int) -> float:
        """Gives the bits that encode the text, divided by its number of characters."""
        return self.nats / math.log(2) / max(characters, 1)


class Evaluator:
    """Measures a network on parts of a corpus; it is compiled once for all validations."""

    def __init__(
        self,
        network: LanguageModel,
        vocabulary: Vocabulary,
        context: Context | None = None,
        source: Vocabulary | None = None,
    ):
        self.network, self.vocabulary = network, vocabulary
        self.context, self.source = context or Context(), source
        self._judge = Judge(network)

    def __call__(self, part: Part) -> Likelihood:
        """Gives the likelihood of a part under the network."""
        ids = part.encode(self.vocabulary)
        if part.lengths is None:
            streams = int(np.clip(len(ids) // _STREAM_WORDS, 1, _MOST_STREAMS))
            rows = np.array_split(ids, streams)
            return self._score(rows, np.zeros((streams, 0), np.float32))
        rows = [np.append(row, EOS) for row in np.split(ids, np.cumsum(part.lengths)[:-1])]
        contexts = self.context.vectors(part.labels, part.numbers, rows=len(rows))
        sources: list[np.ndarray] | None = None
        if part.source is not None:
            assert self.source is not None, "the network was made without a source"
            assert part.source.lengths is not None
            whole = part.source.encode(self.source)
            sources = np.split(whole, np.cumsum(part.source.lengths)[:-1])
        # Lines of similar length are batched together, so that little is padded.
        order = np.argsort(part.lengths, kind="stable")
        batches = np.array_split(order, -(-len(order) // _LINES))
        scores = [
            self._score(
                [rows[i] for i in batch], contexts[batch],
                None if sources is None else [sources[i] for i in batch],
            )
            for batch in batches
        ]  # fmt: skip
        return Likelihood(sum(s.nats for s in scores), sum(s.tokens for s in scores))

    def each(
        self,
        rows: Sequence[np.ndarray],
        contexts: np.ndarray,
        sources: Sequence[np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        """Gives the negative log-likelihood in nats of each word of each row, float64.

        Args:
            rows: int32 ids with the `<eos>` at the end; each row has its own start.
            contexts: float32 [rows, C]; C is 0 for a network without a context.
            sources: int32 ids of the rows' sources, for a network that has some.
        """
        windows = [nats for nats, _ in self._windows(rows, contexts, sources)]
        return [row[: len(ids)] for row, ids in zip(np.hstack(windows), rows, strict=True)]

    def _score(
        self,
        rows: Sequence[np.ndarray],
        contexts: np.ndarray,
        sources: Sequence[np.ndarray] | None = None,
    ) -> Likelihood:
        windows = self._windows(rows, contexts, sources)
        nats = sum(float(nats[real].sum()) for nats, real in windows)
        return Likelihood(nats, sum(map(len, rows)))

    def _windows(
        self,
        rows: Sequence[np.ndarray],
        contexts: np.ndarray,
        sources: Sequence[np.ndarray] | None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Gives nats of each word, float64 [rows, `_WINDOW`], and which words are not padding.

        The rows are cut into windows, and the state is carried from one to the next. So there is
        one shape, however long the rows are.
        """
        windows = -(-max(len(row) for row in rows) // _WINDOW)
        targets = np.full((len(rows), windows * _WINDOW), PAD, np.int32)
        real = np.zeros(targets.shape, bool)
        for i, row in enumerate(rows):
            targets[i, : len(row)], real[i, : len(row)] = row, True
        inputs = np.concatenate([np.full((len(rows), 1), EOS, np.int32), targets[:, :-1]], axis=1)
        steady = {"context": contexts} if contexts.shape[1] else {}
        if sources is not None:
            longest = min(max(map(len, sources)), WIDTHS[-1])
            width = WIDTHS[int(np.searchsorted(WIDTHS, longest))]
            steady["source"] = reversed_padded([ids[: WIDTHS[-1]] for ids in sources], width)
        h, c = self._judge.start(len(rows), steady.get("context"), steady.get("source"))
        for i in range(windows):
            window = slice(i * _WINDOW, (i + 1) * _WINDOW)
            words = {"ids": inputs[:, window], "targets": targets[:, window]}
            out = self._judge.predict_on_batch({**words, "h": h, "c": c, **steady})
            h, c = np.asarray(out["h"]), np.asarray(out["c"])
            yield np.asarray(out["nll"], np.float64), real[:, window]
