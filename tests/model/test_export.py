"""Exported models work without textmill, and as textmill does."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import chisquare
from sharing import generator_of

from textmill.model.errors import SettingError, TextmillError, UsageError
from textmill.model.export.export import export_model
from textmill.model.export.saved_model import Exported
from textmill.model.network.directory import load_model
from textmill.model.network.keras_model import keras_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings

PROMPTS = ["The old", "The red cat ", "", "said: “", "the zorb", "sat", "“Stop", "\u2003The\u2003"]
NUMBERS = {
    "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 0, "max_words": 12,
}  # fmt: skip


def numbers(**more):
    return {
        name: tf.constant(value, tf.int32 if isinstance(value, int) else tf.float32)
        for name, value in {**NUMBERS, **more}.items()
    }


def greedy_of(model, prompts, label=None, **settings):
    asked = GenerationSettings(temperatures=(0,), label=label, **settings)
    found = generator_of(model).generate([Prompt(id=p, text=p) for p in prompts], asked)
    return [g.text for g in found]


def texts(made, prompts, **more):
    found = made.generate(prompts=tf.constant(prompts), **more)["texts"].numpy()
    return [text.decode() for text in found]


@pytest.fixture(scope="module")
def made(model_dir):
    return Exported(load_model(model_dir))


def test_greedy_texts_are_the_generator_s(made, model_dir):
    model = load_model(model_dir)
    for words in (1, 40):
        found = texts(made, PROMPTS, **numbers(temperature=0.0, max_words=words))
        assert found == greedy_of(model, PROMPTS, max_words=words)


@pytest.mark.long
def test_greedy_texts_at_other_levels(make_model):
    from dataclasses import replace

    from textmill.model.text.vocabulary import Vocabulary

    base = make_model(list("abcdefg"), hidden=5, layers=2, scale=1.5)
    for level in ("char", "whitespace"):
        words = Vocabulary(level=level, words=base.vocabulary.words, counts=base.vocabulary.counts)
        model = replace(base, vocabulary=words)
        prompts = ["a b", "", "g ", "a"]
        found = texts(Exported(model), prompts, **numbers(temperature=0.0))
        assert found == greedy_of(model, prompts, max_words=12)


@pytest.mark.long
def test_greedy_texts_with_labels_and_an_adaptive_output(make_model):
    model = make_model(
        list("abcdefghijklmnop"), labels=("x", "y"), cutoffs=(9,), tail_widths=(4,), scale=1.0
    )
    made = Exported(model)
    for label in ("x", "y"):
        labels = tf.constant([label] * 3)
        found = texts(made, ["a b", "", "c"], labels=labels, **numbers(temperature=0.0))
        assert found == greedy_of(model, ["a b", "", "c"], label=label, max_words=12)
    with pytest.raises(tf.errors.InvalidArgumentError, match="labels must be some of x, y"):
        texts(made, ["a"], labels=tf.constant(["z"]), **numbers())


@pytest.fixture(scope="module")
def small(make_model):
    model = make_model(list("abcdefgh"), scale=1.2)
    return model, Exported(model)


@pytest.mark.parametrize("filters", [{}, {"temperature": 0.7, "top_k": 4}, {"top_p": 0.6}])
def test_drawn_words_follow_the_filtered_softmax(small, filters):
    """By chi-square against the generator's own probabilities."""
    from textmill.model.generation.next_word import NextWord

    (model, made), count = small, 4000
    found = texts(made, ["a b"] * count, **numbers(max_words=1, **filters))
    asked = {name: value for name, value in filters.items() if name != "temperature"}
    settings = GenerationSettings(temperatures=filters.get("temperature", 1.0), **asked)
    p = NextWord(model).probabilities("a b", settings)
    words = ["", *(f" {word}" for word in "abcdefgh")]
    seen = np.array([found.count(word) for word in words])
    expected = p[2:] * count
    assert seen.sum() == count
    assert (seen[expected == 0] == 0).all()
    some = expected > 0
    assert chisquare(seen[some], expected[some]).pvalue > 0.001
    assert found == texts(made, ["a b"] * count, **numbers(max_words=1, **filters))
    assert found != texts(made, ["a b"] * count, **numbers(max_words=1, seed=1, **filters))


def test_no_prompts_give_no_texts(small):
    assert texts(small[1], tf.constant([], tf.string), **numbers()) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("temperature", -1.0), ("top_k", -1), ("top_p", 0.0), ("min_p", 2.0), ("max_words", 0),
     ("temperature", float("nan"))],
)  # fmt: skip
def test_settings_outside_their_range_are_refused(small, setting, value):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{setting} must be .* Received:"):
        texts(small[1], ["a"], **numbers(**{setting: value}))


def test_greedy_texts_from_numbers(make_model):
    model = make_model(list("abcdefgh"), labels=("x", "y"), columns=("f",), numbers=2, scale=1.0)
    own = np.array([[1, -2], [30, 4], [-5, 6]], np.float32)
    found = texts(
        Exported(model), ["a b", "", "c"], labels=tf.constant(["y"] * 3), numbers=tf.constant(own),
        **numbers(temperature=0.0),
    )  # fmt: skip
    prompts = [Prompt(p, p, context=row) for p, row in zip(["a b", "", "c"], own, strict=True)]
    asked = GenerationSettings(temperatures=(0,), label="y", max_words=12)
    assert found == [g.text for g in generator_of(model).generate(prompts, asked)]


