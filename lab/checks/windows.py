"""Exercise 3: rows side by side, targets one word ahead."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from lab.checks.expect import Random, array, equal, true


def make_windows(ex: Any, random: Random) -> None:
    """Checks with texts of different words that mostly do not fill a whole number of windows."""
    for length, batch, steps, dtype in _sizes(random):
        ids = random.permutation(1000)[:length].astype(dtype)
        name = f"make_windows of {length} words, B = {batch}, T = {steps}"
        found = ex.make_windows(ids, batch, steps)
        true(
            f"{name}: what it returns",
            isinstance(found, tuple | list) and len(found) == 2,
            expected="two arrays: inputs, targets",
            received=found,
            hint="two arrays, inputs and targets: end with return inputs, targets",
        )
        hint = "both are arrays of int32: np.asarray(ids, np.int32) is one, and so are its slices"
        inputs, targets = (array(f"{name}: inputs and targets", x, "int32", hint) for x in found)
        row = length // batch
        count = (row - 1) // steps
        hint = (
            f"a row has {length} // {batch} = {row} words; the last one is only a target, so "
            f"{row - 1} // {steps} windows fit"
        )
        if inputs.shape == (batch, count, steps):
            hint = "these are [B, W, T]: swap the first two axes"
        true(
            f"{name}: shapes",
            inputs.shape == targets.shape == (count, batch, steps),
            expected=(count, batch, steps),
            received=(inputs.shape, targets.shape),
            hint=hint,
        )
        after = dict(pairwise(ids.tolist()))
        expected = np.vectorize(lambda word, after=after: after.get(int(word), -1))(inputs)
        before = {b: a for a, b in after.items()}
        hint = (
            "targets[w, b, t] is the word that stands after inputs[w, b, t] in the text, of which "
            "each row b is a piece"
        )
        if (targets == inputs).all():
            hint = "the targets are the inputs themselves: shift them by one word"
        elif (targets == np.vectorize(lambda w, t=before: t.get(int(w), -1))(inputs)).all():
            hint = "inputs and targets are exchanged: the target is the word after the input"
        equal(f"{name}: targets of the first window", targets[0], expected[0], hint)
        equal(f"{name}: targets", targets, expected, hint)
        rows = ids[: row * batch].reshape(batch, row)[:, : count * steps]
        joined = np.concatenate(list(inputs), axis=1)
        hint = (
            f"each row b is a piece of the text of its own, of {length} // {batch} = {row} words; "
            "window w + 1 goes on in it where window w ended: reshape to [B, N // B] first, then "
            "cut along the row"
        )
        equal(f"{name}: the inputs put together, row by row", joined, rows, hint)


def _sizes(random: Random) -> Iterator[tuple[int, int, int, str]]:
    """Draws N, B, T: words left over, rows that N fills, rows whose last word fills a window."""
    for rest, last, dtype in (
        ("some", "some", "int32"), ("none", "some", "int32"), ("some", "none", "int64"),
        ("none", "none", "int32"), ("some", "full", "int32"), ("none", "full", "int64"),
    ):  # fmt: skip
        batch, steps = int(random.integers(2, 6)), int(random.integers(3, 8))
        count = batch + int(
            random.integers(1, 4)
        )  # W is never B: axes in the wrong order are found
        row = (
            count * steps + {"none": 1, "some": int(random.integers(2, steps)), "full": steps}[last]
        )
        words = batch * row + (0 if rest == "none" else int(random.integers(1, batch)))
        yield words, batch, steps, dtype
