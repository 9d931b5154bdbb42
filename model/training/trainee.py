"""The language model as Keras trains it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from textmill.model.network.lstm import LanguageModel


class Trainee(keras.Model):
    """The language model as Keras trains it; it keeps the state between windows.

    It takes inputs and gives features. The loss is the weighted mean negative log-likelihood of the
    targets.

    Args:
        network: the language model.
        batch: B, which is fixed if the state is carried; None if the state starts from zeros or
            from the batch's contexts.
        activation: factor of a penalty on the mean square of the last layer's h after dropout.
        slowness: factor of a penalty on the mean square of the change of the last layer's h, before
            dropout, from step to step.
    """

    def __init__(
        self,
        network: LanguageModel,
        *,
        batch: int | None = None,
        activation: float = 0.0,
        slowness: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.network, self.batch = network, batch
        self.activation, self.slowness = activation, slowness
        self.likelihood = keras.metrics.Mean(name="nll")
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
            # These are values, not variables, which are assigned below; gradients stop here.
            start = [
                (ops.stop_gradient(h + 0.0), ops.stop_gradient(c + 0.0)) for h, c in self.carried
            ]
            source = None
        else:
            source = self.network.encode(inputs.get("source"), training=training)
            start = self.network.initial_state(ops.shape(ids)[0], inputs.get("context"), source)
        context = inputs.get("context")
        hidden, after = self.network.states(ids, start, context, source, training=training)
        for (h, c), (new_h, new_c) in zip(self.carried, after, strict=False):
            h.assign(new_h)
            c.assign(new_c)
        dropped = self.network.dropouts[-1](hidden, training=training)
        if training and self.activation:
            self.add_loss(self.activation * ops.mean(ops.square(dropped)))
        if training and self.slowness:
            self.add_loss(self.slowness * ops.mean(ops.square(hidden[:, 1:] - hidden[:, :-1])))
        return self.network.projected(dropped)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Gives the mean of -log p over words of weight 1; padding has weight 0."""
        words = ops.sum(sample_weight)
        nll = ops.sum(self.network.nll(y_pred, y) * sample_weight) / words
        self.likelihood.update_state(nll)
        return sum(self.losses, nll)

    def forget(self) -> None:
        """Sets the carried state to zeros, as before the first window of a text."""
        for h, c in self.carried:
            h.assign(ops.zeros(h.shape))
            c.assign(ops.zeros(c.shape))
