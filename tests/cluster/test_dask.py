"""The same job on a Dask cluster of this machine: the same bytes, and what it survives.

These faults are one each; test_cluster_faults.py has trials at random moments.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dask_cluster import DaskCluster, dask_cluster
from runs import Job, command, contents, end, run, start
from waiting import until

from textmill.pipeline.command import cli
from textmill.pipeline.engines import dask_engine

pytestmark = pytest.mark.cluster

GO_ON = "The same command with --resume goes on"


@pytest.fixture(scope="module")
def reference(undisturbed) -> dict[str, bytes]:
    """What textmill's own local runner writes."""
    return undisturbed(_SHORT)


@pytest.fixture(scope="module")
def long(undisturbed) -> dict[str, bytes]:
    """The undisturbed run that faults are compared with: so long that there is time to kill."""
    return undisturbed(_LONG)


_SHORT, _LONG = 20, 60  # words a text


def notes(out: Path) -> set[str]:
    return {path.stem for path in (out / ".done").glob("*.json")}


def disturbed(
    job: Job, out: Path, cluster: DaskCluster, act: Callable[[subprocess.Popen], None]
) -> tuple[int, str]:
    """Runs the long job and acts when some shards are finished; gives status and errors."""
    launcher = start(job, out, *cluster.flags, words=_LONG)

    def some() -> bool:
        assert launcher.poll() is None, launcher.communicate()[1]
        return len(notes(out)) >= 3

    until(some, "no shard is finished")
    act(launcher)
    _, stderr = end(launcher)
    return launcher.returncode, stderr


# -- the same bytes --------------------------------------------------------------------------------

# Says in the worker's log how often a model was loaded, and how many shards' texts it still holds.
COUNT = """
import gc
import weakref
from textmill.pipeline.job import handler

kind = handler.TextModelHandler
if not hasattr(kind, "made"):
    kind.made, load, generate = [], kind.load_model, kind.run_inference

    def load_model(self):
        print("loads", flush=True)
        return load(self)

    def run_inference(self, *arguments):
        results = generate(self, *arguments)
        gc.collect()
        print("holds", sum(each() is not None for each in kind.made), flush=True)
        kind.made.extend(map(weakref.ref, results))
        return results

    kind.load_model, kind.run_inference = load_model, run_inference
"""


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.trial)])
def test_the_same_bytes(job, reference, told_of_engine, tmp_path, threads):
    (tmp_path / "count.py").write_text(COUNT)
    with dask_cluster(tmp_path / "dask", threads=threads, preload=tmp_path / "count.py") as cluster:
        told = run(job, tmp_path / "out", *cluster.flags, words=_SHORT)
        logs = [cluster.log(f"worker-{number}").splitlines() for number in range(2)]
    same = contents(tmp_path / "out") == reference
    told_of_engine(f"Dask, 2 workers of {threads} thread(s)", told, same, "")
    assert same
    assert told["models loaded"] == 2
    for log in logs:
        assert log.count("loads") == 1
        held = [int(line.split()[1]) for line in log if line.startswith("holds")]
        assert len(held) > 5
        assert max(held) <= 2 * threads
    # Nothing works on a worker by a client of its own, which would outlive the launcher.
    assert not any("Client-worker" in line for line in cluster.log("scheduler").splitlines())


@pytest.mark.trial
def test_one_cluster_takes_job_after_job(job, reference, tmp_path):
    """Also one whose shards are all there, so that no task is needed but the manifest's."""
    out = tmp_path / "0"
    with dask_cluster(tmp_path / "dask") as cluster:
        for number in range(2):
            run(job, tmp_path / str(number), *cluster.flags, words=_SHORT)
            assert contents(tmp_path / str(number)) == reference
        (out / "README.md").unlink()
        again = start(job, out, *cluster.flags, words=_SHORT, options=["--resume"])
        _, stderr = again.communicate(timeout=600)
    assert again.returncode == 0, stderr
    assert contents(out) == reference


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.trial
def test_a_lost_worker_is_survived(job, long, told_of_engine, tmp_path):
    out = tmp_path / "out"
    with dask_cluster(tmp_path / "dask") as cluster:
        status, stderr = disturbed(job, out, cluster, lambda launcher: cluster.kill_worker())
    assert (status, stderr) == (0, "")
    same = contents(out) == long
    told_of_engine("Dask's worker killed", None, same, "by Dask's own retry")
    assert same


