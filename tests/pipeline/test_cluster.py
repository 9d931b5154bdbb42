"""The same job on every engine that can be had here: the same bytes, and what they survive.

Run by `make test-cluster`, which prints a table of the engines. `make cluster-tools` builds Prism.
TEXTMILL_TRIALS=10 kills each engine ten times instead of once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from waiting import until

from textmill.model.network.directory import save_model
from textmill.pipeline.job.verify import verify

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(os.environ.get("TEXTMILL_TOOLS", Path.home() / ".cache" / "textmill"))
TRIALS = int(os.environ.get("TEXTMILL_TRIALS", 1))
PROMPTS = 2000
BEAM = "apache_beam.runners"
FLINK = ROOT / "scripts" / "flink_cluster.sh"


@pytest.fixture(scope="module")
def job(make_model, tmp_path_factory) -> Path:
    """A folder with a model of random weights, of a size that is used, and its prompts."""
    folder = tmp_path_factory.mktemp("job")
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = sorted({"".join(random.choice(letters, 5)) for _ in range(5000)})
    model = make_model(words, embedding=128, hidden=256, scale=0.1)
    save_model(folder / "model", model, card="")
    lines = [" ".join(random.choice(words, 3)) for _ in range(PROMPTS)]
    (folder / "p.txt").write_text("\n".join(lines) + "\n")
    return folder


def command(job: Path, out: Path, *flags: str, words: int = 20, options=()) -> list[str]:
    """What a user would type."""
    return [
        sys.executable, "-m", "textmill", "generate", str(job / "model"), "--json", "--quiet",
        "--prompts", str(job / "p.txt"), "--out", str(out), f"--max-words={words}", *options,
        *(["--", *flags] if flags else []),
    ]  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Everything of a finished run except its seconds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "stats.json"
    }


def run(job: Path, out: Path, *flags: str, **more) -> dict:
    done = subprocess.run(
        command(job, out, *flags, **more), cwd=ROOT, capture_output=True, text=True, timeout=600,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# -- engines ---------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def process(*arguments: str, port: int) -> Iterator[subprocess.Popen]:
    """A server of an engine, ready when its port answers, ended with all that it started."""
    # A worker pool starts workers with the `python` that it finds.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    server = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def answers() -> bool:
        assert server.poll() is None, f"{arguments} ended"
        with contextlib.suppress(OSError), socket.create_connection(("localhost", port), 1):
            return True
        return False

    try:
        until(answers, f"{arguments} does not answer", every=0.2)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@contextlib.contextmanager
def pool() -> Iterator[tuple[subprocess.Popen, str]]:
    """An external pool that starts worker processes; the flags that name it."""
    port = free_port()
    module = f"{BEAM}.worker.worker_pool_main"
    with process(sys.executable, "-m", module, f"--service_port={port}", port=port) as server:
        yield server, f"--environment_config=localhost:{port}"


@contextlib.contextmanager
def job_service() -> Iterator[tuple[subprocess.Popen, list[str]]]:
    """Beam's own job service, its workers from an external pool."""
    port = free_port()
    module = f"{BEAM}.portability.local_job_service_main"
    with (
        pool() as (_, workers),
        process(sys.executable, "-m", module, f"--port={port}", port=port) as server,
    ):
        yield server, [
            "--runner=PortableRunner", f"--job_endpoint=localhost:{port}",
            "--environment_type=EXTERNAL", workers,
        ]  # fmt: skip


def prism_binary() -> str:
    found = TOOLS / "bin" / "prism"
    if not found.exists():
        pytest.skip(f"there is no Prism at {found}; `make cluster-tools` builds it (needs Go)")
    return str(found)


@contextlib.contextmanager
def prism() -> Iterator[tuple[subprocess.Popen, list[str]]]:
    """Prism as a server, its workers from an external pool."""
    port = free_port()
    arguments = (prism_binary(), f"--job_port={port}", "--serve_http=false")
    with pool() as (_, workers), process(*arguments, port=port) as server:
        yield server, [
            "--runner=PortableRunner", f"--job_endpoint=localhost:{port}",
            "--environment_type=EXTERNAL", workers,
        ]  # fmt: skip


