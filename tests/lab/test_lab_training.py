"""The lab's training: its time, its zeros, and what it measures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from lab_solution import build_model, encode, loss, make_vocabulary, make_windows, tokenize

from lab.books import read_book
from lab.notebook import training
from lab.notebook.decoding import log_softmax
from lab.notebook.plan import Silence
from lab.notebook.training import (
    perplexity_by_place,
    primer,
    probabilities,
    probabilities_at,
    rerunner,
    stepper,
    train,
)

V, UNITS = 11, 6


@pytest.fixture(scope="module")
def model():
    import keras

    keras.utils.set_random_seed(0)
    return build_model(V, 4, UNITS)


@pytest.fixture(scope="module")
def ids():
    return np.random.default_rng(0).integers(0, V, 64).astype(np.int32)


class Steps:
    """Stands for the compiled training step: keeps the states it is given, and returns ones."""

    def __init__(self, monkeypatch):
        self.given = []
        monkeypatch.setattr(training, "_step", lambda *_: self)

    def __call__(self, ids, targets, h, c):
        self.given.append((np.asarray(h), np.asarray(c)))
        return np.log(20.0), np.ones(h.shape, np.float32), np.ones(c.shape, np.float32)


class Heard(Silence):
    def __init__(self):
        self.plans, self.points, self.seconds = [], [], []

    def planned(self, plan):
        self.plans.append(plan)

    def step(self, *, epochs, seconds, perplexity):
        self.seconds.append(seconds)

    def point(self, point):
        self.points.append(point)


def ticking(step=1.0):
    """A clock by which each step of the training takes `step` seconds."""
    now = [0.0]

    def clock():
        now[0] += (
            step / 2
        )  # it is read before and after; what lies between two steps is not counted
        return 2 * now[0]

    return clock


def timed(model, windows, **how):
    heard = Heard()
    texts = np.zeros((2, windows, 3, 4), np.int32)
    found = train(model, loss, tuple(texts), watch=heard, clock=ticking(), **how)
    return found, heard


# Windows of an epoch; what is asked; steps: the first is compiled and takes no counted time.
ENDS = [
    (10, {"seconds": 24}, 25),
    (10, {"seconds": 4, "least": 2}, 20),
    (10, {"seconds": 4, "least": 9, "limit": 30}, 31),
    (10, {"epochs": 3}, 30),
    (10, {"epochs": 3, "seconds": 12}, 13),
    (100, {"seconds": 24}, 25),  # within an epoch
    (2, {"epochs": 1}, 2),
]


@pytest.mark.parametrize(("windows", "how", "steps"), ENDS)
def test_a_training_ends_where_it_was_said(model, monkeypatch, windows, how, steps):
    given = Steps(monkeypatch).given
    found, heard = timed(model, windows, **how)
    assert len(given) == steps
    assert found.seconds == steps - 1 == heard.seconds[-1]
    assert found.epochs == steps / windows
    assert found.points[-1].epochs == found.epochs
    if windows > 5:
        (planned,) = heard.plans
        assert planned.epoch == windows
        assert planned.seconds == pytest.approx(found.seconds, abs=1)
        assert planned.epochs == pytest.approx(found.epochs, abs=0.2)


def test_what_measuring_takes_is_not_training_time(model, ids, monkeypatch):
    Steps(monkeypatch)
    clock = ticking()
    real = training._perplexity

    def slow(model, text):
        for _ in range(1000):
            clock()
        return real(model, text)

    monkeypatch.setattr(training, "_perplexity", slow)
    windows = tuple(np.zeros((2, 10, 3, 4), np.int32))
    found = train(model, loss, windows, epochs=2, plain=ids, valid=ids[:9], clock=clock)
    assert found.seconds == 19
    assert [point.epochs for point in found.points] == [1, 2]
    for point in found.points:
        assert point.training == pytest.approx(20)
        assert point.plain == pytest.approx(np.exp(-np.log(probabilities(model, ids)).mean()))
        assert point.validation != point.plain


def test_a_long_epoch_has_points_within_it(model, monkeypatch):
    Steps(monkeypatch)
    found, _ = timed(model, 400, seconds=100)
    assert len(found.points) >= 8
    assert np.diff([point.epochs for point in found.points]).min() > 0


def overfitted(model, valid):
    """Trains until the few windows are known by heart."""
    inputs = np.random.default_rng(1).integers(0, V, (3, 4, 6)).astype(np.int32)
    windows = inputs[:, :, :-1], inputs[:, :, 1:]
    return train(model, loss, windows, epochs=40, rate=0.03, valid=valid)


def test_the_weights_are_those_of_the_best_point(ids):
    import keras

    keras.utils.set_random_seed(0)
    network = build_model(V, 4, UNITS)
    found = overfitted(network, ids)
    measured = [point.validation for point in found.points]
    assert found.kept.validation == min(measured) < measured[-1] / 1.5
    assert len(measured) == 40  # the curve goes on
    assert training._perplexity(network, ids) == pytest.approx(min(measured), rel=1e-6)
    # Without a validation text they are those of the end, by the same steps.
    keras.utils.set_random_seed(0)
    network = build_model(V, 4, UNITS)
    found = overfitted(network, None)
    assert found.kept == found.points[-1]
    assert training._perplexity(network, ids) == pytest.approx(measured[-1], rel=1e-5)


def test_a_network_that_fails_keeps_no_weights(model, ids, monkeypatch):
    Steps(monkeypatch)
    monkeypatch.setattr(training, "_perplexity", lambda *_: float("nan"))
    before = model.get_weights()
    found = train(model, loss, tuple(np.zeros((2, 10, 3, 4), np.int32)), epochs=2, valid=ids)
    assert found.kept == found.points[-1]
    for one, other in zip(model.get_weights(), before, strict=True):
        assert (one == other).all()


def test_states_of_random_rows_are_zeros(model, monkeypatch):
    windows = tuple(np.zeros((2, 50, 40, 4), np.int32))

    def kept(**how):
        given = Steps(monkeypatch).given
        train(model, loss, windows, epochs=2, **how)
        for h, c in given:
            assert (h == c).all()  # both or none
            assert (h == h[:, :1]).all()  # the whole state of a row
        return np.array([h[:, 0] for h, _ in given]).reshape(2, 50, 40)

    found = kept(zeroed=0.2)
    assert (found[:, 0] == 0).all()  # each epoch begins with zeros
    zeros = found[:, 1:] == 0
    assert zeros.mean() == pytest.approx(0.2, abs=0.03)
    assert zeros.any(axis=(0, 1)).all()  # no row and
    assert zeros.any(axis=(0, 2)).all()  # no window is left out
    assert (zeros[0] != zeros[1]).any()
    assert (found == kept(zeroed=0.2)).all()
    assert (found != kept(zeroed=0.2, seed=1)).any()
    assert (kept()[:, 1:] == 1).all()


def test_what_makes_no_sense_is_refused(model):
    windows = tuple(np.zeros((2, 5, 3, 4), np.int32))
    with pytest.raises(ValueError, match="say when the training ends"):
        train(model, loss, windows)
    with pytest.raises(ValueError, match="too short"):
        train(model, loss, tuple(np.zeros((2, 0, 3, 4), np.int32)), epochs=1)
    with pytest.raises(ValueError, match="20 places need more than 20 words"):
        perplexity_by_place(model, np.zeros(20, np.int32), 20)


def by_hand(model, ids, temperature=1.0):
    """p of each word but the first, word by word."""
    step, state, found = stepper(model, unknown=None), None, []
    for word, following in itertools.pairwise(ids):
        logits, state = step(int(word), state)
        found.append(np.exp(log_softmax(logits / temperature)[following]))
    return np.array(found)


def test_probabilities_are_those_word_by_word(model, ids):
    assert probabilities(model, ids) == pytest.approx(by_hand(model, ids), rel=1e-4)
    found = probabilities_at(model, ids, [0.5, 1.0, 2.0])
    for row, temperature in zip(found, (0.5, 1.0, 2.0), strict=True):
        assert row == pytest.approx(by_hand(model, ids, temperature), rel=1e-4)
    later = probabilities_at(model, ids[20:], [1.0], before=ids[:20])[0]
    assert later == pytest.approx(by_hand(model, ids)[20:], rel=1e-4)


def test_places_are_counted_from_the_beginning_of_each_piece(model, ids):
    pieces = ids[:63].reshape(9, 7)
    zeros = np.array([by_hand(model, piece) for piece in pieces])
    carried = np.array([by_hand(model, ids)[7 * i : 7 * i + 6] for i in range(9)])
    for p, found in (
        (zeros, perplexity_by_place(model, ids, 6)),
        (carried, perplexity_by_place(model, ids, 6, carried=True)),
    ):
        assert found == pytest.approx(np.exp(-np.log(p).mean(axis=0)), rel=1e-4)
    assert zeros[1:] != pytest.approx(carried[1:], rel=1e-4)


def test_none_is_the_state_after_the_words_before(model, ids):
    read, words = ids[:9].tolist(), ids[9:14].tolist()
    primed, plain = stepper(model, before=read), stepper(model)
    state = None
    for word in read:
        _, state = plain(word, state)
    expected = plain(words[0], state)[0]
    received, state = primed(words[0], None)
    assert received[0] == -np.inf
    assert received[1:] == pytest.approx(expected[1:], abs=1e-5)
    for word in words[1:]:
        received, state = primed(word, state)
    assert rerunner(model, before=read)(words)[-1][1:] == pytest.approx(received[1:], abs=1e-5)
    assert rerunner(model)(words)[-1][1:] != pytest.approx(received[1:], abs=1e-3)


def test_the_words_before_end_with_a_full_stop():
    text = np.array([1, 2, 9, 3, 4, 9, 5, 6])
    assert primer(text, 9, words=4) == [9, 3, 4, 9]
    assert primer(text, 9) == [1, 2, 9, 3, 4, 9]
    assert primer(text, None, words=2) == [5, 6]
    assert primer(text, 7, words=2) == [5, 6]


@pytest.mark.lab
def test_on_a_book_zeros_are_a_state_like_any_other(shared, capsys):
    """Perplexity by place after zeros, with and without zeros in training; printed as a table."""
    import keras

    tokens = tokenize(read_book(shared / "books" / "sherlock.txt"))
    first = int(len(tokens) * 0.9)
    vocabulary = make_vocabulary(tokens[:first], 2)
    ids = encode(tokens, vocabulary)
    found = {}
    for zeroed in (0.0, 0.2):
        keras.utils.set_random_seed(0)
        network = build_model(len(vocabulary), 128, 256)
        train(network, loss, make_windows(ids[:first], 32, 32), epochs=3, zeroed=zeroed)
        for carried in (False, True):
            found[zeroed, carried] = perplexity_by_place(network, ids[first:], 12, carried=carried)
    with capsys.disabled():
        print("\nzeroed  state    perplexity at places 1, 2, ...")
        for (zeroed, carried), values in found.items():
            name = "carried" if carried else "zeros"
            print(f"{zeroed:6}  {name:<8} {' '.join(f'{value:6.0f}' for value in values)}")
    from_zeros = {zeroed: found[zeroed, False] for zeroed in (0.0, 0.2)}
    assert from_zeros[0.2][0] < 0.6 * from_zeros[0.0][0]
    # From the third word on, zeros are as good as any state; and carried it is no worse for them.
    away = np.log(from_zeros[0.2][2:] / found[0.2, True][2:])
    assert away.mean() < 0.05
    assert np.log(found[0.2, True] / found[0.0, True]).mean() < 0.1