def test_steps_give_the_logits(make_model):
    model = make_model(list("abcdefgh"), labels=("x", "y"), layers=2, hidden=6)
    made = Exported(model)
    ids, labels = np.array([[2, 4, 5], [2, 6, 3]], np.int32), tf.constant(["x", "y"])
    state = made.start(labels=labels)
    parts = []
    for part in (ids[:, :1], ids[:, 1:]):
        found = made.step(ids=tf.constant(part), labels=labels, h=state["h"], c=state["c"])
        state = found
        parts.append(found["logits"].numpy())
    expected = keras_model(model)([ids, np.eye(2, dtype=np.float32)])
    np.testing.assert_allclose(np.concatenate(parts, 1), expected, atol=1e-5)


# Neither may look at textmill.
WITHOUT = """
import json, sys
class Hide:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "textmill":
            raise ImportError("textmill is not to be had here")
sys.meta_path.insert(0, Hide())
import keras, numpy as np, tensorflow as tf, tensorflow_text
network = keras.saving.load_model(sys.argv[1])
logits = network(np.array(json.loads(sys.argv[3]), np.int32))
made = tf.saved_model.load(sys.argv[2])
texts = made.signatures["generate"](
    prompts=tf.constant(json.loads(sys.argv[4])), temperature=tf.constant(0.0),
    top_k=tf.constant(0), top_p=tf.constant(1.0), min_p=tf.constant(0.0), seed=tf.constant(0),
    max_words=tf.constant(12),
)["texts"]
assert "textmill" not in sys.modules
print(json.dumps([np.asarray(logits).tolist(), [t.decode() for t in texts.numpy()]]))
"""


@pytest.mark.walk
def test_files_open_where_textmill_is_not(model_dir, tmp_path):
    model = load_model(model_dir)
    export_model(model, to="keras", out=tmp_path / "m.keras")
    export_model(model, to="saved-model", out=tmp_path / "tf")
    ids = [[2, 5, 7, 4]]
    out = subprocess.run(
        [
            sys.executable, "-I", "-c", WITHOUT, str(tmp_path / "m.keras"), str(tmp_path / "tf"),
            json.dumps(ids), json.dumps(PROMPTS),
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    assert out.returncode == 0, out.stderr[-2000:]
    logits, found = json.loads(out.stdout.splitlines()[-1])
    np.testing.assert_allclose(logits, keras_model(model)([np.array(ids, np.int32)]), atol=1e-5)
    assert found == greedy_of(model, PROMPTS, max_words=12)


def test_onnx_with_labels_and_an_adaptive_output(make_model, tmp_path):
    import onnxruntime as runtime

    model = make_model(
        list("abcdefgh"), hidden=6, layers=2, labels=("x", "y"), cutoffs=(6, 9), tail_widths=(4, 2)
    )
    export_model(model, to="onnx", out=tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    for rows, steps in ((1, 1), (3, 20)):  # neither is fixed
        ids = np.random.default_rng(rows).integers(0, 11, (rows, steps)).astype(np.int32)
        label = np.eye(2, dtype=np.float32)[np.arange(rows) % 2]
        (found,) = session.run(None, {"ids": ids, "label": label})
        np.testing.assert_allclose(found, keras_model(model)([ids, label]), atol=1e-5)


@pytest.mark.parametrize("states", [False, True])
def test_onnx(make_model, tmp_path, states):
    import onnxruntime as runtime

    model = make_model(list("abcdefgh"), hidden=6)
    path = tmp_path / "m.onnx"
    export_model(model, to="onnx", out=path, states=states)
    session = runtime.InferenceSession(str(path))
    ids = np.array([[2, 4, 5, 6], [2, 6, 3, 3]], np.int32)
    feeds = {"ids": ids}
    if states:
        feeds |= {name: np.full((2, 6), 0.5, np.float32) for name in ("h_0", "c_0")}
    found = session.run(None, feeds)
    network = keras_model(model, states=states)
    expected = network(list(feeds.values()))
    np.testing.assert_allclose(found[0], expected[0] if states else expected, atol=1e-5)


def test_places_and_kinds_are_checked(make_model, tmp_path):
    model = make_model(["a"])
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").write_text("x")
    (tmp_path / "x.keras").write_text("x")
    for to, out, error, said in (
        ("pickle", "x", SettingError, "to must be one of keras, saved-model, onnx"),
        ("keras", "x", UsageError, "must end in .keras. Received: .*x"),
        ("keras", "x.keras", TextmillError, "already exists"),
        ("saved-model", "taken", TextmillError, "already exists"),
    ):
        with pytest.raises(error, match=said):
            export_model(model, to=to, out=tmp_path / out)
    with pytest.raises(UsageError, match="takes states by its signature step"):
        export_model(model, to="saved-model", out=tmp_path / "new", states=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["taken", "x.keras"]
