"""Ways to choose words from a network: greedy, beam search, and draws at random.

A step is that of exercise 5: (word, state) to (logits [V], state). A word whose logit is minus
infinity is never chosen, so probabilities are those among the others. Nothing here is random but
by the uniforms that the caller draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Step = Callable[[int, Any], tuple[np.ndarray, Any]]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log softmax(logits), float64 [V]."""
    z = np.asarray(logits, np.float64) - np.max(logits)
    return np.asarray(z - np.log(np.exp(z).sum()))


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """Keeps the k largest logits, of equal ones those with the lowest id; others are -inf."""
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    found = np.full(len(logits), -np.inf)
    kept = np.argsort(-np.asarray(logits), kind="stable")[:k]
    found[kept] = logits[kept]
    return found


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """Keeps the fewest most probable words whose probabilities add up to p (Holtzman et al. 2020).

    Of equally probable words those with the lowest id are kept. p is above 0, and at most 1.
    """
    if not 0 < p <= 1:
        raise ValueError(f"p must be above 0 and at most 1, not {p}")
    order = np.argsort(-np.asarray(logits), kind="stable")
    sums = np.cumsum(np.exp(log_softmax(logits))[order])
    # A sum of many floats may end a little below p.
    count = int(np.searchsorted(sums, p - 1e-12)) + 1
    found = np.full(len(logits), -np.inf)
    found[order[:count]] = np.asarray(logits)[order[:count]]
    return found


def write(
    step: Step,
    prompt: Sequence[int],
    uniforms: Sequence[float],
    choose: Callable[[np.ndarray, float], int],
) -> list[int]:
    """Writes a word for each uniform: `choose` takes the logits and the uniform."""
    logits, state = _read(step, prompt)
    found: list[int] = []
    for uniform in uniforms:
        if found:
            logits, state = step(found[-1], state)
        found.append(int(choose(logits, uniform)))
    return found


def beam_search(step: Step, prompt: Sequence[int], words: int, beams: int) -> list[int]:
    """Looks for the most probable continuation of a given length.

    After each word the `beams` most probable texts so far are kept. With one beam this is greedy
    choice; with V ** (words - 1) it finds the most probable continuation of all. Equal ones are
    kept in the order of their ids.
    """
    if beams < 1:
        raise ValueError(f"there must be at least one beam, not {beams}")
    logits, state = _read(step, prompt)
    kept: list[tuple[float, list[int], Any, np.ndarray]] = [(0.0, [], state, logits)]
    for _ in range(words):
        totals = np.array([total + log_softmax(logits) for total, _, _, logits in kept])
        order = np.argsort(-totals.ravel(), kind="stable")[:beams]
        following = []
        for at in order:
            row, word = divmod(int(at), totals.shape[1])
            if totals[row, word] == -np.inf:
                continue
            _, text, state, _ = kept[row]
            following.append((float(totals[row, word]), [*text, word], state))
        last = len(following[0][1]) == words
        kept = [
            (total, text, *((state, np.empty(0)) if last else step(text[-1], state)[::-1]))
            for total, text, state in following
        ]
    return kept[0][1]


def log_probabilities(step: Step, prompt: Sequence[int], words: Sequence[int]) -> np.ndarray:
    """The model's own log p of each word after the prompt, at temperature 1, float64 [N]."""
    logits, state = _read(step, prompt)
    found = []
    for i, word in enumerate(words):
        if i:
            logits, state = step(words[i - 1], state)
        found.append(log_softmax(logits)[word])
    return np.array(found)


def _read(step: Step, prompt: Sequence[int]) -> tuple[np.ndarray, Any]:
    """Reads the prompt, which has at least one word."""
    if not len(prompt):
        raise ValueError("the prompt has no word")
    state = None
    for word in prompt:
        logits, state = step(word, state)
    return logits, state
