"""Where a pipeline runs: textmill's own local runner, or the one the flags after `--` name."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shlex
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    StandardOptions,
)
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.runners.runner import PipelineRunner, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from textmill.model.errors import TextmillError, UsageError
from textmill.model.machine import cores

_END_SECONDS = 15.0  # that worker processes have to end once the run is over
_ANSWER_SECONDS = 5.0  # that a job service, or the place Prism is downloaded from, has to answer


class WorkerDied(Exception):
    """A worker process ended before its work did."""


class LocalRunner(fn_runner.FnApiRunner):
    """Beam's FnApiRunner with worker processes of our own making.

    DirectRunner would choose among three engines by what it finds and what the pipeline holds;
    FnApiRunner alone gives worker processes no options, waits for ever for one that died, and
    leaves the others behind. `--direct_num_workers` says how many.
    """

    def __init__(self) -> None:
        self.on_death: Callable[[], None] = lambda: None  # called while the others still live
        super().__init__()

    def run_pipeline(self, pipeline: Any, options: PipelineOptions) -> Any:
        """Runs the pipeline to its end.

        Raises:
            WorkerDied: a worker process ended by itself; the others are ended too.
        """
        descriptor, leash = tempfile.mkstemp(prefix="textmill-leash-")
        os.close(descriptor)
        # A shell reads the command; exec makes the worker our own child.
        command = shlex.join(
            [sys.executable, "-P", "-m", "textmill.pipeline.job.local_worker", leash]
        )
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
                _settle(outcome.set_exception, error)
            else:
                _settle(outcome.set_result, result)

        def thread_failed(args: threading.ExceptHookArgs) -> None:
            # Beam waits for each worker in a thread of this name, which raises when one has died.
            # What other threads then say of closed channels is no news.
            if args.thread is not None and args.thread.name == "run_worker":
                if not outcome.done():
                    self.on_death()
                _settle(outcome.set_exception, WorkerDied(str(args.exc_value)))

        hook, threading.excepthook = threading.excepthook, thread_failed
        try:
            # In a thread, so that neither a dead worker nor a signal has to wait for the run.
            threading.Thread(target=run, daemon=True).start()
            return outcome.result()
        finally:
            os.unlink(leash)
            mine = set(threading.enumerate()) - before
            until = time.monotonic() + _END_SECONDS
            for thread in mine:
                if thread.name == "run_worker":
                    thread.join(max(0.0, until - time.monotonic()))
            threading.excepthook = hook


@contextlib.contextmanager
def quiet_threads() -> Iterator[None]:
    """Threads that a runner starts do not print their errors; those of the run reach its caller.

    Threads of a broken run find their channels closed, after its end too: that is no news.
    """
    before, hook = set(threading.enumerate()), threading.excepthook
    threading.excepthook = lambda args: hook(args) if args.thread in before else None
    try:
        yield
    finally:
        mine = set(threading.enumerate()) - before
        threading.excepthook = lambda args: None if args.thread in mine else hook(args)


class DirectRunner(SwitchingDirectRunner):
    """Beam's DirectRunner, which tries Prism first, without its wait for a network.

    Beam downloads Prism with no limit of time: a network that swallows packets would hold the run
    for ever. Where no answer comes within seconds, the next engine runs at once.
    """

    def run_pipeline(self, pipeline: Any, options: PipelineOptions) -> Any:
        """See `PipelineRunner`."""
        prism = options.view_as(PrismRunnerOptions)
        if prism.prism_location is None and not _prism_at_hand(options):
            prism.prism_location = "no answer from where Prism is downloaded"  # Beam passes it by
        return super().run_pipeline(pipeline, options)


def _prism_at_hand(options: PipelineOptions) -> bool:
    """Whether Prism lies in Beam's cache, or the place that it is downloaded from answers."""
    outcome: Future[bool] = Future()

    def ask() -> None:
        try:
            source = PrismJobServer(options).path_to_binary()
            cached = Path(PrismJobServer.BIN_CACHE, os.path.basename(source)).exists()
            if not cached:
                urlopen(source, timeout=_ANSWER_SECONDS).close()
            _settle(outcome.set_result, True)
        except Exception:
            _settle(outcome.set_result, False)

    # Looking up a name has no limit of its own.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return outcome.result(_ANSWER_SECONDS)
    except TimeoutError:
        return False


def _settle(settle: Callable[[Any], None], value: Any) -> None:
    with contextlib.suppress(InvalidStateError):  # the other thread was first
        settle(value)


def runner_of(
    flags: Sequence[str], *, workers: int | None
) -> tuple[PipelineRunner, PipelineOptions]:
    """The runner that the flags after `--` name, or the local one, and its options.

    Args:
        workers: local processes; None means the cores, or one where there is a GPU.

    Raises:
        UsageError: Beam knows no such flag, not with that value, or not together.
    """
    _refuse_unknown(flags)
    options = PipelineOptions(list(flags))
    name = options.view_as(StandardOptions).runner
    direct = options.view_as(DirectOptions)
    if name is not None:
        if workers is not None:
            raise UsageError(f"--workers is for local runs; --runner={name} has flags of its own")
        _find_job_service(options)
        return _named_runner(name), options
    if direct.direct_running_mode != "in_memory":
        raise UsageError("after --: --direct_running_mode needs --runner=DirectRunner")
    if not any(flag.startswith("--direct_num_workers") for flag in flags):
        direct.direct_num_workers = workers or default_workers()
    return LocalRunner(), options


def default_workers() -> int:
    """One process a core; on a GPU one process in all, which owns it."""
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return 1
    return cores()


def _named_runner(name: str) -> PipelineRunner:
    try:
        runner = create_runner(name)
        return DirectRunner() if type(runner) is SwitchingDirectRunner else runner
    except (ValueError, ImportError, AttributeError) as error:
        if "dataflow" in name.lower() and isinstance(error, ImportError):
            raise UsageError(
                "Dataflow needs Google's packages: pip install -c constraints.txt '.[dataflow]'"
            ) from None
        reason = str(error).split(".")[0]
        raise UsageError(f"after --: there is no runner '{name}' here: {reason}") from None


def _find_job_service(options: PipelineOptions) -> None:
    """Refuses a job service that is not there; Beam would ask again for minutes."""
    endpoint = options.view_as(PortableOptions).job_endpoint
    host, _, port = (endpoint or "").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise TextmillError(
            f"no job service answers at {endpoint} ({error}): start it, or correct --job_endpoint"
        ) from None


def _refuse_unknown(flags: Sequence[str]) -> None:
    # Beam itself drops what it does not know with a line in the log.
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)  # type: ignore[arg-type]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            _, unknown = parser.parse_known_args(list(flags))
    except SystemExit:
        line = said.getvalue().strip().split("\n")[-1].partition("error: ")[2]
        raise UsageError(f"after --: {line}") from None
    if unknown:
        raise UsageError(
            f"after --: Beam has no flag {unknown[0]}; textmill's own flags go before the --"
        )
