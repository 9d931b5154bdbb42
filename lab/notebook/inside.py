"""Looks inside a trained network: what each unit does at each word of a text.

`record` reads a text with the student's model and keeps h, c and the gates. `rank` finds the units
that tell a property of the words, such as "inside quotation marks", as Karpathy et al. (2015,
"Visualizing and understanding recurrent networks") did for characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from lab.language import say
from lab.notebook.training import units_of
from lab.notebook.unrolled import Weights, forwards
from lab.sandbox.libraries import name_of
from lab.sandbox.networks import with_weights

TOLERANCE = 1e-3  # between NumPy and the layer's own h, which is computed in float32
STOPS = {"■.", "■!", "■?", "."}
QUOTES = set('"“”„«»‹›')


class NoLstmError(ValueError):
    """The model has no LSTM layer of its library's that its words go through."""


@dataclass(frozen=True)
class Record:
    """What the LSTM did at each word, after it has read it: N words, H units; each [N, H].

    Args:
        x: what the layer read, [N, X].
        h: what it shows.
        c: what it keeps.
        i: the input gate, from 0 to 1.
        f: the forget gate, from 0 to 1.
        g: what the input gate lets in, from -1 to 1.
        o: the output gate, from 0 to 1.
    """

    x: np.ndarray
    h: np.ndarray
    c: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray

    @property
    def numbers(self) -> np.ndarray:
        """The c of all units, then the h of all units, [N, 2 H]."""
        return np.concatenate([self.c, self.h], axis=1)

    def part(self, words: slice) -> Record:
        """Gives the record of some of the words."""
        return Record(**{each.name: getattr(self, each.name)[words] for each in fields(self)})


def number_name(column: int, units: int) -> str:
    """Names a column of `Record.numbers`."""
    kind, unit = "ch"[column // units], column % units
    return say(f"{kind} of unit {unit}")


def find_lstm(model: Any) -> Any:
    """Finds the layer: `keras.layers.LSTM`, or `RNN` around an `LSTMCell`.

    Raises:
        NoLstmError: there is none, several, or one with other activations than an LSTM's.
    """
    import keras

    found = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.RNN) and isinstance(layer.cell, keras.layers.LSTMCell)
    ]
    if len(found) != 1:
        raise NoLstmError(say(f"there are {len(found)} LSTM layers in this model, not one"))
    names = [
        getattr(activation, "__name__", str(activation))
        for activation in (found[0].cell.activation, found[0].cell.recurrent_activation)
    ]
    if names != ["tanh", "sigmoid"]:
        raise NoLstmError(say(f"this LSTM's activations are {names}, not tanh and sigmoid"))
    return found[0]


def weights_of(layer: Any) -> Weights:
    """Gives a layer's weights, in float64."""
    cell = layer.cell
    kernel, recurrent = (
        np.asarray(each, np.float64) for each in (cell.kernel, cell.recurrent_kernel)
    )
    bias = np.zeros(kernel.shape[1]) if cell.bias is None else np.asarray(cell.bias, np.float64)
    return Weights(kernel, recurrent, bias)


