"""Runs a pipeline on its engine, and turns each failure into one line."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from textmill.model.errors import TextmillError
from textmill.pipeline.engines.dataflow import RemoteJob, job_of
from textmill.pipeline.engines.local_runner import LocalRunner, WorkerDied, quiet_threads
from textmill.pipeline.files.error_causes import first_cause
from textmill.pipeline.job.notes import failure

_CANCEL_SECONDS = 15.0  # time for an engine to cancel a job


def run_to_end(
    pipeline: Any,
    *,
    out: str,
    dead: Callable[[], list[str]] = list,
    wait: bool = True,
    tell: Callable[[RemoteJob], None] = lambda remote: None,
) -> None:
    """Runs a pipeline to its end.

    Args:
        pipeline: the pipeline.
        out: directory with the notes of its workers.
        dead: asked what was under way when a local worker died.
        wait: whether to wait for the end of a job elsewhere.
        tell: called with the job of a service as soon as there is one.

    Raises:
        KeyboardInterrupt: Ctrl-C, also in a step inside this process.
        TextmillError: the run failed; in the words of the worker that failed, if it left a note.
    """
    lost: list[str] = []
    if isinstance(pipeline.runner, LocalRunner):
        pipeline.runner.on_death = lambda: lost.extend(dead())
    try:
        with quiet_threads():
            result = pipeline.run()
            remote = job_of(result, pipeline.options)
            if remote is not None:
                tell(remote)
            if wait:
                _wait(result, cancel=remote is None)
    except TextmillError:
        raise
    except WorkerDied as error:
        shard = f" at {' or '.join(lost)}" if lost else ""
        raise TextmillError(
            f"a worker process died{shard} ({error}), perhaps for want of memory; try fewer "
            "--workers"
        ) from error
    except Exception as error:  # each runner wraps a worker's error in its own way
        if str(error).startswith("KeyboardInterrupt"):  # if a step ran in this process
            raise KeyboardInterrupt from error
        noted = failure(out)
        raise TextmillError(str(noted) if noted else first_cause(error)) from error


def _wait(result: Any, *, cancel: bool) -> None:
    """Waits for a job's end; Ctrl-C cancels it, or the engine would go on without the launcher."""
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        if cancel:
            # A thread, as an engine that is gone may never answer.
            stopping = threading.Thread(target=_cancel, args=(result,), daemon=True)
            stopping.start()
            stopping.join(_CANCEL_SECONDS)
        raise


def _cancel(result: Any) -> None:
    with contextlib.suppress(Exception):  # each runner has its own; the run ends anyway
        result.cancel()
        result.wait_until_finish()
