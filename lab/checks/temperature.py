"""Exercise 6: the sampler against softmax(logits / T)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lab.checks.expect import Random, equal, true


def check(ex: Any, random: Random) -> None:
    """Checks shares of many words, the words themselves, then extreme inputs."""
    draws = 3000
    for t in (1.7, 0.4, 1.0):  # the flattest first, because it shows most mistakes
        logits = random.normal(size=12) * 1.2
        uniforms = random.random(draws)
        found = np.array([int(ex.sample(logits.copy(), t, u)) for u in uniforms])
        again = np.array([int(ex.sample(logits.copy(), t, u)) for u in uniforms[:50]])
        equal(
            f"sample at T = {t}: the same uniforms again",
            again,
            found[:50],
            "draw nothing of your own: the word follows from `uniform`",
        )
        counts = np.bincount(np.clip(found, 0, 11), minlength=12)
        p = softmax(logits / t)
        hint = "the word is the first at which the sum of the probabilities is above `uniform`"
        if len(set(found.tolist())) == 1:
            hint = "always the same word: the largest logit is taken at temperature 0 only"
        cause = _cause(found, logits, t, uniforms)
        true(
            f"sample at T = {t}: shares of {draws} words (chi-square)",
            not unlikely(counts, p),
            expected=p,
            received=counts / draws,
            hint=cause or hint,
        )
        order = np.cumsum(p)
        sure = np.abs(order[:, None] - uniforms).min(axis=0) > 1e-6
        expected = np.searchsorted(order, uniforms, side="right")
        equal(
            f"sample at T = {t}: words in order of their ids",
            found[sure][:200],
            expected[sure][:200],
            cause or "go through the words as they stand, and take the first sum above `uniform`",
        )
    _edges(ex, random)


def _cause(found: np.ndarray, logits: np.ndarray, t: float, uniforms: np.ndarray) -> str:
    """Gives a hint if a common mistake gives exactly these words; else an empty string."""
    if t == 1:
        return ""
    p = softmax(logits)
    after = "the temperature comes after the softmax: softmax(logits / T)"
    for mistake, hint in (
        (softmax(logits * t), "the logits are multiplied by T: divide"),
        (p, "the temperature has no effect: softmax(logits / T)"),
        (p / t, after),
        (softmax(p / t), after),
    ):
        words = np.searchsorted(np.cumsum(mistake), uniforms, side="right")
        inside = words < len(p)  # above the last sum, any word is possible
        if np.mean(found[inside] == words[inside]) > 0.99:
            return hint
    return ""


def _edges(ex: Any, random: Random) -> None:
    logits = random.normal(size=9)
    best = int(np.argmax(logits))
    for u in (0.0, 0.5, 0.999999):
        received = int(ex.sample(logits.copy(), 0, u))
        equal("sample at T = 0", received, best, "at temperature 0 the largest logit wins")
    received = int(ex.sample(logits.copy(), 1e-3, 0.5))
    equal("sample at T = 0.001", received, best, "take the largest logit off before exp")
    large = np.array([1000.0, 999.0, -1000.0])
    with np.errstate(all="ignore"):
        both = [int(ex.sample(large.copy(), 1.0, u)) for u in (0.1, 0.9)]
    hint = "exp(1000) is infinite: take the largest logit off all of them first"
    equal("sample with logits of 1,000", both, [0, 1], hint)
    blocked = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf])
    for u, wanted in ((0.0, 1), (0.499999, 1), (0.5, 3), (0.9999999, 3)):
        received = int(ex.sample(blocked.copy(), 1.0, u))
        hint = "a word of probability 0 is never drawn: the sum must be above `uniform`, not equal"
        equal(f"sample with logits of -inf and uniform {u}", received, wanted, hint)


def softmax(logits: np.ndarray) -> np.ndarray:
    """In float64."""
    weights = np.exp(np.asarray(logits, np.float64) - np.max(logits))
    return np.asarray(weights / weights.sum())


def unlikely(counts: np.ndarray, p: np.ndarray) -> bool:
    """Whether a chi-square test of the counts against p gives less than about one in a million.

    Classes are put together until five are expected in each; the bound is Wilson and Hilferty's
    (1931) approximation of the chi-square distribution.
    """
    order = np.argsort(p)
    expected, seen, total, count = [], [], 0.0, 0.0
    for i in order:
        total, count = total + p[i] * counts.sum(), count + counts[i]
        if total >= 5:
            expected.append(total)
            seen.append(count)
            total = count = 0.0
    if expected:
        expected[-1] += total
        seen[-1] += count
    freedom = max(len(expected) - 1, 1)
    statistic = sum((s - e) ** 2 / e for s, e in zip(seen, expected, strict=True))
    bound = freedom * (1 - 2 / (9 * freedom) + 4.75 * math.sqrt(2 / (9 * freedom))) ** 3
    return statistic > bound