@contextlib.contextmanager
def flink() -> Iterator[tuple[None, list[str]]]:
    """A standalone Flink of two task managers, each with one worker process at a time."""
    if "FLINK_JOB_SERVER_JAR" not in os.environ:
        pytest.skip("FLINK_JOB_SERVER_JAR does not name Beam's job server for Flink")
    up = subprocess.run([FLINK, "up"], capture_output=True, text=True, check=False)
    try:
        if up.returncode:
            pytest.skip(f"no Flink: {up.stderr.strip()}")
        yield None, [
            "--runner=FlinkRunner", "--flink_master=localhost:8081", "--parallelism=2",
            f"--flink_job_server_jar={os.environ['FLINK_JOB_SERVER_JAR']}",
            "--environment_type=PROCESS",
        ]  # fmt: skip
    finally:
        subprocess.run([FLINK, "down"], capture_output=True, check=False)


@contextlib.contextmanager
def by_flags(*flags: str) -> Iterator[tuple[None, list[str]]]:
    """An engine inside the command's own process."""
    yield None, list(flags)


ENGINES = {
    "local, 1 worker": lambda: by_flags("--direct_num_workers=1"),
    "DirectRunner, no Prism": lambda: by_flags("--runner=DirectRunner", "--prism_location=none"),
    "DirectRunner, Prism": lambda: by_flags(
        "--runner=DirectRunner", f"--prism_location={prism_binary()}"
    ),
    "PrismRunner": lambda: by_flags("--runner=PrismRunner", f"--prism_location={prism_binary()}"),
    "Prism, external workers": prism,
    "job service, external workers": job_service,
    "Flink, 2 task managers": flink,
}


@pytest.fixture(scope="module")
def reference(job, told_of_engine) -> dict[str, bytes]:
    """What textmill's own local runner writes with two workers."""
    told = run(job, job / "reference", "--direct_num_workers=2")
    assert verify(str(job / "reference")).problems == []
    told_of_engine("local, 2 workers", told, True, "make fault-test")
    return contents(job / "reference")


@pytest.mark.parametrize("name", ENGINES)
def test_the_same_bytes(job, reference, told_of_engine, tmp_path, name):
    with ENGINES[name]() as (_, flags):
        told = run(job, tmp_path / "out", *flags)
    same = contents(tmp_path / "out") == reference
    told_of_engine(name, told, same, "")
    assert same


# -- faults ----------------------------------------------------------------------------------------

FAULTS = {
    "Prism killed": (prism, lambda server: os.kill(server.pid, signal.SIGKILL)),
    "job service killed": (job_service, lambda server: os.kill(server.pid, signal.SIGKILL)),
    "Flink's job manager killed": (flink, lambda _: subprocess.run([FLINK, "kill-manager"])),
}


@pytest.mark.parametrize("trial", range(TRIALS))
@pytest.mark.parametrize("name", FAULTS)
def test_a_resume_ends_with_the_same_bytes(job, told_of_engine, tmp_path, name, trial):
    engine, kill = FAULTS[name]
    wanted = _long(job)
    out = tmp_path / "out"
    with engine() as (server, flags):
        stopped = _interrupted(job, out, flags, after=3 + trial, act=lambda: kill(server))
    assert stopped.returncode == 1
    (line,) = stopped.stderr.strip().split("\n")
    assert line.endswith("The same command with --resume goes on")
    assert 0 < len(list((out / ".done").glob("*.json"))) < len(wanted)
    with engine() as (_, flags):
        run(job, out, *flags, words=_LONG, options=["--resume"])
    same = contents(out) == wanted
    told_of_engine(name, None, same, "resumed")
    assert same


_LONG = 150  # words a text, so that there is time to kill


def _long(job: Path) -> dict[str, bytes]:
    """The undisturbed run that faults are compared with, made once."""
    if not (job / "long" / "manifest.json").exists():
        run(job, job / "long", words=_LONG)
    return contents(job / "long")


def _interrupted(job, out, flags, *, after, act):
    """Runs the job and acts when some of its shards are finished."""
    launcher = subprocess.Popen(
        command(job, out, *flags, words=_LONG), cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

    def finished() -> bool:
        assert launcher.poll() is None, launcher.communicate()[1]
        return len(list((out / ".done").glob("*.json"))) >= after

    try:
        until(finished, "no shard is finished")
        act()
        stdout, stderr = launcher.communicate(timeout=600)
    finally:
        launcher.kill()
    return subprocess.CompletedProcess(launcher.args, launcher.returncode, stdout, stderr)
