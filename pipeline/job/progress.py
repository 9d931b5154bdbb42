"""How far a run is, by the notes in its directory, which works with any runner."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from textmill.model.errors import TextmillError
from textmill.model.small_files import loads
from textmill.pipeline.files.filesystem import join, names, read
from textmill.pipeline.files.parallel import parallel
from textmill.pipeline.job.manifest import ShardSummary

# What reading a damaged file may raise.
MISSHAPEN = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
DAMAGE = (TextmillError, *MISSHAPEN)

# Seconds between two looks, and the most that looks take of the time. The longest pause holds for
# a look that was slow by chance, too.
_LOOK_SECONDS, _LOOK_SHARE, _LONGEST_PAUSE = 1.0, 0.02, 60.0


@dataclass(frozen=True)
class Counts:
    """The progress of a run or a shard."""

    prompts: int = 0
    samples: int = 0
    words: int = 0
    rejected: int = 0

    @staticmethod
    def total(parts: Iterable[Counts]) -> Counts:
        """Adds counts up."""
        rows = [(part.prompts, part.samples, part.words, part.rejected) for part in parts]
        return Counts(*map(sum, zip(*rows, strict=True))) if rows else Counts()

    @staticmethod
    def of(summary: ShardSummary) -> Counts:
        """Gives the counts of a finished shard."""
        return Counts(summary.prompts, summary.records, summary.words, summary.rejected)

    def most(self, other: Counts) -> Counts:
        """Gives the larger of each two counts."""
        return Counts(*map(max, astuple(self), astuple(other)))


NOTHING = Counts()


class NotedProgress:
    """What the notes of a run tell, from look to look.

    A finished shard counts once, whoever made it, and its note is read once. An unfinished one
    counts with the most that was told of it, as it may have begun anew, or its note may be gone at
    the moment of a look.

    Args:
        notes: the folder of the notes.
    """

    def __init__(self, notes: str):
        self._notes = notes
        self._counted: set[str] = set()  # notes of finished shards
        self._finished = NOTHING
        self._working: dict[str, Counts] = {}  # by unfinished shard

    def count(self, shard: str, counts: Counts) -> None:
        """Counts a finished shard."""
        self._counted.add(f"{shard}.json")
        self._working.pop(shard, None)
        self._finished = Counts.total([self._finished, counts])

    def look(self) -> Counts:
        """Reads what is new, and counts what all workers have done.

        Raises:
            TextmillError, OSError: the notes cannot be listed.
        """
        new = set(names(self._notes)) - self._counted
        told = sorted(name for name in new if name.endswith((".json", ".started")))
        with parallel(self._read, told) as found:
            for name, counts in zip(told, found, strict=True):
                shard, ending = os.path.splitext(name)
                if counts is None or f"{shard}.json" in self._counted:
                    continue
                if ending == ".json":
                    self.count(shard, counts)
                else:
                    self._working[shard] = counts.most(self._working.get(shard, NOTHING))
        return Counts.total([self._finished, *self._working.values()])

    def _read(self, name: str) -> Counts | None:
        """Gives what a note counts; None if it is gone or damaged."""
        with contextlib.suppress(*DAMAGE):
            note = read(join(self._notes, name))
            if name.endswith(".json"):
                return Counts.of(ShardSummary.of_note(note))
            return Counts(**loads(note.decode())["counts"]).most(NOTHING)
        return None


def pause(took: float) -> float:
    """Gives the seconds until the next look, after one that took so long."""
    return min(max(_LOOK_SECONDS, took / _LOOK_SHARE), _LONGEST_PAUSE)
