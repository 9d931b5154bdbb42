"""What watching a training shows: samples, ranks, TensorBoard's files."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from textmill.model.errors import TextmillError
from textmill.model.network.lstm import LanguageModel
from textmill.model.text.split import END, Part
from textmill.model.text.vocabulary import EOS, PAD, RESERVED, UNKNOWN
from textmill.model.training.tensorboard import Watch, glimpse, ranks, rows_of

WORDS = ["a", "b", "c", "d", "e", "f", "g", "h"]
ADAPTIVE = {"cutoffs": (5, 8), "tail_widths": (4, 2)}


@pytest.fixture
def make_network(make_model):
    """Makes a network of random or given weights, its vocabulary and its arrays."""

    def make(**settings):
        model = make_model(WORDS, **settings)
        network = LanguageModel(model.network)
        network.build()
        network.assign_arrays(model.arrays)
        return network, model.vocabulary, model.arrays

    return make


def biased(make_network, probabilities):
    """A network that draws its words from these probabilities, whatever came before."""
    bias = np.full(len(WORDS) + 3, -50.0, np.float32)
    for word, p in probabilities.items():
        bias[[*RESERVED, *WORDS].index(word)] = np.log(p)
    return make_network(arrays={"embedding": np.zeros((11, 8), np.float32), "output_bias": bias})


# -- samples ---------------------------------------------------------------------------------------


def test_a_glimpse_never_draws_pad_or_unknown(make_network):
    chances = {"<pad>": 0.5, "<unk>": 0.4, "a": 0.07, "b": 0.03}
    network, vocabulary, _ = biased(make_network, chances)
    for temperature in (0, 0.5, 1.0):
        text = glimpse(network, vocabulary, temperature=temperature, words=50, seed=0)
        assert len(text.split()) == 50
        assert set(text.split()) <= {"a", "b"}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_glimpse_follows_the_temperature(make_network, temperature):
    network, vocabulary, _ = biased(make_network, {"a": 0.6, "b": 0.3, "c": 0.1})
    text = glimpse(network, vocabulary, temperature=temperature, words=600, seed=1)
    p = reference.filtered(np.log([0.6, 0.3, 0.1]), temperature=temperature)
    reference.assert_follows(["abc".index(word) for word in text.split()], p)


def test_a_glimpse_is_a_function_of_the_seed(make_network):
    network, vocabulary, _ = make_network(scale=0.1)
    texts = [
        glimpse(network, vocabulary, temperature=1.0, words=20, seed=seed) for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_glimpse_ends_at_eos(make_network):
    network, vocabulary, _ = biased(make_network, {"a": 0.9, "<eos>": 0.1})
    lengths = [
        len(glimpse(network, vocabulary, temperature=1.0, words=40, seed=seed).split())
        for seed in range(12)
    ]
    assert min(lengths) < 10 < max(lengths) <= 40


def greedy(arrays, layers, state, words, label=None):
    """The most probable words after `<eos>`, by the reference."""
    token, drawn = EOS, []
    for _ in range(words):
        logits, state = reference.step(arrays, layers, token, state, label)
        logits[[PAD, UNKNOWN]] = -np.inf
        token = int(np.argmax(logits))
        if token == EOS:
            break
        drawn.append(token)
    return drawn


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_word_is_read_once(make_network, seed):
    network, vocabulary, arrays = make_network(seed=seed, scale=1.0, layers=2, hidden=6)
    expected = greedy(arrays, 2, reference.zeros(network.settings), 25)
    text = glimpse(network, vocabulary, temperature=0, words=25, seed=0)
    assert text == vocabulary.decode(expected)
    # Nearly 0 is greedy too, and must not overflow.
    assert glimpse(network, vocabulary, temperature=1e-300, words=25, seed=0) == text


def test_labels_start_from_the_first(make_network):
    network, vocabulary, arrays = make_network(seed=4, scale=1.0, labels=("x", "y"))
    start = reference.start(arrays, network.settings, 0)
    text = glimpse(network, vocabulary, temperature=0, words=25, seed=0)
    assert text == vocabulary.decode(greedy(arrays, 1, start, 25, label=0))
    assert text != vocabulary.decode(greedy(arrays, 1, reference.zeros(network.settings), 25))


# -- ranks -----------------------------------------------------------------------------------------


def brute_force_ranks(logits_of, state, ids):
    token, found = EOS, []
    for target in ids:
        logits, state = logits_of(token, state)
        found.append(sum(other > logits[target] for other in logits))
        token = target
    return found


@pytest.mark.parametrize("layers", [1, 2])
def test_ranks_of_a_dense_output(make_network, layers):
    network, _, arrays = make_network(seed=5, scale=1.0, layers=layers, hidden=6)
    ids = np.random.default_rng(0).integers(1, 11, 150)  # three windows, the last not full
    expected = brute_force_ranks(
        lambda token, state: reference.step(arrays, layers, token, state),
        reference.zeros(network.settings),
        ids,
    )
    found = ranks(network, ids)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


def test_ranks_of_an_adaptive_output(make_network):
    network, _, arrays = make_network(seed=6, scale=1.0, **ADAPTIVE)

    def logits_of(token, state):
        _, after = reference.step(arrays, 1, token, state)
        h, _ = after[0]
        return reference.adaptive_log_probabilities(arrays, network.settings, h), after

    ids = np.random.default_rng(1).integers(1, 11, 80)
    expected = brute_force_ranks(logits_of, reference.zeros(network.settings), ids)
    np.testing.assert_array_equal(ranks(network, ids), expected)


def test_texts_of_their_own_each_start_anew(make_network):
    network, _, _ = make_network(seed=7, scale=1.0)
    rows = [np.array([3, 4, 5, EOS]), np.array([6, EOS]), np.array([7, 8, EOS])]
    filled = np.full((3, 4), PAD)
    for i, row in enumerate(rows):
        filled[i, : len(row)] = row
    expected = np.concatenate([ranks(network, row) for row in rows])
    np.testing.assert_array_equal(ranks(network, filled), expected)


def test_parts_as_ranks_takes_them(make_network):
    _, vocabulary, _ = make_network()
    ids = np.array([0, 1, END, 2, END])
    words = ["b", "a", "rare"]
    stream = Part(ids, None, None, words)
    np.testing.assert_array_equal(rows_of(stream, vocabulary), [4, 3, EOS, UNKNOWN, EOS])
    lines = Part(ids[[0, 1, 3]], np.array([2, 1]), ["y", "x"], words)
    np.testing.assert_array_equal(rows_of(lines, vocabulary), [[4, 3, EOS], [UNKNOWN, EOS, PAD]])
    np.testing.assert_array_equal(rows_of(lines, vocabulary, label="x"), [[UNKNOWN, EOS]])
    # A label that no line has leaves all lines.
    assert rows_of(lines, vocabulary, label="z").shape == (2, 3)


# -- TensorBoard -----------------------------------------------------------------------------------


def events(folder):
    import tensorflow as tf

    (path,) = folder.iterdir()
    return [
        (event.step, value)
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]


def test_logs_hold_scalars_samples_and_ranks(make_network, tmp_path):
    import tensorflow as tf

    network, vocabulary, _ = make_network(seed=8)
    ids = np.random.default_rng(2).integers(1, 11, 2_500)
    watch = Watch(str(tmp_path / "logs"), vocabulary, temperatures=(0.5, 1.0), words=5)
    for step in (3, 9):
        watch(step, {"train_perplexity": 20.5, "valid_perplexity": 30.25}, network, ids)
    rows = events(tmp_path / "logs")
    plugins = {
        "train_perplexity": "scalars",
        "valid_perplexity": "scalars",
        "sample/temperature_0.5": "text",
        "sample/temperature_1": "text",
        "log2_rank": "histograms",
    }
    assert [(step, value.tag) for step, value in rows] == [
        (step, tag) for step in (3, 9) for tag in plugins
    ]
    # The metadata goes with the first of each tag.
    told = {value.tag: value.metadata.plugin_data.plugin_name for _, value in rows[:5]}
    assert told == plugins
    assert [value.metadata.data_class for _, value in rows[:5]] == [1, 1, 2, 2, 2]
    assert "log2(rank + 1)" in rows[4][1].metadata.summary_description
    at_9 = {value.tag: tf.make_ndarray(value.tensor) for step, value in rows if step == 9}
    assert at_9["valid_perplexity"] == 30.25
    text = glimpse(network, vocabulary, temperature=0.5, words=5, seed=0)
    assert at_9["sample/temperature_0.5"].item().decode() == text != ""
    found = ranks(network, ids[:2_000])
    expected = [
        (k, k + 1, sum(2**k <= rank + 1 < 2 ** (k + 1) for rank in found)) for k in range(4)
    ]
    np.testing.assert_array_equal(at_9["log2_rank"], expected)


def test_a_sample_acts_on_no_page(make_network, tmp_path, monkeypatch):
    import tensorflow as tf

    from textmill.model.training import tensorboard

    monkeypatch.setattr(tensorboard, "glimpse", lambda *_, **__: "a\x1b\x00\ud800\tb\n")
    network, vocabulary, _ = make_network(seed=8)
    watch = Watch(str(tmp_path / "logs"), vocabulary, temperatures=(1.0,), words=1)
    watch(1, {}, network, np.array([3, 4]))
    (text,) = [v for _, v in events(tmp_path / "logs") if v.tag.startswith("sample")]
    assert tf.make_ndarray(text.tensor).item() == b"a\\x1b\\x00\\ud800\tb\n"


def test_few_words_of_many_texts_are_ranked(make_network, tmp_path):
    import tensorflow as tf

    network, vocabulary, _ = make_network(seed=9)
    ids = np.full((300, 40), PAD)
    ids[:, :10] = np.random.default_rng(3).integers(1, 11, (300, 10))
    Watch(str(tmp_path / "logs"), vocabulary, words=1)(1, {}, network, ids)
    histogram = tf.make_ndarray(events(tmp_path / "logs")[-1][1].tensor)
    assert histogram[:, 2].sum() == 2_000


def test_a_folder_that_cannot_be_written(make_network, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        TextmillError, match=r"cannot write TensorBoard logs to .*file/x: Not a dir"
    ):
        Watch(str(tmp_path / "file" / "x"), make_network()[1])
