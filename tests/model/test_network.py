"""The network against its equations, on the backends that are installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from itertools import combinations

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from keras import ops

from textmill.model.machine import uses_cudnn
from textmill.model.network.directory import weight_shapes
from textmill.model.network.lstm import LanguageModel
from textmill.model.network.reader import Judge
from textmill.model.settings import NetworkSettings
from textmill.model.training.trainee import Trainee

SIZES = [
    {"embedding": 6, "hidden": 6, "layers": 1},
    {"embedding": 5, "hidden": 7, "layers": 2},
    {"embedding": 4, "hidden": 4, "layers": 3, "context": 2},
]


def network(seed=1, **sizes) -> LanguageModel:
    made = LanguageModel(NetworkSettings(vocabulary=11, dropout=0.5, **sizes), seed=seed)
    made.build()
    made.assign_output_bias(tuple(range(11)))
    return made


@pytest.mark.parametrize("sizes", SIZES)
def test_logits_follow_the_equations(sizes):
    net = network(**sizes)
    ids = np.random.default_rng(0).integers(0, 11, (2, 9))
    context = np.eye(2, dtype=np.float32) if net.settings.context else None
    logits, after = net(ids, net.initial_state(2, context), context)
    arrays = net.arrays()
    for row in range(2):
        state, label = reference.zeros(net.settings), None
        if context is not None:
            state, label = reference.start(arrays, net.settings, row), row
        for t, token in enumerate(ids[row]):
            expected, state = reference.step(arrays, net.settings.layers, token, state, label)
            np.testing.assert_allclose(np.asarray(logits)[row, t], expected, atol=1e-5)
        for (h, c), (ref_h, ref_c) in zip(after, state, strict=True):
            np.testing.assert_allclose(np.asarray(h)[row], ref_h, atol=1e-5)
            np.testing.assert_allclose(np.asarray(c)[row], ref_c, atol=1e-5)


@pytest.mark.parametrize("sizes", SIZES)
def test_whole_sequence_equals_step_by_step(sizes):
    net = network(**sizes)
    ids = np.random.default_rng(0).integers(0, 11, (3, 12))
    context = np.eye(2, dtype=np.float32)[[1, 0, 1]] if net.settings.context else None
    whole, _ = net(ids, net.initial_state(3, context), context)
    state, steps = net.initial_state(3, context), []
    for t in range(12):
        logits, state = net(ids[:, t : t + 1], state, context)
        steps.append(np.asarray(logits)[:, 0])
    np.testing.assert_allclose(np.asarray(whole), np.stack(steps, 1), atol=1e-5)


def test_arrays_are_all_the_weights():
    for sizes in SIZES:
        net = network(**sizes)
        shapes = {name: array.shape for name, array in net.arrays().items()}
        assert shapes == weight_shapes(net.settings)
        assert sum(np.prod(s) for s in shapes.values()) == sum(
            np.prod(w.shape) for w in net.weights if "seed" not in w.path
        )
        other = network(seed=2, **sizes)
        other.assign_arrays(net.arrays())
        for name, array in other.arrays().items():
            np.testing.assert_array_equal(array, net.arrays()[name])


def test_seed_decides_the_weights():
    one, same, other = (network(seed, **SIZES[1]).arrays() for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["embedding"], other["embedding"])
    assert not np.array_equal(one["lstm_0_kernel"], one["lstm_1_kernel"][:5])


def test_dropout_is_the_same_at_every_time_step():
    net = network(**SIZES[0])
    ones = ops.ones((4, 10, 6))
    dropped = np.asarray(net.dropouts[0](ones, training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (dropped == dropped[:, :1]).all()
    assert (np.asarray(net.dropouts[0](ones, training=False)) == 1).all()


def regular_network(**shares) -> LanguageModel:
    sizes = {"embedding": 5, "hidden": 7, "layers": 2, "dropout": 0.0}
    made = LanguageModel(NetworkSettings(vocabulary=11, **sizes), seed=1, **shares)
    made.build()
    return made


def test_words_are_dropped_once_a_batch():
    """Embedding dropout (Gal and Ghahramani 2016): a word is in at all its places or at none."""
    net = regular_network(word_dropout=0.4)
    ids = np.random.default_rng(0).integers(0, 11, (20, 30)).astype("int32")
    vectors = net.arrays()["embedding"]
    kept = []
    for _ in range(200):
        found = np.asarray(net._embedded(ids, True))
        scale = np.array([np.median(found[ids == w] / vectors[w]) for w in range(11)])
        np.testing.assert_allclose(found, vectors[ids] * scale[ids][..., None], rtol=1e-5)
        assert np.isclose(scale[:, None], [0.0, 1 / 0.6]).any(axis=1).all()
        kept.append(scale > 0)
    assert abs(np.mean(kept) - 0.6) < 0.05  # 2,200 draws: five standard deviations
    assert len({tuple(k) for k in kept}) > 50
    np.testing.assert_array_equal(np.asarray(net._embedded(ids, False)), vectors[ids])


def test_recurrent_weights_are_dropped_once_a_batch(monkeypatch):
    """Weight drop (Merity et al. 2018): one mask over the recurrent kernel for all time steps."""
    net, seen = regular_network(weight_drop=0.3), []
    ids = np.zeros((2, 6), "int32")

    class Spy:
        take, nll = net.fast.take, net.fast.nll

        @staticmethod
        def lstm(x, h, c, kernel, recurrent, bias):
            seen.append((np.asarray(kernel), np.asarray(recurrent)))
            return fast.lstm(x, h, c, kernel, recurrent, bias)

    fast = net.fast
    monkeypatch.setattr(net, "fast", Spy)
    for training in (True, True, False):
        net.states(ids, net.initial_state(2), training=training)
    weights = net.arrays()
    kept = []
    for i, (kernel, recurrent) in enumerate(seen):
        whole = weights[f"lstm_{i % 2}_recurrent"]
        np.testing.assert_array_equal(kernel, weights[f"lstm_{i % 2}_kernel"])
        if i >= 4:
            np.testing.assert_array_equal(recurrent, whole)
            continue
        mask = recurrent != 0
        np.testing.assert_allclose(recurrent, np.where(mask, whole / 0.7, 0), rtol=1e-5)
        kept.append(mask)
    assert len(seen) == 6
    assert abs(np.mean(kept) - 0.7) < 0.06  # 784 weights: more than three standard deviations
    assert all((a != b).any() for a, b in combinations(kept, 2))


@pytest.mark.parametrize("labels", [0, 2])
def test_fast_kernels_and_those_of_keras_train_alike(labels):
    """Every part at once, the same masks, three steps: the weights stay together."""
    results = []
    contexts = {"context": np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]} if labels else {}
    for kernels in (True, False):
        sizes = {"embedding": 5, "hidden": 7, "layers": 2, "dropout": 0.3, "context": labels}
        net = LanguageModel(
            NetworkSettings(vocabulary=11, **sizes), seed=1, weight_drop=0.3, word_dropout=0.2
        )
        trainee = Trainee(net, batch=None if labels else 4, activation=2.0, slowness=1.0)
        before = net.arrays()
        if not kernels:
            net.fast = None
        trainee.compile(optimizer=keras.optimizers.SGD(0.5), jit_compile=False)
        random = np.random.default_rng(0)
        for _ in range(3):
            ids, targets = random.integers(0, 11, (2, 4, 9)).astype("int32")
            weights = np.ones((4, 9), np.float32)
            inputs = {"ids": ids, **contexts}
            logs = trainee.train_on_batch(inputs, targets, weights, return_dict=True)
        results.append({**net.arrays(), "loss": float(logs["loss"])})
        assert not any(np.array_equal(before[name], results[-1][name]) for name in before)
    for name, array in results[0].items():
        np.testing.assert_allclose(array, results[1][name], rtol=1e-4, atol=1e-5)


def test_penalties_against_numpy():
    """AR and TAR (Merity et al. 2017): the last layer's mean square, and that of its changes."""
    ids = np.random.default_rng(0).integers(0, 11, (3, 9)).astype("int32")
    weights = np.ones((3, 9), np.float32)
    for activation, slowness in ((2e4, 0.0), (0.0, 3e4), (2e4, 3e4)):  # small states
        net = regular_network()
        hidden = np.asarray(net.states(ids, net.initial_state(3))[0], np.float64)
        trainee = Trainee(net, batch=3, activation=activation, slowness=slowness)
        trainee.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=False)
        logs = trainee.train_on_batch({"ids": ids}, ids, weights, return_dict=True)
        changes = np.diff(hidden, axis=1)
        expected = activation * (hidden**2).mean() + slowness * (changes**2).mean()
        np.testing.assert_allclose(logs["loss"] - logs["nll"], expected, rtol=1e-4)


