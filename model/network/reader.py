"""The language model as Keras reads texts with it: logits of each next word, or its likelihood."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from textmill.model.network.lstm import LanguageModel


class Reader(keras.Model):
    """Gives the logits of each next word, for `predict_on_batch`.

    Inputs: a dict of `ids`, int32 [B, T], `h` and `c`, float32 [B, layers, H], and, if the network
    has a context, `context`, float32 [B, C], and if it has a source, `source`, int32 [B, S], see
    `SourceEncoder`.
    Outputs: a dict of `logits` [B, T, V], and `h` and `c` after the last word.
    """

    def __init__(self, network: LanguageModel, **kwargs: Any):
        super().__init__(**kwargs)
        self.network = network
        if not network.built:
            network.build()
        # As in training; without it, JAX would compile an adaptive output's conditions each time.
        self.compile(jit_compile=keras.backend.backend() == "jax")

    def call(self, inputs: dict[str, Any]) -> dict[str, Any]:
        h, c = inputs["h"], inputs["c"]
        start = [(h[:, i], c[:, i]) for i in range(self.network.settings.layers)]
        source = self.network.encode(inputs.get("source"))
        features, after = self.network.features(inputs["ids"], start, inputs.get("context"), source)
        return {
            **self.found(features, inputs),
            "h": ops.stack([h for h, _ in after], axis=1),
            "c": ops.stack([c for _, c in after], axis=1),
        }

    def found(self, features: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """Gives the outputs for each word."""
        return {"logits": self.network.logits(features)}

    def start(
        self, rows: int, contexts: np.ndarray | None, sources: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gives h and c, float32 [rows, layers, H]: zeros, or set by contexts and sources."""
        state = self.network.initial_state(rows, contexts, self.network.encode(sources))
        h, c = (np.stack([ops.convert_to_numpy(pair[i]) for pair in state], axis=1) for i in (0, 1))
        return h, c


class Judge(Reader):
    """Gives the negative log-likelihood `nll` [B, T] of each next word, in nats.

    Inputs: those of a `Reader`, and `targets`, int32 [B, T].
    """

    def found(self, features: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """See `Reader`."""
        return {"nll": self.network.nll(features, inputs["targets"])}
