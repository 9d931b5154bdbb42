"""What is told of the inside of a network is what is there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from lab_solution import build_model, tokenize

from lab.notebook.inside import (
    NoLstmError,
    auc,
    capitalised,
    correlation,
    find_lstm,
    inside_quotes,
    number_name,
    place_in_sentence,
    rank,
    ranks,
    record,
    share_below,
    shown_part,
)


def marked(text, property_of):
    """The tokens that have the property."""
    tokens = tokenize(text)
    return [token.lstrip("■") for token, true in zip(tokens, property_of(tokens), strict=True) if true]  # fmt: skip # noqa: E501


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('He said: "Stop it." She left. "No!"', '" Stop it . " No !'),
        ("He said: “Stop it.” She left. “No!”", "“ Stop it . “ No !"),
        ("Er sagte: „Halt.“ Sie ging. „Nein!“", "„ Halt . „ Nein !"),
        ("Er sagte: »Halt.« Sie", "» Halt ."),
        ("Il dit : «Non.» Elle", "« Non ."),
        ("Il dit : « Non. » Elle", "« Non ."),
        ("“One.\n“Two.” Three", "“ One . “ Two ."),  # speech that goes on opens each paragraph
        ("He said: ‘Stop it.’ She left. ‘I saw “No!” there’", "‘ Stop it . ‘ I saw “ No ! ” there"),
        ("“I read ‘No!’ there.” She left", "“ I read ‘ No ! ’ there ."),
        ('"I read ‘No!’ there." She left', '" I read ‘ No ! ’ there .'),
        ("«Je lis ‘Non’.» Elle", "« Je lis ‘ Non ’ ."),
        ("It's a dog’s life", ""),
    ],
)
def test_inside_quotation_marks(text, inside):
    assert " ".join(marked(text, inside_quotes)) == inside


def test_place_in_the_sentence():
    tokens = tokenize("The cat sat. Where? On it")
    assert place_in_sentence(tokens).tolist() == [0, 1, 2, 3, 0, 1, 0, 1]


def test_capital_letters_within_a_sentence():
    text = "The dog saw Holmes. Watson said: “You, Mr Holmes?” I think I know Sherlock’s."
    assert marked(text, capitalised) == ["Holmes", "Mr", "Holmes", "Sherlock’s"]
    assert marked("Then Alice said, ‘You know Holmes’", capitalised) == ["Alice", "Holmes"]


def test_ranks_and_correlation_are_scipy_s():
    random = np.random.default_rng(0)
    values = random.integers(0, 9, (60, 5)).astype(float)
    numbers = random.integers(0, 6, 60)
    for unit in range(5):
        assert ranks(values)[:, unit] == pytest.approx(scipy.stats.rankdata(values[:, unit]))
        expected = scipy.stats.spearmanr(values[:, unit], numbers).statistic
        assert correlation(values, numbers)[unit] == pytest.approx(expected)
    assert correlation(np.ones((9, 1)), np.arange(9)) == pytest.approx(0)


def test_shares_tell_values_apart_that_tanh_does_not():
    c = np.array([9.0, 12.0, 8.0, 12.0, 30.0], np.float32)
    assert share_below(c) == pytest.approx([0.3, 0.6, 0.1, 0.6, 0.9])
    assert share_below(np.arange(1000.0)) == pytest.approx(np.arange(0.0005, 1, 0.001))


def test_auc_counts_pairs():
    random = np.random.default_rng(1)
    values, truth = random.integers(0, 5, (40, 3)).astype(float), random.random(40) < 0.3
    for unit in range(3):
        pairs = [(a > b) + (a == b) / 2 for a in values[truth, unit] for b in values[~truth, unit]]
        assert auc(values, truth)[unit] == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="always or never"):
        auc(values, np.zeros(40, bool))


def test_the_order_is_by_the_first_words_and_told_of_the_others():
    random = np.random.default_rng(2)
    truth = random.random(4000) < 0.4
    values = random.normal(size=(4000, 30))
    values[:, 7] += 2 * truth
    values[:, 3] -= 1 * truth  # smaller inside: as good as larger
    values[:2000, 11] += 3 * truth[:2000]  # only where the order is made
    found = rank(values, truth, split=2000)
    assert found.columns[:3].tolist() == [11, 7, 3]
    assert found.held_out[0] == pytest.approx(0.5, abs=0.05)
    assert found.held_out[1] == pytest.approx(found.chosen[1], abs=0.05)
    assert found.chosen[2] < 0.3
    assert rank(values, np.arange(4000), split=2000).measure == "correlation"


def test_the_part_that_is_shown_has_both_kinds_of_words():
    truth = np.zeros(500, bool)
    truth[300:340] = True
    part = shown_part(truth, 100, 60)
    assert truth[part].sum() == 30
    assert part.stop - part.start == 60
    sentence = shown_part(place_in_sentence(tokenize("a b. c d. e f g h i j k l")), 1, 4)
    assert sentence == slice(3, 7)
    assert shown_part(truth[:50], 10, 60) == slice(10, 50)


def test_gates_are_the_layer_s():
    import keras

    ids = np.random.default_rng(3).integers(0, 9, 40)
    keras.utils.set_random_seed(1)
    model = build_model(9, 5, 6)
    found = record(model, ids)
    layer = find_lstm(model)
    cell = layer.cell
    # Keras, word by word.
    h = c = np.zeros((1, 6), np.float32)
    for t, x in enumerate(found.x):
        _, (h, c) = cell(x[None], [h, c])
        assert found.h[t] == pytest.approx(np.asarray(h)[0], abs=1e-5)
        assert found.c[t] == pytest.approx(np.asarray(c)[0], abs=1e-5)
    assert found.c[1:] == pytest.approx(
        found.f[1:] * found.c[:-1] + found.i[1:] * found.g[1:], abs=1e-5
    )
    assert found.h == pytest.approx(found.o * np.tanh(found.c), abs=1e-5)
    assert found.i.min() > 0
    assert found.i.max() < 1
    # No trace of the listening is left.
    again = record(model, ids)
    assert (again.h == found.h).all()
    assert found.part(slice(3, 5)).h.shape == (2, 6)
    for column, name in ((4, "c of unit 4"), (8, "h of unit 2")):
        assert number_name(column, 6) == name
        values = getattr(found, name[0])[:, int(name[-1])]
        assert (found.numbers[:, column] == values).all()


def test_other_networks_are_refused_in_words():
    import keras

    def built(*layers):
        ids = keras.Input((None,), dtype="int32")
        h, c = keras.Input((4,)), keras.Input((4,))
        x = keras.layers.Embedding(9, 4)(ids)
        for layer in layers:
            x = layer(x, initial_state=[h, c])
        return keras.Model([ids, h, c], x)

    def lstm(**how):
        return keras.layers.LSTM(4, return_sequences=True, **how)

    with pytest.raises(NoLstmError, match="0 LSTM layers"):
        find_lstm(built())
    with pytest.raises(NoLstmError, match="2 LSTM layers"):
        find_lstm(built(lstm(), lstm()))
    with pytest.raises(NoLstmError, match="relu"):
        find_lstm(built(lstm(activation="relu")))
    with pytest.raises(NoLstmError, match="apart"):  # it reads from the end
        record(built(lstm(go_backwards=True)), np.arange(9))
