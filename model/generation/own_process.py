"""Runs a `Writer` in a process of its own, so that it works after any other TensorFlow work.

Equal bytes need TensorFlow on one thread, which can only be set before it starts in a process. So a
new process is started; it gets the model and ends with the process that started it.

The two talk over a pair of sockets. A message begins a call, asks for its next results, or ends it;
each message gets one answer. So several calls may be open, and a call may be left unfinished.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from textmill.model.errors import TextmillError
from textmill.model.network.directory import SavedModel
from textmill.model.own_folder import own_folder

_AT_A_TIME = 256  # results of a call in one answer; those of a stream come one by one


class WriterProcess:
    """Has the methods of a `Writer`, which run in a process of its own.

    The process starts with the first call and runs until `close`, or until this object is deleted.
    If it dies, or a call is interrupted, the next call starts another process.

    Args:
        model: from `load_model`.
    """

    def __init__(self, model: SavedModel):
        self.model = model
        self._lock, self._numbers = threading.Lock(), itertools.count()
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def generate(self, *args: Any) -> Iterator[Any]:
        """See `Writer.generate`."""
        return self._results("generate", *args)

    def stream(self, *args: Any) -> Iterator[str]:
        """See `Writer.stream`."""
        return self._results("stream", *args)

    def score(self, *args: Any) -> Iterator[Any]:
        """See `Writer.score`."""
        return self._results("score", *args)

    def next_words(self, *args: Any) -> Iterator[tuple[str, float]]:
        """See `Writer.next_words`."""
        return self._results("next_words", *args)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None and self._pid == os.getpid():
            self._end()
        self._process = None

    def _results(self, name: str, *args: Any) -> Iterator[Any]:
        number, most = next(self._numbers), 1 if name == "stream" else _AT_A_TIME
        process = self._ask("call", number, name, args)
        try:
            while True:
                results = self._ask("more", number, most, of=process)
                yield from results
                if len(results) < most:
                    return
        finally:
            with contextlib.suppress(TextmillError):
                self._ask("end", number, of=process)

    def _ask(self, *message: Any, of: Any = None) -> Any:
        """Sends a message and waits for its answer.

        Args:
            message: the message.
            of: the process that the call began in, as another one does not know it.

        Returns:
            The answer; for a new call, the process that runs it.

        Raises:
            TextmillError: the call raised it, or the process is dead.
        """
        with self._lock:
            if of is None:
                self._start()
            elif of is not self._process:
                raise TextmillError("the model's process was ended before the call was done")
            try:
                self._connection.send(message)
                kind, value = self._connection.recv()
            except (EOFError, OSError):
                raise TextmillError(self._death()) from None
            except BaseException:  # after Ctrl-C, the next message would get this one's answer
                self._end()
                raise
            if kind == "error":
                raise value
            return self._process if message[0] == "call" else value

    def _start(self) -> None:
        if self._process is not None and self._pid == os.getpid():
            return  # after a fork, the process belongs to the parent
        folder = own_folder()
        temporary = folder.__enter__()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "textmill.model.generation.own_process"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # No file of the user replaces a package; only the caller handles Ctrl-C.
                env={
                    **os.environ,
                    "PYTHONSAFEPATH": "1",
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    "TMPDIR": str(temporary),
                },
                start_new_session=True,
            )
        self._pid, self._connection = os.getpid(), Connection(ours.detach())
        self._finalizer = weakref.finalize(
            self, _ended, self._process, self._connection, folder, self._pid
        )
        try:
            self._connection.send(self.model)
        except OSError:
            raise TextmillError(self._death()) from None

    def _death(self) -> str:
        assert self._process is not None
        status = self._process.wait()
        self._end()
        how = f"signal {-status}" if status < 0 else f"status {status}"
        return (
            f"the model's process died ({how}), perhaps for want of memory; the next call starts "
            "another one"
        )

    def _end(self) -> None:
        self._finalizer()
        self._process = None


def _ended(
    process: subprocess.Popen[bytes],
    connection: Connection,
    folder: contextlib.AbstractContextManager[Any],
    pid: int,
) -> None:
    if pid != os.getpid():
        return
    connection.close()
    process.kill()
    process.wait()
    folder.__exit__(None, None, None)


def main() -> None:
    """Answers until the other side is gone."""
    connection = Connection(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    model = connection.recv()
    calls: dict[int, Iterator[Any]] = {}
    writer = None
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)  # a normal exit sometimes aborts, because of TensorFlow's threads
        try:
            if writer is None:
                writer = _writer(model)
            answer = ("done", _answer(writer, calls, *message))
        except TextmillError as error:
            answer = ("error", error)
        except Exception as error:
            answer = ("error", TextmillError(f"{type(error).__name__}: {error}"))
        try:
            connection.send(answer)
        except OSError:
            os._exit(0)


def _writer(model: SavedModel) -> Any:
    from textmill.model.generation.writer import Writer
    from textmill.model.tensorflow_setup import use_one_thread

    use_one_thread()
    return Writer(model)


def _answer(writer: Any, calls: dict[int, Iterator[Any]], kind: str, number: int, *of: Any) -> Any:
    if kind == "call":
        name, args = of
        calls[number] = getattr(writer, name)(*args)
        return None
    if kind == "end":
        calls.pop(number, None)
        return None
    return list(itertools.islice(calls[number], *of))


if __name__ == "__main__":
    main()
