"""Draws from a dense output in tiles, against float64 brute force."""

import functools
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import assert_follows

from textmill.model.generation import compiled_loop as graph
from textmill.model.generation import dense_softmax as dense
from textmill.model.generation import generator
from textmill.model.generation.dense_softmax import DenseSampler, layout
from textmill.model.settings import NetworkSettings
from textmill.model.text.vocabulary import EOS, PAD, UNKNOWN

LONG = pytest.param(1_000_000, marks=pytest.mark.long)
VOCABULARY, WIDTH, SLOTS = 150, 16, 256
KINDS = [
    {"temperature": 0.3}, {"temperature": 0.8}, {"temperature": 1.0}, {"temperature": 2.0},
    {"temperature": 1.0, "top_k": 9}, {"temperature": 0.8, "top_p": 0.9},
    {"temperature": 1.5, "min_p": 0.1}, {"temperature": 2.0, "top_k": 20, "min_p": 0.05},
]  # fmt: skip


class Sampler(DenseSampler):
    """A sampler with its steps, which are compiled once for all tests."""

    @functools.cached_property
    def step(self):
        @tf.function(autograph=False)
        def step(x, barred, asked, position, keep):
            wanted = {**asked, "position": tf.fill([SLOTS], position)}
            sums, products = self.sums(x, barred, wanted, keep=keep)
            return self.choose(sums, products, barred, wanted, tf.ones([SLOTS], tf.bool))

        return step


def small_tiles(precision="float32"):
    """A sampler of tiles so small that a small vocabulary has several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "TILE", 40)
        patch.setattr(dense, "ROWS", range(2, 4))
        sampler = Sampler(EMBEDDING, BIAS, precision)
    assert sampler.tiles > 2
    return sampler


@pytest.fixture(scope="module")
def sampler():
    return small_tiles()


# Feature 0 is that of one word, `FAR`, in the last tile; `features` leaves it at 0.
FAR = 140
RANDOM = np.random.default_rng(0)
EMBEDDING = np.float32(RANDOM.normal(size=(VOCABULARY, WIDTH), scale=0.25))
EMBEDDING[:, 0] = np.where(np.arange(VOCABULARY) == FAR, 300.0, 0.0)
BIAS = np.float32(RANDOM.normal(size=VOCABULARY))


def features(seed=1, rows=SLOTS):
    x = np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype(np.float32)
    x[:, 0] = 0
    return x


def wishes(*, too_early=False, **settings):
    def column(name, value, kind):
        return tf.constant(np.broadcast_to(settings.get(name, value), SLOTS).astype(kind))

    return {
        "temperature": column("temperature", 1, np.float32),
        "top_k": column("top_k", 0, np.int32),
        "top_p": column("top_p", 1, np.float32),
        "min_p": column("min_p", 0, np.float32),
        "key": tf.constant(np.stack([np.arange(SLOTS), np.full(SLOTS, 7)], axis=1), tf.uint32),
        "sample": tf.ones([SLOTS], tf.uint32),
        "position": tf.zeros([SLOTS], tf.uint32),
        "too_early": tf.fill([SLOTS], too_early),
        "stops": tf.fill([SLOTS, 2], EOS),
    }


def draws(sampler, x, steps, never=(), keep=True, **settings):
    """Words, log-probabilities and whether there is none, each [steps, SLOTS]."""
    barred = np.zeros(sampler.words, np.float32)
    barred[list(never)] = -np.inf
    given = tf.constant(x), tf.constant(barred), wishes(**settings)
    found = [sampler.step(*given, tf.constant(i, tf.uint32), keep) for i in range(steps)]
    return tuple(np.stack([part.numpy() for part in parts]) for parts in zip(*found, strict=True))


def probabilities(x, never=(), **settings):
    logits = EMBEDDING.astype(float) @ x + BIAS
    log_p = reference.log_softmax(logits)
    logits[list(never)] = -np.inf
    return log_p, reference.filtered(logits, **settings)


@pytest.mark.parametrize("count", [20_000, LONG])
@pytest.mark.parametrize("too_early", [pytest.param(False, marks=pytest.mark.long), True])
def test_draws_follow_the_filtered_softmax(sampler, count, too_early):
    """All kinds of wishes side by side in the slots."""
    (x,) = features(rows=1)
    never = [PAD, UNKNOWN, 5, 77, 149]
    off = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
    settings = {
        name: np.resize([{**off, **kind}[name] for kind in KINDS], SLOTS)
        for name in ("temperature", *off)
    }
    each = count // (SLOTS // len(KINDS)) + 1
    words, nats, lost = draws(
        sampler, np.tile(x, (SLOTS, 1)), each, never, too_early=too_early, **settings
    )
    for i, kind in enumerate(KINDS):
        barred = [*never, EOS] if too_early else never
        log_p, expected = probabilities(x, barred, **kind)
        if too_early:
            log_p, _ = probabilities(x, never, **kind)
        mine = slice(i, None, len(KINDS))
        got = ~lost[:, mine]
        assert got.mean() > 0.85  # the others are drawn from filtered weights
        assert_follows(words[:, mine][got], expected)
        np.testing.assert_allclose(nats[:, mine][got], log_p[words[:, mine][got]], atol=2e-5)


def test_products_in_low_precision_keep_the_distribution():
    """Rounding to 8 bits changes logits of about 1 so little that 60,000 draws do not show it."""
    sampler = small_tiles("bfloat16")
    (x,) = features(rows=1)
    tile = sampler.products(tf.constant(x[None]))[0]
    assert tile.dtype == tf.bfloat16
    log_p, expected = probabilities(x, [PAD], temperature=0.8, top_p=0.9)
    words, nats, lost = draws(
        sampler, np.tile(x, (SLOTS, 1)), 60_000 // SLOTS, [PAD], temperature=0.8, top_p=0.9
    )
    # A word at the edge of the nucleus may fall to its other side.
    edge = expected == 0
    assert edge[words].mean() < 0.02
    inside = ~lost & ~edge[words]
    assert_follows(words[inside], expected)
    np.testing.assert_allclose(nats[~lost], log_p[words[~lost]], atol=0.02)


def test_filters_beside_them_change_no_other_slot(sampler):
    x = features()
    plain = draws(sampler, x, 20, temperature=0.8, keep=False)
    some = np.where(np.arange(SLOTS) % 2, 3, 0)
    mixed = draws(sampler, x, 20, temperature=0.8, top_k=some)
    for one, other in zip(plain, mixed, strict=True):
        np.testing.assert_array_equal(one[:, some == 0], other[:, some == 0])
    assert (plain[0] != mixed[0]).any()


def test_a_filter_that_keeps_one_word_keeps_the_best_one(sampler):
    """At the edge of a filter, a word's logit must be the same in both places, to the last bit."""
    x = 3 * features(seed=2)
    words, _, lost = draws(sampler, x, 4, top_k=1)
    best = (x.astype(float) @ EMBEDDING.T + BIAS).argmax(axis=1)
    assert (~lost).mean() > 0.8
    np.testing.assert_array_equal(words[~lost], np.tile(best, (4, 1))[~lost])


