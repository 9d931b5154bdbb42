"""Plain data as bytes, for the pipe between the checker and the process of a student's code.

A message is two lengths, a JSON document, and the bytes of its arrays. Nothing that is read can run
code: there is no pickle, and whatever is no plain data becomes an `Opaque` with its type's name.
Who reads must expect anything, so each fault of a message is a `Garbled`.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LENGTHS = struct.Struct("<II")  # of the document, of the arrays
DOCUMENT_BYTES, ARRAY_BYTES = 16 << 20, 64 << 20
_KINDS = "?bhilqBHILQefd"  # NumPy's codes of truth values, whole numbers and floats


class Garbled(Exception):
    """Raised for bytes that are no message."""


class TooLarge(ValueError):
    """Raised for data that is larger than a message may be."""


@dataclass(frozen=True)
class Opaque:
    """A value that is no plain data.

    Attributes:
        kind: name of its type.
        text: what `repr` gave, cut.
    """

    kind: str
    text: str = field(default="", compare=False)  # it may hold an address

    def __repr__(self) -> str:
        return self.text or f"<{self.kind}>"


@dataclass(frozen=True)
class Handle:
    """A network that stays in the process of the student's code.

    Attributes:
        number: how that process calls it.
        kind: name of its type.
        bases: names of the types that it is derived from.
        library: "keras" or "torch".
    """

    number: int
    kind: str
    bases: tuple[str, ...] = ()
    library: str = "keras"


@dataclass
class Packer:
    """Turns values into JSON and the bytes of arrays.

    Attributes:
        keep: gives the handle of a value that is kept where it is; None for all others.
        lend: gives the number of a function that the other side may call.
    """

    keep: Callable[[Any], Handle | None] = lambda value: None
    lend: Callable[[Any], int] | None = None
    blocks: list[bytes] = field(default_factory=list)

    def pack(self, value: Any, depth: int = 0) -> Any:
        """Gives the JSON of a value; arrays' bytes go to `blocks`."""
        if depth > 40:
            raise TooLarge("lists within lists within lists")
        if value is None or isinstance(value, bool | str):
            return value if value is None or isinstance(value, bool) else str(value)
        if isinstance(value, int):
            return int(value) if abs(value) < 1 << 63 else {"o": ["int", f"{value:.6e}"]}
        if isinstance(value, float):
            return float(value)
        if isinstance(value, list):
            return [self.pack(each, depth + 1) for each in value]
        if isinstance(value, tuple):
            return {"t": [self.pack(each, depth + 1) for each in value]}
        if isinstance(value, dict):
            rows = [[self.pack(k, depth + 1), self.pack(v, depth + 1)] for k, v in value.items()]
            return {"c" if isinstance(value, Counter) else "d": rows}
        if (handle := self.keep(value)) is not None:
            return {"h": [handle.number, handle.kind, list(handle.bases), handle.library]}
        if self.lend is not None and callable(value) and not hasattr(value, "__array__"):
            return {"f": self.lend(value)}
        return self._array(value, depth)

    def _array(self, value: Any, depth: int) -> Any:
        import numpy as np

        if isinstance(value, np.generic):
            return self.pack(value.item(), depth + 1)
        if not isinstance(value, np.ndarray) and hasattr(value, "__array__"):
            try:
                value = np.asarray(value)  # a tensor
            except Exception:
                return _opaque(value)
        if not isinstance(value, np.ndarray):
            return _opaque(value)
        if value.dtype.kind in "OUT":
            return self.pack(value.tolist(), depth + 1)
        if value.dtype.char not in _KINDS:
            return _opaque(value)
        little = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
        self.blocks.append(little.tobytes())
        return {"a": [little.dtype.str, list(value.shape)]}


def _opaque(value: Any) -> Any:
    try:
        text = repr(value)[:200]
    except Exception:
        text = ""
    return {"o": [type(value).__name__, text]}


def message(document: Any, blocks: list[bytes]) -> bytes:
    """Makes the bytes of a message.

    Raises:
        TooLarge: it is larger than a message may be.
    """
    text, size = json.dumps(document).encode(), sum(map(len, blocks))
    if len(text) > DOCUMENT_BYTES or size > ARRAY_BYTES:
        raise TooLarge(f"{(len(text) + size) >> 20} MiB; {DOCUMENT_BYTES >> 20} are allowed")
    return b"".join([LENGTHS.pack(len(text), size), text, *blocks])


def lengths(head: bytes) -> tuple[int, int]:
    """Reads the lengths of a message's two parts."""
    document, arrays = LENGTHS.unpack(head)
    if document > DOCUMENT_BYTES or arrays > ARRAY_BYTES:
        raise Garbled("a message is too long")
    return document, arrays


class Unpacker:
    """Turns JSON and the bytes of arrays back into values.

    Args:
        blocks: the arrays' bytes.
        borrow: makes a function of the number that the other side lent.
    """

    def __init__(self, blocks: bytes, borrow: Callable[[int], Any] | None = None):
        self.blocks, self.place, self.borrow = blocks, 0, borrow

    def unpack(self, value: Any) -> Any:
        """Gives the value; the arrays come in the order in which they were packed."""
        if isinstance(value, list):
            return [self.unpack(each) for each in value]
        if not isinstance(value, dict):
            return value
        ((kind, rest),) = value.items()
        if kind == "t":
            return tuple(self.unpack(each) for each in rest)
        if kind in ("d", "c"):
            pairs = {self.unpack(k): self.unpack(v) for k, v in rest}
            return Counter(pairs) if kind == "c" else pairs
        if kind == "a":
            return self._array(*rest)
        if kind == "h":
            number, name, bases, library = rest
            names = tuple(str(each)[:100] for each in bases)
            return Handle(int(number), str(name)[:100], names, str(library)[:100])
        if kind == "o":
            return Opaque(str(rest[0])[:100], str(rest[1])[:200])
        if kind == "f" and self.borrow is not None:
            return self.borrow(int(rest))
        raise Garbled(f"there is no kind {kind[:20]!r}")

    def _array(self, code: Any, shape: Any) -> Any:
        import numpy as np

        if not isinstance(code, str) or code[-2:-1] not in "biuf" or len(code) != 3:
            raise Garbled("an array of an unknown kind")
        kind = np.dtype(code)
        if len(shape) > 8 or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise Garbled("an array of an unknown shape")
        size = math.prod(shape) * kind.itemsize
        if size > len(self.blocks) - self.place:
            raise Garbled("an array with too few bytes")
        count = math.prod(shape)
        found = np.frombuffer(self.blocks, kind, count, self.place) if count else np.zeros(0, kind)
        self.place += size
        return found.reshape(shape).copy()


def parse(text: bytes, blocks: bytes, borrow: Callable[[int], Any] | None = None) -> Any:
    """Reads the value of a message.

    Raises:
        Garbled: it is none.
    """
    try:
        return Unpacker(blocks, borrow).unpack(json.loads(text))
    except Garbled:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, MemoryError) as error:
        raise Garbled(f"{type(error).__name__}: {str(error)[:100]}") from None


def read_all(place: int, count: int) -> bytes:
    """Reads so many bytes; fewer at the end of the file."""
    parts, left = [], count
    while left and (part := os.read(place, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
