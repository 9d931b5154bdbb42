"""Training kernels for CPUs against float64 NumPy and Keras's own layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from textmill.model.network import cpu_kernels as fast

RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape, scale=0.5).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_in_numpy(x, h, c, kernel, recurrent, bias):
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs, axis=1), h, c


def assert_gradients(function, inputs, weigh):
    """Gradients of the weighted sum of all outputs, against differences in float64."""
    tensors = [tf.constant(a) for a in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = function[0](*tensors)
        total = tf.add_n([tf.reduce_sum(a * w) for a, w in zip(outputs, weigh, strict=True)])
    wide = [a.astype(np.float64) for a in inputs]

    def value():
        return sum((a * w).sum() for a, w in zip(function[1](*wide), weigh, strict=True))

    for array, gradient in zip(wide, tape.gradient(total, tensors), strict=True):
        for place in RANDOM.integers(0, array.size, 12):
            at = np.unravel_index(place, array.shape)
            old, step, ends = array[at], 1e-5, []
            for moved in (old + step, old - step):
                array[at] = moved
                ends.append(value())
            array[at] = old
            expected = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(gradient.numpy()[at], expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("steps", [1, 7])
def test_lstm_and_its_gradients(steps):
    inputs = [
        normal(3, steps, 5),
        normal(3, 4),
        normal(3, 4),
        normal(5, 16),
        normal(4, 16),
        normal(16),
    ]
    ours, expected = fast.lstm(*inputs), lstm_in_numpy(*(a.astype(np.float64) for a in inputs))
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    weigh = [normal(*a.shape) for a in expected]
    assert_gradients((fast.lstm, lstm_in_numpy), inputs, weigh)


def test_lstm_is_that_of_keras():
    layer = keras.layers.LSTM(6, return_sequences=True, return_state=True)
    x, h, c = normal(2, 9, 3), normal(2, 6), normal(2, 6)
    theirs = layer(x, initial_state=[h, c])
    for a, b in zip(fast.lstm(x, h, c, *layer.weights), theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_likelihood_and_its_gradients():
    targets = np.array([0, 3, 6, 3], np.int32)

    def in_numpy(x, embedding, bias):
        logits = x @ embedding.T + bias
        return [np.log(np.exp(logits).sum(1)) - logits[np.arange(4), targets]]

    inputs = [normal(4, 5), normal(7, 5), normal(7)]
    assert_gradients((lambda x, e, b: [fast.nll(x, targets, e, b)], in_numpy), inputs, [normal(4)])
    far = fast.nll(
        np.full((1, 1), 1e3, np.float32), [1], np.array([[1.0], [-1]], np.float32), [0.0, 0.0]
    )
    assert float(far[0]) == 2000


def test_rows_of_an_embedding_and_their_gradient():
    ids = np.array([[1, 3], [3, 0]], np.int32)
    assert_gradients(
        (lambda e: [fast.take(e, ids)], lambda e: [e[ids]]), [normal(5, 2)], [normal(2, 2, 2)]
    )


def test_adamw_against_numpy():
    """Loshchilov and Hutter 2019, algorithm 2, with gradients clipped by their global norm."""
    start = [normal(3, 2), normal(4)]
    variables = [keras.Variable(a) for a in start]
    rate, decay, clip = 0.01, 0.1, 0.7
    optimizer = fast.AdamW(rate, decay=decay, clip=clip, beta_2=0.99)
    optimizer.build(variables)
    weights = [a.astype(np.float64) for a in start]
    m, v = ([np.zeros_like(a) for a in weights] for _ in range(2))
    for step in range(1, 5):
        gradients = [normal(3, 2), normal(4)]
        optimizer.apply([tf.constant(g) for g in gradients], variables)
        scale = min(1, clip / np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients)))
        assert scale < 1
        for i, g in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * g * scale
            v[i] = 0.99 * v[i] + 0.01 * (g * scale) ** 2
            mean, size = m[i] / (1 - 0.9**step), v[i] / (1 - 0.99**step)
            small = 1e-7 / np.sqrt(1 - 0.99**step)  # as Keras has it: before the correction
            decayed = decay * weights[i] if weights[i].ndim > 1 else 0.0  # biases do not decay
            weights[i] = weights[i] - rate * (mean / (np.sqrt(size) + small) + decayed)
    for variable, expected in zip(variables, weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_adamw_of_a_sparse_gradient_steps_its_rows_and_leaves_the_others():
    start = normal(5, 2)
    sparse, dense = keras.Variable(start), keras.Variable(start)
    optimizers = [fast.AdamW(0.01, decay=0.1, clip=0.7, beta_2=0.99) for _ in range(2)]
    rows, values = [3, 1, 3], normal(3, 2)
    whole = np.zeros((5, 2), np.float32)
    np.add.at(whole, rows, values)
    slices = tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([5, 2]))
    for optimizer, variable, gradient in zip(
        optimizers, (sparse, dense), (slices, tf.constant(whole)), strict=True
    ):
        optimizer.build([variable])
        for _ in range(3):  # rows that are always there fare as in the dense way
            optimizer.apply([gradient], [variable])
    np.testing.assert_allclose(sparse.numpy()[[1, 3]], dense.numpy()[[1, 3]], rtol=1e-5)
    assert np.array_equal(sparse.numpy()[[0, 2, 4]], start[[0, 2, 4]])


def test_rows_of_a_large_embedding_have_a_sparse_gradient():
    embedding, weigh = keras.Variable(normal(5, 2)), normal(2, 2, 2)
    ids = np.array([[1, 3], [3, 0]], np.int32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(fast.take_some(embedding, ids) * weigh)
    gradient = tape.gradient(total, embedding.value)
    assert isinstance(gradient, tf.IndexedSlices)
    expected = np.zeros((5, 2), np.float32)
    np.add.at(expected, ids, weigh)
    np.testing.assert_allclose(tf.convert_to_tensor(gradient).numpy(), expected, rtol=1e-6)
