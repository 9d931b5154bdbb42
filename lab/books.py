"""A book to train on: a file, a number of Project Gutenberg's, or the text every Python carries."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from lab.language import add_option, say
from textmill.model.errors import TextmillError
from textmill.model.text.books import gutenberg
from textmill.model.text.corpus import built_in_corpus, read_corpus


def read_book(
    book: str | os.PathLike[str] | int | None = None,
    *,
    encoding: str | None = None,
    folders: Sequence[str | os.PathLike[str]] = (),
) -> str:
    """Reads a book, without Project Gutenberg's additions; each paragraph is a line.

    Args:
        book: a path; a number or `gutenberg:NUMBER`, which is downloaded once; or nothing, for
            Python's language reference.
        encoding: encoding of the file; None means UTF-8, or what a byte-order mark says.
        folders: folders to look in if the path does not exist in the current folder.

    Raises:
        TextmillError: there is no such book, or it is not a text.
    """
    if book is None or book == "":
        return "\n".join(built_in_corpus().texts)
    try:
        return _read(book, encoding=encoding, folders=folders)
    except TextmillError as error:
        raise TextmillError(say(str(error))) from None


def _read(
    book: str | os.PathLike[str] | int, *, encoding: str | None,
    folders: Sequence[str | os.PathLike[str]],
) -> str:  # fmt: skip
    number = re.fullmatch(r"(?:gutenberg:)?(\d{1,7})", str(book).strip())
    if number and not Path(str(book)).exists():
        book = gutenberg(int(number[1]))
    places = [Path(folder, str(book)) for folder in (Path.cwd(), *folders)]
    file = next((place for place in places if place.exists()), None)
    if file is None:
        tried = " or ".join(dict.fromkeys(str(place.parent) for place in places))
        raise TextmillError(f"there is no file '{book}' (looked in {tried}); give its whole path")
    return "\n".join(read_corpus([str(file)], mode="stream", encoding=encoding).texts)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m lab.books [BOOK]`: has a look at a book, and downloads it where it must."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.books", description="Downloads a book, or looks at one."
    )
    parser.add_argument("book", nargs="?", help="a path; nothing for the built-in text")
    parser.add_argument("--gutenberg", type=int, metavar="N", help="a book of Project Gutenberg")
    parser.add_argument("--encoding", help="of the file, such as latin-1 (default: utf-8)")
    add_option(parser)
    args = parser.parse_args(argv)
    try:
        text = read_book(
            args.book if args.gutenberg is None else args.gutenberg, encoding=args.encoding
        )
    except TextmillError as error:
        parser.exit(1, say(f"lab.books: error: {error}\n"))
    print(f"{text[:200].strip()} ...\n")
    print(say(f"{len(text.split()):,} words between spaces"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
