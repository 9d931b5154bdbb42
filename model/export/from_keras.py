"""`textmill import`: a network that was trained in plain Keras becomes a model directory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from textmill.model.errors import TextmillError
from textmill.model.network.directory import SavedModel, check_free, load_model, save_model
from textmill.model.pages.model_card import model_card
from textmill.model.settings import LEVELS, MODES, check_choice
from textmill.model.small_files import check_regular, read_small
from textmill.model.text.vocabulary import RESERVED, Vocabulary

# What `textmill evaluate` asks of the record of a training, where nothing is known.
_NO_CORPUS: dict[str, Any] = {
    "sources": [],
    "encoding": None,
    "unwrap": True,
    "text": None,
    "labels": None,
}

Words = str | os.PathLike[str] | Sequence[str] | Vocabulary | SavedModel


def save_from_keras(
    network: Any,
    *,
    vocabulary: Words,
    out: str | os.PathLike[str],
    labels: Sequence[str] | None = None,
    mode: str | None = None,
    level: str | None = None,
) -> SavedModel:
    """Makes a model directory of a Keras model of textmill's shape, and of its words.

    Args:
        network: a `keras.Model`, or the path of a `.keras` file, which is opened in safe mode.
        vocabulary: a model directory, whose labels, mode and training record are taken, too; a
            `vocabulary.txt` of one; or the words in the order of their ids, the first three being
            `<pad>`, `<unk>` and `<eos>`.
        out: the directory to make.
        labels: names of the labels, in the order of the model's input.
        mode: `stream` or `lines`; None takes the directory's, else `lines`.
        level: what a token is, for a list of words; None means `word`.

    Raises:
        TextmillError: the model has another shape, the vocabulary another size, or `out` is taken.
    """
    check_free(out)
    words, before = _vocabulary(vocabulary, level)
    names = () if before is None else before.labels
    if labels is not None:
        names = _names(labels)
    mode = mode or (before.mode if before is not None else "lines")
    check_choice("mode", mode, MODES)
    from textmill.model.network.keras_model import from_keras_model, open_keras

    if isinstance(network, str | os.PathLike):
        network = open_keras(network)
    settings, arrays = from_keras_model(network, vocabulary=len(words), labels=len(names))
    training = {} if before is None else dict(before.training)
    training["imported"] = {"from": "keras"}
    if before is not None:
        training["imported"]["vocabulary"] = before.fingerprint
    for name in ("metrics", "history", "samples"):  # of the weights before
        training.pop(name, None)
    training.setdefault("corpus", _NO_CORPUS)
    training["metrics"] = {}
    columns = before.columns if before is not None and settings.numbers else ()
    if settings.numbers and not columns:
        raise TextmillError(
            "the Keras model starts its texts from numbers; give the model directory that it came "
            "from, which names their columns, as its vocabulary"
        )
    saved = SavedModel(settings, words, mode, names, arrays, training, columns)
    recipe = "Its weights were trained in Keras and taken over by textmill import"
    name = Path(out).absolute().name
    save_model(out, saved, card=model_card(saved, name=name, recipe=recipe))
    return saved


def _names(labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str) or not all(map(_is_text, labels)):
        raise TextmillError(f"labels must be a list of names. Received: {labels!r}")
    if len(set(labels)) != len(labels):
        raise TextmillError(f"each label must be named once. Received: {list(labels)!r}")
    return tuple(labels)


def _is_text(value: Any) -> bool:
    """Whether it is a text with something in it that UTF-8 can hold."""
    if not isinstance(value, str) or not value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _vocabulary(given: Words, level: str | None) -> tuple[Vocabulary, SavedModel | None]:
    """The vocabulary, and the model that it is of, if it is one's."""
    if isinstance(given, SavedModel):
        return given.vocabulary, given
    if isinstance(given, Vocabulary):
        return given, None
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        if path.is_dir():
            model = load_model(path)
            return model.vocabulary, model
        check_regular(os.fspath(given))
        try:
            data = read_small(path)
        except TextmillError as error:
            raise TextmillError(f"{error}; name a model directory or a vocabulary.txt") from None
        # An editor may have ended the lines in its own way.
        return Vocabulary.from_bytes(data.replace(b"\r\n", b"\n"), name=str(path)), None
    if not isinstance(given, Iterable):
        raise TextmillError(
            "a vocabulary must be a model directory, a vocabulary.txt or a list of words. "
            f"Received: {given!r}"
        )
    words = list(given)
    check_choice("level", level or "word", LEVELS)
    if tuple(words[:3]) != RESERVED:
        raise TextmillError(
            f"a list of words must begin with {', '.join(RESERVED)}. Received: {words[:3]!r}"
        )
    for number, word in enumerate(words):
        if not _is_text(word):
            raise TextmillError(
                f"a word must be a text that is not empty. Received as number {number}: {word!r}"
            )
    if len(set(words)) != len(words):
        raise TextmillError("a word stands in the vocabulary twice; each must stand once")
    return Vocabulary(level=level or "word", words=words, counts=[0] * len(words)), None
