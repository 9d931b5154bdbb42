"""Whole commands with hostile arguments and files: a status, one line, no control character."""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import Kind
from guard import Broken, check_command
from mutate import TOKENS, mutated, write_text
from outputs import TEXTS, augmentation, generation, write_output

from textmill.model.network.directory import save_model
from textmill.pipeline.command import cli
from textmill.pipeline.command.command_line import parser
from textmill.pipeline.command.commands import COMMANDS
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Rejected

# A shell cannot hand over NUL; all else is possible in a name or a value.
EVIL = (
    "\x1b[31mred\x1b[0m", "a\nb", "a\rb", "\x9b31m", "\x85", "\u2028", "\u202e", "\x07", "\x7f",
    "é", "\udcff", "x" * 5000, "", " ", "-", "--", "-x", "=", "*", "[", "?", "**", "~", "%s", "{0}",
    "[a-", "[bold]x[/bold]", "[/]", "[red", "x://y", "://", "/", ".", "..", "/dev/null",
    "/proc/self/mem", "nan", "inf", "-inf", "1e999", "9" * 5000, "-1", "0", "0x10",
    "1_0", "٣", "²", "½", "true", "null", "'", '"', "\\", "$(x)", "\ufeff", "\u200b",
    "🙂", "a\tb", "e\u0301", "--help=", "-n",
)  # fmt: skip
# Of these, those that name no place outside the case's folder, where they may be written to.
TAME = tuple(e for e in EVIL if "/" not in e and e not in ("..", "~"))
# Options that reach a network, or would make a command succeed that takes minutes.
_LEFT_OUT = {"--help", "-h", "--gutenberg", "--dataflow", "--prompts"}


@dataclass
class Case:
    """A command: its folder, and its arguments."""

    folder: Path
    arguments: list[str]


class Commands(Kind):
    """The command `textmill`."""

    name = "commands"

    def __init__(self, make_model: Callable[..., Any]):
        self._make_model = make_model

    def make(self, random: Random, folder: Path) -> Case:
        name = random.choice(sorted(_MAKE))
        arguments = [name, *_MAKE[name](self, random, folder)]
        for _ in range(random.choice((0, 0, 1, 1, 2))):
            at = random.randint(1, len(arguments))
            arguments[at:at] = _an_option(random, name, folder)
        if random.random() < 0.05:
            arguments[random.randrange(len(arguments))] = random.choice(TAME)
        if random.random() < 0.03:
            arguments = random.choice((
                ["--help"], ["--version"], ["help", name], [name, "--help"], ["help", "x\x1b[2J"],
                [], ["\x1b[2J"], ["--print-completion", "bash"], [name],
                ["--print-completion", "\x1b"],
            ))  # fmt: skip
        return Case(folder, _harmless(arguments))

    def check(self, case: Case) -> str:
        # These write texts into a file or pipe as they are.
        terminal = case.arguments[:1] in (["sample"], ["score"])
        try:
            with _inside(case.folder), _captured(terminal=terminal) as (out, err):
                status = cli.main(list(case.arguments))
        except AssertionError as error:
            cause = error.__cause__
            if cause is None:
                raise
            what = f"an unforeseen {type(cause).__name__}: {str(cause)[:200]}"
            raise Broken(f"{what} | textmill {case.arguments!r:.500}") from cause
        said = [file.buffer.getvalue().decode("utf-8", "replace") for file in (out, err)]
        try:
            check_command(status, *said)
        except Broken as error:
            raise Broken(
                f"{str(error).partition(': ')[0]} | {error} {case.arguments!r:.500}"
            ) from None
        return f"status {status}"

    # -- files -------------------------------------------------------------------------------------

    def model(self, random: Random, folder: Path) -> str:
        """A model directory that cannot be loaded."""
        if random.random() < 0.3:
            return random.choice(EVIL)
        name = self.whole_model(random, folder)
        place = folder / name
        path = place / random.choice(("model.json", "vocabulary.txt", "weights.safetensors"))
        if path.exists():
            path.write_bytes(mutated(random, path.read_bytes()))
        return name

    def whole_model(self, random: Random, folder: Path) -> str:
        """A model directory as it should be."""
        name = _name(random)
        while os.path.lexists(folder / name):
            name += "x"
        save_model(folder / name, self._make_model(["a", "b"]), card="")
        return name


