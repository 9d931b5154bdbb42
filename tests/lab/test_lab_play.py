"""The student's own network in the playground."""

from __future__ import annotations

import importlib
import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import lab_solution
import numpy as np
import pytest
from safetensors.numpy import save_file

from lab import play
from lab.play import OwnNetwork, own_network, read, save
from textmill.model.errors import TextmillError
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.command.play import Player

WORDS = ["<unk>", "the", "cat", "■.", "sat", "■,"]


class Weights:
    """Has weights, as a Keras model has."""

    def __init__(self, *arrays):
        self.arrays = [np.asarray(array, np.float32) for array in arrays]

    def get_weights(self):
        return self.arrays

    def set_weights(self, arrays):
        self.arrays = arrays


SIZES = {"words": WORDS, "embedding": 2, "units": 3, "before": [3, 1]}


def counting_step(calls):
    """Logits depend on all words that were read; `<unk>` is never drawn."""

    def step(word, state):
        calls.append(word)
        state = [*(state or []), word]
        logits = np.random.default_rng(state).normal(size=len(WORDS))
        logits[0] = -np.inf
        return logits, state

    return step


@pytest.fixture
def calls():
    return []


@pytest.fixture
def network(calls):
    return OwnNetwork(counting_step(calls), lab_solution, words=WORDS, before=[3, 1], about="six")


def at(text):
    return Prompt(id="", text=text)


def test_a_file_holds_the_network_and_is_replaced_whole(tmp_path):
    arrays = [np.arange(6).reshape(2, 3), np.zeros(3), *[np.full(1, i) for i in range(12)]]
    file = save(tmp_path / "n.safetensors", Weights([1]), **SIZES)
    assert save(file, Weights(*arrays), **SIZES) == file
    found = read(file)
    assert (found.words, found.embedding, found.units) == (tuple(WORDS), 2, 3)
    assert found.before == (3, 1)
    for array, expected in zip(found.weights, arrays, strict=True):
        assert array.tolist() == expected.tolist()
    assert [path.name for path in tmp_path.iterdir()] == ["n.safetensors"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"before": []}, "ids from 0 to 5"),
        ({"before": [6]}, "ids from 0 to 5"),
        ({"before": [-1]}, "ids from 0 to 5"),
    ],
)
def test_what_cannot_be_saved(tmp_path, changed, said):
    with pytest.raises(TextmillError, match=said):
        save(tmp_path / "n.safetensors", Weights([1]), **{**SIZES, **changed})
    with pytest.raises(TextmillError, match="only a Keras model"):
        save(tmp_path / "n.safetensors", object(), **SIZES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "about",
    [
        None, "{", "[]", "{}", {"format": "2"}, {"words": []}, {"words": "abc"}, {"words": [1]},
        {"units": 0}, {"units": 10**9}, {"units": True}, {"embedding": "2"}, {"before": [6]},
        {"before": []}, {"before": [True]}, {"before": [0.5]},
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_one_line(tmp_path, about):
    whole = {"format": "1", **SIZES}
    file = tmp_path / "x.safetensors"
    if isinstance(about, dict):
        # Without the change it would be read.
        save_file({"0": np.zeros(1, np.float32)}, file, metadata={"lab": json.dumps(whole)})
        read(file)
        about = json.dumps({**whole, **about} if about else {})
    metadata = None if about is None else {"lab": about}
    save_file({"0": np.zeros(1, np.float32)}, file, metadata=metadata)
    with pytest.raises(TextmillError, match=r"x\.safetensors.*once more") as raised:
        read(file)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_no_file_of_weights(tmp_path):
    file = tmp_path / "x.safetensors"
    for data in (b"", b"abc", b"\x80\x04.", b"\xff" * 100):
        file.write_bytes(data)
        with pytest.raises(TextmillError, match="holds no network"):
            read(file)
    save_file({"0": np.full(1, np.nan, np.float32)}, file,
              metadata={"lab": json.dumps({"format": "1", **SIZES})})  # fmt: skip
    with pytest.raises(TextmillError, match="damaged"):
        read(file)
    with pytest.raises(TextmillError, match="cannot be read"):
        read(tmp_path / "none")


def test_the_words_before_a_text_are_read_first_and_nothing_twice(network, calls):
    usual = GenerationSettings()
    p = network.probabilities(at("the cat"), usual)
    assert calls == [3, 1, 1, 2]
    z = np.random.default_rng([3, 1, 1, 2]).normal(size=6)[1:]
    np.testing.assert_allclose(p[1:], np.exp(z) / np.exp(z).sum(), rtol=1e-6)
    assert p[0] == 0
    network.probabilities(at("the cat sat"), usual)
    assert calls == [3, 1, 1, 2, 4]
    network.probabilities(at("the cat sat"), GenerationSettings(temperatures=(0.5,)))
    assert calls == [3, 1, 1, 2, 4]
    network.probabilities(at(""), usual)
    assert calls[5:] == [3, 1]


def test_word_by_word_is_the_text_of_all_at_once(network):
    texts = [
        network.write(at("the cat"), GenerationSettings(max_words=n, seed=4)).text
        for n in range(1, 30)
    ]
    for shorter, longer in itertools.pairwise(texts):
        assert longer.startswith(shorter)
    assert network.write(at("the cat"), GenerationSettings(max_words=29, seed=5)).text != texts[-1]
    # The tokens of the whole are those of the prompt and the drawn ones.
    assert len(lab_solution.tokenize("the cat" + texts[-1])) == 2 + 29


def test_draws_follow_the_probabilities(network):
    p = network.probabilities(at("sat"), GenerationSettings())
    found = np.zeros(6)
    for seed in range(600):
        text = network.write(at("sat"), GenerationSettings(max_words=1, seed=seed)).text
        found[WORDS.index({".": "■.", ",": "■,"}.get(text, text.strip()))] += 1
    assert (found[p == 0] == 0).all()
    expected = 600 * p[p > 0]
    chi = np.sum((found[p > 0] - expected) ** 2 / expected)
    assert chi < 23.5  # of 4 degrees of freedom: above it once in 10,000 times
    few = network.probabilities(at("sat"), GenerationSettings(top_k=3))
    np.testing.assert_allclose(few, np.where(few > 0, p, 0) / p[few > 0].sum(), rtol=1e-6)
    assert np.sum(few > 0) == 3


def test_a_continuation_joins_its_prompt():
    def only(word):
        def step(_, state):
            return np.where(np.arange(6) == word, 0.0, -np.inf), state

        return OwnNetwork(step, lab_solution, words=WORDS, before=[3], about="")

    settings = GenerationSettings(max_words=2)
    assert only(4).write(at("the cat"), settings).text == " sat sat"
    assert only(4).write(at("the cat "), settings).text == "sat sat"
    assert only(4).write(at(""), settings).text == "sat sat"
    assert only(5).write(at("the snark"), settings).text == ",,"


def test_unknown_words_are_those_that_encode_calls_unknown(network):
    assert network.read("the snark, sat.") == [
        ("the", True), ("snark", False), (",", True), ("sat", True), (".", True),
    ]  # fmt: skip


def test_the_player_takes_it(network):
    player = Player(network, name="mine")
    found = player.next_words("the snark", GenerationSettings(temperatures=(0,)))
    assert found["vocabulary"] == 6
    assert {row["word"] for row in found["words"]} == {"<unk>", "the", "cat", ".", "sat", ","}
    assert found["read"] == [("the ", True), ("snark", False)]
    both = player.compare("the", GenerationSettings(), 12)
    assert both["greedy"]["words"] == both["sampled"]["words"] == 12
    with pytest.raises(TextmillError, match="label must be left out"):
        network.check(GenerationSettings(label="x"))


def broken(**functions):
    return SimpleNamespace(**{**vars(lab_solution), **functions})


def not_written(*_):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ({"tokenize": lambda text: text}, "tokenize must give a list"),
        ({"tokenize": lambda text: 1 / 0}, "tokenize of your exercises raises ZeroDivisionError"),
        ({"tokenize": not_written}, "tokenize of your exercises is not written yet"),
        ({"encode": lambda tokens, words: [0.5] * len(tokens)}, "encode must give a whole number"),
        ({"encode": lambda tokens, words: [1]}, "encode must give a whole number"),
        ({"encode": lambda tokens, words: [6] * len(tokens)}, "an id that no word has"),
        ({"detokenize": lambda tokens: None}, "detokenize must give a text"),
        ({"detokenize": lambda tokens: " ".join(reversed(tokens))}, "changes a word"),
    ],
)
def test_a_fault_of_the_student_s_functions_is_told(functions, said):
    found = OwnNetwork(counting_step([]), broken(**functions), words=WORDS, before=[3], about="")
    with pytest.raises(TextmillError, match=said):
        found.write(at("the cat"), GenerationSettings(max_words=3))


