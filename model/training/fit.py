"""The training loop: any Keras backend, a schedule fixed at its start, the best weights kept.

The length of a run is counted in words to train on. If minutes are given, the first seconds
measure the speed and fix that number. From then on nothing depends on the clock, so a run that is
stopped and resumed makes the same steps as one that is not, on a CPU bit by bit.
"""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.network.lstm import LanguageModel
from textmill.model.network.recurrence import fast_kernels
from textmill.model.reporter import Reporter
from textmill.model.settings import TrainSettings
from textmill.model.text.dataset import Feeder
from textmill.model.training.checkpoint import Checkpoint, State, damaged
from textmill.model.training.recipe import PLAIN, Recipe
from textmill.model.training.trainee import Trainee

_WARM_UP = 0.03  # share of the training over which the rate rises
_LEAST_RATE = 0.01  # share of the peak rate at the end
_VALIDATION_SHARE = 0.1  # largest share of the time for validations, if minutes are given
_MOST_CHECKS = 20  # most validations, if minutes are given
# The speed is measured over this many seconds or this share of the budget, whichever is less, and
# over at least this many steps whose shape was seen before, as the first of a shape is compiled.
_MEASURE_SECONDS, _MEASURE_SHARE, _MEASURE_STEPS = 8.0, 0.04, 5
# A validation for the mark costs as much as many steps. It is worth it once the mean training loss
# is at most this many nats above.
_NEAR = 1.0
_SPARE = 0.02  # share of the budget kept in case later steps are slower
_AVERAGE_EVERY = 20  # steps
_AVERAGE_SHARE = 0.1  # the average is over about this last share of the steps so far
# A run diverges if its mean loss over this many steps is this many nats above the lowest.
_WORSE, _WORSE_STEPS = 1.5, 20
_MOST_RESTARTS = 5
_SLOWER = 0.5  # a restart multiplies the rate by this


