"""Splits text into tokens and joins them again. Joiner marks make the word level reversible.

Where two tokens have no white space between them, one of them gets a mark: the right one, on its
left side, if it is punctuation; otherwise the left one, on its right side, if that is punctuation;
otherwise (two words, as in scripts without spaces) the right one, on its left side:

    “Don't stop!”  ->  “■  Don't  stop  ■!  ■”

So a word is the same vocabulary entry whatever punctuation stands beside it. A mark that is in the
text itself is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from textmill.model.text.text_ops import normalize_nfc, regex_split

MARK = "■"
# It is not in the Unicode class So: otherwise it could become a part of an emoji sequence.
ESCAPE = "⁜"
_ESCAPED = {ESCAPE: ESCAPE + "0", MARK: ESCAPE + "1"}

# RE2 syntax. Its \s is ASCII only, so separators (Z) and control characters are added.
_SPACE = r"[\s\p{Z}\p{Cc}]"
# The splitting op stops reading at a NUL, so NULs are dropped before it.
_DROPPED = r"[\x{00}\x{FEFF}\x{200B}]"
# U+200C and U+200D shape words of Persian and Indic scripts: they belong to the word.
_LETTER = r"[\p{L}\p{M}\p{N}\x{200C}\x{200D}]"
# In scripts written without spaces, each character is a token.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_WORD = rf"(?:{_UNSPACED}|{_LETTER}+(?:['’]{_LETTER}+)*)"
_TONES = r"[\x{FE0F}\x{1F3FB}-\x{1F3FF}\x{20E3}]*"
_EMOJI = rf"(?:[\x{{1F1E6}}-\x{{1F1FF}}]{{2}}|\p{{So}}{_TONES}(?:\x{{200D}}\p{{So}}{_TONES})*)"
_PUNCTUATION = rf"(?:{ESCAPE}[01]|\.+|-+|=+|\*+|_+|~+|#+|{_EMOJI}|[^\s\p{{Z}}\p{{Cc}}])"
_TOKEN = rf"(?:{_WORD}|{_PUNCTUATION})"


_LONG = 1024  # characters of a piece
# Punctuation that no longer token holds, behind what is neither white space nor dropped: a token
# of its own begins there, joined to the one before it.
_JOINED = re.compile(
    r"""(?<=[^\s\x00-\x1f\x7f-\x9f\ufeff\u200b])[!?,;:()\[\]{}"“”„«»。、，！？；：「」…،؟]"""
)


def pieces(text: str, level: str) -> Iterator[tuple[str, bool]]:
    """Cuts a long text where no token is cut, because its tokens cost memory all at once.

    Gives each piece, and whether its first token is joined to what is before it.
    """
    start, joined = 0, False
    while len(text) - start > _LONG:
        at = text.rfind(" ", start + 1, start + _LONG)
        if at < 0 and level != "whitespace":
            found = list(_JOINED.finditer(text, start + 1, start + _LONG))
            at = found[-1].start() if found else -1
        if at < 0:  # a long run: up to the next place, or the end
            ahead = [text.find(" ", start + _LONG)]
            if level != "whitespace" and (next_one := _JOINED.search(text, start + _LONG)):
                ahead.append(next_one.start())
            at = min((place for place in ahead if place >= 0), default=len(text))
        yield text[start:at], joined
        start, joined = at, at < len(text) and text[at] != " "
    if start < len(text) or start == 0:
        yield text[start:], joined


def tokenize(texts: Any, level: str) -> Any:
    """Splits texts into tokens inside a TensorFlow graph.

    Args:
        texts: a string tensor of shape [N], valid UTF-8.
        level: `word`, `char` or `whitespace`.

    Returns:
        A ragged string tensor [N, (tokens)]. NUL, byte-order marks and zero-width spaces are
        dropped and the text is put into NFC first.
    """
    import tensorflow as tf

    texts = normalize_nfc(tf.strings.regex_replace(texts, _DROPPED, ""))
    if level == "char":
        return tf.strings.unicode_split(texts, "UTF-8")
    if level == "whitespace":
        return regex_split(texts, _SPACE + "+")[0]
    for literal, escaped in _ESCAPED.items():
        texts = tf.strings.regex_replace(texts, literal, escaped)
    tokens, begin, end = regex_split(texts, rf"{_TOKEN}|{_SPACE}+", keep=_TOKEN)
    return tokens.with_flat_values(_mark(tokens, begin.flat_values, end.flat_values))


def _mark(tokens: Any, begin: Any, end: Any) -> Any:
    """Adds the joiner marks to flat tokens with byte offsets in their texts."""
    import tensorflow as tf

    flat, rows = tokens.flat_values, tokens.value_rowids()
    no, none = tf.constant([False]), tf.constant([], tf.bool)
    no = tf.cond(tf.size(flat) > 0, lambda: no, lambda: none)
    glued = tf.concat([no, (begin[1:] == end[:-1]) & (rows[1:] == rows[:-1])], 0)
    word = tf.strings.regex_full_match(flat, _WORD)
    after_word = tf.concat([no, word[:-1]], 0)
    left = glued & (~word | after_word)
    right = tf.concat([(glued & ~left)[1:], no], 0)
    return tf.strings.join([tf.where(left, MARK, ""), flat, tf.where(right, MARK, "")])


def surface(token: str) -> str:
    """Gives a word-level token as it stands in text, without marks and escapes."""
    _, body, _ = parts(token)
    return body


def parts(token: str) -> tuple[bool, str, bool]:
    """Gives (joined to the left, surface, joined to the right) of a word-level token."""
    left, right = token.startswith(MARK), token.endswith(MARK)
    body = token[left : len(token) - right]
    for literal, escaped in reversed(_ESCAPED.items()):
        body = body.replace(escaped, literal)
    return left, body, right


def join(tokens: Sequence[str], level: str, *, glued: bool = True) -> str:
    """Joins tokens into text.

    Args:
        glued: True puts no space before the first token; False puts one before a word, because
            the tokens continue a text.
    """
    if level == "char":
        return "".join(tokens)
    if level == "whitespace":
        return "" if not tokens else ("" if glued else " ") + " ".join(tokens)
    pieces = []
    for token in tokens:
        left, body, right = parts(token)
        pieces += [body] if glued or left else [" ", body]
        glued = right
    return "".join(pieces)
