"""Spark by Beam's job server: what textmill sets so that each executor has one Python worker.

Importing it loads nothing heavy.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

WORKER = "textmill-worker"  # the command that starts a worker, installed with textmill
# Beam would otherwise start a worker, which loads the model, for each unit of work.
CACHE_MILLISECONDS = "600000"


def complete(options: Any, runner: str) -> None:
    """Sets what the user has not set: where workers come from, and how long they live.

    With `--runner=SparkRunner`, and wherever the environment is PROCESS, executors start
    `textmill-worker` and keep it. A Spark inside the job server (`--spark_master_url=local[2]`)
    keeps Beam's own default, the launcher's process.

    Args:
        options: Beam's options.
        runner: the name of the runner, as after `--runner=`.
    """
    from apache_beam.options.pipeline_options import PortableOptions, SparkRunnerOptions

    portable = options.view_as(PortableOptions)
    on_spark = runner.rpartition(".")[2].lower() == "sparkrunner"
    if on_spark and portable.environment_type is None:
        inside = options.view_as(SparkRunnerOptions).spark_master_url.startswith("local")
        if not inside or portable.job_endpoint:
            portable.environment_type = "PROCESS"
    process = (portable.environment_type or "").upper() == "PROCESS"
    if process and not (portable.environment_config or portable.environment_options):
        portable.environment_options = [f"process_command={worker_command()}"]
    if (process or on_spark) and not int(portable.environment_cache_millis):
        portable.environment_cache_millis = CACHE_MILLISECONDS


def worker_command() -> str:
    """Gives the path of `textmill-worker` here, as workers mostly have textmill at the same place.

    If it is not installed here, it is the bare name, which executors look for in their PATH.
    """
    beside = Path(sys.executable).with_name(WORKER)
    return str(beside) if beside.exists() else shutil.which(WORKER) or WORKER
