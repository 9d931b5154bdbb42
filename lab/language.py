"""The lab in other languages: what it says is found in a catalogue, such as `lab/bg.po`.

Code says things in English and knows of no language. Where a text is shown, `say` looks for the
message that it is made of, and gives the translation with the same values. The language is that of
`--language` or of the variable LAB_LANGUAGE. `python -m lab.language` brings the catalogues up to
date with the sources; `lab/messages.py` knows which texts are messages.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from textmill.model.errors import TextmillError

LAB = Path(__file__).resolve().parent
ENGLISH = "en"
VARIABLE = "LAB_LANGUAGE"
_chosen: str | None = None  # by an option of the command


def languages() -> list[str]:
    """Gives English and the languages that have a catalogue."""
    return [ENGLISH, *sorted(file.stem for file in LAB.glob("*.po"))]


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--language`, which counts as soon as it is read."""
    kinds = ", ".join(languages())
    default = os.environ.get(VARIABLE) or ENGLISH
    parser.add_argument("--language", type=_option, default=default, metavar="LANGUAGE",
                        help=f"of what is shown: {kinds} (default: {VARIABLE}, or en)")  # fmt: skip


def _option(name: str) -> str:
    try:
        speak(name)
        say("")  # what is missing is told here, in one line
    except TextmillError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return name


def speak(language: str) -> None:
    """Chooses the language of all that follows, over LAB_LANGUAGE.

    Raises:
        TextmillError: there is no catalogue of it.
    """
    global _chosen
    _chosen = _known(language)


def spoken() -> str:
    """Gives the language in use.

    Raises:
        TextmillError: LAB_LANGUAGE names one that has no catalogue.
    """
    return _chosen or _known(os.environ.get(VARIABLE) or ENGLISH)


def _known(language: str) -> str:
    if language not in languages():
        known = ", ".join(languages())
        raise TextmillError(f"the lab has no language '{language}'; it has {known}")
    return language


def say(text: str) -> str:
    """Gives a text in the language in use; as it is, if that is English or has no such message."""
    language = spoken()
    return text if language == ENGLISH else catalogue(language).say(text)


def read(language: str) -> Any:
    """Reads a catalogue, a `polib.POFile`.

    Raises:
        TextmillError: polib is not installed.
    """
    try:
        import polib
    except ImportError:
        raise TextmillError(
            "another language needs polib, which is not installed: pip install 'textmill[lab]'"
        ) from None
    return polib.pofile(str(LAB / f"{language}.po"), wrapwidth=100)


@functools.cache
def catalogue(language: str) -> Catalogue:
    """Gives the translations of what the lab's code says."""
    from lab.messages import SPEAKING

    return Catalogue(
        {
            entry.msgid: entry.msgstr
            for entry in read(language)
            if entry.translated() and any(file in SPEAKING for file, _ in entry.occurrences)
        }
    )


# -- messages --------------------------------------------------------------------------------------

_LONGEST = 2000  # characters that a message with its values may have: matching takes time
# An error in a student's code, as it is told, and two hints as one.
_JOINTS = ("{type}: {message}", "{first}; {second}")
_NUMBER = re.compile(r".*:[^:]*[defgn%]\}", re.DOTALL)
_BRACES = re.compile(r"\{\{|\}\}|(\{(?:[^{}]|\{[^{}]*\})+\})")


@functools.cache
def _functions() -> frozenset[str]:
    """Gives the names of the functions of all exercises."""
    from lab.checks import EXERCISES

    return frozenset(each for exercise in EXERCISES.values() for each in exercise.checks)


class Piece(NamedTuple):
    """A part of a message: a text, or a placeholder as it is in the message, with its braces."""

    text: str
    placeholder: bool


def pieces(message: str) -> list[Piece]:
    """Cuts a message into texts and placeholders; `{{` in it stands for a brace."""
    found, place = [], 0
    for match in _BRACES.finditer(message):
        text = message[place : match.start()] + ("" if match[1] else match[0][0])
        found.append(Piece(text, False))
        if match[1]:
            found.append(Piece(match[1], True))
        place = match.end()
    found.append(Piece(message[place:], False))
    return [piece for piece in found if piece.text]


def placeholders(message: str) -> list[str]:
    """Gives a message's placeholders, in alphabetical order."""
    return sorted(piece.text for piece in pieces(message) if piece.placeholder)


@dataclass(frozen=True)
class _Pattern:
    """A message with placeholders, which stand for any text."""

    form: re.Pattern[str]
    names: tuple[str, ...]
    literal: int  # characters that are not in placeholders
    translation: tuple[Piece, ...]

    @classmethod
    def of(cls, message: str, translation: str) -> _Pattern:
        parts = pieces(message)
        form = "".join(_form(part) for part in parts)
        return cls(
            re.compile(form, re.DOTALL),
            tuple(part.text for part in parts if part.placeholder),
            sum(len(part.text) for part in parts if not part.placeholder),
            tuple(pieces(translation)),
        )


def _form(piece: Piece) -> str:
    """Writes what a piece matches; a placeholder that formats a number, numbers only."""
    if not piece.placeholder:
        return re.escape(piece.text)
    return r"( *[-+\d.,einfa%]+)" if _NUMBER.fullmatch(piece.text) else "(.*?)"


