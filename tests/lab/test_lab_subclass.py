"""A model of a class of one's own works wherever that of `build_model` does."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import SimpleNamespace

import lab_solution
import numpy as np
import pytest
from lab_here import with_class
from lab_solution import loss, make_windows

from lab.notebook.inside import NoLstmError, record
from lab.notebook.training import (
    perplexity_by_place,
    probabilities,
    rerunner,
    stepper,
    train,
    units_of,
)
from lab.play import own_network, save

V, EMBEDDING, UNITS = 9, 4, 6
NAMES = [
    "Layers",
    "Loop",
    *(pytest.param(name, marks=pytest.mark.lab) for name in ("Inner", "Formulas")),
]
SIZES = (V, EMBEDDING, UNITS)


@pytest.fixture(scope="module", params=NAMES)
def kind(request):
    return getattr(importlib.import_module("subclassed"), request.param)


@pytest.fixture
def pair(kind):
    """A trained one, and a functional one with the same weights."""
    text = np.tile(np.arange(1, V, dtype=np.int32), 12)  # each word follows from the one before
    model = kind(*SIZES)
    found = train(model, loss, make_windows(text, 2, 8), epochs=30, rate=0.03, zeroed=0.1,
                  valid=text)  # fmt: skip
    assert found.points[-1].validation < found.points[0].training / 2
    same = lab_solution.build_model(*SIZES)
    weights = {tuple(array.shape): array for array in model.get_weights()}
    same.set_weights([weights[tuple(array.shape)] for array in same.get_weights()])
    return model, same


def test_all_that_uses_a_network_takes_it(pair, tmp_path):
    model, same = pair
    kind = type(model)
    assert units_of(model) == units_of(kind(*SIZES)) == UNITS
    ids = np.random.default_rng(0).integers(0, V, 40).astype(np.int32)
    alike = {"rtol": 1e-4, "atol": 1e-6}
    for each in (probabilities, lambda net, ids: perplexity_by_place(net, ids, 3)):
        np.testing.assert_allclose(each(model, ids), each(same, ids), **alike)
    (a, state), (b, _) = (stepper(net, before=[1, 2])(3, None) for net in pair)
    np.testing.assert_allclose(a, b, **alike)
    again = stepper(model)(4, state)[0]
    for net in pair:
        run = rerunner(net, before=[1, 2])
        assert [run([3] * n).shape for n in (1, 2, 3, 4)] == [(n, V) for n in (1, 2, 3, 4)]
        np.testing.assert_allclose(run([3, 4])[-1], again, **alike)
    fresh = kind(*SIZES)  # without weights yet
    if kind.__name__ in ("Layers", "Inner"):
        np.testing.assert_allclose(record(model, ids).i, record(same, ids).i, atol=1e-5)
        assert record(fresh, ids).h.shape == (40, UNITS)
    else:
        with pytest.raises(NoLstmError, match="0 LSTM layers"):
            record(fresh, ids)
    words = ["<unk>", *"abcdefgh"]
    given = {"words": words, "embedding": EMBEDDING, "units": UNITS, "before": [3]}
    file = save(tmp_path / "n.safetensors", model, **given)
    own = SimpleNamespace(**{**vars(lab_solution), "build_model": kind})
    found = own_network(file, own)
    np.testing.assert_allclose(found._step(1, None)[0], stepper(model)(1, None)[0], **alike)


def test_who_says_nothing_of_its_units_is_told():
    import keras

    class Nameless(keras.Model):
        pass

    with pytest.raises(ValueError, match=r"no recurrent layer.*self\.units = units"):
        units_of(Nameless())


@pytest.mark.lab
@pytest.mark.parametrize("name", NAMES)
def test_the_checks_take_it(tmp_path, name):
    command = [sys.executable, "-m", "lab.check", "build_model", "--seconds", "600", "--file"]
    done = subprocess.run([*command, with_class(tmp_path, name)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
