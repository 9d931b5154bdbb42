"""Runs of generate, augment and train that are killed go on, and end with the same bytes.

`make fault-test` does a hundred kills. Each is a signal to the launcher or to a child process, at a
random moment or as soon as a file of a certain name appears. The same command then goes on, is
perhaps killed again, and ends. All that stands in the folder must be what an undisturbed run left.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 300  # seconds until a run that should end is taken for one that hangs
MARK = "TEXTMILL_FAULT_TRIAL"  # in the environment of all processes of a trial


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Attributes:
        words: its arguments; it runs in the folder of its output.
        events: patterns of files; when the first of such a name appears is a narrow moment.
        checkpoint: the file that it must have left before --resume is of use, if there is one.
        out: what is there when it has ended well.
    """

    words: tuple[str, ...]
    events: tuple[str, ...]
    out: str
    checkpoint: str | None = None


# How many kills in a row each trial has, before the run may end.
ROWS = {
    "generate": [1] * 20 + [2] * 9 + [3] * 4,
    "augment": [1] * 10 + [2] * 6 + [3],
    "train": [1] * 10 + [2] * 6 + [3],
}
TRIALS = [
    (kind, number, sum(rows[:number]), kills)
    for kind, rows in ROWS.items()
    for number, kills in enumerate(rows)
]


@pytest.fixture(scope="session")
def commands(model_dir, tmp_path_factory) -> dict[str, Command]:
    """Commands of some ten seconds, most of which is the start."""
    inputs = tmp_path_factory.mktemp("inputs")
    (inputs / "p.txt").write_text("the old\na dog\n\nzzz\n" * 400)
    (inputs / "d.csv").write_text(labelled_rows())
    generate = (
        "generate", str(model_dir), "--prompts", str(inputs / "p.txt"), "--out", "o",
        "--samples", "10", "--max-words", "60", "--min-words", "50", "--workers", "2",
        "--max-rejected", "1",
    )  # fmt: skip
    augment = (
        "augment", str(inputs / "d.csv"), "--text", "text", "--label", "label", "--out", "o.csv",
        "--epochs", "10", "--candidates", "2", "--per-label", "20", "--max-unseen", "1",
        "--minutes", "60", "--workers", "2",
    )  # fmt: skip
    train = (
        "train", str(model_dir.parent / "book.txt"), "--out", "m", "--preset", "tiny",
        "--epochs", "20", "--checkpoint-minutes", "0.001",
    )  # fmt: skip
    return {
        "generate": Command(
            generate,
            events=(
                "o/.lock", "o/shard-*", "o/.done/*.json", "o/stats.json", "o/manifest.json",
                "o/run.json", "o/rejected/*", "o/.attempt-*", "o/README.md",
            ),
            out="o/manifest.json",
        ),
        "augment": Command(
            augment,
            events=(
                "o.csv.augment", "o.csv.augment/.model.*", "o.csv.augment/model",
                "o.csv.augment/prompts.jsonl", "o.csv.augment/generated/.lock",
                "o.csv.augment/generated/shard-*", "o.csv.augment/generated/manifest.json",
                "o.csv.augment/rejected.jsonl", "o.csv.augment/augment.json", "o.csv",
                "o.csv.augment/.attempt-*",
            ),
            out="o.csv",
        ),
        "train": Command(
            train,
            events=(
                ".m.*", "m.training/checkpoint.new", "m", "m.training", ".m.*/weights.safetensors",
            ),
            out="m/model.json",
            checkpoint="m.training/checkpoint.safetensors",
        ),
    }  # fmt: skip


def labelled_rows() -> str:
    """A small table of two labels."""
    chance = random.Random(0)
    words = {
        "cats": ["cat", "kitten", "purrs", "sleeps", "whiskers", "paw", "tail", "milk", "sofa"],
        "dogs": ["dog", "puppy", "barks", "runs", "bone", "leash", "park", "ball", "fetch"],
    }
    rows = [f"the {' '.join(chance.sample(words[k], 6))},{k}" for k in words for _ in range(60)]
    return "\n".join(["text,label", *rows]) + "\n"


# -- what is compared ------------------------------------------------------------------------------

