"""From prompt files and a model to a directory of generated text."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model.checks import check_settings
from model.errors import TextmillError, UsageError
from model.saved import load_model
from model.settings import GenerationSettings
from pipeline.directory import Counts, RunDirectory
from pipeline.files import absolute, local_copy
from pipeline.formats import Format
from pipeline.inputs import AS_USUAL, InputSettings
from pipeline.prompts import Plan, plan
from pipeline.records import columns_of
from pipeline.shards import Output, ShardSummary, read_manifest, write_manifest

# Is told what is done, of how many rows, about once a second.
Progress = Callable[[Counts, int], None]

JSONL = Format()


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a run is a function of, and where it goes."""

    model_dir: str
    fingerprint: str
    settings: GenerationSettings
    reading: InputSettings
    plan: Plan
    output: Output

    def header(self) -> dict[str, Any]:
        """The manifest's account of it."""
        return {
            "model": self.fingerprint,
            "settings": asdict(self.settings),
            "input": asdict(self.reading),
            "output": asdict(self.output.form),
            "prompts": [asdict(file) for file in self.plan.files],
            "columns": [asdict(column) for column in self.output.columns],
            "versions": {
                name: importlib.metadata.version(name)
                for name in (
                    "textmill",
                    "apache-beam",
                    "tensorflow",
                    "tensorflow-text",
                    "numpy",
                    "pyarrow",
                )
            }
            | {"python": platform.python_version()},
            "shard_count": len(self.plan.shards),
        }


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        manifest: of all of it. seconds: that this call took. words: that it drew.
    """

    manifest: dict[str, Any]
    seconds: float
    words: int

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
    reading: InputSettings = AS_USUAL,
    form: Format = JSONL,
    workers: int | None = None,
    runner_flags: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Generates texts for every prompt into a new directory, or goes on with a stopped run.

    Args:
        prompts: files or patterns. out: a directory. Both may be on Beam's file systems.
        reading: how the prompt files are read. form: how the output is written.
        workers: local worker processes; None means the cores, or one where there is a GPU.
        runner_flags: Beam's, as after `--`.
        resume: `out` may hold a stopped run of the same model, prompts and settings; only what is
            missing of it is done.
        progress: is told what is done. warn: is told what is worth knowing and no error.

    Raises:
        Interrupted: by Ctrl-C; what is finished stands.
        TextmillError: model, prompts or output are of no use, or a worker failed.
    """
    from model.machine import cpu_kind
    from pipeline.runner import runner_of  # Beam loads only from here on

    started = time.monotonic()
    runner, options = runner_of(runner_flags, workers=workers)
    pipeline = _pipeline(runner, options)
    with local_copy(model_dir) as folder:
        model = load_model(folder)
    check_settings(model, settings)
    planned = plan(prompts, settings, reading)
    columns = columns_of(
        planned.carried, labelled=bool(model.labels), own_ids="id" in planned.fields
    )
    job = Job(
        model_dir=absolute(model_dir),
        fingerprint=model.fingerprint,
        settings=settings,
        reading=reading,
        plan=planned,
        output=Output(absolute(out), form, columns),
    )
    words = 0
    directory = RunDirectory(job.output, job.header(), resume=resume, warn=warn)
    try:
        if not directory.finished:
            done = directory.done(job.plan.shards, machine=cpu_kind())
            words = -sum(summary.words for summary in done)
            build(pipeline, job, done)
            with _watch(directory, planned.rows, progress):
                _run(pipeline, directory)
            words += read_manifest(out)["counts"]["words"]
        manifest = read_manifest(out)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {directory.count()} of {len(job.plan.shards)} shards stand. {_GO_ON}"
        ) from None
    except TextmillError as error:
        raise TextmillError(f"{error}. {_GO_ON}") from error
    finally:
        directory.release(finished=directory.finished)
    return Outcome(manifest, time.monotonic() - started, words)


_LOOK_SECONDS = 1.0
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

    """
    import apache_beam as beam

    from pipeline.steps import GenerateShards

    kept = list(done)
    numbers = {summary.number for summary in kept}
    missing = [shard for shard in job.plan.shards if shard.number not in numbers]
    output, header, rows = job.output, job.header(), job.plan.rows

    def finish(summaries: list[ShardSummary]) -> None:
        write_manifest([*kept, *summaries], output=output, header=header, rows=rows)

    _ = (
        pipeline
        | "Plan" >> beam.Create(missing, reshuffle=False)
        | "Shards"
        >> GenerateShards(
            model_dir=job.model_dir,
            fingerprint=job.fingerprint,
            settings=job.settings,
            texts=job.plan.rows * job.settings.texts // max(len(job.plan.shards), 1),
            reading=job.reading,
            output=output,
        )
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
    """Tells progress by the notes in the output directory: true of any runner."""

    def __init__(self, directory: RunDirectory, rows: int, progress: Progress | None):
        self._directory, self._rows, self._progress = directory, rows, progress

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
        over = False
        while not over:
            self._progress(self._directory.progress(), self._rows)
            over = self._over.wait(_LOOK_SECONDS)
        self._progress(self._directory.progress(), self._rows)
