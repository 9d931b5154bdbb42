"""Trains a submission's network for a given time, and measures it on words that it cannot know.

The student's code runs in a process of its own: `python -m lab.contest FILE MEMORY IN OUT`, where
IN and OUT are file descriptors. The process is given the training part when the student's file is
loaded, so that nothing is learned before the time begins. It never holds the held-out text: it is
sent one word at a time, and each only when the logits for it are back. So whatever the code does,
its logits are a guess. Their softmax is computed here, so they always are probabilities.

The time is measured here, too. What this does not stop: code that knows the text beforehand, or
reads it on the disk. Name a text that your students do not know you chose, and run code that you do
not trust in a container without that file.
"""

from __future__ import annotations

import contextlib
import json
import math
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
from typing import Any, NoReturn

import numpy as np

from textmill.model.small_files import loads

ROOT = Path(__file__).resolve().parents[1]
PRIMED = 100  # words of the training part's end that are read before the held-out words
_START_SECONDS = 300.0  # for Python and TensorFlow, on a slow machine
_LOAD_SECONDS = 30.0  # for the student's file
_ANSWER_SECONDS = 60.0  # for one word: the first one is compiled
_MOST_LINE = 4096
_MOST_NATS = 100.0  # of a mean: a table of random numbers has some 10
# What a process needs to run; nothing else of the teacher's environment is a student's business.
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV")


class Failed(Exception):
    """A submission could not be measured; the message is one line."""


@dataclass(frozen=True)
class Task:
    """What all submissions are given.

    Attributes:
        inputs: windows of the training part, int32 [W, B, T].
        targets: the word after each word of the inputs, int32 [W, B, T].
        primed: ids of the words before the held-out ones, which are the training part's last.
        held_out: ids of the words to foretell, int32 [N].
        size: V.
        embedding: width of the embedding that `build_model` is given.
        units: units that `build_model` is given.
        seconds: time to build and train.
        memory: GiB that the process may use.
    """

    inputs: np.ndarray
    targets: np.ndarray
    primed: np.ndarray
    held_out: np.ndarray
    size: int
    embedding: int
    units: int
    seconds: float
    memory: float = 8.0


@dataclass(frozen=True)
class Measured:
    """How a submission did with one seed.

    Attributes:
        nats: mean of -log p of the held-out words; its exponential is the perplexity.
        trained: seconds from the training part's arrival to the end of training.
        measured: seconds that the held-out words took.
        epochs: whole passes over the training part, as its own process counts them.
        parameters: numbers that the network has, as its own process counts them.
    """

    nats: float
    trained: float
    measured: float
    epochs: int
    parameters: int


def grace(seconds: float) -> float:
    """Seconds that a training may take beyond its time: its last step, on a busy machine."""
    return max(10.0, 0.05 * seconds)


def compete(file: Path, task: Task, *, seed: int) -> Measured:
    """Trains and measures one submission.

    Args:
        file: the student's file, with `build_model` and `loss`.
        task: what all are given.
        seed: of Keras's, TensorFlow's, NumPy's and Python's random numbers.

    Raises:
        Failed: the code is wrong, too slow or ends; the message says what happened.
    """
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        with _process(file, folder, task.memory) as other:
            other.event(_START_SECONDS, "started", "Python and TensorFlow take too long to load")
            other.event(_LOAD_SECONDS, "loaded", "the file takes too long to load")
            np.savez(Path(folder, "train.npz"), inputs=task.inputs, targets=task.targets)
            given = {
                "size": task.size,
                "embedding": task.embedding,
                "units": task.units,
                "seconds": task.seconds,
                "seed": seed,
            }
            begun = time.monotonic()
            other.send(json.dumps(given).encode() + b"\n")
            late = f"it trains for longer than the {task.seconds:g} s that all have"
            told = other.event(task.seconds + grace(task.seconds), "trained", late)
            trained = time.monotonic() - begun
            nats = _foretold(other, task)
            measured = time.monotonic() - begun - trained
        epochs, parameters = _count(told.get("epochs")), _count(told.get("parameters"))
    return Measured(nats, trained, measured, epochs, parameters)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _foretold(other: _Other, task: Task) -> float:
    """Mean of -log p of the held-out words; each is sent when the logits for it have come."""
    # Whoever trains on while the words come gains little: it may take as long as training at most.
    end = time.monotonic() + max(_ANSWER_SECONDS, task.seconds) + _ANSWER_SECONDS
    total = 0.0
    sent = np.concatenate([task.primed, task.held_out[:-1]]).astype("<i4")
    for place, word in enumerate(sent, start=1 - len(task.primed)):
        other.send(word.tobytes())
        left = min(_ANSWER_SECONDS, end - time.monotonic())
        logits = other.logits(task.size, left, "it takes too long to foretell the held-out words")
        if place < 0:
            continue
        top = logits.max()
        if np.isnan(top) or top == np.inf:
            raise Failed("its logits are not finite numbers; did its training diverge?")
        target = int(task.held_out[place])
        with np.errstate(over="ignore", invalid="ignore"):
            total += float(top + np.log(np.sum(np.exp(logits - top))) - logits[target])
        if not math.isfinite(total):
            raise Failed(f"it gives held-out word {place + 1} the probability 0")
    nats = total / len(task.held_out)
    if nats > _MOST_NATS:
        raise Failed(f"its mean of -log p is {nats:.3g}; did its training diverge?")
    return nats