class Catalogue:
    """Translations, by message.

    Args:
        messages: translations by messages.
    """

    def __init__(self, messages: Mapping[str, str]):
        self._patterns = [_Pattern.of(*each) for each in messages.items() if placeholders(each[0])]
        self._patterns += [_Pattern.of(joint, joint) for joint in _JOINTS]
        self._whole = {
            "".join(piece.text for piece in pieces(message)): "".join(
                piece.text for piece in pieces(translation)
            )
            for message, translation in messages.items()
            if not placeholders(message)
        }
        self._said: dict[str, tuple[int, str]] = {}

    def say(self, text: str) -> str:
        """Translates a text.

        Of several messages that fit, that counts which explains most of the characters; the values
        of its placeholders are translated in the same way. A text that no message fits stays.
        """
        return self._translated(text)[1]

    def _translated(self, text: str) -> tuple[int, str]:
        """Gives the number of characters that messages explain, and the translation."""
        if text in self._whole:
            return len(text), self._whole[text]
        if len(text) > _LONGEST:
            return 0, text
        if text not in self._said:
            self._said[text] = best = (0, text)  # also stops at a message of one placeholder only
            for pattern in self._patterns:
                if match := pattern.form.fullmatch(text):
                    explained, values = pattern.literal, dict[str, list[str]]()
                    for name, value in zip(pattern.names, match.groups(), strict=True):
                        # A function that the student writes keeps its name: `perplexity`.
                        name_only = value in _functions()
                        count, told = (0, value) if name_only else self._translated(value)
                        explained += count
                        values.setdefault(name, []).append(told)
                    if explained > best[0]:
                        best = explained, _filled(pattern.translation, values)
            self._said[text] = best
        return self._said[text]


def _filled(translation: Sequence[Piece], values: dict[str, list[str]]) -> str:
    left = {name: iter(each) for name, each in values.items()}
    return "".join(next(left[text]) if placeholder else text for text, placeholder in translation)


# -- for translators -------------------------------------------------------------------------------


def update(language: str, *, drop: bool = False) -> tuple[int, int, list[str]]:
    """Brings a catalogue up to date with the sources; translations stay.

    What is no longer in the sources is marked so (`#~`); `drop` takes it out.

    Returns:
        The number of messages, of those that are gone, and the messages without a translation.
    """
    import polib

    from lab.messages import all_messages

    file = read(language)
    known = {entry.msgid: entry for entry in file}
    messages = all_messages()
    found = polib.POFile(wrapwidth=100)
    found.header = file.header
    found.metadata = file.metadata or {
        "Language": language, "MIME-Version": "1.0", "Content-Transfer-Encoding": "8bit",
        "Content-Type": "text/plain; charset=UTF-8",
    }  # fmt: skip
    for message, sources in messages.items():
        entry = known.pop(message, None) or polib.POEntry(msgid=message)
        entry.occurrences, entry.obsolete = [(source, "") for source in sources], False
        found.append(entry)
    gone = [entry for entry in known.values() if entry.msgstr and not drop]
    for entry in gone:
        entry.occurrences, entry.obsolete = [], True
        found.append(entry)
    found.save(str(LAB / f"{language}.po"))
    catalogue.cache_clear()
    missing = [entry.msgid for entry in found if not entry.obsolete and not entry.translated()]
    return len(messages), len(gone), missing


def exercises(language: str) -> Path:
    """Gives the file of exercises in a language, as students begin with it."""
    return LAB / ("exercises.py" if language == ENGLISH else f"exercises.{language}.py")


def exercises_in(language: str, text: str) -> str:
    """Writes exercises in a language; the code stays."""
    from lab.messages import of_exercises, translated

    return translated(text, of_exercises(text), translations(language))


def translations(language: str, *, of: str = "") -> dict[str, str]:
    """Gives the translation of each message that has one; `of` names a source, else it is all."""
    return {
        entry.msgid: entry.msgstr
        for entry in read(language)
        if entry.translated() and (not of or (of, "") in entry.occurrences)
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Brings catalogues up to date, or takes the exercises; 1 if something is left to translate."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.language",
        description="For translators: brings the catalogues lab/*.po up to date with the sources, "
        "and says what is not translated yet.",
    )
    parser.add_argument("what", nargs="?", choices=["exercises"], metavar="exercises",
                        help="for students: lab/exercises.py in --language")  # fmt: skip
    parser.add_argument("--drop", action="store_true",
                        help="take out of the catalogues what the sources lack")  # fmt: skip
    add_option(parser)
    args = parser.parse_args(argv)
    from lab.starter import starter, take_exercises

    try:
        if args.what:
            print(take_exercises(spoken()))
            return 0
        starter(ENGLISH)  # what catalogues are made from
        left = [
            _updated(language, drop=args.drop) for language in languages() if language != ENGLISH
        ]
    except TextmillError as error:
        parser.exit(1, f"lab.language: error: {say(str(error))}\n")
    return int(any(left))


def _updated(language: str, *, drop: bool) -> int:
    """Updates one catalogue and the exercises made with it; says what is left to be translated."""
    count, gone, missing = update(language, drop=drop)
    for message in missing:
        print(f"{language}: to be translated: {message!r}")
    print(f"{language}: {count} messages, {len(missing)} to be translated, {gone} gone")
    text = exercises(ENGLISH).read_text("utf-8")
    exercises(language).write_text(exercises_in(language, text), encoding="utf-8")
    return len(missing) + gone


if __name__ == "__main__":
    sys.exit(main())
