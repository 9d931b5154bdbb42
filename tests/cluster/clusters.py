"""Clusters of a test's own: how each is started, and which of its parts can be killed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from processes import FINDS, ROOT, AnyHost, Here, children, kill_tree
from waiting import until

TOOLS = Path(os.environ.get("TEXTMILL_TOOLS", Path.home() / ".cache" / "textmill"))
SPARK = ROOT / "scripts" / "spark_cluster.sh"
FLINK = ROOT / "scripts" / "flink_cluster.sh"
PROVIDES = "pip install -c constraints.txt -e '.[cluster]'"
BEAM = "apache_beam.runners"
# Dask gives a silent host 30 seconds: a test waits less. Its probes need more than ten seconds.
_DASK_SOON = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"}
# Spark gives a silent host 60 seconds, and what is read from there 120: a test waits less.
_SOON = (
    "-Dspark.worker.timeout=20 -Dspark.network.timeout=20s -Dspark.network.timeoutInterval=20s "
    "-Dspark.executor.heartbeatInterval=5s"
)


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        flags: what names it after `--`.
        parts: kills a part of this name, which one of several it chooses by chance.
    """

    flags: tuple[str, ...]
    parts: dict[str, Callable[[random.Random], None]] = field(default_factory=dict)


# Starts a cluster, whose logs go to a folder.
Engine = Callable[[Path], contextlib.AbstractContextManager[Cluster]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def started(
    host: AnyHost,
    folder: Path,
    name: str,
    *arguments: str,
    port: int | None = None,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen]:
    """A part of a cluster, ended with all that it has started.

    Args:
        host: where it runs.
        folder: for its log.
        name: of the log.
        arguments: the command.
        port: it is ready when this port answers, if any.
        env: added to the environment.
    """
    log = folder / f"{name}.log"
    with open(log, "w") as file:
        variables = {**FINDS, **(env or {})}
        process = host.popen(*arguments, cwd=ROOT, env=variables, stdout=file, stderr=file)

    def answers() -> bool:
        assert process.poll() is None, f"{arguments} ended: {log.read_text()}"
        with contextlib.suppress(OSError), socket.create_connection((host.address, port), 1):
            return True
        return False

    try:
        if port is not None:
            until(answers, f"{arguments} does not answer", every=0.2)
        yield process
    finally:
        if process.poll() is None:
            kill_tree(process.pid)
            process.wait()


@contextlib.contextmanager
def dask(
    folder: Path, *, launcher: AnyHost | None = None, hosts: Sequence[AnyHost] = ()
) -> Iterator[Cluster]:
    """A scheduler on the launcher's host, and a worker on each of the others, or two here."""
    pytest.importorskip("distributed", reason=f"needs Dask: {PROVIDES}")
    launcher = launcher or Here()
    hosts = hosts or [launcher, launcher]
    port = free_port()
    address = f"tcp://{launcher.address}:{port}"
    command = (sys.executable, "-m", "dask")
    with contextlib.ExitStack() as stack:

        def start(host: AnyHost, name: str, *words: str, port: int | None) -> subprocess.Popen:
            return stack.enter_context(
                started(host, folder, name, *command, *words, port=port, env=_DASK_SOON)
            )

        scheduler = start(
            launcher, "scheduler", "scheduler", f"--host={launcher.address}", f"--port={port}",
            "--no-dashboard", port=port,
        )  # fmt: skip
        nannies = [
            start(
                host, f"worker-{number}", "worker", address, f"--host={host.address}",
                "--nthreads=1", "--nworkers=1", "--no-dashboard", port=None,
            )
            for number, host in enumerate(hosts)
        ]  # fmt: skip
        logs = [folder / f"worker-{number}.log" for number in range(len(hosts))]
        until(
            lambda: all("Registered to" in log.read_text() for log in logs),
            lambda: "\n".join(log.read_text() for log in logs),
        )

        def kill_worker(chance: random.Random) -> None:
            (worker,) = _of(chance.choice(nannies).pid, "spawn_main")
            os.kill(worker, 9)

        yield Cluster(
            ("--runner=DaskRunner", f"--dask_client_address={address}"),
            {
                "worker": kill_worker,  # its nanny starts another
                "worker and nanny": lambda chance: kill_tree(chance.choice(nannies).pid),
                "scheduler": lambda chance: kill_tree(scheduler.pid),
            },
        )


def _of(pid: int, mark: str) -> list[int]:
    """The children of a process whose command has a mark."""
    return [c for c in children(pid) if mark in Path(f"/proc/{c}/cmdline").read_text()]


@contextlib.contextmanager
def spark(
    folder: Path, *, launcher: AnyHost | None = None, hosts: Sequence[AnyHost] = ()
) -> Iterator[Cluster]:
    """Master and job server on the launcher's host, a worker on each of the others, or two here."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java: apt-get install openjdk-17-jre-headless")
    if shutil.which("textmill-worker", path=FINDS["PATH"]) is None:
        pytest.skip("textmill-worker is not installed: pip install -c constraints.txt -e .")
    launcher = launcher or Here()

    def script(host: AnyHost, run: str, *words: str, **more: str) -> str:
        environment = {
            **FINDS,
            "JAVA_TOOL_OPTIONS": _SOON,
            "TEXTMILL_TOOLS": str(TOOLS),
            "SPARK_RUN": str((host.folder or folder) / run),
            "SPARK_LOCAL_IP": host.address,
            "SPARK_MASTER_PORT": "0",
            "SPARK_JOB_PORT": "0",
            **more,
        }
        process = host.popen(
            SPARK, *words, cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said, _ = process.communicate(timeout=600)
        if process.returncode and words == ("get",):
            reason = said.strip().split("\n")[-1]
            pytest.skip(f"{reason}; `make cluster-tools` gets Spark")
        assert process.returncode == 0 or words == ("down",), said  # on a lost host nothing is left
        return said

    script(launcher, "spark", "get")
    at_launcher = {"SPARK_HOST": launcher.address, "SPARK_PARALLELISM": "8"}
    if hosts:
        at_launcher["SPARK_WORKERS"] = "0"
    with contextlib.ExitStack() as stack:
        stack.callback(script, launcher, "spark", "down")
        said = script(launcher, "spark", "up", **at_launcher)
        endpoint = said.partition("--job_endpoint=")[2].split()[0]
        master = ((launcher.folder or folder) / "spark" / "url").read_text().strip()
        for number, host in enumerate(hosts):
            stack.callback(script, host, f"spark-{number}", "down")
            script(host, f"spark-{number}", "worker", master, SPARK_WORKERS="1")
        yield Cluster(
            ("--runner=SparkRunner", f"--job_endpoint={endpoint}"),
            {
                part: lambda chance, part=part: script(
                    launcher, "spark", f"kill-{part.replace(' ', '-')}"
                )
                for part in ("executor", "worker", "master", "job server")
            },
        )


@contextlib.contextmanager
def _pool(folder: Path) -> Iterator[str]:
    """An external pool that starts worker processes; the flag that names it."""
    port = free_port()
    module = f"{BEAM}.worker.worker_pool_main"
    command = (sys.executable, "-m", module, f"--service_port={port}")
    with started(Here("localhost"), folder, "pool", *command, port=port):
        yield f"--environment_config=localhost:{port}"


@contextlib.contextmanager
def _portable(folder: Path, name: str, *command: str) -> Iterator[Cluster]:
    """A job service, with its workers from a pool."""
    port = free_port()
    arguments = [word.format(port=port) for word in command]
    with (
        _pool(folder) as workers,
        started(Here("localhost"), folder, "service", *arguments, port=port) as service,
    ):
        yield Cluster(
            (
                "--runner=PortableRunner", f"--job_endpoint=localhost:{port}",
                "--environment_type=EXTERNAL", workers,
            ),
            {name: lambda chance: kill_tree(service.pid)},
        )  # fmt: skip


@contextlib.contextmanager
def job_service(folder: Path) -> Iterator[Cluster]:
    """Beam's own job service."""
    module = f"{BEAM}.portability.local_job_service_main"
    with _portable(folder, "service", sys.executable, "-m", module, "--port={port}") as cluster:
        yield cluster


@contextlib.contextmanager
def prism(folder: Path) -> Iterator[Cluster]:
    """Prism as a server."""
    command = (prism_binary(), "--job_port={port}", "--serve_http=false")
    with _portable(folder, "server", *command) as cluster:
        yield cluster


def prism_binary() -> str:
    """Where Prism is, or a skip."""
    found = TOOLS / "bin" / "prism"
    if not found.exists():
        pytest.skip(f"there is no Prism at {found}; `make cluster-tools` builds it (needs Go)")
    return str(found)


@contextlib.contextmanager
def flink(folder: Path) -> Iterator[Cluster]:
    """A standalone Flink of two task managers, each with one worker process at a time."""
    jar = os.environ.get("FLINK_JOB_SERVER_JAR")
    if jar is None:
        pytest.skip("FLINK_JOB_SERVER_JAR does not name Beam's job server for Flink")
    up = subprocess.run([FLINK, "up"], capture_output=True, text=True, check=False)
    try:
        if up.returncode:
            pytest.skip(f"no Flink: {up.stderr.strip()}")
        yield Cluster(
            (
                "--runner=FlinkRunner", "--flink_master=localhost:8081", "--parallelism=2",
                f"--flink_job_server_jar={jar}", "--environment_type=PROCESS",
            )
        )  # fmt: skip
    finally:
        subprocess.run([FLINK, "down"], capture_output=True, check=False)


@contextlib.contextmanager
def by_flags(*flags: str) -> Iterator[Cluster]:
    """An engine inside the command's own process."""
    yield Cluster(flags)
