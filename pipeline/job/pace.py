"""Measures how fast a worker does pieces of a run; works on the worker."""

from __future__ import annotations

import math
import resource
import statistics
import sys
import time
import tracemalloc
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.job.manifest import Output, write_shard
from textmill.pipeline.output.columns import Column
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import LoadedShard, Plan, Rejected, Shard, read_shard
from textmill.pipeline.prompts.reading import InputSettings

_PIECES = 5
_SAMPLE_ROWS, _SAMPLE_SHARDS = 4096, 8


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a worker does pieces of the run, in one process with one thread.

    Attributes:
        load: seconds until a worker begins its first shard: TensorFlow, model, compiling.
        idle: seconds for each shard besides its words: reading (a compressed file is read from its
            start) and slots that stay empty while the last texts are drawn.
        word: seconds for each word asked for, writing included.
        drawn: words drawn for each word asked for, because texts may end early.
        kept: texts for each text asked for, because rows may be rejected.
        rejected: share of rows that are rejected.
        spread: standard deviation of `word` between pieces, divided by its mean.
        memory: peak memory of the process with a piece of `texts` texts, in bytes.
        texts: number of texts of a piece.
        text: bytes that each further text of a shard takes.
        took: seconds of the whole measurement.
    """

    load: float
    idle: float
    word: float
    drawn: float
    kept: float
    rejected: float
    spread: float
    memory: int
    texts: float
    text: float
    took: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a worker needs to measure its pace.

    Attributes:
        model_dir: the model directory.
        fingerprint: the model's fingerprint.
        settings: what is drawn.
        reading: how prompt files are read.
        form: how the output is written.
        columns: columns of the output.
        sampled: shards that rows are taken from, and how many of each.
        rows: mean number of rows of a shard.
        texts: about how many texts a shard has.
        scratch: where pieces are written.
        versions: the launcher's versions.
        seconds: about how long to measure; at least three pieces are made.
    """

    model_dir: str
    fingerprint: str
    settings: GenerationSettings
    reading: InputSettings
    form: Format
    columns: tuple[Column, ...]
    sampled: tuple[tuple[Shard, int], ...]
    rows: float
    texts: int
    scratch: str
    versions: dict[str, str]
    seconds: float


def sampled_shards(planned: Plan) -> tuple[tuple[Shard, int], ...]:
    """Chooses shards, and numbers of their rows, so that each row is equally likely."""
    if planned.rows <= _SAMPLE_ROWS:
        return tuple((shard, shard.rows) for shard in planned.shards)
    rows = np.array([shard.rows for shard in planned.shards])
    random = np.random.default_rng(0)
    chosen = random.choice(len(rows), size=_SAMPLE_SHARDS, p=rows / rows.sum())
    each = _SAMPLE_ROWS // _SAMPLE_SHARDS
    return tuple(
        (planned.shards[i], each * int(np.sum(chosen == i))) for i in sorted(set(chosen.tolist()))
    )


def measure(trial: Trial) -> Pace:
    """Makes pieces of a run as a worker would, into a folder that is thrown away.

    Raises:
        TextmillError: no row of the sample is a prompt.
    """
    started = time.monotonic()
    from textmill.pipeline.job.handler import TextModelHandler

    handler = TextModelHandler(
        model_dir=trial.model_dir, fingerprint=trial.fingerprint, settings=trial.settings,
        texts=trial.texts, versions=trial.versions,
    )  # fmt: skip
    generator = handler.load()
    before = time.monotonic()
    sampled, read = _sample(trial)
    reading = time.monotonic() - before
    work = _Pieces(handler, generator, sampled, trial)
    work.make(1)  # compiles
    load = time.monotonic() - started - reading
    first = work.make(work.rows_of(min(generator.slots, trial.texts)))
    each = first.rows * trial.seconds / _PIECES / max(first.seconds, 1e-6)
    rows = int(min(max(each, first.rows), max(trial.rows, first.rows)))
    until = time.monotonic() + trial.seconds
    pieces: list[_Piece] = []
    while len(pieces) < 3 or (len(pieces) < _PIECES and time.monotonic() < until):
        pieces.append(work.make(rows))
    memory = _peak_memory()
    tracemalloc.start()
    try:
        traced = work.make(first.rows)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    asked = sum(piece.asked for piece in pieces)
    paces = [(piece.seconds - piece.idle) / piece.asked for piece in pieces]
    if sum(piece.texts for piece in pieces) == 0:
        raise TextmillError(
            f"none of {len(sampled.rejected) + len(sampled.prompts)} rows looked at can be used: "
            f"{work.reason}"
        )
    return Pace(
        load=load,
        idle=read + sum(piece.idle for piece in pieces) / len(pieces),
        word=sum(piece.seconds - piece.idle for piece in pieces) / asked,
        drawn=sum(piece.words for piece in pieces) / asked,
        kept=sum(piece.texts for piece in pieces) / sum(piece.wanted for piece in pieces),
        rejected=sum(p.rejected for p in pieces) / sum(p.rows for p in pieces),
        spread=statistics.stdev(paces) / statistics.mean(paces),
        memory=memory,
        texts=sum(piece.texts for piece in pieces) / len(pieces),
        text=held / max(traced.texts, 1),
        took=time.monotonic() - started,
    )


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """What a piece of the run took.

    `idle` are the seconds of empty slots; `asked` and `wanted` are the most words and texts that
    its rows ask for.
    """

    rows: int
    seconds: float
    idle: float
    asked: int
    wanted: int
    words: int
    texts: int
    rejected: int


