"""The directory of a run: only one run works in it at a time, and a stopped run can go on.

run.json               what the run is; written first
shard-*                finished shards, each with its note in .done/
rejected/shard-*       rejected rows
.done/shard-*.json     a finished shard's counts and checksums
.done/shard-*.started  the process that works on a shard, and its progress
.done/*.loaded, *.failed  what workers tell (notes.py)
.lock                  held by the launcher while it runs
stats.json, README.md  figures and data-set card
manifest.json          written last; after it the files with a dot are removed

On Beam's file systems there are no locks and no notes on unfinished shards.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from textmill.model import file_lock
from textmill.model.errors import TextmillError
from textmill.model.network.directory import check_free
from textmill.model.small_files import json_object, loads
from textmill.pipeline.files.filesystem import (
    ATTEMPT,
    digest_of,
    exists,
    is_remote,
    join,
    make_directory,
    names,
    read,
    remove,
    remove_attempts,
    write_once,
)
from textmill.pipeline.files.parallel import parallel
from textmill.pipeline.job.manifest import (
    CARD,
    DONE,
    MANIFEST,
    REJECTED,
    RUN,
    STATS,
    Output,
    ShardSummary,
    folded,
    read_manifest,
    read_statistics,
)
from textmill.pipeline.job.notes import OF_WORKERS, standing
from textmill.pipeline.job.progress import (
    DAMAGE,
    MISSHAPEN,
    Counts,
    NotedProgress,
)
from textmill.pipeline.job.run_statistics import NO_FIGURES, Statistics
from textmill.pipeline.output.columns import REJECTED as REJECTED_COLUMNS
from textmill.pipeline.prompts.planning import Shard
from textmill.pipeline.prompts.reading import AS_USUAL
from textmill.pipeline.prompts.rows import reason_class

_LOCK = ".lock"
_SHARD = re.compile(r"shard-\d{5,9}-of-\d{5,9}(?:\.\w+)*")


class RunDirectory:
    """A claim on an output directory, held until `release`.

    Args:
        output: where and how files are written.
        header: what the run is: model, settings, prompts, versions.
        resume: whether to go on with a run of this kind in the directory.
        warn: called with a line that is worth knowing but is not an error.

    Raises:
        TextmillError: the directory exists or is in use, or holds a run of another kind; the
            message names the field that differs.
    """

    def __init__(
        self,
        output: Output,
        header: dict[str, Any],
        *,
        resume: bool,
        warn: Callable[[str], None] = lambda text: None,
    ):
        self.out, self._output, self._warn = output.directory, output, warn
        self._notes = join(self.out, DONE)
        self._progress = NotedProgress(self._notes)
        self._header = json.loads(json.dumps(header))
        inside = names(self.out)
        holds_run = RUN in inside
        if not (resume and holds_run):
            if resume and any(name.startswith("shard-") for name in inside):
                raise TextmillError(f"{self.out} holds shards but no {RUN}: the run cannot go on")
            # A run that was killed at its very start has left no more than its claim.
            claim = [name for name in inside if name == _LOCK or name.startswith(ATTEMPT)]
            if not (resume and inside and claim == inside):
                _check_free(self.out)
        make_directory(self.out)
        _refuse_links(self.out)
        self._lock = self._acquire()
        try:
            if resume:
                self._remove_attempts()
            if holds_run and resume:
                self._compare()
                if self.finished:
                    self._reopen_if_damaged()
                if not self.finished:
                    self._sweep()
            else:
                text = json.dumps(header, indent=2, ensure_ascii=False) + "\n"
                if not write_once(join(self.out, RUN), text.encode()):
                    raise TextmillError(f"{self.out} is in use by another run; name another place")
            make_directory(self._notes)
        except BaseException:
            self.release()
            raise

    @property
    def finished(self) -> bool:
        """Whether the manifest is there."""
        path = join(self.out, MANIFEST)
        return exists(path) if is_remote(path) else os.path.lexists(path)

    def done(self, shards: Sequence[Shard], *, machine: str | None) -> list[ShardSummary]:
        """Gives folded summaries of the finished and undamaged shards; removes damaged ones.

        Args:
            shards: all shards of the run.
            machine: the workers' kind of CPU, if it is known; on another kind texts may differ.
        """
        self._progress = NotedProgress(self._notes)
        noted = set(names(self._notes))
        shards = [shard for shard in shards if f"{shard.file_name}.json" in noted]
        with parallel(lambda shard: standing(shard, self._output), shards) as found:
            whole = folded(self._whole(shards, found))
        others = {summary.machine for summary in whole} - {machine}
        if others and machine is not None:
            self._warn(
                f"some shards were made on another CPU ({', '.join(sorted(others))}); equal bytes "
                "are promised on one kind only"
            )
        return whole

    def count(self) -> int:
        """Counts the finished shards."""
        return sum(name.endswith(".json") for name in names(self._notes))

    def progress(self) -> Counts:
        """Counts what all workers have done; on local disks with unfinished shards.

        Raises:
            TextmillError, OSError: the notes cannot be listed.
        """
        return self._progress.look()

    def ended(self) -> Counts:
        """Counts what a run has done that has come to its end, all of it if it is finished."""
        if not self.finished:
            return self.progress()
        counts = read_manifest(self.out)["counts"]
        return Counts(*(counts[name] for name in ("prompts", "records", "words", "rejected")))

    def working_on(self) -> list[str]:
        """Finds unfinished shards whose process is gone."""
        dead, inside = [], names(self._notes)
        for name in inside:
            shard, ending = os.path.splitext(name)
            if ending == ".started" and f"{shard}.json" not in inside:
                with contextlib.suppress(*DAMAGE):
                    if not _alive(loads(read(join(self._notes, name)).decode())["pid"]):
                        dead.append(shard)
        return dead

    def release(self, *, finished: bool = False) -> None:
        """Gives the directory free; removes the notes of a finished run."""
        if finished and is_remote(self.out):
            notes = [join(self._notes, name) for name in names(self._notes)]
            with parallel(remove, notes) as removed:
                list(removed)
        elif finished:
            shutil.rmtree(self._notes, ignore_errors=True)
            remove(join(self.out, _LOCK))
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _acquire(self) -> int | None:
        if is_remote(self.out) or not file_lock.WORKS:
            return None
        try:
            return file_lock.take_lock(join(self.out, _LOCK))
        except BlockingIOError:
            raise TextmillError(f"{self.out} is in use by another run; wait for it") from None

    def _compare(self) -> None:
        """Refuses to go on with a run that would give other texts."""
        path = join(self.out, RUN)
        stands = json_object(read(path), name=path, cure="the run cannot go on")
        if not isinstance(stands.get("versions"), dict):
            raise TextmillError(f"{path} is damaged: it tells of no run; the run cannot go on")
        if isinstance(stands.get("input"), dict):  # older runs do not tell all of it
            asked = self._header.get("input", {})
            usual = {name: value for name, value in AS_USUAL.record().items() if name in asked}
            stands["input"] = {**usual, **stands["input"]}
        for run in (stands, wanted := dict(self._header)):
            versions = run.get("versions", {})
            run["versions"] = {"tensorflow": versions.get("tensorflow")}
        difference = _difference(stands, wanted)
        if difference is not None:
            field, was, now = difference
            differs = f"{field} was {was}, is now {now}"
            of, _, name = field.partition(".")
            if of == "prompts" and "absent" not in (was, now):
                differs = f"{name.rpartition('.')[0]} has other content ({differs})"
            raise TextmillError(
                f"{self.out} holds another run: {differs}. Go on with what it was, or name another "
                "place"
            )

    def _remove_attempts(self) -> None:
        """Removes files that killed processes have begun, even beside a finished run."""
        for folder in (self.out, join(self.out, REJECTED), self._notes):
            remove_attempts(folder)

    def _sweep(self) -> None:
        """Removes notes on work that was under way, and what the run will write again.

        This includes shards without a note, which may not be whole. If there is no lock they stay,
        as another run may be about to write the note.
        """
        noted = {name.removesuffix(".json") for name in names(self._notes)}
        for folder in (self.out, join(self.out, REJECTED), self._notes):
            for name in names(folder):
                unknown = name.startswith("shard-") and name.partition(".")[0] not in noted
                stale = name.endswith((".started", *OF_WORKERS))
                if stale or (unknown and self._lock is not None):
                    remove(join(folder, name))
        for name in (STATS, CARD):
            remove(join(self.out, name))

    def _reopen_if_damaged(self) -> None:
        """Makes a finished run unfinished if something in it is damaged."""
        manifest = read_manifest(self.out)
        try:
            self._reopen(manifest)
        except MISSHAPEN as error:
            raise TextmillError(
                f"{join(self.out, MANIFEST)} is damaged ({type(error).__name__} {error}); remove "
                "it, and --resume makes the run again"
            ) from None

    def _reopen(self, manifest: dict[str, Any]) -> None:
        """Removes the manifest if a shard is damaged.

        Undamaged shards get their notes back, except in text files, which do not hold enough.
        """
        rows = manifest["shards"]
        for row in rows:
            if not _SHARD.fullmatch(row["name"]):
                raise ValueError(f"{row['name']!r} is no name of a shard")
        whole, broken = [], []
        with parallel(self._is_whole, rows) as found:
            for number, (row, is_whole) in enumerate(zip(rows, found, strict=True)):
                if not is_whole:
                    broken.append(row["name"])
                elif self._output.form.name != "text":
                    whole.append(
                        ShardSummary(
                            number=number,
                            machine=", ".join(manifest["machines"]),
                            tensorflow=", ".join(manifest["tensorflow"]),
                            statistics=NO_FIGURES,
                            **row,
                        )
                    )
        if digest_of(join(self.out, RUN)) != manifest["files"][RUN]:
            raise TextmillError(
                f"{join(self.out, RUN)} is damaged: it is not the file that {MANIFEST} names; put "
                "a copy of it back"
            )
        broken += [name for name in (STATS, CARD) if not self._is_right(name, manifest)]
        if not broken:
            return
        self._warn(f"{', '.join(broken[:5])} of the finished run is damaged and is made again")
        make_directory(self._notes)
        for summary in whole:
            with contextlib.suppress(TextmillError):  # without a note it is made again, too
                note = join(self._notes, f"{summary.name.partition('.')[0]}.json")
                write_once(note, self._with_figures(summary).note())
        remove(join(self.out, MANIFEST))

    def _is_right(self, name: str, manifest: dict[str, Any]) -> bool:
        """Tells whether the statistics or the card are as they were written."""
        try:
            if name == CARD:
                return digest_of(join(self.out, CARD)) == manifest["files"][CARD]
            return bool(read_statistics(self.out, manifest))
        except TextmillError:
            return False

    def _is_whole(self, row: dict[str, Any]) -> bool:
        """Compares a shard's files with what the manifest says of them."""
        try:
            wanted = {join(self.out, row["name"]): row["sha256"]}
            if row["rejected"]:
                wanted[join(self.out, REJECTED, row["name"])] = row["rejected_sha256"]
            return all(digest_of(path) == digest for path, digest in wanted.items())
        except (TextmillError, KeyError):
            return False

    def _with_figures(self, summary: ShardSummary) -> ShardSummary:
        """Counts a whole shard's texts and rejected rows once more."""
        form, rejected = self._output.form, []
        rows = form.decode(read(join(self.out, summary.name)), self._output.columns)
        if summary.rejected:
            data = read(join(self.out, REJECTED, summary.name))
            rejected = form.decode(data, REJECTED_COLUMNS)
        reasons = [reason_class(row["reason"]) for row in rejected]
        return replace(summary, statistics=Statistics.of(rows, reasons, seconds=0.0))

    def _whole(
        self, shards: Sequence[Shard], found: Iterator[ShardSummary | None]
    ) -> Iterator[ShardSummary]:
        """Gives the whole ones of shards that were checked; warns of the others, removes them."""
        for shard, summary in zip(shards, found, strict=True):
            if summary is not None:
                self._progress.count(shard.file_name, Counts.of(summary))
                yield summary
                continue
            self._warn(f"{shard.file_name} is damaged and is made again")
            note = join(self._notes, f"{shard.file_name}.json")
            for path in (self._output.path(shard), self._output.rejected_path(shard), note):
                remove(path)


def _refuse_links(out: str) -> None:
    """Refuses folders of a run that lead elsewhere, where nothing may be written or removed."""
    if is_remote(out):
        return
    for name in (DONE, REJECTED, _LOCK):
        if os.path.islink(join(out, name)):
            raise TextmillError(f"{join(out, name)} is a link, which no run makes; remove it")


def _check_free(out: str) -> None:
    try:
        if is_remote(out):
            if names(out):
                raise TextmillError(f"{out} already exists; name another place or remove it first")
            return
        check_free(out)
    except TextmillError as error:
        hint = ", or go on with --resume" if "already exists" in str(error) else ""
        raise TextmillError(f"{error}{hint}") from None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    # A killed child that nobody has waited for is a zombie: it is dead but still listed.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def _difference(was: Any, now: Any, field: str = "") -> tuple[str, Any, Any] | None:
    """Finds the first field in which two JSON values differ: its dotted name and both values."""
    both = [*was, *now] if isinstance(was, list) and isinstance(now, list) else [None]
    if all(isinstance(x, dict) and isinstance(x.get("name"), str) for x in both):
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
