"""Runs checks of a student's file in a separate process, which may hang, crash or end itself.

`python -m lab.run FILE SEED MEMORY FD NAME...` is that process. It writes a line of JSON to the
file descriptor FD for each thing that it does; what the student's code prints is dropped.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import linecache
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PASSED, FAILED, NOT_STARTED = "passed", "failed", "not started"
_LOAD_SECONDS, _KERAS_SECONDS = 20.0, 120.0  # the student's file; TensorFlow, on a slow machine
_FILE_BYTES = 64 << 20
MEMORY_GIB = 8.0


@dataclass(frozen=True)
class Result:
    """The result of one exercise.

    Attributes:
        name: name of the exercise.
        status: `passed`, `failed` or `not started`.
        what: what is wrong, or the function that is not started.
        expected: the value that was expected.
        received: the value that was received.
        hint: what to do.
    """

    name: str
    status: str
    what: str = ""
    expected: str = ""
    received: str = ""
    hint: str = ""


def results(
    file: Path,
    names: Sequence[str],
    *,
    seed: int = 0,
    seconds: float = 30.0,
    memory: float = MEMORY_GIB,
) -> Iterator[Result]:
    """Checks exercises one after the other; a crash of one does not stop the others.

    Args:
        file: the student's file.
        names: names in `lab.checks.EXERCISES`.
        seed: seed of the checks' inputs.
        seconds: time for one exercise.
        memory: GiB that the process may use.
    """
    left = list(names)
    while left:
        for result in _process(file, left, seed=seed, seconds=seconds, memory=memory):
            if result.name == _ALL:
                yield from (Result(**{**vars(result), "name": name}) for name in left)
                return
            left.remove(result.name)
            yield result


_ALL = "*"  # stands for all exercises, if the whole file is wrong


def _process(
    file: Path, names: Sequence[str], *, seed: int, seconds: float, memory: float
) -> Iterator[Result]:
    """Gives the results of one process; the last one may say that the process ended."""
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
            "HOME": folder,
        }
        command = [sys.executable, "-m", "lab.run", str(file.resolve()), str(seed), str(memory)]
        process = subprocess.Popen(
            [*command, str(writing), *names],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[writing],
            start_new_session=True,
        )
        os.close(writing)
        try:
            yield from _read(reading, process, seconds)
        finally:
            os.close(reading)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it may have started
            process.wait()


def _read(reading: int, process: Any, seconds: float) -> Iterator[Result]:
    current, deadline = _ALL, time.monotonic() + _LOAD_SECONDS
    what = "the file takes too long to load"
    lines = _lines(reading)
    while True:
        line = lines(deadline)
        if line is None:
            hint = "is there a loop that never ends? Code outside the functions runs when it loads"
            yield Result(current, FAILED, what, "an end", "none", hint)
            return
        if not line:
            break
        event = json.loads(line)
        if "begin" in event:
            current, limit = event["begin"], seconds
            what = f"it takes more than {seconds:g} s"
            if event["keras"]:
                limit, what = _KERAS_SECONDS, "TensorFlow takes too long to load"
            deadline = time.monotonic() + limit
        elif event:
            yield Result(**event)
            current = _ALL
        else:
            return
    status = process.wait()
    reason = f"signal {-status}" if status < 0 else f"exit status {status}"
    hint = "does the code end the process, or take more memory than there is?"
    yield Result(current, FAILED, "the process ended", "a result", reason, hint)


def _lines(reading: int) -> Any:
    """Makes a function that gives the next line: b"" at the end, None if the time is over."""
    buffer = b""

    def line(deadline: float) -> bytes | None:
        nonlocal buffer
        while b"\n" not in buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reading], [], [], left)[0]:
                return None
            found = os.read(reading, 65536)
            if not found:
                return b""
            buffer += found
        first, _, buffer = buffer.partition(b"\n")
        return first

    return line


# -- the process -----------------------------------------------------------------------------------


def load(file: Path) -> ModuleType:
    """Loads the student's file as a module."""
    spec = importlib.util.spec_from_file_location("exercises", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _limit(memory: float) -> None:
    import resource

    # macOS refuses some of these.
    for kind, most in (
        (resource.RLIMIT_AS, int(memory * 2**30)),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def main(argv: Sequence[str]) -> None:
    """Runs the checks, in the separate process."""
    file, seed, memory, writing, *names = argv
    out = os.fdopen(int(writing), "w")

    def tell(**event: Any) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    import numpy as np

    from lab.checks import EXERCISES
    from lab.checks.expect import Wrong

    _limit(float(memory))
    try:
        exercises = load(Path(file))
    except BaseException as error:  # SystemExit, too
        tell(**vars(_broken(_ALL, error, file, "the file cannot be loaded")))
        return
    for name in names:
        exercise = EXERCISES[name]
        if exercise.keras and "tensorflow" not in sys.modules:
            tell(begin=name, keras=True)
            import tensorflow  # noqa: F401
        tell(begin=name, keras=False)
        try:
            exercise.check(exercises, np.random.default_rng([seed, *name.encode()]))
            result = Result(name, PASSED)
        except Wrong as wrong:
            result = Result(name, FAILED, wrong.what, wrong.expected, wrong.received, wrong.hint)
        except BaseException as error:
            result = _not_started(name, error, file) or _broken(
                name, error, file, "the code raises an error"
            )
        tell(**vars(result))
    tell()
    out.close()
    os._exit(0)  # does not wait for threads that the student's code left


def _not_started(name: str, error: BaseException, file: str) -> Result | None:
    """Gives a result if the placeholder line was reached; other code may raise the same error."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    if last.filename != file or last.line != "raise NotImplementedError":
        return None
    return Result(name, NOT_STARTED, last.name)


def _broken(name: str, error: BaseException, file: str, what: str) -> Result:
    """Makes a result of an exception, with the student's own line."""
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    # If TensorFlow compiled the function, its message names the lines.
    compiled = re.findall(rf'File "{re.escape(file)}", line (\d+)', str(error))
    if isinstance(error, SyntaxError) and error.filename == file:
        place = f" in line {error.lineno}"
    elif compiled:
        number = int(compiled[-1])
        place = f" in line {number}: {linecache.getline(file, number).strip()}"
    else:
        place = f" in line {lines[-1].lineno}: {lines[-1].line}" if lines else ""
    text = _cause(str(error))
    hint = f"look{place}" if place else "look at what the function returns"
    if isinstance(error, AttributeError) and getattr(error.obj, "__file__", "") == file:
        text, hint = f"{error.name}", f"the file has no function {error.name}: write it"
    if isinstance(error, ModuleNotFoundError):
        hint = f"the lab has no such library{place}: do without it"
    if isinstance(error, MemoryError):
        hint = f"that is more memory than the check allows{place}"
    return Result(name, FAILED, what, "no error", f"{type(error).__name__}: {text}", hint)


def _cause(message: str) -> str:
    """Gives an error's message without what Keras and TensorFlow add to it."""
    message = re.sub(r"\x1b\[[0-9;]*m", "", message).split("\nArguments received by")[0]
    message = re.sub(r' *File ".*", line \d+.*\n.*\n?', "", message)
    around = ("in user code:", "Exception encountered when calling")
    lines = [line.strip() for line in message.splitlines()]
    told = [line for line in lines if line and not any(each in line for each in around)]
    return " ".join(told or lines)[:300]


if __name__ == "__main__":
    main(sys.argv[1:])
