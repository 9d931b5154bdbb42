"""Trains and measures the network of exercise 4, and runs it word by word.

A model is what exercise 4 demands, of Keras or of PyTorch: it gives logits, h and c. Shapes: W
windows, B rows, T time steps, V words of the vocabulary, N words of a text.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lab.language import say
from lab.notebook.plan import Point, Silence, plan
from lab.sandbox.libraries import library_of

FIRST = 5  # steps after the compiled one, from which the time of an epoch is estimated
MEASURED = 3000  # words of a text that are enough for a point of a curve


@dataclass(frozen=True)
class Trained:
    """What a training gave.

    Args:
        points: of the curves, the last one at the end of the training.
        epochs: passes over the text, the last one perhaps not whole.
        seconds: that the steps took, without compiling and without measuring the points.
        kept: the point whose weights the model has now; None if no step was made.
    """

    points: tuple[Point, ...]
    epochs: float
    seconds: float
    kept: Point | None


def units_of(model: Any) -> int:
    """Gives the number of units, which is the size of h and of c."""
    return int(library_of(model).units_of(model))


def train(
    model: Any,
    loss: Callable[[Any, Any], Any],
    windows: tuple[np.ndarray, np.ndarray],
    *,
    epochs: int | None = None,
    seconds: float | None = None,
    least: int = 0,
    limit: float | None = None,
    rate: float = 3e-3,
    zeroed: float = 0.0,
    seed: int = 0,
    plain: np.ndarray | None = None,
    valid: np.ndarray | None = None,
    watch: Silence | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Trains on the windows and carries the state through each epoch.

    With a validation text, the model ends with the weights of the point at which that text had the
    lowest perplexity. Those of the end may be overfitted: they know the training text by heart,
    and are too sure of themselves on any other.

    A network that begins to write begins with zeros as its state. The only zeros that it would see
    in training are those before the first window of an epoch, which is too few to learn what they
    mean. So the state of some rows is set to zeros before each window: `zeroed`.

    Args:
        model: the model of exercise 4.
        loss: the loss of exercise 4.
        windows: inputs and targets, int [W, B, T].
        epochs: stop after this number of epochs.
        seconds: stop after this time, also within an epoch.
        least: number of epochs that are trained even if they take longer than `seconds`.
        limit: stop after this time, whatever `epochs`, `seconds` and `least` say.
        rate: the learning rate.
        zeroed: the probability with which a row's state is set to zeros before a window.
        seed: seed of the rows that are chosen for that.
        plain: words of the training text that are measured with dropout off, int [N].
        valid: the validation text, int [N].
        watch: is told what happens, such as a `lab.notebook.plan.Progress`.
        clock: gives seconds.

    Returns:
        The curves, which go on to the end, and the time that the training really took.

    Raises:
        ValueError: there is no window, or nothing says when the training ends.
    """
    if epochs is None and seconds is None and limit is None:
        raise ValueError(say("say when the training ends: epochs, seconds or limit"))
    watch = Silence() if watch is None else watch
    random = np.random.default_rng(seed)
    inputs = windows[0]
    if not len(inputs):
        raise ValueError(say("there is no window: the text is too short for these B and T"))
    rows, units = inputs.shape[1], units_of(model)
    run = _step(model, loss, rate, rows, units)
    spent, done, planned = 0.0, 0, None
    points: list[Point] = []
    best = _Best(model)
    losses: list[float] = []  # since the last point

    def now() -> float:
        return done / len(inputs)

    def over() -> bool:
        if epochs is not None and done >= epochs * len(inputs):
            return True
        if limit is not None and spent >= limit:
            return True
        return seconds is not None and spent >= seconds and done >= least * len(inputs)

    def measure() -> None:
        measured = [
            None if text is None else _perplexity(model, text[:MEASURED]) for text in (plain, valid)
        ]
        points.append(Point(now(), spent, float(np.exp(np.mean(losses))), *measured))
        losses.clear()
        best.see(points[-1])
        watch.point(points[-1])

    watch.begins()
    h = c = np.zeros((rows, units), np.float32)
    while not over():
        window = done % len(inputs)
        keep = (random.random((rows, 1)) >= (zeroed if window else 1.0)).astype(np.float32)
        began = clock()
        nats, h, c = run(*(each[window] for each in windows), h * keep, c * keep)
        losses.append(nats)
        done += 1
        if done > 1:  # the first one is compiled
            spent += clock() - began
        if planned is None and done > min(FIRST, len(inputs)):
            planned = plan(
                spent / (done - 1) * len(inputs),
                epochs=epochs, seconds=seconds, least=least, limit=limit,
            )  # fmt: skip
            watch.planned(planned)
        watch.step(epochs=now(), seconds=spent, perplexity=float(np.exp(losses[-1])))
        parts = 1 if planned is None else planned.parts
        if done * parts // len(inputs) > (done - 1) * parts // len(inputs) and not over():
            measure()
    if losses:
        measure()
    best.put_back()
    watch.ends(epochs=now(), seconds=spent, kept=best.point)
    return Trained(tuple(points), now(), spent, best.point)


