"""Estimates shards, hours, memory and cost of a run from a few seconds of it (`textmill plan`)."""

from __future__ import annotations

import heapq
import math
import resource
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from textmill.model.errors import SettingError, TextmillError
from textmill.model.generation.check_settings import check_settings
from textmill.model.network.directory import load_model
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.versions import versions
from textmill.pipeline.files.filesystem import absolute, local_copy
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import (
    LoadedShard,
    Plan,
    Rejected,
    even_shards,
    plan,
    read_shard,
)
from textmill.pipeline.prompts.reading import AS_USUAL, InputSettings

LADDER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MOST_WORKERS = 100_000
_SECONDS = 6.0  # time to measure, for this many pieces
_PIECES = 5
_SAMPLE_ROWS, _SAMPLE_SHARDS = 4096, 8


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast one worker does pieces of the run, in one process with one thread.

    Attributes:
        start: seconds until a worker begins its first shard: imports, model, compiling.
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
    """

    start: float
    idle: float
    word: float
    drawn: float
    kept: float
    rejected: float
    spread: float
    memory: int
    texts: float
    text: float


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Gives the seconds until all shards are done; the first free worker takes the next shard."""
    free: list[float] = []
    for shard in seconds:
        if len(free) < workers:
            heapq.heappush(free, shard)
        else:
            heapq.heapreplace(free, free[0] + shard)
    return max(free, default=0.0)


def shard_seconds(words: Sequence[int], pace: Pace, *, seed: int = 0) -> np.ndarray:
    """Gives the seconds of each shard from its words, with the spread that was measured."""
    # The factors have a mean of 1 and are never below 0.
    sigma = math.sqrt(math.log1p(pace.spread**2))
    factors = np.random.default_rng(seed).lognormal(-(sigma**2) / 2, sigma, len(words))
    return pace.idle + np.asarray(words) * pace.word * factors


def estimate(
    model_dir: str,
    *,
    prompts: Sequence[str],
    settings: GenerationSettings,
    reading: InputSettings = AS_USUAL,
    form: Format = Format(),  # noqa: B008
    workers: Sequence[int] = LADDER,
    price: float | None = None,
    rows: int | None = None,
    seconds: float = _SECONDS,
) -> dict[str, Any]:
    """Estimates what a run will take, from its plan and from pieces of it that are made here.

    Args:
        model_dir: as in `generate`.
        prompts: as in `generate`.
        settings: as in `generate`.
        reading: as in `generate`.
        form: as in `generate`.
        workers: numbers of workers to estimate for; a worker has one core like this machine's.
        price: price of a worker for an hour, in any currency.
        rows: estimate for one file with this number of rows like those of `prompts`.
        seconds: about how long to measure; at least three pieces are made.

    Raises:
        TextmillError: the model or the prompts cannot be used.
    """
    for number in workers:
        if not 1 <= number <= MOST_WORKERS:
            raise SettingError("workers", f"whole numbers from 1 to {MOST_WORKERS:,}", number)
    if price is not None and not (price >= 0 and math.isfinite(price)):
        raise SettingError("price", "a number of at least 0", price)
    if rows is not None and not 1 <= rows <= 10**12:
        raise SettingError("rows", "a whole number from 1 to 10^12", rows)
    started = time.monotonic()
    # Loads Beam, as the launcher does.
    from textmill.pipeline.engines import engine  # noqa: F401
    from textmill.pipeline.job import beam_steps  # noqa: F401

    beam_seconds = time.monotonic() - started
    with local_copy(model_dir) as folder:
        model = load_model(folder)
    check_settings(model, settings)
    before = time.monotonic()
    planned = plan(prompts, settings, reading)
    plan_seconds = time.monotonic() - before
    words, texts = list(planned.words), planned.texts
    if rows is not None:
        scale = rows / planned.rows
        words = even_shards(rows, max(round(sum(words) * scale), rows))
        texts, plan_seconds = round(texts * scale), plan_seconds * scale
    texts_a_shard = texts / len(words)
    pace = measure(
        model_dir, planned, settings, reading, form, texts=round(texts_a_shard), seconds=seconds
    )
    pace = replace(pace, start=pace.start + beam_seconds)
    took = shard_seconds(words, pace)
    memory = round(pace.memory + max(0.0, texts_a_shard - pace.texts) * pace.text)
    launch = beam_seconds + plan_seconds
    return {
        "rows": planned.rows if rows is None else rows,
        "rejected_share": round(pace.rejected, 4),
        "texts": round(texts * pace.kept),
        "words": round(sum(words) * pace.drawn),
        "shards": len(words),
        "texts_a_shard": round(texts_a_shard),
        "seconds_a_shard": {
            "mean": round(float(took.mean()), 2), "longest": round(float(took.max()), 2)
        },
        "planning_seconds": round(plan_seconds, 2),
        "launch_seconds": round(launch, 2),
        "worker": {
            "words_a_second": round(pace.drawn / pace.word),
            "start_seconds": round(pace.start, 2),
            "memory_bytes": memory,
            "spread": round(pace.spread, 3),
        },
        "workers": [_row(took, number, pace, launch, memory, price) for number in workers],
    }  # fmt: skip


