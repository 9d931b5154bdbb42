"""Generates a directory of texts from prompt files and a model."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from textmill.model.errors import TextmillError
from textmill.model.generation.check_settings import check_settings
from textmill.model.network.directory import SavedModel, load_model
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.dataflow import RemoteJob
from textmill.pipeline.engines.launch import HERE, Launch
from textmill.pipeline.engines.versions import versions
from textmill.pipeline.files.filesystem import absolute, local_copy
from textmill.pipeline.files.parallel import parallel
from textmill.pipeline.job.manifest import (
    Output,
    ShardSummary,
    folded,
    read_manifest,
    write_manifest,
)
from textmill.pipeline.job.notes import models_loaded
from textmill.pipeline.job.progress import Counts, pause
from textmill.pipeline.job.resumable_run import RunDirectory
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Plan, plan
from textmill.pipeline.prompts.reading import AS_USUAL, InputSettings
from textmill.pipeline.prompts.unchanged import NEW_DIRECTORY, check_unchanged

if TYPE_CHECKING:
    from textmill.pipeline.engines.engine import Engine

# Called about once a second with what is done, and with the number of rows.
Progress = Callable[[Counts, int], None]

JSONL = Format()


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that decides a run's output, and where the output goes."""

    model_dir: str
    fingerprint: str
    settings: GenerationSettings
    reading: InputSettings
    plan: Plan
    output: Output

    def header(self) -> dict[str, Any]:
        """Gives what the manifest says of the job."""
        return {
            "model": self.fingerprint,
            "settings": self.settings.record(),
            "input": self.reading.record(),
            "output": asdict(self.output.form),
            "prompts": [asdict(file) for file in self.plan.files],
            "columns": [asdict(column) for column in self.output.columns],
            "versions": versions(),
            "shard_count": len(self.plan.shards),
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run, or one that was only sent to its runner.

    Attributes:
        manifest: the manifest of the whole run; empty if the call did not wait for its end.
        seconds: seconds that this call took.
        words: number of words that this call drew.
        job: the service's name for the job, if any.
        models_loaded: number of workers that loaded the model; None if it is not known.
    """

    manifest: dict[str, Any]
    seconds: float
    words: int
    job: str | None = None
    models_loaded: int | None = None

    @property
    def rejected_share(self) -> float:
        """Share of rows that are rejected; 0 while it is not known."""
        if not self.manifest:
            return 0.0
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
    launch: Launch = HERE,
    resume: bool = False,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Generates texts for every prompt into a new directory, or goes on with a stopped run.

    Args:
        model_dir: the model directory.
        prompts: files or patterns, also on Beam's file systems.
        out: the directory of the output, also on Beam's file systems.
        settings: what is drawn for each prompt.
        reading: how the prompt files are read.
        form: how the output is written.
        launch: where the job runs.
        resume: whether `out` may hold a stopped run of the same model, prompts and settings; then
            only the missing part is made.
        progress: called with what is done.
        warn: called with a line that is worth knowing but is not an error.

    Raises:
        Interrupted: Ctrl-C stopped the run; finished shards are kept.
        TextmillError: model, prompts or output cannot be used, or a worker failed.
    """
    from textmill.pipeline.engines.engine import Engine  # Beam loads only from here on

    started = time.monotonic()
    engine = Engine(launch)
    engine.check(model_dir=model_dir, prompts=prompts, out=out)
    with local_copy(model_dir) as folder:
        model = load_model(folder)
    check_settings(model, settings)
    far = engine.fit(model.network, places=[model_dir, *prompts, out])
    if far:
        warn(f"not in the job's region: {', '.join(far)}; what is read from there costs more")
    job = _job(model, model_dir, prompts, out, settings, reading, form)
    directory = RunDirectory(job.output, job.header(), resume=resume, warn=warn)
    sent: list[RemoteJob] = []
    ran = _Ran()
    try:
        if not directory.finished:
            if resume:
                engine.take_over(out)
            ran = _carry_out(job, engine, directory, sent, progress, warn)
        known = engine.wait or directory.finished
        manifest = read_manifest(out) if known else {}
    except KeyboardInterrupt:
        raise Interrupted(_interrupted(directory, job, sent)) from None
    except TextmillError as error:
        if NEW_DIRECTORY in str(error):
            raise
        raise TextmillError(f"{error}. {_GO_ON}") from error
    finally:
        directory.release(finished=directory.finished)
    words = manifest["counts"]["words"] - ran.words_before if manifest and ran.happened else 0
    return Outcome(
        manifest=manifest,
        seconds=time.monotonic() - started,
        words=words,
        job=sent[0].id if sent else None,
        models_loaded=ran.models_loaded,
    )


def _job(
    model: SavedModel,
    model_dir: str,
    prompts: Sequence[str],
    out: str,
    settings: GenerationSettings,
    reading: InputSettings,
    form: Format,
) -> Job:
    """Plans the prompts, which decides the columns of the output."""
    reading = reading.of_model(model)
    planned = plan(prompts, settings, reading)
    columns = columns_of(
        planned.carried,
        labelled=bool(model.labels),
        own_ids="id" in planned.fields,
        scored=bool(settings.beams),
    )
    return Job(
        model_dir=absolute(model_dir),
        fingerprint=model.fingerprint,
        settings=settings,
        reading=reading,
        plan=planned,
        output=Output(absolute(out), form, columns),
    )


@dataclass(frozen=True, kw_only=True)
class _Ran:
    """What a call did.

    Attributes:
        happened: whether there was anything to do.
        words_before: words of the shards that were finished before.
        models_loaded: see `Outcome`.
    """

    happened: bool = False
    words_before: int = 0
    models_loaded: int | None = None


def _carry_out(
    job: Job,
    engine: Engine,
    directory: RunDirectory,
    sent: list[RemoteJob],
    progress: Progress | None,
    warn: Callable[[str], None],
) -> _Ran:
    """Makes the missing shards; puts a service's job into `sent` as soon as it exists."""
    from textmill.model.machine import cpu_kind
    from textmill.pipeline.job.running import run_to_end

    def tell(remote: RemoteJob) -> None:
        sent.append(remote)
        warn(f"job {remote.id}: {remote.page}")

    # The CPUs of Dataflow's workers are not known here.
    machine = None if engine.on_dataflow else cpu_kind()
    done = directory.done(job.plan.shards, machine=machine)
    pipeline = engine.pipeline()
    build(pipeline, job, done)
    with _watch(directory, job.plan.rows, progress):
        run_to_end(
            pipeline, out=directory.out, dead=directory.working_on, wait=engine.wait, tell=tell
        )
    return _Ran(
        happened=True,
        words_before=sum(summary.words for summary in done),
        models_loaded=models_loaded(directory.out) if engine.wait else None,
    )


def _interrupted(directory: RunDirectory, job: Job, sent: Sequence[RemoteJob]) -> str:
    stand = f"{directory.count()} of {len(job.plan.shards)} shards are finished. {_GO_ON}"
    if sent:
        stand = f"job {sent[0].id} goes on without this command; {sent[0].stop} stops it. {stand}"
    return f"interrupted; {stand}"


_GO_ON = "The same command with --resume goes on"


class Interrupted(TextmillError):
    """Raised if the run was stopped from outside; it can go on later."""

    status = 130


def build(pipeline: Any, job: Job, done: Sequence[ShardSummary] = ()) -> None:
    """Builds the pipeline: each shard is read, generated and written on one of the workers.

    Args:
        pipeline: an empty pipeline.
        job: the job.
        done: shards that an earlier run has finished.
    """
    import apache_beam as beam

    from textmill.pipeline.job.beam_steps import Collect, GenerateShards

    kept = folded(done)  # it travels in the graph
    numbers = {summary.number for summary in kept}
    missing = [shard for shard in job.plan.shards if shard.number not in numbers]
    output, header, rows = job.output, job.header(), job.plan.rows
    inputs = {(shard.path, shard.mark, shard.sha256) for shard in job.plan.shards}

    def finish(summaries: list[ShardSummary]) -> None:
        with parallel(lambda each: check_unchanged(*each), sorted(inputs)) as checked:
            list(checked)
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
        | "Collect" >> beam.CombineGlobally(Collect())
        | "Manifest" >> beam.Map(finish)
    )


class _watch:
    """Reports progress from the notes in the output directory, which works with any runner."""

    def __init__(self, directory: RunDirectory, rows: int, progress: Progress | None):
        self._directory, self._rows, self._progress = directory, rows, progress

    def __enter__(self) -> None:
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
            over = self._over.wait(pause(self._look(self._directory.progress)))
        self._look(self._directory.ended)

    def _look(self, count: Callable[[], Counts]) -> float:
        """Tells what is done, unless the look fails; gives the seconds that it took."""
        started, counts = time.monotonic(), None
        with contextlib.suppress(TextmillError, OSError):
            counts = count()
        took = time.monotonic() - started
        if counts is not None and self._progress is not None:
            self._progress(counts, self._rows)
        return took