class _Best:
    """Keeps the weights of the point with the lowest validation perplexity.

    Args:
        model: whose weights are kept.
    """

    def __init__(self, model: Any) -> None:
        self.point: Point | None = None  # without a validation text, the latest
        self._model, self._library = model, library_of(model)
        self._lowest, self._weights = math.inf, None

    def see(self, point: Point) -> None:
        """Takes the model's weights as those of this point, if it is better than all before."""
        if point.validation is not None and point.validation < self._lowest:
            self._lowest, self._weights = point.validation, self._library.weights(self._model)
        elif self._weights is not None:
            return
        self.point = point

    def put_back(self) -> None:
        """Gives the model the weights of the best point."""
        if self._weights is not None:
            self._library.set_weights(self._model, self._weights)


def _step(
    model: Any, loss: Callable[[Any, Any], Any], rate: float, rows: int, units: int
) -> Callable[..., tuple[float, np.ndarray, np.ndarray]]:
    """Makes a training step: ids and targets [B, T], h, c to the loss, h and c, all as numbers."""
    step: Callable[..., Any] = library_of(model).training_step(model, loss, rate, rows, units)
    return step


def _compiled(model: Any) -> Callable[..., list[np.ndarray]]:
    """Gives a function of ids [B, T], h and c [B, units] that gives logits, h and c."""
    found: Callable[..., list[np.ndarray]] = library_of(model).runner(model)
    return found


def _no_state(model: Any, rows: int = 1) -> np.ndarray:
    return np.zeros((rows, units_of(model)), np.float32)


def _softmax(logits: Any, temperature: float = 1.0) -> np.ndarray:
    z = np.asarray(logits, np.float64) / temperature
    z -= z.max(axis=-1, keepdims=True)
    p = np.exp(z)
    p /= p.sum(axis=-1, keepdims=True)
    return p


def probabilities_at(
    model: Any, ids: np.ndarray, temperatures: Sequence[float], *, before: Sequence[int] = ()
) -> np.ndarray:
    """Gives the model's p of each word but the first at each temperature; the state is carried.

    Args:
        model: the model of exercise 4.
        ids: a text, int [N].
        temperatures: K of them, above 0.
        before: words that are read first, from zeros.

    Returns:
        float64 [K, N - 1].
    """
    h, c = _state_after(model, before)
    found: list[np.ndarray] = []
    for begin in range(0, len(ids) - 1, 256):
        window = np.asarray(ids[begin : begin + 257], np.int32)
        logits, h, c = _compiled(model)(window[None, :-1], h, c)
        at = (np.arange(len(window) - 1), window[1:])
        found.append(np.stack([_softmax(logits[0], t)[at] for t in temperatures]))
    return np.concatenate(found, axis=1)


