"""Looks at a run's output directory while it grows: which shards are begun, where, how often."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Beginning:
    """A process has begun a shard.

    Attributes:
        network: the network namespace of the process, empty if that has ended already.
    """

    shard: str
    pid: int
    network: str


class Watch:
    """Watches a run's notes on the shards that are under way, in a thread, from `with` to its end.

    A worker writes such a note when it begins a shard, and one each second with what it has made.

    Args:
        out: the output directory, which need not be there yet.

    Attributes:
        beginnings: what was seen until now.
    """

    def __init__(self, out: Path):
        self.beginnings: list[Beginning] = []
        self._notes = out / ".done"
        self._seen: dict[str, tuple[int, int]] = {}  # of a note: its time and its process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        alive = self._thread.is_alive()
        self._over.set()
        self._thread.join()
        assert alive, "nothing was counted any more"

    def finished(self) -> int:
        """Counts the finished shards."""
        return len(self._names(".json"))

    def again(self) -> int:
        """Counts how often a shard was begun that had been begun before."""
        return len(self.beginnings) - len({each.shard for each in self.beginnings})

    def networks(self) -> set[str]:
        """The network namespaces whose processes have begun shards."""
        return {each.network for each in self.beginnings} - {""}

    def _look_on(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            for name in self._names(".started"):
                self._look(self._notes / name)

    def _names(self, ending: str) -> list[str]:
        try:
            return [name for name in os.listdir(self._notes) if name.endswith(ending)]
        except FileNotFoundError:  # not yet, or no longer
            return []

    def _look(self, note: Path) -> None:
        try:
            time = note.stat().st_mtime_ns
            before, worker = self._seen.get(note.name, (0, 0))
            if time == before:
                return
            told = json.loads(note.read_text())
        except (OSError, ValueError):  # removed, or not yet whole
            return
        self._seen[note.name] = (time, told["pid"])
        if told["pid"] != worker or told["counts"]["samples"] == 0:
            self.beginnings.append(Beginning(note.stem, told["pid"], network_of(told["pid"])))


def network_of(pid: int | str) -> str:
    """Names a process's network namespace."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""
