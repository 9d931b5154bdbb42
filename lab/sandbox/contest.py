"""Trains a submission's network for a given time, and measures it on words that it cannot know.

The student's code runs in the process in which it is graded, too (`run`, `student`), shut
in by `jail`: it cannot read the text on the disk. It is given the training part when the time
begins, so that nothing is learned before. It never holds the held-out text: it is sent one word at
a time, and each only when the logits for it are back. So whatever the code does, its logits are a
guess. Their softmax is computed here, so they always are probabilities. The time is measured here.

What this does not stop is code that knows the text beforehand.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.checks.expect import NotStarted, Wrong
from lab.sandbox.run import GONE, Exercises, Gone, Hung, Network, Result, Student, started

PRIMED = 100  # words of the training part's end that are read before the held-out words
_RATE = 3e-3
_START_SECONDS = 300.0  # for Python and TensorFlow, on a slow machine
_ANSWER_SECONDS = 60.0  # for one word: the first one is compiled
_MOST_NATS = 100.0  # of a mean: a table of random numbers has some 10


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
        trained: seconds from the beginning of `build_model` to the end of training.
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
    longest = _START_SECONDS + task.seconds + grace(task.seconds) + _foretelling(task)
    processors = os.cpu_count() or 1
    with Student(file, memory=task.memory, seconds=int(longest * processors)) as process:
        if (fault := started(process)) is not None:
            raise _failed(fault)
        with _told("Python and its libraries take too long to load"):
            process.seed(seed)
        begun = time.monotonic()
        late = f"it trains for longer than the {task.seconds:g} s that all have"
        with _told(late):
            process.deadline = begun + task.seconds + grace(task.seconds)
            model = Exercises(process.ask).build_model(task.size, task.embedding, task.units)
            if not isinstance(model, Network):
                raise Failed("build_model gives no keras.Model, and no torch.nn.Module")
            left = max(0.0, begun + task.seconds - time.monotonic())
            epochs = model.learn(
                task.inputs, task.targets, units=task.units, rate=_RATE, seconds=left
            )
        trained = time.monotonic() - begun
        with _told("it takes too long to foretell the held-out words"):
            nats = _foretold(process, model, task)
            measured = time.monotonic() - begun - trained
            process.deadline = time.monotonic() + _ANSWER_SECONDS
            return Measured(nats, trained, measured, epochs, model.parameters())


@contextlib.contextmanager
def _told(late: str) -> Iterator[None]:
    """Makes what the student's process does wrong one line; `late` is that of too long a time."""
    try:
        yield
    except NotStarted as stub:
        raise Failed(f"{stub.function} is not started") from None
    except Wrong as wrong:
        raise _failed(wrong) from None
    except Hung:
        raise Failed(late) from None
    except Gone as gone:
        raise Failed(f"the process ended: {gone.reason}; {GONE}") from None


def _failed(fault: Wrong | Result) -> Failed:
    """Makes a fault one line; what the student's process says of it may be of any length."""
    return Failed(" ".join(f"{fault.what}: {fault.received}; {fault.hint}".split())[:300])


def _foretelling(task: Task) -> float:
    """Seconds for all held-out words.

    Whoever trains on while the words come gains little: it may take as long as training at most.
    """
    return max(_ANSWER_SECONDS, task.seconds) + _ANSWER_SECONDS


def _foretold(process: Student, model: Network, task: Task) -> float:
    """Mean of -log p of the held-out words; each is sent when the logits for it have come."""
    end = time.monotonic() + _foretelling(task)
    h = c = np.zeros((1, task.units), np.float32)
    total = 0.0
    sent = np.concatenate([task.primed, task.held_out[:-1]]).astype(np.int32)
    for place, word in enumerate(sent, start=1 - len(task.primed)):
        process.deadline = min(time.monotonic() + _ANSWER_SECONDS, end)
        given, h, c = model.step(np.array([[word]], np.int32), h, c)
        if given.dtype.kind != "f" or given.shape != (1, 1, task.size):
            raise Failed(
                f"the logits of one word are {given.dtype} of the shape {given.shape}, "
                f"not floats of the shape (1, 1, {task.size})"
            )
        logits = given.reshape(-1).astype(np.float64)
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