@contextmanager
def _overheard(layer: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Keeps what a layer is given and gives, while the block runs; also while it is traced."""
    heard: list[tuple[Any, Any]] = []
    own = layer.call

    def call(sequences: Any, *args: Any, **kwargs: Any) -> Any:
        out = own(sequences, *args, **kwargs)
        heard.append((sequences, out[0] if isinstance(out, list | tuple) else out))
        return out

    layer.call = call
    try:
        yield heard
    finally:
        layer.call = own


def overheard(model: Any, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, Weights]:
    """Reads a text [N] from zeros; gives what the LSTM read [N, X], its h [N, H] and its weights.

    Raises:
        NoLstmError: see `find_lstm`; or the layer was not called once.
    """
    import tensorflow as tf

    layer = find_lstm(model)
    units = units_of(with_weights(model))

    @tf.function(reduce_retracing=True)
    def read(words: Any) -> tuple[Any, Any]:
        state = tf.zeros((1, units))
        with _overheard(layer) as heard:
            model([words, state, state], training=False)
        if len(heard) != 1:
            raise NoLstmError(say(f"the LSTM layer was called {len(heard)} times for one text"))
        return heard[0]

    xs, shown = (np.asarray(each)[0] for each in read(tf.constant(np.asarray(ids)[None])))
    return xs, shown, weights_of(layer)


def record(model: Any, ids: np.ndarray) -> Record:
    """Reads a text from zeros, and computes the gates from the layer's weights in NumPy.

    Args:
        model: the model of exercise 4.
        ids: the text, int [N].

    Raises:
        NoLstmError: see `find_lstm`; or what the layer gives is not what its weights give.
    """
    if name_of(model) == "torch":
        from lab.notebook.torch_layers import overheard as read
    else:
        read = overheard
    xs, shown, weights = read(model, ids)
    h = c = np.zeros(shown.shape[1])
    steps = []
    for x in xs.astype(np.float64):
        steps.append(forwards(x, h, c, weights))
        h, c = steps[-1].h, steps[-1].c
    found = Record(
        xs, *(np.array([getattr(step, name) for step in steps], np.float32) for name in "hcifgo")
    )
    away = float(np.abs(found.h - shown).max())
    if not away <= TOLERANCE:
        raise NoLstmError(say(f"the layer's h is not what its weights give: {away:.2g} apart"))
    return found


# -- Properties of words ---------------------------------------------------------------------------


def inside_quotes(tokens: Sequence[str]) -> np.ndarray:
    """Tells, for each token, whether it is inside quotation marks, bool [N].

    The opening mark is inside, the closing one outside. Languages use the same marks the other way
    round („so“, »so«), so what is before a mark counts, too: one joined to a word closes. Where ‘
    is the most frequent, it opens speech, and the others are quotations within it.
    """
    found, inside = np.zeros(len(tokens), bool), False
    marks = [token.removeprefix("■") for token in tokens]
    single = 2 * marks.count("‘") > sum(mark in QUOTES for mark in marks)
    for t, (mark, token) in enumerate(zip(marks, tokens, strict=True)):
        joined = token.startswith("■")
        if single:
            if mark in ("‘", "’"):
                inside = mark == "‘" and not (inside and joined)
        elif mark == '"':
            inside = not joined
        elif mark in ("“", "«", "‹"):
            inside = not (inside and joined)
        elif mark in ("»", "›"):
            inside = not inside  # in French there may be a space before it
        elif mark in ("„", "”"):
            inside = mark == "„"
        found[t] = inside
    return found


def place_in_sentence(tokens: Sequence[str]) -> np.ndarray:
    """Counts the tokens since the last full stop, question or exclamation mark, int [N].

    The mark itself is the last of its sentence.
    """
    found, place = np.zeros(len(tokens), int), 0
    for t, token in enumerate(tokens):
        found[t] = place
        place = 0 if token in STOPS else place + 1
    return found


def capitalised(tokens: Sequence[str]) -> np.ndarray:
    """Tells names: words with a capital letter that do not begin a sentence or speech, bool [N].

    In German all nouns are among them.
    """
    found, begins = np.zeros(len(tokens), bool), True
    for t, token in enumerate(tokens):
        word = token.removeprefix("■")
        if word[0].isalpha():
            found[t] = word[0].isupper() and not begins and word not in ("I", "I’m", "I'm")
            begins = False
        elif token in STOPS or word in QUOTES or word == "‘":
            begins = True
    return found


# -- Ranking ---------------------------------------------------------------------------------------


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks each column, from 1; equal values share their mean rank. float64, as `values`."""
    found = np.empty(values.shape)
    for column in range(values.shape[1]):
        _, inverse, counts = np.unique(values[:, column], return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        found[:, column] = (last - (counts - 1) / 2)[inverse]
    return found


def share_below(values: np.ndarray) -> np.ndarray:
    """Gives the share of the words at which a value is smaller, float64 [N], as `values`.

    Equal ones count half. It is what a measure by ranks sees, also of a number that uses a small
    part of its range only: c may stay near 15, and h near 0 where the output gate is all but shut.
    """
    return np.asarray((ranks(values[:, None])[:, 0] - 0.5) / len(values))


def auc(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The probability that a true word has a larger value than a false one, for each unit.

    1 and 0 tell the property without fault, 0.5 is chance (the Mann-Whitney statistic).

    Args:
        values: [N, H].
        truth: bool [N], with at least one of each.

    Returns:
        float64 [H].
    """
    true = int(truth.sum())
    false = len(truth) - true
    if not true or not false:
        raise ValueError(say("the property is always or never there"))
    return np.asarray((ranks(values)[truth].sum(axis=0) - true * (true + 1) / 2) / (true * false))


def correlation(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Spearman's correlation of each unit with a number, float64 [H]; 0 for a constant unit."""
    a, b = ranks(values), ranks(np.asarray(numbers, float)[:, None])
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    sizes = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.asarray((a * b).sum(axis=0) / np.where(sizes > 0, sizes, 1.0))


@dataclass(frozen=True)
class Ranked:
    """How well numbers tell a property, the best first.

    Args:
        columns: of the values that were ranked, int [H].
        measure: "AUC" or "correlation".
        chosen: the measure on the words that the order is by, float64 [H].
        held_out: the measure on other words, float64 [H].
    """

    columns: np.ndarray
    measure: str
    chosen: np.ndarray
    held_out: np.ndarray


def rank(values: np.ndarray, truth: np.ndarray, *, split: int) -> Ranked:
    """Ranks columns on the first words of a text, and measures them again on the others.

    The best of many units looks good by chance alone, on the words that it was chosen by.

    Args:
        values: [N, H], such as `Record.numbers`.
        truth: a property, bool [N]; or a number, int or float [N].
        split: number of words that the order is by; the measure on the others is told beside it.

    Raises:
        ValueError: the property is always or never there in one of the parts.
    """
    yes_or_no = truth.dtype == bool
    of = auc if yes_or_no else correlation
    first, second = of(values[:split], truth[:split]), of(values[split:], truth[split:])
    order = np.argsort(-np.abs(first - (0.5 if yes_or_no else 0.0)), kind="stable")
    name = "AUC" if yes_or_no else say("correlation")
    return Ranked(order, name, first[order], second[order])


def shown_part(truth: np.ndarray, begin: int, words: int) -> slice:
    """Chooses `words` words to show, from word `begin` on.

    A property holds at about half of them, if it does so anywhere; of equally good parts this is
    the first. For a number, the part begins with a sentence.
    """
    last = max(begin, len(truth) - words)
    if truth.dtype != bool:
        starts = np.flatnonzero(truth[begin : last + 1] == 0)
        at = begin + (int(starts[0]) if len(starts) else 0)
    else:
        sums = np.concatenate([[0], np.cumsum(truth)])
        places = np.arange(begin, last + 1)
        shares = (sums[np.minimum(places + words, len(truth))] - sums[places]) / words
        at = begin + int(np.abs(shares - 0.5).argmin())
    return slice(at, min(at + words, len(truth)))
