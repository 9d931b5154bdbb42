"""A run's directory: one run at a time works in it, and a stopped run goes on where it was.

run.json               what the run is; written first
shard-*                finished shards, each with its note in .done/
rejected/shard-*       rows that are no prompts
.done/shard-*.json     a finished shard's counts and checksums
.done/shard-*.started  the process that works on a shard
.lock                  held by the launcher while it lives
manifest.json          written last; the dotted files go when it stands
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.errors import TextmillError
from model.saved import check_free
from pipeline.files import ATTEMPT, make_directory, sha256, write_once
from pipeline.prompts import Shard
from pipeline.shards import DONE, MANIFEST, REJECTED, RUN, ShardSummary, shard_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class RunDirectory:
    """A claim on an output directory, held until `release`.

    Args:
        out: the directory.
        header: what the run is: model, settings, prompts, versions.
        resume: go on with a run of that kind which stands there.
        warn: is told what is worth knowing and no error.

    Raises:
        TextmillError: the place is taken, in use, or holds a run of another kind; the message
            names the field that differs.
    """

    def __init__(
        self,
        out: str,
        header: dict[str, Any],
        *,
        resume: bool,
        warn: Callable[[str], None] = lambda text: None,
    ):
        self.out, self._warn = Path(out), warn
        self._header = json.loads(json.dumps(header))
        holds_run = os.path.isfile(self.out / RUN)
        if not (resume and holds_run):
            if resume and any(self.out.glob("shard-*")):
                raise TextmillError(
                    f"{out} holds shards but no {RUN}: there is no going on with it"
                )
            check_free(out)
        make_directory(out)
        self._lock = self._acquire()
        try:
            if holds_run and resume:
                self._compare()
                self._sweep()
            else:
                text = json.dumps(header, indent=2, ensure_ascii=False) + "\n"
                if not write_once(self.out / RUN, text.encode()):
                    raise TextmillError(f"{out} is in use by another run; name another place")
            make_directory(self.out / DONE)
        except BaseException:
            self.release()
            raise

    @property
    def finished(self) -> bool:
        """Whether the manifest stands."""
        return (self.out / MANIFEST).exists()

    def done(self, shards: Sequence[Shard], *, machine: str) -> list[ShardSummary]:
        """Summaries of the shards that are finished and whole; damaged ones are removed.

        Args:
            machine: this CPU's kind; texts of another kind may differ in the last bit.
        """
        whole = []
        others: set[str] = set()
        for shard in shards:
            summary = self._check(shard)
            if summary is not None:
                whole.append(summary)
                others |= {summary.machine} - {machine}
        if others:
            self._warn(
                f"some shards were made on another CPU ({', '.join(sorted(others))}); equal bytes "
                "are promised on one kind only"
            )
        return whole

    def count(self) -> int:
        """Shards that are finished."""
        return sum(1 for _ in (self.out / DONE).glob("*.json"))

    def working_on(self) -> list[str]:
        """Shards whose process is gone before they were finished."""
        dead = []
        for note in sorted((self.out / DONE).glob("*.started")):
            with contextlib.suppress(OSError, ValueError):
                pid = int(note.read_text())
                if not (self.out / DONE / f"{note.stem}.json").exists() and not _alive(pid):
                    dead.append(note.stem)
        return dead

    def release(self, *, finished: bool = False) -> None:
        """Lets go of the directory; of a finished run nothing but its result stays."""
        if finished:
            shutil.rmtree(self.out / DONE, ignore_errors=True)
            (self.out / ".lock").unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _acquire(self) -> int | None:
        if fcntl is None:
            return None
        lock = os.open(self.out / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise TextmillError(f"{self.out} is in use by another run; wait for it") from None
        except OSError:  # a file system without locks
            pass
        return lock

    def _compare(self) -> None:
        """Refuses to go on with a run that would give other texts."""
        path = self.out / RUN
        try:
            stands = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise TextmillError(f"{path} is damaged, so there is no going on: {error}") from None
        for record in (stands, wanted := dict(self._header)):
            versions = record.get("versions", {})
            record["versions"] = {"tensorflow": versions.get("tensorflow")}
        difference = _difference(stands, wanted)
        if difference is not None:
            field, was, now = difference
            raise TextmillError(
                f"{self.out} holds another run: {field} was {was}, is now {now}. Go on with what "
                "it was, or name another place"
            )

    def _sweep(self) -> None:
        """Removes what killed attempts left."""
        for folder in (self.out, self.out / REJECTED, self.out / DONE):
            for left in folder.glob(f"{ATTEMPT}*"):
                left.unlink(missing_ok=True)
        for note in (self.out / DONE).glob("*.started"):
            note.unlink(missing_ok=True)

    def _check(self, shard: Shard) -> ShardSummary | None:
        note = self.out / DONE / f"{shard.file_name}.json"
        try:
            summary = ShardSummary(**json.loads(note.read_text("utf-8")))
            _check_digest(self.out / summary.name, summary.sha256)
            if summary.rejected_sha256 is not None:
                _check_digest(self.out / REJECTED / summary.name, summary.rejected_sha256)
        except FileNotFoundError as error:
            if error.filename == str(note):  # not finished; what stands of it is whole
                return None
        except (OSError, ValueError, TypeError):
            pass
        else:
            return summary
        self._warn(f"{shard.file_name} is damaged and is made again")
        name = shard_file(shard)
        for path in (self.out / name, self.out / REJECTED / name, note):
            path.unlink(missing_ok=True)
        return None


def note_start(shard: Shard, out: str) -> None:
    """Says which process works on a shard, for the message should it die."""
    with contextlib.suppress(OSError):
        note = Path(out) / DONE / f"{shard.file_name}.started"
        note.write_text(str(os.getpid()))


def note_done(summary: ShardSummary, shard: Shard, out: str) -> None:
    """Says that a shard is finished, which a resume goes by."""
    text = json.dumps(asdict(summary)) + "\n"
    write_once(Path(out) / DONE / f"{shard.file_name}.json", text.encode())
    with contextlib.suppress(OSError):
        (Path(out) / DONE / f"{shard.file_name}.started").unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    # A killed child that nobody has waited for is a zombie: dead, but there.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _check_digest(path: Path, digest: str) -> None:
    if sha256(path.read_bytes()) != digest:
        raise ValueError("other bytes")


def _difference(was: Any, now: Any, field: str = "") -> tuple[str, Any, Any] | None:
    """The first field in which two JSON values differ: its dotted name and both values."""
    if isinstance(was, list) and all(isinstance(x, dict) and "name" in x for x in [*was, *now]):
        was, now = ({row["name"]: row for row in rows} for rows in (was, now))
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            if key not in was or key not in now:
                return f"{field}{key}", was.get(key, "absent"), now.get(key, "absent")
            found = _difference(was[key], now[key], f"{field}{key}.")
            if found is not None:
                return found
        return None
    return None if was == now else (field.rstrip("."), was, now)