def test_logits_that_are_no_numbers():
    for logits in (np.full(6, np.nan), np.zeros(5), np.full(6, np.inf)):
        found = OwnNetwork(lambda *_, z=logits: (z, None), lab_solution, words=WORDS, before=[1],
                           about="")  # fmt: skip
        with pytest.raises(TextmillError, match="not finite numbers"):
            found.probabilities(at(""), GenerationSettings())


def test_a_trained_network_comes_back_as_it_was(tmp_path):
    from lab.notebook.training import stepper

    model = lab_solution.build_model(len(WORDS), 4, 8)
    file = save(tmp_path / "n.safetensors", model, words=WORDS, embedding=4, units=8, before=[3, 1])
    found = own_network(file, lab_solution)
    step, state = stepper(model), None
    for word in (3, 1, 2):
        logits, state = step(word, state)
    p = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(
        found.probabilities(at("cat"), GenerationSettings()), p, rtol=1e-5, atol=1e-9
    )
    other = broken(build_model=lambda *sizes: lab_solution.build_model(len(WORDS), 4, 9))
    with pytest.raises(TextmillError, match="builds another network"):
        own_network(file, other)
    with pytest.raises(TextmillError, match="build_model of your exercises is not written yet"):
        own_network(file, importlib.import_module("lab.exercises"))


def test_the_command_says_what_is_wrong_before_it_loads_tensorflow(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        play.main([str(tmp_path / "none")])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("lab.play: error: ")
    assert Path(play.EXERCISES).exists()


def test_saving_a_network_loads_no_tensorflow():
    """The notebook imports `save` first, and loads TensorFlow without its greetings after it."""
    loaded = "sorted({'tensorflow', 'keras'} & {*sys.modules})"
    code = f"import sys, lab.play, lab.notebook.training; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
