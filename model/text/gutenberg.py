"""Removes what Project Gutenberg puts around a book."""

from __future__ import annotations

import re

# A title may continue on the next line, so the dots match line ends. Some markers lack the space.
_START = re.compile(
    r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG.{0,500}?\*\*\*[^\n]*$",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_END = re.compile(r"^\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG", re.IGNORECASE | re.MULTILINE)
# The form of the 1990s: the header is a licence that ends with this line, and there is no footer.
_SMALL_PRINT = re.compile(r"^\*END\b.{0,3}THE SMALL PRINT!.*\*END\*[ \t]*$", re.MULTILINE)
_END_OF_BOOK = re.compile(r"^[ \t]*End of (?:the |this )?Project Gutenberg", re.I | re.MULTILINE)
_CREDITS = re.compile(
    r"(?:Produced|E-?text prepared|(?:This )?e-?(?:text|book) was (?:produced|prepared|created)"
    r"|Transcribed|Scanned|Prepared|Digitized)\b.{0,80}?\bby\b",
    re.IGNORECASE | re.DOTALL,
)


def strip_gutenberg(text: str) -> str:
    """Removes Project Gutenberg's header, licence and credits; any other text stays as it is."""
    end = _END.search(text)
    if end is None:
        return _strip_book(text)
    book, rest = _strip_book(text[: end.start()], ended=True), text[end.end() :]
    if _START.search(rest):  # several books in one file
        return f"{book}\n\n{strip_gutenberg(rest)}"
    return book


def _strip_book(text: str, *, ended: bool = False) -> str:
    """Removes what stands before a book, and its closing line."""
    # The licence of the 1990s may follow the START marker or replace it.
    starts = [match.end() for match in [_START.search(text)] if match]
    starts += [match.end() for match in _SMALL_PRINT.finditer(text)]
    if not starts and not ended:
        return text
    body = text[max(starts, default=0) :]
    closing = _END_OF_BOOK.search(body, max(0, len(body) - 1000))
    if closing:
        body = body[: closing.start()]
    return _drop_credits(body)


def _drop_credits(body: str) -> str:
    rest = body.lstrip()
    for _ in range(3):
        paragraph, parted, after = rest.partition("\n\n")
        if not parted or not _CREDITS.match(paragraph):
            break
        rest = after.lstrip()
    return rest
