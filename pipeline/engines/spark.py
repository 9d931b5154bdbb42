"""Spark by Beam's job server: what textmill sets so that each executor has one Python worker.

Importing it loads nothing heavy.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from textmill.model.errors import UsageError
from textmill.pipeline.engines.versions import versions

WORKER = "textmill-worker"  # the command that starts a worker, installed with textmill
VERSIONS, OUT = "TEXTMILL_VERSIONS", "TEXTMILL_OUT"  # environment variables of workers
# Beam would otherwise start a worker, which loads the model, for each unit of work.
_CACHE_MILLISECONDS = "600000"


def complete(options: Any, runner: str) -> None:
    """Sets what the user has not set: where workers come from, and how long they live.

    With `--runner=SparkRunner`, and wherever the environment is PROCESS, executors start
    `textmill-worker` and keep it. A Spark inside the job server that Beam starts
    (`--spark_master_url=local[2]`) keeps Beam's own default, the launcher's process.

    Args:
        options: Beam's options.
        runner: the name of the runner, as after `--runner=`.

    Raises:
        UsageError: there is no such jar.
    """
    from apache_beam.options.pipeline_options import PortableOptions, SparkRunnerOptions

    portable, own = options.view_as(PortableOptions), options.view_as(SparkRunnerOptions)
    jar = own.spark_job_server_jar
    if jar is not None and "://" not in jar and not Path(jar).is_file():
        raise UsageError(f"after --: there is no --spark_job_server_jar {jar}")
    on_spark = runner.rpartition(".")[2].lower() == "sparkrunner"
    if on_spark and portable.environment_type is None:
        inside = own.spark_master_url.startswith("local")
        if not inside or portable.job_endpoint:
            portable.environment_type = "PROCESS"
    process = _is_process(portable)
    if process and not (portable.environment_config or portable.environment_options):
        portable.environment_config = json.dumps({"command": worker_command()})
    if (process or on_spark) and str(portable.environment_cache_millis) == "0":
        portable.environment_cache_millis = _CACHE_MILLISECONDS


def tell_workers(options: Any, *, out: str) -> None:
    """Puts the launcher's versions and the run's directory into the environment of workers.

    `textmill-worker` compares the versions before it loads anything, and leaves a note on why it
    cannot work: from a worker that ends at once, Spark tells no more than its exit status.

    Args:
        options: Beam's options, completed.
        out: the directory of the run, as workers find it.

    Raises:
        UsageError: the environment has no command.
    """
    from apache_beam.options.pipeline_options import PortableOptions

    portable = options.view_as(PortableOptions)
    if not _is_process(portable):
        return
    if portable.environment_config:
        try:
            config = json.loads(portable.environment_config)
        except ValueError:
            config = None
        command = config.get("command") if isinstance(config, dict) else None
    else:
        command = portable.lookup_environment_option("process_command")
        variables = portable.lookup_environment_option("process_variables")
        pairs = [pair.partition("=") for pair in (variables or "").split(",") if pair]
        config = {"command": command, "env": {name: value for name, _, value in pairs}}
    if not isinstance(command, str) or not command:
        raise UsageError(
            "after --: --environment_type=PROCESS needs the command that starts a worker, such as "
            f"--environment_options=process_command=/path/to/{WORKER}"
        )
    told = {VERSIONS: json.dumps(versions()), OUT: out}
    config["env"] = {**told, **(config.get("env") or {})}
    portable.environment_config, portable.environment_options = json.dumps(config), None


def worker_command() -> str:
    """Gives the path of `textmill-worker` here, as workers mostly have textmill at the same place.

    If it is not installed here, it is the bare name, which executors look for in their PATH.
    """
    beside = Path(sys.executable).with_name(WORKER)
    return str(beside) if beside.exists() else shutil.which(WORKER) or WORKER


def _is_process(portable: Any) -> bool:
    return (portable.environment_type or "").upper() == "PROCESS"
