"""Perplexity against its definition in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import reference

from textmill.model.network.likelihood import Evaluator
from textmill.model.network.lstm import LanguageModel
from textmill.model.text.split import Part
from textmill.model.text.vocabulary import EOS


def reference_nats(model, ids, lines=None, labels=None):
    total = 0.0
    for number, line in enumerate(lines if lines is not None else [ids]):
        state, token, label = reference.zeros(model.network), EOS, None
        if labels is not None:
            label = labels[number]
            state = reference.start(model.arrays, model.network, label)
        for target in line:
            logits, state = reference.step(model.arrays, model.network.layers, token, state, label)
            total -= reference.log_softmax(logits)[target]
            token = target
    return total


def test_perplexity_by_its_definition(make_model):
    model = make_model([f"w{i}" for i in range(20)], layers=2, embedding=5)
    network = LanguageModel(model.network)
    network.build()
    network.assign_arrays(model.arrays)
    evaluator = Evaluator(network, model.vocabulary)
    words = [f"w{i}" for i in range(25)]  # five are unknown
    ids = np.random.default_rng(0).integers(-1, 25, 150).astype(np.int32)
    part = Part(ids, None, None, words)
    encoded = part.encode(model.vocabulary)
    expected = math.exp(reference_nats(model, encoded) / 150)
    assert evaluator(part).perplexity == pytest.approx(expected, rel=1e-5)
    assert evaluator(part).bits_a_character(100) == pytest.approx(
        math.log2(expected) * 150 / 100, rel=1e-5
    )
    lengths = np.array([1, 70, 9, 20])  # one of them longer than a window
    lines = Part(np.abs(ids[:100]), lengths, None, words)
    rows = np.split(lines.encode(model.vocabulary), np.cumsum(lengths)[:-1])
    nats = reference_nats(model, None, [[*row.tolist(), EOS] for row in rows])
    assert evaluator(lines).tokens == 104
    assert evaluator(lines).nats == pytest.approx(nats, rel=1e-5)


def test_perplexity_of_labelled_lines(make_model):
    model = make_model([f"w{i}" for i in range(6)], labels=("x", "y"))
    network = LanguageModel(model.network)
    network.build()
    network.assign_arrays(model.arrays)
    ids, lengths = np.random.default_rng(0).integers(0, 6, 80), np.array([1, 70, 9])
    part = Part(ids.astype(np.int32), lengths, ["y", "x", "y"], [f"w{i}" for i in range(6)])
    rows = np.split(part.encode(model.vocabulary), np.cumsum(lengths)[:-1])
    lines = [[*row.tolist(), EOS] for row in rows]
    nats = reference_nats(model, None, lines, labels=[1, 0, 1])
    found = Evaluator(network, model.vocabulary, model.context)(part)
    assert found.nats == pytest.approx(nats, rel=1e-5)


def test_long_texts_run_as_streams_side_by_side(make_model):
    model = make_model(["a", "b"])
    network = LanguageModel(model.network)
    network.build()
    network.assign_arrays(model.arrays)
    ids = np.random.default_rng(0).integers(0, 2, 4100).astype(np.int32)
    part = Part(ids, None, None, ["a", "b"])
    encoded = part.encode(model.vocabulary)
    expected = sum(reference_nats(model, half) for half in (encoded[:2050], encoded[2050:]))
    found = Evaluator(network, model.vocabulary)(part)
    assert (found.nats, found.tokens) == (pytest.approx(expected, rel=1e-5), 4100)
