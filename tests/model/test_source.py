"""Texts written from a source: encoder and attention against NumPy, the same bits everywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
import reference
from scipy import stats
from sharing import generator_of

from textmill.model.errors import SettingError, TextmillError
from textmill.model.generation.encoded_sources import LOOK
from textmill.model.generation.generator import state_noise
from textmill.model.generation.next_word import NextWord
from textmill.model.network.context import Context
from textmill.model.network.directory import load_model, save_model
from textmill.model.network.likelihood import Evaluator
from textmill.model.network.lstm import LanguageModel, restored
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings, NetworkSettings, TrainSettings
from textmill.model.text.corpus import CorpusSettings
from textmill.model.text.dataset import LineBatches, reversed_padded
from textmill.model.text.split import split, tokenized_part
from textmill.model.training.transfer import transfer

WORDS, SOURCE = [f"w{i}" for i in range(20)], [f"s{i}" for i in range(15)]


@pytest.fixture(scope="module", params=[False, True], ids=["state", "attention"])
def model(make_model, request):
    return make_model(
        WORDS, source=SOURCE, attention=request.param, layers=2, embedding=9, hidden=11,
        mode="lines", scale=0.7, longest_source=10,
    )  # fmt: skip


@pytest.fixture(scope="module")
def prompts():
    random = np.random.default_rng(5)
    lengths = [*range(1, 21), *random.integers(1, 12, 30)]
    return [
        Prompt(f"{i}", ["", "w1", "w2 w3"][i % 3], source=" ".join(random.choice(SOURCE, length)))
        for i, length in enumerate(lengths)
    ]


def drawn(model, prompts, *, slots=64, **settings):
    settings = GenerationSettings(**{"max_words": 12, "seed": 3, **settings})
    return list(generator_of(model, slots=slots).generate(prompts, settings))


def plain(found):
    return {(g.prompt.id, g.sample): (g.text, g.logprob) for g in found}


def expected_nats(model, prompt, ids):
    """Log-probabilities of drawn ids in float64."""
    ((words, _),) = model.vocabulary.encode_prompts([prompt.text])
    (source,) = model.source.encode([prompt.source])
    state, outputs = reference.encode(model.arrays, model.network, source)
    outputs = outputs if model.network.attention else None
    nats = []
    for token in [2, *words]:
        logits, state = reference.step(model.arrays, 2, token, state, outputs=outputs)
    for token in ids:
        nats.append(reference.log_softmax(logits)[token])
        logits, state = reference.step(model.arrays, 2, token, state, outputs=outputs)
    return nats


def test_texts_follow_the_equations(model, prompts):
    for generation in drawn(model, prompts, samples=2):
        ids = [*model.vocabulary.encode([generation.text])[0]]
        ids += [2] * (generation.finish == "eos")
        expected = np.mean(expected_nats(model, generation.prompt, ids))
        assert generation.logprob == pytest.approx(expected, abs=3e-5)


def test_the_most_probable_word_is_that_of_the_equations(model, prompts):
    for generation in drawn(model, prompts[:12], temperatures=(0,), max_words=1):
        prompt = generation.prompt
        p = [expected_nats(model, prompt, [token])[0] for token in range(2, 23)]
        word = np.argmax(p)
        assert generation.text.strip() == ("" if word == 0 else WORDS[word - 1])


def test_bits_do_not_depend_on_neighbours_slots_or_order(model, prompts):
    found = plain(drawn(model, prompts, samples=3))
    assert plain(drawn(model, prompts[::-1], samples=3)) == found
    assert plain(drawn(model, prompts, samples=3, slots=128)) == found
    # Alone, the shortest source has no neighbour whose length it could be padded to.
    for number in (0, 7, 19):
        alone = plain(drawn(model, prompts[number : number + 1], samples=3))
        assert alone == {key: value for key, value in found.items() if key[0] == str(number)}


def test_many_texts_share_and_give_back_places(make_model, prompts):
    """More texts than the bank has places, of few readings and of many."""
    model = make_model(
        WORDS, source=SOURCE, attention=True, mode="lines", scale=0.7, longest_source=10
    )
    few = drawn(model, prompts[:3], samples=200, slots=8)
    many = [
        Prompt(f"{i} {p.id}", p.text, source=p.source) for i in range(6) for p in prompts
    ]  # fmt: skip
    assert len(few) == 600
    found = plain(drawn(model, many, slots=8, max_words=5))
    some = plain(drawn(model, many[200:210], slots=8, max_words=5))
    assert some == {key: found[key] for key in some}
    one = plain(drawn(model, prompts[1:2], samples=200, slots=8))
    assert one == {key: value for key, value in plain(few).items() if key[0] == "1"}


def test_calls_that_are_under_way_at_a_time(make_model, prompts):
    """More streams than the bank has places at first, in turns, and some that are left."""
    model = make_model(
        WORDS, source=SOURCE, attention=True, mode="lines", scale=0.7, longest_source=10
    )
    generator = generator_of(model, slots=8)
    settings = GenerationSettings(max_words=40, min_words=40, seed=3)
    alone = {p.id: "".join(generator.stream(p, settings)) for p in prompts[::10]}
    streams = {p.id: generator.stream(p, settings) for p in prompts}
    found = {name: next(stream) for name, stream in streams.items()}
    assert len(streams) > 5 * 8
    for name, stream in streams.items():
        if name in alone:
            found[name] += "".join(stream)
        else:
            stream.close()
    assert {name: found[name] for name in alone} == alone
    assert not generator._places["float32"]._of


def test_another_source_gives_another_text(model):
    texts = [
        [g.text for g in drawn(model, [Prompt("a", "", source=source)], samples=20)]
        for source in ("s1 s2 s3", "s3 s2 s1", "s1 s2 s3 s3")
    ]
    assert texts[0] != texts[1] != texts[2] != texts[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "source is missing; it must be the text that the model writes from"),
        (" ", "source must be a text of 1 to 20 words. Received: '0 words'"),
        ("s1 " * 21, "source must be a text of 1 to 20 words. Received: '21 words'"),
    ],
)
def test_a_source_that_no_text_can_be_written_from(model, source, message):
    with pytest.raises(SettingError, match=message):
        drawn(model, [Prompt("a", "", source="s1"), Prompt("b", "", source=source)])


def test_a_source_for_a_model_without(make_model):
    with pytest.raises(SettingError, match="source must be left out: the model has none"):
        drawn(make_model(WORDS), [Prompt("a", "w1", source="s1")])


@pytest.mark.long
def test_with_a_label_and_numbers_too(make_model):
    model = make_model(
        WORDS, labels=("x", "y"), columns=("f",), numbers=2, source=SOURCE, attention=True,
        mode="lines",
    )  # fmt: skip
    prompt = Prompt("a", "w1", context=[1.0, -2.0], source="s1 s2")
    (generation,) = drawn(model, [prompt], label="y", temperatures=(0,), max_words=6)
    vector = model.context.vectors(["y"], np.array([prompt.context]), rows=1)[0]
    (source,) = model.source.encode([prompt.source])
    encoded, outputs = reference.encode(model.arrays, model.network, source)
    own = reference.start(model.arrays, model.network, vector)
    state = [(a + b, c + d) for (a, c), (b, d) in zip(encoded, own, strict=True)]
    ids = [*model.vocabulary.encode([generation.text])[0]]
    ids += [2] * (generation.finish == "eos")
    nats, (first,) = [], model.vocabulary.encode(["w1"])
    for token in [2, *first]:
        logits, state = reference.step(model.arrays, 1, token, state, vector, outputs)
    for token in ids:
        nats.append(reference.log_softmax(logits)[token])
        logits, state = reference.step(model.arrays, 1, token, state, vector, outputs)
    assert generation.logprob == pytest.approx(np.mean(nats), abs=3e-5)


def test_next_word_follows_the_equations(model, prompts):
    reader = NextWord(model)
    for prompt in prompts[:4]:
        logits = reader.logits(prompt.text, None, source=prompt.source)
        expected = [expected_nats(model, prompt, [token])[0] for token in range(23)]
        assert np.allclose(reference.log_softmax(logits), expected, atol=2e-5)


# -- training --------------------------------------------------------------------------------------


def _pairs(tmp_path, count=60):
    random = np.random.default_rng(2)
    rows = []
    for _ in range(count):
        words = random.integers(0, 15, random.integers(1, 12))
        rows.append((" ".join(SOURCE[i] for i in words), " ".join(WORDS[i] for i in words)))
    path = tmp_path / "pairs.tsv"
    path.write_text("de\ten\n" + "".join(f"{a}\t{b}\n" for a, b in rows))
    return str(path), rows


def _corpus(tmp_path, **more):
    path, rows = _pairs(tmp_path, **more)
    return CorpusSettings(paths=path, text="en", source="de").read(), rows


def test_pairs_stay_together(tmp_path):
    corpus, rows = _corpus(tmp_path)
    assert list(zip(corpus.sources_of_texts, corpus.texts, strict=True)) == rows
    parts = split(tokenized_part(corpus, level="word", mode="lines"))
    found = []
    for part in parts.values():
        texts, sources = (
            [
                " ".join(p.words[i] for i in ids)
                for ids in np.split(p.ids, np.cumsum(p.lengths)[:-1])
            ]
            for p in (part, part.source)
        )
        found += zip(sources, texts, strict=True)
        assert len(part.head(20).source.lengths) == len(part.head(20).lengths)
    assert sorted(found) == sorted(rows)


def test_likelihood_follows_the_equations(model, tmp_path):
    corpus, rows = _corpus(tmp_path)
    part = tokenized_part(corpus, level="word", mode="lines")
    found = Evaluator(restored(model), model.vocabulary, model.context, model.source)(part)
    nats = 0.0
    for source, text in rows:
        (ids,) = model.vocabulary.encode([text])
        nats -= sum(expected_nats(model, Prompt("", "", source=source), [*ids, 2]))
    assert found.nats == pytest.approx(nats, rel=1e-5)


def test_both_feeders_give_the_same(tmp_path):
    corpus, _ = _corpus(tmp_path)
    part = tokenized_part(corpus, level="word", mode="lines")
    feeder = LineBatches(
        part.ids + 3, part.lengths, batch=7, seed=1, sources=part.source.ids + 3,
        source_lengths=part.source.lengths,
    )  # fmt: skip
    batches = list(feeder.batches(0))
    for (own, *others), (made, *more) in zip(batches, feeder.tf_data(0), strict=True):
        for name, array in own.items():
            assert (array == made[name].numpy()).all()
        for array, tensor in zip(others, more, strict=True):
            assert (array == tensor.numpy()).all()
    widths = {inputs["source"].shape[1] for inputs, *_ in batches}
    assert widths <= {8, 16}
    assert feeder.sources_cut == 0


def test_sources_are_reversed():
    found = reversed_padded([np.array([5, 6, 7]), np.array([8]), np.arange(1, 9)], 4)
    assert found.tolist() == [[7, 6, 5, 0], [8, 0, 0, 0], [4, 3, 2, 1]]


@pytest.mark.parametrize("attention", [False, True])
def test_padding_of_a_source_changes_nothing(attention):
    sizes = {"vocabulary": 12, "source": 9, "embedding": 5, "hidden": 6, "layers": 2}
    net = LanguageModel(NetworkSettings(**sizes, attention=attention), seed=1)
    net.build()
    ids = np.array([[2, 4, 5]], np.int32)
    found = []
    for width in (3, 8):
        source = net.encode(reversed_padded([np.array([3, 4, 8])], width))
        logits, _ = net(ids, net.initial_state(1, None, source), source=source)
        found.append(np.asarray(logits))
    assert np.allclose(*found, atol=1e-6)


@pytest.mark.parametrize("attention", [True, pytest.param(False, marks=pytest.mark.long)])
def test_fast_kernels_and_those_of_keras_train_alike(attention):
    random = np.random.default_rng(0)
    inputs = {
        "ids": random.integers(1, 12, (4, 6)).astype(np.int32),
        "source": reversed_padded([random.integers(1, 9, n) for n in (5, 1, 3, 5)], 5),
    }
    targets, weights = random.integers(1, 12, (4, 6)), np.ones((4, 6), np.float32)
    from textmill.model.training.trainee import Trainee

    arrays = []
    for fast in (True, False):
        sizes = {"vocabulary": 12, "source": 9, "embedding": 5, "hidden": 7, "layers": 2}
        net = LanguageModel(NetworkSettings(**sizes, attention=attention, dropout=0.0), seed=3)
        if not fast:
            net.fast = net.encoder.fast = None
        net.build()
        net.assign_arrays({name: 3 * array for name, array in net.arrays().items()})
        trainee = Trainee(net, activation=2.0, slowness=1.0)
        import keras

        trainee.compile(optimizer=keras.optimizers.SGD(0.5))
        for _ in range(3):
            trainee.train_on_batch(inputs, targets, weights)
        arrays.append(net.arrays())
    for name, array in arrays[0].items():
        assert np.allclose(array, arrays[1][name], atol=2e-5), name
    before = LanguageModel(NetworkSettings(**sizes, attention=attention), seed=3)
    before.build()
    for name, array in before.arrays().items():
        assert not np.array_equal(3 * array, arrays[0][name]), name


@pytest.mark.long
def test_it_learns_to_copy(tmp_path, silent):
    """A text that follows from its source word by word; attention has to look at each."""
    from textmill.model.settings import VocabularySettings
    from textmill.model.training.train import train_model

    path, _ = _pairs(tmp_path, count=600)
    found = train_model(
        str(tmp_path / "m"), corpus=CorpusSettings(paths=path, text="en", source="de"),
        vocabulary=VocabularySettings(), attention=True, preset="tiny", report=silent,
        train=TrainSettings(mode="lines", epochs=25, learning_rate=0.01, dropout=0.0),
    )  # fmt: skip
    assert found.training["metrics"]["test_perplexity"] < 2
    loaded = load_model(tmp_path / "m")
    (generation,) = drawn(loaded, [Prompt("a", "", source="s1 s2 s3")], temperatures=(0,))
    assert generation.text == "w1 w2 w3"


# -- saved, damaged, and gone on from --------------------------------------------------------------


def test_a_directory_keeps_it(model, tmp_path):
    save_model(tmp_path / "m", model, card="")
    loaded = load_model(tmp_path / "m")
    assert loaded.fingerprint == model.fingerprint
    assert (loaded.source.words, loaded.longest_source) == (model.source.words, 10)
    (tmp_path / "m" / "source_vocabulary.txt").unlink()
    with pytest.raises(TextmillError, match="source_vocabulary"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("longest", [0, "3", None, 2.0])
def test_a_directory_with_a_strange_length(model, tmp_path, longest):
    save_model(tmp_path / "m", model, card="")
    path = tmp_path / "m" / "model.json"
    index = json.loads(path.read_text())
    index["longest_source"] = longest
    path.write_text(json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    with pytest.raises(TextmillError, match="longest_source must be a whole number from 1"):
        load_model(tmp_path / "m")


def test_transfer_extends_both_vocabularies(model, make_model):
    other = make_model(["w1", "new"], source=["s1", "neu"], attention=True)
    start = transfer(model, other.vocabulary, Context(), seed=0, source=other.source)
    assert start.source.words == (*model.source.words, "neu")
    assert start.network.source == 19
    assert (start.arrays["source_embedding"][:18] == model.arrays["source_embedding"]).all()
    assert start.network.attention == model.network.attention


def test_sources_come_and_go(model, make_model):
    without = transfer(model, model.vocabulary, Context(), seed=0)
    assert (without.network.source, without.network.attention, without.source) == (0, False, None)
    assert not [name for name in without.arrays if name.startswith(("source", "attention"))]
    old = make_model(WORDS)
    new = transfer(old, old.vocabulary, Context(), seed=0, source=model.source)
    assert new.network.source == 18
    assert "source_embedding" not in new.arrays


def test_blocks_do_not_show(make_model):
    """Sources as long as a block of attention, one word less, and one more."""
    model = make_model(WORDS, source=SOURCE, attention=True, longest_source=20, scale=0.9)
    prompts = [
        Prompt(f"{n}", "", source=" ".join((SOURCE * 3)[:n])) for n in (LOOK - 1, LOOK, LOOK + 1)
    ]
    for generation in drawn(model, prompts, samples=4):
        ids = [*model.vocabulary.encode([generation.text])[0]]
        ids += [2] * (generation.finish == "eos")
        (source,) = model.source.encode([generation.prompt.source])
        state, outputs = reference.encode(model.arrays, model.network, source)
        logits, state = reference.step(model.arrays, 1, 2, state, outputs=outputs)
        nats = []
        for token in ids:
            nats.append(reference.log_softmax(logits)[token])
            logits, state = reference.step(model.arrays, 1, token, state, outputs=outputs)
        assert generation.logprob == pytest.approx(np.mean(nats), abs=3e-5)


# -- noise on the state ----------------------------------------------------------------------------


def test_noise_is_normal_and_depends_on_key_and_sample():
    found = np.stack([state_noise((5, 7), n, (2, 2, 500)) for n in range(1, 51)])
    assert found.dtype == np.float32
    assert stats.kstest(found.ravel(), "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(found.reshape(50, -1))[np.triu_indices(50, 1)]).max() < 0.12
    assert (state_noise((5, 7), 3, (2, 2, 500)) == found[2]).all()
    assert not (state_noise((5, 8), 3, (2, 2, 500)) == found[2]).any()


def test_noise_changes_texts_and_no_bit_of_neighbours(model, prompts):
    usual = plain(drawn(model, prompts, samples=2, temperatures=(0,)))
    noise = plain(drawn(model, prompts, samples=2, temperatures=(0,), state_noise=0.5))
    assert {k for k in usual if k[1] == 2 and usual[k] == usual[k[0], 1]} == {
        k for k in usual if k[1] == 2
    }
    assert sum(noise[k] != noise[k[0], 1] for k in noise if k[1] == 2) > 30
    turned = plain(drawn(model, prompts[::-1], samples=2, temperatures=(0,), state_noise=0.5))
    assert turned == noise
