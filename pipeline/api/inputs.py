"""Reads prompts and rows from Python objects: texts, rows, data frames, data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from textmill.model.errors import UsageError
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.prompts.reading import AS_USUAL, InputSettings
from textmill.pipeline.prompts.rows import BadRow, prompt_of, value_row

_ALLOWED = (
    "a text, a textmill.Prompt, a row with a field 'prompt', a data frame, a datasets.Dataset, or "
    "an iterable of texts, prompts or rows"
)


def prompts_from(
    data: Any, settings: GenerationSettings, *, column: str, reading: InputSettings = AS_USUAL
) -> Iterator[Prompt]:
    """Makes prompts of any allowed kind of data.

    The id of a text is the text itself; if it comes again, a number such as `(2)` follows.

    Args:
        data: texts, prompts, rows, a data frame or a data set.
        settings: the run's settings, which fields of a row override.
        column: the field of a row, or the column of a frame, that holds the prompt.
        reading: says which fields texts start from, beside the prompt.

    Raises:
        UsageError: the data is of another kind, or a row is not a prompt.
    """
    seen: Counter[str] = Counter()
    for number, item in enumerate(_items(data), start=1):
        if isinstance(item, Prompt):
            yield item
            continue
        if isinstance(item, str):
            yield Prompt(_id_of(item, seen), item)
            continue
        if not isinstance(item, Mapping):
            raise UsageError(f"prompts must be {_ALLOWED}. Received: {type(item).__name__}")
        yield _from_row(item, number, settings, column, reading, seen)


def rows_from(data: Any) -> list[dict[str, Any]] | None:
    """Reads rows of a data frame, a data set or a list of rows; gives None for anything else."""
    if isinstance(data, str | bytes | Mapping):
        return None
    if hasattr(data, "to_dict") and hasattr(data, "columns") and hasattr(data, "index"):  # pandas
        return data.to_dict("records")
    if hasattr(data, "iter_rows"):  # Polars
        return list(data.iter_rows(named=True))
    if hasattr(data, "to_pylist"):  # Arrow
        return data.to_pylist()
    if hasattr(data, "column_names") and hasattr(data, "features"):  # datasets.Dataset
        return [dict(row) for row in data]
    if isinstance(data, Sequence) and data and all(isinstance(row, Mapping) for row in data):
        return [dict(row) for row in data]
    return None


def like(data: Any, rows: list[dict[str, Any]]) -> Any:
    """Turns rows into the same kind of object as `data`, which `rows_from` has read."""
    kind = type(data)
    if hasattr(kind, "from_pylist"):  # Arrow
        return kind.from_pylist(rows)
    if hasattr(kind, "from_list"):  # datasets.Dataset
        return kind.from_list(rows)
    return list(rows) if isinstance(data, Sequence) else kind(rows)


def _items(data: Any) -> Iterable[Any]:
    if isinstance(data, str | Prompt | Mapping):
        return [data]
    rows = rows_from(data)
    if rows is not None:
        return rows
    if isinstance(data, bytes) or not isinstance(data, Iterable):
        raise UsageError(f"prompts must be {_ALLOWED}. Received: {type(data).__name__}")
    return data


def _from_row(
    row: Mapping[str, Any],
    number: int,
    settings: GenerationSettings,
    column: str,
    reading: InputSettings,
    seen: Counter[str],
) -> Prompt:
    if column not in row and not (reading.starts and column == "prompt"):
        found = ", ".join(map(str, row))
        raise UsageError(
            f"row {number} has no field '{column}'. Found: {found}; name the field with column="
        )
    try:
        values = value_row(row)
        if column != "prompt":
            values["prompt"] = values.pop(column)
        prompt = prompt_of(values, row_id=str(number), settings=settings, reading=reading)
    except BadRow as error:
        raise UsageError(f"row {number} is no prompt: {error}") from None
    if values.get("id") is None:
        prompt = replace(prompt, id=_id_of(prompt.text, seen))
    return replace(prompt, row="")


def _id_of(text: str, seen: Counter[str]) -> str:
    seen[text] += 1
    return text if seen[text] == 1 else f"{text} ({seen[text]})"
