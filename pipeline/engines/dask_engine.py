"""Dask: Beam's own runner for it, which asks its cluster first, watches it and ends with it."""

from __future__ import annotations

import base64
import contextlib
import pickle
import re
import time
import uuid
import warnings
from collections.abc import Sequence
from typing import Any

import distributed
from apache_beam.runners.dask import dask_runner
from apache_beam.runners.dask.dask_runner import DaskOptions
from apache_beam.runners.dask.overrides import dask_overrides
from apache_beam.runners.direct.direct_metrics import DirectMetrics
from apache_beam.runners.runner import PipelineResult, PipelineState

from textmill.model.errors import TextmillError
from textmill.pipeline.engines import dask_checks
from textmill.pipeline.engines.dask_bundles import TOPIC, CombineOverride, own_bundles
from textmill.pipeline.engines.dask_checks import connected, scheduler_address
from textmill.pipeline.files.filesystem import absolute, is_remote, join

LONELY_SECONDS = 60.0  # that a job without workers waits for new ones
_LOOK_SECONDS = 0.2
_ASK_SECONDS = 5.0  # between two questions for the workers
_MARK = "run.json"  # is in the output when a job starts


class DaskRunner(dask_runner.DaskRunner):
    """Beam's DaskRunner, with errors of one line and an end for each job.

    Each element is a task of its own, so that a shard is the unit of retry; Beam would send 128 of
    them to one worker.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: str | None = None  # what workers must see when the job starts

    @staticmethod
    def is_fnapi_compatible() -> bool:
        """Keeps Beam from rebuilding a pipeline first, which would hide what is a list."""
        return True

    def check(self, options: Any, *, model_dir: str, prompts: Sequence[str], out: str) -> None:
        """Asks the cluster whether it can do a job, which takes a second.

        Args:
            options: the flags.
            model_dir: the model directory.
            prompts: prompt files or patterns.
            out: the directory of the output.

        Raises:
            TextmillError: it cannot, or there is no cluster.
        """
        with connected(options) as client:
            dask_checks.check_cluster(
                client, scheduler_address(options), model_dir=model_dir, prompts=prompts, out=out
            )
        self._seen = None if is_remote(out) else join(absolute(out), _MARK)

    def run_pipeline(self, pipeline: Any, options: Any) -> DaskResult:
        """Sends the pipeline to the cluster."""
        dask = options.view_as(DaskOptions)
        how: dict[str, int] = {"partition_size": dask.partition_size or 1}
        if dask.npartitions:
            how = {"npartitions": dask.npartitions}
        job = uuid.uuid4().hex
        # First what combines, as it is made of transforms that Beam overrides.
        pipeline.replace_all([CombineOverride(), *dask_overrides()])
        visitor: Any = self.to_dask_bag_visitor(how)
        with own_bundles(job):
            pipeline.visit(visitor)
        last = list(visitor.bags.values())[-1]  # it needs all others
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(connected(options))
            if self._seen is not None:
                dask_checks.check_output_seen(client, self._seen)
            metrics = _Metrics(client, job)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the size of a large graph
                future = client.compute(last)
            address = scheduler_address(options)
            return DaskResult(client, future, metrics, address=address, stack=stack.pop_all())


class DaskResult(PipelineResult):
    """A job on the cluster, which ends with this process."""

    def __init__(
        self,
        client: distributed.Client,
        future: Any,
        metrics: _Metrics,
        *,
        address: str,
        stack: contextlib.ExitStack,
    ):
        super().__init__(PipelineState.RUNNING)
        self._client, self._future, self._metrics = client, future, metrics
        self._address, self._stack = address, stack

    def wait_until_finish(self, duration: float | None = None) -> str:
        """Waits for the job's end, or for `duration` milliseconds; if it fails, it is cancelled.

        Raises:
            TextmillError: a task failed, or the scheduler or all workers are gone.
        """
        end = None if duration is None else time.monotonic() + duration / 1000
        try:
            if self._watch(end):
                self._state = PipelineState.DONE
                self._stack.close()
        except BaseException:
            self.cancel()
            raise
        return self._state

    def cancel(self) -> str:
        """Ends the job: what workers have begun they finish, and nothing new is begun."""
        if not PipelineState.is_terminal(self._state):
            self._state = PipelineState.CANCELLED
            # The scheduler drops what no client wants.
            self._stack.close()
        return self._state

    def metrics(self) -> DirectMetrics:
        """Gives what the workers have counted; a shard that was made twice counts twice."""
        return self._metrics.sums

    def _watch(self, end: float | None) -> bool:
        """Tells whether the job is done; false if the time is over."""
        asked = with_workers = time.monotonic()
        while True:
            if self._client.status != "running" or self._future.status == "lost":
                raise TextmillError(
                    f"the Dask scheduler at {self._address} has ended, or the connection to it is "
                    "lost, and the job with it"
                )
            if self._future.status == "error":
                raise _explained(self._future.exception())
            if self._future.status == "cancelled":
                raise TextmillError("the job was cancelled at the Dask scheduler")
            if self._future.done():
                return True
            now = time.monotonic()
            if end is not None and now >= end:
                return False
            if now - asked >= _ASK_SECONDS:
                asked = now
                if self._workers():
                    with_workers = now
                elif now - with_workers >= LONELY_SECONDS:
                    raise TextmillError(
                        f"the Dask scheduler at {self._address} has had no workers for "
                        f"{LONELY_SECONDS:.0f} seconds: start some (dask worker {self._address})"
                    )
            time.sleep(_LOOK_SECONDS)

    def _workers(self) -> bool:
        """Tells whether there are workers; that a scheduler is lost shows elsewhere."""
        with contextlib.suppress(OSError):
            return bool(self._client.nthreads())
        return True


class _Metrics:
    """Sums what the workers tell of a job."""

    def __init__(self, client: distributed.Client, job: str):
        self.sums, self._job = DirectMetrics(), job
        client.subscribe_topic(TOPIC, self._add)

    def _add(self, event: Any) -> None:
        job, told = event[1]
        if job == self._job:
            self.sums.commit_logical(None, pickle.loads(base64.b64decode(told)))


def _explained(error: Exception) -> Exception:
    """Turns what a task has raised into an error of one line, if its cause is known."""
    if isinstance(error, distributed.scheduler.KilledWorker):
        return TextmillError(
            f"a shard was begun {error.allowed_failures + 1} times, and its worker died each time, "
            "perhaps for want of memory: start fewer workers on a machine"
        )
    absent = re.search(r"No module named '(\w+)", str(error))
    if absent:
        return TextmillError(
            f"a Dask worker or the scheduler has no {absent[1]}: install textmill[dask] where it "
            "runs"
        )
    return error
