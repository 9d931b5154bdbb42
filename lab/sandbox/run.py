"""Checks a student's file: the checks run here, its functions in a process of their own.

The two talk by messages of plain data (`wire`), so nothing that the student's code does to its
process changes a check, a seed or a result. It may hang, crash or end itself: that costs the
function in question, and the next one gets a new process.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lab.checks import EXERCISES
from lab.checks.expect import NotStarted, Wrong, kind, plain, show
from lab.sandbox import student, wire
from lab.sandbox.student import load

__all__ = ["FAILED", "NOT_STARTED", "PASSED", "Result", "load", "results", "unprotected"]

ROOT = Path(__file__).resolve().parents[2]
PASSED, FAILED, NOT_STARTED = "passed", "failed", "not started"
MEMORY_GIB = 8.0
# The student's file, which may import a library; the library, on a slow machine.
_LOAD_SECONDS, _KERAS_SECONDS = 60.0, 180.0
_KERAS_TIMES = 4  # as long for a function that makes a network
_SCRATCH_BYTES = 256 << 20
_LOOK_SECONDS = 0.5  # how often the size of the scratch folder is looked at


@dataclass(frozen=True)
class Result:
    """The result of one function of an exercise.

    Attributes:
        name: name of the exercise.
        status: `passed`, `failed` or `not started`.
        what: what is wrong, or the function that is not started.
        expected: the value that was expected.
        received: the value that was received.
        hint: what to do.
        function: name of the function.
    """

    name: str
    status: str
    what: str = ""
    expected: str = ""
    received: str = ""
    hint: str = ""
    function: str = ""

    @property
    def points(self) -> int:
        """What this result is worth."""
        return EXERCISES[self.name].points_of[self.function] if self.status == PASSED else 0


def results(
    file: Path,
    names: Sequence[str],
    *,
    functions: Collection[str] | None = None,
    seed: int = 0,
    seconds: float = 30.0,
    memory: float = MEMORY_GIB,
) -> Iterator[Result]:
    """Checks the functions of exercises one after the other; a crash of one stops no other.

    Args:
        file: the student's file.
        names: names in `lab.checks.EXERCISES`.
        functions: only these of their functions; None means all.
        seed: seed of the checks' inputs; the student's code never sees it.
        seconds: time for one function, four times as much for one that makes a network.
        memory: GiB that the process may use.

    Yields:
        A result for each function.
    """
    left = [
        (name, function)
        for name in names
        for function in EXERCISES[name].checks
        if functions is None or function in functions
    ]
    passed: set[str] = set()
    while left:
        limit = int(600 + 16 * seconds * len(left))
        with Student(file, memory=memory, seconds=limit) as process:
            exercises = Exercises(process.ask, passed=passed)
            fault = started(process)
            if fault is not None:
                yield from (replace(fault, name=name, function=each) for name, each in left)
                return
            while left and process.alive:
                name, function = left.pop(0)
                result = checked(process, exercises, name, function, seed=seed, seconds=seconds)
                if result.status == PASSED:
                    passed.add(function)
                elif (
                    result.status == FAILED
                    and process.alive
                    and _remembers(file, exercises, function, memory)
                ):
                    result = replace(result, hint=_KEPT)
                yield result


def unprotected() -> list[str]:
    """Says what this system does not protect from; see `lab.sandbox.jail`."""
    return _tried("")[0]


def readable(file: Path) -> bool:
    """Whether a student's code could read a file of yours."""
    return _tried(f"open({str(file.resolve())!r}).close()")[1] is None


