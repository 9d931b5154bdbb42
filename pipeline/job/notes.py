"""Notes that workers leave in a run's directory: shards, loaded models, failures.

They reach the launcher on every engine, whatever the engine itself tells. A note is a small file in
`.done/`, which is removed when the run is finished.

shard-*.json            a finished shard's counts and checksums
shard-*.started         the process that works on a shard, and its progress
HOST-PID-NUMBER.loaded  a process has loaded the model
HOST-PID-NUMBER.failed  why a process failed
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from textmill.model.errors import TextmillError
from textmill.model.small_files import loads
from textmill.pipeline.files.filesystem import (
    digest_of,
    is_remote,
    join,
    names,
    read,
    remove,
    write_once,
)
from textmill.pipeline.job.manifest import DONE, Output, ShardSummary
from textmill.pipeline.job.progress import DAMAGE, NOTHING, Counts
from textmill.pipeline.prompts.planning import Shard

LOADED, FAILED = ".loaded", ".failed"
OF_WORKERS = (LOADED, FAILED)


@dataclass(frozen=True)
class Failure:
    """Why a worker failed; `host` is the name of its machine."""

    message: str
    host: str
    time: float

    def __str__(self) -> str:
        elsewhere = "" if self.host == socket.gethostname() else f" (on worker {self.host})"
        return f"{self.message}{elsewhere}"


def note_working(shard: Shard, out: str, counts: Counts = NOTHING) -> None:
    """Notes this process and its progress with a shard, for `progress` and `working_on`."""
    if is_remote(out):
        return
    with contextlib.suppress(OSError):
        note = Path(out) / DONE / f"{shard.file_name}.started"
        note.write_text(json.dumps({"pid": os.getpid(), "counts": asdict(counts)}))


def note_done(summary: ShardSummary, shard: Shard, out: str) -> None:
    """Notes that a shard is finished, so that a resume need not make it again."""
    write_once(join(out, DONE, f"{shard.file_name}.json"), summary.note())
    if not is_remote(out):
        with contextlib.suppress(TextmillError):
            remove(join(out, DONE, f"{shard.file_name}.started"))


def note_loaded(out: str) -> None:
    """Notes that this process has loaded the model."""
    _note(out, LOADED, {})


def models_loaded(out: str) -> int:
    """Counts the processes that have loaded the model."""
    return sum(name.endswith(LOADED) for name in names(join(out, DONE)))


@contextlib.contextmanager
def failure_noted(out: str | None) -> Iterator[None]:
    """Notes an error before it goes to the engine, of which some lose it; None notes nothing."""
    try:
        yield
    except Exception as error:
        if out is not None:
            kind = "" if isinstance(error, TextmillError) else f"{type(error).__name__}: "
            _note(out, FAILED, {"message": f"{kind}{error}", "time": time.time()})
        raise


def failure(out: str) -> Failure | None:
    """Gives the last failure that a worker has noted, if any."""
    found = []
    for name in names(join(out, DONE)):
        if name.endswith(FAILED):
            with contextlib.suppress(*DAMAGE):
                note = loads(read(join(out, DONE, name)).decode())
                found.append(Failure(str(note["message"]), str(note["host"]), float(note["time"])))
    return max(found, key=lambda failure: failure.time, default=None)


def standing(shard: Shard, output: Output) -> ShardSummary | None:
    """Gives the summary of a shard that is finished, whole and noted; None if it must be made.

    An engine that lost a worker asks again for what that worker had made.
    """
    paths = (output.path(shard), output.rejected_path(shard))
    try:
        note = read(join(output.directory, DONE, f"{shard.file_name}.json"))
        summary = ShardSummary.of_note(note)
        wanted = (shard.number, os.path.basename(paths[0]), shard.rows)
        if (summary.number, summary.name, summary.rows) != wanted:
            return None
        if digest_of(paths[0]) != summary.sha256:
            return None
        if summary.rejected_sha256 is not None and (digest_of(paths[1]) != summary.rejected_sha256):
            return None
    except DAMAGE:
        return None
    return summary


def _note(out: str, ending: str, fields: dict[str, object]) -> None:
    host = socket.gethostname()
    name = f"{host.replace('/', '_')}-{os.getpid()}-{uuid.uuid4().hex[:8]}{ending}"
    # A note is not worth a run: the place may be what is broken.
    with contextlib.suppress(TextmillError):
        write_once(join(out, DONE, name), json.dumps({"host": host, **fields}).encode())
