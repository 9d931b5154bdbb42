"""The LSTM language model in Keras 3: any backend, no TensorFlow import."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from model.settings import NetworkSettings

State = list[tuple[Any, Any]]


@keras.saving.register_keras_serializable(package="textmill")
class LanguageModel(layers.Layer):
    """Embedding, LSTM layers, output tied to the embedding (Press and Wolf 2017).

    Shapes: B texts, T time steps, V words, D embedding width, H hidden units.

    Args:
        settings: the sizes.
        seed: of the initial weights and the dropout masks.
    """

    def __init__(self, settings: NetworkSettings | dict[str, Any], *, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if isinstance(settings, dict):  # from get_config
            settings = NetworkSettings(**settings)
        self.settings, self.seed = settings, seed
        seeds = iter(np.random.SeedSequence(seed).generate_state(16).tolist())
        uniform = keras.initializers.RandomUniform(-0.1, 0.1, seed=next(seeds))
        self.embedding = layers.Embedding(
            settings.vocabulary, settings.embedding, embeddings_initializer=uniform
        )
        self.lstms = [
            layers.LSTM(
                settings.hidden,
                return_sequences=True,
                return_state=True,
                kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
                recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
            )
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

    def build(self, *_: Any) -> None:
        s = self.settings
        self.embedding.build((None, None))
        for i, lstm in enumerate(self.lstms):
            lstm.build((None, None, s.hidden if i else s.embedding))
        if self.projection is not None:
            self.projection.build((None, None, s.hidden))
        if self.context is not None:
            self.context.build((None, s.context))
        self.output_bias = self.add_weight(
            name="output_bias", shape=(s.vocabulary,), initializer="zeros"
        )
        self.built = True

    def initial_state(self, batch: int, context: Any = None) -> State:
        """(h, c) of each layer, [B, H]: zeros, or set by a context vector [B, C].

        With z the affine map of the context, h = tanh(z_h) (an LSTM's output lies in (-1, 1))
        and c = z_c.
        """
        s = self.settings
        if context is None:
            zeros = ops.zeros((batch, s.hidden))
            return [(zeros, zeros)] * s.layers
        assert self.context is not None, "the network was made without a context"
        chunks = ops.split(self.context(context), 2 * s.layers, axis=-1)
        return [(ops.tanh(chunks[2 * i]), chunks[2 * i + 1]) for i in range(s.layers)]

    def call(self, ids: Any, state: State, training: bool = False) -> tuple[Any, State]:
        """Logits [B, T, V] for the words after `ids` [B, T], and the state after the last."""
        x = self.embedding(ids)
        after: State = []
        for lstm, dropout, start in zip(self.lstms, self.dropouts, state, strict=False):
            x, h, c = lstm(dropout(x, training=training), initial_state=list(start))
            after.append((h, c))
        x = self.dropouts[-1](x, training=training)
        if self.projection is not None:
            x = self.projection(x)
        return ops.matmul(x, ops.transpose(self.embedding.embeddings)) + self.output_bias, after

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "settings": asdict(self.settings), "seed": self.seed}

    # -- weights as plain arrays -----------------------------------------------------------------

    def _named(self) -> dict[str, Any]:
        named = {"embedding": self.embedding.embeddings, "output_bias": self.output_bias}
        for i, lstm in enumerate(self.lstms):
            named[f"lstm_{i}_kernel"] = lstm.cell.kernel
            named[f"lstm_{i}_recurrent"] = lstm.cell.recurrent_kernel
            named[f"lstm_{i}_bias"] = lstm.cell.bias
        if self.projection is not None:
            named["projection"] = self.projection.kernel
        if self.context is not None:
            named["context_kernel"] = self.context.kernel
            named["context_bias"] = self.context.bias
        return named

    def arrays(self) -> dict[str, np.ndarray]:
        """Float32 copies of all weights by name; gates stand in the order i, f, c, o."""
        return {
            name: np.array(ops.convert_to_numpy(variable), np.float32)
            for name, variable in self._named().items()
        }

    def assign_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Sets all weights from what `arrays` gave."""
        for name, variable in self._named().items():
            variable.assign(arrays[name])

    def assign_output_bias(self, counts: tuple[int, ...]) -> None:
        """Starts the output at the words' own frequencies: the log of count + 1, normalised."""
        smoothed = np.array(counts, np.float64) + 1.0
        self.output_bias.assign(np.log(smoothed / smoothed.sum()).astype(np.float32))


class Trainee(keras.Model):
    """The language model as Keras trains it: inputs in, logits out, state kept between windows.

    Args:
        network: the language model.
        batch: B, fixed, as the carried state has that many rows; None where none is carried and
            the state starts from zeros or from the batch's contexts.
    """

    def __init__(self, network: LanguageModel, *, batch: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.network, self.batch = network, batch
        if not network.built:
            network.build()
        self.carried: list[tuple[Any, Any]] = []
        if batch is not None:
            hidden = network.settings.hidden
            self.carried = [
                (self._state(f"h{i}", (batch, hidden)), self._state(f"c{i}", (batch, hidden)))
                for i in range(network.settings.layers)
            ]

    def _state(self, name: str, shape: tuple[int, int]) -> Any:
        return self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False)

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        ids = inputs["ids"]
        if self.carried:
            # Values, not variables: they are assigned below, and gradients stop here.
            start = [
                (ops.stop_gradient(h + 0.0), ops.stop_gradient(c + 0.0)) for h, c in self.carried
            ]
        else:
            start = self.network.initial_state(ops.shape(ids)[0], inputs.get("context"))
        logits, after = self.network(ids, start, training=training)
        for (h, c), (new_h, new_c) in zip(self.carried, after, strict=False):
            h.assign(new_h)
            c.assign(new_c)
        return logits

    def forget(self) -> None:
        """Sets the carried state to zeros, as before the first window of a text."""
        for h, c in self.carried:
            h.assign(ops.zeros(h.shape))
            c.assign(ops.zeros(c.shape))


class Judge(keras.Model):
    """Negative log-likelihood of each next word, for `predict_on_batch`.

    Inputs: a dict of `ids` and `targets`, int32 [B, T], `h` and `c`, float32 [B, layers, H].
    Outputs: a dict of `nll` [B, T] in nats, and `h` and `c` after the last word.
    """

    def __init__(self, network: LanguageModel, **kwargs: Any):
        super().__init__(**kwargs)
        self.network = network
        if not network.built:
            network.build()

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        h, c = inputs["h"], inputs["c"]
        start = [(h[:, i], c[:, i]) for i in range(self.network.settings.layers)]
        logits, after = self.network(inputs["ids"], start)
        log_z = ops.logsumexp(logits, axis=-1)
        hit = ops.take_along_axis(logits, inputs["targets"][:, :, None], axis=-1)[:, :, 0]
        return {
            "nll": log_z - hit,
            "h": ops.stack([h for h, _ in after], axis=1),
            "c": ops.stack([c for _, c in after], axis=1),
        }
