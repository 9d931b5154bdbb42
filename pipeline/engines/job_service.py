"""Asks a job service of Beam whether it is there, and ends the jobs that a lost launcher left."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from textmill.model.errors import TextmillError

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 20.0
_CANCEL_SECONDS = 60.0  # time for a job to end


def find_job_service(options: PipelineOptions) -> None:
    """Refuses a job service that does not answer; Beam would try again for minutes.

    Raises:
        TextmillError: nothing is at the address, or something else than a job service.
    """
    endpoint = options.view_as(PortableOptions).job_endpoint
    host, _, port = (endpoint or "").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise TextmillError(
            f"no job service answers at {endpoint} ({error}): start it, or correct --job_endpoint"
        ) from None
    with grpc.insecure_channel(endpoint) as channel:
        try:
            beam_job_api_pb2_grpc.JobServiceStub(channel).DescribePipelineOptions(
                beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=_ANSWER_SECONDS
            )
        except grpc.RpcError:
            raise TextmillError(
                f"what answers at {endpoint} is no job service of Beam: correct --job_endpoint "
                "(scripts/spark_cluster.sh says that of its own)"
            ) from None


def cancel_jobs_of(options: PipelineOptions, *, out: str) -> None:
    """Cancels the jobs that write into a directory, and waits for their end.

    A launcher that was killed cannot cancel its job, which goes on. Spark's job server takes one
    job at a time, so a resume would be refused until then.

    Args:
        options: Beam's options, whose environment tells workers the directory, see `spark`.
        out: the directory, as workers find it.
    """
    portable = options.view_as(PortableOptions)
    if not portable.job_endpoint or json.dumps(out) not in str(portable.environment_config):
        return
    with (
        grpc.insecure_channel(portable.job_endpoint) as channel,
        contextlib.suppress(grpc.RpcError),
    ):
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        jobs = service.GetJobs(beam_job_api_pb2.GetJobsRequest(), timeout=_ANSWER_SECONDS)
        for job in jobs.job_info:
            if not _has_ended(job.state) and _writes_into(job, out):
                _cancel(service, job.job_id)


def _writes_into(job: Any, out: str) -> bool:
    """Tells whether the workers of a job were told this directory."""
    for name, value in job.pipeline_options.items():
        if "environment_config" in name:
            with contextlib.suppress(ValueError, AttributeError):
                return out in (json.loads(value).get("env") or {}).values()
    return False


def _cancel(service: Any, job: str) -> None:
    service.Cancel(beam_job_api_pb2.CancelJobRequest(job_id=job), timeout=_ANSWER_SECONDS)
    until = time.monotonic() + _CANCEL_SECONDS
    asked = beam_job_api_pb2.GetJobStateRequest(job_id=job)
    while not _has_ended(service.GetState(asked, timeout=_ANSWER_SECONDS).state):
        if time.monotonic() > until:
            return  # what is sent next is refused in a line
        time.sleep(0.5)


def _has_ended(state: int) -> bool:
    states = beam_job_api_pb2.JobState.Enum
    return state in (states.DONE, states.FAILED, states.CANCELLED, states.DRAINED, states.UPDATED)
