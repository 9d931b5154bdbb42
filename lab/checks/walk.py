"""The network that exercises 5 and 7 get, and checks of how they use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lab.checks.expect import Random, equal, kind, plain, true

_MOST_WORDS = 10_000  # in one call, which runs where the student's limits do not hold


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
        return np.asarray(np.tanh(self.turn @ before + self.mix[word]))

    def step(self, word: Any, state: Any) -> tuple[np.ndarray, Any]:
        """Makes a step, as a student calls it."""
        word = self._word(word)
        if state is not None and (not isinstance(state, np.ndarray) or state.shape != (6,)):
            raise TypeError(f"the state is None or what a step returned, not a {kind(state)}")
        self.fed.append(word)
        self.states.append(state)
        h = self.after(word, state)
        return h @ self.out, h

    def run(self, words: Any) -> np.ndarray:
        """Reads all words from the beginning, as a student calls it."""
        found = plain(words)
        if not isinstance(found, list):
            raise TypeError(f"run takes a list of words, not a {kind(words)}")
        if len(found) > _MOST_WORDS:
            raise ValueError(f"{len(found)} words at once: {_MOST_WORDS} are allowed")
        self.reruns.append([self._word(word) for word in found])
        return self.logits(self.reruns[-1])

    def _word(self, word: Any) -> int:
        found = plain(word)
        if not isinstance(found, int) or isinstance(found, bool):
            raise TypeError(f"a word is a whole number, not a {kind(word)}")
        if not 0 <= found < len(self.mix):
            raise IndexError(f"there is no word {found}: V is {len(self.mix)}")
        return found

    def logits(self, words: Sequence[int]) -> np.ndarray:
        """Gives logits [T, V] without recording the call."""
        h, found = None, []
        for word in words:
            h = self.after(word, h)
            found.append(h @ self.out)
        return np.array(found).reshape(len(words), self.out.shape[1])


def word_list(name: str, received: Any) -> list[int]:
    """Expects a list or an array of words; gives a list."""
    found = plain(received)
    true(
        f"{name}: what it returns",
        isinstance(found, list)
        and all(isinstance(word, int) and not isinstance(word, bool) for word in found),
        expected="a list of words, which are whole numbers",
        received=received,
        hint="collect the words, whole numbers as argmax gives them, in a list, and return it",
    )
    return list(found)


def read_once(name: str, walk: Walk, prompt: list[int], drawn: list[int]) -> None:
    """Expects that each word went through once, with the state after the word before it."""
    expected = prompt + drawn[:-1]
    if not drawn and walk.fed == prompt[: len(walk.fed)]:
        return  # nothing is to be drawn, so not all of the prompt has to be read
    received = walk.fed[: len(expected)] if len(walk.fed) == len(expected) + 1 else walk.fed
    hint = "every word goes through the network once, in order; only the last drawn need not"
    read, which = len(prompt), "first word" if len(prompt) == 1 else "prompt's last word"
    if walk.states[:1] and walk.states[0] is not None:
        hint = "the first step's state is None: no state is kept from one call to the next"
        if not np.any(walk.states[0]):
            hint = "the first step's state is None, not zeros: the network knows how it begins"
        true(f"{name}: the state given with word 1", False, expected="None",
             received="a state", hint=hint)  # fmt: skip
    if len(walk.fed) > len(expected) + 2:
        hint = (
            f"{len(walk.fed)} steps for {len(expected)} words: some words went through again; keep "
            "the state instead"
        )
    elif walk.fed[: read + 1] == prompt + prompt[-1:] and len(walk.fed) > len(expected):
        hint = f"the {which} went through twice: take the logits of its first step"
    elif walk.fed[:read] == prompt:
        hint = "after the prompt each drawn word is fed to the next step, every word once, in order"
    equal(f"{name}: words that went through the network", received, expected, hint)
    for i, state in enumerate(walk.states[1:], start=1):
        before = walk.after(walk.fed[i - 1], walk.states[i - 1])
        true(
            f"{name}: the state given with word {i + 1}",
            state is not None and np.array_equal(state, before),
            expected="the state that the step before returned",
            received="None" if state is None else "another state",
            hint="a step returns (logits, state): give that state to the next step",
        )
