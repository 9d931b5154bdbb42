"""What is chosen for a corpus and a budget."""

from __future__ import annotations

import pytest

from textmill.model.settings import PRESETS, TrainSettings
from textmill.model.training.recipe import PLAIN, choose

LAPTOP = {"cores": 2, "gpus": 0}


def chosen(preset="auto", *, words=100_000, vocabulary=5_000, minutes=5.0, epochs=None, **machine):
    return choose(
        preset,
        words=words,
        vocabulary=vocabulary,
        minutes=minutes,
        epochs=epochs,
        **{**LAPTOP, **machine},
    )


def size(recipe):
    return recipe.embedding, recipe.hidden, recipe.layers


def preset(name):
    return size(PRESETS[name])


def test_more_words_and_time_make_a_larger_network():
    assert size(chosen(words=30_000)) == preset("small")
    assert size(chosen(words=30_000, minutes=10_000.0)) == preset("small")
    assert size(chosen(words=2_000_000, vocabulary=33_000, minutes=60.0)) == preset("medium")
    assert size(chosen(words=2_000_000, vocabulary=33_000, minutes=5.0)) == preset("small")
    assert size(chosen(words=2_000_000, vocabulary=33_000, minutes=60.0, gpus=1)) == preset("large")
    assert size(chosen(words=2_000_000, minutes=60.0, cores=8)) != preset("small")


def test_more_passes_mean_more_regularisation():
    recipes = [chosen(minutes=minutes) for minutes in (0.1, 1.0, 10.0, 100.0)]
    for name in ("dropout", "weight_drop", "word_dropout", "activation_penalty"):
        values = [getattr(recipe, name) for recipe in recipes]
        assert values == sorted(values)
        assert values[0] < values[-1]
    assert recipes[-1].dropout == 0.65  # however long it takes
    assert chosen(epochs=2, minutes=None).dropout < chosen(epochs=40, minutes=None).dropout
    assert chosen(epochs=2, minutes=100.0) == chosen(epochs=2, minutes=1000.0)


def test_a_source_costs_passes():
    plain = chosen(words=400_000, minutes=20.0)
    source = chosen(words=400_000, minutes=20.0, source_words=400_000)
    attention = chosen(words=400_000, minutes=20.0, source_words=400_000, attention=True)
    assert plain.dropout > source.dropout > attention.dropout


@pytest.mark.parametrize("name", PRESETS)
def test_a_named_preset_keeps_its_sizes(name):
    assert size(chosen(name, words=10, minutes=1000.0)) == preset(name)


def test_no_words_and_no_budget_are_no_error():
    assert 0 <= chosen(words=0, minutes=None, epochs=40).dropout < 1
    assert 0 <= chosen(words=1, minutes=1e-9).dropout < 1


def test_what_is_given_by_hand_stays():
    recipe = PLAIN.given(TrainSettings(dropout=0.3, learning_rate=0.1, weight_drop=0.0))
    assert (recipe.dropout, recipe.learning_rate, recipe.weight_drop) == (0.3, 0.1, 0.0)
    assert chosen().given(TrainSettings()) == chosen()
