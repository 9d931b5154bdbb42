"""Gradients by hand, by automatic differentiation, and by the difference of two losses."""

from __future__ import annotations

import numpy as np
import pytest

from lab.notebook import reach
from lab.notebook.unrolled import Weights, backwards, forwards, sigma

X, H, T = 5, 4, 3


@pytest.fixture(scope="module")
def case():
    random = np.random.default_rng(0)
    weights = Weights(
        random.normal(0, 0.5, (X, 4 * H)), random.normal(0, 0.5, (H, 4 * H)),
        random.normal(0, 0.5, 4 * H),
    )  # fmt: skip
    return (weights, *(random.normal(size=shape) for shape in ((T, X), H, H, H)))


@pytest.fixture(params=["keras", "torch"])
def layers(request):
    """The module that has the layers of a library."""
    if request.param == "keras":
        return reach
    pytest.importorskip("torch", reason="PyTorch is not installed: `make lab-torch` installs it")
    from lab.notebook import torch_layers

    return torch_layers


def loss(weights, xs, h, c, aim):
    for x in xs:
        step = forwards(x, h, c, weights)
        h, c = step.h, step.c
    return ((h - aim) ** 2).sum() / 2


def by_hand(weights, xs, h, c, aim):
    steps = []
    for x in xs:
        steps.append(forwards(x, h, c, weights))
        h, c = steps[-1].h, steps[-1].c
    dh, dc, found, dxs = h - aim, np.zeros(H), dict.fromkeys(("kernel", "recurrent", "bias"), 0), []
    for step in reversed(steps):
        back = backwards(dh, dc, step, weights)
        found = {name: value + getattr(back, name) for name, value in found.items()}
        dh, dc = back.h, back.c
        dxs.insert(0, back.x)
    return found | {"x": np.array(dxs), "h": dh, "c": dc}


def test_three_steps_are_those_of_automatic_differentiation(case, layers):
    found, automatic = by_hand(*case), layers.by_differentiation(*case)
    for name, value in found.items():
        assert value == pytest.approx(getattr(automatic, name), abs=1e-5), name
        assert np.abs(value).max() > 1e-3, name


def test_three_steps_are_the_difference_of_two_losses(case):
    weights, xs, h, c, aim = case
    found = by_hand(*case)
    parts = {
        "kernel": weights.kernel, "recurrent": weights.recurrent, "bias": weights.bias, "x": xs,
        "h": h, "c": c,
    }  # fmt: skip
    for name, array in parts.items():
        for at in np.ndindex(*array.shape):
            kept, difference = array[at], 0.0
            for sign in (1, -1):
                array[at] = kept + sign * 1e-5
                difference += sign * loss(weights, xs, h, c, aim)
            array[at] = kept
            assert found[name][at] == pytest.approx(difference / 2e-5, abs=1e-7), (name, at)


def test_sigma_does_not_overflow():
    with np.errstate(all="raise"):
        assert sigma(np.array([-1e4, 0, 1e4])) == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_reach_is_the_difference_of_two_losses(kind, layers):
    """Each h in turn is moved by a little, in the network's own words, with NumPy."""
    model = layers.build(kind, 7, 3, 4, seed=2)
    ids, back = np.random.default_rng(4).integers(0, 7, 12), 4
    found = layers.reach(model, ids, back)
    assert found.shape == (2, back + 1)
    weights, table = layers.weights_and_vectors(model, np.arange(7))
    if layers is reach:
        out = model.get_layer("logits").get_weights()
    else:
        out = [each.detach().numpy() for each in (model.logits.weight.T, model.logits.bias)]
    dense, bias = (each.astype(np.float64) for each in out)

    def nats(words, moved=None, by=0.0, unit=0):
        h = c = np.zeros(4)
        for t, word in enumerate(words[:-1]):
            if kind == "LSTM":
                step = forwards(table[word], h, c, weights)
                h, c = step.h.copy(), step.c
            else:
                h = np.tanh(table[word] @ weights.kernel + h @ weights.recurrent + weights.bias)
            if t == moved:
                h[unit] += by
        z = h @ dense + bias
        return np.log(np.exp(z).sum()) - z[words[-1]]

    for piece, words in enumerate(ids.reshape(2, back + 2)):
        for k in range(back + 1):
            gradient = [
                (nats(words, back - k, 1e-5, unit) - nats(words, back - k, -1e-5, unit)) / 2e-5
                for unit in range(4)
            ]
            assert found[piece, k] == pytest.approx(np.linalg.norm(gradient), rel=1e-3)


def test_what_makes_no_sense_is_refused(layers):
    with pytest.raises(ValueError, match="'LSTM' or 'RNN'"):
        layers.build("GRU", 7, 3, 4, seed=0)
    with pytest.raises(ValueError, match="need more than 5 words"):
        layers.reach(layers.build("RNN", 7, 3, 4, seed=0), np.arange(5), 10)