class _Other:
    """The other end of the pipes: events are lines of JSON, logits are a letter and float32 [V].

    All that comes back may be anything, and may come at any time.
    """

    def __init__(self, process: subprocess.Popen[bytes], reading: int, writing: int):
        self._process, self._reading, self._writing = process, reading, writing
        self._buffer = b""

    def send(self, data: bytes) -> None:
        try:
            os.write(self._writing, data)
        except BrokenPipeError:
            self._ended()

    def event(self, seconds: float, name: str, late: str) -> dict[str, Any]:
        """Waits for an event of this name.

        Raises:
            Failed: it does not come in time, or another one comes.
        """
        end = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            if len(self._buffer) > _MOST_LINE:
                raise Failed("what came back is no event of the contest")
            self._more(end - time.monotonic(), late)
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            found = loads(line.decode())
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Failed("what came back is no event of the contest")
        if isinstance(found.get("error"), str):
            raise Failed(" ".join(found["error"].split())[:300])
        if found.get("event") != name:
            raise Failed("what came back is no event of the contest")
        return found

    def logits(self, size: int, seconds: float, late: str) -> np.ndarray:
        """Waits for the logits of one word, float64 [V]."""
        end, length = time.monotonic() + seconds, 1 + 4 * size
        while len(self._buffer) < length and self._buffer[:1] in (b"", b"L"):
            self._more(end - time.monotonic(), late)
        if self._buffer[:1] != b"L":
            self.event(max(0.0, end - time.monotonic()), "", late)
        found = np.frombuffer(self._buffer[1:length], "<f4").astype(np.float64)
        self._buffer = self._buffer[length:]
        if self._buffer:
            raise Failed("more came back than was asked for")
        return found

    def _more(self, seconds: float, late: str) -> None:
        if seconds <= 0 or not select.select([self._reading], [], [], seconds)[0]:
            raise Failed(late)
        found = os.read(self._reading, 1 << 16)
        if not found:
            self._ended()
        self._buffer += found

    def _ended(self) -> NoReturn:
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            raise Failed("the process closed its pipe") from None
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise Failed(f"the process ended ({how}); does it take more memory than it may?")


@contextlib.contextmanager
def _process(file: Path, folder: str, memory: float) -> Iterator[_Other]:
    """Starts the process, and ends it with all that it may have started."""
    to_read, there_write = os.pipe()
    there_read, to_write = os.pipe()
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "KERAS_BACKEND": "tensorflow",
        "HOME": folder,
        "TMPDIR": folder,
    }
    command = [sys.executable, "-m", "lab.contest", str(file.resolve()), str(memory)]
    try:
        process = subprocess.Popen(
            [*command, str(there_read), str(there_write)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[there_read, there_write],
            start_new_session=True,
        )
    except BaseException:
        os.close(to_read)
        os.close(to_write)
        raise
    finally:
        os.close(there_read)
        os.close(there_write)
    try:
        yield _Other(process, to_read, to_write)
    finally:
        os.close(to_read)
        os.close(to_write)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# -- the process -----------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> None:
    """Trains and answers, in the separate process."""
    file, memory, reading, writing = argv
    words, out = os.fdopen(int(reading), "rb", buffering=0), os.fdopen(int(writing), "wb")

    def tell(**event: Any) -> None:
        out.write(json.dumps(event).encode() + b"\n")
        out.flush()

    import keras
    import tensorflow as tf

    from lab.jail import Limits, limit
    from lab.student import load
    from lab.training import train

    limit(Limits(memory=float(memory)))
    tell(event="started")
    try:
        exercises = load(Path(file))
        tell(event="loaded")
        given = json.loads(words.readline())
        begun = time.monotonic()
        with np.load("train.npz", allow_pickle=False) as data:
            inputs, targets = data["inputs"], data["targets"]
        keras.utils.set_random_seed(given["seed"])
        model = exercises.build_model(given["size"], given["embedding"], given["units"])
        left = given["seconds"] - (time.monotonic() - begun)
        found = train(model, exercises.loss, (inputs, targets), seconds=max(0.0, left))
        parameters = sum(int(np.prod(weights.shape)) for weights in model.weights)
        tell(event="trained", epochs=int(found.epochs), parameters=parameters)
        _answer(model, given["size"], given["units"], words, out, tf)
    except BaseException as error:  # SystemExit, too
        tell(error=_told(error, file))
    os._exit(0)  # does not wait for threads that the student's code left


def _answer(model: Any, size: int, units: int, words: Any, out: Any, tf: Any) -> None:
    """Reads word after word, and gives the logits after each; the state is carried."""
    state = tf.TensorSpec([1, units], tf.float32)
    step = tf.function(
        lambda ids, h, c: model([ids, h, c], training=False),
        input_signature=[tf.TensorSpec([1, 1], tf.int32), state, state],
    )
    h = c = tf.zeros([1, units])
    while len(data := words.read(4)) == 4:
        logits, h, c = step(tf.constant([[int.from_bytes(data, "little")]], tf.int32), h, c)
        found = np.asarray(logits, "<f4").reshape(-1)
        if found.shape != (size,):
            raise ValueError(f"the logits of one word are {found.shape}, not ({size},)")
        out.write(b"L" + found.tobytes())
        out.flush()


def _told(error: BaseException, file: str) -> str:
    """An error in one line, with the student's own line."""
    if isinstance(error, NotImplementedError):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{frame.name} is not started"
    text = str(error).split("\nArguments received by")[0].strip()
    told = f"{type(error).__name__}: {text}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == file]  # fmt: skip
    # Where TensorFlow compiled the function, its message names the lines, and ends in the cause.
    compiled = re.findall(rf'File "{re.escape(file)}", line (\d+)', text)
    if compiled:
        told, lines = text.splitlines()[-1].strip(), compiled
    return f"{told[:250]} (line {lines[-1]})" if lines else told[:250]


if __name__ == "__main__":
    main(sys.argv[1:])
