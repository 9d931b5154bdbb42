"""What is done with a student's Keras model: it is run, trained and looked at.

A check asks for it in the process of the student's code, and the verdict is made elsewhere; the
notebook asks for it, too. `lab.sandbox.torch_networks` does the same with PyTorch.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from lab.language import say


def is_network(value: Any) -> bool:
    """Whether a value is a Keras model, also if it is of a class of the student's own."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.Model)


def seed(number: int) -> None:
    """Loads TensorFlow, and fixes what Keras draws."""
    import keras
    import tensorflow  # noqa: F401

    keras.utils.set_random_seed(number)


def units_of(model: Any) -> int:
    """Gives the number of units, which is the size of h and of c.

    Raises:
        ValueError: a model of one's own class does not tell.
    """
    try:
        return int(model.inputs[1].shape[-1])
    except (AttributeError, TypeError, IndexError, ValueError):  # a subclass of keras.Model
        pass
    cells = [layer for layer in model._flatten_layers() if hasattr(layer, "state_size")]
    told = [getattr(each, "units", None) for each in (model, *cells)]
    sizes = [size for size in told if isinstance(size, int)]
    if not sizes:
        raise ValueError(
            say(
                "there is no recurrent layer in this model: write `self.units = units` in its "
                "__init__"
            )
        )
    return sizes[0]


def with_weights(model: Any, rows: int = 1, units: int | None = None) -> Any:
    """Gives the model, called once: one of one's own class has no weights before."""
    nothing = np.zeros((rows, units_of(model) if units is None else units), np.float32)
    model([np.zeros((rows, 1), np.int32), nothing, nothing])
    return model


def run(model: Any, inputs: list[Any]) -> list[Any]:
    """Gives the model's outputs as arrays; one input comes as it is.

    Nothing is said of training, so dropout is off, unless a layer was told to keep it on.
    """
    from keras import ops

    tensors = [ops.convert_to_tensor(each) for each in inputs]
    found = model(tensors[0] if len(tensors) == 1 else tensors)
    return [np.asarray(each) for each in (found if isinstance(found, list | tuple) else [found])]


def step(model: Any, ids: Any, h: Any, c: Any) -> list[Any]:
    """Runs a language model as `run` does, but compiled: for word after word of a long text."""
    import tensorflow as tf

    return [np.asarray(each) for each in _stepwise(model)(*map(tf.constant, (ids, h, c)))]


@functools.lru_cache(maxsize=1)
def _stepwise(model: Any) -> Callable[..., Any]:
    import tensorflow as tf

    return tf.function(lambda ids, h, c: model([ids, h, c], training=False), reduce_retracing=True)


@functools.lru_cache(maxsize=4)  # the notebook turns to its first model again and again
def runner(model: Any) -> Callable[..., list[np.ndarray]]:
    """Compiles the model, as one program for all B and T.

    The function takes ids [B, T], h and c [B, units], and gives logits, h and c. A class of one's
    own may need numbers for B and T, such as for a loop over the words; then it runs as it is
    written.
    """
    import tensorflow as tf

    def run(ids: Any, h: Any, c: Any) -> Any:
        return model([ids, h, c], training=False)

    with_weights(model)
    state = tf.TensorSpec([None, units_of(model)], tf.float32)
    compiled = tf.function(
        run, input_signature=[tf.TensorSpec([None, None], tf.int32), state, state]
    )
    try:
        compiled.get_concrete_function()
    except Exception:
        compiled = run
    return lambda *inputs: [np.asarray(each) for each in compiled(*inputs)]


def training_step(
    model: Any, loss: Callable[[Any, Any], Any], rate: float, rows: int, units: int
) -> Callable[..., tuple[float, np.ndarray, np.ndarray]]:
    """Compiles a training step: ids and targets [B, T], h, c to the loss, h and c."""
    import keras
    import tensorflow as tf

    with_weights(model, rows, units)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(reduce_retracing=True)
    def compiled(ids: Any, targets: Any, h: Any, c: Any) -> Any:
        with tf.GradientTape() as tape:
            logits, h, c = model([ids, h, c], training=True)
            nats = loss(logits, targets)
        gradients = tape.gradient(nats, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return nats, h, c

    def step(*given: Any) -> tuple[float, np.ndarray, np.ndarray]:
        nats, h, c = compiled(*map(tf.constant, given))
        return float(nats), np.asarray(h), np.asarray(c)

    return step


def nats(logits: Any, targets: Any) -> Any:
    """Mean of -log softmax(logits)[target]."""
    import tensorflow as tf

    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
    return tf.reduce_mean(each)


def weights(model: Any) -> list[np.ndarray]:
    """Copies the model's weights."""
    return [np.array(each) for each in model.get_weights()]


def set_weights(model: Any, weights: list[np.ndarray]) -> None:
    """Puts back what `weights` gave."""
    model.set_weights(weights)


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

    found: list[Any] = []
    call = keras.layers.RNN.__call__

    def noted(layer: Any, sequence: Any, initial_state: Any = None, **more: Any) -> Any:
        given = call(layer, sequence, initial_state=initial_state, **more)
        after = list(given[1:]) if layer.return_state else []
        several = isinstance(initial_state, list | tuple)
        before = list(initial_state) if several else [initial_state]
        before = [each for each in before if each is not None]
        found.append([[np.asarray(each) for each in states] for states in (before, after)])
        return given

    keras.layers.RNN.__call__ = noted
    try:
        run(model, inputs)
    finally:
        keras.layers.RNN.__call__ = call
    return found
