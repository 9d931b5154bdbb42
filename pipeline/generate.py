"""From prompt files and a model to a directory of generated text."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.checks import check_settings
from model.errors import TextmillError, UsageError
from model.saved import load_model
from model.settings import GenerationSettings
from pipeline.directory import RunDirectory, note_done, note_start
from pipeline.prompts import LoadedShard, Plan, Shard, plan, read_shard
from pipeline.shards import (
    GeneratedShard,
    ShardSummary,
    read_manifest,
    write_manifest,
    write_shard,
)

# Says how many shards of how many stand, as often as it likes.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a run is a function of, and where it goes."""

    model_dir: str
    fingerprint: str
    out: str
    settings: GenerationSettings
    plan: Plan

    def header(self) -> dict[str, Any]:
        """The manifest's account of it."""
        return {
            "model": self.fingerprint,
            "settings": asdict(self.settings),
            "prompts": [asdict(file) for file in self.plan.files],
            "versions": {
                name: importlib.metadata.version(name)
                for name in ("textmill", "apache-beam", "tensorflow", "tensorflow-text", "numpy")
            }
            | {"python": platform.python_version()},
            "shard_count": len(self.plan.shards),
        }


@dataclass(frozen=True)
class Outcome:
    """A finished run: its manifest and how long it took in seconds."""

    manifest: dict[str, Any]
    seconds: float

    @property
    def rejected_share(self) -> float:
        """Rejected rows over all rows."""
        counts = self.manifest["counts"]
        return counts["rejected"] / counts["rows"]


def generate(
    model_dir: str,
    *,
    prompts: Sequence[str],
    out: str,
    settings: GenerationSettings,
    workers: int | None = None,
    runner_flags: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Generates texts for every prompt into a new directory, or goes on with a stopped run.

    Args:
        prompts: text files or patterns, a prompt a line.
        workers: local worker processes; None means the cores, or one where there is a GPU.
        runner_flags: Beam's, as after `--`.
        resume: `out` may hold a stopped run of the same model, prompts and settings; only what is
            missing of it is done.
        progress: is told of shards done. warn: is told what is worth knowing and no error.

    Raises:
        Interrupted: by Ctrl-C; what is finished stands.
        TextmillError: model, prompts or output are of no use, or a worker failed.
    """
    from pipeline.handler import cpu_kind
    from pipeline.runner import runner_of  # Beam loads only from here on

    started = time.monotonic()
    runner, options = runner_of(runner_flags, workers=workers)
    pipeline = _pipeline(runner, options)
    model = load_model(model_dir)
    check_settings(model, settings)
    job = Job(
        model_dir=os.path.abspath(model_dir),
        fingerprint=model.fingerprint,
        out=os.path.abspath(out),
        settings=settings,
        plan=plan(prompts, settings),
    )
    directory = RunDirectory(job.out, job.header(), resume=resume, warn=warn)
    try:
        if not directory.finished:
            done = directory.done(job.plan.shards, machine=cpu_kind())
            build(pipeline, job, done)
            with _watch(job, progress):
                _run(pipeline, directory)
        manifest = read_manifest(out)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {directory.count()} of {len(job.plan.shards)} shards stand. {_GO_ON}"
        ) from None
    except TextmillError as error:
        raise TextmillError(f"{error}. {_GO_ON}") from error
    finally:
        directory.release(finished=directory.finished)
    return Outcome(manifest, time.monotonic() - started)


_GO_ON = "The same command with --resume goes on"


class Interrupted(TextmillError):
    """The run was stopped from outside and can go on."""

    status = 130


def _pipeline(runner: Any, options: Any) -> Any:
    import apache_beam as beam

    try:
        return beam.Pipeline(runner=runner, options=options)
    except ValueError as error:  # options that do not go together
        reason = " ".join(str(error).split())
        raise UsageError(f"after --: {reason}") from None


def _run(pipeline: Any, directory: RunDirectory) -> None:
    from pipeline.runner import LocalRunner, WorkerDied

    dead: list[str] = []
    if isinstance(pipeline.runner, LocalRunner):
        pipeline.runner.on_death = lambda: dead.extend(directory.working_on())
    try:
        pipeline.run().wait_until_finish()
    except TextmillError:
        raise
    except WorkerDied as error:
        shard = f" at {' or '.join(dead)}" if dead else ""
        raise TextmillError(
            f"a worker process died{shard} ({error}), perhaps for want of memory; try fewer "
            "--workers"
        ) from error
    except Exception as error:  # whatever a runner wraps a worker's error in
        if str(error).startswith("KeyboardInterrupt"):  # while a step ran in this process
            raise KeyboardInterrupt from error
        raise TextmillError(_first_cause(error)) from error


def build(pipeline: Any, job: Job, done: Sequence[ShardSummary] = ()) -> None:
    """The pipeline: shards are spread over the workers, each read, generated and written there.

    Args:
        done: shards that a run before this one has finished.

    Only shard descriptions and summaries travel between workers, never prompts or texts.
    """
    import apache_beam as beam
    from apache_beam.ml.inference.base import RunInference

    from pipeline.handler import TextModelHandler

    handler = TextModelHandler(
        model_dir=job.model_dir, fingerprint=job.fingerprint, settings=job.settings
    )

    def load(shard: Shard) -> list[LoadedShard]:
        note_start(shard, out)
        return [read_shard(shard, settings)]

    kept = list(done)
    numbers = {summary.number for summary in kept}
    missing = [shard for shard in job.plan.shards if shard.number not in numbers]
    out, header, rows, settings = job.out, job.header(), job.plan.rows, job.settings

    def write(done: GeneratedShard) -> ShardSummary:
        summary = write_shard(done, out)
        note_done(summary, done.shard, out)
        return summary

    def finish(summaries: list[ShardSummary]) -> None:
        write_manifest([*kept, *summaries], out=out, header=header, rows=rows)

    _ = (
        pipeline
        | "Plan" >> beam.Create(missing)
        # Without it the plan and all that follows would be fused onto one worker.
        | "Spread" >> beam.Reshuffle()
        | "Read" >> beam.Map(load)
        | "Generate" >> RunInference(handler.with_no_batching())
        | "Write" >> beam.Map(write)
        | "Collect" >> beam.combiners.ToList()
        | "Manifest" >> beam.Map(finish)
    )


def _first_cause(error: Exception) -> str:
    """The line a worker's error was raised with, out of a runner's account of it."""
    text = str(error)
    found = re.findall(r"(?:TextmillError|SettingError|UsageError): (.+)", text)
    if found:
        return re.sub(r"\\?\s*\[while running .*", "", found[-1])
    last = [line for line in text.strip().split("\n") if line.strip()][-1:]
    return f"the run failed: {type(error).__name__}: {last[0] if last else 'no message'}"


class _watch:
    """Tells progress by the shards that stand in the output directory: true of any runner."""

    def __init__(self, job: Job, progress: Progress | None):
        self._job, self._progress = job, progress

    def __enter__(self) -> None:
        import threading

        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        if self._progress is None:
            return
        total = len(self._job.plan.shards)
        while True:
            over = self._over.wait(0.5)
            self._progress(sum(1 for _ in Path(self._job.out).glob("shard-*")), total)
            if over:
                return
