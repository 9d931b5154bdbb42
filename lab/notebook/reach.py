"""Gradients through time by Keras, and how far they reach: an LSTM beside a plain network."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.notebook.inside import weights_of
from lab.notebook.training import units_of
from lab.notebook.unrolled import Gradients, Weights


def build(kind: str, size: int, embedding: int, units: int, *, seed: int) -> Any:
    """A model as exercise 4 demands it, without dropout; a plain network passes c through.

    Args:
        kind: "LSTM" or "RNN", h' = tanh(x W + h U + b).
        size: V.
        embedding: size of a word's vector.
        units: of the layer.
        seed: of the first weights.
    """
    import keras

    keras.utils.set_random_seed(seed)
    ids = keras.Input((None,), dtype="int32")
    h, c = keras.Input((units,)), keras.Input((units,))
    x = keras.layers.Embedding(size, embedding, name="vectors")(ids)
    how = {"return_sequences": True, "return_state": True, "name": "recurrent"}
    if kind == "LSTM":
        x, after_h, after_c = keras.layers.LSTM(units, **how)(x, initial_state=[h, c])
    elif kind == "RNN":
        x, after_h = keras.layers.SimpleRNN(units, **how)(x, initial_state=h)
        after_c = keras.layers.Identity()(c)
    else:
        raise ValueError(f"the kind is 'LSTM' or 'RNN', not {kind!r}")
    logits = keras.layers.Dense(size, name="logits")(x)
    return keras.Model([ids, h, c], [logits, after_h, after_c])


def weights_and_vectors(model: Any, ids: np.ndarray) -> tuple[Weights, np.ndarray]:
    """Gives the weights of an LSTM that `build` made, and the vectors of some words [N, X]."""
    weights = weights_of(model.get_layer("recurrent"))
    return weights, np.asarray(model.get_layer("vectors")(np.asarray(ids)), np.float64)


def cut(ids: np.ndarray, steps: int) -> np.ndarray:
    """Cuts a text into pieces of `steps + 2` words, int32 [pieces, steps + 2]."""
    count = len(ids) // (steps + 2)
    if count < 1:
        raise ValueError(f"{steps} steps need more than {len(ids)} words")
    return np.asarray(ids[: count * (steps + 2)], np.int32).reshape(count, steps + 2)


def reach(model: Any, ids: np.ndarray, steps: int) -> np.ndarray:
    """Measures |d loss_t / d h_(t-k)| for k = 0, 1, ..., `steps`, at many places t of a text.

    loss_t is -log p of the word after word t; h_(t-k) also acts through all states after it. The
    text is cut into pieces of `steps + 2` words, each read from zeros, with one t a piece.

    Args:
        model: one that `build` made.
        ids: a text, int [N].
        steps: the largest k.

    Returns:
        float64 [pieces, steps + 1].
    """
    import tensorflow as tf

    embed, dense = model.get_layer("vectors"), model.get_layer("logits")
    cell = model.get_layer("recurrent").cell
    two = isinstance(cell.state_size, list | tuple) and len(cell.state_size) == 2
    pieces = tf.constant(cut(ids, steps))
    rows = (len(pieces), units_of(model))

    @tf.function
    def gradients(words: Any) -> Any:
        state = [tf.zeros(rows)] * (2 if two else 1)
        # Zeros added to each h: the gradient by them is the one by h, through all that follows.
        probes = [tf.zeros(rows) for _ in range(steps + 1)]
        with tf.GradientTape() as tape:
            tape.watch(probes)
            vectors = embed(words)
            for t, probe in enumerate(probes):
                _, after = cell(vectors[:, t], state)
                after = list(after) if isinstance(after, list | tuple) else [after]
                state = [after[0] + probe, *after[1:]]
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(words[:, -1], dense(state[0]))
        return tf.norm(tf.stack(tape.gradient(loss, probes)), axis=-1)

    return np.asarray(gradients(pieces), np.float64)[::-1].T


def by_differentiation(
    weights: Weights, xs: np.ndarray, h: np.ndarray, c: np.ndarray, aim: np.ndarray
) -> Gradients:
    """Lets TensorFlow differentiate Keras's own LSTM: L = |h_T - aim|^2 / 2 after T steps.

    Args:
        weights: of the layer.
        xs: the inputs, [T, X].
        h: the state before the first step, [H].
        c: likewise.
        aim: [H].

    Returns:
        Gradients by the weights, by xs [T, X], and by the state before the first step.
    """
    import keras
    import tensorflow as tf

    layer = keras.layers.LSTM(len(h))
    layer.build((1, *xs.shape))
    layer.set_weights([weights.kernel, weights.recurrent, weights.bias])
    inputs, start_h, start_c = (tf.constant(each[None], tf.float32) for each in (xs, h, c))
    with tf.GradientTape() as tape:
        tape.watch((inputs, start_h, start_c))
        last = layer(inputs, initial_state=[start_h, start_c])
        loss = tf.reduce_sum((last - tf.constant(aim[None], tf.float32)) ** 2) / 2
    found = tape.gradient(loss, [*layer.trainable_variables, inputs, start_h, start_c])
    kernel, recurrent, bias, x, dh, dc = (np.asarray(each) for each in found)
    return Gradients(kernel, recurrent, bias, x[0], dh[0], dc[0])
