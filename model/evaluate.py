"""Perplexity of a network, defined so that others can check it.

Perplexity is exp of the mean negative log-likelihood over all words to predict: unknown words count
as the word `<unk>`, each `<eos>` counts, padding does not. In `stream` mode the state is carried
through the text from a zero state and an `<eos>`; a text of more than 4,000 words is cut into up to
32 equal streams that run side by side, each starting so. In `lines` mode each line starts so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.dataset import LineBatches
from model.network import Judge, LanguageModel
from model.split import Part
from model.vocabulary import EOS, PAD, Vocabulary

_STREAM_WORDS = 2_000  # at least so many words share one zero start
_MOST_STREAMS = 32
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
        """Bits to tell the text, shared out over its characters."""
        return self.nats / math.log(2) / max(characters, 1)


def one_hot(labels: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Context vectors of labels, float32 [texts, len(names)]."""
    index = {name: i for i, name in enumerate(names)}
    return np.eye(len(names), dtype=np.float32)[[index[label] for label in labels]]


class Evaluator:
    """Measures a network on parts of a corpus; compiled once, used at each validation."""

    def __init__(self, network: LanguageModel, vocabulary: Vocabulary, labels: Sequence[str] = ()):
        self.network, self.vocabulary, self.labels = network, vocabulary, labels
        self._judge = Judge(network)
        self._judge.compile(jit_compile=False)

    def __call__(self, part: Part) -> Likelihood:
        """Likelihood of a part under the network."""
        ids = part.encode(self.vocabulary)
        if part.lengths is None:
            return self._stream(ids)
        contexts = None if part.labels is None else one_hot(part.labels, self.labels)
        return self._lines(ids, part.lengths, contexts)

    def _stream(self, ids: np.ndarray) -> Likelihood:
        streams = int(np.clip(len(ids) // _STREAM_WORDS, 1, _MOST_STREAMS))
        length = -(-len(ids) // streams)
        windows = -(-length // _WINDOW)
        targets = np.full((streams, windows * _WINDOW), PAD, np.int32)
        real = np.zeros(targets.shape, bool)
        for row in range(streams):
            text = ids[row * length : (row + 1) * length]
            targets[row, : len(text)] = text
            real[row, : len(text)] = True
        inputs = np.concatenate([np.full((streams, 1), EOS, np.int32), targets[:, :-1]], axis=1)
        settings = self.network.settings
        h = c = np.zeros((streams, settings.layers, settings.hidden), np.float32)
        nats = 0.0
        for i in range(windows):
            window = slice(i * _WINDOW, (i + 1) * _WINDOW)
            out = self._judge.predict_on_batch(
                {"ids": inputs[:, window], "targets": targets[:, window], "h": h, "c": c}
            )
            h, c = np.asarray(out["h"]), np.asarray(out["c"])
            nats += float(np.asarray(out["nll"], np.float64)[real[:, window]].sum())
        return Likelihood(nats, len(ids))

    def _lines(
        self, ids: np.ndarray, lengths: np.ndarray, contexts: np.ndarray | None
    ) -> Likelihood:
        batches = LineBatches(
            ids, lengths, batch=32, seed=0, contexts=contexts, shuffle=False
        ).batches(0)
        settings = self.network.settings
        nats = tokens = 0.0
        for inputs, targets, weights in batches:
            if contexts is None:
                zeros = np.zeros((len(targets), settings.layers, settings.hidden), np.float32)
                inputs = {**inputs, "h": zeros, "c": zeros}
            out = self._judge.predict_on_batch({**inputs, "targets": targets})
            nats += float((np.asarray(out["nll"], np.float64) * weights).sum())
            tokens += float(weights.sum())
        return Likelihood(nats, int(tokens))
