"""Prompt files as tests write them, and the rows that are read of them."""

from __future__ import annotations

import bz2

from textmill.model.settings import GenerationSettings
from textmill.pipeline.prompts.planning import plan, read_shard
from textmill.pipeline.prompts.reading import AS_USUAL

SETTINGS = GenerationSettings(max_words=10)


def rows_of(planned, reading=AS_USUAL):
    loaded = [read_shard(shard, SETTINGS, reading) for shard in planned.shards]
    good = [(p.id, p.text) for shard in loaded for p in shard.prompts]
    bad = [(r.file, r.line, r.reason, r.raw) for shard in loaded for r in shard.rejected]
    return good, bad


def written(tmp_path, content: bytes, name="p.txt", reading=AS_USUAL, **wanted):
    (tmp_path / name).write_bytes(content)
    return plan([str(tmp_path / name)], GenerationSettings(**{"max_words": 10, **wanted}), reading)


def loaded_rows(tmp_path, content, name):
    planned = written(tmp_path, content, name)
    good, bad = {}, {}
    for shard in planned.shards:
        loaded = read_shard(shard, SETTINGS)
        good |= {line: p for (_, line), p in zip(loaded.places, loaded.prompts, strict=True)}
        bad |= {row.line: row.reason for row in loaded.rejected}
    assert sorted([*good, *bad]) == list(range(1, planned.rows + 1))
    return good, bad


def compress(data: bytes, ending: str) -> bytes:
    import gzip

    import zstandard

    half = len(data) // 2
    if ending == ".zst":  # two frames
        make = zstandard.ZstdCompressor().compress
        return make(data[:half]) + make(data[half:])
    make = {".gz": gzip.compress, ".bz2": bz2.compress}[ending]
    return make(data[:half]) + make(data[half:])
