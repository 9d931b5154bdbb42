"""Exercise 2: n-grams, their mixture, perplexity, weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.checks.expect import Random, close, equal, true

Table = dict[tuple[int, ...], Counter[int]]


def check(ex: Any, random: Random) -> None:
    """Checks with a text of 400 words, in which each word depends on the two before it."""
    size = 8
    ids = _markov(random, size, 400)
    for n, table in enumerate(ngram_tables(ids), start=1):
        expected = {key: dict(row) for key, row in table.items()}
        received = {tuple(k): dict(v) for k, v in ex.count_ngrams(list(ids), n).items()}
        hint = "the key is the n - 1 words before; do not forget the last n-gram of the text"
        equal(f"count_ngrams with n = {n}", received, expected, hint)
    _mixture(ex, random, size, ids)
    hint = "exp(-mean(log p)): the mean is of logarithms"
    close("perplexity([1/8, 1/8, 1/8])", ex.perplexity([1 / 8] * 3), 8.0, hint)
    close("perplexity([1/2, 1/8])", ex.perplexity([0.5, 0.125]), 4.0, hint)
    _weights(ex, size, ids)


def _markov(random: Random, size: int, length: int) -> list[int]:
    """Makes a text in which a word depends on the two before it; the last id is rare."""
    table = random.dirichlet(np.full(size - 1, 0.3), (size, size))
    ids = [0, 1]
    for _ in range(length - 2):
        ids.append(int(random.choice(size - 1, p=table[ids[-2], ids[-1]])))
    return ids


def ngram_tables(ids: Sequence[int]) -> list[Table]:
    """Gives the right result of `count_ngrams` for n = 1, 2 and 3."""
    tables = []
    for n in (1, 2, 3):
        table: Table = {}
        for i in range(len(ids) - n + 1):
            table.setdefault(tuple(ids[i : i + n - 1]), Counter())[ids[i + n - 1]] += 1
        tables.append(table)
    return tables


def shares(
    tables: Sequence[Table], context: Sequence[int], word: int, size: int, *, below: bool = True
) -> list[float]:
    """1 / V, p1, p2, p3 of one word.

    Args:
        below: whether the order below stands for one that was never seen, or (wrong) 1 / V.
    """
    found = [1 / size]
    for n, table in enumerate(tables, start=1):
        row = table.get(tuple(context[len(context) - n + 1 :])) if len(context) >= n - 1 else None
        found.append(row[word] / sum(row.values()) if row else found[-1 if below else 0])
    return found


def _mixture(ex: Any, random: Random, size: int, ids: list[int]) -> None:
    tables, own = ngram_tables(ids), ngram_tables(ids)  # the first may be changed by the answer
    weights = random.dirichlet(np.ones(4))

    def mixture(context: list[int], *, below: bool) -> list[float]:
        parts = [shares(own, context, word, size, below=below) for word in range(size)]
        return [float(np.dot(weights, each)) for each in parts]

    seen, rare = ids[50:52], [size - 1, size - 1]  # the second stands nowhere
    for name, context in (
        ("a context that was seen", seen),
        ("a context that was never seen", rare),
        ("a context whose last word was seen", [size - 1, ids[5]]),
        ("a context of one word", ids[7:8]),
        ("no context", []),
        ("a longer context than is needed", ids[40:47]),
    ):
        received = ex.ngram_distribution(tables, list(context), tuple(weights), size)
        total = float(np.sum(received))
        hint = "pn is over the counts after the last n - 1 words; count them by hand for one word"
        uniform = mixture(context, below=False)
        if np.shape(received) == (size,) and np.allclose(received, uniform):
            hint = (
                "where the words before were never seen, pn is p(n-1), the order below, not 1 / V"
            )
        elif total > 1 and not np.isclose(total, 1.0):
            hint = f"they add up to {total:.4f}, not to 1: divide by the sum of the counts"
        elif not np.isclose(total, 1.0):
            hint = (
                f"they add up to {total:.4f}, not to 1: where the words before were never seen, or "
                "are too few, pn is p(n-1)"
            )
        close(f"ngram_distribution after {name}", received, mixture(context, below=True), hint)


def _weights(ex: Any, size: int, ids: list[int]) -> None:
    train, valid = ids[:280], ids[280:]
    tables = ngram_tables(train)
    parts = np.array(
        [shares(tables, valid[i - 2 : i], valid[i], size) for i in range(2, len(valid))]
    )

    def score(weights: Any) -> float:
        return float(np.exp(-np.mean(np.log(parts @ np.asarray(weights, np.float64)))))

    best = np.full(4, 0.25)
    for _ in range(2000):
        best = (best * parts / (parts @ best)[:, None]).mean(axis=0)
    received = ex.tune_weights(tables, list(valid), size)
    true(
        "tune_weights",
        len(received) == 4 and np.isclose(sum(received), 1) and min(received) >= 0,
        expected="four numbers of at least 0 that add up to 1",
        received=received,
        hint="after each round divide by the number of words, so that the shares add up to 1",
    )
    true(
        "tune_weights: perplexity of the validation text",
        score(received) <= 1.005 * score(best),
        expected=f"{score(best):.4f}, with {np.round(best, 3).tolist()}",
        received=f"{score(received):.4f}, with {np.round(received, 3).tolist()}",
        hint="look at the probabilities of the validation text's words, and go on until the "
        "weights no longer change (some 50 rounds)",
    )
