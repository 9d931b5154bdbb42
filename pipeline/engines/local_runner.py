"""textmill's local runner: worker processes on this machine, without waiting for a dead one."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import (
    PipelineOptions,
)
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from textmill.model.machine import cores
from textmill.model.own_folder import own_folder
from textmill.pipeline.engines.local_worker import LEASH

_END_SECONDS = 15.0  # time for worker processes to end after the run


class WorkerDied(Exception):
    """A worker process ended before its work did."""


def default_workers() -> int:
    """Gives one process for each core; with a GPU only one process, which owns it."""
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return 1
    return cores()


class LocalRunner(fn_runner.FnApiRunner):
    """Beam's FnApiRunner with textmill's own worker processes.

    DirectRunner would choose one of three engines, depending on the machine and the pipeline.
    FnApiRunner alone gives its worker processes no options, waits for ever for one that died, and
    does not end the others. `--direct_num_workers` says how many there are.
    """

    def __init__(self) -> None:
        self.on_death: Callable[[], None] = lambda: None  # called before the others are ended
        self.buckets = True  # whether workers may need files in buckets
        super().__init__()

    def run_pipeline(self, pipeline: Any, options: PipelineOptions) -> Any:
        """Runs the pipeline to its end.

        Raises:
            WorkerDied: a worker process ended by itself; the others are ended too.
        """
        with own_folder() as folder:
            return self._run_in(folder, pipeline, options)

    def _run_in(self, folder: Path, pipeline: Any, options: PipelineOptions) -> Any:
        leash = folder / LEASH
        leash.touch()
        # A shell reads the command; with exec the worker is this process's child.
        module = "textmill.pipeline.engines.local_worker"
        worker = [sys.executable, "-P", "-m", module, str(folder), str(os.getpid())]
        command = shlex.join([*worker, "--buckets"] if self.buckets else worker)
        self._default_environment = SubprocessSDKEnvironment.from_command_string(f"exec {command}")
        encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
        self._provision_info = fn_runner.ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        )
        outcome: Future[Any] = Future()
        before = set(threading.enumerate())

        def run() -> None:
            try:
                result = super(LocalRunner, self).run_pipeline(pipeline, options)
            except BaseException as error:
                settle(outcome.set_exception, error)
            else:
                settle(outcome.set_result, result)

        def thread_failed(args: threading.ExceptHookArgs) -> None:
            # Beam waits for each worker in a thread of this name, which raises if the worker died.
            # Other threads then raise errors about closed channels, which are not of interest.
            if args.thread is not None and args.thread.name == "run_worker":
                if not outcome.done():
                    self.on_death()
                settle(outcome.set_exception, WorkerDied(str(args.exc_value)))

        hook, threading.excepthook = threading.excepthook, thread_failed
        try:
            # The run is in a thread, so that neither a dead worker nor a signal waits for its end.
            threading.Thread(target=run, daemon=True).start()
            return outcome.result()
        finally:
            leash.unlink()
            mine = set(threading.enumerate()) - before
            until = time.monotonic() + _END_SECONDS
            for thread in mine:
                if thread.name == "run_worker":
                    thread.join(max(0.0, until - time.monotonic()))
            threading.excepthook = hook


@contextlib.contextmanager
def quiet_threads() -> Iterator[None]:
    """Keeps threads that a runner starts from printing errors; the caller gets the run's errors.

    Threads of a failed run find their channels closed, even after its end, and would print that.
    """
    before, hook = set(threading.enumerate()), threading.excepthook
    threading.excepthook = lambda args: hook(args) if args.thread in before else None
    try:
        yield
    finally:
        mine = set(threading.enumerate()) - before
        threading.excepthook = lambda args: None if args.thread in mine else hook(args)


def settle(set_outcome: Callable[[Any], None], value: Any) -> None:
    """Sets a future's outcome, unless another thread was first."""
    with contextlib.suppress(InvalidStateError):
        set_outcome(value)
