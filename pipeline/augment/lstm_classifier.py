"""The small LSTM classifier: network and training.

Texts are cut at `MOST_WORDS` and padded on the right to the longest of their batch; the mean over
time leaves out the padding. The kernels are those of `network.cpu_kernels`, compiled once for
`BATCH` rows of any length. A network is made once for each number of labels, and each training
gives it new weights. So hundreds of trainings need only one compilation.

Shapes: B rows, T time steps, L labels, D width of word vectors, H hidden units.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from scipy.special import softmax

from textmill.model.network.recurrence import fast_kernels

MOST_WORDS = 40  # words of a text that are read
VOCABULARY = 8192  # rows of the embedding
BATCH, READ = 32, 128  # rows of a batch in training, and in prediction
_PAD, _UNKNOWN = 0, 1


@dataclass(frozen=True, kw_only=True)
class LstmSettings:
    """Sizes, rates and steps, tuned on seeds that are not reported (docs/benchmarks.md)."""

    embedding: int = 64
    hidden: int = 64
    dropout: float = 0.5
    word_dropout: float = 0.1
    spread: float = 0.2  # standard deviation of the first word vectors
    rate: float = 8e-3
    decay: float = 0.01
    steps: int = 500


class Network(keras.Model):
    """Word vectors, an LSTM, the mean of its states over time, a softmax.

    Args:
        labels: L.
        settings: sizes and rates.
        seed: seed of the dropout masks.
    """

    def __init__(self, labels: int, settings: LstmSettings, *, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.settings = settings
        self.embedding = layers.Embedding(VOCABULARY, settings.embedding)
        self.lstm = layers.LSTM(settings.hidden, return_sequences=True)
        self.inputs_dropout = layers.SpatialDropout1D(settings.dropout, seed=seed)
        self.dropout = layers.Dropout(settings.dropout, seed=seed + 1)
        self.words = keras.random.SeedGenerator(seed + 2)
        self.out = layers.Dense(labels)
        self.embedding.build((None, None))
        self.lstm.build((None, None, settings.embedding))
        self.out.build((None, settings.hidden))
        self.fast = fast_kernels()
        self.fresh: list[np.ndarray] = []  # the optimizer's variables before the first step
        self.built = True

    def call(self, ids: Any, training: bool = False) -> Any:
        """Gives logits [B, L] of ids, int32 [B, T]."""
        there = ids != _PAD
        if training and self.settings.word_dropout:
            kept = keras.random.uniform(ops.shape(ids), seed=self.words)
            ids = ops.where((kept < self.settings.word_dropout) & there, _UNKNOWN, ids)
        x = self._vectors(ids)
        x = self.inputs_dropout(x, training=training)
        weights = ops.cast(there, x.dtype)[:, :, None]
        mean = ops.sum(self._states(x) * weights, axis=1) / ops.sum(weights, axis=1)
        return self.out(self.dropout(mean, training=training))

    def _vectors(self, ids: Any) -> Any:
        if self.fast is None:
            return self.embedding(ids)
        return self.fast.take_some(self.embedding.embeddings, ids)

    def _states(self, x: Any) -> Any:
        """Gives h at each step, [B, T, H]."""
        if self.fast is None:
            return self.lstm(x)
        zeros = ops.zeros((x.shape[0] or ops.shape(x)[0], self.settings.hidden))
        cell = self.lstm.cell
        return self.fast.lstm(x, zeros, zeros, cell.kernel, cell.recurrent_kernel, cell.bias)[0]

    def start(self, seed: int) -> None:
        """Gives all weights new values."""
        random = np.random.default_rng(seed)
        s = self.settings
        self.embedding.embeddings.assign(random.normal(0, s.spread, (VOCABULARY, s.embedding)))
        cell = self.lstm.cell
        bound = np.sqrt(6 / (s.embedding + 4 * s.hidden))
        cell.kernel.assign(random.uniform(-bound, bound, cell.kernel.shape))
        gates = [np.linalg.qr(random.normal(size=(s.hidden, s.hidden)))[0] for _ in range(4)]
        cell.recurrent_kernel.assign(np.concatenate(gates, axis=1))
        bias = np.zeros(4 * s.hidden)
        bias[s.hidden : 2 * s.hidden] = 1  # of the forget gate
        cell.bias.assign(bias)
        bound = np.sqrt(6 / sum(self.out.kernel.shape))
        self.out.kernel.assign(random.uniform(-bound, bound, self.out.kernel.shape))
        self.out.bias.assign(np.zeros(self.out.bias.shape))
        dropouts = self.inputs_dropout, self.dropout
        for generator in (self.words, *(each.seed_generator for each in dropouts)):
            generator.state.assign(random.integers(0, 2**31, 2))


@functools.lru_cache(maxsize=8)
def _network(labels: int, settings: LstmSettings) -> Network:
    """Makes the network for a number of labels, once in a process."""
    network = Network(labels, settings)
    if network.fast is not None:
        optimizer = network.fast.AdamW(settings.rate, decay=settings.decay, clip=1.0)
    else:
        optimizer = keras.optimizers.AdamW(
            settings.rate, weight_decay=settings.decay, global_clipnorm=1.0
        )
    optimizer.build(network.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer=optimizer, loss=loss, jit_compile=False)
    network.fresh = [np.array(variable) for variable in optimizer.variables]
    return network


def _renew(network: Network, seed: int) -> None:
    """Gives the network new weights and resets its optimizer."""
    network.start(seed)
    for variable, value in zip(network.optimizer.variables, network.fresh, strict=True):
        variable.assign(value)


@dataclass(frozen=True)
class Trained:
    """A trained classifier: its words and weights."""

    ids: dict[str, int]
    labels: int
    settings: LstmSettings
    weights: list[np.ndarray]

    def probabilities(self, rows: Sequence[Sequence[str]]) -> np.ndarray:
        """Gives p(label | words), float64 [N, L]."""
        network = _network(self.labels, self.settings)
        network.set_weights(self.weights)
        return _probabilities(network, [_encoded(row, self.ids) for row in rows])


def train(
    rows: Sequence[Sequence[str]],
    labels: np.ndarray,
    *,
    seed: int = 0,
    settings: LstmSettings | None = None,
) -> Trained:
    """Trains a classifier on all rows; the rate falls to nearly zero.

    No rows are held out to end it sooner. At 20 rows a label these would be some eight rows, which
    cannot tell when to end, and the training would lack them.

    Args:
        rows: words of the N texts.
        labels: int [N], from 0.
        seed: see `LstmClassifier`.
        settings: sizes and rates; None takes the tuned ones.
    """
    settings = settings or LstmSettings()
    random = np.random.default_rng(seed)
    ids = _vocabulary(rows)
    encoded = [_encoded(row, ids) for row in rows]
    network = _network(int(labels.max()) + 1, settings)
    _renew(network, seed)
    order: list[int] = []
    for step in range(settings.steps):
        while len(order) < BATCH:
            order += random.permutation(len(rows)).tolist()
        batch, order = order[:BATCH], order[BATCH:]
        padded = keras.utils.pad_sequences([encoded[i] for i in batch], padding="post")
        network.optimizer.learning_rate = settings.rate * (1 - step / settings.steps)
        network.train_on_batch(padded, labels[batch])
    return Trained(ids, int(labels.max()) + 1, settings, network.get_weights())


def _vocabulary(rows: Sequence[Sequence[str]]) -> dict[str, int]:
    counts = Counter(word for row in rows for word in row)
    ordered = sorted(counts, key=lambda word: (-counts[word], word))[: VOCABULARY - 2]
    return {word: i for i, word in enumerate(ordered, start=2)}


def _encoded(row: Sequence[str], ids: dict[str, int]) -> list[int]:
    """Gives the ids of a row's first words; a row without words is one unknown word."""
    return [ids.get(word, _UNKNOWN) for word in row[:MOST_WORDS]] or [_UNKNOWN]


def _probabilities(network: Network, rows: Sequence[list[int]]) -> np.ndarray:
    """Gives probabilities, float64 [N, L], from batches of `READ` rows of similar length."""
    if not rows:
        return np.zeros((0, network.out.units))
    order = np.argsort([len(row) for row in rows], kind="stable")
    found = np.zeros((len(rows), network.out.units))
    for start in range(0, len(rows), READ):
        some = order[start : start + READ]
        filled = [rows[i] for i in some] + [[_PAD]] * (READ - len(some))
        ids = keras.utils.pad_sequences(filled, padding="post")
        logits = np.asarray(network.predict_on_batch(ids), np.float64)[: len(some)]
        found[some] = softmax(logits, axis=1)
    return found