def _row(
    took: np.ndarray, workers: int, pace: Pace, launch: float, memory: int, price: float | None
) -> dict[str, Any]:
    """Estimates the run with this number of workers; workers without a shard are paid, too."""
    paid = pace.start + makespan(took.tolist(), workers)
    row = {
        "workers": workers,
        "shards_a_worker": -(-len(took) // workers),
        "seconds": round(launch + paid, 1),
        "worker_hours": round(workers * paid / 3600, 4),
        "busy_share": round(float(took.sum()) / (workers * paid), 3),
        "memory_bytes": workers * memory,
    }
    if price is not None:
        row["cost"] = round(price * workers * paid / 3600, 4)
    return row


def measure(
    model_dir: str,
    planned: Plan,
    settings: GenerationSettings,
    reading: InputSettings,
    form: Format,
    *,
    texts: int,
    seconds: float = _SECONDS,
) -> Pace:
    """Makes pieces of a run as a worker would, and throws them away.

    Args:
        model_dir: the model directory.
        planned: the plan of the run.
        settings: what is drawn.
        reading: how prompt files are read.
        form: how the output is written.
        texts: about how many texts a shard has.
        seconds: how long to measure.

    Raises:
        TextmillError: no row of the sample is a prompt.
    """
    started = time.monotonic()
    from apache_beam.runners.worker import sdk_worker_main  # noqa: F401  # as workers do

    from textmill.pipeline.job.handler import TextModelHandler

    with local_copy(model_dir) as folder:
        fingerprint = load_model(folder).fingerprint
    handler = TextModelHandler(
        model_dir=absolute(model_dir), fingerprint=fingerprint, settings=settings, texts=texts,
        versions=versions(),
    )  # fmt: skip
    generator = handler.load_model()
    sampled, read = _sample(planned, settings, reading)
    columns = columns_of(
        planned.carried, labelled=bool(generator.model.labels), own_ids="id" in planned.fields
    )
    with tempfile.TemporaryDirectory(prefix="textmill-plan-") as scratch:
        work = _Pieces(handler, generator, sampled, settings, form, columns, scratch)
        work.make(1)  # compiles
        start = time.monotonic() - started
        first = work.make(work.rows_of(min(generator.slots, texts)))
        each = first.rows * seconds / _PIECES / max(first.seconds, 1e-6)
        rows = int(min(max(each, first.rows), max(planned.rows / len(planned.shards), first.rows)))
        until = time.monotonic() + seconds
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
        start=start,
        idle=read + sum(piece.idle for piece in pieces) / len(pieces),
        word=sum(piece.seconds - piece.idle for piece in pieces) / asked,
        drawn=sum(piece.words for piece in pieces) / asked,
        kept=sum(piece.texts for piece in pieces) / sum(piece.wanted for piece in pieces),
        rejected=sum(p.rejected for p in pieces) / sum(p.rows for p in pieces),
        spread=statistics.stdev(paces) / statistics.mean(paces),
        memory=memory,
        texts=sum(piece.texts for piece in pieces) / len(pieces),
        text=held / max(traced.texts, 1),
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

    def __init__(
        self,
        handler: Any,
        generator: Any,
        sampled: LoadedShard,
        settings: GenerationSettings,
        form: Format,
        columns: Any,
        scratch: str,
    ):
        from textmill.pipeline.job.manifest import Output

        self._handler, self._generator, self._settings = handler, generator, settings
        self._output = Output(scratch, form, columns)
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
        from textmill.pipeline.job.manifest import write_shard

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


def _sample(
    planned: Plan, settings: GenerationSettings, reading: InputSettings
) -> tuple[LoadedShard, float]:
    """Samples rows: all, or random rows of some shards, so that each row is equally likely.

    Also gives the seconds that reading a shard took.
    """
    random = np.random.default_rng(0)
    rows = np.array([shard.rows for shard in planned.shards])
    if planned.rows <= _SAMPLE_ROWS:
        wanted = {i: int(count) for i, count in enumerate(rows)}
    else:
        chosen = random.choice(len(rows), size=_SAMPLE_SHARDS, p=rows / rows.sum())
        each = _SAMPLE_ROWS // _SAMPLE_SHARDS
        wanted = {int(i): each * int(np.sum(chosen == i)) for i in sorted(set(chosen))}
    prompts, places, rejected = [], [], []
    seconds = 0.0
    for i, count in wanted.items():
        started = time.monotonic()
        loaded = read_shard(planned.shards[i], settings, reading)
        seconds += time.monotonic() - started
        kept = set(random.permutation(int(rows[i]))[:count].tolist())
        first = planned.shards[i].first
        for prompt, place in zip(loaded.prompts, loaded.places, strict=True):
            if place[1] - first in kept:
                prompts.append(prompt)
                places.append(place)
        rejected += [row for row in loaded.rejected if row.line - first in kept]
    return LoadedShard(planned.shards[0], prompts, places, rejected), seconds / len(wanted)


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
