"""Trains and measures the network of exercise 4, and runs it word by word."""

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
    """Trains on the windows and carries the state through each epoch.

    Args:
        model: the model of exercise 4.
        loss: the loss of exercise 4.
        windows: inputs and targets, int [W, B, T].
        epochs: stop after this number of epochs.
        seconds: stop after this time, also within an epoch.
        least: number of epochs that are trained, however long they take.
        rate: the learning rate.
        tell: called with the number of each whole epoch, from 1, and its perplexity.

    Returns:
        The mean loss of each whole epoch.
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
            losses.append(float(nats))  # waits for the step, so that the time is right
        found.append(float(np.mean(losses)))
        if tell is not None:
            tell(len(found), float(np.exp(found[-1])))
    return found


@functools.lru_cache(maxsize=2)  # for the notebook's two models, of words and of characters
def _compiled(model: Any) -> Callable[[Any, Any, Any], Any]:
    """Compiles the model for one text, as one program for all T.

    It takes ids [1, T], h and c, and gives logits, h and c.
    """
    import tensorflow as tf

    state = tf.TensorSpec([1, model.inputs[1].shape[-1]], tf.float32)
    return tf.function(
        lambda ids, h, c: model([ids, h, c], training=False),
        input_signature=[tf.TensorSpec([1, None], tf.int32), state, state],
    )


def _no_state(model: Any) -> np.ndarray:
    return np.zeros((1, model.inputs[1].shape[-1]), np.float32)


def probabilities(model: Any, ids: np.ndarray, *, temperature: float = 1.0) -> np.ndarray:
    """Gives the model's p of each word but the first, float64 [N - 1]; the state is carried."""
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
    """Makes the step that exercises 5 and 7 take: (word, state) to (logits [V], state).

    The logit of `<unk>`, id 0, is minus infinity, so it is never drawn.
    """

    def step(word: int, state: Any) -> tuple[np.ndarray, Any]:
        h, c = (_no_state(model),) * 2 if state is None else state
        logits, h, c = _compiled(model)(np.array([[word]], np.int32), h, c)
        found = np.array(logits, np.float64)[0, -1]
        found[0] = -np.inf
        return found, (np.asarray(h), np.asarray(c))

    return step


def rerunner(model: Any) -> Callable[[Any], np.ndarray]:
    """Makes `run` of exercise 7, which reads all words from the beginning to logits [T, V]."""

    def run(words: Any) -> np.ndarray:
        state = _no_state(model)
        logits = _compiled(model)(np.array([list(words)], np.int32), state, state)[0]
        found = np.array(logits, np.float64)[0]
        found[:, 0] = -np.inf
        return found

    return run
