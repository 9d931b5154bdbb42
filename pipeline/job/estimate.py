"""Estimates shards, hours, memory and cost of a run from a few seconds of it (`textmill plan`)."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from textmill.model.errors import SettingError, UsageError
from textmill.model.generation.check_settings import check_settings
from textmill.model.network.directory import load_model
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.launch import HERE, Launch
from textmill.pipeline.engines.versions import versions
from textmill.pipeline.files.filesystem import absolute, local_copy
from textmill.pipeline.job.pace import Pace, Trial, sampled_shards
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import even_shards, plan
from textmill.pipeline.prompts.reading import AS_USUAL, InputSettings

LADDER = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MOST_WORKERS = 100_000
_SECONDS = 6.0  # time to measure


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
    launch: Launch = HERE,
    scratch: str | None = None,
) -> dict[str, Any]:
    """Estimates what a run will take, from its plan and from pieces that a worker makes.

    A small job goes to the engine of the run, so its start, the load of the model and the pace of
    its workers are those that were measured there.

    Args:
        model_dir: as in `generate`.
        prompts: as in `generate`.
        settings: as in `generate`.
        reading: as in `generate`.
        form: as in `generate`.
        workers: numbers of workers to estimate for, each like the one that measured.
        price: price of a worker for an hour, in any currency.
        rows: estimate for one file with this number of rows like those of `prompts`.
        seconds: about how long to measure; at least three pieces are made.
        launch: where the run will be.
        scratch: a folder to make, which the workers reach, and which is removed in the end; None
            means one on this machine.

    Raises:
        TextmillError: model, prompts or engine cannot be used.
    """
    for number in workers:
        if not 1 <= number <= MOST_WORKERS:
            raise SettingError("workers", f"whole numbers from 1 to {MOST_WORKERS:,}", number)
    if price is not None and not (price >= 0 and math.isfinite(price)):
        raise SettingError("price", "a number of at least 0", price)
    if rows is not None and not 1 <= rows <= 10**12:
        raise SettingError("rows", "a whole number from 1 to 10^12", rows)
    started = time.monotonic()
    from textmill.pipeline.engines.engine import Engine  # Beam loads only from here on
    from textmill.pipeline.job.probe import probe

    engine = Engine(replace(launch, workers=1) if not launch.runner_flags else launch)
    if engine.on_dataflow:
        raise UsageError("no machine of Dataflow is started for a plan; leave its flags out")
    if engine.elsewhere and scratch is None:
        raise UsageError(
            f"a plan for {engine.name} needs --scratch DIR: a folder that its workers reach, which "
            "is made for the measurement and removed"
        )
    engine.check(model_dir=model_dir, prompts=prompts, out=scratch or "")
    with local_copy(model_dir) as folder:
        model = load_model(folder)
    check_settings(model, settings)
    before, reading = time.monotonic(), reading.of_model(model)
    planned = plan(prompts, settings, reading)
    plan_seconds = time.monotonic() - before
    launch_seconds = time.monotonic() - started
    words, texts = list(planned.words), planned.texts
    if rows is not None:
        scale = rows / planned.rows
        words = even_shards(rows, max(round(sum(words) * scale), rows))
        texts = round(texts * scale)
        launch_seconds += plan_seconds * (scale - 1)
        plan_seconds *= scale
    texts_a_shard = texts / len(words)
    pace, engine_seconds = probe(
        engine,
        Trial(
            model_dir=absolute(model_dir),
            fingerprint=model.fingerprint,
            settings=settings,
            reading=reading,
            form=form,
            columns=columns_of(
                planned.carried,
                labelled=bool(model.labels),
                own_ids="id" in planned.fields,
                scored=bool(settings.beams),
            ),
            sampled=sampled_shards(planned),
            rows=planned.rows / len(planned.shards),
            texts=round(texts_a_shard),
            scratch=scratch or "",
            versions=versions(),
            seconds=seconds,
        ),
    )
    took = shard_seconds(words, pace)
    memory = round(pace.memory + max(0.0, texts_a_shard - pace.texts) * pace.text)
    start = engine_seconds + pace.load
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
        "launch_seconds": round(launch_seconds, 2),
        "engine": engine.name,
        "engine_seconds": round(engine_seconds, 2),
        "worker": {
            "words_a_second": round(pace.drawn / pace.word),
            "load_seconds": round(pace.load, 2),
            "memory_bytes": memory,
            "spread": round(pace.spread, 3),
        },
        "workers": [
            _row(took, number, launch_seconds, start, memory, price) for number in workers
        ],
    }  # fmt: skip


def _row(
    took: np.ndarray, workers: int, launch: float, start: float, memory: int, price: float | None
) -> dict[str, Any]:
    """Estimates the run with this number of workers; workers without a shard are paid, too."""
    paid = start + makespan(took.tolist(), workers)
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
