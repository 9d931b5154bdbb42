"""What the playground asks of a model, and a model directory's answers.

Another network can be played, too, if it fulfils `Played`: one with words and states of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from textmill.model.generation.check_settings import check_settings
from textmill.model.generation.generator import Generator
from textmill.model.generation.next_word import NextWord
from textmill.model.network.directory import SavedModel
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.text.tokens import surface
from textmill.model.text.vocabulary import EOS, UNKNOWN
from textmill.pipeline.prompts.reading import AS_USUAL

# Characters that no tokenizer of textmill keeps.
_DROPPED = "\x00\ufeff\u200b"


@dataclass(frozen=True)
class Written:
    """A continuation.

    Attributes:
        text: it stands behind the prompt as it is.
        words: how many words were drawn.
        finish: `length`, or another word if the model drew the end.
    """

    text: str
    words: int
    finish: str


class Played(Protocol):
    """A model that can be played.

    Its methods raise `TextmillError` for what a user can mend; what else goes wrong is answered
    with status 500. They are called by one thread at a time.

    Attributes:
        about: its sizes, in a few words.
        labels: names of its labels; empty if it has none.
        starts: fields of a row that its texts start from; empty if a prompt is enough.
        unknown: what happens to unknown words, one sentence.
        said: translations, by language and by message, of what the model says; a part of a message
            in braces stands for any text.
    """

    about: str
    labels: tuple[str, ...]
    starts: tuple[str, ...]
    unknown: str
    said: Mapping[str, Mapping[str, str]]

    def check(self, settings: GenerationSettings) -> None:
        """Refuses settings that the model cannot follow."""

    def probabilities(self, start: Prompt, settings: GenerationSettings) -> np.ndarray:
        """Gives p of each next word after the text of `start`, float64 [V].

        The first temperature and the filters of the settings are used.
        """

    def write(self, start: Prompt, settings: GenerationSettings) -> Written:
        """Writes a continuation.

        Its first n words are the same for each `max_words` of at least n.
        """

    def shown(self, word: int) -> str:
        """Gives a word as a person reads it."""

    def ids(self, text: str) -> list[int]:
        """Gives a text's words."""

    def decode(self, ids: Sequence[int]) -> str:
        """Gives the text of words, without a space before the first."""

    def read(self, text: str) -> list[tuple[str, bool]]:
        """Gives a text's words as they stand in it, and whether the model knows each."""


class TrainedModel:
    """A model directory's model, as `Played`.

    Args:
        model: from `load_model`.
    """

    said: Mapping[str, Mapping[str, str]] = {}  # the page has its texts

    def __init__(self, model: SavedModel):
        self.model = model
        sizes, char = model.network, model.vocabulary.level == "char"
        self.about = f"{sizes.vocabulary:,} words, {sizes.layers} x {sizes.hidden} units"
        self.labels = tuple(model.labels)
        self.starts = tuple(AS_USUAL.of_model(model).starts)
        what, rare = ("character", "all rare ones") if char else ("word", "all rare words")
        self.unknown = (
            f"The model reads each unknown {what} as <unk>, which stands for {rare}, so it cannot "
            "tell them apart. Your text stays as you typed it."
        )
        self._generator = Generator(model)
        self.reader = NextWord(model)

    def check(self, settings: GenerationSettings) -> None:
        """See `Played`."""
        check_settings(self.model, settings)

    def probabilities(self, start: Prompt, settings: GenerationSettings) -> np.ndarray:
        """See `Played`."""
        return self.reader.probabilities(start.text, settings, start.context, start.source)

    def write(self, start: Prompt, settings: GenerationSettings) -> Written:
        """See `Played`."""
        # The id decides the random numbers, which must not depend on the row.
        own = replace(start, id=start.text, settings=None)
        (found,) = self._generator.generate([own], settings)
        return Written(found.text, found.words, found.finish)

    def shown(self, word: int) -> str:
        """See `Played`."""
        return "(end)" if word == EOS else self.decode([word]).strip()

    def ids(self, text: str) -> list[int]:
        """See `Played`."""
        (ids, _), *_ = self.model.vocabulary.encode_prompts([text])
        return list(map(int, ids))

    def decode(self, ids: Sequence[int]) -> str:
        """See `Played`."""
        return self.model.vocabulary.decode(list(ids))

    def read(self, text: str) -> list[tuple[str, bool]]:
        """See `Played`."""
        vocabulary = self.model.vocabulary
        (tokens,) = vocabulary.tokens([text])
        if vocabulary.level == "word":
            tokens = [surface(token) for token in tokens]
        return [(t, i != UNKNOWN) for t, i in zip(tokens, self.ids(text), strict=True)]


def marked(text: str, read: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Cuts a text into runs that the model knows and words that it does not know.

    The runs, joined, are the text in NFC. If the words do not stand in it one after the other, as
    a tokenizer changed them, the runs are the words with spaces between them.

    Args:
        text: the text.
        read: its words, see `Played.read`.

    Returns:
        Pieces of text, and whether each is known.
    """
    text = unicodedata.normalize("NFC", text)
    for character in _DROPPED:
        text = text.replace(character, "")
    runs: list[tuple[str, bool]] = []

    def add(piece: str, known: bool) -> None:
        if known and runs and runs[-1][1]:
            piece = runs.pop()[0] + piece
        if piece:
            runs.append((piece, known))

    place = 0
    for word, known in read:
        at = text.find(word, place)
        if at < 0 or text[place:at].strip():
            spaced = [each for word, known in read for each in ((word, known), (" ", True))]
            runs.clear()
            for piece, known in spaced[:-1]:
                add(piece, known)
            return runs
        add(text[place:at], True)
        add(word, known)
        place = at + len(word)
    add(text[place:], True)
    return runs
