"""Exercise 5: the most probable words, and the cycle they end in."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.checks.expect import Random, equal, plain, true
from lab.checks.walk import Walk, read_once, word_list


def greedy(ex: Any, random: Random) -> None:
    """Checks with some networks, and with no words."""
    for _ in range(4):
        walk, first = Walk(random, 9), int(random.integers(9))
        expected = [first]
        for _ in range(12):
            expected.append(int(np.argmax(walk.logits(expected)[-1])))
        received = word_list("greedy", ex.greedy(walk.step, first, 12))
        read_once("greedy", walk, [first], received)
        hint = "the word of the largest logit, fed to the next step; `first` is not in the list"
        equal("greedy", received, expected[1:], hint)
    first = int(random.integers(9))
    none = word_list("greedy", ex.greedy(Walk(random, 9).step, first, 0))
    equal("greedy of no words", none, [], "words may be 0: then the list is empty")


def find_cycle(ex: Any, random: Random) -> None:
    """Checks texts of three words, with and without a cycle at the end."""
    names = random.permutation(100).tolist()
    cases = [[1, 2, 3, 4, 3, 4, 3], [1, 2, 3], [], [5, 5], [1], [1, 1, 1, 1], [1, 2, 1, 2, 1],
             [3, 3, 1, 2], [1, 2, 3, 1, 2]]  # fmt: skip
    cases = [[names[word] for word in case] for case in cases]
    for _ in range(60):
        head = random.integers(0, 3, int(random.integers(0, 5))).tolist()
        body = random.integers(0, 3, int(random.integers(1, 5))).tolist()
        cases.append(head + (body * 4)[: int(random.integers(1, 4 * len(body) + 1))])
    for case, found in zip(cases, ex.many("find_cycle", [[case] for case in cases]), strict=True):
        wanted = _cycle(case)
        answer = plain(found)
        hint = "try every length, the least first, and go back from the end as far as it repeats"
        true(
            f"find_cycle({case}): what it returns",
            answer is None or (isinstance(answer, list) and len(answer) == 2),
            expected=wanted,
            received=found,
            hint="(start, length), or None if the list ends in no cycle",
        )
        if answer is not None:
            if wanted is None:
                hint = "two whole rounds are needed: once is no repetition"
            elif answer == [wanted[1], wanted[0]]:
                hint = "the start comes first, then the length"
            elif answer[1] > wanted[1]:
                hint = "a shorter cycle is in the same words: the least length counts"
            elif len(case) - answer[0] < 2 * answer[1] or len(case) - answer[0] < 2 * answer[1]:
                hint = "two whole rounds are needed: once is no repetition"
            elif answer[0] > wanted[0]:
                hint = "it begins earlier: the first round may begin within a cycle"
        elif wanted is not None:
            hint = (
                "the list ends in a cycle; two whole rounds are enough, the last may be cut short"
            )
        equal(f"find_cycle({case})", found, wanted, hint)


def _cycle(words: list[int]) -> tuple[int, int] | None:
    """Finds the cycle by trying every length and every start."""
    for length in range(1, len(words) + 1):
        for start in range(len(words) - 2 * length + 1):
            rest = words[start:]
            if all(a == b for a, b in zip(rest, rest[length:], strict=False)):
                return start, length
    return None