def _name(random: Random, ending: str = "") -> str:
    """A name for a file that a disk takes; often an odd one."""
    if random.random() < 0.5:
        return f"f{ending}"
    name = random.choice([e for e in EVIL if 0 < len(os.fsencode(e)) < 200 and "/" not in e])
    return f"{name}{ending}" if ending or name.strip(".") else f"{name}x"


def _file(random: Random, folder: Path, content: bytes, ending: str) -> str:
    name = _name(random, ending)
    (folder / name).write_bytes(content)
    return name


def _text(random: Random) -> bytes:
    content = " ".join(write_text(random) for _ in range(3)).encode()
    return mutated(random, content) if random.random() < 0.5 else content


def _evil_text(random: Random) -> str:
    return random.choice([e for e in EVIL if len(e) < 100]).encode("utf-8", "replace").decode()


def _prompts(random: Random, folder: Path) -> str:
    """Prompts that cannot be used: a table without a prompt, or no file at all."""
    how, odd = random.random(), _evil_text(random)
    if how < 0.3:
        return random.choice(("nothing", *(e for e in EVIL if e.strip("*?/."))))
    if how < 0.6:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([[odd, "x"], ["a", "b"]])
        return _file(random, folder, text.getvalue().encode(), ".csv")
    if how < 0.8:
        return _file(random, folder, b"not what it says" + random.choice(TOKENS), random.choice((
            ".parquet", ".txt.gz", ".jsonl.bz2", ".csv.zst")))  # fmt: skip
    return _file(random, folder, b"", random.choice((".txt", ".json", ".parquet.gz", ".csv")))


def _output(random: Random, folder: Path) -> str:
    """An output in which something may be altered."""
    name, evil = _name(random), _evil_text(random)
    if random.random() < 0.15:
        return random.choice(EVIL)
    out = folder / name
    if random.random() < 0.3:
        out = augmentation(folder / "augmented", evil=evil)
        name = str(out.relative_to(folder))
    else:
        made = [
            generation(f"p{evil}:{i + 1}", n + 1, f"{texts[i]} {evil}", t)
            for i in range(2)
            for n, (t, texts) in enumerate(TEXTS.items())
        ]
        form = Format(name=random.choice(("jsonl", "csv", "parquet", "text")))
        write_output(out, made, form=form, rejected=[Rejected(f"p{evil}", 3, f"bad {evil}", evil)],
                     settings={"label": evil})  # fmt: skip
    if random.random() < 0.7:
        path = random.choice(sorted(p for p in out.rglob("*") if p.is_file()))
        path.write_bytes(mutated(random, path.read_bytes()))
    if random.random() < 0.3:
        with contextlib.suppress(OSError):
            (out / _name(random)).write_bytes(b"x")
    return name


def _table(random: Random, folder: Path) -> str:
    ending = random.choice((".csv", ".tsv", ".jsonl", ".parquet", ".txt"))
    text = f"a,b\n{_evil_text(random)},x\n".encode()
    if ending == ".jsonl":
        text = b'{"a": 1, "b": "x"}\n'
    return _file(random, folder, mutated(random, text) if random.random() < 0.5 else text, ending)


def _out(random: Random, folder: Path) -> str:
    """A place to write to, in the case's folder or where nothing can be written."""
    return random.choice(
        ("out", "taken", "f/x", "", "a\nb", "\x1b[2J", "x" * 300, "\udcff", "/dev/null/x")
    )


# -- commands: each is certain to fail early, or to be quick ---------------------------------------

Made = Callable[[Commands, Random, Path], list[str]]


def _train(kind: Commands, random: Random, folder: Path) -> list[str]:
    corpus = _file(random, folder, _text(random), random.choice((".txt", ".csv", ".jsonl", "")))
    made = [random.choice((corpus, corpus, *EVIL)), "--out", _out(random, folder)]
    if random.random() < 0.2:
        made += ["--init-from", kind.model(random, folder)]
    if random.random() < 0.3:
        made += ["--label", random.choice(EVIL)]
    return made


