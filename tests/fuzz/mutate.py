"""Damages bytes, texts, JSON values and files, by a `random.Random` alone."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

# What has broken readers elsewhere: marks, line ends, quotes, beginnings of files, numbers.
TOKENS = (
    b"\x00", b"\n", b"\r", b"\r\n", b'"', b'""', b",", b"\t", b"\\", b"\xff", b"\xc3",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85",
    b"\x1b[2J", b"\x7f", b"{", b"}", b"[", b"]", b"[" * 3000, b'{"a":' * 2000, b"null", b"NaN",
    b"1e999", b"-0", b"\\ud800", b"\\u0000", b"PAR1", b"BZh9", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd",
    b"PK\x03\x04", b"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n",
    b"*** END OF THE PROJECT GUTENBERG", b"\f", b"9" * 400, b"9" * 5000, b"x" * 70_000,
)  # fmt: skip

NUMBERS = (
    0, 1, -1, 2, 255, 256, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63),
    2**64, 10**10, 10**18, 10**30, 10**400, 0.5, -0.0, 1e300, 1e-300, 1e308,
)  # fmt: skip


def deep(levels: int) -> Any:
    """A list in a list in a list ..."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


# Values that no JSON field should break on.
ODD: tuple[Any, ...] = (
    *NUMBERS, None, True, False, "", " ", "\x00", "\x1b[31m", "a\nb", "\u2028", "\ud800", "0", "-1",
    "x" * 3000, "..", "/", "../../x", [], {}, [[]], [None], {"": 0}, {"a": {"b": []}}, "1e5",
    deep(70), deep(300),
)  # fmt: skip


def a_token(random: Random) -> bytes:
    """Bytes that mean something to some reader, or a few random ones."""
    if random.random() < 0.7:
        return random.choice(TOKENS)
    return random.randbytes(random.randint(1, 12))


def _place(random: Random, data: bytes) -> int:
    """An offset; beginnings and ends of files are likelier, as they hold what rules the rest."""
    where = random.random()
    if where < 0.2:
        return random.randint(0, min(len(data), 16))
    if where < 0.4:
        return random.randint(max(0, len(data) - 16), len(data))
    return random.randint(0, len(data))


def _range(random: Random, data: bytes) -> tuple[int, int]:
    start = _place(random, data)
    most = random.choice((1, 4, 16, 64, 256, len(data)))
    return start, min(len(data), start + random.randint(1, max(1, most)))


def flip(random: Random, data: bytes) -> bytes:
    """One bit is another."""
    at = min(_place(random, data), len(data) - 1)
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def replace(random: Random, data: bytes) -> bytes:
    """Some bytes are others."""
    start, end = _range(random, data)
    return data[:start] + random.randbytes(end - start) + data[end:]


def zero(random: Random, data: bytes) -> bytes:
    """Some bytes are zero, as after a crash."""
    start, end = _range(random, data)
    return data[:start] + bytes(end - start) + data[end:]


def cut(random: Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: _place(random, data)]


def behead(random: Random, data: bytes) -> bytes:
    """The beginning is missing."""
    return data[_place(random, data) :]


def drop(random: Random, data: bytes) -> bytes:
    """Something in the middle is missing."""
    start, end = _range(random, data)
    return data[:start] + data[end:]


def insert(random: Random, data: bytes) -> bytes:
    """Something is put in."""
    at = _place(random, data)
    return data[:at] + a_token(random) + data[at:]


def append(random: Random, data: bytes) -> bytes:
    """Something follows the end."""
    return data + a_token(random)


def double(random: Random, data: bytes) -> bytes:
    """A part stands there twice."""
    start, end = _range(random, data)
    return data[:end] + data[start:end] + data[end:]


