"""The adaptive softmax: its cut-offs, its training, and exact draws from it."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import tensorflow as tf
from scipy import stats

from model.adaptive import AdaptiveSampler, Wishes
from model.vocabulary import PAD, UNKNOWN

TEMPERATURES = (0.3, 0.7, 1.0, 1.5, 2.0)
SIZES = {"embedding": 12, "hidden": 12, "cutoffs": (9, 20), "tail_widths": (5, 3)}
WORDS = [f"w{i}" for i in range(37)]
LONG = pytest.param(1_000_000, marks=pytest.mark.long)


def sampler_of(model):
    return AdaptiveSampler(model.network, model.arrays)


def draws(model, x, count, temperatures, *, never=(), slots=256, seed=3):
    """Words and log-probabilities [count / slots, slots] for features [D, slots]."""
    sampler = sampler_of(model)
    barred = np.zeros(model.network.vocabulary, np.float32)
    barred[list(never)] = -np.inf

    @tf.function(jit_compile=True)
    def chunk(start):
        def one(i, words, nats):
            wishes = Wishes(
                temperature=tf.constant(temperatures, tf.float32),
                key=(key, key + np.uint32(seed)),
                sample=tf.zeros([slots], tf.uint32),
                position=tf.fill([slots], tf.cast(start + i, tf.uint32)),
                on=tf.ones([slots], tf.bool),
            )
            word, nat = sampler.draw(tf.constant(x), tf.constant(barred), lambda w: w, wishes)
            words = tf.tensor_scatter_nd_update(words, [[i]], word[None])
            return i + 1, words, tf.tensor_scatter_nd_update(nats, [[i]], nat[None])

        key = tf.cast(tf.range(slots), tf.uint32)
        state = (0, tf.zeros([64, slots], tf.int32), tf.zeros([64, slots]))
        return tf.while_loop(lambda i, *_: i < 64, one, state)[1:]

    found = [chunk(tf.constant(64 * i)) for i in range(-(-count // (64 * slots)))]
    return tuple(np.concatenate([np.asarray(pair[i]) for pair in found]) for i in (0, 1))


def assert_follows(words, expected):
    """Chi-square and total variation of drawn words against their probabilities."""
    counts, total = np.bincount(words, minlength=len(expected)), len(words)
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    rare = kept & (expected * total < 20)
    observed = np.append(counts[kept & ~rare], counts[rare].sum())
    wanted = np.append(expected[kept & ~rare], expected[rare].sum()) * total
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    if len(wanted) > 1:
        assert stats.chisquare(observed, wanted).pvalue > 1e-4
    variation = 0.5 * np.abs(counts / total - expected).sum()
    assert variation < 2 * np.sqrt(np.sum(expected * (1 - expected)) * len(expected) / total)


@pytest.mark.parametrize("count", [150_000, LONG])
@pytest.mark.parametrize("scale", [0.3, 1.5])
def test_draws_follow_the_softmax(make_model, scale, count):
    model = make_model(WORDS, scale=scale, **SIZES)
    random = np.random.default_rng(1)
    features = random.normal(size=12).astype(np.float32)
    never = (PAD, UNKNOWN, 5, 11, 25)
    settings = np.resize(TEMPERATURES, 256).astype(np.float32)
    words, nats = draws(model, np.repeat(features[:, None], 256, 1), count, settings, never=never)
    log_p = reference.adaptive_log_probabilities(model.arrays, model.network, features)
    np.testing.assert_allclose(nats, log_p[words], atol=2e-5)
    allowed = log_p.copy()
    allowed[list(never)] = -np.inf
    for temperature in TEMPERATURES:
        expected = reference.filtered(allowed, temperature=temperature)
        assert_follows(words[:, settings == np.float32(temperature)].ravel(), expected)
