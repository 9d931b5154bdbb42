"""Notes that workers leave in a run's directory: loaded models, failures, finished shards.

They reach the launcher on every engine, whatever the engine itself tells. A note is a small file in
`.done/`, which is removed when the run is finished.

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
from dataclasses import dataclass

from textmill.model.errors import TextmillError
from textmill.model.small_files import loads
from textmill.pipeline.files.filesystem import join, names, read, sha256, write_once
from textmill.pipeline.job.manifest import DONE, Output, ShardSummary
from textmill.pipeline.prompts.planning import Shard

LOADED, FAILED = ".loaded", ".failed"
OF_WORKERS = (LOADED, FAILED)
# What reading a damaged file may raise.
MISSHAPEN = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
DAMAGE = (TextmillError, *MISSHAPEN)


@dataclass(frozen=True)
class Failure:
    """Why a worker failed; `host` is the name of its machine."""

    message: str
    host: str
    time: float

    def __str__(self) -> str:
        elsewhere = "" if self.host == socket.gethostname() else f" (on worker {self.host})"
        return f"{self.message}{elsewhere}"


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
        summary = ShardSummary.from_json(note.decode())
        wanted = (shard.number, os.path.basename(paths[0]), shard.rows)
        if (summary.number, summary.name, summary.rows) != wanted:
            return None
        if sha256(read(paths[0])) != summary.sha256:
            return None
        if summary.rejected_sha256 is not None and (
            sha256(read(paths[1])) != summary.rejected_sha256
        ):
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
