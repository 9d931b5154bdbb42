"""A record of a prompt file as a prompt, or the reason why it is none."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

from model.errors import SettingError
from model.generator import Prompt
from model.settings import GenerationSettings
from pipeline.inputs import MOST_BYTES, Form, InputSettings, csv_fields
from pipeline.records import plain

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


class BadRow(Exception):
    """Why a record is no prompt."""


def reason_class(reason: str) -> str:
    """A reason without what is particular to its row, so that like ones can be counted."""
    return re.split(r": |\. Received| at (?:byte|character) ", reason, maxsplit=1)[0]


def text_prompt(raw: bytes, *, row_id: str) -> Prompt:
    """A line as a prompt.

    Raises:
        BadRow: as said.
    """
    return Prompt(row_id, _not_blank(_decoded(raw)), row=row_id)


def json_row(raw: bytes) -> dict[str, Any]:
    """A line as a JSON object.

    Raises:
        BadRow: as said.
    """
    text = _decoded(raw)
    if not text.strip():
        raise BadRow("empty")
    try:
        row = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"not valid JSON: {error}") from None
    if not isinstance(row, dict):
        raise BadRow("not a JSON object")
    return row


def table_row(raw: bytes, *, form: Form, columns: Sequence[str]) -> dict[str, Any]:
    """A record of a table by its columns; the empty cell of a setting is as if it were not there.

    Raises:
        BadRow: as said.
    """
    try:
        cells = csv_fields(_decoded(raw), form)
    except csv.Error as error:
        raise BadRow(f"not valid csv: {error}") from None
    if len(cells) != len(columns):
        raise BadRow(f"wrong number of columns: {len(cells)} instead of {len(columns)}")
    row: dict[str, Any] = {}
    for name, cell in zip(columns, cells, strict=True):
        if name in NUMBERS and cell.strip():
            row[name] = _number(name, cell)
        elif cell or name not in (*SETTINGS, "id"):
            row[name] = cell
    return row


def parquet_row(row: Mapping[str, Any] | None) -> dict[str, Any]:
    """A row of a Parquet file; whole numbers may come as floats, as pandas writes them.

    Raises:
        BadRow: as said.
    """
    if row is None:
        raise BadRow("not valid UTF-8")
    values = {name: plain(value) for name, value in row.items()}
    for name, number in NUMBERS.items():
        value = values.get(name)
        if number is int and isinstance(value, float) and value.is_integer():
            values[name] = int(value)
    text = values.get("prompt")
    if isinstance(text, str) and len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise BadRow(f"longer than {MOST_BYTES:,} bytes")
    return values


def prompt_of(
    row: Mapping[str, Any],
    *,
    row_id: str,
    settings: GenerationSettings,
    reading: InputSettings | None = None,
) -> Prompt:
    """A row's fields as a prompt; a null field is as if it were not there.

    Args:
        row_id: names the prompt where the row has no `id`.
        settings: the run's, which fields of the row override.

    Raises:
        BadRow: as said.
    """
    row = {name: value for name, value in row.items() if value is not None}
    if reading is not None and reading.strict:
        for name in row:
            if name not in FIELDS:
                raise BadRow(f"unknown field: {_shown(name)}")
    if "prompt" not in row:
        raise BadRow("no field 'prompt'")
    text = row["prompt"]
    if not isinstance(text, str):
        raise BadRow(f"prompt must be a text. Received: {_shown(text)}")
    _whole_unicode(text)
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
        raise BadRow(
            f"{error.field} must be {error.allowed}. Received: {_shown(error.received)}"
        ) from None
    except TypeError as error:
        raise BadRow(str(error)) from None
    name = row.get("id", row_id)
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not 0 < len(name) <= _MOST_ID:
        raise BadRow(f"id must be a text of 1 to {_MOST_ID} characters. Received: {_shown(name)}")
    _whole_unicode(name)
    extra = {k: v for k, v in row.items() if k not in FIELDS}
    try:
        _whole_unicode(json.dumps(extra, ensure_ascii=False, allow_nan=False))
    except ValueError:  # 1e999 is valid JSON
        raise BadRow("a number too large for a float") from None
    return Prompt(name, _not_blank(text), merged, extra, row_id)


def _number(name: str, cell: str) -> int | float:
    try:
        return NUMBERS[name](cell)
    except ValueError:
        raise BadRow(f"{name} must be a number. Received: {_shown(cell)}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRow(f"not valid UTF-8 at byte {error.start}") from None


def _not_blank(text: str) -> str:
    if not text.strip(_BLANK):
        raise BadRow("empty")
    return text


def _whole_unicode(text: str) -> None:
    # JSON can say half of a surrogate pair, which no file can hold.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRow(f"half a surrogate pair at character {error.start}") from None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
