"""The options of the public API, by the names of the settings that they become."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypedDict, TypeVar

from textmill.model.errors import UsageError

Path = str | os.PathLike[str]  # a place, as Python users name one
Settings = TypeVar("Settings")


class TrainOptions(TypedDict, total=False):
    """Options of `textmill.train`; see `CorpusSettings`, `VocabularySettings`, `TrainSettings`."""

    mode: str
    encoding: str | None
    unwrap: bool
    text: str | None
    label: str | None
    context: str | Sequence[str]
    source: str | None
    level: str
    min_count: int | None
    max_size: int
    batch: int
    steps: int
    learning_rate: float | None
    schedule: str
    dropout: float | None
    weight_decay: float
    clip: float
    patience: int
    enough: float
    enough_every: int | None
    weight_drop: float | None
    word_dropout: float | None
    activation_penalty: float | None
    slowness_penalty: float | None
    average: bool
    precision: str
    checkpoint_minutes: float
    seed: int


class GenerationOptions(TypedDict, total=False):
    """What is drawn for a prompt; see `GenerationSettings`."""

    samples: int
    temperature: float | Sequence[float]
    top_k: int
    top_p: float
    min_p: float
    min_words: int
    max_words: int
    repetition_penalty: float
    no_repeat_ngram: int
    beams: int
    length_penalty: float
    state_noise: float
    stop: Sequence[str]
    ban: Sequence[str]
    label: str | None
    unknown: bool
    echo: bool
    seed: int
    precision: str


class AugmentOptions(TypedDict, total=False):
    """Options of `textmill.augment`; see `AugmentSettings` and `FilterSettings`."""

    encoding: str | None
    per_example: int | None
    per_label: int | None
    balance: bool
    candidates: int
    methods: Sequence[str]
    temperature: float | Sequence[float]
    level: str
    minutes: float
    epochs: int | None
    unlabelled: Sequence[str]
    init_from: str | None
    folds: int
    probabilities: bool
    seed: int
    min_confidence: float
    max_copied: int | None
    max_copied_share: float
    max_similarity: float
    max_loops: float
    length_slack: float
    max_perplexity: float
    max_unseen: float


def settings_from(kind: type[Settings], options: Mapping[str, Any], **given: Any) -> Settings:
    """Makes settings from those options that have the names of their fields.

    `temperature`, one or several, is the field `temperatures`.

    Args:
        kind: a dataclass.
        options: options by name.
        given: fields that do not come from the options.

    Raises:
        SettingError: a value is not allowed.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    named = {"temperatures" if name == "temperature" else name: options[name] for name in options}
    values = {name: value for name, value in named.items() if name in names}
    return kind(**{**values, **given})


def refuse_unknown(function: Callable[..., Any], options: Mapping[str, Any], kind: type) -> None:
    """Refuses options that a function does not have.

    Args:
        function: the function.
        options: the options that were given.
        kind: a TypedDict of the options that it has besides its own parameters.

    Raises:
        UsageError: it does not have an option; the message names the nearest one.
    """
    known = [*inspect.signature(function).parameters, *kind.__annotations__]
    for name in options:
        if name not in kind.__annotations__:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"see help({function.__qualname__})"
            raise UsageError(f"{function.__name__} has no option '{name}'; {hint}")