def swap(random: Random, data: bytes) -> bytes:
    """Two neighbouring blocks have changed places."""
    a, b, c = sorted(random.randint(0, len(data)) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def number(random: Random, data: bytes) -> bytes:
    """A number written in digits is an extreme one."""
    found = list(re.finditer(rb"-?\d+", data[: 1 << 16]))
    if not found:
        return insert(random, data)
    match = random.choice(found)
    return data[: match.start()] + str(random.choice(NUMBERS)).encode() + data[match.end() :]


def little_endian(random: Random, data: bytes) -> bytes:
    """Four or eight bytes are an extreme number, as binary formats write it."""
    size = random.choice((2, 4, 8))
    at = min(_place(random, data), max(0, len(data) - size))
    value = random.choice((0, 1, -1, 2**15, 2**31 - 1, 2**31, 10**10, 2**63 - 1))
    return data[:at] + (value % 2 ** (8 * size)).to_bytes(size, "little") + data[at + size :]


def splice(random: Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one, the end of another."""
    return data[: _place(random, data)] + other[_place(random, other) :]


_MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (
    flip, flip, flip, replace, zero, cut, cut, behead, drop, insert, insert, append, double, swap,
    number, little_endian,
)  # fmt: skip


def mutated(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Bytes that differ from `data`, if it is not empty: one to three damages, one after another.

    Args:
        others: what it may be spliced with.
    """
    for _ in range(20):
        changed = data
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            if not changed:
                changed = a_token(random)
            elif others and random.random() < 0.05:
                changed = splice(random, changed, random.choice(others))
            else:
                changed = random.choice(_MUTATIONS)(random, changed)
        if changed != data:
            return changed
    return data + b"!"


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values in a JSON value, itself included."""
    found = [path]
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            found += _places(one, (*path, key))
    return found


def mutated_json(random: Random, value: Any, *, odd: Sequence[Any] = ODD) -> Any:
    """A copy of a JSON value in which one or two fields are odd, gone, new or doubled."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 2))):
        paths = _places(value)[1:]
        if not paths or random.random() < 0.02:
            return copy.deepcopy(random.choice(odd))
        shallow = [path for path in paths if len(path) == 1]
        path = random.choice(shallow if random.random() < 0.3 else paths)
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        key, how = path[-1], random.random()
        if how < 0.65:
            holder[key] = _near(random, holder[key], odd)
        elif how < 0.8:
            del holder[key]
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(random.choice([*holder, random.choice(odd)])))
        else:
            name = random.choice(("", "x", f"{key} ", "__class__", "name", "sha256"))
            holder[name] = copy.deepcopy(random.choice([holder[key], random.choice(odd)]))
    return value


def _near(random: Random, value: Any, odd: Sequence[Any]) -> Any:
    """An odd value, or one that is nearly right."""
    if random.random() < 0.7:
        return copy.deepcopy(random.choice(odd))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + random.choice((-1, 1))
    if isinstance(value, float):
        return -value
    if isinstance(value, str):
        return mutated(random, value.encode("utf-8", "replace")).decode("utf-8", "replace")[:5000]
    return [value]


def json_bytes(value: Any, **how: Any) -> bytes:
    """A JSON value as bytes; half surrogates as escapes, numbers of any length."""
    return json.dumps(value, **how).encode()


def write_text(random: Random, most: int = 40) -> str:
    """A text of many scripts, with what is awkward in it, but without NUL."""
    kind = random.random()
    if kind < 0.3:
        return " ".join(random.choice(_WORDS) for _ in range(random.randint(1, 9)))
    if kind < 0.8:
        return "".join(random.choice(_AWKWARD) for _ in range(random.randint(0, most)))
    return "".join(_character(random) for _ in range(random.randint(0, most)))


_WORDS = (
    "the",
    "old",
    "cat",
    "sat",
    "mat",
    "red",
    "dog",
    "42",
    "don't",
    "“Stop!”",
    "naïve",
    "птица",
)
_AWKWARD = (
    *'abc ,;:"\'\\/{}[]<>&|\t', '""', "\r", "\n", "\v", "\f", "\x1c", "\x1b", "\x7f", "\x85", "é",
    "e\u0301", "ß", "\u200b", "\u2028", "\u2029", "\ufeff", "\u202e", "日本", "🙂", "𝒳",
    "\U0010ffff", "\ue000", "#", "=cmd()", "null", "NaN", "-1", "1e999",
)  # fmt: skip


def _character(random: Random) -> str:
    code = random.choice((random.randint(1, 0xFF), random.randint(1, 0xFFFF), 0x1F600))
    return chr(code) if not 0xD800 <= code < 0xE000 else "?"
