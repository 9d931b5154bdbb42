"""Exercise 5: the most probable words, and the cycle they end in."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.checks.expect import Random, equal
from lab.checks.walk import Walk, read_once, word_list


def check(ex: Any, random: Random) -> None:
    """Checks `greedy` with three networks, and `find_cycle` with texts of three words."""
    for _ in range(3):
        walk, first = Walk(random, 9), int(random.integers(9))
        expected = [first]
        for _ in range(12):
            expected.append(int(np.argmax(walk.logits(expected)[-1])))
        received = word_list("greedy", ex.greedy(walk.step, first, 12))
        read_once("greedy", walk, [first], received)
        hint = "the word of the largest logit, fed to the next step; `first` is not in the list"
        equal("greedy", received, expected[1:], hint)
    equal("greedy of no words", list(ex.greedy(Walk(random, 9).step, 1, 0)), [], "words may be 0")
    cases = [[1, 2, 3, 4, 3, 4, 3], [1, 2, 3], [], [5, 5], [1, 1, 1, 1], [1, 2, 1, 2, 1]]
    for _ in range(60):
        head = random.integers(0, 3, int(random.integers(0, 5))).tolist()
        body = random.integers(0, 3, int(random.integers(1, 5))).tolist()
        cases.append(head + (body * 4)[: int(random.integers(1, 4 * len(body) + 1))])
    for case in cases:
        wanted = _cycle(case)
        found = ex.find_cycle(list(case))
        hint = "try every length, the least first, and go back from the end as far as it repeats"
        if found is not None:
            if wanted is None:
                hint = "two whole rounds are needed: once is no repetition"
            elif found[1] > wanted[1]:
                hint = "a shorter cycle is in the same words: the least length counts"
            elif found[0] > wanted[0]:
                hint = "it begins earlier: the first round may begin within a cycle"
        equal(f"find_cycle({case})", found, wanted, hint)


def _cycle(words: list[int]) -> tuple[int, int] | None:
    """Finds the cycle by trying every length and every start."""
    for length in range(1, len(words) + 1):
        for start in range(len(words) - 2 * length + 1):
            rest = words[start:]
            if all(a == b for a, b in zip(rest, rest[length:], strict=False)):
                return start, length
    return None
