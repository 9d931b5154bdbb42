"""The network that exercises 5 and 7 get, and checks of how they use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.checks.expect import Random, equal, plain, true


class Walk:
    """A network whose logits depend on all words so far; it records its calls."""

    def __init__(self, random: Random, size: int):
        self.mix = random.normal(size=(size, 6))
        self.turn = np.linalg.qr(random.normal(size=(6, 6)))[0] * 0.9
        self.out = random.normal(size=(6, size)) * 2
        self.fed: list[int] = []
        self.states: list[Any] = []
        self.reruns: list[list[int]] = []

    def after(self, word: int, h: np.ndarray | None) -> np.ndarray:
        """Gives the state after a word."""
        before = np.zeros(6) if h is None else h
        return np.tanh(self.turn @ before + self.mix[int(word)])

    def step(self, word: int, state: Any) -> tuple[np.ndarray, Any]:
        """Makes a step, as a student calls it."""
        self.fed.append(int(word))
        self.states.append(state)
        h = self.after(word, state)
        return h @ self.out, h

    def run(self, words: Sequence[int]) -> np.ndarray:
        """Reads all words from the beginning, as a student calls it."""
        self.reruns.append([int(word) for word in words])
        return self.logits(words)

    def logits(self, words: Sequence[int]) -> np.ndarray:
        """Gives logits [T, V] without recording the call."""
        h, found = None, []
        for word in words:
            h = self.after(word, h)
            found.append(h @ self.out)
        return np.array(found)


def word_list(name: str, received: Any) -> list[int]:
    """Expects a list or an array of words; gives a list."""
    found = plain(received)
    true(
        f"{name}: what it returns",
        isinstance(found, list) and all(isinstance(word, int) for word in found),
        expected="a list of words, which are whole numbers",
        received=received,
        hint="collect the words in a list, and return it",
    )
    return list(found)


def read_once(name: str, walk: Walk, prompt: list[int], drawn: list[int]) -> None:
    """Expects that each word went through once, with the state after the word before it."""
    expected = prompt + drawn[:-1]
    received = walk.fed[: len(expected)] if len(walk.fed) == len(expected) + 1 else walk.fed
    hint = "every word goes through the network once, in order; only the last drawn need not"
    read, which = len(prompt), "first word" if len(prompt) == 1 else "prompt's last word"
    if walk.fed[: read + 1] == prompt + prompt[-1:] and walk.fed != expected:
        hint = f"the {which} went through twice: take the logits of its first step"
    elif len(walk.fed) > len(expected) + 1:
        hint = (
            f"{len(walk.fed)} steps for {len(expected)} words: some words went through again; keep "
            "the state instead"
        )
    equal(f"{name}: words that went through the network", received, expected, hint)
    for i, state in enumerate(walk.states):
        before = walk.states[0] if i == 0 else walk.after(walk.fed[i - 1], walk.states[i - 1])
        right = state is None if i == 0 else state is not None and np.array_equal(state, before)
        true(
            f"{name}: the state given with word {i + 1}",
            bool(right),
            expected="None" if i == 0 else "the state that the step before returned",
            received="None" if state is None else "another state",
            hint="a step returns (logits, state): give that state to the next step",
        )
