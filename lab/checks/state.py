"""Exercise 7: the same text in both ways, with the state carried or all words read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lab.checks.expect import Random, equal, number, numbers, true
from lab.checks.temperature import draw
from lab.checks.walk import Walk, read_once, word_list


@dataclass
class _Case:
    """A network, a prompt, and what is to be drawn after it."""

    walk: Walk
    prompt: list[int]
    temperature: float
    uniforms: list[float]
    expected: list[int]
    asked: list[float] = field(default_factory=list)  # the temperatures that `sample` was given
    given: list[np.ndarray] = field(default_factory=list)  # and the logits

    def sample(self, logits: Any, temperature: Any, uniform: Any) -> int:
        """Draws a word as `sample` of exercise 6 should."""
        self.asked.append(number(temperature))
        z, t, u = numbers(logits), number(temperature), number(uniform)
        self.given.append(z)
        if z.shape != (9,) or not (t >= 0 and 0 <= u < 1):
            raise ValueError(
                "sample takes logits [V], a temperature of at least 0, 0 <= uniform < 1"
            )
        return draw(z, t, u)

    def text(
        self, temperature: float, pick: Callable[[np.ndarray, float, float], int]
    ) -> list[int]:
        """Gives the words that a way to draw leads to."""
        words = list(self.prompt)
        for uniform in self.uniforms:
            words.append(pick(self.walk.logits(words)[-1], temperature, uniform))
        return words[len(self.prompt) :]


def _cases(random: Random) -> Iterator[_Case]:
    """Gives cases at several temperatures, with short and long prompts."""
    for temperature, length, count in (
        (0.0, 4, 20),
        (float(random.uniform(2, 4)), 1, 20),  # the most probable words are seldom drawn
        (float(random.uniform(0.3, 0.7)), 130, 4),
        (1.0, 70, 12),
        (float(random.uniform(1.3, 2)), 40, 30),
    ):
        walk, prompt = Walk(random, 9), random.integers(0, 9, length).tolist()
        case = _Case(walk, prompt, temperature, random.random(count).tolist(), [])
        case.expected = case.text(temperature, draw)
        yield case
    case = _Case(Walk(random, 9), random.integers(0, 9, 3).tolist(), 1.0, [], [])
    yield case  # no word at all


def generate_with_state(ex: Any, random: Random) -> None:
    """Checks the words, and that each went through the network once."""
    name = "generate_with_state"
    for case in _cases(random):
        ex.lend("sample", case.sample)  # exercise 6 has a check of its own
        answer = ex.generate_with_state(
            case.walk.step, case.prompt, case.temperature, case.uniforms
        )
        received = _words(name, answer, case)
        read_once(name, case.walk, case.prompt, received)
        hint = "the logits after the prompt's last word give the first new one"
        equal(_title(name, case), received, case.expected, _cause(case, received) or hint)
        _temperature(name, case)


def generate_by_rerunning(ex: Any, random: Random) -> None:
    """Checks the words, and that all words before were read for each."""
    name = "generate_by_rerunning"
    for i, case in enumerate(_cases(random)):
        ex.lend("sample", case.sample)
        answer = ex.generate_by_rerunning(
            case.walk.run, case.prompt, case.temperature, case.uniforms
        )
        received = _words(name, answer, case)
        whole = [case.prompt + received[:n] for n in range(len(received))]
        hint = (
            "for each new word all words before it are read, the prompt's too, from the beginning"
        )
        reruns = case.walk.reruns
        if len(reruns) == len(whole) + 1 and reruns[-1] == case.prompt + received:
            reruns = reruns[:-1]  # reading the whole text once more changes nothing
        first = next(
            (n for n, (a, b) in enumerate(zip(reruns, whole, strict=False)) if a != b), None
        )
        if first is not None and reruns[first] == whole[first][-len(reruns[first]) :]:
            few = f"the last {n} words" if (n := len(reruns[first])) > 1 else "the last word"
            hint = f"only {few} of all words before: read all, from the beginning"
        if len(reruns) == len(whole) == len(case.uniforms) and first is None:
            hint = "the last row of run(prompt + words so far) gives the next word"
            equal(_title(name, case), received, case.expected, _cause(case, received) or hint)
        if reruns and reruns[0] != case.prompt[-len(reruns[0]) :]:
            hint = "first only the prompt is read, all of it: keep nothing from earlier calls"
            if reruns[0] == case.prompt[: len(reruns[0])]:
                hint = "all words before the new one are read, the last ones, too"
            elif sorted(reruns[0]) == sorted(case.prompt):
                hint = "all words are read in their order, from the beginning"
        elif i and len(reruns) < len(whole):
            hint += "; keep nothing from earlier calls"
        equal(f"{name}: what was read", reruns, whole, hint)
        _temperature(name, case)


def _temperature(name: str, case: _Case) -> None:
    """Expects that `sample`, if it is used, gets the temperature as it came in."""
    true(
        f"{_title(name, case)}: the temperature that `sample` was given",
        not _other(case),
        expected=case.temperature,
        received=_other(case)[:1],
        hint=_cause(case, case.expected),
    )


def _other(case: _Case) -> list[float]:
    return [t for t in case.asked if not np.isclose(t, case.temperature, rtol=1e-5, atol=1e-9)]


def _title(name: str, case: _Case) -> str:
    return f"{name} at T = {case.temperature:.3g}"


def _words(name: str, answer: Any, case: _Case) -> list[int]:
    """Expects a list of one word for each uniform."""
    received = word_list(name, answer)
    count = len(case.uniforms)
    hint = "one word for each uniform, in a new list: keep nothing from earlier calls"
    if len(received) > count and received[: len(case.prompt)] == case.prompt:
        hint = "the prompt is not in the list: only the new words are"
    elif not count:
        hint = "without uniforms no word is drawn: the list is empty"
    equal(f"{name}: how many words", len(received), count, hint)
    inside = all(0 <= word < 9 for word in received)
    true(f"{name}: words", inside, expected="words from 0 to V - 1", received=received,
         hint="a word is the place of its logit")  # fmt: skip
    return received


def _cause(case: _Case, received: list[int]) -> str:
    """Explains why the words are wrong although the network has read the right words."""
    t = case.temperature
    if other := _other(case):
        return (
            f"`sample` was given the temperature {other[0]:.6g}, not {t:.6g}: give it what came in"
        )
    rows = case.walk.logits(case.prompt + received)
    if not all(any(np.allclose(z, row) for row in rows) for z in case.given):
        return (
            "give `sample` the logits as the network gave them: those after the last word, "
            "the last row of `run`"
        )
    best = case.text(0, draw)
    if t and received == best:
        return "always the most probable word: draw it with `sample`, at the temperature given"
    for hint, wrong in (
        ("the temperature has no effect: give it to `sample`", case.text(1, draw)),
        ("the logits are multiplied by T: divide", case.text(1 / t if t else 1, draw)),
    ):
        if received == wrong != case.expected:
            return hint
    if not t:
        return ""
    return "each new word is sample(logits, temperature, uniform), the uniforms in their order"