@pytest.mark.trial
def test_a_lost_scheduler_ends_in_one_line(job, long, told_of_engine, tmp_path):
    out = tmp_path / "out"
    with dask_cluster(tmp_path / "dask") as cluster:
        status, stderr = disturbed(job, out, cluster, lambda launcher: cluster.kill_scheduler())
    assert status == 1
    (line,) = stderr.splitlines()
    assert f"the Dask scheduler at {cluster.address} has ended" in line
    assert line.endswith(GO_ON)
    with dask_cluster(tmp_path / "again") as cluster:
        run(job, out, *cluster.flags, words=_LONG, options=["--resume"])
    same = contents(out) == long
    told_of_engine("Dask's scheduler killed", None, same, "resumed")
    assert same


@pytest.mark.parametrize("by", ["SIGINT", "SIGKILL"])
@pytest.mark.trial
def test_the_work_ends_with_its_launcher(job, long, told_of_engine, tmp_path, by):
    out = tmp_path / "out"
    with dask_cluster(tmp_path / "dask") as cluster:
        status, stderr = disturbed(
            job, out, cluster, lambda launcher: launcher.send_signal(signal.Signals[by])
        )
        finished = len(notes(out))
        until(lambda: not cluster.running(), "the cluster works on", every=0.5)
        assert len(notes(out)) <= finished + 2  # those that were being made
        assert not (out / "manifest.json").exists()
        run(job, out, *cluster.flags, words=_LONG, options=["--resume"])
    same = contents(out) == long
    told_of_engine(f"Dask's launcher: {by}", None, same, "resumed")
    assert same
    if by == "SIGINT":
        assert status == 130
        (line,) = stderr.splitlines()
        assert line.startswith("textmill: error: interrupted; ")
        assert line.endswith(GO_ON)


# Ends a worker when it begins a certain shard, or has written the manifest: each time or once.
DIES = """
import os
from textmill.pipeline.job import beam_steps, handler, manifest

def die_at_a_shard(shard, *arguments):
    if shard.number == 3:
        os._exit(9)
    return reads(shard, *arguments)

def die_at_the_end(*arguments, **more):
    write(*arguments, **more)
    if not os.path.exists({marker!r}):
        open({marker!r}, "w").close()
        os._exit(9)

def recur(self, *arguments):
    return recur(self, *arguments)

if not hasattr(manifest, "dies"):
    manifest.dies = True
    reads, write = beam_steps.read_shard, manifest.write_manifest
    {what}
"""


@pytest.mark.trial
def test_the_worker_that_ends_the_job_is_lost(job, reference, tmp_path):
    marker = str(tmp_path / "died")
    what = "manifest.write_manifest = die_at_the_end"
    (tmp_path / "dies.py").write_text(DIES.format(marker=marker, what=what))
    with dask_cluster(tmp_path / "dask", preload=tmp_path / "dies.py") as cluster:
        run(job, tmp_path / "out", *cluster.flags, words=_SHORT)
        assert [worker.poll() for worker in cluster.workers].count(9) == 1
    assert contents(tmp_path / "out") == reference


@pytest.mark.trial
def test_an_error_that_cannot_travel(job, tmp_path, capfd):
    """Dask's client would not notice this one, and wait for ever."""
    what = "handler.TextModelHandler.run_inference = recur"
    (tmp_path / "dies.py").write_text(DIES.format(marker="", what=what))
    with dask_cluster(tmp_path / "dask", workers=1, preload=tmp_path / "dies.py") as cluster:
        (line,) = refused(job, tmp_path / "out", cluster, capfd)
    assert "the run failed: RecursionError: maximum recursion depth exceeded" in line
    assert line.endswith(GO_ON)


@pytest.mark.trial
def test_a_shard_that_ends_each_worker(job, tmp_path, capfd):
    """The nanny starts the worker again each time, until Dask gives up."""
    what = "beam_steps.read_shard = die_at_a_shard"
    (tmp_path / "dies.py").write_text(DIES.format(marker="", what=what))
    with dask_cluster(tmp_path / "dask", workers=0) as cluster:
        cluster.start_worker("--nthreads=1", f"--preload={tmp_path / 'dies.py'}", nanny=True)
        cluster.wait_for_workers(1)
        (line,) = refused(job, tmp_path / "out", cluster, capfd)
    assert "a shard was begun 4 times, and its worker died each time" in line
    assert line.endswith(GO_ON)


