"""Chooses where a pipeline runs: textmill's local runner, or the one that the flags name."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import urlopen

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    PrismRunnerOptions,
    StandardOptions,
)
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.runners.runner import PipelineRunner, create_runner

from textmill.model.errors import UsageError
from textmill.model.settings import NetworkSettings
from textmill.pipeline.engines import dataflow, spark
from textmill.pipeline.engines.job_service import cancel_jobs_of, find_job_service
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.engines.local_runner import LocalRunner, default_workers, settle
from textmill.pipeline.files.filesystem import absolute, is_remote

# Runners that do all work on this machine.
_HERE = ("LocalRunner", "DirectRunner", "FnApiRunner", "BundleBasedDirectRunner", "PrismRunner")
ANSWER_SECONDS = 5.0  # time for a job service, or for Prism's download server, to answer


class Engine:
    """The runner and the options that a launch asks for.

    Attributes:
        name: the runner's name.
        is_local: whether processes of this command do the work.
        elsewhere: whether the work may be done on other machines.
        on_dataflow: whether Dataflow does the work.
        wait: whether the call waits for the run's end; a Flex Template's launcher never does.

    Raises:
        UsageError: flags are unknown, or do not go together.
    """

    def __init__(self, launch: Launch):
        flags = [*dataflow.preset_flags(launch.dataflow), *launch.runner_flags]
        self._runner: Any
        self._runner, self._options = runner_of(flags, workers=launch.workers)
        self._preset = launch.dataflow
        self.name = type(self._runner).__name__
        self.is_local = isinstance(self._runner, LocalRunner)
        self.elsewhere = self.name not in _HERE
        self.on_dataflow = dataflow.is_dataflow(self._runner)
        self.wait = launch.wait and not (self.on_dataflow and dataflow.is_template(self._options))
        self._on_dask = is_dask(self.name)
        if launch.dataflow is not None and not self.on_dataflow:
            raise UsageError(f"--dataflow {launch.dataflow} does not go with another --runner")
        if not launch.wait and self.is_local:
            raise UsageError(
                "--no-wait is for runners elsewhere; a local run lives in this command"
            )
        if not launch.wait and self._on_dask:
            raise UsageError("--no-wait does not go with Dask, whose jobs end with their launcher")

    def check(self, *, model_dir: str, prompts: Sequence[str], out: str) -> None:
        """Refuses what would fail minutes later, before anything is read.

        Raises:
            TextmillError: workers could not reach a path, or options do not go together.
        """
        if self.on_dataflow:
            dataflow.check(self._options, model_dir=model_dir, prompts=prompts, out=out)
            dataflow.check_staging(self._options)
        if self.is_local:
            self._runner.buckets = any(map(is_remote, (model_dir, *prompts, out)))
        spark.tell_workers(self._options, out=absolute(out))
        if self._on_dask:
            self._runner.check(self._options, model_dir=model_dir, prompts=prompts, out=out)
        self.pipeline()

    def fit(self, network: NetworkSettings, *, places: Sequence[str]) -> list[str]:
        """Sets what Dataflow's workers need for a model.

        Returns:
            Those buckets of `places` that are in another region than the job.
        """
        if not self.on_dataflow:
            return []
        dataflow.fit(self._options, network, preset=self._preset)
        return dataflow.far_buckets(self._options, places)

    def take_over(self, out: str) -> None:
        """Ends what a launcher that was killed has left on the engine, before a run goes on.

        Args:
            out: the directory of the run.
        """
        if self.elsewhere and not self._on_dask and not self.on_dataflow:
            cancel_jobs_of(self._options, out=absolute(out))

    def pipeline(self) -> beam.Pipeline:
        """Makes a pipeline with its own copy of the present options."""
        try:
            return _Pipeline(runner=self._runner, options=self._options)
        except ValueError as error:  # options that do not go together
            reason = " ".join(str(error).split())
            raise UsageError(f"after --: {reason}") from None


class _Pipeline(beam.Pipeline):
    """A pipeline that is the same in a notebook as in a script.

    In a notebook Beam puts the number of the cell before the label of each step. For that it loads
    its interactive runner, which needs a pandas before version 3.

    Beam makes a temporary folder for steps in other languages, which are not used here.
    """

    def __init__(self, **more: Any):
        super().__init__(**more)
        os.rmdir(self.local_tempdir)

    def apply(self, transform: Any, pvalueish: Any = None, label: str | None = None) -> Any:
        """See `beam.Pipeline`."""
        altering = beam.pipeline.alter_label_if_ipython
        beam.pipeline.alter_label_if_ipython = lambda transform, pvalueish: None
        try:
            return super().apply(transform, pvalueish, label)
        finally:
            beam.pipeline.alter_label_if_ipython = altering


class DirectRunner(SwitchingDirectRunner):
    """Beam's DirectRunner, which tries Prism first, without its long wait for a network.

    Beam downloads Prism without a time limit, so a network that drops packets would stop the run
    for ever. If no answer comes within seconds, the next engine runs at once.
    """

    def run_pipeline(self, pipeline: Any, options: PipelineOptions) -> Any:
        """See `PipelineRunner`."""
        prism = options.view_as(PrismRunnerOptions)
        if prism.prism_location is None and not _prism_at_hand(options):
            prism.prism_location = "no answer from where Prism is downloaded"  # Beam skips Prism
        return super().run_pipeline(pipeline, options)


def _prism_at_hand(options: PipelineOptions) -> bool:
    """Tells whether Prism is in Beam's cache, or its download server answers."""
    outcome: Future[bool] = Future()

    def ask() -> None:
        try:
            source = PrismJobServer(options).path_to_binary()
            cached = Path(PrismJobServer.BIN_CACHE, os.path.basename(source)).exists()
            if not cached:
                urlopen(source, timeout=ANSWER_SECONDS).close()
            settle(outcome.set_result, True)
        except Exception:
            settle(outcome.set_result, False)

    # Looking up a host name has no time limit, so a thread does it.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return outcome.result(ANSWER_SECONDS)
    except TimeoutError:
        return False


