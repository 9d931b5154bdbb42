"""A prompt and the text generated from it."""

from __future__ import annotations

from collections.abc import Mapping
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
        row: where it stands in the input, for who has to find it again.
    """

    id: str
    text: str
    settings: GenerationSettings | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    row: str = ""


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
    """

    prompt: Prompt
    sample: int
    text: str
    label: str | None
    temperature: float
    words: int
    finish: str
    logprob: float