_OF_TIME = re.compile("second|share_of_time|^sha256$")  # the last is of a file with seconds
_TIMED = ("stats.json", "training.json", "augment.json", "model.json")


def tree(folder: Path) -> dict[str, Any]:
    """All that stands in a folder, by its name: bytes, or without the seconds where some are told.

    The page of a training draws its seconds, so only that it is there is compared.
    """
    found = {}
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else None
        if path.name in _TIMED:
            data = without_seconds(json.loads(data))
        elif path.name == "README.md":
            lines = data.decode().splitlines()
            data = [x for x in lines if not re.match(r"\| (seconds|words a second|share of t)", x)]
        elif path.name == "training.html":
            data = None
        found[str(path.relative_to(folder))] = data
    return found


def without_seconds(value: Any) -> Any:
    """Leaves out what tells of seconds, and the checksum of the file that does."""
    if isinstance(value, list):
        return [without_seconds(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: without_seconds(part)
        for name, part in value.items()
        if name != "training.json" and not _OF_TIME.search(name)
    }


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Names what is missing, what is too much and what is another."""
    names = sorted(found.keys() | expected.keys())
    nothing = object()
    return [name for name in names if found.get(name, nothing) != expected.get(name, nothing)]


# -- runs and kills --------------------------------------------------------------------------------


class Trial:
    """A command's runs in one folder, one after the other.

    Args:
        command: what runs.
        folder: where it runs; its output goes into `folder/out`.
    """

    def __init__(self, command: Command, folder: Path):
        self.command, self.out, self._folder = command, folder / "out", folder
        self.out.mkdir()
        (folder / "tmp").mkdir()
        self._errors = folder / "errors"

    def start(self) -> subprocess.Popen:
        """Starts the command, with --resume if it was started before and left what that takes."""
        words = list(self.command.words)
        checkpoint = self.command.checkpoint
        begun = checkpoint is None or (self.out / checkpoint).exists() or self._made()
        if begun and self._errors.exists():
            words.append("--resume")
        with open(self._errors, "w") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "textmill", *words, "--quiet"],
                cwd=self.out,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, MARK: str(self._folder), "TMPDIR": str(self._folder / "tmp")},
            )

    def end(self, process: subprocess.Popen) -> str:
        """Waits for the end of a run and of all its processes; gives what it said."""
        process.wait(PATIENCE)
        until = time.monotonic() + PATIENCE
        while left := list(self.processes()):
            assert time.monotonic() < until, f"these processes go on: {left}"
            time.sleep(0.1)
        return self._errors.read_text()

    def processes(self) -> Iterator[int]:
        """The processes of this trial that are alive; a dead one has no environment."""
        mark = f"{MARK}={self._folder}\0".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes():
                    yield int(path.parent.name)
            except OSError:
                continue

    def finished(self) -> bool:
        """Whether a training has ended, so that --resume finds nothing to go on with.

        The other commands always take --resume.
        """
        checkpoint = self.command.checkpoint
        return (
            checkpoint is not None and self._made() and not (self.out / checkpoint).parent.exists()
        )

    def _made(self) -> bool:
        return (self.out / self.command.out).exists()

    def clear(self) -> None:
        """Lets the next run be the first one."""
        subprocess.run(["rm", "-rf", str(self.out), str(self._errors)], check=True)
        self.out.mkdir()


def ended_well(process: subprocess.Popen, said: str) -> bool:
    """Tells whether all is done; a training that was killed in its last moments says so."""
    return process.returncode == 0 or (process.returncode == 1 and "m is finished" in said)


def wait_until(process: subprocess.Popen, happens: Callable[[], bool]) -> bool:
    """Waits until something happens; False if the process ended before."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None:
        if happens():
            return True
        assert time.monotonic() < until, "the run goes on and on"
        time.sleep(0.001)
    return False


def appears(folder: Path, pattern: str) -> Callable[[], bool]:
    """Tells whether a file has a name of this pattern that is not there now."""
    before = set(folder.glob(pattern))
    return lambda: not before.issuperset(folder.glob(pattern))


def comes(seconds: float) -> Callable[[], bool]:
    """Tells whether so many seconds are over."""
    moment = time.monotonic() + seconds
    return lambda: time.monotonic() >= moment


def children(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in path.read_text().split()]
        except OSError:
            continue
    return found


LAUNCHER, CHILD = "SIGKILL to the launcher", "SIGKILL to a child"
TERM, INT = "SIGTERM", "SIGINT to all, as Ctrl-C"
HOW = {LAUNCHER: 8, CHILD: 8, TERM: 2, INT: 2}  # how often of twenty kills


def strike(process: subprocess.Popen, chance: random.Random) -> str:
    """Sends a signal; says which one, and to whom."""
    (how,) = chance.choices(list(HOW), list(HOW.values()))
    found = children(process.pid)
    if how == CHILD and found:
        try:
            os.kill(chance.choice(found), signal.SIGKILL)
        except ProcessLookupError:  # it has just ended by itself
            process.kill()
            return LAUNCHER
        return CHILD
    if how == TERM:
        process.terminate()
    elif how == INT:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
        return LAUNCHER
    return how


# A run whose work was over may end well all the same. Before the command hears signals, Python ends
# by them.
ENDS = {
    LAUNCHER: (0, -signal.SIGKILL),
    CHILD: (0, 1),
    TERM: (0, 130, -signal.SIGTERM),
    INT: (0, 130, -signal.SIGINT),
}


def killed(
    trial: Trial, seconds: float, event: str | None, chance: random.Random, told: list[str]
) -> None:
    """Starts the command and kills it; starts anew where it ends before the moment has come."""
    for _ in range(5):
        if trial.finished():
            trial.clear()
        happens = (
            appears(trial.out, event) if event else comes(chance.uniform(0.05, 0.95) * seconds)
        )
        started = time.monotonic()
        process = trial.start()
        if wait_until(process, happens):
            how = strike(process, chance)
            said = trial.end(process)
            told.append(f"{how}{f' at {event}' if event else ''}: {process.returncode} {said}")
            assert process.returncode in ENDS[how], told
            if process.returncode == 1:
                assert said.startswith("textmill: error: a worker process died"), told
                assert "--resume goes on" in said, told
            if process.returncode == 130:
                assert "interrupted" in said, told
                assert "Traceback" not in said, told
            return
        said = trial.end(process)
        assert ended_well(process, said), [*told, said]
        seconds = min(seconds, time.monotonic() - started)  # the undisturbed run was a slow one
        trial.clear()
    raise AssertionError(f"{event} never appears")


@pytest.fixture(scope="session")
def undisturbed(commands, tmp_path_factory) -> Callable[[str], tuple[dict[str, Any], float]]:
    """Gives what an undisturbed run of a kind leaves, and its seconds; it is run once."""
    known: dict[str, tuple[dict[str, Any], float]] = {}

    def run(kind: str) -> tuple[dict[str, Any], float]:
        if kind not in known:
            trial, started = Trial(commands[kind], tmp_path_factory.mktemp(kind)), time.monotonic()
            process = trial.start()
            said = trial.end(process)
            assert process.returncode == 0, said
            known[kind] = tree(trial.out), time.monotonic() - started
        return known[kind]

    return run


@pytest.mark.fault
@pytest.mark.parametrize(("kind", "number", "first", "kills"), TRIALS)
def test_a_killed_run_goes_on_to_the_same_bytes(
    kind, number, first, kills, commands, undisturbed, tmp_path, told_of_kills
):
    expected, seconds = undisturbed(kind)
    command, chance = commands[kind], random.Random(f"{kind} {number}")
    trial, told = Trial(command, tmp_path), []
    same = False
    try:
        for kill in range(first, first + kills):
            # Every other kill is at a narrow moment, each of them in its turn.
            events = command.events
            event = events[kill // 2 % len(events)] if kill % 2 else None
            killed(trial, seconds, event, chance, told)
        if not trial.finished():
            process = trial.start()
            said = trial.end(process)
            assert ended_well(process, said), [*told, said]
        found = tree(trial.out)
        assert differences(found, expected) == [], told
        same = True
    finally:
        told_of_kills(kind, told, same)
        trial.clear()
