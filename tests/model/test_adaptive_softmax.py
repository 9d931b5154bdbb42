"""The adaptive softmax: its cut-offs, its training, and exact draws from it."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest
import reference
import tensorflow as tf
from reference import assert_follows
from scipy import stats
from sharing import generator_of
from silent import Silent

from textmill.model.errors import SettingError
from textmill.model.generation.adaptive_softmax import AdaptiveSampler, Wishes
from textmill.model.network import adaptive_cuts as output
from textmill.model.network.adaptive_cuts import GROUP, choose_cut, choose_output, tail_width
from textmill.model.network.directory import SavedModel, load_model, weight_shapes
from textmill.model.network.lstm import LanguageModel
from textmill.model.prompt import Prompt
from textmill.model.settings import (
    GenerationSettings,
    NetworkSettings,
    TrainSettings,
    VocabularySettings,
)
from textmill.model.text.corpus import CorpusSettings
from textmill.model.text.vocabulary import EOS, PAD, RESERVED, UNKNOWN, Vocabulary
from textmill.model.training.train import train_model
from textmill.pipeline.command.evaluate import evaluate

TEMPERATURES = (0.3, 0.7, 1.0, 1.5, 2.0)
SIZES = {"embedding": 12, "hidden": 12, "cutoffs": (9, 20), "tail_widths": (5, 3)}
WORDS = [f"w{i}" for i in range(37)]
LONG = pytest.param(1_000_000, marks=pytest.mark.long)


def sampler_of(model):
    return AdaptiveSampler(model.network, model.arrays)


WEIGHTS = ("head_kernel", "head_bias", "into", "out_kernels", "out_biases")


@tf.function(jit_compile=True, autograph=False)
def chunk(weights, x, barred, temperatures, seed, start):
    """Draws of 64 positions by any weights of `SIZES`: compiled once for a number of slots."""
    network = NetworkSettings(vocabulary=len(WORDS) + 3, **SIZES)
    shapes = weight_shapes(network)
    sampler = AdaptiveSampler(network, {n: np.zeros(s, np.float32) for n, s in shapes.items()})
    assert vars(sampler).keys() > weights.keys()
    vars(sampler).update(weights)
    slots = x.shape[1]
    key = tf.cast(tf.range(slots), tf.uint32)

    def one(i, words, nats):
        wishes = Wishes(
            temperature=temperatures,
            key=(key, key + seed),
            sample=tf.zeros([slots], tf.uint32),
            position=tf.fill([slots], tf.cast(start + i, tf.uint32)),
            on=tf.ones([slots], tf.bool),
        )
        word, nat, _ = sampler.draw(x, barred, lambda w: w, wishes)
        words = tf.tensor_scatter_nd_update(words, [[i]], word[None])
        return i + 1, words, tf.tensor_scatter_nd_update(nats, [[i]], nat[None])

    state = (0, tf.zeros([64, slots], tf.int32), tf.zeros([64, slots]))
    return tf.while_loop(lambda i, *_: i < 64, one, state)[1:]


def draws(model, x, count, temperatures, *, never=(), slots=256, seed=3):
    """Words and log-probabilities [count / slots, slots] for features [D, slots]."""
    sampler = vars(sampler_of(model))
    barred = np.zeros(model.network.vocabulary, np.float32)
    barred[list(never)] = -np.inf
    weights = {name: sampler[name] for name in WEIGHTS}
    settings = tf.constant(temperatures, tf.float32), tf.constant(seed, tf.uint32)
    given = weights, tf.constant(x), tf.constant(barred), *settings
    found = [chunk(*given, tf.constant(64 * i)) for i in range(-(-count // (64 * slots)))]
    return tuple(np.concatenate([np.asarray(pair[i]) for pair in found]) for i in (0, 1))


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


def test_greedy_is_the_most_probable_word(make_model):
    never = (PAD, UNKNOWN, 4, 12, 30)
    model = make_model(WORDS, scale=0.9, **SIZES)
    x = np.random.default_rng(0).normal(size=(12, 64)).astype(np.float32)
    words, _ = draws(model, x, 1, np.zeros(64, np.float32), never=never, slots=64)
    best = []
    for column in x.T:
        log_p = reference.adaptive_log_probabilities(model.arrays, model.network, column)
        log_p[list(never)] = -np.inf
        best.append(np.argmax(log_p))
    assert (words == best).all()
    assert {np.searchsorted(SIZES["cutoffs"], word, "right") for word in best} == {0, 1, 2}


def test_greedy_takes_the_lowest_id_on_ties(make_model):
    zeros = {name: np.zeros(shape, np.float32) for name, shape in (
        ("embedding", (40, 12)), ("output_bias", (40,)), ("cluster_kernel", (2, 12)),
        ("tail_0_out", (11, 5)), ("tail_1_out", (20, 3)),
    )}  # fmt: skip
    for bias, best in (((-9, -9), PAD), ((9, 9), 9)):
        model = make_model(WORDS, arrays={**zeros, "cluster_bias": np.float32(bias)}, **SIZES)
        words, _ = draws(model, np.ones((12, 64), np.float32), 1, np.zeros(64), slots=64)
        assert (words == best).all()


@pytest.mark.parametrize("bias", [(30.0, 30.0), (80.0, 79.0)])
def test_extreme_temperatures_and_clusters_end(make_model, bias):
    """Draws end even if a bound is far off, weights underflow or a whole cluster is banned."""
    model = make_model(WORDS, scale=1.0, arrays={"cluster_bias": np.float32(bias)}, **SIZES)
    random = np.random.default_rng(0)
    x = random.normal(size=(12, 64)).astype(np.float32)
    temperatures = np.resize(np.float32([0, 0.001, 0.02, 1, 100, 1000]), 64)
    never = (PAD, UNKNOWN, *range(9, 20))
    words, nats = draws(model, x, 20_000, temperatures, never=never, slots=64)
    assert not np.isin(words, never).any()
    assert np.isfinite(nats).all()
    for slot in (0, 1, 6, 7):  # next to greedy
        log_p = reference.adaptive_log_probabilities(model.arrays, model.network, x[:, slot])
        log_p[list(never)] = -np.inf
        assert (words[:, slot] == np.argmax(log_p)).mean() > 0.999


@pytest.fixture(scope="module")
def large():
    """Sizes at which products have kernels of several kinds."""
    network = NetworkSettings(
        vocabulary=2400, embedding=160, hidden=192, layers=2,
        cutoffs=(500, 1100), tail_widths=(40, 33),
    )  # fmt: skip
    random = np.random.default_rng(0)
    arrays = {
        name: random.normal(scale=0.2, size=shape).astype(np.float32)
        for name, shape in weight_shapes(network).items()
    }
    arrays["cluster_bias"] += np.float32([6.0, 5.0])
    words = [*RESERVED, *(f"w{i}" for i in range(2397))]
    vocabulary = Vocabulary(level="word", words=words, counts=range(2400, 0, -1))
    return SavedModel(network, vocabulary, "stream", (), arrays, {"corpus": {}})


@pytest.mark.long  # every day it is shown by texts
def test_a_column_is_the_same_bits_wherever_it_stands(large):
    x = np.random.default_rng(1).normal(size=(160, 256)).astype(np.float32)
    temperatures = np.resize(np.float32([0.5, 1.5, 0]), 256)
    sampler = sampler_of(large)
    never = tf.zeros([2400])
    keys = np.arange(256, dtype=np.uint32)

    @tf.function(jit_compile=True)
    def one(x, temperature, key):
        slots = key.shape[0]
        zeros = tf.zeros([slots], tf.uint32)
        wishes = Wishes(
            temperature=temperature, key=(key, key), sample=zeros, position=zeros,
            on=tf.ones([slots], tf.bool),
        )  # fmt: skip
        return sampler.draw(x, never, lambda words: words, wishes)

    whole = [a.numpy() for a in one(tf.constant(x), temperatures, keys)]
    assert (whole[0] >= 500).sum() > GROUP
    order = np.random.default_rng(0).permutation(256)[:64]
    some = one(tf.constant(x[:, order]), temperatures[order], keys[order])
    for found, expected in zip(some, whole, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected[order])


def texts(generator, prompts, **settings):
    found = generator.generate(prompts, GenerationSettings(**settings))
    return {(g.prompt.id, g.sample): (g.text, g.finish, g.logprob) for g in found}


@pytest.fixture(scope="module")
def generator(large):
    return generator_of(large)


def test_texts_are_the_same_at_any_slots_in_any_order(large, generator):
    prompts = [Prompt(f"p:{i}", f"w{i % 50} w{i}") for i in range(300)]
    settings = {"temperatures": (0.8,), "max_words": 9}
    found = texts(generator, prompts, **settings)
    assert texts(generator, prompts[::-1], **settings) == found
    assert texts(generator_of(large, slots=128), prompts[::-1], **settings) == found
    assert texts(generator, prompts[17:18], **settings) == {("p:17", 1): found["p:17", 1]}


def test_neighbours_that_look_at_all_words_change_nothing(generator):
    own = [
        GenerationSettings(max_words=8, temperatures=(0.9,)),
        GenerationSettings(max_words=8, temperatures=(0.9,), top_k=40),
        GenerationSettings(max_words=8, temperatures=(0.0,), min_words=4),
        GenerationSettings(max_words=8, min_words=5, stop=("w1500", "w20")),
    ]
    mixed = [Prompt(f"p:{i}", f"w{i}", own[i % 4]) for i in range(200)]
    found = texts(generator, mixed)
    for i, settings in enumerate(own):
        some = [Prompt(p.id, p.text, settings) for p in mixed[i::4]]
        alone = texts(generator, some)
        assert alone == {key: found[key] for key in alone}


@pytest.mark.long
def test_texts_follow_the_ruled_softmax(make_model):
    """With no word vectors the logits are the biases at every step."""
    bias = np.random.default_rng(2).normal(size=40).astype(np.float32)
    arrays = {"embedding": np.zeros((40, 12), np.float32), "output_bias": bias}
    arrays |= {"cluster_bias": np.float32([1.5, 1.0]), "cluster_kernel": np.zeros((2, 12), "f4")}
    arrays |= {f"tail_{i}_in": np.zeros((12, d), np.float32) for i, d in ((0, 5), (1, 3))}
    model = make_model(WORDS, arrays=arrays, **SIZES)
    generator = generator_of(model)
    prompts = [Prompt(f"p:{i}", "") for i in range(1500)]
    log_p = reference.adaptive_log_probabilities(model.arrays, model.network, np.zeros(12))
    for filters, words in (
        ({"top_k": 6}, {}),
        ({"top_p": 0.7}, {}),
        ({"min_p": 0.1}, {"ban": ("w4",)}),
        ({}, {"ban": ("w3", "w10", "w30")}),
        ({}, {"stop": ("w4", "w25")}),
        ({}, {"stop": ("w4",)}),
    ):
        settings = {"temperatures": (0.8,), "min_words": 9, "max_words": 9, **filters, **words}
        found = [text for text, *_ in texts(generator, prompts, **settings).values()]
        ids = np.concatenate(model.vocabulary.encode(found))
        barred = [PAD, UNKNOWN, EOS]
        for word in (word for listed in words.values() for word in listed):
            barred += model.vocabulary.ids_of_surface(word)
        allowed = log_p.copy()
        allowed[barred] = -np.inf
        assert_follows(ids, reference.filtered(allowed, temperature=0.8, **filters))


def test_penalty_and_ngrams_see_the_whole_vocabulary(generator):
    prompts = [Prompt(f"p:{i}", f"w{i}") for i in range(60)]
    rules = {"repetition_penalty": 10.0, "no_repeat_ngram": 1}
    found = texts(generator, prompts, temperatures=(0.5,), max_words=12, **rules)
    assert all(len(set(text.split())) == len(text.split()) for text, *_ in found.values())


# -- the Keras side ------------------------------------------------------------------------------


def network(seed=0, **sizes):
    made = LanguageModel(
        NetworkSettings(vocabulary=40, dropout=0.0, **{**SIZES, **sizes}), seed=seed
    )
    made.build()
    made.assign_output_bias(tuple(range(40, 0, -1)))
    return made


def test_likelihood_is_that_of_the_equations():
    net = network()
    random = np.random.default_rng(0)
    arrays = {name: random.normal(size=a.shape).astype("f4") for name, a in net.arrays().items()}
    net.assign_arrays(arrays)
    features = random.normal(size=(6, 9, 12)).astype(np.float32)
    expected = np.array([
        [reference.adaptive_log_probabilities(arrays, net.settings, x) for x in row]
        for row in features
    ])  # fmt: skip
    np.testing.assert_allclose(np.asarray(net.logits(features)), expected, atol=3e-5)
    np.testing.assert_allclose(np.exp(expected).sum(-1), 1.0)
    # Evenly spread, all in one tail, none in any: whatever number of rows a tail has.
    for targets in (random.integers(0, 40, (6, 9)), np.full((6, 9), 15), np.full((6, 9), 3)):
        nll = np.asarray(net.nll(features, targets))
        hit = np.take_along_axis(expected, targets[:, :, None], -1)[:, :, 0]
        np.testing.assert_allclose(nll, -hit, atol=3e-5)


def test_starts_at_word_frequencies_and_fits_its_shapes():
    net = network()
    zeros = {name: np.zeros_like(a) for name, a in net.arrays().items() if "bias" not in name}
    net.assign_arrays({**net.arrays(), **zeros})
    p = np.exp(np.asarray(net.logits(np.zeros((1, 1, 12), np.float32)))[0, 0])
    counts = np.arange(40, 0, -1) + 1.0
    np.testing.assert_allclose(p, counts / counts.sum(), rtol=1e-4)
    assert {n: a.shape for n, a in net.arrays().items()} == weight_shapes(net.settings)
    one, same, other = (network(seed).arrays() for seed in (5, 5, 6))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["tail_0_out"], other["tail_0_out"])


@pytest.fixture(scope="module")
def adaptive_dir(book, tmp_path_factory):
    out = tmp_path_factory.mktemp("adaptive") / "model"
    train_model(
        str(out), corpus=CorpusSettings(paths=(str(book),)), vocabulary=VocabularySettings(),
        preset="tiny", output="adaptive", train=TrainSettings(epochs=8, batch=8, steps=16),
        report=Silent(),
    )  # fmt: skip
    return out


def test_trains_saves_loads_and_evaluates(adaptive_dir, book, model_dir):
    model = load_model(adaptive_dir)
    assert model.network.tails
    result = evaluate(str(adaptive_dir), [str(book)], baselines=True)
    assert result["perplexity"] == pytest.approx(model.training["metrics"]["test_perplexity"], 1e-3)
    assert result["perplexity"] < 0.5 * result["unigram_perplexity"]
    dense = evaluate(str(model_dir), [str(book)])
    assert result["perplexity"] < 1.3 * dense["perplexity"]
    assert "adaptive output" in (adaptive_dir / "README.md").read_text()
    assert texts(generator_of(model), [Prompt("x", "the")], max_words=5)


def test_dense_models_are_recorded_as_ever(model_dir):
    recorded = json.loads((model_dir / "model.json").read_text())["network"]
    assert sorted(recorded) == [
        "context", "dropout", "embedding", "hidden", "layers", "vocabulary",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "sizes",
    [
        {"cutoffs": (2,), "tail_widths": (4,)},
        {"cutoffs": (40,), "tail_widths": (4,)},
        {"cutoffs": (9, 9), "tail_widths": (4, 4)},
        {"cutoffs": (9,), "tail_widths": ()},
        {"cutoffs": (9,), "tail_widths": (0,)},
        {"cutoffs": (9.0,), "tail_widths": (4,)},
        {"cutoffs": (9, 10, 11, 12, 13), "tail_widths": (4,) * 5},
    ],
)
def test_cutoffs_are_checked(sizes):
    with pytest.raises(SettingError):
        NetworkSettings(vocabulary=40, **sizes)


# -- cut-offs ------------------------------------------------------------------------------------


def test_cutoffs_are_the_cheapest_of_all(monkeypatch):
    monkeypatch.setattr(output, "START", 300)
    monkeypatch.setattr(output, "LOGIT", 10)
    monkeypatch.setattr(output, "LEAST_WIDTH", 2)
    counts = [0, 50, 90, *(1000 // rank for rank in range(1, 15))]
    words = len(counts)
    share = (np.array(counts) + 1) / (sum(counts) + words)
    costs = {}
    for clusters in (1, 2, 3, 4):
        for cutoffs in combinations(range(4, words), clusters):
            head = cutoffs[0]
            if share[:head].sum() < output.LEAST_HEAD:
                continue
            total = (share[:head] ** 1.25).sum() + share[head:].sum() ** 1.25
            cost = output.SLOTS * (head + clusters) * (24 + output.LOGIT)
            for first, end in zip(cutoffs, (*cutoffs[1:], words), strict=True):
                chance = share[first:end].sum() ** 1.25 / total
                n = np.arange(output.SLOTS + 1)
                groups = (stats.binom.pmf(n, output.SLOTS, chance) * -(-n // output.GROUP)).sum()
                width = tail_width(24, head, first)
                cost += groups * output._group_cost(end - first, 24, width)
            costs[cutoffs] = cost
    best = choose_cut(counts, 24, grid=1000)
    assert best.cost == pytest.approx(min(costs.values()))
    assert best.cost == pytest.approx(costs[best.cutoffs])
    # A coarse grid finds nearly as much.
    assert choose_cut(counts, 24, grid=9).cost < 1.2 * best.cost


def test_auto_cuts_large_vocabularies_only():
    def chosen(how, words):
        sizes = NetworkSettings(vocabulary=words, embedding=256, hidden=256)
        return choose_output(how, [10**6 // (i + 1) for i in range(words)], sizes)

    assert not chosen("auto", 9_000).tails
    assert chosen("auto", 40_000).tails
    assert not chosen("dense", 40_000).tails
    assert chosen("adaptive", 1500).tails
    assert not chosen("adaptive", 4).tails