@dataclass
class History:
    """What happened in a training run.

    Attributes:
        validations: epoch, step, learning rate, training perplexity since the last validation,
            validation perplexity and seconds of each validation.
        words: number of words trained on.
        seconds: seconds of training, validations included.
        feed_seconds: seconds of these spent waiting for batches.
        epochs: passes over the training part.
        stopped: why it ended: `epochs`, `minutes`, `patience`, `enough`, `diverged` or
            `interrupted`.
        samples: what `watch` gave at the validations.
        best_perplexity: the lowest validation perplexity.
        restarts: how often training went back to the last good point after it diverged.
    """

    validations: list[dict[str, float]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    words: int = 0
    seconds: float = 0.0
    feed_seconds: float = 0.0
    epochs: float = 0.0
    stopped: str = ""
    best_perplexity: float = math.inf
    restarts: int = 0


@dataclass
class _Place:
    """Where a run is; a resumed run goes on from this and the arrays.

    Attributes:
        step: number of steps made.
        epoch: epoch of the next batch.
        window: number of the next batch in its epoch.
        total: words of the whole run, None until the speed is known.
        checks: number of validations planned for the whole run.
        checked: number of validations done.
        since_best: validations since the best one.
        losses: losses of the steps since the last validation, in nats.
        recent: losses of the last steps.
        lowest: the lowest mean of `recent` so far.
        slower: factor on the rate, smaller after each divergence.
    """

    step: int = 0
    epoch: int = 0
    window: int = 0
    total: int | None = None
    checks: int = 0
    checked: int = 0
    since_best: int = 0
    losses: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    lowest: float = math.inf
    slower: float = 1.0


def fit(
    network: LanguageModel,
    feeder: Feeder,
    validate: Callable[[], float],
    settings: TrainSettings,
    *,
    started: float,
    report: Reporter,
    use_tf_data: bool,
    recipe: Recipe = PLAIN,
    watch: Callable[[int, dict[str, float]], list[dict[str, Any]]] | None = None,
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
) -> History:
    """Trains the network in place and leaves the weights with the best validation in it.

    Args:
        validate: gives the validation perplexity of the network with its present weights.
        started: `time.monotonic()` at the start, from which `settings.minutes` counts.
        use_tf_data: whether batches come from tf.data instead of NumPy.
        recipe: rate and penalties that the settings do not give.
        watch: called with step and scalars at each validation, while the network holds the
            validated weights. What it gives is kept with the history.
        checkpoint: written every `settings.checkpoint_minutes`, and when the run is interrupted.
        resume: whether the run goes on from the checkpoint.

    Raises:
        TextmillError: training diverges again and again from the start, or the checkpoint is
            missing, damaged or of another run.
    """
    recipe = recipe.given(settings)
    run = _Fit(
        network, feeder, validate, settings, recipe, started, report, use_tf_data, watch, checkpoint
    )
    if resume:
        assert checkpoint is not None
        run.go_on(checkpoint)
    return run.run()


class _Stop(Exception):
    """Ends the loop; its text is the reason."""


class _Interrupted(Exception):
    """A signal asked the run to end; it is raised between two steps."""


class _Fit:
    """The state of one training run."""

    def __init__(
        self,
        network: LanguageModel,
        feeder: Feeder,
        validate: Callable[[], float],
        settings: TrainSettings,
        recipe: Recipe,
        started: float,
        report: Reporter,
        use_tf_data: bool,
        watch: Callable[[int, dict[str, float]], list[dict[str, Any]]] | None,
        checkpoint: Checkpoint | None,
    ):
        self.network, self.feeder, self.validate = network, feeder, validate
        self.settings, self.recipe, self.started, self.report = settings, recipe, started, report
        self.use_tf_data, self.watch, self.checkpoint = use_tf_data, watch, checkpoint
        self.trainee = Trainee(
            network,
            batch=feeder.batch if feeder.carries_state else None,
            activation=recipe.activation_penalty,
            slowness=recipe.slowness_penalty,
        )
        self.trainee.compile(
            optimizer=_optimizer(settings, recipe.learning_rate),
            # Measured: XLA does not speed up TensorFlow's LSTM loop on a CPU, and prevents cuDNN
            # on a GPU. JAX needs it.
            jit_compile=keras.backend.backend() == "jax",
        )
        self.trainee.optimizer.build(self.trainee.trainable_variables)
        self.history, self.place = History(), _Place()
        self.best: dict[str, np.ndarray] | None = None
        self.average: dict[str, np.ndarray] = {}
        if settings.epochs is not None and settings.minutes is None:
            self.place.total = settings.epochs * feeder.words
            self.place.checks = settings.epochs
        self.paces: list[tuple[int, float]] = []  # words and seconds of steps that are measured
        self.shapes: set[tuple[tuple[int, ...], ...]] = set()
        self.last_end = self.last_saved = time.monotonic()
        self.interrupted = False

    # -- the loop ----------------------------------------------------------------------------------

    def run(self) -> History:
        """Trains to the end of the budget."""
        before = self.history.seconds
        self.good = self._state()
        with self._listening():
            try:
                while not self._is_done():
                    self._epoch()
                self._check(last=True)
                self.history.stopped = "minutes" if self.settings.minutes is not None else "epochs"
            except _Stop as stop:
                self.history.stopped = str(stop)
            except (_Interrupted, KeyboardInterrupt) as interrupt:
                if isinstance(interrupt, _Interrupted):
                    self._save(self._state())
                if self.best is None:
                    raise KeyboardInterrupt from None
                self.history.stopped = "interrupted"
        if self.best is not None:
            self.network.assign_arrays(self.best)
        self.history.seconds = before + time.monotonic() - self.started
        return self.history

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Lets Ctrl-C wait for the end of a step, so that a whole step is saved; a second stops."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = signal.SIGINT, signal.SIGTERM
        before = [signal.getsignal(each) for each in signals]

        def hear(number: int, frame: Any) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True

        for each in signals:
            signal.signal(each, hear)
        try:
            yield
        finally:
            for each, old in zip(signals, before, strict=True):
                signal.signal(each, old)

    def _is_done(self) -> bool:
        total = self.place.total
        by_epochs = self.settings.epochs is not None and self.place.epoch >= self.settings.epochs
        return by_epochs or (total is not None and self.history.words >= total)

    def _epoch(self) -> None:
        """Trains to the end of an epoch or of the run."""
        place = self.place
        if not place.window:
            self.trainee.forget()
        feeder = self.feeder.tf_data if self.use_tf_data else self.feeder.batches
        feed, windows = iter(feeder(place.epoch, place.window)), len(self.feeder.plan(place.epoch))
        restarts = self.history.restarts
        while True:
            waiting = time.monotonic()
            batch = next(feed, None)
            self.history.feed_seconds += time.monotonic() - waiting
            if batch is None:
                break
            self._train(*batch)
            if self.history.restarts > restarts:
                return  # the run has gone back to an earlier place
            place.window += 1
            self.history.epochs = place.epoch + place.window / windows
            if place.window == windows:
                place.epoch, place.window = place.epoch + 1, 0
            if self._is_enough():
                self._check()  # which ends the run
            if place.total is None:
                self._measure()
            elif self.history.words * place.checks >= (place.checked + 1) * place.total:
                self._check()
            self._save_if_due()
            if self.interrupted:
                raise _Interrupted
            if self._is_done():
                return

    def _train(self, inputs: Any, targets: Any, weights: Any) -> None:
        before, place = time.monotonic(), self.place
        self.trainee.optimizer.learning_rate = self._rate()
        self.trainee.reset_metrics()
        logs = self.trainee.train_on_batch(inputs, targets, weights, return_dict=True)
        loss = float(logs["nll"])
        words = int(np.sum(np.asarray(weights)))
        if self._astray(loss):
            self._restart()
            return
        place.step += 1
        place.losses.append(loss)
        self.history.words += words
        seconds = time.monotonic() - before
        if place.total is None:
            now = time.monotonic()
            shapes = tuple(tuple(each.shape) for each in (*inputs.values(), targets))
            if shapes in self.shapes:  # counts the time between two steps as well
                self.paces.append((words, now - self.last_end))
            self.shapes.add(shapes)
            self.last_end = now
        if self.settings.average and place.step % _AVERAGE_EVERY == 0:
            self._add_to_average()
        shown = float(np.mean(place.recent))
        self.report.progress(self._share(), loss=shown, rate=words / seconds)

    def _share(self) -> float:
        """Gives the share of the training that is done; 0 until its length is known."""
        return min(1.0, self.history.words / self.place.total) if self.place.total else 0.0

    def _rate(self) -> float:
        return (
            self.recipe.learning_rate
            * self.place.slower
            * _rate(self._share(), self.settings.schedule)
        )

    def _measure(self) -> None:
        """Fixes the length of a run that has a time limit, once the speed is known."""
        assert self.settings.minutes is not None
        budget, measured = self.settings.minutes * 60, sum(seconds for _, seconds in self.paces)
        if len(self.paces) < _MEASURE_STEPS or measured < min(
            _MEASURE_SECONDS, budget * _MEASURE_SHARE
        ):
            return
        cost = self._seconds_of_a_check()
        left = budget - (time.monotonic() - self.started)
        checks = min(max(int(left * _VALIDATION_SHARE / max(cost, 1e-3)), 1), _MOST_CHECKS)
        training = max(left - checks * cost - budget * _SPARE, 0.0)
        pace = sum(words for words, _ in self.paces) / measured
        place = self.place
        place.total = by_minutes = self.history.words + int(pace * training)
        if self.settings.epochs is not None:
            place.total = min(place.total, self.settings.epochs * self.feeder.words)
        place.checks = checks
        place.checked = self.history.words * checks // max(place.total, 1)
        epochs = place.total / self.feeder.words
        minutes = f"{self.settings.minutes:g} minutes"
        if place.total == by_minutes:
            self.report.message(
                f"in {minutes} this machine trains on about {place.total:,} words, "
                f"{epochs:.1f} epochs"
            )
            return
        seconds = max(place.total - self.history.words, 0) / pace
        self.report.message(
            f"{place.total:,} words in all, {epochs:.1f} epochs, about {seconds:,.0f} s here: the "
            f"limit of epochs comes before that of {minutes}"
        )

    def _seconds_of_a_check(self) -> float:
        seconds = math.inf
        for _ in range(2):  # the first one is compiled
            before = time.monotonic()
            self.validate()
            seconds = min(seconds, time.monotonic() - before)
            if seconds > 0.01 * 60 * (self.settings.minutes or 0):
                break
        return seconds

    # -- averaged weights --------------------------------------------------------------------------

    def _add_to_average(self) -> None:
        """Updates a running mean over about the last tenth of the steps (Polyak and Juditsky)."""
        now = self.network.arrays()
        if not self.average:
            self.average = now
            return
        weight = np.float32(min(1.0, _AVERAGE_EVERY / (_AVERAGE_SHARE * self.place.step)))
        for name, mean in self.average.items():
            mean += weight * (now[name] - mean)

    # -- validation --------------------------------------------------------------------------------

    def _is_enough(self) -> bool:
        """Tells, every so many steps, whether the perplexity is low enough to end the run."""
        every, place = self.settings.enough_every, self.place
        if not every or place.step % every or not self.settings.enough:
            return False
        # With dropout the loss is the larger one; far above the mark nothing is validated.
        if float(np.mean(place.recent)) > math.log(self.settings.enough) + _NEAR:
            return False
        now = self.network.arrays() if self.average else None
        if now is not None:
            self.network.assign_arrays(self.average)
        perplexity = self.validate()
        if now is not None:
            self.network.assign_arrays(now)
        self.last_end = time.monotonic()  # what steps cost is measured without this
        return perplexity <= self.settings.enough

    def _check(self, *, last: bool = False) -> None:
        """Validates, keeps the weights if they are the best, and may end the run."""
        place = self.place
        if not place.losses:
            return
        now = self.network.arrays() if self.average else None
        if self.average:
            self.network.assign_arrays(self.average)
        perplexity = self.validate()
        if not math.isfinite(perplexity):
            if now is not None:
                self.network.assign_arrays(now)
            self._restart()
            return
        best = perplexity < self.history.best_perplexity
        if best:
            self.history.best_perplexity = perplexity
            self.best = self.network.arrays()
        place.since_best = 0 if best else place.since_best + 1
        place.checked += 1
        row = {
            "epoch": round(self.history.epochs, 3),
            "step": place.step,
            "seconds": round(self.history.seconds + time.monotonic() - self.started, 1),
            "learning_rate": self._rate(),
            "train_perplexity": round(math.exp(min(float(np.mean(place.losses)), 700.0)), 3),
            "valid_perplexity": round(perplexity, 3),
        }
        place.losses = []
        self.history.validations.append(row)
        self.report.validated(self.history.epochs, perplexity=perplexity, best=best)
        if self.watch is not None:
            self.history.samples += self.watch(place.step, row)
        if now is not None:
            self.network.assign_arrays(now)
        self.good = self._state()
        if perplexity <= self.settings.enough:
            raise _Stop("enough")
        if not last and place.since_best >= self.settings.patience:
            raise _Stop("patience")

    # -- divergence --------------------------------------------------------------------------------

    def _astray(self, loss: float) -> bool:
        place = self.place
        place.recent = [*place.recent[1 - _WORSE_STEPS :], loss]
        mean = float(np.mean(place.recent))
        if len(place.recent) == _WORSE_STEPS:
            place.lowest = min(place.lowest, mean)
        return not math.isfinite(mean) or mean > place.lowest + _WORSE

    def _restart(self) -> None:
        """Goes back to the last good point with a smaller rate."""
        restarts, slower = self.history.restarts + 1, self.place.slower * _SLOWER
        rate = self.recipe.learning_rate * self.place.slower
        if restarts > _MOST_RESTARTS:
            if self.best is None:
                raise TextmillError(
                    f"training diverged {restarts} times, at last with the rate {rate:g}. Give a "
                    f"lower --learning-rate (it was {self.recipe.learning_rate:g})"
                )
            self.report.message("training diverged again; the best weights so far are kept")
            raise _Stop("diverged")
        self.report.message(
            f"training diverged at step {self.place.step:,}; going on from step "
            f"{self.good[1]['place']['step']:,} with the rate {rate * _SLOWER:g}"
        )
        seconds = self.history.seconds
        self.restore(self.good)
        self.history.restarts, self.place.slower = restarts, slower
        self.history.seconds = seconds  # those of earlier runs only

    # -- all of it as arrays -----------------------------------------------------------------------

    def _variables(self) -> list[Any]:
        return [*self.trainee.variables, *self.trainee.optimizer.variables]

    def _state(self) -> State:
        """Copies everything that the next steps depend on."""
        arrays = {
            f"variable/{i}": np.array(keras.ops.convert_to_numpy(variable))
            for i, variable in enumerate(self._variables())
        }
        arrays |= {f"average/{name}": array.copy() for name, array in self.average.items()}
        arrays |= {f"best/{name}": array for name, array in (self.best or {}).items()}
        seconds = self.history.seconds + time.monotonic() - self.started
        history = {**asdict(self.history), "seconds": seconds}
        return arrays, {"history": history, "place": copy.deepcopy(asdict(self.place))}

    def restore(self, state: State) -> None:
        """Goes back to a state that `_state` gave."""
        arrays, record = state[0], copy.deepcopy(state[1])
        for i, variable in enumerate(self._variables()):
            variable.assign(arrays[f"variable/{i}"])

        def named(kind: str) -> dict[str, np.ndarray]:
            start = len(kind) + 1
            return {
                name[start:]: array.copy()
                for name, array in arrays.items()
                if name.startswith(f"{kind}/")
            }

        self.average, self.best = named("average"), named("best") or None
        self.history, self.place = History(**record["history"]), _Place(**record["place"])

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Goes back to the state that a checkpoint holds."""
        state = checkpoint.load()
        try:
            self.restore(state)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(checkpoint.path, error) from None

    def _save_if_due(self) -> None:
        minutes = (time.monotonic() - self.last_saved) / 60
        if self.checkpoint is not None and minutes >= self.settings.checkpoint_minutes:
            self._save(self._state())

    def _save(self, state: State) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(state)
            self.last_saved = time.monotonic()


def _optimizer(settings: TrainSettings, rate: float) -> Any:
    fast = fast_kernels()
    if fast is not None:
        return fast.AdamW(rate, decay=settings.weight_decay, clip=settings.clip, beta_2=0.99)
    optimizer = keras.optimizers.AdamW(
        rate,
        beta_2=0.99,
        weight_decay=settings.weight_decay,
        global_clipnorm=settings.clip,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def _rate(share: float, schedule: str = "cosine") -> float:
    """Gives the learning rate relative to its peak: linear warm-up, then the schedule."""
    if share < _WARM_UP:
        return max(share / _WARM_UP, 0.05)
    rest = (share - _WARM_UP) / (1 - _WARM_UP)
    left = {"cosine": 0.5 * (1 + math.cos(math.pi * rest)), "linear": 1 - rest, "constant": 1.0}
    return _LEAST_RATE + (1 - _LEAST_RATE) * left[schedule]