def test_output_bias_starts_at_word_frequencies():
    bias = network(**SIZES[0]).arrays()["output_bias"].astype(np.float64)
    np.testing.assert_allclose(np.exp(bias), np.arange(1, 12) / 66, rtol=1e-5)


def test_state_is_carried_between_windows_and_forgotten():
    net = network(**SIZES[1])
    trainee = Trainee(net, batch=2)
    ids = np.random.default_rng(0).integers(0, 11, (2, 8)).astype("int32")
    whole, _ = net(ids, net.initial_state(2))
    halves = [np.asarray(net.logits(trainee({"ids": ids[:, a:b]}))) for a, b in ((0, 4), (4, 8))]
    np.testing.assert_allclose(np.concatenate(halves, 1), np.asarray(whole), atol=1e-5)
    trainee.forget()
    again = net.logits(trainee({"ids": ids[:, :4]}))
    np.testing.assert_array_equal(np.asarray(again), halves[0])


def test_judge_gives_the_negative_log_likelihood():
    net = network(**SIZES[1])
    ids = np.random.default_rng(0).integers(0, 11, (1, 7)).astype("int32")
    state = np.zeros((1, 2, 7), np.float32)
    out = Judge(net)({"ids": ids[:, :-1], "targets": ids[:, 1:], "h": state, "c": state})
    walk, expected = reference.zeros(net.settings), []
    for token, target in zip(ids[0, :-1], ids[0, 1:], strict=True):
        logits, walk = reference.step(net.arrays(), 2, token, walk)
        expected.append(-reference.log_softmax(logits)[target])
    np.testing.assert_allclose(np.asarray(out["nll"])[0], expected, atol=1e-5)


