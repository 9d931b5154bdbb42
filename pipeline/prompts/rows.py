"""Turns records of prompt files into prompts, or says why one is rejected."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NoReturn

from textmill.model.errors import SettingError
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.text.row_numbers import numbers_of
from textmill.pipeline.output.columns import plain
from textmill.pipeline.prompts.reading import MOST_BYTES, SOURCE, Form, InputSettings, csv_fields

# Fields of a JSON object or columns of a table that override the command's settings.
NUMBERS = {
    "samples": int,
    "temperature": float,
    "top_k": int,
    "top_p": float,
    "min_p": float,
    "min_words": int,
    "max_words": int,
}
SETTINGS = (*NUMBERS, "stop", "label")
FIELDS = ("prompt", "id", *SETTINGS)
_BLANK = "".join(chr(c) for c in range(0x3001) if chr(c).isspace() or c < 32) + "\u200b\ufeff"
_MOST_ID = 500  # characters
_MOST_DEPTH = 64  # of nested values; readers of data sets fail not far above it


class BadRow(Exception):
    """Raised with the reason why a record is rejected."""


def reason_class(reason: str) -> str:
    """Cuts the details of a row from a reason, so that equal reasons can be counted."""
    return re.split(r": |\. (?:Received|Found)| at (?:byte|character) ", reason, maxsplit=1)[0]


def text_prompt(raw: bytes, *, row_id: str, encoding: str | None = None) -> Prompt:
    """Makes a prompt of a line of a file, whose encoding is that of its `Form`.

    Raises:
        BadRow: the line is blank, not valid in its encoding, or no text.
    """
    return Prompt(row_id, _written(_decoded(raw, encoding)), row=row_id)


def json_row(raw: bytes, *, encoding: str | None = None) -> dict[str, Any]:
    """Reads a line as a JSON object.

    Raises:
        BadRow: it is not one.
    """
    text = _decoded(raw, encoding)
    if not text.strip():
        raise BadRow("empty")
    try:
        row = _JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"not valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise BadRow("not a JSON object")
    return row


def table_row(
    raw: bytes, *, form: Form, columns: Sequence[str], context: Sequence[str] = ()
) -> dict[str, Any]:
    """Reads a record of a table into a row; a blank cell of a setting counts as missing.

    Args:
        raw: the record.
        form: of the table.
        columns: their names.
        context: those that hold the numbers that texts start from.

    Raises:
        BadRow: the record does not fit the columns, or a setting is not a number.
    """
    try:
        cells = csv_fields(_decoded(raw, form.encoding), form)
    except csv.Error as error:
        raise BadRow(f"not valid csv: {error}") from None
    if len(cells) != len(columns):
        raise BadRow(f"wrong number of columns: {len(cells)} instead of {len(columns)}")
    row: dict[str, Any] = {}
    for name, cell in zip(columns, cells, strict=True):
        if name in (*SETTINGS, "id", *context) and not cell.strip():
            continue
        if name in context:
            row[name] = _numbers([cell.strip()], name, texts=True)[0]
        else:
            row[name] = _number(name, cell.strip()) if name in NUMBERS else cell
    return row


def value_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Makes a row of Python values fit for JSON; whole numbers may be floats, as in pandas.

    Raises:
        BadRow: a value cannot be used.
    """
    values: dict[str, Any] = {}
    for name, value in row.items():
        if not isinstance(name, str):
            raise BadRow(f"the name of a field must be a text. Received: {_shown(name)}")
        if name == "prompt" and isinstance(value, bytes):
            value = _decoded(value)
        if name in NUMBERS and isinstance(value, Decimal):
            value = float(value)
        infinite = name in NUMBERS and isinstance(value, float) and math.isinf(value)
        try:
            values[name] = value if infinite else plain(value)
        except RecursionError:
            raise BadRow(_DEEP) from None
        if NUMBERS.get(name) is int and isinstance(value, float) and value.is_integer():
            values[name] = int(value)
    text = values.get("prompt")
    if isinstance(text, str) and len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise BadRow(f"longer than {MOST_BYTES:,} bytes")
    return values


def carried(row: Mapping[str, Any], reading: InputSettings | None = None) -> dict[str, Any]:
    """Gives the fields of a row that are copied to the output.

    Raises:
        BadRow: a field cannot be copied, or is not allowed because of `strict`.
    """
    left = FIELDS if reading is None else (*FIELDS, *reading.context)
    extra = {name: value for name, value in row.items() if name not in left}
    if reading is not None and reading.strict:
        for name, value in extra.items():
            if value is not None and name not in reading.starts:
                raise BadRow(f"unknown field: {_shown(name)}")
        extra = {name: value for name, value in extra.items() if name in reading.starts}
    # Most rows need no closer check, and planning reads all rows.
    if all(_is_simple(value) for value in extra.values()) and "".join(extra).isascii():
        return extra
    if not _is_flat_enough(extra):
        raise BadRow(_DEEP)
    try:
        _whole_unicode(json.dumps(extra, ensure_ascii=False, allow_nan=False))
    except ValueError:  # 1e999 is valid JSON
        raise BadRow("a number that is not finite, or too long") from None
    return {name: _within_64_bits(value) for name, value in extra.items()}


