"""Processes of a cluster, and this machine as one of its hosts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]


class AnyHost(Protocol):
    """Where processes of a cluster are started."""

    @property
    def address(self) -> str: ...

    @property
    def folder(self) -> Path | None: ...

    def popen(self, *arguments: str | os.PathLike[str], **more: Any) -> subprocess.Popen: ...


class Here:
    """This machine as a host.

    Args:
        address: the address at which its servers listen.
        folder: what only this host sees, if there is such a folder.
    """

    def __init__(self, address: str = "127.0.0.1", folder: Path | None = None):
        self.address, self.folder = address, folder

    def popen(self, *arguments: str | os.PathLike[str], **more: Any) -> subprocess.Popen:
        """Starts a process in a session of its own."""
        own = {} if self.folder is None else {"TMPDIR": str(self.folder)}
        more["env"] = {**os.environ, **own, **more.get("env", {})}
        return subprocess.Popen(arguments, start_new_session=True, **more)


# What processes of a cluster need to find this textmill and this Python, on every host.
FINDS = {
    "PYTHONPATH": str(ROOT),
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHON": sys.executable,
}


def kill(pid: int) -> None:
    """Kills a process, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in path.read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have started, and so on."""
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def kill_tree(pid: int) -> None:
    """Kills a process that nobody has waited for, and all that it has started."""
    below = descendants(pid)  # they would have another parent afterwards
    for each in (pid, *below):
        kill(each)
