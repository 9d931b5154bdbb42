"""Keeps the first answers that were given in the terminal, in a file."""

from __future__ import annotations

import json
from pathlib import Path

from lab.quiz import LANGUAGES, PARTS, questions
from textmill.model.errors import TextmillError
from textmill.model.small_files import json_object, read_small

_VERSION = 1


class Answers:
    """The first answers of both parts, by names of questions.

    Args:
        file: where they are kept; it need not be there yet.

    Raises:
        TextmillError: the file cannot be read, or holds something else.
    """

    def __init__(self, file: Path):
        self._file = file
        self.first: dict[str, dict[str, int]] = {part: {} for part in PARTS}
        if not file.exists():
            return
        cure = "--forget begins anew"
        found = json_object(read_small(file), name=file, cure=cure)
        if found.get("version") != _VERSION:
            raise TextmillError(f"{file} is of another version of the quiz; {cure}")
        for part in PARTS:
            known = {asked.name for asked in questions(part, LANGUAGES[0])}
            kept = found.get(part)
            if not isinstance(kept, dict) or not all(key in range(4) for key in kept.values()):
                raise TextmillError(f"{file} is damaged: it has no answers of '{part}'; {cure}")
            # A question that is no more, or another now, has no answer.
            self.first[part] = {name: int(key) for name, key in kept.items() if name in known}

    def give(self, part: str, name: str, key: int) -> None:
        """Keeps an answer to a question; one that is not the first changes nothing.

        Raises:
            TextmillError: the file cannot be written.
        """
        if name in self.first[part]:
            return
        self.first[part][name] = key
        part_file = self._file.with_name(self._file.name + ".part")
        try:
            part_file.write_text(json.dumps({"version": _VERSION, **self.first}), encoding="utf-8")
            part_file.replace(self._file)  # whole, or not at all
        except OSError as error:
            raise TextmillError(f"{self._file} cannot be written: {error.strerror}") from None

    def whole(self, part: str) -> bool:
        """Whether all questions of a part are answered."""
        return len(self.first[part]) == len(questions(part, LANGUAGES[0]))
