"""A prompt and the text generated from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from textmill.model.settings import GenerationSettings


@dataclass(frozen=True)
class Prompt:
    """What a text starts from.

    Attributes:
        id: names the prompt in the run; the random numbers of its texts depend on it.
        text: the prompt's text, unchanged; may be empty.
        settings: settings of this prompt; None takes the run's. Those in `RUN_WIDE` are always
            the run's.
        extra: other fields of the prompt's row, copied to the output.
        row: the prompt's place in the input, so that a person can find it again.
        context: the numbers that its texts start from, [F], for a model trained with `context`.
        source: the text that its texts are written from, for a model trained with `source`.

    Examples:
        >>> textmill.Prompt(id="a", text="The cat").extra
        {}
    """

    id: str
    text: str
    settings: GenerationSettings | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    row: str = ""
    context: Sequence[float] | None = None
    source: str | None = None


@dataclass(frozen=True)
class Generation:
    """One generated text.

    Attributes:
        prompt: the prompt that the text continues.
        sample: the text's number among those of its prompt, from 1.
        text: the continuation; `prompt.text + text` is correctly spaced. With `echo`, the prompt
            is included.
        label: the label that it was made with.
        temperature: the temperature that it was drawn at.
        words: number of drawn tokens, without `<eos>`.
        finish: why the text ended: `eos`, `length` or `stop`.
        logprob: mean natural log-probability of the drawn tokens, `<eos>` or the stop word
            included, under the model itself: temperature 1, no rules, no filters.
        score: what beam search ranked it by: the sum of these log-probabilities, normalised by
            length; None if it was drawn.

    Examples:
        >>> (found,) = textmill.load("alice").generate("The cat", max_words=3, min_words=3)
        >>> found.words, found.finish, found.logprob < 0
        (3, 'length', True)
    """

    prompt: Prompt
    sample: int
    text: str
    label: str | None
    temperature: float
    words: int
    finish: str
    logprob: float
    score: float | None = None

    def record(self) -> dict[str, Any]:
        """Gives one flat row: the prompt's other fields, then `id` and the text's own fields.

        The `id` is as in an output of `textmill generate`: the prompt's id, `#` and the sample.
        """
        return {
            **self.prompt.extra,
            "id": f"{self.prompt.id}#{self.sample}",
            "prompt": self.prompt.text,
            "text": self.text,
            **({} if self.label is None else {"label": self.label}),
            "temperature": self.temperature,
            "words": self.words,
            "finish": self.finish,
            "logprob": self.logprob,
            **({} if self.score is None else {"score": self.score}),
        }


@dataclass(frozen=True)
class Score:
    """How probable a model finds a text, from its first word to its end.

    Attributes:
        text: the text, unchanged.
        label: the label that it was scored with, or None.
        words: number of tokens of the text, without its end.
        unknown: number of tokens that are not in the vocabulary; each counts as the word `<unk>`.
        logprob: natural log-probability of all tokens and of the end.
        perplexity: exp(-logprob / (words + 1)), as `textmill evaluate` defines it.
        tokens: each token with its natural log-probability, the last one `<eos>`; None unless
            `tokens=True` was given.

    Examples:
        >>> (found,) = textmill.load("alice").score("The cat sat.", tokens=True)
        >>> found.words, len(found.tokens)
        (4, 5)
    """

    text: str
    label: str | None
    words: int
    unknown: int
    logprob: float
    perplexity: float
    tokens: tuple[tuple[str, float], ...] | None = None
