"""The network as stock Keras layers, and back; the same logits as the network's own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import reference
from keras import layers

from textmill.model.errors import TextmillError
from textmill.model.export.from_keras import save_from_keras
from textmill.model.network.directory import load_model
from textmill.model.network.keras_model import from_keras_model, keras_model, open_keras
from textmill.model.network.lstm import restored

WORDS = [f"w{i}" for i in range(30)]
KINDS = [
    {},
    {"hidden": 6, "layers": 3},
    {"labels": ("x", "y")},
    {"labels": ("x", "y", "z"), "hidden": 5, "layers": 2},
    {"cutoffs": (10, 20), "tail_widths": (4, 2)},
    {"cutoffs": (12,), "tail_widths": (3,), "hidden": 5, "labels": ("x", "y")},
    {"columns": ("f",), "numbers": 3},
    {"columns": ("p", "q"), "numbers": 2, "labels": ("x", "y"), "hidden": 5, "layers": 2},
]


@pytest.fixture(scope="module", params=KINDS, ids=str)
def made(request, make_model, tmp_path_factory):
    """A saved model, and its Keras model after a file."""
    model = make_model(WORDS, **request.param)
    path = tmp_path_factory.mktemp("keras") / "m.keras"
    keras_model(model).save(path)
    return model, open_keras(path)


def inputs(model, rows=3, steps=7):
    """Ids, what the Keras model takes beside them, and the network's context."""
    random = np.random.default_rng(1)
    ids = random.integers(0, 33, (rows, steps)).astype(np.int32)
    given, numbers = [], None
    if model.labels:
        given.append(np.eye(len(model.labels), dtype=np.float32)[[0, 1, 0]])
    if model.columns:
        numbers = random.normal(2, 3, (rows, model.network.numbers)).astype(np.float32)
        given.append(numbers)
    labels = [model.labels[i] for i in (0, 1, 0)] if model.labels else None
    context = model.context.vectors(labels, numbers, rows=rows) if given else None
    return ids, given, context


def test_logits_are_the_network_s(made):
    model, network = made
    ids, given, context = inputs(model)
    own = restored(model)
    expected, _ = own(ids, own.initial_state(3, context), context)
    found = network([ids, *given])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_logits_against_numpy(make_model):
    model = make_model(WORDS, hidden=6, layers=2)
    ids, *_ = inputs(model)
    found = np.asarray(keras_model(model)([ids]))
    for row in range(3):
        state = reference.zeros(model.network)
        for step in range(7):
            logits, state = reference.step(model.arrays, 2, int(ids[row, step]), state)
            np.testing.assert_allclose(found[row, step], logits, atol=1e-5)


def test_with_states_it_goes_on_where_it_was(made):
    model, network = made
    ids, more, context = inputs(model)
    own = restored(model)
    state = [np.asarray(x) for pair in own.initial_state(3, context) for x in pair]
    step = keras_model(model, states=True)
    parts = []
    for part in (ids[:, :3], ids[:, 3:]):
        logits, *state = map(np.asarray, step([part, *more, *state]))
        parts.append(logits)
    np.testing.assert_allclose(np.concatenate(parts, 1), network([ids, *more]), atol=1e-5)


def test_back_to_the_same_bits(made):
    model, network = made
    settings, arrays = from_keras_model(network, vocabulary=33, labels=len(model.labels))
    assert settings == model.network
    for name, array in model.arrays.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_a_tuned_network_is_another_model(make_model, tmp_path):
    model = make_model(WORDS, labels=("x", "y"))
    network = keras_model(model)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ids, _, context = inputs(model)
    network.fit([ids[:, :-1], context], ids[:, 1:], verbose=0)
    saved = save_from_keras(network, vocabulary=model, out=tmp_path / "tuned")
    again = load_model(tmp_path / "tuned")
    assert again.fingerprint == saved.fingerprint != model.fingerprint
    assert again.labels == model.labels
    own = restored(again)
    expected, _ = own(ids, own.initial_state(3, context), context)
    np.testing.assert_allclose(network([ids, context]), expected, atol=1e-5)
    assert "taken over by textmill import" in (tmp_path / "tuned" / "README.md").read_text()


def test_a_network_that_was_tuned_by_lora(make_model, tmp_path):
    """What LoRA learned is added to the weights."""
    network = keras_model(make_model(WORDS, hidden=6))
    for name in ("embedding", "projection"):
        layer = network.get_layer(name)
        layer.enable_lora(2)
        for weight in layer.trainable_variables:
            if "lora" in weight.name:
                weight.assign(np.full(weight.shape, 0.3, np.float32))
    ids = np.arange(6, dtype=np.int32)[None]
    words = ["<pad>", "<unk>", "<eos>", *WORDS]
    # The tied output takes the adapted vectors, as the input does.
    own = restored(save_from_keras(network, vocabulary=words, out=tmp_path / "m"))
    np.testing.assert_allclose(network(ids), own(ids, own.initial_state(1))[0], atol=1e-5)


def test_a_network_that_masks_the_padding(tmp_path):
    words = ["<pad>", "<unk>", "<eos>", *WORDS]
    save_from_keras(plain(mask_zero=True), vocabulary=words, out=tmp_path / "m")


def diverged():
    network = plain()
    network.set_weights([np.full(w.shape, np.nan) for w in network.get_weights()])
    return network


def plain(*, tied=True, cells=1, size=33, extra=None, lstm=None, **table):
    """A network as a Keras user builds one, under names of their own."""
    ids = keras.Input((None,), dtype="int32")
    table = layers.ReversibleEmbedding(size, 8, tie_weights=tied, **table)
    x = table(ids)
    for _ in range(cells):
        x = layers.LSTM(8, return_sequences=True, **(lstm or {}))(x)
    if extra is not None:
        x = extra(x)
    return keras.Model(ids, table(x, reverse=True))


