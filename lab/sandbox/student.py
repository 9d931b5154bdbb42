"""Serves the functions of a student's file, in a process that holds nothing else.

`python -P -m lab.sandbox.student READ WRITE MEMORY SECONDS` shuts itself in (`jail`), loads
`exercises.py` of the current folder, and answers what `run` asks through two pipes. It knows
neither seeds nor right answers, so what the code does to this process is no more than an answer.
"""

from __future__ import annotations

import contextlib
import importlib.util
import linecache
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from lab.sandbox import jail, libraries, wire

NAME = "exercises.py"
_STUB = "raise NotImplementedError"
_ASKED = ("run", "step", "fit", "first_states", "masks", "parameters")


def load(file: Path) -> ModuleType:
    """Loads the student's file as a module."""
    spec = importlib.util.spec_from_file_location("exercises", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Functions:
    """Answers requests about the functions of a module.

    Args:
        module: the student's.
        file: its file, as it stands in tracebacks.
    """

    def __init__(self, module: ModuleType, file: str):
        self.module, self.file = module, file
        self.networks: list[Any] = []
        self.libraries = libraries.imported(Path(file).read_bytes())
        self.own: dict[str, Any] = {}

    def keep(self, value: Any) -> wire.Handle | None:
        """Keeps a network here, and gives its handle, the same one if it comes again."""
        library = libraries.name_of(value)
        if library is None:
            return None
        number = next((i for i, each in enumerate(self.networks) if each is value), None)
        if number is None:
            number = len(self.networks)
            self.networks.append(value)
        bases = tuple(each.__name__ for each in type(value).__mro__)
        return wire.Handle(number, type(value).__name__, bases, library)

    def answer(self, request: list[Any]) -> list[Any]:
        """Does what was asked; gives `["value", ...]` or `["error", ...]`."""
        what, *rest = request
        try:
            return getattr(self, "_" + what)(*rest)
        except BaseException as error:  # SystemExit, too
            return ["error", explain(error, self.file)]

    def _call(self, name: str, rows: list[list[Any]]) -> list[Any]:
        """Calls a function once for each row of arguments; tells which argument it changed."""
        function, found = getattr(self.module, name), []
        for row in rows:
            before = _packed(row)
            found.append(function(*row))
            changed = [
                i for i, (a, b) in enumerate(zip(before, _packed(row), strict=True)) if a != b
            ]
            if changed:
                return ["changed", len(found) - 1, changed[0]]
        return ["value", found]

    def _replace(self, name: str, function: Callable[..., Any]) -> list[Any]:
        if hasattr(self.module, name):
            self.own.setdefault(name, getattr(self.module, name))
            setattr(self.module, name, function)
        return ["value", None]

    def _restore(self) -> list[Any]:
        vars(self.module).update(self.own)
        self.own = {}
        return ["value", None]

    def _seed(self, seed: int) -> list[Any]:
        """Loads the file's libraries; the seed is for first weights and for dropout."""
        for name in self.libraries:
            with contextlib.suppress(ModuleNotFoundError):  # the line that needs it will tell
                libraries.LIBRARIES[name].seed(seed)
        return ["value", None]

    def _loss(self, name: str, logits: Any, targets: Any) -> list[Any]:
        """Gives the loss, its gradient by the logits, and the library of their tensors."""
        library = self.libraries[-1]
        differentiate = libraries.LIBRARIES[library].differentiate
        return ["value", [*differentiate(getattr(self.module, name), logits, targets), library]]

    def _learn(self, number: int, inputs: Any, targets: Any, units: int, rate: float,
               seconds: float) -> list[Any]:  # fmt: skip
        """Trains a language model with the student's own loss; tells the number of epochs."""
        found = libraries.train(
            self.networks[number], inputs, targets, units, None, rate,
            seconds=seconds, loss=self.module.loss,
        )  # fmt: skip
        return ["value", len(found)]

    def _network(self, number: int, what: str, arguments: list[Any]) -> list[Any]:
        assert what in _ASKED
        model = self.networks[number]
        return ["value", getattr(libraries.library_of(model), what)(model, *arguments)]

    def _train(self, number: int, *arguments: Any) -> list[Any]:
        return ["value", libraries.train(self.networks[number], *arguments)]


def _packed(row: list[Any]) -> list[Any]:
    """Gives each argument in a form that shows a change; functions are not looked into."""
    found = []
    for each in row:
        packer = wire.Packer(lend=lambda function: 0)
        found.append((packer.pack(each), packer.blocks))
    return found


# -- errors ----------------------------------------------------------------------------------------


def explain(error: BaseException, file: str) -> dict[str, Any]:
    """Says what the checker tells of an error: its type, message, and the student's own line."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == file]
    # If TensorFlow compiled the function, its message names the lines.
    compiled = re.findall(rf'File "{re.escape(file)}", line (\d+)', str(error))
    line, source = None, ""
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno
    elif compiled:
        line = int(compiled[-1])
        source = linecache.getline(file, line).strip()
    elif own:
        line, source = own[-1].lineno, own[-1].line or ""
    lacks = ""
    if isinstance(error, AttributeError) and getattr(error.obj, "__file__", "") == file:
        lacks = str(error.name)
    # Other code may raise the same error, so the placeholder is known by its line.
    stub = frames[-1].name if frames and frames[-1].filename == file and source == _STUB else ""
    return {
        "type": type(error).__name__,
        "text": cause(str(error)),
        "line": line,
        "source": source,
        "lacks": lacks,
        "stub": stub,
        "library": str(error.name) if isinstance(error, ModuleNotFoundError) else "",
        "memory": isinstance(error, MemoryError),
        "denied": isinstance(error, PermissionError),
    }


def cause(text: str) -> str:
    """Gives an error's message without what Keras and TensorFlow add to it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).split("\nArguments received by")[0]
    text = re.sub(r' *File ".*", line \d+.*\n.*\n?', "", text)
    around = ("in user code:", "Exception encountered when calling")
    lines = [line.strip() for line in text.splitlines()]
    told = [line for line in lines if line and not any(each in line for each in around)]
    return " ".join(told or lines)[:300]


# -- the process -----------------------------------------------------------------------------------


class _Pipe:
    """This side of the two pipes."""

    def __init__(self, reading: int, writing: int):
        self.reading, self.writing = reading, writing

    def send(self, reply: list[Any], keep: Any = lambda value: None) -> None:
        packer = wire.Packer(keep=keep)
        data = wire.message(packer.pack(reply), packer.blocks)
        while data:
            data = data[os.write(self.writing, data) :]

    def receive(self) -> Any:
        head = wire.read_all(self.reading, wire.LENGTHS.size)
        if len(head) < wire.LENGTHS.size:
            os._exit(0)  # the checker has gone; threads that the code left are not waited for
        document, arrays = wire.lengths(head)
        text = wire.read_all(self.reading, document)
        return wire.parse(text, wire.read_all(self.reading, arrays), self.borrow)

    def borrow(self, number: int) -> Callable[..., Any]:
        """Makes a function that the checker runs, such as the step of a network."""

        def borrowed(*arguments: Any) -> Any:
            self.send(["function", number, list(arguments)])
            what, value = self.receive()
            if what == "error":
                raise {"IndexError": IndexError, "TypeError": TypeError}.get(value[0], ValueError)(
                    value[1]
                )
            return value

        return borrowed


def main(argv: list[str]) -> None:
    """Runs the process until the checker closes its pipe."""
    reading, writing, memory, seconds = int(argv[0]), int(argv[1]), float(argv[2]), int(argv[3])
    folder = Path.cwd()
    here = str(Path(__file__).resolve().parents[2])
    sys.path = [each for each in sys.path if each != here]
    installed = {Path(each) for each in (*sys.path, sys.prefix)}
    if (base := Path(sys.base_prefix)) not in (Path("/usr"), Path("/usr/local"), Path("/")):
        installed.add(base)
    missing = jail.shut(folder, [*installed, *jail.system_files()], jail.Limits(memory, seconds))
    pipe = _Pipe(reading, writing)
    pipe.send(["shut", missing])
    file = str(folder / NAME)
    try:
        functions = Functions(load(Path(file)), file)
    except BaseException as error:  # SystemExit, too
        pipe.send(["error", explain(error, file)])
        os._exit(0)
    pipe.send(["value", None])
    while True:
        reply = functions.answer(pipe.receive())
        try:
            pipe.send(reply, functions.keep)
        except ValueError as error:  # too large, or nested without an end
            pipe.send(["error", explain(error, file)])


if __name__ == "__main__":
    main(sys.argv[1:])