def probabilities(model: Any, ids: np.ndarray, *, temperature: float = 1.0) -> np.ndarray:
    """Gives the model's p of each word but the first, float64 [N - 1]; the state is carried."""
    return probabilities_at(model, ids, [temperature])[0]


def _perplexity(model: Any, ids: np.ndarray) -> float:
    return float(np.exp(-np.log(probabilities(model, ids)).mean()))


def perplexity_by_place(
    model: Any, ids: np.ndarray, places: int, *, carried: bool = False
) -> np.ndarray:
    """Measures how well the model foretells the first word after one it has read, the second ...

    The text is cut into pieces of `places + 1` words, and place k is the k-th word that is
    foretold in each of them.

    Args:
        model: the model of exercise 4.
        ids: a text, int [N], N above `places`.
        places: number of places.
        carried: True reads on from piece to piece; False begins each one with zeros as the state.

    Returns:
        float64 [places], the perplexity at each place, of the same words in both cases.
    """
    pieces = len(ids) // (places + 1)
    if pieces < 1:
        raise ValueError(say(f"{places} places need more than {len(ids)} words"))
    cut = np.asarray(ids[: pieces * (places + 1)], np.int32).reshape(pieces, places + 1)
    if carried:
        p = np.append(1.0, probabilities(model, cut.reshape(-1))).reshape(cut.shape)[:, 1:]
    else:
        p = np.empty((pieces, places))
        for rows in np.array_split(np.arange(pieces), max(1, pieces // 32)):
            state = _no_state(model, len(rows))
            logits = _compiled(model)(cut[rows, :-1], state, state)[0]
            p[rows] = np.take_along_axis(_softmax(logits), cut[rows, 1:, None], -1)[..., 0]
    return np.asarray(np.exp(-np.log(p).mean(axis=0)))


def _state_after(model: Any, words: Sequence[int]) -> tuple[Any, Any]:
    """Gives h and c, [1, units], after these words; zeros if there are none."""
    h = c = _no_state(model)
    if len(words):
        _, h, c = _compiled(model)(np.array([list(words)], np.int32), h, c)
    return h, c


def stepper(
    model: Any, *, before: Sequence[int] = (), unknown: int | None = 0
) -> Callable[[int, Any], Any]:
    """Makes the step that exercises 5 and 7 take: (word, state) to (logits [V], state).

    The logit of `unknown` is minus infinity, so that it is never drawn. The state None stands for
    the one after the words of `before`, which are read once, now.
    """
    begin = _state_after(model, before)

    def step(word: int, state: Any) -> tuple[np.ndarray, Any]:
        h, c = begin if state is None else state
        logits, h, c = _compiled(model)(np.array([[word]], np.int32), h, c)
        found = np.array(logits, np.float64)[0, -1]
        if unknown is not None:
            found[unknown] = -np.inf
        return found, (h, c)

    return step


def rerunner(model: Any, *, before: Sequence[int] = ()) -> Callable[[Any], np.ndarray]:
    """Makes `run` of exercise 7, which reads all words from the beginning to logits [T, V].

    The beginning is the state after the words of `before`.
    """
    begin = _state_after(model, before)

    def run(words: Any) -> np.ndarray:
        logits = _compiled(model)(np.array([list(words)], np.int32), *begin)[0]
        found = np.array(logits, np.float64)[0]
        found[:, 0] = -np.inf
        return found

    return run


def primer(valid: np.ndarray, stop: int | None, *, words: int = 100) -> list[int]:
    """Chooses unseen words to read before writing: the last ones that end with a full stop.

    Args:
        valid: the validation text, int [N].
        stop: the id of the full stop; None, or one that is not in the text, takes its end.
        words: number of words, at most.
    """
    stops = np.flatnonzero(np.asarray(valid) == stop) if stop is not None else np.empty(0, int)
    end = int(stops[-1]) + 1 if len(stops) else len(valid)
    return [int(word) for word in valid[max(0, end - words) : end]]
