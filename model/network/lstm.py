"""The LSTM language model in Keras 3, for any backend. It loads TensorFlow only as the backend.

Regularisation is as in AWD-LSTM (Merity et al., "Regularizing and optimizing LSTM language models",
2018): all masks are drawn once for each batch and are the same at every time step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from textmill.model.network.directory import SavedModel
from textmill.model.network.encoder import Encoded, GlobalAttention, SourceEncoder
from textmill.model.network.recurrence import State, drop_words, fast_kernels, lstm_layer, run
from textmill.model.settings import NetworkSettings

_PARTS = (16, 8, 4, 2, 1)  # a tail is computed for up to (all rows / part) of its rows


class AdaptiveOutput(layers.Layer):
    """The weights and the likelihood of an adaptive softmax (Grave et al. 2017).

    The head is a softmax over the frequent words, whose vectors are those of the embedding, and
    one entry for each tail cluster: p(w) = p(c) p(w | c) for a word w of a cluster c. A tail has
    narrow word vectors of its own behind a projection.

    Shapes: N rows, D embedding width, V words, C clusters, k words in a cluster of width d.

    Args:
        settings: sizes of a network with cut-offs.
        seeds: seeds of the initial weights.
    """

    def __init__(self, settings: NetworkSettings, *, seeds: Iterator[int], **kwargs: Any):
        super().__init__(**kwargs)
        self.settings, self.seeds = settings, seeds

    def build(self, *_: Any) -> None:
        def small() -> Any:
            return keras.initializers.RandomUniform(-0.1, 0.1, seed=next(self.seeds))

        width = self.settings.embedding
        count = len(self.settings.tails)
        self.cluster_kernel = self.add_weight(
            name="cluster_kernel", shape=(count, width), initializer=small()
        )
        self.cluster_bias = self.add_weight(
            name="cluster_bias", shape=(count,), initializer="zeros"
        )
        self.tails = []
        for i, (first, end, narrow) in enumerate(self.settings.tails):
            glorot = keras.initializers.GlorotUniform(seed=next(self.seeds))
            self.tails.append(
                (
                    self.add_weight(name=f"in_{i}", shape=(width, narrow), initializer=glorot),
                    self.add_weight(
                        name=f"out_{i}", shape=(end - first, narrow), initializer=small()
                    ),
                )
            )
        self.built = True

    def head(self, x: Any, embedding: Any, bias: Any) -> Any:
        """Gives logits [N, first cut-off + C] of the head: its words, then the clusters."""
        words = self.settings.cutoffs[0]
        fast = fast_kernels()
        frequent = embedding[:words] if fast is None else fast.take_some(embedding, range(words))
        kernel = ops.concatenate([frequent, self.cluster_kernel], axis=0)
        return ops.matmul(x, ops.transpose(kernel)) + ops.concatenate(
            [bias[:words], self.cluster_bias], axis=0
        )

    def tail(self, i: int, x: Any, bias: Any) -> Any:
        """Gives logits [N, k] of the words of cluster i, given that it is chosen."""
        first, end, _ = self.settings.tails[i]
        into, out = self.tails[i]
        return ops.matmul(ops.matmul(x, into), ops.transpose(out)) + bias[first:end]

    def log_probabilities(self, x: Any, embedding: Any, bias: Any) -> Any:
        """Gives log p of every word, [N, V]."""
        words = self.settings.cutoffs[0]
        head = ops.log_softmax(self.head(x, embedding, bias))
        parts = [head[:, :words]]
        for i in range(len(self.tails)):
            within = ops.log_softmax(self.tail(i, x, bias))
            parts.append(head[:, words + i : words + i + 1] + within)
        return ops.concatenate(parts, axis=-1)

    def nll(self, x: Any, targets: Any, embedding: Any, bias: Any) -> Any:
        """Gives -log p of the targets, int [N], without computing all clusters for all rows.

        A tail is computed only for its own rows. Shapes are fixed, so the rows are sorted, its own
        first. The first sixteenth is computed if it has any own rows, the next part if there are
        more, and so on up to all rows. This is always right, and seldom computes more than twice
        what is needed.
        """
        words = self.settings.cutoffs[0]
        cluster = sum(ops.cast(targets >= first, "int32") for first in self.settings.cutoffs)
        place = ops.where(cluster > 0, words - 1 + cluster, targets)
        total = _cross_entropy(place, self.head(x, embedding, bias))
        rows = ops.shape(x)[0]
        bounds = [0, *(-(-rows // part) for part in _PARTS)]
        for i, (first, end, _) in enumerate(self.settings.tails):
            mine = cluster == i + 1
            count = ops.sum(ops.cast(mine, "int32"))
            order = ops.argsort(ops.where(mine, 0, 1))
            own = ops.clip(targets - first, 0, end - first - 1)
            parts = []
            for start, stop in pairwise(bounds):
                some = order[start:stop]

                def compute(i: int = i, own: Any = own, some: Any = some) -> Any:
                    logits = self.tail(i, ops.take(x, some, axis=0), bias)
                    return _cross_entropy(ops.take(own, some, axis=0), logits)

                def skip(some: Any = some) -> Any:
                    return ops.zeros(ops.shape(some), x.dtype)

                parts.append(ops.cond(count > start, compute, skip))
            within = ops.take(ops.concatenate(parts, axis=0), ops.argsort(order), axis=0)
            total = total + ops.where(mine, within, 0.0)
        return total


def _cross_entropy(targets: Any, logits: Any) -> Any:
    return ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)


@keras.saving.register_keras_serializable(package="textmill")
class LanguageModel(layers.Layer):
    """Embedding, LSTM layers, output tied to the embedding (Press and Wolf 2017).

    If the settings have cut-offs, the output is an `AdaptiveOutput`, whose head is tied.

    Shapes: B texts, T time steps, V words, D embedding width, H hidden units.

    Args:
        settings: the sizes.
        seed: seed of the initial weights and the dropout masks.
        weight_drop: share of the recurrent kernels' weights that is dropped in training (Wan et
            al. 2013).
        word_dropout: share of the vocabulary whose vectors are zero as inputs in training (Gal and
            Ghahramani 2016).
        precision: precision of the products of the LSTM layers and of a dense output. With
            `bfloat16`, weights and everything else stay float32 (mixed precision, Micikevicius et
            al. 2018; bfloat16 has float32's range, so losses need no scaling).
    """

    def __init__(
        self,
        settings: NetworkSettings | dict[str, Any],
        *,
        seed: int = 0,
        weight_drop: float = 0.0,
        word_dropout: float = 0.0,
        precision: str = "float32",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.weight_drop, self.word_dropout = weight_drop, word_dropout
        self.precision = precision
        if isinstance(settings, dict):  # from get_config
            settings = NetworkSettings(**settings)
        self.settings, self.seed = settings, seed
        seeds = iter(np.random.SeedSequence(seed).generate_state(32).tolist())
        uniform = keras.initializers.RandomUniform(-0.1, 0.1, seed=next(seeds))
        self.embedding = layers.Embedding(
            settings.vocabulary, settings.embedding, embeddings_initializer=uniform
        )
        self.lstms = [
            lstm_layer(settings.hidden, seeds=seeds, precision=precision)
            for _ in range(settings.layers)
        ]
        # Drops the same features at every time step: locked dropout (Gal and Ghahramani 2016).
        self.dropouts = [
            layers.SpatialDropout1D(settings.dropout, seed=next(seeds))
            for _ in range(settings.layers + 1)
        ]
        self.projection = None
        if settings.hidden != settings.embedding:
            self.projection = layers.Dense(
                settings.embedding,
                use_bias=False,
                kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
            )
        self.context = None
        if settings.context:
            self.context = layers.Dense(
                2 * settings.layers * settings.hidden,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.1, seed=next(seeds)),
            )
        self.adaptive = AdaptiveOutput(settings, seeds=seeds) if settings.tails else None
        # It takes the last seed, so that networks without a context start as in earlier versions.
        self.masks = keras.random.SeedGenerator(next(seeds))
        self.context_input = None
        if settings.context:
            self.context_input = layers.Dense(
                settings.embedding,
                use_bias=False,
                kernel_initializer=keras.initializers.RandomNormal(stddev=0.1, seed=next(seeds)),
            )
        self.fast = fast_kernels() if precision == "float32" else None
        self.encoder = self.attention = None
        # Seeds of their own: what is above starts as in a network without a source.
        more = iter(np.random.SeedSequence([seed, 1]).generate_state(32).tolist())
        if settings.source:
            self.encoder = SourceEncoder(
                settings, seeds=more, weight_drop=weight_drop, word_dropout=word_dropout,
                precision=precision,
            )  # fmt: skip
        if settings.attention:
            self.attention = GlobalAttention(settings.hidden, seeds=more)

    def build(self, *_: Any) -> None:
        s = self.settings
        self.embedding.build((None, None))
        for i, lstm in enumerate(self.lstms):
            lstm.build((None, None, s.hidden if i else s.embedding))
        if self.projection is not None:
            self.projection.build((None, None, s.hidden))
        if self.context is not None:
            self.context.build((None, s.context))
        if self.context_input is not None:
            self.context_input.build((None, s.context))
        self.output_bias = self.add_weight(
            name="output_bias", shape=(s.vocabulary,), initializer="zeros"
        )
        for part in (self.adaptive, self.encoder, self.attention):
            if part is not None:
                part.build()
        self.built = True

    def encode(self, source: Any, training: bool = False) -> Encoded | None:
        """Reads sources, int [B, S]; None if there are none. See `SourceEncoder`."""
        if source is None:
            return None
        assert self.encoder is not None, "the network was made without a source"
        return self.encoder(source, training=training)

    def initial_state(
        self, batch: int, context: Any = None, source: Encoded | None = None
    ) -> State:
        """Gives (h, c) of each layer, [B, H]: zeros, or set by a context [B, C] and a source.

        If z is the affine map of the context, h = tanh(z_h), as an LSTM's output is in (-1, 1), and
        c = z_c. A source sets the state that the encoder ends in. With both, they are added.
        """
        s = self.settings
        if source is not None:
            if context is None:
                return source.state
            own = self.initial_state(batch, context)
            return [(a + h, b + c) for (a, b), (h, c) in zip(own, source.state, strict=True)]
        if context is None:
            zeros = ops.zeros((batch, s.hidden))
            return [(zeros, zeros)] * s.layers
        assert self.context is not None, "the network was made without a context"
        chunks = ops.split(self.context(context), 2 * s.layers, axis=-1)
        return [(ops.tanh(chunks[2 * i]), chunks[2 * i + 1]) for i in range(s.layers)]

    def call(
        self,
        ids: Any,
        state: State,
        context: Any = None,
        source: Encoded | None = None,
        training: bool = False,
    ) -> tuple[Any, State]:
        """Gives logits [B, T, V] for the words after `ids` [B, T], and the state after the last.

        Args:
            ids: int [B, T].
            state: the state before the first word.
            context: float32 [B, C], which a linear map adds to every word's vector; the same that
                `initial_state` was given.
            source: from `encode`, if the network has a source.
            training: whether dropout is on.
        """
        x, after = self.features(ids, state, context, source, training=training)
        return self.logits(x), after

    def features(
        self,
        ids: Any,
        state: State,
        context: Any = None,
        source: Encoded | None = None,
        training: bool = False,
    ) -> tuple[Any, State]:
        """Gives the input of the output layer, [B, T, D], and the state after the last word."""
        hidden, after = self.states(ids, state, context, source, training=training)
        return self.projected(self.dropouts[-1](hidden, training=training)), after

    def states(
        self,
        ids: Any,
        state: State,
        context: Any = None,
        source: Encoded | None = None,
        training: bool = False,
    ) -> tuple[Any, State]:
        """Gives h of the last layer at each step, [B, T, H], and the state after the last word.

        With attention, what it gives stands in for h.
        """
        x = self._embedded(ids, training)
        if context is not None:  # at every step, because the state forgets it
            assert self.context_input is not None, "the network was made without a context"
            x = x + ops.expand_dims(self.context_input(context), 1)
        after: State = []
        for lstm, dropout, start in zip(self.lstms, self.dropouts, state, strict=False):
            x, h, c = run(
                lstm, dropout(x, training=training), start, fast=self.fast, masks=self.masks,
                dropped=self.weight_drop if training else 0.0,
            )  # fmt: skip
            after.append((h, c))
        if self.attention is not None:
            assert source is not None, "attention needs a source"
            x = self.attention(x, source.outputs, source.here)
        return x, after

    def projected(self, hidden: Any) -> Any:
        """Projects [B, T, H] to [B, T, D]."""
        return hidden if self.projection is None else self.projection(hidden)

    def _embedded(self, ids: Any, training: bool) -> Any:
        if self.fast is None:
            x = self.embedding(ids)
        elif self.adaptive is None:
            x = self.fast.take(self.embedding.embeddings, ids)
        else:
            x = self.fast.take_some(self.embedding.embeddings, ids)
        if not (training and self.word_dropout):
            return x
        return drop_words(x, ids, self.settings.vocabulary, self.word_dropout, masks=self.masks)

    def logits(self, features: Any) -> Any:
        """Gives logits [B, T, V]; those of an adaptive output are log-probabilities."""
        embedding, bias = self.embedding.embeddings, self.output_bias
        if self.adaptive is None:
            pair = (ops.cast(each, self.precision) for each in (features, ops.transpose(embedding)))
            return ops.cast(ops.matmul(*pair), "float32") + bias
        shape = ops.shape(features)
        flat = ops.reshape(features, (-1, self.settings.embedding))
        found = self.adaptive.log_probabilities(flat, embedding, bias)
        return ops.reshape(found, (*shape[:2], self.settings.vocabulary))

    def nll(self, features: Any, targets: Any) -> Any:
        """Gives -log p of the targets, int [B, T], in nats, float32 [B, T]."""
        rows = ops.reshape(features, (-1, self.settings.embedding))
        flat = ops.reshape(ops.cast(targets, "int32"), (-1,))
        weights = self.embedding.embeddings, self.output_bias
        if self.adaptive is not None:
            found = self.adaptive.nll(rows, flat, *weights)
        elif self.fast is not None:
            found = self.fast.nll(rows, flat, *weights)
        else:
            return _cross_entropy(targets, self.logits(features))
        return ops.reshape(found, ops.shape(targets))

    def get_config(self) -> dict[str, Any]:
        own = {
            "seed": self.seed,
            "weight_drop": self.weight_drop,
            "word_dropout": self.word_dropout,
            "precision": self.precision,
        }
        return {**super().get_config(), "settings": asdict(self.settings), **own}

    # -- weights as plain arrays -----------------------------------------------------------------

    def _named(self) -> dict[str, Any]:
        named = {"embedding": self.embedding.embeddings, "output_bias": self.output_bias}
        for i, lstm in enumerate(self.lstms):
            named[f"lstm_{i}_kernel"] = lstm.cell.kernel
            named[f"lstm_{i}_recurrent"] = lstm.cell.recurrent_kernel
            named[f"lstm_{i}_bias"] = lstm.cell.bias
        if self.adaptive is not None:
            named["cluster_kernel"] = self.adaptive.cluster_kernel
            named["cluster_bias"] = self.adaptive.cluster_bias
            for i, (into, out) in enumerate(self.adaptive.tails):
                named[f"tail_{i}_in"], named[f"tail_{i}_out"] = into, out
        if self.projection is not None:
            named["projection"] = self.projection.kernel
        if self.context is not None:
            named["context_kernel"] = self.context.kernel
            named["context_bias"] = self.context.bias
        if self.context_input is not None:
            named["context_input"] = self.context_input.kernel
        for part in (self.encoder, self.attention):
            if part is not None:
                named |= part.named()
        return named

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies all weights, float32, by name; gates are in the order i, f, c, o."""
        return {
            name: np.array(ops.convert_to_numpy(variable), np.float32)
            for name, variable in self._named().items()
        }

    def assign_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Sets all weights to what `arrays` gave."""
        for name, variable in self._named().items():
            variable.assign(arrays[name])

    def assign_output_bias(self, counts: tuple[int, ...]) -> None:
        """Starts the output at the words' own frequencies: the log of count + 1, normalised."""
        smoothed = np.array(counts, np.float64) + 1.0
        smoothed /= smoothed.sum()
        self.output_bias.assign(np.log(smoothed).astype(np.float32))
        if self.adaptive is not None:
            mass = [smoothed[first:end].sum() for first, end, _ in self.settings.tails]
            self.adaptive.cluster_bias.assign(np.log(mass).astype(np.float32))


def restored(model: SavedModel) -> LanguageModel:
    """The network of a saved model, with its weights."""
    network = LanguageModel(model.network)
    network.build()
    network.assign_arrays(model.arrays)
    return network
