"""A time step of LSTM layers in TensorFlow, for a fixed number of slots.

Gates are in Keras's order i, f, c, o. Shapes: S slots, H hidden units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from textmill.model.generation.dense_softmax import LANES
from textmill.model.generation.sampling import compiled, product

READ = 64  # most words of a prompt or a source that are read in one call


def lstm_layers(w: dict[str, np.ndarray], name: str, count: int, precision: str) -> list[Any]:
    """Gives kernels and biases of LSTM layers, for `through`.

    Each layer's two kernels are one, cut by gate, because narrower products are faster.

    Args:
        w: arrays of the model, from `aligned`.
        name: of the layers, `lstm` or `source`.
        count: number of layers.
        precision: of the products, `float32` or `bfloat16`.
    """
    found = []
    for i in range(count):
        both = np.concatenate([w[f"{name}_{i}_kernel"], w[f"{name}_{i}_recurrent"]])
        gates = np.ascontiguousarray(np.split(both, 4, axis=1))
        kernels = [tf.cast(gate, precision) for gate in gates]
        found.append((kernels, tf.constant(np.stack(np.split(w[f"{name}_{i}_bias"], 4)))))
    return found


def through(layers: list[Any], x: Any, h: Any, c: Any, on: Any) -> tuple[Any, Any, Any]:
    """Makes a time step of LSTM layers; gives h of the last one, and h and c of all."""
    new_h, new_c = [], []
    for (kernels, bias), before, cell in zip(layers, h, c, strict=True):
        both = tf.cast(tf.concat([x, before], axis=1), kernels[0].dtype)
        gates = [product(both, kernel) for kernel in kernels]
        x, after = _gates(gates, bias, before, cell, on)
        new_h.append(x)
        new_c.append(after)
    return x, new_h, new_c


@compiled
def _gates(gates: list[Any], bias: Any, h: Any, c: Any, on: Any) -> tuple[Any, Any]:
    """Computes h and c [S, H] from the gates' inputs i, f, c, o [S, H], for slots that are on."""
    i, f, new, o = (tf.cast(gate, tf.float32) + bias[n] for n, gate in enumerate(gates))
    cell = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(new)
    out = tf.sigmoid(o) * tf.tanh(cell)
    return tf.where(on[:, None], out, h), tf.where(on[:, None], cell, c)


def aligned(name: str, array: np.ndarray) -> np.ndarray:
    """Pads weights with zeros to multiples of `LANES` features, which are read faster.

    An added unit stays at 0, because its cell adds tanh(0).
    """
    if name.endswith("_bias") and not name.startswith(("lstm", "source_")):
        return array
    if name in ("context_kernel", "context_mean", "context_deviation"):
        return array

    def padded(array: np.ndarray, axis: int) -> np.ndarray:
        sizes = [(0, 0)] * array.ndim
        sizes[axis] = (0, -array.shape[axis] % LANES)
        return np.pad(array, sizes) if sizes[axis][1] else array

    if name == "attention_combine":
        return padded(np.concatenate([padded(half, 0) for half in np.split(array, 2)]), 1)
    if name == "attention_score":
        return padded(padded(array, 0), 1)
    if name.startswith(("lstm", "source_")) and name != "source_embedding":
        array = np.concatenate([padded(gate, -1) for gate in np.split(array, 4, axis=-1)], axis=-1)
        return array if name.endswith("bias") else padded(array, 0)
    if name.startswith("tail"):  # in: [D, d], out: [k, d]
        return padded(array, 0) if name.endswith("in") else array
    return padded(padded(array, 0) if name == "projection" else array, 1)
