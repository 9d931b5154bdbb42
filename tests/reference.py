"""A second version of the network, in float64 NumPy, directly from the LSTM's equations."""

from __future__ import annotations

import numpy as np
from scipy import stats


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(w, name, x, state):
    """h of the last layer, and h and c of all, after one step of LSTM layers."""
    after = []
    for i, (h, c) in enumerate(state):
        z = x @ w[f"{name}_{i}_kernel"] + h @ w[f"{name}_{i}_recurrent"] + w[f"{name}_{i}_bias"]
        gate_i, gate_f, gate_c, gate_o = np.split(z, 4)
        c = sigmoid(gate_f) * c + sigmoid(gate_i) * np.tanh(gate_c)
        x = sigmoid(gate_o) * np.tanh(c)
        after.append((x, c))
    return x, after


def encode(arrays, settings, ids):
    """The state after a source, and the outputs [words, H], last word first."""
    w = {name: array.astype(np.float64) for name, array in arrays.items()}
    state, outputs = zeros(settings), []
    for token in ids[::-1]:
        x, state = lstm(w, "source", w["source_embedding"][token], state)
        outputs.append(x)
    return state, np.array(outputs)


def attended(w, h, outputs):
    """Luong's global attention, `general`."""
    scores = outputs @ (h @ w["attention_score"])
    weights = np.exp(scores - scores.max())
    seen = weights / weights.sum() @ outputs
    return np.tanh(np.concatenate([seen, h]) @ w["attention_combine"])


def step(arrays, layers, token, state, label=None, outputs=None):
    """Logits [V] and the new state [(h, c)] after one word. Gates i, f, c, o as in Keras.

    label: its number, which adds a vector to the word's; or the whole context vector [C].
    outputs: of `encode`, to attend to.
    """
    w = {name: array.astype(np.float64) for name, array in arrays.items()}
    x = w["embedding"][token]
    if label is not None:
        x = x + _row(w["context_input"], label)
    x, after = lstm(w, "lstm", x, state[:layers])
    if outputs is not None:
        x = attended(w, x, outputs)
    if "projection" in w:
        x = x @ w["projection"]
    return w["embedding"] @ x + w["output_bias"], after


def zeros(settings):
    return [(np.zeros(settings.hidden), np.zeros(settings.hidden))] * settings.layers


def start(arrays, settings, label):
    """The state that a label, or a context vector [C], sets before the first word."""
    z = _row(arrays["context_kernel"].astype(np.float64), label) + arrays["context_bias"]
    chunks = np.split(z, 2 * settings.layers)
    return [(np.tanh(h), c) for h, c in zip(chunks[::2], chunks[1::2], strict=True)]


def _row(kernel, label):
    return kernel[label] if np.ndim(label) == 0 else np.asarray(label, np.float64) @ kernel


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


def penalised(logits, text, penalty):
    """Logits after CTRL's repetition penalty. text: ids, None for unknown words."""
    out = np.array(logits, np.float64)
    for word in set(text) - {None}:
        out[word] = out[word] / penalty if out[word] > 0 else out[word] * penalty
    return out


def repeats(text, word, n):
    """Whether a word would complete n words in a row that are already in the text."""
    if len(text) < n - 1:
        return False
    end = [*text[len(text) - n + 1 :], word]
    starts = range(len(text) - n + 1)
    return None not in end and any(text[start : start + n] == end for start in starts)


def ruled(logits, text, *, penalty=1.0, ngram=0):
    """Logits after the penalty and the n-gram rule, which is not applied if no word is left."""
    logits = penalised(logits, text, penalty)
    if not ngram:
        return logits
    bad = [repeats(text, word, ngram) for word in range(len(logits))]
    blocked = np.where(bad, -np.inf, logits)
    return blocked if np.isfinite(blocked).any() else logits


def greedy(model, ids, *, max_words, min_words=0, never=(), ends=(), eos, unknown, **rules):
    """Ids and log-probabilities of a greedy text after a prompt, one word at a time."""
    layers = model.network.layers
    state, token = zeros(model.network), eos
    for word in ids:
        _, state = step(model.arrays, layers, token, state)
        token = word
    text = [None if word == unknown else word for word in ids]
    drawn, nats = [], []
    while len(drawn) < max_words:
        logits, state = step(model.arrays, layers, token, state)
        blocked = [*never, *((eos, *ends) if len(drawn) < min_words else ())]
        allowed = logits.copy()
        allowed[blocked] = -np.inf
        token = int(np.argmax(ruled(allowed, text, **rules)))
        nats.append(log_softmax(logits)[token])
        if token == eos or token in ends:
            break
        drawn.append(token)
        text.append(None if token == unknown else token)
    return drawn, nats


def adaptive_log_probabilities(arrays, settings, features):
    """log p of all words [V] of an adaptive output for features [D]."""
    w = {name: array.astype(np.float64) for name, array in arrays.items()}
    words = settings.cutoffs[0]
    head = np.append(
        w["embedding"][:words] @ features + w["output_bias"][:words],
        w["cluster_kernel"] @ features + w["cluster_bias"],
    )
    head = log_softmax(head)
    parts = [head[:words]]
    for i, (first, end, _) in enumerate(settings.tails):
        logits = w[f"tail_{i}_out"] @ (features @ w[f"tail_{i}_in"]) + w["output_bias"][first:end]
        parts.append(head[words + i] + log_softmax(logits))
    return np.concatenate(parts)


def assert_follows(words, expected):
    """Chi-square and total variation of drawn words against their probabilities."""
    counts, total = np.bincount(words, minlength=len(expected)), len(words)
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    rare = kept & (expected * total < 20)
    observed = np.append(counts[kept & ~rare], counts[rare].sum())
    wanted = np.append(expected[kept & ~rare], expected[rare].sum()) * total
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    if len(wanted) > 1:
        assert stats.chisquare(observed, wanted).pvalue > 1e-4
    variation = 0.5 * np.abs(counts / total - expected).sum()
    assert variation < 2 * np.sqrt(np.sum(expected * (1 - expected)) * len(expected) / total)