@pytest.mark.trial
def test_a_job_without_workers_ends(job, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(dask_engine, "LONELY_SECONDS", 2.0)
    monkeypatch.setattr(dask_engine, "_ASK_SECONDS", 0.5)
    out = tmp_path / "out"
    with dask_cluster(tmp_path / "dask", workers=1) as cluster:

        class Killed(Exception):
            pass

        watch = dask_engine.DaskResult._watch

        def after_a_kill(self, end):
            until(lambda: list((out / ".done").glob("*.started")), "nothing is begun")
            cluster.kill_worker()
            return watch(self, end)

        monkeypatch.setattr(dask_engine.DaskResult, "_watch", after_a_kill)
        (line,) = refused(job, out, cluster, capfd, status=1)
    assert "has had no workers for 2 seconds" in line
    assert line.endswith(GO_ON)


# -- bad input -------------------------------------------------------------------------------------


def refused(job: Job, out: Path, cluster: DaskCluster, capfd, *, status: int = 1) -> list[str]:
    capfd.readouterr()
    assert cli.main(command(job, out, *cluster.flags, words=_SHORT)[3:]) == status
    return capfd.readouterr().err.splitlines()


# Makes a process seem to have other packages.
OTHERS = """
import importlib.metadata as metadata

if not hasattr(metadata, "version_here"):
    metadata.version_here = metadata.version

def version(name):
    found = {others}.get(name, metadata.version_here(name))
    if found is None:
        raise metadata.PackageNotFoundError(name)
    return found

metadata.version = version
"""


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"textmill": None}, "has no textmill: install what the launcher has"),
        ({"textmill": None, "apache-beam": None}, "has no textmill and no apache-beam"),
        ({"tensorflow": "2.20.0"}, "has tensorflow 2.20.0 not "),
        ({"apache-beam": "2.62.0"}, "has apache-beam 2.62.0 not "),
    ],
)
@pytest.mark.trial
def test_workers_of_other_packages_are_refused(job, tmp_path, capfd, others, said):
    (tmp_path / "others.py").write_text(OTHERS.format(others=others))
    with dask_cluster(tmp_path / "dask", workers=1, preload=tmp_path / "others.py") as cluster:
        (line,) = refused(job, tmp_path / "out", cluster, capfd)
    assert f"the worker {cluster.address.rpartition(':')[0]}" in line
    assert said in line
    assert not (tmp_path / "out").exists()


@pytest.mark.trial
def test_a_scheduler_of_other_packages_is_refused(job, tmp_path, capfd):
    (tmp_path / "others.py").write_text(OTHERS.format(others={"textmill": None}))
    cluster = DaskCluster(tmp_path / "dask")
    try:
        cluster.start_scheduler(f"--preload={tmp_path / 'others.py'}")
        cluster.start_worker()
        cluster.wait_for_workers(1)
        (line,) = refused(job, tmp_path / "out", cluster, capfd)
    finally:
        cluster.kill_worker()
        cluster.kill_scheduler()
    assert "the scheduler has no textmill" in line


def test_a_worker_s_address_is_refused(job, tmp_path, capfd):
    with dask_cluster(tmp_path / "dask", workers=1) as cluster:
        (line,) = (each for each in cluster.log("worker-0").splitlines() if "Start worker" in each)
        cluster.flags[1] = f"--dask_client_address={line.split()[-1]}"
        (line,) = refused(job, tmp_path / "out", cluster, capfd)
    assert "is no Dask scheduler but a worker" in line


def test_a_scheduler_without_workers_is_refused(job, tmp_path, capfd):
    with dask_cluster(tmp_path / "dask", workers=0) as cluster:
        (line,) = refused(job, tmp_path / "out", cluster, capfd)
    assert f"the Dask scheduler at {cluster.address} has no workers" in line


@pytest.mark.parametrize("what", ["model", "prompts", "out"])
@pytest.mark.trial
def test_a_path_that_workers_do_not_see_is_refused(job, tmp_path, capfd, what):
    out = tmp_path / "out"
    unseen = {"model": job.model, "prompts": job.prompts, "out": str(out / "run.json")}[what]
    (tmp_path / "blind.py").write_text(
        "import os\n"
        "if not hasattr(os, 'exists_here'):\n"
        "    os.exists_here = os.path.exists\n"
        f"    os.path.exists = lambda path: path != {unseen!r} and os.exists_here(path)\n"
    )
    with dask_cluster(tmp_path / "dask", workers=1, preload=tmp_path / "blind.py") as cluster:
        (line,) = refused(job, tmp_path / "out", cluster, capfd)
    assert f"sees no {unseen}" in line