def test_words_far_above_the_first_tile_are_given_up_alone(sampler):
    x = features()
    calm = draws(sampler, x, 5, temperature=0.8)
    x[7, 0] = 1
    words, nats, lost = draws(sampler, x, 5, temperature=0.8)
    assert lost[:, 7].all()
    assert lost.sum() == 5
    others = np.arange(SLOTS) != 7
    np.testing.assert_array_equal(words[:, others], calm[0][:, others])
    np.testing.assert_array_equal(nats[:, others], calm[1][:, others])


@pytest.mark.parametrize("words", [4, 5, 40, 300, 1548, 5000, 12_000, 33_278, 100_000])
def test_layouts_hold_all_words_and_little_more(words):
    tiles, rows, classes = layout(words)
    assert classes % dense.LANES == 0
    assert words <= tiles * rows * classes <= max(1.1 * words, 16 * 9)
    assert tiles == 1 or rows * classes <= 2 * dense.TILE


def test_slots_by_texts_and_by_memory(monkeypatch):
    sizes = NetworkSettings(vocabulary=33_278, embedding=650, hidden=650, layers=2)
    monkeypatch.setattr(generator, "_gpu_memory", lambda: 0)
    assert generator.slots_for(sizes, texts=500) == 64
    assert generator.slots_for(sizes, texts=5000) == 256
    monkeypatch.setattr(generator, "_gpu_memory", lambda: 80 << 30)
    assert generator.slots_for(sizes, texts=10**6) == 4096
    assert generator.slots_for(sizes, texts=1000) == 512
    monkeypatch.setattr(generator, "_gpu_memory", lambda: 4 << 30)
    assert generator.slots_for(sizes, texts=10**6) == 1024
    attends = replace(sizes, source=5_000, attention=True)
    assert generator.slots_for(attends, texts=10**6, source_words=0) == 1024
    assert generator.slots_for(attends, texts=10**6, source_words=256) == 256
    assert generator.slots_for(sizes, texts=10**6, source_words=256) == 1024
    monkeypatch.setattr(generator, "_gpu_memory", lambda: 1 << 20)
    assert generator.slots_for(sizes, texts=10**6) == 64


def test_no_counter_serves_two_draws():
    rounds = {
        n * dense._ROUND + second for n in range(dense.ROUNDS + 1) for second in (0, dense._SECOND)
    }
    assert len(rounds) == 2 * (dense.ROUNDS + 1)
    assert graph._OF_LOST not in rounds
    assert max(*rounds, graph._OF_LOST) + 2**24 < 2**32
    assert min(abs(a - b) for a, b in combinations({*rounds, graph._OF_LOST}, 2)) >= 2**24
