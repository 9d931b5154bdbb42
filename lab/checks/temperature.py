"""Exercise 6: the sampler against softmax(logits / T)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lab.checks.expect import Random, Wrong, equal, show, true, whole

_DRAWS = 1000


def sample(ex: Any, random: Random) -> None:
    """Checks shares of many words, the words themselves, then extreme inputs."""
    # The flattest first, because it shows most mistakes; then as cold as 0.005, then hot.
    for t in (
        float(random.uniform(1.5, 1.9)),
        float(random.uniform(0.3, 0.5)),
        1.0,
        float(random.uniform(0.05, 0.09)),
        float(random.uniform(0.004, 0.009)),
        float(random.uniform(20, 90)),
    ):
        # Where it is cold, logits are close together, so that no word is sure.
        logits = random.normal(size=12) * 1.2 * min(t, 1.0)
        _shares(ex, logits, t, random.random(_DRAWS))
    _zero(ex, random)
    _large(ex, random)
    _impossible(ex, random)
    _last(ex, random)


_LAST = (
    "the last sum may be a little below `uniform`: then it is the last word that can be drawn; "
    "scale `uniform` by the last sum"
)


def _draws(
    ex: Any, logits: np.ndarray, t: float, uniforms: np.ndarray, hint: str = _LAST
) -> np.ndarray:
    """Calls `sample` once for each uniform; the hint is for a word that there is not."""
    answers = ex.many("sample", [[logits, t, float(u)] for u in uniforms])
    what, number = f"sample at T = {t:.3g}", "the word is a whole number: int(...)"
    found = np.array([whole(what, answer, number) for answer in answers])
    beyond = found[(found < 0) | (found >= len(logits))]
    true(
        what,
        not len(beyond),
        expected=f"words from 0 to {len(logits) - 1}",
        received=beyond[:1],
        hint=hint,
    )
    return found


def _shares(ex: Any, logits: np.ndarray, t: float, uniforms: np.ndarray) -> None:
    found = _draws(ex, logits, t, uniforms)
    equal(
        f"sample at T = {t:.3g}: the same uniforms again",
        _draws(ex, logits, t, uniforms[:50]),
        found[:50],
        "draw nothing of your own: the word follows from `uniform`",
    )
    equal(
        f"sample at T = {t:.3g}: the same uniforms from the last to the first",
        _draws(ex, logits, t, uniforms[:50][::-1])[::-1],
        found[:50],
        "the word follows from logits, T and `uniform` alone: keep nothing from earlier calls",
    )
    p = softmax(logits / t)
    order = np.cumsum(p)
    sure = np.abs(order[:, None] - uniforms).min(axis=0) > 1e-6
    expected = np.searchsorted(order, uniforms, side="right")
    hint = (
        "p is softmax(logits / T): exp over the sum of all exp; the word is the first at which the "
        "sum of the p is above `uniform`"
    )
    cause = _cause(found, logits, t, uniforms)
    if len(set(found.tolist())) == 1:
        cause = (
            "always the same word: at temperature 0 only, not at a small one, it is the likeliest"
        )
    counts = np.bincount(found, minlength=12)
    true(
        f"sample at T = {t:.3g}: shares of {len(uniforms)} words (chi-square)",
        not unlikely(counts, p),
        expected=p,
        received=counts / len(uniforms),
        hint=cause or hint,
    )
    equal(
        f"sample at T = {t:.3g}: words in order of their ids",
        found[sure][:500],
        expected[sure][:500],
        cause or f"go through the words as they stand; {hint}",
    )
    true(f"sample at T = {t:.3g}", bool((found[sure] == expected[sure]).all()),
         expected="the words of softmax(logits / T)", received="a few others",
         hint=cause or "use the temperature as it is given, and float64")  # fmt: skip


def _cause(found: np.ndarray, logits: np.ndarray, t: float, uniforms: np.ndarray) -> str:
    """Gives a hint if a common mistake gives exactly these words; else an empty string."""
    p = softmax(logits)
    after = "the temperature comes after the softmax: softmax(logits / T)"
    mistakes = [(softmax(logits / t), "")]
    if t != 1:
        mistakes += [
            (softmax(logits * t), "the logits are multiplied by T: divide"),
            (p, "the temperature has no effect: softmax(logits / T)"),
            (p / t, after),
            (softmax(p / t), after),
        ]
    near = [t + more for more in (1e-4, 0.001, 0.01, 0.1, 1)] + [t * t, t**0.5]
    cut = [max(t, least) for least in (0.01, 0.05, 0.1, 0.5)] + [
        min(t, most) for most in (1, 2, 10)
    ]
    for other in near + cut:
        told = (
            f"these are the words of T = {other:.6g}, not {t:.6g}: softmax(logits / T), T as it is"
        )
        mistakes.append((softmax(logits / other), told))
    mistakes += [
        (softmax(-logits / t), "the sign: softmax grows with the logit"),
        (softmax(logits * math.log(2) / t), "softmax has e, not 2: np.exp"),
    ]
    best, told = 0.0, ""
    for mistake, hint in mistakes:
        drawn = np.searchsorted(np.cumsum(mistake), uniforms, side="right")
        inside = drawn < len(p)  # above the last sum, any word is possible
        share = float(np.mean(found[inside] == drawn[inside])) if inside.any() else 0.0
        if share > max(best, 0.99):
            best, told = share, hint
    return told


def _zero(ex: Any, random: Random) -> None:
    for _ in range(3):
        logits = random.permutation(7) * float(random.uniform(0.1, 3)) - 4
        hint = "at temperature 0, without dividing by it, take the most probable word"
        found = _draws(ex, logits, 0.0, random.random(8), hint)
        equal("sample at temperature 0", found, [int(np.argmax(logits))] * 8, hint)


def _large(ex: Any, random: Random) -> None:
    hint = "exp(1000) is infinite: take the largest logit off all of them first"
    low = (
        "logits of -1000 are numbers like others: take the largest logit off all of them first; "
        "only minus infinity is never drawn, and it stays what it is"
    )
    for shift in (1000.0, -1000.0, float(random.uniform(2e4, 1e5))):
        logits = np.array([0.0, -1.0, -5000.0]) + shift
        order = random.permutation(3)
        logits = logits[order]
        sums = np.cumsum(softmax(logits))
        uniforms = np.array([u for u in random.random(8) if np.abs(sums - u).min() > 1e-6])
        found = _draws(ex, logits, 1.0, uniforms, hint)
        expected = np.searchsorted(sums, uniforms, side="right")
        what = f"sample with logits {show(logits)}"
        equal(what, found, expected, low if shift < 0 else hint)


def _impossible(ex: Any, random: Random) -> None:
    hint = "a word of probability 0 is never drawn: the sum must be above `uniform`, not equal"
    for t in (1.0, 0.0, float(random.uniform(0.5, 2))):
        blocked = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf]) + float(random.integers(5))
        uniforms = np.array([0.0, 0.499999, 0.5, 0.9999999])
        nothing = "exp of minus infinity is 0: a word of probability 0, which is never drawn"
        found = _draws(ex, blocked, t, uniforms, nothing)
        equal(f"sample with logits of -inf, T = {t:.3g}, uniforms {uniforms.tolist()}",
              found, [1, 1, 3, 3] if t else [1] * 4, hint)  # fmt: skip


def _last(ex: Any, random: Random) -> None:
    """Takes logits whose sum of probabilities comes out below the largest uniform number."""
    hint = "rounding may leave the last sum below `uniform`: then it is the last word of p above 0"
    largest = float(np.nextafter(1, 0))
    for cut in (0, 2):
        while True:
            logits = random.normal(size=int(random.integers(20, 60)))
            if cut:
                logits[-cut:] = -np.inf
            if max(_last_sums(logits)) < largest:
                break
        try:
            answer = _draws(ex, logits, 1.0, np.array([largest]))
        except Wrong as wrong:
            if hint not in wrong.hint:
                wrong.hint += f"; {hint}"
            raise
        last = len(logits) - cut - 1
        equal(f"sample with uniform {largest!r}, word {last} the last of a probability above 0",
              answer, [last], hint)  # fmt: skip
    logits = random.normal(size=400).astype(np.float32)
    logits[[0, 1, -1, -2]] = -np.inf
    uniforms = np.array([0.0, 1e-12, 1 - 1e-7, largest])
    found = _draws(ex, logits, 1.0, uniforms)
    true(f"sample of 400 words in float32, uniforms {uniforms.tolist()}",
         bool(np.isfinite(logits[found]).all()), expected="words of a probability above 0",
         received=found, hint=hint)  # fmt: skip


def _last_sums(logits: np.ndarray) -> tuple[float, float]:
    """Adds up the probabilities as NumPy does, and word by word, which is rounded otherwise."""
    weights = [math.exp(z - max(logits)) for z in logits]
    total, last = sum(weights), 0.0
    for weight in weights:
        last += weight / total
    return float(np.cumsum(softmax(logits))[-1]), last


def draw(logits: np.ndarray, t: float, uniform: float) -> int:
    """Draws a word as `sample` should."""
    if t == 0:
        return int(np.argmax(logits))
    sums = np.cumsum(softmax(np.asarray(logits, np.float64) / t))
    last = int(np.flatnonzero(np.isfinite(logits))[-1])
    return min(int(np.searchsorted(sums, uniform, side="right")), last)


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
