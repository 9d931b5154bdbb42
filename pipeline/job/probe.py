"""A job of one piece that measures an engine: what it adds, and the pace of a worker there."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace

import apache_beam as beam

from textmill.model.errors import TextmillError
from textmill.pipeline.engines.engine import Engine
from textmill.pipeline.files.filesystem import (
    absolute,
    is_remote,
    join,
    make_directory,
    names,
    read,
    remove,
    write_once,
)
from textmill.pipeline.job.manifest import DONE, REJECTED, RUN
from textmill.pipeline.job.notes import failure_noted
from textmill.pipeline.job.pace import Pace, Trial, measure
from textmill.pipeline.job.running import run_to_end

_PACE = "pace.json"


def probe(engine: Engine, trial: Trial) -> tuple[Pace, float]:
    """Measures a worker's pace on an engine.

    Args:
        engine: the engine.
        trial: what to measure; if its `scratch` is empty, a temporary folder is made.

    Returns:
        The pace, and the seconds of the job beside the measurement: to start, and to end.

    Raises:
        TextmillError: the folder holds something, or the job failed.
    """
    scratch = absolute(trial.scratch or tempfile.mkdtemp(prefix="textmill-plan-"))
    if names(scratch):
        raise TextmillError(f"{scratch} holds files, and --scratch is removed; name another place")
    try:
        make_directory(join(scratch, DONE))
        write_once(join(scratch, RUN), b"{}")  # engines look whether workers see it
        pipeline = engine.pipeline()
        _ = (
            pipeline
            | "Trial" >> beam.Create([replace(trial, scratch=scratch)], reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Measure" >> beam.ParDo(_Measure())
        )
        started = time.monotonic()
        run_to_end(pipeline, out=scratch)
        seconds = time.monotonic() - started
        pace = Pace(**json.loads(read(join(scratch, _PACE))))
    finally:
        _remove(scratch)
    return pace, max(seconds - pace.took, 0.0)


class _Measure(beam.DoFn):
    def process(self, trial: Trial) -> Iterator[int]:
        with failure_noted(trial.scratch):
            pace = measure(trial)
            write_once(join(trial.scratch, _PACE), json.dumps(asdict(pace)).encode())
        yield 1


def _remove(scratch: str) -> None:
    if not is_remote(scratch):
        shutil.rmtree(scratch, ignore_errors=True)
        return
    for folder in (scratch, join(scratch, DONE), join(scratch, REJECTED)):
        for name in names(folder):
            remove(join(folder, name))
