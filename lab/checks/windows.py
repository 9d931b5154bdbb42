"""Exercise 3: rows side by side, targets one word ahead."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from lab.checks.expect import Random, equal, kind, true


def check(ex: Any, random: Random) -> None:
    """Checks with texts of different words that do not fill a whole number of windows."""
    # W is never B, so that axes in the wrong order are found.
    for length, batch, steps in ((97, 3, 5), (41, 2, 4), (int(random.integers(200, 300)), 3, 7)):
        ids = random.permutation(1000)[:length].astype(np.int32)
        name = f"make_windows of {length} words, B = {batch}, T = {steps}"
        inputs, targets = found = ex.make_windows(ids, batch, steps)
        for each in found:
            true(
                f"{name}: inputs and targets",
                kind(each) == "ndarray of int32",
                expected="two arrays, ndarray of int32",
                received=kind(each),
                hint="slices and reshapes of `ids` are arrays of int32",
            )
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
        hint = "targets[w, b, t] is the word that stands after inputs[w, b, t] in the text"
        if (targets == inputs).all():
            hint = "the targets are the inputs themselves: shift them by one word"
        equal(f"{name}: targets of the first window", targets[0], expected[0], hint)
        equal(f"{name}: targets", targets, expected, hint)
        rows = ids[: row * batch].reshape(batch, row)[:, : count * steps]
        joined = np.concatenate(list(inputs), axis=1)
        hint = (
            "each row b is a piece of the text of its own, and window w + 1 goes on in it where "
            "window w ended: reshape to [B, N / B] first, then cut along the row"
        )
        equal(f"{name}: the inputs put together, row by row", joined, rows, hint)
