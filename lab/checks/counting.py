"""Exercise 2: n-grams, their mixture, perplexity, weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lab.checks.expect import Random, array, close, equal, kind, number, numbers, true

Table = dict[tuple[int, ...], Counter[int]]


def count_ngrams(ex: Any, random: Random) -> None:
    """Checks each order, also with a text that is too short for it."""
    for n, length in ((1, 60), (2, 60), (3, 60), (4, 60), (3, 2), (2, 1)):
        ids = random.integers(0, 5, length).tolist()
        table = ngram_tables(ids, n)
        received = ex.count_ngrams(ids, n)
        what = f"count_ngrams with n = {n}, {length} words"
        hint = "a dictionary from tuples of n - 1 words to Counters"
        true(
            what, isinstance(received, dict), expected="a dictionary", received=received, hint=hint
        )
        keys = set(map(type, received)) - {tuple}
        true(what, not keys, expected="keys that are tuples", received=f"{list(received)[:3]}",
             hint="for n = 1 the key is (), for n = 2 it is (word,)")  # fmt: skip
        hint = (
            "every n-gram of the text counts once where it stands, from the first to the last, "
            "`<unk>` (0), too: the key is its first n - 1 words"
        )
        if received == ngram_tables(ids[:-1], n):
            hint = "do not forget the last n-gram of the text"
        elif received == ngram_tables(ids[1:], n):
            hint = "do not forget the first n-gram of the text"
        elif received == ngram_tables(ids + ids[: n - 1], n):
            hint = "the text ends with its last word: no n-gram goes on at its beginning"
        equal(what, received, table, hint)
        for row in received.values():
            true(
                what,
                isinstance(row, Counter),
                expected="a Counter for each key",
                received=kind(row),
                hint="a Counter gives 0 for a word that never came",
            )


def ngram_tables(ids: Sequence[int], n: int) -> Table:
    """Gives the right result of `count_ngrams`."""
    table: Table = {}
    for i in range(len(ids) - n + 1):
        table.setdefault(tuple(ids[i : i + n - 1]), Counter())[ids[i + n - 1]] += 1
    return table


def three_tables(ids: Sequence[int]) -> list[Table]:
    """Gives the tables for n = 1, 2 and 3."""
    return [ngram_tables(ids, n) for n in (1, 2, 3)]


def _markov(random: Random, size: int, length: int, even: float) -> list[int]:
    """Makes a text in which a word depends on the two before it; the last id is rare."""
    table = random.dirichlet(np.full(size - 1, even), (size, size))
    ids = [0, 1]
    for _ in range(length - 2):
        ids.append(int(random.choice(size - 1, p=table[ids[-2], ids[-1]])))
    return ids


def shares(
    tables: Sequence[Table],
    context: Sequence[int],
    word: int,
    size: int,
    *,
    unseen: str = "below",
    before: Sequence[int] = (0, 1, 2),
    added: int = 0,
) -> list[float]:
    """1 / V, p1, p2, p3 of one word, or what a mistake makes of them.

    Args:
        tables: for n = 1, 2 and 3.
        context: the words before.
        word: the word.
        size: V.
        unseen: what stands for an order that was never seen: `below`, or one of the mistakes
            `uniform` (1 / V), `first` (p1) and `nothing` (0).
        before: how many words of the context each order looks at.
        added: to each count.
    """
    found = [1 / size]
    for table, words in zip(tables, before, strict=True):
        row = table.get(tuple(context[len(context) - words :])) if len(context) >= words else None
        if row:
            found.append((row[word] + added) / (sum(row.values()) + added * size))
        else:
            others = {"uniform": found[0], "first": found[:2][-1], "nothing": 0.0}
            found.append(others.get(unseen, found[-1]))
    return found


def _mixture(tables: Sequence[Table], context: Sequence[int], weights: Sequence[float], size: int,
             **how: Any) -> np.ndarray:  # fmt: skip
    parts = [shares(tables, context, word, size, **how) for word in range(size)]
    return np.array(parts) @ np.asarray(weights)


def ngram_distribution(ex: Any, random: Random) -> None:
    """Checks contexts that were seen, in part or not at all, and others than two words."""
    size = int(random.integers(7, 12))
    ids = _markov(random, size, 400, 0.3)
    tables = three_tables(ids)
    rare = [size - 1, size - 1]  # they stand nowhere
    places = random.integers(10, 390, 5).tolist()
    for name, context in (
        ("a context that was seen", ids[places[0] : places[0] + 2]),
        ("a context that was never seen", rare),
        ("a context whose last word was seen", [size - 1, ids[places[1]]]),
        ("a context of one word", ids[places[2] : places[2] + 1]),
        ("a context of one word, never seen", rare[:1]),
        ("no context", []),
        ("a longer context than is needed", ids[places[3] : places[3] + 7]),
        ("a longer context than is needed", ids[places[4] : places[4] + 3]),
        ("a context with other weights than before", ids[places[0] : places[0] + 2]),
        ("a context with other tables than before", ids[places[0] : places[0] + 2]),
    ):
        if "other tables" in name:
            tables = three_tables(ids[::-1])
        weights = tuple(random.dirichlet(np.ones(4)).tolist())
        what = f"ngram_distribution after {name}"
        received = ex.ngram_distribution(tables, context, weights, size)
        hint = "an array [V] of float64, as exact as Python's numbers: begin with np.zeros(size)"
        array(what, received, "float64", hint)
        found, expected = numbers(received), _mixture(tables, context, weights, size)
        total = float(np.sum(found))
        hint = "pn is over the counts after the last n - 1 words; count them by hand for one word"
        if found.shape == (size,) and not np.allclose(found, expected, rtol=1e-4):
            hint = _fault(tables, context, weights, size, found) or hint
            if total > 1 and not np.isclose(total, 1.0):
                hint = f"they add up to {total:.4f}, not to 1: divide by the sum of the counts"
            elif not np.isclose(total, 1.0):
                hint = (
                    f"they add up to {total:.4f}, not to 1: where the words before were never seen "
                    "or are too few, pn is p(n-1)"
                )
        elif found.shape != (size,):
            hint = "one number for each word of the vocabulary, V in all"
        close(what, received, expected, hint)


def _fault(tables: Sequence[Table], context: Sequence[int], weights: Sequence[float], size: int,
           found: np.ndarray) -> str:  # fmt: skip
    """Gives the hint of a mistake that leads to just these numbers; else an empty string."""
    below = "where the words before were never seen, pn is p(n-1), the order below"
    nothing = _mixture(tables, context, weights, size, unseen="nothing")
    last = (
        "pn looks at the last n - 1 words of the context, and its table has tuples of n - 1 words"
    )
    for hint, wrong in (
        (f"{below}, not 1 / V", _mixture(tables, context, weights, size, unseen="uniform")),
        (f"{below}, not p1", _mixture(tables, context, weights, size, unseen="first")),
        (f"{below}, not left out", nothing / nothing.sum()),
        (last, _mixture(tables, context, weights, size, before=(1, 2, 3))),
        (last, _mixture(tables, context, weights, size, before=(0, 0, 1))),
        ("pn is a count over the sum of the counts, with nothing added to them",
         _mixture(tables, context, weights, size, added=1)),
        ("weights[0] is that of 1 / V, weights[3] that of p3: not the other way round",
         _mixture(tables, context, weights[::-1], size)),
        ("pn looks at the last n - 1 words of the context, not at the first",
         _mixture(tables, context[:2], weights, size)),
        ("the words before are in the order of the text",
         _mixture(tables, context[::-1], weights, size)),
    ):  # fmt: skip
        if np.allclose(found, wrong, rtol=1e-4):
            return hint
    parts = np.array([shares(tables, context, word, size) for word in range(size)])
    fitted = np.linalg.lstsq(parts, found, rcond=None)[0]
    if np.allclose(parts @ fitted, found, rtol=1e-4):
        return "a mixture of all orders: weights[0] / V + weights[1] p1 + weights[2] p2 + ..."
    if not all(
        tuple(context[len(context) - n :]) in tables[n] for n in (1, 2) if len(context) >= n
    ) or (len(context) < 2):
        return (
            "where the words before were never seen, or are too few, pn is p(n-1), the order below"
        )
    return ""


def perplexity(ex: Any, random: Random) -> None:
    """Checks short texts, a certain one, and one whose probability is 0 in floating-point."""
    cases = [random.uniform(0.01, 1, int(n)) for n in random.integers(2, 9, 4)]
    cases += [np.full(int(random.integers(2, 6)), 1 / random.integers(2, 9)), np.ones(3)]
    cases += [np.repeat(random.uniform(0.01, 1, 3), random.permutation([1, 2, 5]))]
    cases += [random.uniform(0.0001, 0.01, 5000), 10.0 ** random.uniform(-12, -9, 60)]
    for p in cases:
        expected = float(np.exp(-np.mean(np.log(p))))
        received = ex.perplexity(p.tolist())
        found = number(received)
        hint = "exp(-mean(log p)): the mean is of logarithms"
        if found == np.inf or np.isnan(found):
            hint = (
                "the product of many probabilities is 0 in floating-point: add logarithms instead"
            )
        elif np.isclose(found, np.exp(-np.median(np.log(p)))):
            hint = "that is a median: take the mean of the logarithms"
        elif np.isclose(found, -np.mean(np.log(p))):
            hint = "that is the mean of -log p: the perplexity is exp of it"
        elif np.isclose(found, 2 ** -np.mean(np.log(p))) or np.isclose(
            found, np.exp(-np.mean(np.log2(p)))
        ):
            hint = "exp goes with the natural logarithm, 2 ** with log2: do not mix them"
        elif np.isclose(found * expected, 1):
            hint = "the sign: it is the mean of -log p"
        shown = np.array2string(p, precision=4, threshold=6, separator=", ")
        close(f"perplexity({shown})", received, expected, hint)


def tune_weights(ex: Any, random: Random) -> None:
    """Checks how probable the weights make validation texts with much that was never seen."""
    for name, right in (
        ("ngram_distribution", _mixture),
        ("perplexity", lambda p: float(np.exp(-np.mean(np.log(p))))),
    ):
        if name not in ex.passed:
            ex.lend(name, right)
    for text in _tuning(random):
        received = ex.tune_weights(text.tables, text.valid, text.size)
        found = numbers(received)
        true(
            "tune_weights",
            found.shape == (4,) and bool(np.isclose(found.sum(), 1)) and bool(found.min() >= 0),
            expected="four numbers of at least 0 that add up to 1",
            received=received,
            hint="after each round divide by the number of words, so that the shares add up to 1",
        )
        score = float(_perplexity(text.shares, found))
        true(
            f"tune_weights: perplexity of a validation text of {len(text.valid)} words",
            score <= _TOLERANCE * text.best,
            expected=f"{text.best:.6g}, with {np.round(text.tuned, 3).tolist()}",
            received=f"{score:.6g}, with {np.round(found, 3).tolist()}",
            hint=text.hint(found),
        )


_TOLERANCE = 1.01
_SEEN = (
    "every word of the validation text counts; where the words before it were never seen, pn is "
    "p(n-1), as in `ngram_distribution`"
)
_ROUNDS = (
    "look at the probabilities of the validation text's words, and go on until the weights no "
    "longer change (some 50 rounds)"
)


class _Tuning:
    """A text to tune on: tables, the words after them, and where mistakes lead.

    Args:
        random: draws the text.
        size: V.
        even: how even the words are that follow two words; the less, the surer is the next one.
        first: words that the validation text begins with, before those that were drawn.
        count: how many of these there are.
    """

    def __init__(self, random: Random, size: int, even: float, first: list[int], count: int):
        ids = _markov(random, size, 350 + count, even)
        self.size, self.tables, self.valid = size, three_tables(ids[:350]), first + ids[350:]
        self.shares = self.parts()
        self.tuned = _tuned(self.shares)
        self.best = float(_perplexity(self.shares, self.tuned))

    def parts(self, *, begin: int = 2, unseen: str = "below") -> np.ndarray:
        """1 / V, p1, p2, p3 of each word, [N, 4]."""
        valid = self.valid
        return np.array([
            shares(self.tables, valid[max(0, i - 2) : i], valid[i], self.size, unseen=unseen)
            for i in range(begin, len(valid))
        ])  # fmt: skip

    def cost(self, weights: np.ndarray) -> float:
        """The perplexity over the best one."""
        return float(_perplexity(self.shares, weights)) / self.best

    def dear(self, mistakes: str) -> bool:
        """Whether the usual mistakes cost clearly more than the tolerance, and a right way less."""
        if self.cost(_tuned(self.shares, rounds=50)) > 1 + (_TOLERANCE - 1) / 2:
            return False
        if mistakes == "first":
            wrong = [_tuned(self.parts(begin=0))]
        elif mistakes == "unseen":
            wrong = [_tuned(self.parts(unseen=each)) for each in ("nothing", "uniform")]
        else:
            wrong = [
                _by_hard_choice(self.shares),
                min(_grid(), key=self.cost),
                _tuned(self.shares, rounds=3),
            ]
        return min(map(self.cost, wrong)) > 1 + 1.5 * (_TOLERANCE - 1)

    def hint(self, found: np.ndarray) -> str:
        """Gives the hint of the mistake whose weights are the nearest."""
        nothing = self.parts(unseen="nothing")
        if np.allclose(found, 0.25):
            return "these are the weights to begin with: use the new ones in the next round"
        likely = [
            (_ROUNDS, self.tuned),
            (_SEEN, _tuned(nothing)),
            (_SEEN, _tuned(nothing[nothing[:, 3] > 0])),
            (
                "where the words before were never seen, pn is p(n-1), not 1 / V",
                _tuned(self.parts(unseen="uniform")),
            ),
            ("weights[0] is that of 1 / V, weights[3] that of p3", self.tuned[::-1]),
            (
                "the first two words of the validation text only serve as contexts: do not count "
                "their probabilities",
                _tuned(self.parts(begin=0)),
            ),
        ]
        hint, nearest = min(likely, key=lambda each: float(np.abs(each[1] - found).sum()))
        return hint if np.abs(nearest - found).max() < 0.12 else _ROUNDS


def _tuning(random: Random) -> Iterator[_Tuning]:
    """Draws texts on each of which some of the usual mistakes show."""
    for mistakes, size, even, first, count in (
        ("unseen", 30, 0.05, 0, 150),
        ("rounds", 12, 0.3, 0, 150),
        ("first", 30, 0.05, 2, 20),
    ):
        while True:
            # Their first words stand nowhere else, so counting them shows.
            text = _Tuning(random, size, even, [size - 1] * first, count)
            if text.dear(mistakes):
                yield text
                break


def _tuned(parts: np.ndarray, *, rounds: int = 400) -> np.ndarray:
    """Gives the best weights, by expectation-maximisation; equal ones without words."""
    weights = np.full(4, 0.25)
    for _ in range(rounds if len(parts) else 0):
        p = parts @ weights
        weights = (weights * parts / np.where(p > 0, p, 1)[:, None]).mean(axis=0)
    return np.asarray(weights / weights.sum())


def _by_hard_choice(parts: np.ndarray) -> np.ndarray:
    """Gives the weights to which it leads if a word counts for its likeliest order only."""
    weights = np.full(4, 0.25)
    for _ in range(200):
        counts = np.bincount((weights * parts).argmax(axis=1), minlength=4)
        weights = counts / len(parts) + 1e-12
    return weights


def _grid() -> list[np.ndarray]:
    """Gives all weights in steps of a third."""
    thirds = [(a, b, c, 3 - a - b - c) for a in range(4) for b in range(4) for c in range(4)]
    return [np.array(each) / 3 for each in thirds if min(each) >= 0]


def _perplexity(parts: np.ndarray, weights: np.ndarray) -> float:
    with np.errstate(divide="ignore"):
        return float(np.exp(-np.mean(np.log(parts @ weights))))
