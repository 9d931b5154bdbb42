"""A model at work in this process and in one of its own: streams, scores, next words."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import reference
from sharing import generator_of
from waiting import until

from textmill.model.errors import SettingError, TextmillError
from textmill.model.generation.own_process import WriterProcess
from textmill.model.generation.writer import Writer
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.text.vocabulary import Vocabulary

EOS = 2


@pytest.fixture(scope="module")
def model(model_dir):
    return load_model(model_dir)


@pytest.fixture(scope="module")
def writer(model):
    found = Writer(model)
    found._generator = generator_of(model)
    return found


@pytest.fixture(scope="module")
def elsewhere(model):
    found = WriterProcess(model)
    yield found
    found.close()


def prompt(text):
    return Prompt(id=text, text=text)


@pytest.mark.parametrize("text", ["The old", "said: “", "", "The old cat "])
@pytest.mark.parametrize("settings", [{"max_words": 12}, {"max_words": 40, "echo": True}])
def test_a_stream_is_the_text_word_by_word(writer, text, settings):
    for seed in range(4):
        asked = GenerationSettings(seed=seed, **settings)
        (whole,) = writer.generate([prompt(text)], asked)
        pieces = list(writer.stream(prompt(text), asked))
        assert "".join(pieces) == whole.text
        assert len(pieces) == whole.words + asked.echo


@pytest.mark.long
def test_a_stream_at_other_levels(make_model):
    made = make_model(list("abcdefg"))
    for level in ("char", "whitespace"):
        words = Vocabulary(level=level, words=made.vocabulary.words, counts=made.vocabulary.counts)
        own = Writer(replace(made, vocabulary=words))
        (whole,) = own.generate([prompt("a")], GenerationSettings(max_words=9))
        pieces = list(own.stream(prompt("a"), GenerationSettings(max_words=9)))
        assert "".join(pieces) == whole.text
        assert len(pieces) == whole.words > 1


def test_scores_against_numpy(writer, model):
    texts = ["The old cat sat.", "", "the The zorb cat!", "The " * 90]
    found = list(writer.score(texts, None, True))
    for text, score in zip(texts, found, strict=True):
        (ids,) = model.vocabulary.encode([text])
        state, expected, last = reference.zeros(model.network), [], EOS
        for word in (*map(int, ids), EOS):
            logits, state = reference.step(model.arrays, model.network.layers, last, state)
            expected.append(logits[word] - np.logaddexp.reduce(logits))
            last = word
        assert score.text == text
        assert score.words == len(ids)
        assert score.unknown == int((ids == 1).sum())
        assert score.logprob == pytest.approx(sum(expected), abs=1e-3)
        assert score.perplexity == pytest.approx(math.exp(-np.mean(expected)), rel=1e-3)
        np.testing.assert_allclose([p for _, p in score.tokens], expected, atol=1e-4)
    assert [word for word, _ in found[2].tokens] == ["the", "The", "zorb", "cat", "!", "<eos>"]
    assert next(writer.score(["The"], None, False)).tokens is None


def test_scores_do_not_depend_on_neighbours(writer):
    texts = [f"The old cat sat {'on the mat ' * (i % 7)}." for i in range(70)]
    together = list(writer.score(texts, None, False))
    assert [next(writer.score([text], None, False)) for text in texts[:7]] == together[:7]


def test_scores_know_the_label(labelled_dir):
    writer = Writer(load_model(labelled_dir))
    labels = writer.model.labels
    text = "The old cat sat."
    found = {label: next(writer.score([text], label, False)).logprob for label in labels}
    assert len(set(found.values())) == len(labels)
    with pytest.raises(SettingError, match="label is missing; it must be"):
        next(writer.score([text], None, False))


def test_next_words_are_what_is_drawn(writer):
    settings = GenerationSettings(temperatures=(0.7,), top_k=5)
    words = list(writer.next_words("The old", settings, 10))
    assert len(words) == 5
    assert sum(p for _, p in words) == pytest.approx(1)
    many = GenerationSettings(temperatures=(0.7,), top_k=5, samples=2000, max_words=1)
    drawn = [g.text.strip() for g in writer.generate([prompt("The old")], many)]
    for word, p in words:
        assert drawn.count("" if word == "<eos>" else word) / 2000 == pytest.approx(p, abs=0.05)


def test_the_process_gives_the_same_bytes(writer, elsewhere):
    prompts = [prompt(f"The old cat number {i}") for i in range(300)]
    settings = GenerationSettings(max_words=6, temperatures=(0.8, 1.0))
    assert list(elsewhere.generate(prompts, settings)) == list(writer.generate(prompts, settings))
    texts = ["The old cat sat.", "the zorb"]
    assert list(elsewhere.score(texts, None, True)) == list(writer.score(texts, None, True))
    one = GenerationSettings(max_words=30)
    assert list(elsewhere.stream(prompts[0], one)) == list(writer.stream(prompts[0], one))
    asked = "The", GenerationSettings(), 4
    assert list(elsewhere.next_words(*asked)) == list(writer.next_words(*asked))


def test_calls_to_the_process_may_be_open_side_by_side_and_left(elsewhere):
    settings = GenerationSettings(max_words=20, min_words=20)
    whole = list(elsewhere.stream(prompt("The"), settings))
    stream, other = (elsewhere.stream(prompt("The"), settings) for _ in range(2))
    first = [next(stream)]
    next(other)
    other.close()
    first += [next(stream), *(piece for piece in stream)]
    assert first == whole


def test_errors_of_the_process_keep_their_kind(elsewhere):
    with pytest.raises(SettingError, match="label must be left out") as caught:
        list(elsewhere.generate([prompt("The")], GenerationSettings(label="x")))
    assert caught.value.field == "label"
    with pytest.raises(TextmillError, match="TypeError"):
        list(elsewhere.score(5, None, False))
    assert list(elsewhere.next_words("The", GenerationSettings(), 1))


def test_a_process_that_died_is_told_and_another_one_starts(elsewhere):
    asked = "The", GenerationSettings(), 3
    before = list(elsewhere.next_words(*asked))
    stream = elsewhere.stream(prompt("The"), GenerationSettings(max_words=20, min_words=20))
    next(stream)
    os.kill(elsewhere._process.pid, signal.SIGKILL)
    with pytest.raises(TextmillError, match=r"process died \(signal 9\)"):
        list(stream)
    assert list(elsewhere.next_words(*asked)) == before


@pytest.mark.walk  # TensorFlow in a process of its own
def test_a_process_ends_when_nothing_holds_its_writer(model):
    writer = WriterProcess(model)
    assert list(writer.next_words("The", GenerationSettings(), 3))
    pid = writer._process.pid
    del writer
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the process is still there")
