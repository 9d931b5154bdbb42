"""Dataflow: presets of its flags, workers that fit the model, and early checks.

Importing it loads nothing heavy, because the command's options use the presets.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textmill.model.errors import UsageError
from textmill.model.settings import NetworkSettings
from textmill.pipeline.files.filesystem import bucket_location, check_bucket, is_remote

# Each process has one thread: Dataflow starts a process for each vCPU, or one process if a GPU
# needs an owner, and with more threads shards would only wait for each other. Beam is in the image,
# so it need not be staged.
_ALWAYS = (
    "--runner=DataflowRunner",
    "--number_of_worker_harness_threads=1",
    "--sdk_location=container",
)
PRESETS: dict[str, tuple[str, ...]] = {
    "cpu": _ALWAYS,
    "gpu": (
        *_ALWAYS,
        "--experiments=no_use_multiple_sdk_containers",
        "--machine_type=g2-standard-4",
        "--disk_size_gb=60",  # the image with CUDA's libraries has about 10 GB
    ),
    # Spot and ordinary machines together; the job starts within six hours.
    "cheap": (*_ALWAYS, "--flexrs_goal=COST_OPTIMIZED"),
}
_L4 = "accelerator=type:nvidia-l4;count:1;install-nvidia-driver"

_VCPUS = 4  # vCPUs of a worker, unless a machine type is given
_GB = 10**9  # as Beam reads it
# Measured (docs/dataflow.md): a process with TensorFlow and Beam and no model; copies of the
# weights in numpy, in the graph and in the forms of the products; logits with their weights.
_PROCESS_GB, _GPU_PROCESS_GB, _WEIGHTS, _LOGITS, _SLOTS = 1.4, 4.0, 4, 4, 256
_SYSTEM_GB = 1.5  # for the machine and Dataflow itself


@dataclass(frozen=True)
class RemoteJob:
    """A job of the service."""

    id: str
    project: str
    region: str

    @property
    def page(self) -> str:
        """The web page of the job."""
        return (
            f"https://console.cloud.google.com/dataflow/jobs/{self.region}/{self.id}"
            f"?project={self.project}"
        )

    @property
    def stop(self) -> str:
        """The command that stops it."""
        return (
            f"gcloud dataflow jobs cancel {self.id} --region={self.region} --project={self.project}"
        )


def preset_flags(preset: str | None) -> list[str]:
    """Gives Beam's flags of a preset; flags that follow override them."""
    return [] if preset is None else list(PRESETS[preset])


def is_dataflow(runner: Any) -> bool:
    """Tells whether a Beam runner sends its work to Dataflow."""
    return any(kind.__name__ == "DataflowRunner" for kind in type(runner).__mro__)


def check(options: Any, *, model_dir: str, prompts: Sequence[str], out: str) -> None:
    """Refuses a job that would fail minutes later, on machines that cost money.

    Raises:
        UsageError: a path is not a gs:// path, a flag is missing, or workers would have no
            textmill.
    """
    from apache_beam.options.pipeline_options import (
        GoogleCloudOptions,
        SetupOptions,
        WorkerOptions,
    )

    for what, path in (("MODEL", model_dir), *(("--prompts", p) for p in prompts), ("--out", out)):
        if not is_remote(path):
            raise UsageError(
                f"{what} must be a gs:// path, as Dataflow's workers cannot reach this machine: "
                f"'{path}'. gcloud storage cp -r copies files and folders to a bucket"
            )
    cloud = options.view_as(GoogleCloudOptions)
    for flag, value, example in (
        ("--project", cloud.project, "my-project"),
        ("--region", cloud.region, "europe-west1"),
        ("--temp_location", cloud.temp_location or cloud.staging_location, "gs://my-bucket/temp"),
    ):
        if not value:
            raise UsageError(f"after --: Dataflow needs {flag}, such as {flag}={example}")
    for flag in ("temp_location", "staging_location"):
        value = getattr(cloud, flag)
        # Beam would make a bucket of its own if one of these were wrong.
        if value and not re.fullmatch(r"gs://[a-z0-9][\w.-]+(/.*)?", value):
            raise UsageError(f"after --: --{flag} must be a gs:// path. Received: {value}")
    cloud.temp_location = cloud.temp_location or cloud.staging_location
    setup, worker = options.view_as(SetupOptions), options.view_as(WorkerOptions)
    if not (
        worker.sdk_container_image
        or setup.setup_file
        or setup.extra_packages
        or setup.prebuild_sdk_container_engine
    ):
        raise UsageError(
            "after --: workers would have no textmill: name an image that has it with "
            "--sdk_container_image=IMAGE (docker/Dockerfile makes one), or for a trial stage the "
            "sources with --setup_file=./setup.py"
        )


