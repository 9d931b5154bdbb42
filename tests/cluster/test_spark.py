"""Spark: the bytes of a local run, what a job survives, and what is said of mistakes.

Run by `make test-cluster`. One cluster serves all tests, as a job server takes a job at a time.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import contents, ended, run, start
from spark_cluster import SparkCluster, spark_cluster
from waiting import until

pytestmark = pytest.mark.cluster

_WORDS, _LONG = 20, 150  # words a text; the long ones leave time to kill


@pytest.fixture(scope="module")
def spark(tmp_path_factory) -> Iterator[SparkCluster]:
    with spark_cluster(tmp_path_factory.mktemp("spark") / "run") as cluster:
        yield cluster


def _finished(out: Path) -> int:
    return len(list((out / ".done").glob("*.json")))


def _wait_for(launcher: subprocess.Popen, out: Path, shards: int) -> None:
    def enough() -> bool:
        assert launcher.poll() is None, launcher.communicate()[1]
        return _finished(out) >= shards

    until(enough, "too few shards are finished")


def test_two_workers_give_the_bytes_of_a_local_run(
    spark, job, undisturbed, told_of_engine, tmp_path
):
    out = tmp_path / "out"
    told = run(job, out, *spark.flags, words=_WORDS)
    same = contents(out) == undisturbed(_WORDS)
    told_of_engine("Spark, 2 workers", told, same, "")
    assert same
    assert told["models loaded"] == 2  # one for each executor, not for each unit of work


@pytest.mark.trial
def test_nothing_is_written_after_an_interrupted_command_has_ended(spark, job, tmp_path):
    out = tmp_path / "out"
    launcher = start(job, out, *spark.flags, words=_LONG)
    _wait_for(launcher, out, 3)
    launcher.send_signal(signal.SIGINT)
    done = ended(launcher)
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
        pytest.param(_OTHER, "the worker has tensorflow 2.99.0 not ", marks=pytest.mark.trial),
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
    done = ended(start(job, tmp_path / "out", *flags, words=_WORDS))
    assert done.returncode == 1
    (line,) = done.stderr.strip().split("\n")
    assert re.search(said, line), line


def test_the_port_of_something_else(spark, job, tmp_path):
    address = spark.master.removeprefix("spark://")
    flags = ["--runner=SparkRunner", f"--job_endpoint={address}"]
    done = ended(start(job, tmp_path / "out", *flags, words=_WORDS))
    assert done.returncode == 1
    assert f"what answers at {address} is no job service of Beam" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_second_cluster_is_refused_in_the_same_folder_and_all_ends(spark):
    said = spark.script("up")
    assert said.returncode == 1
    assert "a cluster runs already" in said.stderr


@pytest.mark.trial
def test_a_job_goes_on_by_itself_whatever_of_a_worker_is_killed(
    spark, job, undisturbed, told_of_engine, tmp_path
):
    """The last test, as a worker stays dead."""
    out = tmp_path / "out"
    launcher = start(job, out, *spark.flags, words=_LONG)
    for number, kill in enumerate((spark.kill_python, spark.kill_executor, spark.kill_worker)):
        _wait_for(launcher, out, 4 + 6 * number)
        kill()
    done = ended(launcher)
    assert done.returncode == 0, done.stderr
    same = contents(out) == undisturbed(_LONG)
    told_of_engine("Spark: Python, executor, worker killed", None, same, "by itself")
    assert same
