"""`textmill books`: a book of Project Gutenberg, or the text every Python carries, as a file."""

from __future__ import annotations

from dataclasses import dataclass

from textmill.model.errors import TextmillError, UsageError
from textmill.model.text.books import gutenberg
from textmill.model.text.corpus import built_in_corpus, read_corpus
from textmill.pipeline.files.filesystem import read, write_once


@dataclass(frozen=True)
class Book:
    """A book that was written to a file: its path, the first of its text, its paragraphs, words."""

    path: str
    beginning: str
    paragraphs: int
    words: int


def save_book(*, number: int | None = None, built_in: bool = False, out: str | None) -> Book:
    """Writes a book to a file that `textmill train` reads.

    Args:
        number: of Project Gutenberg. built_in: Python's language reference. One of the two.
        out: the file; None means `gutenberg-NUMBER.txt` or `built-in.txt`.

    Raises:
        TextmillError: the book cannot be had, or the file is there already.
    """
    if (number is None) == (not built_in):
        raise UsageError("give one of --gutenberg N and --built-in")
    if number is None:
        out, texts = out or "built-in.txt", built_in_corpus().texts
        data = "".join(f"{text}\n\n" for text in texts).encode()
    else:
        file = str(gutenberg(number))
        out, texts = out or f"gutenberg-{number}.txt", read_corpus([file], mode="stream").texts
        data = read(file)
    if not write_once(out, data):
        raise TextmillError(f"{out} already exists; name another file with --out")
    words = sum(len(text.split()) for text in texts)
    return Book(out, " ".join(texts)[:60].rsplit(" ", 1)[0], len(texts), words)
