"""Takes single rows of a prompt file, for a look at what a model makes of them."""

from __future__ import annotations

import re

from textmill.model.errors import SettingError, UsageError
from textmill.model.network.directory import SavedModel
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.prompts.planning import Rejected, plan, read_shard
from textmill.pipeline.prompts.reading import AS_USUAL

MOST_ROWS = 200


def named_row(named: str, model: SavedModel, settings: GenerationSettings) -> Prompt:
    """Gives a row of a prompt file, with the id that it has in a run of this file.

    Args:
        named: the file, a colon, and the number of the row, from 1.
        model: the model, which says where its numbers are.
        settings: the command's settings, which the row's own override.

    Raises:
        SettingError: it names no row.
        TextmillError: the file cannot be read, or the row is no prompt.
    """
    parts = re.fullmatch("(.+):([0-9]{1,15})", named)
    if parts is None:
        raise SettingError("row", "a file and a row's number, such as rows.jsonl:3", named)
    path, number = parts[1], int(parts[2])
    reading = AS_USUAL.of_model(model)
    planned = plan([path], settings, reading)
    shard = next((s for s in planned.shards if s.first <= number < s.first + s.rows), None)
    if shard is None:
        raise SettingError("row", f"a number from 1 to {planned.rows:,} for {path}", number)
    loaded = read_shard(shard, settings, reading)
    for row in loaded.rejected:
        if row.line == number:
            raise UsageError(_refusal(row))
    places = [line for _, line in loaded.places]
    return loaded.prompts[places.index(number)]


def first_rows(path: str, model: SavedModel) -> list[Prompt]:
    """Gives the first rows of a prompt file, up to `MOST_ROWS`; rows that are no prompts are left.

    Raises:
        TextmillError: the file cannot be read, or no row is a prompt.
    """
    settings, reading = GenerationSettings(), AS_USUAL.of_model(model)
    found: list[Prompt] = []
    rejected: list[Rejected] = []
    for shard in plan([path], settings, reading).shards:
        loaded = read_shard(shard, settings, reading)
        rejected += loaded.rejected
        found += loaded.prompts
        if len(found) >= MOST_ROWS:
            break
    if not found:
        raise UsageError(_refusal(rejected[0]))
    return found[:MOST_ROWS]


def _refusal(row: Rejected) -> str:
    return f"row {row.line:,} of {row.file} is no prompt: {row.reason}"
