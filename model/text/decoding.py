"""Turns bytes into text: encodings, byte-order marks, line ends; refuses binary files."""

from __future__ import annotations

import codecs
import re
from typing import Any

from textmill.model.errors import SettingError, TextmillError

# Byte-order marks. UTF-32's little-endian mark starts with UTF-16's, so it is checked first.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Control characters that are rare in text; tab, newlines and form feed are not among them.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_BINARY_SHARE = 0.01
# Of all letters; Bulgarian and Russian have about half, Ukrainian a third, and what is read in a
# wrong encoding less than a quarter.
_CYRILLIC_SHARE = 0.3


def decode(raw: bytes, *, path: str, encoding: str | None = None) -> str:
    """Decodes bytes: what a byte-order mark says, else `encoding`, else UTF-8.

    Raises:
        TextmillError: the bytes are not valid in that encoding (it says where), or are not text.
        SettingError: there is no encoding of that name.
    """
    if encoding is not None:
        check_encoding(encoding)
    used = encoding_of_mark(raw) or encoding
    if used is None:
        used = "utf-8"
        _refuse_binary(raw[: 1 << 20].decode("latin-1"), path)
    try:
        text = raw.decode(used)
    except UnicodeError as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise TextmillError(
            f"{path} is not valid {used}{where}; say what it is with --encoding, such as "
            f"--encoding {likely_encoding(raw)}"
        ) from None
    _refuse_binary(text, path)
    return text


def likely_encoding(raw: bytes) -> str:
    """Gives the encoding to try first for bytes that are not UTF-8.

    It is one of Cyrillic if the most frequent Cyrillic letters are frequent in it, else latin-1, in
    which any bytes are a text.
    """

    def share(name: str) -> float:
        letters = [each for each in raw[: 1 << 20].decode(name, "replace") if each.isalpha()]
        return sum(each in "аеиност" for each in letters) / max(len(letters), 1)

    best = max(("cp1251", "koi8-r", "cp866", "iso8859-5"), key=share)
    return best if share(best) > _CYRILLIC_SHARE else "latin-1"


def encoding_of_mark(raw: bytes) -> str | None:
    """Gives the encoding that a byte-order mark at the beginning of a file says, or None."""
    return next((name for bom, name in _BOMS if raw.startswith(bom)), None)


def is_utf8(encoding: str) -> bool:
    """Tells whether a name is one of UTF-8's."""
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def check_encoding(name: Any) -> None:
    """Refuses what is no name of a text encoding.

    Raises:
        SettingError: it is none.
    """
    allowed = "the name of a text encoding, such as utf-8, utf-16-le, latin-1 or cp1252"
    try:
        "a".encode(name)  # a codec of bytes, such as hex, refuses this
        codecs.getincrementaldecoder(name)
    except (LookupError, TypeError, ValueError):
        raise SettingError("encoding", allowed, name) from None


def clean(text: str) -> str:
    r"""Makes all line ends `\n`, page breaks paragraph ends; drops NUL, BOM, zero-width space.

    The joiners U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    text = re.sub("[\f\u2029]", "\n\n", text)
    return re.sub("[\x00\ufeff\u200b]", "", text).replace("\v", "\n").replace("\x85", "\n")


def _refuse_binary(text: str, path: str) -> None:
    controls = len(_CONTROL.findall(text))
    if controls > _BINARY_SHARE * len(text) + 1:
        raise TextmillError(
            f"{path} looks like a binary file ({controls / len(text):.0%} control characters); "
            "give a plain text, or its --encoding if it is one (such as utf-16-le)"
        )