def runner_of(
    flags: Sequence[str], *, workers: int | None
) -> tuple[PipelineRunner, PipelineOptions]:
    """Gives the runner that the flags after `--` name, or the local one, and its options.

    Args:
        flags: Beam's flags.
        workers: number of local processes; None means one for each core, or one if there is a
            GPU.

    Raises:
        UsageError: Beam does not know a flag or its value, or flags do not go together.
    """
    refuse_unknown(flags)
    options = PipelineOptions(list(flags))
    name = options.view_as(StandardOptions).runner
    if is_dask(name):
        _dask().dask_checks.check_flags(options)
    direct = options.view_as(DirectOptions)
    if name is not None:
        if workers is not None:
            raise UsageError(f"--workers is for local runs; --runner={name} has flags of its own")
        find_job_service(options)
        spark.complete(options, name)
        return _named_runner(name), options
    if direct.direct_running_mode != "in_memory":
        raise UsageError("after --: --direct_running_mode needs --runner=DirectRunner")
    if not any(flag.startswith("--direct_num_workers") for flag in flags):
        direct.direct_num_workers = workers or default_workers()
    return LocalRunner(), options


def is_dask(name: str | None) -> bool:
    """Tells whether a runner's name, short or dotted, means Beam's DaskRunner."""
    return (name or "").rpartition(".")[2].lower() in ("dask", "daskrunner")


def _dask() -> ModuleType:
    """Loads what Dask needs, whose flags Beam knows from then on."""
    try:
        from textmill.pipeline.engines import dask_engine
    except ImportError as error:
        raise UsageError(
            f"Dask is not installed here ({error}): pip install 'textmill[dask]'"
        ) from None
    return dask_engine


def _named_runner(name: str) -> PipelineRunner:
    if is_dask(name):
        return _dask().DaskRunner()
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


def refuse_unknown(flags: Sequence[str]) -> None:
    # Beam itself ignores flags that it does not know, with a line in the log.
    names = argparse.ArgumentParser(allow_abbrev=False, add_help=False, exit_on_error=False)
    names.add_argument("--runner", nargs="?")
    if is_dask(names.parse_known_args(list(flags))[0].runner):
        _dask()
    else:
        for flag in flags:
            if flag.startswith("--dask_"):
                raise UsageError(f"after --: {flag} needs --runner=DaskRunner")
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
