"""Checks training.json: what is read of it later has the types that are expected there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from textmill.model.errors import TextmillError


def check_training(training: dict[str, Any], *, name: str) -> None:
    """Refuses a record that would end in an error where it is used.

    Any field may be absent: older models have fewer, and a network from elsewhere has almost none.

    Args:
        training: what training.json holds.
        name: the file, for the message.

    Raises:
        TextmillError: a field is of another type.
    """
    for problem in _problems(training):
        raise TextmillError(f"{name} is damaged: {problem}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# How a field's type is told, and whether a value has it.
_Kind = tuple[str, Callable[[Any], bool]]
_TEXT: _Kind = ("a text", lambda x: isinstance(x, str))
_TEXT_OR_NONE: _Kind = ("a text or null", lambda x: x is None or isinstance(x, str))
_WHOLE: _Kind = ("a whole number", lambda x: type(x) is int)
_TRUTH: _Kind = ("true or false", lambda x: isinstance(x, bool))
_OBJECT: _Kind = ("an object", lambda x: isinstance(x, dict))
_OBJECT_OR_NONE: _Kind = ("an object or null", lambda x: x is None or isinstance(x, dict))
_OBJECTS: _Kind = (
    "a list of objects",
    lambda x: isinstance(x, list) and all(isinstance(each, dict) for each in x),
)
_FIGURES: _Kind = (
    "an object of numbers and texts",
    lambda x: (
        isinstance(x, dict)
        and all(each is None or isinstance(each, str) or _is_number(each) for each in x.values())
    ),
)
_NAMES: _Kind = (
    "a list of texts",
    lambda x: isinstance(x, list) and all(isinstance(each, str) for each in x),
)
_TEXTS: _Kind = (
    "an object of texts",
    lambda x: isinstance(x, dict) and all(isinstance(each, str) for each in x.values()),
)
_RECORD = {
    "corpus": _OBJECT,
    "init_from": _OBJECT_OR_NONE,
    "imported": _OBJECT,
    "settings": _OBJECT,
    "recipe": _OBJECT,
    "history": _OBJECTS,
    "samples": _OBJECTS,
    "metrics": _FIGURES,
    "versions": _TEXTS,
    "machine": _TEXT,
}
_CORPUS = {
    "sources": _OBJECTS,
    "encoding": _TEXT_OR_NONE,
    "unwrap": _TRUTH,
    "text": _TEXT_OR_NONE,
    "labels": _TEXT_OR_NONE,
    "context": _NAMES,
    "source": _TEXT_OR_NONE,
}
_SOURCE = {"name": _TEXT, "bytes": _WHOLE, "sha256": _TEXT}
_ORIGIN = {"fingerprint": _TEXT, "corpus": _OBJECT_OR_NONE}


def _problems(training: dict[str, Any]) -> Iterator[str]:
    """A line for each field of another type; checked from the outside in."""
    yield from _wrong(training, _RECORD, "")
    yield from _corpus_problems(training.get("corpus"), "corpus.")
    origin = training.get("init_from")
    if origin is not None:
        yield from _wrong(origin, _ORIGIN, "init_from.", whole=True)
        yield from _corpus_problems(origin["corpus"], "init_from.corpus.")


def _corpus_problems(corpus: dict[str, Any] | None, place: str) -> Iterator[str]:
    if corpus is None:
        return
    yield from _wrong(corpus, _CORPUS, place)
    for number, source in enumerate(corpus.get("sources", ())):
        yield from _wrong(source, _SOURCE, f"{place}sources[{number}].", whole=True)


def _wrong(
    record: dict[str, Any], kinds: dict[str, _Kind], place: str, *, whole: bool = False
) -> Iterator[str]:
    """Fields of another type; with `whole`, missing ones, too."""
    for field, (told, fits) in kinds.items():
        if field not in record:
            if whole:
                yield f"{place}{field} is missing"
        elif not fits(record[field]):
            yield f"{place}{field} must be {told}"
