"""A Spark of this machine, by scripts/spark_cluster.sh, whose parts can be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "spark_cluster.sh"
_MOST_SECONDS = 900  # keeps a download from hanging


class SparkCluster:
    """A master, two workers of one core each, and a job server.

    Attributes:
        flags: what follows `--` in a command.
        endpoint: the job server's address.
        master: the master's address.
        folder: where logs and all else lie until the end.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._environment = {
            **os.environ, "SPARK_RUN": str(folder), "PYTHON": sys.executable,
            "SPARK_MASTER_PORT": "0", "SPARK_JOB_PORT": "0", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        self.flags: list[str] = []
        self.endpoint = self.master = ""

    def script(self, *words: str) -> subprocess.CompletedProcess:
        """Calls the script; its last line says what was wrong."""
        return subprocess.run(
            [SCRIPT, *words], env=self._environment, capture_output=True, text=True, check=False,
            timeout=_MOST_SECONDS,
        )  # fmt: skip

    def up(self) -> None:
        """Starts it; afterwards the flags are known."""
        said = self.script("up")
        assert said.returncode == 0, said.stderr
        self.endpoint = said.stderr.partition("--job_endpoint=")[2].split()[0]
        self.master = (self.folder / "url").read_text().strip()
        self.flags = ["--runner=SparkRunner", f"--job_endpoint={self.endpoint}"]

    def kill_python(self) -> None:
        """Kills the Python process of an executor."""
        self._kill("python")

    def kill_executor(self) -> None:
        """Kills an executor, which the worker replaces."""
        self._kill("executor")

    def kill_worker(self) -> None:
        """Kills a worker with all that it has started, like a lost machine."""
        self._kill("worker")

    def kill_master(self) -> None:
        """Kills the master."""
        self._kill("master")

    def kill_job_server(self) -> None:
        """Kills Beam's job server."""
        self._kill("job-server")

    def _kill(self, part: str) -> None:
        said = self.script(f"kill-{part}")
        assert said.returncode == 0, said.stderr


@contextlib.contextmanager
def spark_cluster(folder: Path) -> Iterator[SparkCluster]:
    """Starts Spark, or skips the test if it cannot be had here."""
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java: apt-get install openjdk-17-jre-headless")
    if not Path(sys.executable).with_name("textmill-worker").exists():
        pytest.skip("textmill-worker is not installed: pip install -c constraints.txt -e .")
    cluster = SparkCluster(folder)
    got = cluster.script("get")
    if got.returncode:
        reason = got.stderr.strip().split("\n")[-1]
        pytest.skip(f"{reason}; `make cluster-tools` gets Spark")
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.script("down")
