"""A Dask cluster of this machine, whose processes can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import distributed
from waiting import until

HOST = "127.0.0.1"


class DaskCluster:
    """A scheduler and workers of one process each, without nannies: a killed worker stays dead.

    Attributes:
        address: the scheduler's.
        flags: what follows `--` in a command.
        scheduler: the scheduler's process.
        workers: the workers' processes.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True)
        self._folder, self._started = folder, 0
        self.scheduler: subprocess.Popen
        self.workers: list[subprocess.Popen] = []
        with socket.socket() as found:
            found.bind((HOST, 0))
            self.address = f"tcp://{HOST}:{found.getsockname()[1]}"
        self.flags = ["--runner=DaskRunner", f"--dask_client_address={self.address}"]

    def start_scheduler(self, *flags: str) -> None:
        """Starts the scheduler, and waits until it answers."""
        port = int(self.address.rpartition(":")[2])
        self.scheduler = self._process("scheduler", f"--host={HOST}", f"--port={port}", *flags)

        def answers() -> bool:
            assert self.scheduler.poll() is None, self.log("scheduler")
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                return True
            return False

        until(answers, lambda: self.log("scheduler"), every=0.1)

    def start_worker(self, *flags: str, nanny: bool = False) -> subprocess.Popen:
        """Starts a worker, which will be there soon; a nanny would start it again."""
        name = f"worker-{len(self.workers)}"
        worker = self._process(
            "worker", self.address, f"--host={HOST}", "--nworkers=1",
            "--nanny" if nanny else "--no-nanny",
            f"--name={name}", f"--local-directory={self._folder / name}", "--memory-limit=0",
            *flags, log=name,
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def wait_for_workers(self, number: int) -> None:
        """Waits until so many workers are there."""
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=120)

    def running(self) -> list[str]:
        """Tells which tasks workers work on or wait for."""
        with distributed.Client(self.address, set_as_default=False) as client:
            return [str(task) for tasks in client.processing().values() for task in tasks]

    def kill_worker(self, number: int = 0) -> None:
        """Kills a worker, as the system does if there is no memory."""
        _kill(self.workers[number])

    def kill_scheduler(self) -> None:
        """Kills the scheduler."""
        _kill(self.scheduler)

    def log(self, name: str) -> str:
        """Gives what a process has written."""
        return (self._folder / f"{name}.log").read_text()

    def _process(self, kind: str, *flags: str, log: str | None = None) -> subprocess.Popen:
        # Far from the repository, so that no relative path works by chance.
        with open(self._folder / f"{log or kind}.log", "w") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", kind, "--no-dashboard", *flags],
                cwd=self._folder, env={**os.environ, "TMPDIR": str(self._folder)},
                start_new_session=True, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip


@contextlib.contextmanager
def dask_cluster(
    folder: Path, *, workers: int = 2, threads: int = 1, preload: Path | None = None
) -> Iterator[DaskCluster]:
    """Starts a cluster, and ends whatever is left of it.

    Args:
        folder: where its files go; it must not exist.
        workers: number of workers.
        threads: threads of a worker.
        preload: a Python file that workers run first.
    """
    cluster = DaskCluster(folder)
    loaded = [] if preload is None else [f"--preload={preload}"]
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker(f"--nthreads={threads}", *loaded)
        if workers:
            cluster.wait_for_workers(workers)
        yield cluster
    finally:
        for process in [*cluster.workers, getattr(cluster, "scheduler", None)]:
            if process is not None:
                _kill(process)


def _kill(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
