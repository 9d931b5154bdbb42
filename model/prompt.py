"""What a text starts from, and what it became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from textmill.model.settings import GenerationSettings


@dataclass(frozen=True)
class Prompt:
    """What a text starts from.

    Attributes:
        id: names the prompt in the run; its random numbers hang on it.
        text: as it came; may be empty.
        settings: of this prompt; None takes the run's. Those of `RUN_WIDE` are always the run's.
        extra: what came with it, carried through to the output.
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
        prompt: what it continues. sample: its number from 1.
        text: the continuation; `prompt.text + text` is correctly spaced. With `echo` it is that.
        label: the one it was made with. temperature: it was drawn at.
        words: drawn tokens, `<eos>` not counted.
        finish: `eos`, `length` or `stop`.
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
