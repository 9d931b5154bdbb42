"""A worker process of another engine, in Beam's PROCESS environment.

Spark's executors start it as `textmill-worker --id=ID --provision_endpoint=HOST:PORT`. It asks
there for all else, as the `boot` program of Beam's images does, and becomes Beam's SDK harness.

Two processes: the harness, and one that looks after it. If the harness is killed, perhaps for want
of memory, the executor would hand tasks to the dead one until the job fails. So its executor is
killed too, and Spark starts another one and repeats the tasks.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from types import FrameType

from textmill.model.own_folder import own_folder

_ANSWER_SECONDS = 60.0
_LOOK_SECONDS = 0.2


def main() -> None:
    """Runs the harness until the executor closes it or is gone."""
    parser = argparse.ArgumentParser(prog="textmill-worker", description="Started by executors.")
    parser.add_argument("--id", required=True, help="the worker's name")
    parser.add_argument("--provision_endpoint", required=True, help="who tells the rest")
    asked, _ = parser.parse_known_args()  # newer engines may say more
    executor, own = os.getppid(), os.getpid()
    with own_folder() as folder:
        os.environ["TMPDIR"] = str(folder)
        harness = os.fork()  # little is loaded yet
        if not harness:
            tempfile.tempdir = None  # it is looked for anew
            _become_harness(asked.id, asked.provision_endpoint, parent=own)
        status = _look_after(harness, executor)
    os._exit(status)


def _become_harness(worker: str, endpoint: str, *, parent: int) -> None:
    from textmill.pipeline.engines.local_worker import end_with_parent, harness, run_harness
    from textmill.pipeline.engines.spark import OUT, VERSIONS
    from textmill.pipeline.engines.versions import check_worker
    from textmill.pipeline.job.notes import failure_noted

    end_with_parent(parent)
    with failure_noted(os.environ.get(OUT)):
        if VERSIONS in os.environ:
            check_worker(json.loads(os.environ[VERSIONS]))
        harness(buckets=True)  # first, as it leaves out much that Beam would load
        os.environ |= harness_environment(worker, endpoint)
    run_harness(buckets=True)


def _look_after(harness: int, executor: int) -> int:
    """Waits for the end of the harness or the executor, and ends the one with the other.

    Returns:
        The status to exit with.
    """

    def end(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(harness, signal.SIGKILL)
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    while True:
        ended, status = os.waitpid(harness, os.WNOHANG)
        if ended:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if os.WIFSIGNALED(status) and _is_spark(executor):
                os.kill(executor, signal.SIGKILL)
            return os.waitstatus_to_exitcode(status) & 0xFF
        if os.getppid() != executor:
            os.kill(harness, signal.SIGKILL)
            return 0
        time.sleep(_LOOK_SECONDS)


def _is_spark(process: int) -> bool:
    """Tells whether a process is an executor of Spark, which Spark replaces."""
    try:
        return b"ExecutorBackend" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def harness_environment(worker: str, endpoint: str) -> dict[str, str]:
    """Gives the environment variables that Beam's harness reads, as the engine wants them."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2 as api
    from apache_beam.portability.api import beam_provision_api_pb2_grpc
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.text_format import MessageToString

    with grpc.insecure_channel(endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        info = service.GetProvisionInfo(
            api.GetProvisionInfoRequest(),
            metadata=[("worker_id", worker)],
            timeout=_ANSWER_SECONDS,
            wait_for_ready=True,
        ).info
    told = {
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json.dumps(MessageToDict(info.pipeline_options)),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
        "CONTROL_API_SERVICE_DESCRIPTOR": MessageToString(info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": MessageToString(info.logging_endpoint),
    }
    if info.HasField("status_endpoint"):
        told["STATUS_API_SERVICE_DESCRIPTOR"] = MessageToString(info.status_endpoint)
    return told


if __name__ == "__main__":
    main()
