"""One step of an LSTM in NumPy, forwards and backwards, by the formulas.

For the input x [X] and the state h, c [H], with sigma(z) = 1 / (1 + exp(-z)):

    i = sigma(x W_i + h U_i + b_i)      the input gate: how much is written
    f = sigma(x W_f + h U_f + b_f)      the forget gate: how much is kept
    g =  tanh(x W_g + h U_g + b_g)      what is written
    o = sigma(x W_o + h U_o + b_o)      the output gate: how much shows
    c' = f c + i g,  h' = o tanh(c')

(Hochreiter and Schmidhuber 1997; the forget gate is of Gers et al. 2000.) W [X, 4H], U [H, 4H] and
b [4H] hold the four parts side by side, in the order i, f, g, o, as Keras does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Weights:
    """The weights W [X, 4H], U [H, 4H] and b [4H] of an LSTM."""

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Step:
    """All numbers of one step: what went in, the gates, and the new state, each [H] but x [X]."""

    x: np.ndarray
    before_h: np.ndarray
    before_c: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray
    h: np.ndarray


@dataclass(frozen=True)
class Gradients:
    """dL / d of what went into one step, or the sum of several steps for the weights."""

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    x: np.ndarray
    h: np.ndarray
    c: np.ndarray


def sigma(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)), which does not overflow in this form."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))


def forwards(x: np.ndarray, h: np.ndarray, c: np.ndarray, weights: Weights) -> Step:
    """Makes one step."""
    z = x @ weights.kernel + h @ weights.recurrent + weights.bias
    zi, zf, zg, zo = np.split(z, 4)
    i, f, g, o = sigma(zi), sigma(zf), np.tanh(zg), sigma(zo)
    after = f * c + i * g
    return Step(x, h, c, i, f, g, o, after, o * np.tanh(after))


def backwards(dh: np.ndarray, dc: np.ndarray, step: Step, weights: Weights) -> Gradients:
    """Takes the gradients back through one step.

    Args:
        dh: dL / dh' [H].
        dc: dL / dc' [H], without the part that goes through h'.
        step: the step.
        weights: the weights that made it.
    """
    seen = np.tanh(step.c)
    dc = dc + dh * step.o * (1 - seen**2)
    dz = np.concatenate(
        [
            dc * step.g * step.i * (1 - step.i),
            dc * step.before_c * step.f * (1 - step.f),
            dc * step.i * (1 - step.g**2),
            dh * seen * step.o * (1 - step.o),
        ]
    )
    return Gradients(
        kernel=np.outer(step.x, dz),
        recurrent=np.outer(step.before_h, dz),
        bias=dz,
        x=weights.kernel @ dz,
        h=weights.recurrent @ dz,
        c=dc * step.f,
    )