def check_staging(options: Any) -> None:
    """Checks the buckets that a job is staged in; Beam would try for ten minutes, silently.

    Raises:
        TextmillError: a bucket does not exist, or this account may not write to it.
    """
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    FileSystems.set_options(options)  # credentials depend on them
    cloud = options.view_as(GoogleCloudOptions)
    for path in {cloud.temp_location, cloud.staging_location or cloud.temp_location}:
        check_bucket(path)


def fit(options: Any, network: NetworkSettings, *, preset: str | None) -> None:
    """Sets what workers need for a model: machine type, memory and accelerator.

    What the user has set stays. Memory and accelerator are hints of the whole job. As hints of the
    generating step alone they would make Dataflow run reading and writing on another kind of
    workers, and send prompts and texts between the two kinds.
    """
    from apache_beam.options.pipeline_options import (
        DebugOptions,
        GoogleCloudOptions,
        StandardOptions,
        WorkerOptions,
    )

    worker, cloud = options.view_as(WorkerOptions), options.view_as(GoogleCloudOptions)
    debug = options.view_as(DebugOptions)
    gpu = preset == "gpu"
    if preset is not None and worker.machine_type is None:
        # N2's newest processors are all of one kind, so all workers write the same bytes.
        enough = worker_bytes(network, processes=_VCPUS) <= 4 * _GB * _VCPUS
        worker.machine_type = f"n2-{'standard' if enough else 'highmem'}-{_VCPUS}"
        worker.min_cpu_platform = worker.min_cpu_platform or "Intel Ice Lake"
    own = options.view_as(StandardOptions).resource_hints
    services = cloud.dataflow_service_options or []
    accelerated = any(service.startswith("worker_accelerator") for service in services)
    if cloud.flexrs_goal or accelerated:
        return  # Dataflow takes no hints in these cases
    single = debug.lookup_experiment("no_use_multiple_sdk_containers")
    processes = 1 if single else _vcpus(worker.machine_type)
    # A new list, because all options share the parser's default list.
    hints = list(own)
    if not any(re.match("min_?ram=", hint, re.IGNORECASE) for hint in own):
        gigabytes = -(-worker_bytes(network, processes=processes, gpu=gpu) // _GB)
        hints.append(f"min_ram={gigabytes}GB")
    if gpu and not any(hint.startswith("accelerator=") for hint in own):
        hints.append(_L4)
    options.view_as(StandardOptions).resource_hints = hints


def worker_bytes(network: NetworkSettings, *, processes: int, gpu: bool = False) -> int:
    """Gives the memory that a worker machine needs; each process holds a copy of the model."""
    from textmill.model.network.directory import weight_shapes

    weights = sum(4 * math.prod(shape) for shape in weight_shapes(network).values())
    logits = 4 * _SLOTS * network.vocabulary
    process = _GPU_PROCESS_GB if gpu else _PROCESS_GB
    each = process * _GB + _WEIGHTS * weights + _LOGITS * logits
    return int(_SYSTEM_GB * _GB + processes * each)


def job_of(result: Any, options: Any) -> RemoteJob | None:
    """Gives the job of a pipeline's result; None if the runner has none."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    if not getattr(result, "has_job", False):
        return None
    cloud = options.view_as(GoogleCloudOptions)
    return RemoteJob(result.job_id(), cloud.project, cloud.region)


def is_template(options: Any) -> bool:
    """Tells whether the job is only described, so that a Flex Template's launcher starts it."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    return bool(options.view_as(GoogleCloudOptions).template_location)


def far_buckets(options: Any, paths: Sequence[str]) -> list[str]:
    """Finds buckets in another region than the job; traffic between the two costs money and time.

    Buckets whose region this account may not ask for are left out.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    region = options.view_as(GoogleCloudOptions).region
    far = []
    for bucket in sorted({path.split("/")[2] for path in paths if path.startswith("gs://")}):
        with contextlib.suppress(Exception):
            location = bucket_location(bucket).lower()
            if "-" in location and location != region:
                far.append(f"{bucket} ({location})")
    return far


def _vcpus(machine_type: str | None) -> int:
    """Gives the vCPUs of a machine type like n2-standard-4 or n2-custom-4-8192; by default 1."""
    numbers = re.findall(r"-(\d+)", machine_type or "")
    return int(numbers[0]) if numbers else 1
