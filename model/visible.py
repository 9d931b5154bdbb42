"""Text from outside as it is shown: nothing in it acts on a terminal or a page."""

from __future__ import annotations

import re

# C0, DEL, C1; ends of lines and paragraphs; controls of the writing direction; no characters.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def visible(text: object, *, keep: str = "") -> str:
    r"""Shows control characters, by which a text could act, as escapes; one line unless told.

    What is above ASCII becomes `\u` with four digits, as JSON has it: a line of JSON stays JSON of
    the same meaning.

    Args:
        text: what is shown; `str` is taken of it.
        keep: control characters that stay as they are.

    >>> print(visible("a\x1b]0;b\x07 \x9b \u202e\n"))
    a\x1b]0;b\x07 \u009b \u202e\n
    """
    return _HIDDEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), str(text))


def _escape(character: str) -> str:
    if ord(character) >= 0x7F:
        return f"\\u{ord(character):04x}"
    return character.encode("unicode_escape").decode()
