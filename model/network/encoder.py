"""Reads a source text and attends to it: the encoder's half of sequence to sequence.

Shapes: B texts, T time steps of the text, S of the source, D embedding width, H hidden units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from textmill.model.network.recurrence import State, drop_words, fast_kernels, lstm_layer, run
from textmill.model.settings import NetworkSettings
from textmill.model.text.vocabulary import PAD


@dataclass(frozen=True)
class Encoded:
    """A batch of sources after the encoder.

    Attributes:
        state: h and c of each layer after the last word, [B, H].
        outputs: h of the last layer at each step, [B, S, H]; of no use at padding.
        here: float32 [B, S], 1 at a word and 0 at padding.
    """

    state: State
    outputs: Any
    here: Any


class SourceEncoder(layers.Layer):
    """LSTM layers with an embedding of their own, for the words of a source.

    Sources come with their last word first, which brings the first words of source and text close
    (Sutskever et al. 2014). Padding stands behind the words and leaves the state as it is.

    Args:
        settings: sizes of a network with a source.
        seeds: seeds of the initial weights.
        weight_drop, word_dropout, precision: as in `LanguageModel`.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        *,
        seeds: Iterator[int],
        weight_drop: float,
        word_dropout: float,
        precision: str,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.settings, self.weight_drop, self.word_dropout = settings, weight_drop, word_dropout
        uniform = keras.initializers.RandomUniform(-0.1, 0.1, seed=next(seeds))
        self.embedding = layers.Embedding(
            settings.source, settings.embedding, embeddings_initializer=uniform
        )
        self.lstms = [
            lstm_layer(settings.hidden, seeds=seeds, precision=precision)
            for _ in range(settings.layers)
        ]
        self.dropouts = [
            layers.SpatialDropout1D(settings.dropout, seed=next(seeds))
            for _ in range(settings.layers)
        ]
        self.masks = keras.random.SeedGenerator(next(seeds))
        self.fast = fast_kernels() if precision == "float32" else None

    def build(self, *_: Any) -> None:
        s = self.settings
        self.embedding.build((None, None))
        for i, lstm in enumerate(self.lstms):
            lstm.build((None, None, s.hidden if i else s.embedding))
        self.built = True

    def call(self, source: Any, training: bool = False) -> Encoded:
        """Reads sources, int [B, S]; see the class for their order."""
        here = ops.cast(ops.not_equal(source, PAD), "float32")
        x = self._embedded(source, training)
        zeros = ops.zeros((ops.shape(source)[0], self.settings.hidden))
        state: State = []
        for lstm, dropout in zip(self.lstms, self.dropouts, strict=True):
            x = dropout(x, training=training)
            x, h, c = run(
                lstm, x, (zeros, zeros), fast=self.fast, masks=self.masks, here=here,
                dropped=self.weight_drop if training else 0.0,
            )  # fmt: skip
            state.append((h, c))
        return Encoded(state, x, here)

    def _embedded(self, source: Any, training: bool) -> Any:
        table = self.embedding.embeddings
        x = self.embedding(source) if self.fast is None else self.fast.take(table, source)
        if not (training and self.word_dropout):
            return x
        return drop_words(x, source, self.settings.source, self.word_dropout, masks=self.masks)

    def named(self) -> dict[str, Any]:
        """Gives the weights by the names of `weight_shapes`."""
        found = {"source_embedding": self.embedding.embeddings}
        for i, lstm in enumerate(self.lstms):
            found[f"source_{i}_kernel"] = lstm.cell.kernel
            found[f"source_{i}_recurrent"] = lstm.cell.recurrent_kernel
            found[f"source_{i}_bias"] = lstm.cell.bias
        return found


class GlobalAttention(layers.Layer):
    """Looks at all of a source at each step (Luong et al. 2015, global attention, `general`).

    With h of the decoder, and the encoder's outputs e_s: weights a = softmax over s of h W e_s,
    context c = sum of a_s e_s, and the step's result is tanh([c, h] U).

    Args:
        hidden: H.
        seeds: seeds of the initial weights.
    """

    def __init__(self, hidden: int, *, seeds: Iterator[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.initializers = [keras.initializers.GlorotUniform(seed=next(seeds)) for _ in range(2)]

    def build(self, *_: Any) -> None:
        first, second = self.initializers
        size = self.hidden
        self.score = self.add_weight(name="score", shape=(size, size), initializer=first)
        self.combine = self.add_weight(name="combine", shape=(2 * size, size), initializer=second)
        self.built = True

    def call(self, h: Any, outputs: Any, here: Any) -> Any:
        """Gives what stands in for h, [B, T, H], at each step.

        Args:
            h: of the decoder's last layer, [B, T, H].
            outputs, here: see `Encoded`.
        """
        query = ops.matmul(h, self.score)
        scores = ops.matmul(query, ops.transpose(outputs, (0, 2, 1)))
        scores = scores + (here[:, None] - 1.0) * 1e9
        seen = ops.matmul(ops.softmax(scores, axis=-1), outputs)
        return ops.tanh(ops.matmul(ops.concatenate([seen, h], axis=-1), self.combine))

    def named(self) -> dict[str, Any]:
        """Gives the weights by the names of `weight_shapes`."""
        return {"attention_score": self.score, "attention_combine": self.combine}
