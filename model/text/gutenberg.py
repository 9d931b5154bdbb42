"""Removes what Project Gutenberg puts around a book.

The project's files have had many forms since 1991. In newer files, lines of stars mark where the
book begins and ends. Older ones have a licence, the small print: in front of the book until 2001,
behind it from 2002 to 2004.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

DOUBT = (
    "more than half of the text would go as Project Gutenberg's header and licence, so nothing "
    "is removed"
)

_LONGEST_OWN = 40_000  # letters: a licence is at most 20,000, and a header may follow it
_LONGEST_NOTE = 3000  # a longer paragraph is a book without blank lines

# A title may go on in the next lines, but not behind a blank one. Some markers lack the space.
_MARKER = re.compile(
    r"""^[^\S\n]*\*\*\*[ ]?(?:
        (?P<start>START)[ ]OF[ ](?:THE|THIS)[ ](?:COPYRIGHTED[ ])?PROJECT[ ]GUTENBERG
        (?:(?!\n[ \t]*\n).){0,500}?\*\*\*[^\n]*$
      | END[ ]OF[ ](?:THE|THIS)[ ](?:COPYRIGHTED[ ])?PROJECT[ ]GUTENBERG[^\n]*$
    )""",
    re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_SMALL_PRINT = re.compile(
    r"""^[^\S\n]*(?:
        (?P<end>\*(?:END\b.{0,3}THE[ ]SMALL[ ]PRINT!|SMALL[ ]PRINT!.*\*END\*)).*$
      | \*+[ ]?START\*+[ ]?(?:THE[ ])?SMALL[ ]PRINT!.*$
      | \**(?i:(?:the[ ])?legal[ ]small[ ]print)\**[ \t]*$
    )""",
    re.MULTILINE | re.VERBOSE,
)
_PRINT_BELOW = re.compile(r"\bbottom\s+of\s+this\s+file\b")
_CLOSING = re.compile(
    r"^[ \t]*(?:End of (?:the |this )?|Ende (?:des |dieses )?|Fin (?:de |du |de ce )?)"
    r"Proje[ck]t Gutenberg",
    re.IGNORECASE | re.MULTILINE,
)
# What the project's headers and licences say soon after they begin.
_OWN = re.compile(
    r"""^[ \t*]*(?:this[ ]is[ ])?(?:the[ ])?project[ ]gutenberg(?:[’']s\b|[ ]e-?(?:text|book)\b)
      | copyright\s+laws\s+are\s+changing\s+all\s+over
      | first\s+thing\s+seen\s+when
      | this\s+e-?book\s+is\s+for\s+the\s+use\s+of\s+anyone
      | updated\s+editions\s+will\s+replace
      | file\s+should\s+be\s+named
      | full\s+(?:project\s+gutenberg(?:-tm|™)?\s+)?license
      | small\s+print!"\s+statement\s+here""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_HEADER_SIGN = re.compile(
    r"first\s+thing\s+seen\s+when|copyright\s+laws\s+are\s+changing\s+all\s+over", re.IGNORECASE
)
_NAME = re.compile(r"project\s+gutenberg", re.IGNORECASE)
_HEADER = re.compile(
    r"""[\W_]{0,80}(?:
        (?:this[ ]is[ ])?(?:the[ ])?project[ ]gutenberg
      | copyright[ ]laws | this[ ]header[ ]should | it[ ]must[ ]legally | do[ ]not[ ]remove
      | please[ ](?:read[ ]the|take[ ]a[ ]look|do[ ]not[ ]remove)
      | welcome[ ]to[ ]the[ ]world | e-?(?:books?|texts?)[ ](?:readable|\#)
      | these[ ]e-?(?:books|texts) | we[ ]need[ ]your[ ]donations | \d+[ ]in[ ]our[ ]series
      | most[ ]recently[ ]updated | date[ ]last[ ]updated | yes,[ ]we[ ]are[ ]more[ ]than
      | this[ ]file[ ]was[ ](?:first|last)
      | (?:title|subtitle|author|editor|translator|illustrator|contributor|commentator|compiler
          |edition|language|credits
          |(?:official[ ])?release[ ]date|posting[ ]date|first[ ]posted|last[ ]updated
          |character[ ]set(?:[ ]encoding)?)[ ]?:
    )""",
    re.IGNORECASE | re.VERBOSE,
)
# A book may begin with such a word too ("Produced by the rain, ..."): a name follows in a credit.
_CREDIT = re.compile(
    r"""[\W_]{0,200}(?:
        (?:(?:this\s+)?(?:e-?text|e-?book|file)\s+(?:was\s+|is\s+)?)?
        (?:produced|prepared|created|transcribed|scanned|digiti[sz]ed|proof(?:ed|read)|typed)\b
        .{0,80}?\b(?:by|from)\s+
        (?:the\s+(?-i:[A-Z]|\d{4})|an?\s+(?:anonymous|volunteer|project|pg)\b
          |(?!(?-i:the|an?|my|his|her|our|their|its|this|that|these|those|all|some|such|what
                |long|means)\b)\w)
      | (?:additional[ ])?(?:editing|proofreading|corrections)[ ]by\s+(?-i:[A-Z])
      | note:\s+(?:project[ ]gutenberg\s+(?:also\s+)?has|images\s+of\s+the\s+original)
      | (?:produziert|erstellt|digitalisiert|transkribiert)\s+(?:von|durch)\b
      | diese[rs]?\s+(?:e-?)?(?:buch|text|book|datei)\s+wurde\b
        .{0,90}?\b(?:erstellt|produziert|hergestellt|digitalisiert|verf[üu]gung)\b
      | (?:produit|pr[ée]par[ée]|num[ée]ris[ée]|r[ée]alis[ée])e?\s+par\b
      | ce(?:t|tte)?\s+(?:livre|texte|document|fichier|[ée]dition|version)\s+
        (?:[ée]lectronique\s+|num[ée]ri(?:que|s[ée]e?)\s+)?(?:a\s+[ée]t[ée]|fut|est)\s+
        (?:produit|pr[ée]par[ée]|r[ée]alis[ée]|num[ée]ris[ée]|pr[ée]sent[ée])
      | nous\s+remercions\s+la\s+biblioth[èe]que
    )
    | .{0,600}?(?:distributed\s+proofread|pgdp\.net|gutenberg\.org/|archive\.org/|gallica\.bnf)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_NOTE = re.compile(
    r"""[\W_]{0,200}(?:
        transcriber\W{0,2}s?\W{0,2}\s*(?:note|comment)s? | transcription\s+notes?
      | notes?\s+(?:by|of|from)\s+the\s+transcribers?
      | (?:anmerkung|hinweis|bemerkung)(?:en|e)?\s+(?:zur\s+trans[ck]ription|de[rs]\s+transkri\w+)
      | (?:notes?|remarques?)\s+(?:sur|de|du|des)\s+(?:la\s+)?transcript\w+
      | (?P<unsure>(?:notes?\s+)?au\s+lecteur)
    )\b(?P<rest>[\W_]*)""",
    re.IGNORECASE | re.VERBOSE,
)
_NOTE_WORD = re.compile(
    r"""spelling|hyphenat|typograph|italic|punctuat|footnote|transcri|misprint|printer|obvious
      | underscore|\be-?text\b|\be-?book\b
      | schreibweise|rechtschreib|interpunktion|zeichensetzung|gesperrt|kursiv|antiqua|fraktur
      | druckfehler|transkri
      | orthograph|coquille|ponctuation|italique|graphie|num[ée]ris|version\s+[ée]lectronique""",
    re.IGNORECASE | re.VERBOSE,
)
_SPACE = re.compile(r"\s*")
_BRACKET = re.compile(r"[\[\]]")
_LINE_END = re.compile(r"\W*?$", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


class Stripped(NamedTuple):
    """A text without Project Gutenberg's additions, and what the reader should know of it."""

    text: str
    note: str | None = None


class _Stretch(NamedTuple):
    """A part of the text: the places where it begins and ends."""

    begin: int
    end: int


def strip_gutenberg(text: str) -> Stripped:
    """Removes Project Gutenberg's header, licence and credits; any other text stays as it is.

    Nothing is removed if less than half of the text would stay; a note says so.
    """
    books = list(_books(text))
    if books == [(0, len(text))]:
        return Stripped(text)
    kept = "\n\n".join(text[book.begin : book.end] for book in books)
    if _lost(text, books) > len(kept) or not kept:
        return Stripped(text, DOUBT)
    return Stripped(kept)


def _books(text: str) -> Iterator[_Stretch]:
    """Finds the books between the markers: more than one if files were joined."""
    markers = list(_MARKER.finditer(text))
    for left, right in pairwise([None, *markers, None]):
        part = _Stretch(left.end() if left else 0, right.start() if right else len(text))
        begins = left is not None and left["start"] is not None
        header = right is not None and right["start"] is not None
        # Today's markers may stand around an old file, header and all.
        if (begins and not (header and _is_own(text, part))) or (left is None and not header):
            yield from _around_small_print(text, part, sure=left is not None or right is not None)


def _around_small_print(text: str, part: _Stretch, *, sure: bool) -> Iterator[_Stretch]:
    """Finds the books in front of the small print, behind it, or both if files were joined."""
    prints = _small_prints(text, part)
    edges = [part.begin, *(edge for found in prints for edge in found), part.end]
    parts = [_Stretch(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
    first, rest = parts[0], parts[1:]
    if rest and not (
        _PRINT_BELOW.search(text, first.begin, min(first.end, first.begin + 3000))
        or _closing(text, first) < first.end
        or all(_is_blank(text, other) for other in rest)
    ):
        parts = rest  # what stands in front is the header
    for found in parts:
        yield from _book(text, found, sure=sure or bool(prints))


def _small_prints(text: str, part: _Stretch) -> list[_Stretch]:
    """Finds each small print from its title, if it has one, to its last line."""
    found: list[_Stretch] = []
    title, last = -_LONGEST_OWN, 0
    for line in _SMALL_PRINT.finditer(text, part.begin, part.end):
        if line["end"] is None:
            # Two titles that follow each other belong together.
            if line.start() - last > 200:
                title = line.start()
            last = line.end()
        else:
            titled = line.end() - title < _LONGEST_OWN
            found.append(_Stretch(title if titled else line.start(), line.end()))
            title = -_LONGEST_OWN
    return found


def _book(text: str, part: _Stretch, *, sure: bool) -> Iterator[_Stretch]:
    """Narrows a part to its book.

    Args:
        sure: whether a marker or a small print has shown that this is a file of the project's.
    """
    begin = _behind_header(text, part)
    if begin == part.begin and not sure:
        yield part
        return
    begin = _behind_credits(text, _Stretch(begin, part.end))
    end = _closing(text, _Stretch(begin, part.end))
    begin = min(_SPACE.match(text, begin).end(), end)  # type: ignore[union-attr]
    while end > begin and text[end - 1].isspace():
        end -= 1
    if begin < end:
        yield _Stretch(begin, end)


def _closing(text: str, part: _Stretch) -> int:
    """Finds where a book's closing line begins; if there is none, the end of the part."""
    for line in _CLOSING.finditer(text, part.begin, part.end):
        rest = _Stretch(line.start(), part.end)
        # A line far from the end is the book's own, unless the next file's header follows.
        if part.end - line.start() <= 1000 or _is_own(text, rest):
            return line.start()
    return part.end


def _is_own(text: str, part: _Stretch) -> bool:
    """Whether a part is surely a header or licence of the project's."""
    head = min(part.end, part.begin + 1500)
    short = part.end - part.begin <= _LONGEST_OWN
    return short and _OWN.search(text, part.begin, head) is not None


def _is_blank(text: str, part: _Stretch) -> bool:
    return not text[part.begin : part.end].strip()


def _lost(text: str, books: list[_Stretch]) -> int:
    """Counts the letters outside the books that may be a text of the user's.

    A header or licence with the project's own words does not count, so a poem in 20,000 letters
    of licence is found. What a marker alone cuts off counts: the marker may be a quotation.
    """
    edges = [0, *(edge for book in books for edge in book), len(text)]
    gaps = [_Stretch(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
    return sum(
        len(_MARKER.sub("", text[gap.begin : gap.end]).strip())
        for gap in gaps
        if not _is_own(text, gap)
    )


# -- what stands in front of the book --------------------------------------------------------------


def _behind_header(text: str, part: _Stretch) -> int:
    """Skips the paragraphs of a header that no marker closes, if they say that they are one."""
    end, named, sign = part.begin, False, False
    while (found := _paragraph(text, end, part.end)) and _HEADER.match(text, *found):
        named = named or _NAME.search(text, *found) is not None
        sign = sign or _HEADER_SIGN.search(text, *found) is not None
        end = found.end
    return end if named and sign else part.begin


def _behind_credits(text: str, part: _Stretch) -> int:
    """Skips credits and the transcribers' notes, also a header among them."""
    begin = part.begin
    while found := _paragraph(text, begin, part.end):
        end = _credit(text, found, part.end) or _behind_header(text, _Stretch(begin, part.end))
        if end == begin:
            break
        begin = end
    return begin


def _credit(text: str, paragraph: _Stretch, end: int) -> int:
    """Finds where the credit or note ends that begins with a paragraph; 0 if that is none."""
    if paragraph.end - paragraph.begin > _LONGEST_NOTE:
        return 0
    if _CREDIT.match(text, *paragraph):
        return paragraph.end
    note = _NOTE.match(text, *paragraph)
    if note is None:
        return 0
    if "[" in text[note.start() : note.start() + 3]:
        return _bracketed(text, paragraph.begin, end)
    last = paragraph
    if note.end() == paragraph.end:  # a title alone: the note follows
        below = _paragraph(text, paragraph.end, end)
        last = below if below and below.end - below.begin <= _LONGEST_NOTE else paragraph
    if note["unsure"] and not _NOTE_WORD.search(text, *last):
        return 0
    while (after := _paragraph(text, last.end, end)) and _goes_on(text, last, after):
        last = after
    return last.end


def _goes_on(text: str, note: _Stretch, after: _Stretch) -> bool:
    """Whether a paragraph belongs to the note above it.

    One blank line is between the paragraphs of a note; two or more end it.
    """
    if text.count("\n", note.end, after.begin) > 2 or after.end - after.begin > _LONGEST_NOTE:
        return False
    indented = all(text[part.begin - 1] in " \t" for part in (note, after))
    return indented or _NOTE_WORD.search(text, *after) is not None


def _bracketed(text: str, begin: int, end: int) -> int:
    """Finds where the bracket closes that a note opens, be it some paragraphs later; or 0."""
    depth = 0
    for bracket in _BRACKET.finditer(text, begin, min(end, begin + 6000)):
        depth += 1 if bracket[0] == "[" else -1
        if depth <= 0:
            return bracket.end() if _LINE_END.match(text, bracket.end(), end) else 0
    return 0


def _paragraph(text: str, begin: int, end: int) -> _Stretch | None:
    """Finds the next paragraph, without the space around it."""
    begin = _SPACE.match(text, begin, end).end()  # type: ignore[union-attr]
    if begin == end:
        return None
    blank = _BLANK_LINE.search(text, begin, end)
    return _Stretch(begin, blank.start() if blank else end)