def _augment(kind: Commands, random: Random, folder: Path) -> list[str]:
    no = [evil for evil in EVIL if not evil.isdecimal()]
    out = random.choice(("o.csv", "o.jsonl", "o", *TAME))
    columns = ["--text", f"no{random.choice(no)}", "--label", random.choice(no)]
    return [_table(random, folder), *columns, "--out", out]


def _some_model(kind: Commands, random: Random, folder: Path) -> str:
    """For a command that fails by its prompts, too, or by its model."""
    return (kind.whole_model if random.random() < 0.6 else kind.model)(random, folder)


_MAKE: dict[str, Made] = {
    "train": _train,
    "augment": _augment,
    "evaluate": lambda k, r, f: [k.model(r, f), _file(r, f, _text(r), ".txt")],
    "sample": lambda k, r, f: [k.model(r, f), r.choice(EVIL)],
    "score": lambda k, r, f: [
        k.model(r, f),
        r.choice((_table(r, f), _file(r, f, _text(r), ".txt"))),
    ],
    "generate": lambda k, r, f: [
        _some_model(k, r, f),
        "--prompts",
        _prompts(r, f),
        "--out",
        _out(r, f),
    ],
    "plan": lambda k, r, f: [_some_model(k, r, f), "--prompts", _prompts(r, f)],
    "export": lambda k, r, f: [
        k.model(r, f),
        "--to",
        r.choice(("keras", "onnx", *EVIL)),
        "--out",
        _out(r, f),
    ],
    "import": lambda k, r, f: [
        _file(r, f, b"PK\x03\x04" + _text(r), ".keras"),
        "--vocabulary",
        k.model(r, f),
        "--out",
        _out(r, f),
    ],
    "verify": lambda k, r, f: [_output(r, f)],
    "report": lambda k, r, f: [_output(r, f)],
    "bench": lambda k, r, f: [k.model(r, f)],
    "play": lambda k, r, f: [k.model(r, f), "--port", "-1"],  # or it would serve it
    "books": lambda k, r, f: ["--built-in", "--out", _out(r, f)],
    "demo": lambda k, r, f: ["--minutes", "x"],
    "x": lambda k, r, f: [r.choice(EVIL)],
}
assert set(COMMANDS) <= set(_MAKE)


@functools.cache
def _options(command: str) -> list[argparse.Action]:
    """The options that a command takes."""
    (group,) = (a for a in parser(COMMANDS)._actions if isinstance(a, argparse._SubParsersAction))
    if command not in COMMANDS or command == "demo":
        return []
    found = group.choices[command]._actions
    return [a for a in found if a.option_strings and not _LEFT_OUT & set(a.option_strings)]


def _an_option(random: Random, command: str, folder: Path) -> list[str]:
    """An option, mostly one that the command takes, with an odd value or a good one."""
    actions = _options(random.choice(sorted(COMMANDS)) if random.random() < 0.1 else command)
    if not actions:
        return [random.choice(("--json", "--x", "-x"))]
    action = random.choice(actions)
    option = random.choice(action.option_strings)
    if action.nargs == 0:
        return [option]
    if action.dest in ("out", "tensorboard"):
        value = _out(random, folder)
    elif random.random() < 0.5:
        value = random.choice((*action.choices,) if action.choices else ("1", "2", "0.5", "a"))
    else:
        value = random.choice(EVIL)
    value = str(value)
    joined = option.startswith("--") and random.random() < 0.5
    return [f"{option}={value}"] if joined else [option, value]


def _harmless(arguments: list[str]) -> list[str]:
    """Arguments that reach no network, serve no page, train no demo, and hold no NUL."""
    made = [a for a in arguments if "\x00" not in a]
    if made[:1] == ["demo"] and "x" not in made:
        return ["demo", "--minutes", "x"]
    return made


# -- the command's surroundings --------------------------------------------------------------------


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before, level = os.getcwd(), logging.getLogger().level
    handler = signal.getsignal(signal.SIGTERM)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        logging.getLogger().setLevel(level)
        signal.signal(signal.SIGTERM, handler)


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def _captured(*, terminal: bool) -> Iterator[tuple[Any, Any]]:
    """Standard streams as a command has them whose output goes into files, or to a terminal."""
    kind = _Terminal if terminal else io.TextIOWrapper
    out = kind(io.BytesIO(), "utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), out, err
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