def test_a_network_that_a_keras_user_built(tmp_path):
    network = plain()
    words = ["<pad>", "<unk>", "<eos>", *WORDS]
    model = save_from_keras(network, vocabulary=words, out=tmp_path / "m")
    assert (model.network.layers, model.network.hidden, model.mode) == (1, 8, "lines")
    ids = np.arange(6, dtype=np.int32)[None]
    own = restored(load_model(tmp_path / "m"))
    np.testing.assert_allclose(network(ids), own(ids, own.initial_state(1))[0], atol=1e-5)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (lambda: plain(size=40), "has 33 words, the model's embedding 40 rows"),
        (lambda: plain(cells=0), "it has 0 LSTM layers"),
        (lambda: plain(cells=4), "it has 4 LSTM layers"),
        (lambda: plain(extra=layers.GRU(8, return_sequences=True)), "of the kind GRU"),
        (lambda: plain(extra=layers.Dense(8, activation="relu")), "such as projection"),
        (lambda: plain(extra=layers.Activation("relu")), "its logits are up to"),
        (lambda: plain(tied=False), "its output has other weights than its embedding"),
        (lambda: keras.Sequential([layers.Dense(3)]), "it has no embedding"),
        (lambda: keras.Sequential([layers.Embedding(33, 8), layers.LSTM(8)]), "no weights yet"),
        (lambda: plain(logit_soft_cap=1000.0), "caps the logits"),
        (lambda: plain(lstm={"recurrent_activation": "hard_sigmoid"}), "of tanh and sigmoid"),
        (diverged, "numbers that are not finite, such as in embedding"),
        (lambda: 5, "a keras.Model is needed. Received: int"),
        (lambda: "none.keras", "there is no Keras file 'none.keras'"),
    ],
)  # fmt: skip
def test_other_networks_are_refused_in_one_line(tmp_path, network, said):
    words = ["<pad>", "<unk>", "<eos>", *WORDS]
    with pytest.raises(TextmillError, match=said) as caught:
        save_from_keras(network(), vocabulary=words, out=tmp_path / "m")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "b"], "must begin with <pad>, <unk>, <eos>"),
        (["<pad>", "<unk>", "<eos>", "a", "a"], "stands in the vocabulary twice"),
        (["<pad>", "<unk>", "<eos>", ""], "Received as number 3: ''"),
        (["<pad>", "<unk>", "<eos>", "\ud800"], "Received as number 3: "),
        (["<pad>", "<unk>", "<eos>", 4], "Received as number 3: 4"),
        (5, r"a vocabulary.txt or a list of words. Received: 5"),
        ("none.txt", "none.txt cannot be read: No such file"),
    ],
)
def test_other_vocabularies_are_refused(tmp_path, words, said):
    with pytest.raises(TextmillError, match=said):
        save_from_keras(plain(), vocabulary=words, out=tmp_path / "m")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("xy", "must be a list of names. Received: 'xy'"),
        ([1, 2], r"must be a list of names. Received: \[1, 2\]"),
        (["x", "x"], "each label must be named once"),
        (["x"], "the model takes 2 labels, 1 are named"),
    ],
)
def test_other_labels_are_refused(make_model, tmp_path, labels, said):
    network = keras_model(make_model(WORDS, labels=("x", "y")))
    words = ["<pad>", "<unk>", "<eos>", *WORDS]
    with pytest.raises(TextmillError, match=said):
        save_from_keras(network, vocabulary=words, labels=labels, out=tmp_path / "m")


def test_numbers_that_are_not_used_stay_so(make_model, tmp_path):
    model = make_model(WORDS, columns=("f",), numbers=3)
    model.arrays["context_deviation"][1] = 0
    ids, (numbers,), context = inputs(model)
    own, network = restored(model), keras_model(model)
    expected, _ = own(ids, own.initial_state(3, context), context)
    numbers[:, 1] = 1e4
    np.testing.assert_allclose(network([ids, numbers]), expected, atol=1e-5)
    saved = save_from_keras(network, vocabulary=model, out=tmp_path / "m")
    assert saved.columns == ("f",)
    vectors = saved.context.vectors(None, numbers, rows=3)
    own = restored(saved)
    again, _ = own(ids, own.initial_state(3, vectors), vectors)
    np.testing.assert_allclose(again, expected, atol=1e-5)


def test_numbers_need_the_names_of_their_columns(make_model, tmp_path):
    model = make_model(WORDS, columns=("f",), numbers=3)
    with pytest.raises(TextmillError, match="starts its texts from numbers; give the model"):
        save_from_keras(keras_model(model), vocabulary=model.vocabulary.words, out=tmp_path / "m")


def test_a_source_cannot_be_had(make_model):
    with pytest.raises(TextmillError, match="cannot be had as a Keras model yet"):
        keras_model(make_model(WORDS, source=("s",)))


def test_files_that_keras_would_run_code_of_are_refused(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    network = keras.Model(ids, layers.Lambda(lambda x: x * 1.0)(layers.Embedding(33, 8)(ids)))
    network.save(tmp_path / "x.keras")
    with pytest.raises(TextmillError, match=r"cannot open .* in its safe mode"):
        open_keras(tmp_path / "x.keras")
    (tmp_path / "y.keras").write_text("no zip")
    with pytest.raises(TextmillError, match="cannot open"):
        open_keras(tmp_path / "y.keras")
