"""Draws against brute force in float64."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import assert_follows
from scipy import stats

from textmill.model.generation import sampling

RANDOM = np.random.default_rng(7)
LOGITS = np.float32(RANDOM.normal(scale=2.0, size=37))
DRAWS = 200_000

FILTERS = {
    "none": {},
    "top-k": {"top_k": 6},
    "top-p": {"top_p": 0.8},
    "min-p": {"min_p": 0.1},
    "all": {"top_k": 12, "top_p": 0.9, "min_p": 0.05},
}


def weights(logits, *, temperature, top_k=0, top_p=1.0, min_p=0.0):
    rows = len(logits)
    w = sampling.weights_of(tf.constant(logits), tf.fill([rows], np.float32(temperature)))
    w = sampling.keep_top_k(w, tf.fill([rows], top_k))
    w = sampling.keep_top_p(w, tf.fill([rows], np.float32(top_p)))
    return sampling.keep_min_p(w, tf.fill([rows], np.float32(min_p)))


def bits(count, seed=0):
    counter = tf.range(count, dtype=tf.int32)
    zeros = tf.zeros([count], tf.uint32)
    key = (zeros + np.uint32(seed), zeros + np.uint32(99))
    return sampling.threefry(key, (tf.cast(counter, tf.uint32), zeros))


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [  # the known answers of Random123, threefry2x32 with 20 rounds
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_known_answers(key, counter, expected):
    def words(pair):
        return tuple(tf.constant([word], tf.uint32) for word in pair)

    found = sampling.threefry(words(key), words(counter))
    assert tuple(int(word[0]) for word in found) == expected


def test_uniforms_are_uniform_and_below_one():
    first, second = (sampling.uniform(b).numpy() for b in bits(DRAWS))
    assert float(sampling.uniform(tf.constant([0xFFFFFFFF], tf.uint32))[0]) < 1
    assert float(sampling.uniform(tf.constant([0], tf.uint32))[0]) == 0
    for values in (first, second):
        assert stats.kstest(values, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.01


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
def test_draws_follow_the_filtered_softmax(temperature, name):
    expected = reference.filtered(LOGITS, temperature=temperature, **FILTERS[name])
    w = weights(LOGITS[None], temperature=temperature, **FILTERS[name])
    uniforms = [sampling.uniform(b) for b in bits(DRAWS, seed=int(temperature * 10))]
    draw = tf.function(sampling.draw, jit_compile=True)
    words = draw(tf.repeat(w, DRAWS, axis=0), *uniforms).numpy()
    assert_follows(words, expected)


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("vocabulary", [5, 100, 1000])
def test_filters_keep_what_sorting_keeps(name, vocabulary):
    logits = np.float32(np.random.default_rng(vocabulary).normal(scale=3, size=(40, vocabulary)))
    w = weights(logits, temperature=0.8, **FILTERS[name]).numpy()
    for row, kept in zip(logits, w, strict=True):
        expected = reference.filtered(row, temperature=0.8, **FILTERS[name])
        np.testing.assert_array_equal(kept > 0, expected > 0)
        np.testing.assert_allclose(kept / kept.sum(), expected, rtol=1e-4, atol=1e-7)


def test_off_filters_change_nothing():
    w = np.float32([[1.0, 1e-30, 0.0, 0.25]])
    for keep, off in (
        (sampling.keep_top_k, np.int32([0])),
        (sampling.keep_top_k, np.int32([99])),
        (sampling.keep_top_p, np.float32([1.0])),
        (sampling.keep_min_p, np.float32([0.0])),
    ):
        np.testing.assert_array_equal(keep(tf.constant(w), tf.constant(off)).numpy(), w)


def test_ties_stay_together():
    w = tf.constant([[1.0, 0.5, 0.5, 0.1]])
    assert sampling.keep_top_k(w, tf.constant([2])).numpy().tolist() == [[1.0, 0.5, 0.5, 0.0]]
    kept = sampling.keep_top_p(w, tf.constant([0.6])).numpy()
    assert kept.tolist() == [[1.0, 0.5, 0.5, 0.0]]


def test_greedy_takes_the_lowest_id_on_ties():
    logits = tf.constant([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-np.inf, 0.0, -1.0]])
    assert sampling.greedy(logits).numpy().tolist() == [1, 0, 1]


@pytest.mark.parametrize("vocabulary", [1, 2, 3, 10, 97, 1000])
def test_extreme_uniforms_draw_only_words_of_weight(vocabulary):
    random = np.random.default_rng(vocabulary)
    rows = 300
    w = random.gamma(0.1, size=(rows, vocabulary)).astype(np.float32)
    w[random.random(w.shape) < 0.6] = 0
    w[np.arange(rows), random.integers(0, vocabulary, rows)] += 0.5
    ends = np.float32([0.0, 2.0**-23, 0.5, 1 - 2.0**-22, 1 - 2.0**-23])
    for first in ends:
        for second in ends:
            uniforms = [tf.fill([rows], u) for u in (first, second)]
            words = sampling.draw(tf.constant(w), *uniforms).numpy()
            assert (w[np.arange(rows), words] > 0).all()


def test_low_temperatures_do_not_overflow():
    w = sampling.weights_of(tf.constant([[5.0, 90.0, 89.0, -np.inf]]), tf.constant([0.001]))
    assert w.numpy().tolist() == [[0.0, 1.0, 0.0, 0.0]]
