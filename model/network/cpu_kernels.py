"""Trains on a CPU with TensorFlow, several times faster than Keras's own layers.

Here are an LSTM over a window and a softmax over the vocabulary, both with written-out gradients,
and AdamW in one pass over the weights. Matrix products are TensorFlow's operations; XLA compiles
everything between them, so that arrays are read and written once. The gradient of an LSTM's weights
is one product over all time steps of a window instead of a sum of small ones.

Shapes: B texts, T time steps, I inputs, H hidden units, N rows, V words, D embedding width.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def _compiled(function: Any) -> Any:
    return tf.function(function, jit_compile=True, autograph=False)


def available() -> bool:
    """Tells whether to use these kernels; on a GPU Keras's layers use cuDNN, which is faster."""
    return not tf.config.list_physical_devices("GPU")


# -- the LSTM ------------------------------------------------------------------------------------


@_compiled
def _cell(inputs: Any, recurrent: Any, c: Any) -> tuple[Any, Any, Any]:
    """Computes the gates i, f, g, o, [B, 4 H], and c and h after the step."""
    i, f, g, o = tf.split(inputs + recurrent, 4, axis=1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    c = f * c + i * g
    return tf.concat([i, f, g, o], axis=1), c, o * tf.tanh(c)


@_compiled
def _cell_gradient(gates: Any, c: Any, before: Any, dh: Any, dc: Any) -> tuple[Any, Any]:
    """Computes the gradients of the gates' inputs, [B, 4 H], and of the cell before the step."""
    i, f, g, o = tf.split(gates, 4, axis=1)
    squashed = tf.tanh(c)
    dc = dc + dh * o * (1 - squashed * squashed)
    parts = [
        dc * g * i * (1 - i),
        dc * before * f * (1 - f),
        dc * i * (1 - g * g),
        dh * squashed * o * (1 - o),
    ]
    return tf.concat(parts, axis=1), dc * f


@tf.custom_gradient
def _lstm(x: Any, h0: Any, c0: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
    """Computes `lstm` with time as the first axis of x and the outputs."""
    steps, batch, hidden = tf.shape(x)[0], tf.shape(x)[1], recurrent.shape[0]
    flat = tf.reshape(x, [-1, x.shape[2]])
    inputs = tf.reshape(tf.matmul(flat, kernel) + bias, [steps, batch, 4 * hidden])

    def rows(width: int) -> Any:
        return tf.TensorArray(tf.float32, size=steps, element_shape=[h0.shape[0], width])

    def step(t: Any, h: Any, c: Any, gates: Any, cells: Any, outputs: Any) -> tuple[Any, ...]:
        gate, c, h = _cell(inputs[t], tf.matmul(h, recurrent), c)
        return t + 1, h, c, gates.write(t, gate), cells.write(t, c), outputs.write(t, h)

    _, h, c, *kept = tf.while_loop(
        lambda t, *_: t < steps, step, (0, h0, c0, rows(4 * hidden), rows(hidden), rows(hidden))
    )
    gates, cells, outputs = (array.stack() for array in kept)

    def gradient(d_outputs: Any, dh: Any, dc: Any) -> tuple[Any, ...]:
        cells_before = tf.concat([c0[None], cells[:-1]], axis=0)
        outputs_before = tf.concat([h0[None], outputs[:-1]], axis=0)

        def back(t: Any, dh: Any, dc: Any, d_gates: Any) -> tuple[Any, ...]:
            d_gate, dc = _cell_gradient(gates[t], cells[t], cells_before[t], dh + d_outputs[t], dc)
            dh = tf.matmul(d_gate, recurrent, transpose_b=True)
            return t - 1, dh, dc, d_gates.write(t, d_gate)

        _, dh, dc, d_gates = tf.while_loop(
            lambda t, *_: t >= 0, back, (steps - 1, dh, dc, rows(4 * hidden))
        )
        d_gates = tf.reshape(d_gates.stack(), [-1, 4 * hidden])
        before = tf.reshape(outputs_before, [-1, hidden])
        return (
            tf.reshape(tf.matmul(d_gates, kernel, transpose_b=True), tf.shape(x)),
            dh,
            dc,
            tf.matmul(flat, d_gates, transpose_a=True),
            tf.matmul(before, d_gates, transpose_a=True),
            tf.reduce_sum(d_gates, axis=0),
        )

    return (outputs, h, c), gradient


def lstm(x: Any, h: Any, c: Any, kernel: Any, recurrent: Any, bias: Any) -> tuple[Any, Any, Any]:
    """Runs an LSTM layer over a window. Gates are in Keras's order i, f, c, o.

    Args:
        x: float32 [B, T, I].
        h: h before the window, [B, H].
        c: c before the window, [B, H].
        kernel: [I, 4 H].
        recurrent: [H, 4 H].
        bias: [4 H].

    Returns:
        The outputs [B, T, H], and h and c after the last step.
    """
    tensors = map(tf.convert_to_tensor, (h, c, kernel, recurrent, bias))
    outputs, h, c = _lstm(tf.transpose(x, [1, 0, 2]), *tensors)
    return tf.transpose(outputs, [1, 0, 2]), h, c


# -- the softmax ---------------------------------------------------------------------------------


@_compiled
def _likelihood(products: Any, bias: Any, targets: Any) -> tuple[Any, Any]:
    """Computes -log p of the targets and the log of the sum of exp, [N]."""
    logits = products + bias
    top = tf.reduce_max(logits, axis=1, keepdims=True)
    total = tf.math.log(tf.reduce_sum(tf.exp(logits - top), axis=1)) + top[:, 0]
    return total - tf.gather(logits, targets, batch_dims=1), total


@_compiled
def _likelihood_gradient(products: Any, bias: Any, targets: Any, total: Any) -> Any:
    """Computes p, minus 1 at the target, [N, V]."""
    words = tf.range(products.shape[1])[None]
    here = tf.cast(words == targets[:, None], tf.float32)
    return tf.exp(products + bias - total[:, None]) - here


@tf.custom_gradient
def _nll(x: Any, targets: Any, embedding: Any, bias: Any) -> Any:
    products = tf.matmul(x, embedding, transpose_b=True)
    found, total = _likelihood(products, bias, targets)

    def gradient(d: Any) -> tuple[Any, ...]:
        wrong = _likelihood_gradient(products, bias, targets, total)
        return (
            tf.matmul(wrong, embedding) * d[:, None],
            None,
            tf.matmul(wrong, x * d[:, None], transpose_a=True),
            tf.linalg.matvec(wrong, d, transpose_a=True),
        )

    return found, gradient


def nll(x: Any, targets: Any, embedding: Any, bias: Any) -> Any:
    """Computes -log p of the targets under softmax(x embedding^T + bias), float32 [N].

    Args:
        x: float32 [N, D].
        targets: int32 [N].
        embedding: [V, D].
        bias: [V].
    """
    return _nll(*map(tf.convert_to_tensor, (x, targets, embedding, bias)))


@tf.custom_gradient
def _take(embedding: Any, ids: Any) -> Any:
    def gradient(d: Any) -> tuple[Any, None]:
        rows = tf.reshape(d, [-1, embedding.shape[1]])
        flat = tf.reshape(ids, [-1])
        return tf.math.unsorted_segment_sum(rows, flat, embedding.shape[0]), None

    return tf.gather(embedding, ids), gradient


def take(embedding: Any, ids: Any) -> Any:
    """Takes rows of the embedding [V, D].

    Its gradient is dense. A tied embedding has a dense gradient anyway, and TensorFlow is slow at
    adding a sparse one to it.
    """
    return _take(tf.convert_to_tensor(embedding), tf.convert_to_tensor(ids))


def take_some(embedding: Any, ids: Any) -> Any:
    """Takes rows of the embedding, a variable [V, D], with a sparse gradient, for few of many rows.

    The variable is read in place: after single rows have been written, reading all of it copies it.
    """
    return tf.gather(embedding.value, ids)


# -- AdamW ---------------------------------------------------------------------------------------


@_compiled
def _squares(gradients: list[Any]) -> Any:
    return tf.add_n([tf.zeros(()), *(tf.reduce_sum(tf.square(g)) for g in gradients)])


def _merged(gradient: Any) -> Any:
    """Sums a sparse gradient so that each row is in it once; leaves a dense one as it is."""
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    rows, place = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


class AdamW(keras.optimizers.Adam):
    """AdamW (Loshchilov and Hutter 2019) with gradients clipped by their global norm, in one pass.

    If a variable's gradient is sparse, only the rows in it and their moments change. A batch holds
    few of tens of thousands of words, and reading and writing all vectors would take most of the
    time of a step.

    Args:
        learning_rate: as in Keras's Adam.
        decay: decoupled decay of weights that are matrices.
        clip: gradients are scaled so that their global norm is at most this.
        kwargs: other arguments of Keras's Adam, such as `beta_2`.
    """

    def __init__(self, learning_rate: float, *, decay: float, clip: float, **kwargs: Any):
        super().__init__(learning_rate, **kwargs)
        self.decay, self.clip = decay, clip

        def stepped(
            p: Any, m: Any, v: Any, g: Any, scale: Any, rate: Any, step: Any, decay: Any
        ) -> Any:
            g = g * scale
            m = m + (1 - self.beta_1) * (g - m)
            v = v + (1 - self.beta_2) * (g * g - v)
            one = tf.constant(1.0)
            size = tf.sqrt(one - tf.pow(self.beta_2, step)) / (one - tf.pow(self.beta_1, step))
            return p - rate * (decay * p + size * m / (tf.sqrt(v) + self.epsilon)), m, v

        self._of_rows: Any = stepped
        self._of_all = _compiled(stepped)

    def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
        grads = [_merged(g) for g in grads]
        dense = [g for g in grads if not isinstance(g, tf.IndexedSlices)]
        # Not compiled, because the number of rows changes each time.
        sparse = [g.values for g in grads if isinstance(g, tf.IndexedSlices)]
        rows = [tf.reduce_sum(tf.square(values)) for values in sparse]
        norm = tf.sqrt(tf.add_n([_squares(dense), *rows]))
        self._scale = tf.minimum(1.0, self.clip / norm)
        return super().apply(grads, trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        at = self._get_variable_index(variable)
        arrays = variable, self._momentums[at].value, self._velocities[at].value
        settings = (
            self._scale,
            tf.cast(learning_rate, tf.float32),
            tf.cast(self.iterations + 1, tf.float32),
            self.decay if len(variable.shape) > 1 else 0.0,
        )
        if isinstance(gradient, tf.IndexedSlices):
            rows, read = gradient.indices, [tf.gather(a, gradient.indices) for a in arrays]
            for each, value in zip(
                arrays, self._of_rows(*read, gradient.values, *settings), strict=True
            ):
                each.scatter_update(tf.IndexedSlices(value, rows))
            return
        read = [tf.convert_to_tensor(array) for array in arrays]
        for each, value in zip(arrays, self._of_all(*read, gradient, *settings), strict=True):
            each.assign(value)
