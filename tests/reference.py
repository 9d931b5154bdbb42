"""The network once more, in float64 NumPy, straight from the LSTM's equations."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(arrays, layers, token, state):
    """Logits [V] and the new state [(h, c)] after one word. Gates i, f, c, o as in Keras."""
    w = {name: array.astype(np.float64) for name, array in arrays.items()}
    x, after = w["embedding"][token], []
    for i in range(layers):
        h, c = state[i]
        z = x @ w[f"lstm_{i}_kernel"] + h @ w[f"lstm_{i}_recurrent"] + w[f"lstm_{i}_bias"]
        gate_i, gate_f, gate_c, gate_o = np.split(z, 4)
        c = sigmoid(gate_f) * c + sigmoid(gate_i) * np.tanh(gate_c)
        x = sigmoid(gate_o) * np.tanh(c)
        after.append((x, c))
    if "projection" in w:
        x = x @ w["projection"]
    return w["embedding"] @ x + w["output_bias"], after


def zeros(settings):
    return [(np.zeros(settings.hidden), np.zeros(settings.hidden))] * settings.layers


def log_softmax(logits):
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def filtered(logits, *, temperature, top_k=0, top_p=1.0, min_p=0.0):
    """Probabilities after the filters, by sorting: temperature, top-k, top-p, min-p."""
    p = np.exp(log_softmax(np.asarray(logits, np.float64) / temperature))
    if top_k:
        p = np.where(p >= np.sort(p)[::-1][min(top_k, len(p)) - 1], p, 0)
    if top_p < 1:
        order = np.argsort(-p, kind="stable")
        share = np.cumsum(p[order]) / p.sum()
        last = p[order][np.searchsorted(share, top_p)]
        p = np.where(p >= last, p, 0)
    p = np.where(p >= min_p * p.max(), p, 0)
    return p / p.sum()
