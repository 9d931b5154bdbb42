"""Exercise 0: counts and coverage."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from lab.checks.expect import Random, close, equal, number


def check(ex: Any, random: Random) -> None:
    """Checks with words drawn by Zipf's law, with two cases and punctuation."""
    names = [f"w{i}" for i in range(30)] + ["The", "the", ",", "."]
    p = 1 / np.arange(1, len(names) + 1)
    tokens = [names[i] for i in random.choice(len(names), 500, p=p / p.sum())]
    tokens += ["The", "the", "the", ","]
    table = Counter(tokens)
    counts = ex.count_words(list(tokens))
    lower = sum(token.lower() == "the" for token in tokens)
    if isinstance(counts, dict) and counts.get("the") == lower:
        hint = "`The` and `the` are two tokens: do not change the case"
    else:
        hint = "every token counts, punctuation too, each time it stands there"
    equal("count_words", dict(counts), dict(table), hint)
    for size in (1, 5, len(table), len(table) + 10):
        most = sorted(table.values(), reverse=True)[:size]
        received = ex.coverage(table.copy(), size)
        hint = "add up the counts of the most frequent words, over the sum of all counts"
        if size < len(table) and np.isclose(number(received), size / len(table)):
            hint = "that is the share of the vocabulary: count how much of the text they make up"
        close(f"coverage with size {size}", received, sum(most) / len(tokens), hint)
