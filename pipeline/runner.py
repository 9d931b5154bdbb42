"""Where a pipeline runs: textmill's own local runner, or the one the flags after `--` name."""

from __future__ import annotations

import argparse
import contextlib
import io
import shlex
import sys
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.runners.runner import create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from model.errors import UsageError


class LocalRunner(fn_runner.FnApiRunner):
    """Beam's FnApiRunner with worker processes of our own making that get the pipeline's options.

    DirectRunner would choose among three engines by what it finds and what the pipeline holds;
    FnApiRunner alone gives worker processes no options. `--direct_num_workers` says how many.
    """

    def __init__(self) -> None:
        # A shell reads the command. -P keeps the current folder off the path.
        command = f"{shlex.quote(sys.executable)} -P -m pipeline.worker"
        super().__init__(SubprocessSDKEnvironment.from_command_string(command_string=command))

    def run_pipeline(self, pipeline, options):
        """See the base class."""
        encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
        self._provision_info = fn_runner.ExtendedProvisionInfo(
            beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        )
        return super().run_pipeline(pipeline, options)


def runner_options(flags: Sequence[str], *, workers: int) -> PipelineOptions:
    """Pipeline options of the flags after `--`; without `--runner`, of the local runner.

    Raises:
        UsageError: Beam knows no such flag, or not with that value.
    """
    _refuse_unknown(flags)
    if any(flag == "--runner" or flag.startswith("--runner=") for flag in flags):
        options = PipelineOptions(list(flags))
        _refuse_no_runner(options.view_as(StandardOptions).runner)
        return options
    local = ["--runner=pipeline.runner.LocalRunner", f"--direct_num_workers={workers}"]
    return PipelineOptions([*local, *flags])


def _refuse_no_runner(name: str) -> None:
    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        reason = str(error).split(".")[0]
        raise UsageError(f"after --: there is no runner '{name}' here: {reason}") from None


def _refuse_unknown(flags: Sequence[str]) -> None:
    # Beam itself drops what it does not know with a line in the log.
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for options in PipelineOptions.__subclasses__():
        with contextlib.suppress(argparse.ArgumentError):  # two classes may share a flag
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
