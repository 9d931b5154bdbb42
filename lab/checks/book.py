"""Exercise 0: counts and coverage."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from lab.checks.expect import Random, close, equal, kind, number, true


def _tokens(random: Random) -> list[str]:
    """Draws words by Zipf's law, with two cases and punctuation."""
    names = [f"w{i}" for i in random.permutation(30)] + ["The", "the", ",", "."]
    p = 1 / np.arange(1, len(names) + 1)
    return [names[i] for i in random.choice(len(names), 500, p=p / p.sum())] + [
        "The", "the", "the", ",", "once"
    ]  # fmt: skip


def count_words(ex: Any, random: Random) -> None:
    """Checks with words of two cases, and punctuation."""
    for _ in range(3):
        tokens = _tokens(random)
        table = Counter(tokens)
        counts = ex.count_words(tokens)
        hint = "every token counts, punctuation too, each time it stands there"
        if isinstance(counts, dict):
            folded: Counter[str] = Counter()
            for token, count in counts.items():
                folded[str(token).lower()] += count if isinstance(count, int) else 0
            lower = Counter(token.lower() for token in tokens)
            if dict(counts) != dict(table) and folded == lower:
                hint = "`The` and `the` are two tokens: do not change the case"
            equal("count_words", dict(counts), dict(table), hint)
        true(
            "count_words: what it returns",
            isinstance(counts, Counter),
            expected="a Counter",
            received=kind(counts),
            hint="`collections.Counter` counts, and knows the most common: return one",
        )


def coverage(ex: Any, random: Random) -> None:
    """Checks with none, some and all of the words, and more than there are."""
    for _ in range(3):
        table = Counter(_tokens(random))
        total = sum(table.values())
        some = sorted(random.choice(np.arange(2, len(table)), 3, replace=False).tolist())
        for size in (0, 1, *some, len(table), len(table) + 10):
            most = sorted(table.values(), reverse=True)[:size]
            received = ex.coverage(table, size)
            hint = "add up the counts of the most frequent words, over the sum of all counts"
            if 0 < size < len(table) and np.isclose(number(received), size / len(table)):
                hint = (
                    "that is the share of the vocabulary: count how much of the text they make up"
                )
            elif np.isclose(number(received), sum(most)):
                hint = "that is a number of words: divide it by the length of the text"
            elif np.isclose(number(received), 100 * sum(most) / total):
                hint = "a share is between 0 and 1, not a percentage"
            close(f"coverage with size {size}", received, sum(most) / total, hint)