def _tried(code: str) -> tuple[list[str], Result | None]:
    """Loads code as a student's; gives what the system lacks, and what stopped the code."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        file = Path(folder, "tried.py")
        file.write_text(code, encoding="utf-8")
        with Student(file, memory=MEMORY_GIB, seconds=60) as process:
            fault = started(process)
            return process.missing, fault


_KEPT = (
    "the same call alone gives another answer: keep nothing from earlier calls, and draw nothing"
)


def _remembers(file: Path, ex: Exercises, function: str, memory: float) -> bool:
    """Whether the last call of a function gives another answer in a new process."""
    if ex.request is None or ex.request[1] != function:
        return False
    found = []
    for _ in range(2 if function in _DRAWS_WORDS else 1):
        with Student(file, memory=memory, seconds=60) as process:
            if started(process) is not None:
                return False
            try:
                found.append(plain(process.ask(ex.request)))
            except (Wrong, NotStarted, Hung, Gone):
                return False
    if found[0] != found[-1]:
        return False  # it draws numbers of its own
    return ex.answers is None or found[0] != plain(ex.answers)


def started(process: Student) -> Result | None:
    """Waits until the file is loaded; gives a fault if it cannot be."""
    process.deadline = time.monotonic() + _LOAD_SECONDS
    try:
        process.ready()
    except Wrong as wrong:
        return _failed("the file cannot be loaded", wrong)
    except NotStarted:
        hint = f"`{student._STUB}` stands outside the functions: take it out"
        return Result("", FAILED, "the file cannot be loaded", "no error", "the placeholder", hint)
    except Hung:
        hint = "is there a loop that never ends? Code outside the functions runs when it loads"
        return Result("", FAILED, "the file takes too long to load", "an end", "none", hint)
    except Gone as gone:
        return Result("", FAILED, "the process ended", "a loaded file", gone.reason, GONE)
    return None


GONE = "does the code end the process, or take more memory than there is?"


def _failed(what: str, wrong: Wrong, name: str = "", function: str = "") -> Result:
    return Result(name, FAILED, what, wrong.expected, wrong.received, wrong.hint, function)


class Process(Protocol):
    """What a check needs of the process that serves the functions.

    Attributes:
        deadline: time on the monotonic clock until which an answer is waited for.
    """

    deadline: float

    def seed(self, seed: int) -> None:
        """Seeds the random numbers of its libraries."""

    def end(self) -> None:
        """Ends it."""


def checked(
    process: Process, ex: Exercises, name: str, function: str, *, seed: int, seconds: float
) -> Result:
    """Runs the check of one function.

    Args:
        process: serves the functions.
        ex: the functions.
        name: the exercise's name in `lab.checks.EXERCISES`.
        function: the function's name.
        seed: seed of the check's inputs.
        seconds: time for it; see `results`.
    """
    exercise = EXERCISES[name]
    random = np.random.default_rng([seed, *f"{name} {function}".encode()])
    ex.request = None

    def failed(what: str, expected: Any, received: Any, hint: str) -> Result:
        return Result(name, FAILED, what, show(expected), show(received), hint, function)

    limit = seconds * (_KERAS_TIMES if exercise.keras else 1)
    what = f"{function}: it takes more than {limit:g} s"
    try:
        if exercise.keras:
            process.seed(int(random.integers(1 << 31)))
        process.deadline = time.monotonic() + limit
        exercise.checks[function](ex, random)
    except NotStarted as stub:
        return Result(name, NOT_STARTED, stub.function, function=function)
    except Wrong as wrong:
        return _failed(wrong.what, wrong, name, function)
    except Hung:
        return failed(what, "an end", "none", "is there a loop that never ends?")
    except Gone as gone:
        process.end()  # if it has not ended, it can no longer be trusted to answer in turn
        return failed(f"{function}: the process ended", "a result", gone.reason, GONE)
    except Exception as error:  # an answer of a kind that the check cannot even compare
        hint = f"look at what `{ex.called}` returns: it is a value of type {kind(ex.answer)}"
        return failed(f"{ex.called}: {type(error).__name__}", "an answer", ex.answer, hint)
    finally:
        with contextlib.suppress(Hung, Gone, Wrong):
            ex.restore()
    return Result(name, PASSED, function=function)


# -- the functions, as a check calls them ----------------------------------------------------------


class Hung(Exception):
    """Raised if an answer takes too long."""


class Gone(Exception):
    """Raised if the process has ended, or answers with something that is no message."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Exercises:
    """The student's functions, called by name as those of a module.

    Args:
        ask: sends a request and gives the reply.
        passed: names of the functions whose checks were passed before.

    Attributes:
        called: the function that was called last.
        answer: what it gave.
        request: the request in question, if it can be sent again alone.
        answers: what it gave to each row of arguments; None if it raised an error.
    """

    def __init__(self, ask: Callable[..., Any], *, passed: set[str] | None = None):
        self._ask, self.passed = ask, passed if passed is not None else set()
        self.called, self.answer, self._lent = "", None, False
        self.request: list[Any] | None = None
        self.answers: list[Any] | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self.many(name, [arguments])[0]

    def many(self, name: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Calls a function once for each row of arguments, and gives the answers.

        Raises:
            Wrong: it raised an error, changed an argument, or returned nothing.
            NotStarted: it has its placeholder yet.
        """
        self.called, self.answer, self.answers = name, None, None
        request = ["call", name, [list(row) for row in rows]]
        alone = not self._lent and not any(callable(each) for row in rows for each in row)
        self.request = request if alone else None
        found = self._ask(request)
        if not isinstance(found, list) or len(found) != len(rows):
            raise Gone("an answer that is no answer")
        found = [Network(self._ask, name, each) if isinstance(each, wire.Handle) else each
                 for each in found]  # fmt: skip
        self.answer, self.answers = found[-1] if found else None, found
        if any(isinstance(each, Network) for each in found):
            self.request = None  # two networks are never the same answer
        if name not in _MAY_BE_NONE and any(each is None for each in found):
            raise Wrong(
                f"{name} returns None",
                expected="a value",
                received="None",
                hint=f"`{name}` ends without a `return`, on some way at least: return the result",
            )
        return found

    def lend(self, name: str, function: Callable[..., Any]) -> None:
        """Puts a right function in the place of a student's, until the check ends."""
        self._lent = True
        self._ask(["replace", name, function])

    def restore(self) -> None:
        """Puts the student's functions back."""
        if self._lent:
            self._lent = False
            self._ask(["restore"])

    def differentiate(self, name: str, logits: np.ndarray, targets: np.ndarray) -> list[Any]:
        """Gives the loss, its gradient by the logits or None, and the tensors' library."""
        self.called, self.answer = name, None
        self.answer = self._ask(["loss", name, logits, targets])
        return list(self.answer)  # type: ignore[call-overload]


_MAY_BE_NONE = {"find_cycle"}
_DRAWS_WORDS = {"sample"}  # its check has a hint of its own for numbers that are drawn


@dataclass(frozen=True)
class Network:
    """A network that stays in the process of the student's code."""

    _ask: Callable[..., Any]
    function: str
    handle: wire.Handle

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """Gives the outputs, without dropout."""
        found = self._asked("run", list(inputs))
        if not isinstance(found, list) or not all(isinstance(each, np.ndarray) for each in found):
            raise Gone("an answer that is no answer")
        return list(found)

    def train(self, inputs: np.ndarray, targets: np.ndarray, *, units: int, epochs: int,
              rate: float) -> None:  # fmt: skip
        """Trains a language model on windows, with the state carried; see `libraries.train`."""
        self._ask(
            ["train", self.handle.number, inputs, targets, units, epochs, rate], self.function
        )

    def learn(self, inputs: np.ndarray, targets: np.ndarray, *, units: int, rate: float,
              seconds: float) -> int:  # fmt: skip
        """Trains with the student's own loss for some time; gives the number of whole epochs."""
        request = ["learn", self.handle.number, inputs, targets, units, rate, seconds]
        return _count(self._ask(request))

    def step(self, ids: np.ndarray, h: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
        """Gives logits, h and c, as `run` does, but faster; their shapes may be any."""
        found = self._asked("step", ids, h, c)
        if (
            not isinstance(found, list)
            or len(found) != 3
            or not all(isinstance(each, np.ndarray) for each in found)
        ):
            raise Gone("an answer that is no answer")
        return list(found)

    def parameters(self) -> int:
        """Gives how many numbers the network has."""
        return _count(self._asked("parameters"))

    def fit(self, x: list[np.ndarray], y: np.ndarray, *, logits: bool, rounds: int) -> None:
        """Takes steps over one batch."""
        self._asked("fit", x, y, logits, rounds, 0.02)

    def masks(self) -> list[str]:
        """Gives the names of the layers that make a mask."""
        return [str(each) for each in self._asked("masks")]

    def first_states(self, *inputs: np.ndarray) -> list[list[list[np.ndarray]]]:
        """Gives the states in which the recurrent layers began and ended."""
        return list(self._asked("first_states", list(inputs)))

    def _asked(self, what: str, *arguments: Any) -> Any:
        return self._ask(["network", self.handle.number, what, list(arguments)], self.function)

    def __repr__(self) -> str:
        return f"a {self.handle.kind}"


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise Gone("an answer that is no answer")
    return int(value)


def read_reply(reply: Any, request: list[Any], function: str = "") -> Any:
    """Gives the value of a reply, or raises what it says of the student's code."""
    match reply:
        case ["value", value]:
            return value
        case ["changed", int(row), int(place)]:
            name, arguments = request[1], request[2][row]
            raise Wrong(
                f"{name} changes what it is given",
                expected="the same argument as before",
                received=f"argument {place + 1} of {len(arguments)} is another after the call",
                hint="work on a copy: the caller goes on using what it gave",
            )
        case ["error", dict(told)]:
            stub = told.get("stub")
            if stub:
                raise NotStarted(str(stub))
            raise _told(told, function or (request[1] if request[0] in ("call", "loss") else ""))
    raise Gone("an answer that is no answer")


def _told(told: dict[str, Any], function: str) -> Wrong:
    """Makes the verdict of an error in the student's code, with the student's own line."""
    line, source = told.get("line"), told.get("source")
    place = f" in line {line}" + (f": {source}" if source else "") if line else ""
    hint = f"look{place}" if place else "look at the whole file"
    if function and not place:
        hint = (
            f"`{function}` is called with the arguments of exercises.py, in their order: keep them"
        )
    if told.get("lacks"):
        told["text"] = told["lacks"]
        hint = f"the file has no function {told['lacks']}: write it"
    if told.get("library"):
        hint = f"the lab has no such library{place}: do without it"
        if told["library"] == "torch":
            hint = f"PyTorch is not installed here{place}: lab/README.md says how, or take Keras"
    if told.get("memory"):
        hint = f"that is more memory than the check allows{place}"
    if told.get("denied"):
        hint = f"the check allows no other files, processes or network{place}: do without them"
    what = f"{function}: the code raises an error" if function else "the code raises an error"
    received = f"{told.get('type')}: {told.get('text')}"
    return Wrong(what, expected="no error", received=received, hint=hint)


# -- the process -----------------------------------------------------------------------------------


class Student:
    """A process of `lab.sandbox.student` with a file, in a scratch folder of its own.

    Attributes:
        deadline: until when it has to answer, of `time.monotonic`.
        alive: whether it can be asked.
        missing: what the system does not protect from.
    """

    def __init__(self, file: Path, *, memory: float, seconds: int):
        self.deadline, self.alive, self.missing = 0.0, True, list[str]()
        self.lent: dict[int, Callable[..., Any]] = {}
        self.folder = tempfile.mkdtemp(prefix="lab-")
        shutil.copyfile(file, Path(self.folder, student.NAME))
        theirs_in, self.to = os.pipe()
        self.back, theirs_out = os.pipe()
        os.set_blocking(self.to, False)
        passed_on = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        environment = {name: os.environ[name] for name in passed_on if name in os.environ}
        environment |= {
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": self.folder,
            "TMPDIR": self.folder,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": "tensorflow",
            "CUDA_VISIBLE_DEVICES": "-1",  # the networks are small
        }
        ends = [str(theirs_in), str(theirs_out)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lab.sandbox.student", *ends, str(memory), str(seconds)],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs_in, theirs_out],
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self) -> Student:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self) -> None:
        """Kills the process, and where it could start others its group."""
        self.alive = False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def ready(self) -> None:
        """Waits until the file is loaded.

        Raises:
            Wrong: it cannot be loaded.
        """
        match self._receive():
            case ["shut", list(missing)]:
                self.missing = [str(each) for each in missing]
            case _:
                raise self._gone("an answer that is no answer")
        read_reply(self._receive(), ["load"])

    def seed(self, seed: int) -> None:
        """Loads the file's library there, with a seed for first weights and for dropout."""
        self.deadline = time.monotonic() + _KERAS_SECONDS
        self.ask(["seed", seed])

    def ask(self, request: list[Any], function: str = "") -> Any:
        """Sends a request, runs the functions that are asked for meanwhile, and gives the answer.

        Raises:
            Wrong: the student's code raised an error, or changed an argument.
            NotStarted: it came to a placeholder.
            Hung: the time is over; the process is ended.
            Gone: the process has ended.
        """
        if not self.alive:
            raise Gone("it has ended before")
        self._send(request)
        while True:
            match self._receive():
                case ["function", int(number), list(arguments)] if number in self.lent:
                    try:
                        reply = ["value", self.lent[number](*arguments)]
                    except Exception as error:
                        reply = ["error", [type(error).__name__, str(error)[:200]]]
                    self._send(reply)
                case reply:
                    try:
                        return read_reply(reply, request, function)
                    except Gone as gone:
                        raise self._gone(gone.reason) from None

    def _lend(self, function: Callable[..., Any]) -> int:
        self.lent[len(self.lent)] = function
        return len(self.lent) - 1

    def _send(self, request: Any) -> None:
        packer = wire.Packer(lend=self._lend)
        data = memoryview(wire.message(packer.pack(request), packer.blocks))
        while data:
            self._wait([], [self.to])
            try:
                data = data[os.write(self.to, data) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._gone() from None

    def _receive(self) -> Any:
        try:
            document, arrays = wire.lengths(self._read(wire.LENGTHS.size))
            text = self._read(document)
            return wire.parse(text, self._read(arrays))
        except wire.Garbled as error:
            raise self._gone(f"an answer that is none: {error}") from None

    def _read(self, count: int) -> bytes:
        parts, left = [], count
        while left:
            self._wait([self.back], [])
            part = os.read(self.back, min(left, 1 << 20))
            if not part:
                raise self._gone()
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _wait(self, reading: list[int], writing: list[int]) -> None:
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.end()
                raise Hung
            ready = select.select(reading, writing, [], min(left, _LOOK_SECONDS))
            if ready[0] or ready[1]:
                return
            if _size(self.folder) > _SCRATCH_BYTES:
                raise self._gone(f"more than {_SCRATCH_BYTES >> 20} MiB of files")

    def _gone(self, reason: str = "") -> Gone:
        """Ends the process, and gives the reason why it had ended itself."""
        if not reason:
            try:
                status = self.process.wait(timeout=5)
                reason = f"signal {-status}" if status < 0 else f"exit status {status}"
            except subprocess.TimeoutExpired:
                reason = "a closed pipe"
        self.end()
        return Gone(reason)


def _size(folder: str) -> int:
    """Gives the bytes that a folder takes on the disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
    return total
