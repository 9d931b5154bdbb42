"""Trains and judges the network of exercise 4, and reads its words one by one."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def train(
    model: Any,
    loss: Callable[[Any, Any], Any],
    windows: tuple[np.ndarray, np.ndarray],
    *,
    epochs: int | None = None,
    seconds: float | None = None,
    least: int = 0,
    rate: float = 3e-3,
    tell: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Trains on the windows, the state carried through each epoch; the mean loss of each whole one.

    Args:
        model, loss: of exercise 4.
        windows: inputs and targets, int [W, B, T].
        epochs, seconds: when to stop; seconds may end it within an epoch.
        least: epochs that are trained, however many seconds they take.
        tell: is given each whole epoch, from 1, and its perplexity.
    """
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(ids: Any, targets: Any, h: Any, c: Any) -> Any:
        with tf.GradientTape() as tape:
            logits, h, c = model([ids, h, c], training=True)
            nats = loss(logits, targets)
        gradients = tape.gradient(nats, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return nats, h, c

    inputs, targets = windows
    units = model.inputs[1].shape[-1]
    started = time.monotonic()
    found: list[float] = []
    while epochs is None or len(found) < epochs:
        h = c = tf.zeros((inputs.shape[1], units))
        losses = []
        for ids, following in zip(inputs, targets, strict=True):
            over = seconds is not None and time.monotonic() - started > seconds
            if over and len(found) >= least:
                return found
            nats, h, c = step(tf.constant(ids), tf.constant(following), h, c)
            losses.append(float(nats))  # waits for the step, or the time would be that of the queue
        found.append(float(np.mean(losses)))
        if tell is not None:
            tell(len(found), float(np.exp(found[-1])))
    return found


@functools.lru_cache(maxsize=2)  # the notebook's two, one of words and one of characters
def _compiled(model: Any) -> Callable[[Any, Any, Any], Any]:
    """The model for one text: ids [1, T], h and c to logits, h and c; one program for all T."""
    import tensorflow as tf

    state = tf.TensorSpec([1, model.inputs[1].shape[-1]], tf.float32)
    return tf.function(
        lambda ids, h, c: model([ids, h, c], training=False),
        input_signature=[tf.TensorSpec([1, None], tf.int32), state, state],
    )


def _no_state(model: Any) -> np.ndarray:
    return np.zeros((1, model.inputs[1].shape[-1]), np.float32)


def probabilities(model: Any, ids: np.ndarray, *, temperature: float = 1.0) -> np.ndarray:
    """p that the model gives each word but the first, float64 [N - 1], the state carried."""
    h = c = _no_state(model)
    found: list[np.ndarray] = []
    for begin in range(0, len(ids) - 1, 256):
        window = np.asarray(ids[begin : begin + 257], np.int32)
        logits, h, c = _compiled(model)(window[None, :-1], h, c)
        z = np.asarray(logits, np.float64)[0] / temperature
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        found.append(p[np.arange(len(z)), window[1:]])
    return np.concatenate(found)


def stepper(model: Any) -> Callable[[int, Any], Any]:
    """The step that exercises 5 and 7 take: (word, state) to (logits [V], state).

    The logit of `<unk>`, id 0, is minus infinity: it is never drawn.
    """

    def step(word: int, state: Any) -> tuple[np.ndarray, Any]:
        h, c = (_no_state(model),) * 2 if state is None else state
        logits, h, c = _compiled(model)(np.array([[word]], np.int32), h, c)
        found = np.array(logits, np.float64)[0, -1]
        found[0] = -np.inf
        return found, (np.asarray(h), np.asarray(c))

    return step


def rerunner(model: Any) -> Callable[[Any], np.ndarray]:
    """What exercise 7 takes for `run`: all words from the beginning, to logits [T, V]."""

    def run(words: Any) -> np.ndarray:
        state = _no_state(model)
        logits = _compiled(model)(np.array([list(words)], np.int32), state, state)[0]
        found = np.array(logits, np.float64)[0]
        found[:, 0] = -np.inf
        return found

    return run
