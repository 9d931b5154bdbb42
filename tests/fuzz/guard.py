"""What no input may do: take too much time or memory, write elsewhere, or fail in many words.

`watched` runs a case. A signal ends it after so many seconds of the processor (a busy machine does
not matter), a limit of the kernel after so much more memory, and Python's audit events tell of all
that is opened for writing, made, renamed or removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from textmill.model.errors import TextmillError

CPU_SECONDS = 20.0
WALL_SECONDS = 180.0  # for what waits for ever, such as a pipe without a writer
MORE_BYTES = 1_500_000_000


class Broken(AssertionError):
    """An input broke a promise; the message says which."""


class TooLong(BaseException):
    """Raised by the timers; no `except Exception` of the product can keep it."""


class _Watch:
    """What may be written during a case, and what was written elsewhere."""

    def __init__(self, folder: Path, root: Path):
        self.folder, self.root = os.path.realpath(folder), os.path.realpath(root)
        self.scratch = os.path.realpath(tempfile.gettempdir())
        self.strays: list[str] = []

    def allows(self, path: str) -> bool:
        """Whether a resolved path is the case's own, or scratch beside all cases."""
        if _inside(path, self.folder):
            return True
        if path.startswith(("/dev/", "/proc/")) or "__pycache__" in path:
            return True
        return _inside(path, self.scratch) and not _inside(path, self.root)


_now: _Watch | None = None
_hooked = False
# Events by the places of paths among their arguments, and of the folders' descriptors.
_EVENTS: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _hook(event: str, args: tuple) -> None:
    watch = _now
    if watch is None:
        return
    if event == "open":
        path, mode, flags = args
        writes = flags & _WRITES if isinstance(flags, int) else set(mode or "") & set("wax+")
        places = ((path, None),) if writes else ()
    elif event in _EVENTS:
        places = tuple(
            (args[at], args[fd] if fd is not None and fd < len(args) else None)
            for at, fd in _EVENTS[event]
        )
    else:
        return
    for path, descriptor in places:
        if isinstance(path, str | bytes) and not watch.allows(_resolved(path, descriptor)):
            watch.strays.append(f"{event} {path!r}")


def _resolved(path: str | bytes, descriptor: object) -> str:
    """The absolute path; links above its last part are followed."""
    path = os.fsdecode(path)
    if isinstance(descriptor, int) and descriptor >= 0 and not os.path.isabs(path):
        path = os.path.join(os.readlink(f"/proc/self/fd/{descriptor}"), path)
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


@contextlib.contextmanager
def watched(
    folder: Path,
    root: Path,
    *,
    cpu: float = CPU_SECONDS,
    wall: float = WALL_SECONDS,
    more: int = MORE_BYTES,
) -> Iterator[None]:
    """Runs a block within limits.

    Args:
        folder: the case's own folder, where all may be written.
        root: the folder of all cases; beside it, the temporary folder is free for scratch.
        cpu: seconds of the processor, over all threads.
        wall: seconds on the clock.
        more: bytes of memory, above what is used now.

    Raises:
        Broken: a limit was passed, or something elsewhere was written.
    """
    global _now, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    watch = _Watch(folder, root)
    with _timers(cpu, wall), _memory(more):
        _now = watch
        try:
            yield
        except TooLong as error:
            raise Broken(str(error)) from None
        except MemoryError as error:
            raise Broken(f"took {more / 1e9:.1f} GB more memory: {error!r}") from error
        finally:
            _now = None
    if watch.strays:
        raise Broken(f"wrote outside its folder: {'; '.join(watch.strays[:5])}")


@contextlib.contextmanager
def _timers(cpu: float, wall: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets signals
        return

    def stop(number: int, frame: object) -> None:
        unit = "of the processor" if number == signal.SIGPROF else "on the clock"
        seconds = cpu if number == signal.SIGPROF else wall
        raise TooLong(f"took more than {seconds:g} s {unit}")

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, cpu), (signal.SIGALRM, signal.ITIMER_REAL, wall))
    before = [signal.signal(number, stop) for number, _, _ in timers]
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


@contextlib.contextmanager
def _memory(more: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[5]) * resource.getpagesize()
    hard = before[1]
    most = used + more if hard == resource.RLIM_INFINITY else min(used + more, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def refused(error: BaseException) -> None:
    """Checks an error that ended a case: it has to be one that its single line explains.

    Raises:
        Broken: it is of another kind, or its message has several lines.
        MemoryError: it tells of one.
    """
    if isinstance(error, MemoryError | Broken | TooLong):
        raise error
    if not isinstance(error, TextmillError):
        raise Broken(f"raised {type(error).__name__}: {str(error)[:300]!r}") from error
    message = str(error)
    if not message.strip() or "\n" in message or "\r" in message:
        raise Broken(f"a message of several lines, or of none: {message[:300]!r}") from error


# C0 but the newline, DEL and C1: a terminal may take them for orders.
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_ERROR = re.compile(r"^textmill(?: [a-z]+)?: error: .", re.MULTILINE)


def check_command(status: int, out: str, err: str) -> None:
    """Checks what a command gave back and printed.

    Raises:
        Broken: a status that there is not, not one line for an error, or control characters.
    """
    if status not in (0, 1, 2, 3):
        raise Broken(f"exit status {status}")
    lines = len(_ERROR.findall(err))
    if lines != (status != 0):
        raise Broken(f"exit status {status}, {lines} lines of errors: {err[-500:]!r}")
    for name, text in (("output", out), ("error", err)):
        found = CONTROL.search(text.replace("\t", " ") if name == "output" else text)
        if found:
            around = text[max(0, found.start() - 60) : found.end() + 60]
            raise Broken(f"a control character on the standard {name}: {around!r}")
