"""Spark: the bytes of a local run, what a job survives, and what is said of mistakes.

Run by `make test-cluster`. One cluster serves all tests, as a job server takes a job at a time.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from spark_cluster import ROOT, SparkCluster, spark_cluster
from waiting import until

from textmill.model.network.directory import save_model

pytestmark = pytest.mark.cluster

_WORDS, _LONG = 20, 150  # words a text; the long ones leave time to kill
_MOST_SECONDS = 900  # keeps a test from hanging


@pytest.fixture(scope="module")
def spark(tmp_path_factory) -> Iterator[SparkCluster]:
    with spark_cluster(tmp_path_factory.mktemp("spark") / "run") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def job(make_model, tmp_path_factory) -> Path:
    """A folder with a model of random weights and 2,000 prompts, which make 40 shards."""
    folder = tmp_path_factory.mktemp("job")
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = sorted({"".join(random.choice(letters, 5)) for _ in range(5000)})
    save_model(folder / "model", make_model(words, embedding=128, hidden=256, scale=0.1), card="")
    lines = [" ".join(random.choice(words, 3)) for _ in range(2000)]
    (folder / "p.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def wanted(job) -> Callable[[int], dict[str, bytes]]:
    """Gives what a local run of so many words a text leaves; it is run once."""
    known: dict[int, dict[str, bytes]] = {}

    def give(words: int) -> dict[str, bytes]:
        if words not in known:
            done = _end(_start(job, job / f"local-{words}", words=words))
            assert done.returncode == 0, done.stderr
            known[words] = _contents(job / f"local-{words}")
        return known[words]

    return give


def _start(job: Path, out: Path, *flags: str, words: int) -> subprocess.Popen:
    return subprocess.Popen(
        [
            sys.executable, "-m", "textmill", "generate", str(job / "model"), "--json", "--quiet",
            "--prompts", str(job / "p.txt"), "--out", str(out), f"--max-words={words}",
            *(["--", *flags] if flags else []),
        ],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _end(launcher: subprocess.Popen) -> subprocess.CompletedProcess:
    try:
        stdout, stderr = launcher.communicate(timeout=_MOST_SECONDS)
    finally:
        launcher.kill()
    return subprocess.CompletedProcess(launcher.args, launcher.returncode, stdout, stderr)


def _contents(folder: Path) -> dict[str, bytes]:
    """Everything of a finished run except its seconds."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "stats.json"
    }


def _finished(out: Path) -> int:
    return len(list((out / ".done").glob("*.json")))


def _wait_for(launcher: subprocess.Popen, out: Path, shards: int) -> None:
    def enough() -> bool:
        assert launcher.poll() is None, launcher.communicate()[1]
        return _finished(out) >= shards

    until(enough, "too few shards are finished")


def test_the_bytes_of_a_local_run_from_two_workers(spark, job, wanted, told_of_engine, tmp_path):
    out = tmp_path / "out"
    done = _end(_start(job, out, *spark.flags, words=_WORDS))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    same = _contents(out) == wanted(_WORDS)
    told_of_engine("Spark, 2 workers", told, same, "")
    assert same
    assert told["models loaded"] == 2  # one for each executor, not for each unit of work


def test_nothing_is_written_after_an_interrupted_command_has_ended(spark, job, tmp_path):
    out = tmp_path / "out"
    launcher = _start(job, out, *spark.flags, words=_LONG)
    _wait_for(launcher, out, 3)
    launcher.send_signal(signal.SIGINT)
    done = _end(launcher)
    assert done.returncode == 130
    (line,) = done.stderr.strip().split("\n")
    assert "interrupted" in line
    assert line.endswith("The same command with --resume goes on")
    before = sorted(path.name for path in out.rglob("*.jsonl*"))
    time.sleep(5)
    assert sorted(path.name for path in out.rglob("*.jsonl*")) == before
    assert not (out / "manifest.json").exists()


def _worker(folder: Path, text: str) -> str:
    """The flags of a worker's command."""
    command = folder / "worker"
    command.write_text(text)
    command.chmod(0o755)
    return f"--environment_options=process_command={command}"


_OTHER = f"""#!{sys.executable}
import textmill.pipeline.engines.versions as module
found = module.versions
module.versions = lambda: found() | {{"tensorflow": "2.99.0"}}
from textmill.pipeline.job.process_worker import main
main()
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, r"executors cannot start the worker's command \(error=2, No such file"),
        (_OTHER, "the worker has tensorflow 2.99.0 not "),
    ],
    ids=["no command", "other versions"],
)
def test_one_line_tells_why_no_worker_starts(spark, job, tmp_path, text, said):
    worker = (
        "--environment_options=process_command=/no/such/worker"
        if text is None
        else _worker(tmp_path, text)
    )
    flags = [*spark.flags, "--environment_type=PROCESS", worker]
    done = _end(_start(job, tmp_path / "out", *flags, words=_WORDS))
    assert done.returncode == 1
    (line,) = done.stderr.strip().split("\n")
    assert re.search(said, line), line


def test_the_port_of_something_else(spark, job, tmp_path):
    address = spark.master.removeprefix("spark://")
    flags = ["--runner=SparkRunner", f"--job_endpoint={address}"]
    done = _end(_start(job, tmp_path / "out", *flags, words=_WORDS))
    assert done.returncode == 1
    assert f"what answers at {address} is no job service of Beam" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_second_cluster_is_refused_in_the_same_folder_and_all_ends(spark):
    said = spark.script("up")
    assert said.returncode == 1
    assert "a cluster runs already" in said.stderr


def test_a_job_goes_on_by_itself_whatever_of_a_worker_is_killed(
    spark, job, wanted, told_of_engine, tmp_path
):
    """The last test, as a worker stays dead."""
    out = tmp_path / "out"
    launcher = _start(job, out, *spark.flags, words=_LONG)
    for number, kill in enumerate((spark.kill_python, spark.kill_executor, spark.kill_worker)):
        _wait_for(launcher, out, 4 + 6 * number)
        kill()
    done = _end(launcher)
    assert done.returncode == 0, done.stderr
    same = _contents(out) == wanted(_LONG)
    told_of_engine("Spark: Python, executor, worker killed", None, same, "by itself")
    assert same
