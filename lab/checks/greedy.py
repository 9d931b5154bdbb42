"""Exercise 5: the most probable words, and the cycle they end in."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from lab.checks.expect import Random, Wrong, equal, plain, true
from lab.checks.walk import Walk, read_once, word_list


def greedy(ex: Any, random: Random) -> None:
    """Checks with some networks, and with no words."""
    earlier: list[int] = []
    for _ in range(4):
        walk, first = Walk(random, 9), int(random.integers(9))
        expected = [first]
        for _ in range(12):
            expected.append(int(np.argmax(walk.logits(expected)[-1])))
        received = word_list("greedy", ex.greedy(walk.step, first, 12))
        if received[:1] == [first] and received[1:] == expected[1 : len(received)]:
            equal("greedy", received, expected[1:], "`first` is not in the list: only the others")
        hint = "`words` words in all, each one that was found in this call, in a new list"
        if earlier and received[:12] == earlier:
            hint = "the words of an earlier call are in it, too: begin a new list in each call"
        earlier = received
        equal("greedy: how many words", len(received), 12, hint)
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
    for case in cases:
        wanted = _cycle(case)
        try:
            found = ex.find_cycle(case)
        except Wrong as wrong:
            if wanted is None:
                wrong.hint += "; without a cycle at the end it gives None"
            raise
        answer = plain(found)
        pair = isinstance(answer, list) and len(answer) == 2 and all(map(_is_whole, answer))
        true(
            f"find_cycle({case}): what it returns",
            answer is None or pair,
            expected=wanted,
            received=found,
            hint="(start, length), two whole numbers, or None if the list ends in no cycle",
        )
        equal(f"find_cycle({case})", found, wanted, _hint(case, answer, wanted))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _hint(case: list[int], answer: list[int] | None, wanted: tuple[int, int] | None) -> str:
    """Explains a wrong answer."""
    if answer is None:
        return (
            "it ends in a cycle: try every length, the least first; two whole rounds are enough, "
            "and the last may be cut short"
        )
    start, length = answer
    rest = case[max(start, 0) :]
    if wanted is None and (start < 0 or length <= 0):
        return "no cycle at the end: then the answer is None"
    if wanted is not None and answer == [wanted[1], wanted[0]]:
        return "(start, length), in this order"
    if wanted is not None and length == wanted[1] and start > wanted[0]:
        return "it begins earlier: the first round may begin within a cycle"
    again = length > 0 and all(a == b for a, b in zip(rest, rest[length:], strict=False))
    whole = again and len(rest) >= 2 * length
    if wanted is not None and not whole and start == wanted[0]:
        others = (start + wanted[1], len(case) - 1, len(case), len(rest) // wanted[1])
        if length in others:
            return "the second number is the length of a round, not an end or a number of rounds"
    if not whole and max(case) > 9 and answer == _of_digits(case):
        return "words are compared as whole numbers, not by the digits with which they are written"
    if not again:
        return (
            "from `start` on, up to the end, the list has to repeat itself in order, every "
            "`length` words"
        )
    if not whole:
        return "two whole rounds are needed up to the end, else None: once is no repetition"
    if wanted is not None and length > wanted[1]:
        return "a shorter cycle is in the same words: the least length counts"
    return "try every length, the least first, and go back from the end as far as it repeats"


def _of_digits(case: list[int]) -> list[int] | None:
    """Finds the cycle of the digits instead of the words."""
    match = re.search(r"(.+?)\1+$", "".join(map(str, case)))
    return [match.start(), len(match[1])] if match else None


def _cycle(words: list[int]) -> tuple[int, int] | None:
    """Finds the cycle by trying every length and every start."""
    for length in range(1, len(words) + 1):
        for start in range(len(words) - 2 * length + 1):
            rest = words[start:]
            if all(a == b for a, b in zip(rest, rest[length:], strict=False)):
                return start, length
    return None