class _Pieces:
    """Makes pieces from sampled rows, again and again: generates, encodes and writes them."""

    def __init__(self, handler: Any, generator: Any, sampled: LoadedShard, trial: Trial):
        self._handler, self._generator, self._settings = handler, generator, trial.settings
        self._output = Output(trial.scratch, trial.form, trial.columns)
        self._sampled, self._next, self._made = sampled, 0, 0
        self.reason = "; ".join({row.reason for row in sampled.rejected[:1]})
        # Prompts and rejected rows are mixed, so that a piece has both.
        rows: list[tuple[tuple[str, int], Any]] = [
            *zip(sampled.places, sampled.prompts, strict=True),
            *(((row.file, row.line), row) for row in sampled.rejected),
        ]
        order = np.random.default_rng(0).permutation(len(rows))
        self._rows = [rows[i] for i in order]

    def rows_of(self, texts: int) -> int:
        """Gives the number of rows that have about `texts` texts."""
        all_texts = sum((p.settings or self._settings).texts for p in self._sampled.prompts)
        return max(1, math.ceil(texts * len(self._rows) / max(all_texts, 1)))

    def make(self, count: int) -> _Piece:
        """Makes the next rows."""
        chosen = [self._rows[(self._next + i) % len(self._rows)] for i in range(count)]
        self._next += count
        prompts = [(place, row) for place, row in chosen if not isinstance(row, Rejected)]
        loaded = LoadedShard(
            replace(self._sampled.shard, number=self._made, rows=count),
            [row for _, row in prompts],
            [place for place, _ in prompts],
            [row for _, row in chosen if isinstance(row, Rejected)],
        )
        self._made += 1
        from textmill.model.generation.generator import Times

        times = self._generator.times = Times()
        started = time.monotonic()
        (done,) = self._handler.run_inference([loaded], self._generator)
        summary = write_shard(done, self._output)
        seconds = time.monotonic() - started
        if done.rejected:
            self.reason = done.rejected[0].reason
        # The plan counts a row that will be rejected like any other.
        own = [prompt.settings or self._settings for prompt in loaded.prompts]
        own += [self._settings] * len(loaded.rejected)
        return _Piece(
            rows=count,
            seconds=seconds,
            idle=times.draw * (1 - times.words / times.slot_steps) if times.slot_steps else 0.0,
            asked=sum(s.texts * s.max_words for s in own),
            wanted=sum(s.texts for s in own),
            words=summary.words,
            texts=summary.records,
            rejected=summary.rejected,
        )


def _sample(trial: Trial) -> tuple[LoadedShard, float]:
    """Reads the sampled rows; also gives the seconds that reading a shard took."""
    random = np.random.default_rng(0)
    prompts, places, rejected = [], [], []
    seconds = 0.0
    for shard, count in trial.sampled:
        started = time.monotonic()
        loaded = read_shard(shard, trial.settings, trial.reading)
        seconds += time.monotonic() - started
        kept = set(random.permutation(shard.rows)[:count].tolist())
        for prompt, place in zip(loaded.prompts, loaded.places, strict=True):
            if place[1] - shard.first in kept:
                prompts.append(prompt)
                places.append(place)
        rejected += [row for row in loaded.rejected if row.line - shard.first in kept]
    first = trial.sampled[0][0]
    return LoadedShard(first, prompts, places, rejected), seconds / len(trial.sampled)


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