OTHER_BACKEND = """
import sys, time
import keras
import numpy as np
from textmill.model.text.dataset import LineBatches, StreamBatches
from textmill.model.training.fit import fit
from textmill.model.network.lstm import LanguageModel
from textmill.model.network.reader import Judge
from textmill.model.settings import NetworkSettings, TrainSettings

class Report:
    def message(self, text): pass
    def progress(self, share, *, loss, rate): pass
    def validated(self, epoch, *, perplexity, best): pass

ids = np.tile(np.arange(3, 9), 120).astype(np.int32)
contexts = np.ones((120, 2), np.float32)
stream = StreamBatches(ids, batch=4, steps=10, seed=0)
for feeder, context, cuts in (
    (stream, 0, {}),
    (stream, 0, {"cutoffs": (5, 7), "tail_widths": (8, 8)}),
    (LineBatches(ids, np.full(120, 6), batch=8, seed=0, contexts=contexts), 2, {}),
):
    net = LanguageModel(NetworkSettings(
        vocabulary=9, embedding=16, hidden=16, layers=1, dropout=0.1, context=context, **cuts))
    net.build()
    judge = Judge(net)

    def validate():
        inputs, targets, weights = next(iter(feeder.batches(0)))
        zeros = np.zeros((len(targets), 1, 16), np.float32)
        start = {"h": zeros, "c": zeros}
        if context:
            ((h, c),) = net.initial_state(len(targets), inputs["context"])
            start = {"h": np.asarray(h)[:, None], "c": np.asarray(c)[:, None]}
            start["context"] = inputs["context"]
        out = judge.predict_on_batch({"ids": inputs["ids"], "targets": targets, **start})
        return float(np.exp(np.sum(np.asarray(out["nll"]) * weights) / weights.sum()))

    history = fit(net, feeder, validate, TrainSettings(epochs=20, learning_rate=0.05, clip=5.0),
                  started=time.monotonic(), report=Report(), use_tf_data=False)
    assert history.best_perplexity < 1.3, history.validations
assert "tensorflow" not in sys.modules
print("TRAINED")
"""


@pytest.mark.parametrize("cuts", [{}, {"cutoffs": (5, 7), "tail_widths": (3, 3)}])
def test_bfloat16_products_have_float32_weights_and_nearly_the_same_gradients(cuts):
    settings = NetworkSettings(vocabulary=11, embedding=6, hidden=8, layers=2, dropout=0.0, **cuts)
    ids = np.random.default_rng(0).integers(0, 11, (3, 9))
    losses, gradients = [], []
    for precision in ("float32", "bfloat16"):
        net = LanguageModel(settings, seed=1, precision=precision)
        net.build()
        assert {variable.dtype for variable in net.trainable_variables} == {"float32"}
        with tf.GradientTape() as tape:
            features, after = net.features(ids[:, :-1], net.initial_state(3), training=True)
            loss = ops.mean(net.nll(features, ids[:, 1:]))
        assert loss.dtype == features.dtype == after[0][0].dtype == tf.float32
        losses.append(float(loss))
        found = tape.gradient(loss, [v.value for v in net.trainable_variables])
        gradients.append(np.concatenate([np.ravel(tf.convert_to_tensor(g)) for g in found]))
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=1e-2)
    cosine = np.dot(*gradients) / np.prod([np.linalg.norm(g) for g in gradients])
    assert cosine > 0.99


def test_the_fused_kernel_is_found_in_a_graph():
    net = network(**SIZES[0])
    assert not uses_cudnn(lambda ids: net.features(ids, net.initial_state(1), training=True))

    def fused(ids):
        x = tf.cast(ids[:, :, None], tf.float32)
        zeros = tf.zeros((1, 1, 4))
        return tf.raw_ops.CudnnRNNV3(
            input=x, input_h=zeros, input_c=zeros, params=tf.zeros(200), sequence_lengths=[2]
        ).output

    assert uses_cudnn(tf.function(fused))  # also in a function within


@pytest.mark.walk
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_trains_without_tensorflow(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", OTHER_BACKEND],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "TRAINED" in done.stdout, done.stdout + done.stderr
