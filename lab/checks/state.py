"""Exercise 7: the same text in both ways, with the state carried or all words read again."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.checks.expect import Random, equal
from lab.checks.temperature import softmax
from lab.checks.walk import Walk, read_once, word_list


def check(ex: Any, random: Random) -> None:
    """Checks both ways with the same network and uniforms, at temperature 0 and a high one."""
    ex.sample = _draw  # exercise 6 has a check of its own
    for t in (0.0, 3.0):  # high enough that the most probable words are seldom drawn
        walk = Walk(random, 9)
        prompt = random.integers(0, 9, 4).tolist()
        uniforms = random.random(20).tolist()
        expected = list(prompt)
        for uniform in uniforms:
            expected.append(_draw(walk.logits(expected)[-1], t, uniform))
        drawn = expected[len(prompt) :]
        name = "generate_with_state"
        answer = ex.generate_with_state(walk.step, list(prompt), t, list(uniforms))
        received = _words(name, answer, prompt, len(drawn))
        read_once(name, walk, prompt, received)
        hint = "the logits after the prompt's last word give the first new one"
        equal(name, received, drawn, _not_sampled(walk, prompt, received) if t else hint)
        name = "generate_by_rerunning"
        answer = ex.generate_by_rerunning(walk.run, list(prompt), t, list(uniforms))
        received = _words(name, answer, prompt, len(drawn))
        hint = "the last row of run(prompt + words so far) gives the next word"
        if t and walk.reruns[-1:] == [prompt + received[:-1]]:
            hint = _not_sampled(walk, prompt, received)
        equal(name, received, drawn, hint)
        whole = [expected[: len(prompt) + n] for n in range(len(uniforms))]
        hint = (
            "for each new word all words before it are read, the prompt's too, from the beginning"
        )
        equal(f"{name}: what was read", walk.reruns, whole, hint)


def _draw(logits: np.ndarray, t: float, uniform: float) -> int:
    """Draws a word as `sample` of exercise 6 should."""
    if t == 0:
        return int(np.argmax(logits))
    return int(np.searchsorted(np.cumsum(softmax(np.asarray(logits) / t)), uniform, side="right"))


def _words(name: str, answer: Any, prompt: list[int], count: int) -> list[int]:
    """Expects a list of `count` words."""
    received = word_list(name, answer)
    hint = "one word for each uniform"
    if received[: len(prompt)] == prompt:
        hint = "the prompt is not in the list: only the new words are"
    equal(f"{name}: words", len(received), count, hint)
    return received


def _not_sampled(walk: Walk, prompt: list[int], received: list[int]) -> str:
    """Explains why the words are wrong although the network has read the right words."""
    best = walk.logits(prompt + received[:-1])[len(prompt) - 1 :].argmax(axis=1)
    if received == best.tolist():
        return "always the most probable word: draw it with `sample`, at the temperature given"
    return "each new word is sample(logits, temperature, uniform), the uniforms in their order"
