"""Asks a job service of Beam whether it is there, before anything is sent to it."""

from __future__ import annotations

import socket

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

from textmill.model.errors import TextmillError

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 20.0


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