def prompt_of(
    row: Mapping[str, Any],
    *,
    row_id: str,
    settings: GenerationSettings,
    reading: InputSettings | None = None,
) -> Prompt:
    """Makes a prompt of a row's fields; a null field counts as missing.

    Args:
        row: the fields by name.
        row_id: names the prompt if the row has no `id`.
        settings: the run's settings, which fields of the row override.
        reading: how prompt files are read.

    Raises:
        BadRow: the row has no prompt, or a field cannot be used.
    """
    row = {name: value for name, value in row.items() if value is not None}
    extra = carried(row, reading)
    numbers = source = None
    if reading is not None and reading.starts:
        numbers = _numbers_taken(row, reading.context)
        source = _source(row) if reading.source else None
        row.setdefault("prompt", "")
    if "prompt" not in row:
        found = f". Found: {_shown(', '.join(map(str, row)))}" if row else ""
        wanted = "prompt" if reading is None else reading.prompt_column
        raise BadRow(f"no field '{wanted}'{found}")
    own = {name: row[name] for name in SETTINGS if name in row}
    if "temperature" in own:
        value = own.pop("temperature")
        own["temperatures"] = tuple(value) if isinstance(value, list) else (value,)
    if "stop" in own:
        own["stop"] = tuple(own["stop"]) if isinstance(own["stop"], list) else (own["stop"],)
    try:
        merged = replace(settings, **own) if own else None
        hash(merged)
    except SettingError as error:
        raise BadRow(setting_reason(error)) from None
    except TypeError as error:
        raise BadRow(str(error)) from None
    name = row.get("id", row_id)
    if isinstance(name, int) and not isinstance(name, bool) and abs(name) < 2**64:
        name = str(name)
    return checked(Prompt(name, row["prompt"], merged, extra, row_id, numbers, source))


def checked(prompt: Prompt) -> Prompt:
    """Returns the prompt if its id and text can be used.

    Raises:
        BadRow: they cannot.
    """
    if not isinstance(prompt.text, str):
        raise BadRow(f"prompt must be a text. Received: {_shown(prompt.text)}")
    if not isinstance(prompt.id, str) or not 0 < len(prompt.id) <= _MOST_ID:
        raise BadRow(
            f"id must be a text of 1 to {_MOST_ID} characters. Received: {_shown(prompt.id)}"
        )
    _whole_unicode(prompt.id)
    _whole_unicode(prompt.text)
    if len(prompt.text.encode()) > MOST_BYTES:
        raise BadRow(f"longer than {MOST_BYTES:,} bytes")
    if prompt.text.strip(_BLANK) or (prompt.context is None and prompt.source is None):
        _written(prompt.text)
    return prompt


def _source(row: dict[str, Any]) -> str:
    """Gives what texts are written from.

    Raises:
        BadRow: it is missing, or no text.
    """
    if SOURCE not in row:
        found = f". Found: {_shown(', '.join(map(str, row)))}" if row else ""
        raise BadRow(f"no field '{SOURCE}', which the model writes from{found}")
    source = row[SOURCE]
    if not isinstance(source, str):
        raise BadRow(f"{SOURCE} must be a text. Received: {_shown(source)}")
    _whole_unicode(source)
    if not source.strip(_BLANK):
        raise BadRow(f"{SOURCE} is empty")
    if "\0" in source:
        raise BadRow(f"a NUL character in {SOURCE}")
    return source


def _numbers_taken(row: dict[str, Any], context: Sequence[str]) -> array[float] | None:
    """Takes the numbers that texts start from out of a row's fields; None if there are none.

    Raises:
        BadRow: a field is missing, or holds no numbers.
    """
    if not context:
        return None
    missing = next((name for name in context if name not in row), None)
    if missing is not None:
        found = f". Found: {_shown(', '.join(map(str, row)))}" if row else ""
        raise BadRow(f"no field '{missing}', which holds what texts start from{found}")
    return _numbers([row.pop(name) for name in context], " ".join(context))


def _numbers(cells: list[Any], named: str, *, texts: bool = False) -> array[float]:
    try:
        return array("f", numbers_of(cells, texts=texts).tobytes())
    except ValueError as error:
        raise BadRow(f"{named} {error}") from None


def setting_reason(error: SettingError) -> str:
    """Says why a row's setting is refused."""
    return error.said(error.field, shown=_shown(error.received))


def _is_simple(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return value.isascii()
    return value is None or kind is bool or (kind is int and -(2**63) <= value < 2**63)


_DEEP = f"values nested more than {_MOST_DEPTH} deep"


def _is_flat_enough(value: Any) -> bool:
    level = [value]
    for _ in range(_MOST_DEPTH + 2):
        inner = [list(v.values()) if isinstance(v, dict) else v for v in level]
        level = [v for values in inner if isinstance(values, list) for v in values]
        if not level:
            return True
    return False


def _within_64_bits(value: Any) -> Any:
    """Turns larger whole numbers into texts, as most readers of JSON cannot hold them."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, dict):
        return {name: _within_64_bits(inner) for name, inner in value.items()}
    return [_within_64_bits(inner) for inner in value] if isinstance(value, list) else value


def _number(name: str, cell: str) -> int | float:
    if re.fullmatch(r"[-+]?[0-9]{1,18}(?:\.0*)?", cell) and NUMBERS[name] is int:
        return int(float(cell)) if "." in cell else int(cell)
    if NUMBERS[name] is float and cell.isascii() and "_" not in cell:
        with contextlib.suppress(ValueError):
            return float(cell)
    raise BadRow(f"{name} must be a number. Received: {_shown(cell)}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def _decoded(raw: bytes, encoding: str | None = None) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"UTF-8 at byte {error.start}" if encoding is None else encoding
        raise BadRow(f"not valid {where}; --encoding says what a file is") from None


def _written(text: str) -> str:
    if not text.strip(_BLANK):
        raise BadRow("empty")
    if "\0" in text:
        raise BadRow("a NUL character; if the file is UTF-16, say --encoding utf-16-le")
    return text


def _whole_unicode(text: str) -> None:
    # JSON can express half of a surrogate pair, which no file can hold.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRow(f"half a surrogate pair at character {error.start}") from None


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists without end
        text = f"a very long {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
