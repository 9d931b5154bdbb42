"""A trial: a job on a cluster of its own, of which a part is killed at a moment of chance.

The job goes on by itself, or ends with one line and goes on with `--resume`. In both cases the
bytes of an undisturbed run have to be there at the end.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from clusters import Cluster, Engine, dask, job_service, prism, spark
from runs import Job, contents, end, run, start
from waiting import until
from watch import Watch

LAUNCHER = "launcher"


@dataclass(frozen=True)
class Kind:
    """What is killed.

    Attributes:
        part: a part of the cluster, or the launcher.
        survives: whether the job has to go on by itself.
        workers: how many workers are lost; each may cost one shard that is made again.
    """

    engine: str
    part: str
    survives: bool = False
    workers: int = 0


ENGINES: dict[str, Engine] = {
    "Dask": dask, "Spark": spark, "Prism": prism, "job service": job_service,
}  # fmt: skip
# Those of a line can lose their parts in one cluster, one after the other.
KINDS = [
    [
        Kind("Dask", "worker", survives=True, workers=1),
        Kind("Dask", LAUNCHER, workers=2),
        Kind("Dask", "worker and nanny", survives=True, workers=1),
        Kind("Dask", "scheduler", workers=2),
    ],
    [
        Kind("Spark", "executor", survives=True, workers=1),
        Kind("Spark", LAUNCHER, workers=2),
        Kind("Spark", "worker", survives=True, workers=1),
        Kind("Spark", "master", workers=2),
    ],
    [Kind("Spark", "job server", workers=2)],
    [Kind("Prism", "server", workers=1)],
    [Kind("job service", "service", workers=1)],
]


@dataclass(frozen=True)
class Trial:
    """How a trial ended.

    Attributes:
        after: finished shards at the kill.
        survived: whether the job went on by itself.
        same: whether the bytes are those of the undisturbed run.
        again: how often a shard was begun that had been begun before.
        seconds: of all runs of the job, without those of the cluster's start.
        said: what the launcher said at its end, if the job did not survive.
    """

    after: int
    survived: bool
    same: bool
    again: int
    seconds: float
    said: str = ""


def trial(
    kind: Kind,
    job: Job,
    wanted: dict[str, bytes],
    folder: Path,
    *,
    words: int,
    number: int,
    shared: Cluster | None = None,
) -> Trial:
    """Runs a job and kills a part of its cluster.

    Args:
        kind: what is killed.
        job: the job.
        wanted: what an undisturbed run leaves.
        folder: for output and logs; must be there.
        words: words a text.
        number: of the trial; seeds its chance.
        shared: the cluster to use; None for one of its own.
    """
    chance = random.Random(f"{kind} {number}")
    shards = sum(name.startswith("shard-") for name in wanted)
    after = chance.randint(2, shards // 2)
    out = folder / "out"
    engine = ENGINES[kind.engine]
    seconds, survived, said = 0.0, False, ""
    with Watch(out) as watch:
        (folder / "first").mkdir()
        own = contextlib.nullcontext(shared) if shared else engine(folder / "first")
        with own as cluster:
            began = time.monotonic()
            launcher = start(job, out, *cluster.flags, words=words)
            _await(launcher, watch, after, chance)
            if kind.part == LAUNCHER:
                launcher.kill()
                end(launcher)
                run(job, out, *cluster.flags, words=words, options=["--resume"])
            else:
                cluster.parts[kind.part](chance)
                _, said = end(launcher)
                survived = launcher.returncode == 0
            seconds += time.monotonic() - began
        if not survived and kind.part != LAUNCHER:
            _check_line(launcher.returncode, said)
            (folder / "second").mkdir()
            with engine(folder / "second") as cluster:
                began = time.monotonic()
                run(job, out, *cluster.flags, words=words, options=["--resume"])
                seconds += time.monotonic() - began
    return Trial(after, survived, contents(out) == wanted, watch.again(), seconds, said.strip())


def _await(launcher: subprocess.Popen, watch: Watch, after: int, chance: random.Random) -> None:
    """Waits until some shards are finished, and then for a part of a shard's time."""
    moments: list[float] = []

    def finished() -> bool:
        assert launcher.poll() is None, launcher.communicate()[1]
        if not moments and watch.finished():
            moments.append(time.monotonic())
        return watch.finished() >= after

    try:
        until(finished, lambda: f"{watch.finished()} shards are finished, not {after}")
        a_shard = (time.monotonic() - moments[0]) / after
        time.sleep(chance.random() * a_shard)
        assert launcher.poll() is None, "the job ended before its kill"
    except BaseException:
        launcher.kill()
        raise


def _check_line(status: int, said: str) -> None:
    assert status == 1, (status, said)
    lines = said.strip().split("\n")
    assert len(lines) == 1, said
    assert lines[0].startswith("textmill: error: "), said
    assert lines[0].endswith("The same command with --resume goes on"), said
