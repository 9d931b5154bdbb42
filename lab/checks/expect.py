"""Compares an answer with what is expected, and raises an error that says what is wrong."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Any

import numpy as np

Random = np.random.Generator


class Wrong(Exception):
    """Raised for an answer that is not right."""

    def __init__(self, what: str, *, expected: Any, received: Any, hint: str):
        super().__init__(what)
        self.what, self.hint = what, hint
        self.expected, self.received = show(expected), show(received)


class NotStarted(Exception):
    """Raised if the code comes to a placeholder."""

    def __init__(self, function: str):
        super().__init__(function)
        self.function = function


def show(value: Any) -> str:
    """Writes a value in one line, cut if it is long."""
    if isinstance(value, np.generic | np.ndarray) and not value.shape:
        value = value.item()
        value = float(f"{value:.7g}") if isinstance(value, float) else value
    with np.printoptions(precision=4, threshold=20):
        text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def equal(what: str, received: Any, expected: Any, hint: str) -> None:
    """Expects the same value, in any kind of sequence."""
    found, wanted = plain(received), plain(expected)
    if found != wanted:
        for type_, name in ((list, "a list"), (str, "a text"), (dict, "a dictionary")):
            if isinstance(wanted, type_) and not isinstance(found, type_) and found is not None:
                hint = f"return {name}, not a value of type {kind(received)}"
        long = isinstance(wanted, dict) or len(str(wanted)) > 80
        if long and (first := _first(found, wanted)) is not None:
            place, found, wanted = first
            expected, received = f"{wanted!r} at place {place}", f"{found!r} there"
        raise Wrong(what, expected=expected, received=received, hint=hint)


def _first(found: Any, wanted: Any) -> tuple[str, Any, Any] | None:
    """Finds the first place where lists or dictionaries differ, and the values that stand there."""
    if isinstance(found, list) and isinstance(wanted, list):
        pairs = [
            (i, a, b) for i, (a, b) in enumerate(zip_longest(found, wanted, fillvalue=NOTHING))
        ]
    elif isinstance(found, dict) and isinstance(wanted, dict):
        keys = [*wanted, *(key for key in found if key not in wanted)]
        pairs = [(key, found.get(key, NOTHING), wanted.get(key, NOTHING)) for key in keys]
    else:
        return None
    for key, a, b in pairs:
        if a != b:
            place, a, b = _first(a, b) or ("", a, b)
            return f"[{key!r}]{place}", a, b
    return None


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()


def close(what: str, received: Any, expected: Any, hint: str, *, atol: float = 1e-6) -> None:
    """Expects the same numbers, except for rounding."""
    found, wanted = numbers(received), np.asarray(expected, np.float64)
    if found.shape == () and math.isnan(found) and not isinstance(plain(received), float):
        hint = f"return numbers, not a value of type {kind(received)}"
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-4, atol=atol):
        raise Wrong(what, expected=expected, received=received, hint=hint)


def true(what: str, condition: bool, *, expected: Any, received: Any, hint: str) -> None:
    """Expects that a condition holds."""
    if not condition:
        raise Wrong(what, expected=expected, received=received, hint=hint)


def whole(what: str, value: Any, hint: str) -> int:
    """Expects a whole number; gives it."""
    found = plain(value)
    right = isinstance(found, int) and not isinstance(found, bool)
    true(what, right, expected="a whole number", received=value, hint=hint)
    return int(found)


def array(what: str, value: Any, dtype: str, hint: str) -> np.ndarray:
    """Expects an array of a dtype; gives it."""
    wanted = f"an array of {dtype}"
    true(
        what, kind(value) == f"ndarray ({dtype})", expected=wanted, received=kind(value), hint=hint
    )
    return np.asarray(value)


def affine(name: str, logits: np.ndarray) -> None:
    """Expects logits, not the output of a softmax or a ReLU."""
    true(
        f"{name}: logits",
        not np.allclose(logits.sum(-1), 1, atol=1e-3),
        expected="any numbers",
        received="numbers that add up to 1",
        hint="the output is an affine map without a softmax: the loss and the sampler make it one",
    )
    true(
        f"{name}: logits",
        bool((logits < 0).any() or not logits.any()),
        expected="numbers below and above 0",
        received=f"{logits.size} numbers, none below 0",
        hint="the output is an affine map: a layer without an activation, such as ReLU",
    )


def kind(value: Any) -> str:
    """Names the type of a value, and the type of an array's numbers."""
    if hasattr(value, "kind"):
        return str(value.kind)  # what stays in the process of the student's code
    return type(value).__name__ + (f" ({value.dtype})" if hasattr(value, "dtype") else "")


def plain(value: Any) -> Any:
    """Turns arrays and tuples into lists; drops empty values of dictionaries, like a count of 0."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if plain(each)}
    return value


def number(value: Any) -> float:
    """Turns a value into a float; a value that is not a number gives NaN instead of an error."""
    found = numbers(value)
    return float(found) if found.shape == () else math.nan


def numbers(value: Any) -> np.ndarray:
    """Turns a value into an array of float64; other values give NaN instead of an error."""
    if isinstance(value, str):
        return np.array(math.nan)
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array(math.nan)
