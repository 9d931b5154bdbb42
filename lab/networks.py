"""What the checker asks of a student's network, done where it is: beside the student's code.

The verdict is made elsewhere, from what these functions give, so TensorFlow loads only here.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
import time
from collections.abc import Callable
from typing import Any

ASKED = ("run", "step", "train", "fit", "first_states", "masks", "parameters")


def is_network(value: Any) -> bool:
    """Whether a value is a Keras model, also if it is of a class of the student's own."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.Model)


def seed(number: int) -> None:
    """Loads TensorFlow, and fixes what Keras draws."""
    import keras
    import tensorflow  # noqa: F401

    keras.utils.set_random_seed(number)


def run(model: Any, inputs: list[Any]) -> list[Any]:
    """Gives the model's outputs as arrays; one input comes as it is.

    Nothing is said of training, so dropout is off, unless a layer was told to keep it on.
    """
    import numpy as np
    from keras import ops

    tensors = [ops.convert_to_tensor(each) for each in inputs]
    found = model(tensors[0] if len(tensors) == 1 else tensors)
    return [np.asarray(each) for each in (found if isinstance(found, list | tuple) else [found])]


def step(model: Any, ids: Any, h: Any, c: Any) -> list[Any]:
    """Runs a language model as `run` does, but compiled: for word after word of a long text."""
    import numpy as np
    import tensorflow as tf

    return [np.asarray(each) for each in _compiled(model)(*map(tf.constant, (ids, h, c)))]


@functools.lru_cache(maxsize=1)
def _compiled(model: Any) -> Callable[..., Any]:
    import tensorflow as tf

    return tf.function(lambda ids, h, c: model([ids, h, c], training=False), reduce_retracing=True)


def train(
    model: Any,
    inputs: Any,
    targets: Any,
    units: int,
    epochs: int | None,
    rate: float,
    *,
    seconds: float = math.inf,
    loss: Callable[[Any, Any], Any] | None = None,
) -> list[float]:
    """Trains a language model on windows, with the state carried.

    Args:
        model: takes [ids, h, c] and gives [logits, h, c].
        inputs: ids, int32 [W, B, T].
        targets: ids, int32 [W, B, T].
        units: size of h and of c.
        epochs: how often all windows are read; None leaves the end to `seconds`.
        rate: Adam's learning rate.
        seconds: ends the training, also within an epoch.
        loss: of logits and targets; None is the mean cross-entropy.

    Returns:
        The mean loss of each whole epoch.
    """
    import keras
    import numpy as np
    import tensorflow as tf

    end = time.monotonic() + seconds
    nothing = tf.zeros((inputs.shape[1], units))
    model(
        [tf.constant(inputs[0]), nothing, nothing]
    )  # a subclassed model has its weights after this
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(ids: Any, following: Any, h: Any, c: Any) -> Any:
        with tf.GradientTape() as tape:
            logits, h, c = model([ids, h, c], training=True)
            nats = (loss or _cross_entropy)(logits, following)
        gradients = tape.gradient(nats, model.trainable_variables)
        pairs = zip(gradients, model.trainable_variables, strict=True)
        optimizer.apply_gradients([pair for pair in pairs if pair[0] is not None])
        return nats, h, c

    found: list[float] = []
    for _ in itertools.count() if epochs is None else range(epochs):
        h = c = nothing
        losses = []
        for ids, following in zip(inputs, targets, strict=True):
            if time.monotonic() >= end:
                return found
            nats, h, c = step(tf.constant(ids), tf.constant(following), h, c)
            losses.append(float(nats))
        found.append(float(np.mean(losses)))
    return found


def _cross_entropy(logits: Any, targets: Any) -> Any:
    import tensorflow as tf

    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    )


def parameters(model: Any) -> int:
    """Counts the numbers that the network has."""
    return sum(math.prod(weights.shape) for weights in model.weights)


def fit(model: Any, x: list[Any], y: Any, logits: bool, rounds: int, rate: float) -> None:
    """Takes steps over one batch, with targets that are words (logits) or classes (p)."""
    import keras

    losses = keras.losses
    loss = (
        losses.SparseCategoricalCrossentropy(from_logits=True)
        if logits
        else losses.BinaryCrossentropy()
    )
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    for _ in range(rounds):
        model.train_on_batch(x[0] if len(x) == 1 else x, y)


def differentiate(loss: Callable[[Any, Any], Any], logits: Any, targets: Any) -> list[Any]:
    """Gives the loss, and its gradient by the logits or None, as a training step computes them."""
    import numpy as np
    import tensorflow as tf

    def by_logits(logits: Any, targets: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(logits, targets)
            nats = tf.convert_to_tensor(value)
        return [value, tape.gradient(nats, logits)]

    given = tf.constant(logits), tf.constant(targets)
    value, gradient = by_logits(*given)
    if gradient is None:
        return [value, None]
    gradient = tf.function(lambda *given: by_logits(*given)[1])(*given)
    return [value, None if gradient is None else np.asarray(tf.convert_to_tensor(gradient))]


def masks(model: Any) -> list[str]:
    """Gives the names of the layers that make a mask, whether or not a later layer heeds it.

    Keras hands a mask on or drops it by rules that differ from layer to layer.
    """
    import keras

    return [
        type(layer).__name__
        for layer in model._flatten_layers()
        if getattr(layer, "mask_zero", False) or isinstance(layer, keras.layers.Masking)
    ]


def first_states(model: Any, inputs: list[Any]) -> list[Any]:
    """Runs the model, and gives the states in which its recurrent layers began and ended.

    Returns:
        For each layer, in the order of their calls, [states before, states after]; either is empty
        if the layer was not given, or does not give, any.
    """
    import keras
    import numpy as np

    found: list[Any] = []
    call = keras.layers.RNN.__call__

    def noted(layer: Any, sequence: Any, initial_state: Any = None, **more: Any) -> Any:
        given = call(layer, sequence, initial_state=initial_state, **more)
        after = list(given[1:]) if layer.return_state else []
        before = [] if initial_state is None else list(initial_state)
        found.append([[np.asarray(each) for each in states] for states in (before, after)])
        return given

    keras.layers.RNN.__call__ = noted
    try:
        run(model, inputs)
    finally:
        keras.layers.RNN.__call__ = call
    return found
