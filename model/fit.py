"""The training loop: any Keras backend, a hard budget, the best weights kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import keras
import numpy as np

from model.dataset import Feeder
from model.errors import TextmillError
from model.network import LanguageModel, Trainee
from model.settings import TrainSettings

_WARM_UP = 0.03  # share of the training over which the rate rises
_LEAST_RATE = 0.01  # share of the peak rate at the end
_VALIDATION_SHARE = 0.1  # of the time, at most, goes into validation when minutes count


class Reporter(Protocol):
    """Hears how training goes."""

    def message(self, text: str) -> None:
        """One line for the person."""

    def progress(self, share: float, *, loss: float, rate: float) -> None:
        """Share done (0 to 1), mean loss in nats of late, words a second."""

    def validated(self, epoch: float, *, perplexity: float, best: bool) -> None:
        """A validation's result."""


@dataclass
class History:
    """What happened.

    Attributes:
        validations: epoch, training perplexity since the last one, validation perplexity, seconds.
        words: words trained on. seconds: of training, validations included.
        stopped: why it ended: `epochs`, `minutes`, `patience`, `diverged` or `interrupted`.
    """

    validations: list[dict[str, float]] = field(default_factory=list)
    words: int = 0
    seconds: float = 0.0
    epochs: float = 0.0
    stopped: str = "epochs"
    best_perplexity: float = math.inf


def fit(
    network: LanguageModel,
    feeder: Feeder,
    validate: Callable[[], float],
    settings: TrainSettings,
    *,
    started: float,
    report: Reporter,
    use_tf_data: bool,
    watch: Callable[[int, dict[str, float]], None] | None = None,
) -> History:
    """Trains the network in place and leaves the weights with the best validation in it.

    Args:
        validate: gives the validation perplexity of the network as it is.
        started: `time.monotonic()` at the start, from which `settings.minutes` counts.
        use_tf_data: feed by tf.data instead of NumPy.
        watch: is given step and scalars at each validation, for TensorBoard.

    Raises:
        TextmillError: the loss is not a number and there is no good point to fall back to.
    """
    return _Fit(network, feeder, validate, settings, started, report, use_tf_data, watch).run()


class _Stop(Exception):
    """Ends the loop; its text is the reason."""


class _Fit:
    """The state of one training run."""

    def __init__(
        self,
        network: LanguageModel,
        feeder: Feeder,
        validate: Callable[[], float],
        settings: TrainSettings,
        started: float,
        report: Reporter,
        use_tf_data: bool,
        watch: Callable[[int, dict[str, float]], None] | None,
    ):
        self.network, self.feeder, self.validate = network, feeder, validate
        self.settings, self.started, self.report = settings, started, report
        self.use_tf_data, self.watch = use_tf_data, watch
        self.trainee = Trainee(network, batch=feeder.batch if feeder.carries_state else None)
        self.trainee.compile(
            optimizer=keras.optimizers.AdamW(
                settings.learning_rate,
                weight_decay=settings.weight_decay,
                global_clipnorm=settings.clip,
            ),
            # Measured: XLA makes TensorFlow's LSTM loop no faster on a CPU, and keeps it from
            # cuDNN on a GPU. JAX knows no other way.
            jit_compile=keras.backend.backend() == "jax",
        )
        self.history = History()
        self.best: dict[str, np.ndarray] | None = None
        self.windows = feeder.windows
        self.step = 0
        self.since_best = 0
        self.losses: list[float] = []
        self.last_check = time.monotonic()
        self.check_seconds = 0.0

    def run(self) -> History:
        """Trains to the end of the budget."""
        try:
            while self.settings.epochs is None or self.history.epochs < self.settings.epochs:
                self._epoch(int(self.history.epochs))
            self._check(last=True)
        except _Stop as stop:
            self.history.stopped = str(stop)
        except KeyboardInterrupt:
            if self.best is None:
                raise
            self.history.stopped = "interrupted"
        if self.best is not None:
            self.network.assign_arrays(self.best)
        self.history.seconds = time.monotonic() - self.started
        return self.history

    def _epoch(self, epoch: int) -> None:
        self.trainee.forget()
        feed = self.feeder.tf_data(epoch) if self.use_tf_data else self.feeder.batches(epoch)
        for i, (inputs, targets, weights) in enumerate(feed):
            self._train(inputs, targets, weights)
            self.history.epochs = epoch + (i + 1) / self.windows
            if self._time_is_up():
                self._check(last=True)
                raise _Stop("minutes")
            if self.settings.minutes is not None and self._check_is_due(i + 1 == self.windows):
                self._check()
        self.history.epochs = epoch + 1
        if self.settings.minutes is None:
            self._check()

    def _train(self, inputs: Any, targets: Any, weights: Any) -> None:
        before = time.monotonic()
        share = self._share()
        self.trainee.optimizer.learning_rate = self.settings.learning_rate * _rate(share)
        self.trainee.reset_metrics()
        loss = float(self.trainee.train_on_batch(inputs, targets, weights))
        if not math.isfinite(loss):
            self._diverged()
        self.step += 1
        self.losses.append(loss)
        words = int(np.sum(np.asarray(weights)))
        self.history.words += words
        rate = words / (time.monotonic() - before)
        self.report.progress(share, loss=float(np.mean(self.losses[-50:])), rate=rate)

    def _diverged(self) -> NoReturn:
        if self.best is None:
            raise TextmillError(
                "training diverged: the loss is not a number. Give a lower --learning-rate "
                f"(it was {self.settings.learning_rate:g})"
            )
        self.report.message("training diverged; the best weights so far are kept")
        raise _Stop("diverged")

    def _check(self, *, last: bool = False) -> None:
        """Validates, keeps the weights if they are the best, stops when patience is over."""
        if not self.losses:
            return
        before = time.monotonic()
        perplexity = self.validate()
        self.check_seconds = time.monotonic() - before
        if not math.isfinite(perplexity):
            self._diverged()
        best = perplexity < self.history.best_perplexity
        if best:
            self.history.best_perplexity = perplexity
            self.best = self.network.arrays()
        self.since_best = 0 if best else self.since_best + 1
        train_perplexity = math.exp(min(float(np.mean(self.losses)), 700.0))
        self.losses = []
        row = {
            "epoch": round(self.history.epochs, 3),
            "seconds": round(time.monotonic() - self.started, 1),
            "train_perplexity": round(train_perplexity, 3),
            "valid_perplexity": round(perplexity, 3),
        }
        self.history.validations.append(row)
        self.report.validated(self.history.epochs, perplexity=perplexity, best=best)
        if self.watch is not None:
            self.watch(self.step, row)
        self.last_check = time.monotonic()
        if not last and self.since_best >= self.settings.patience:
            raise _Stop("patience")

    def _elapsed_share(self) -> float:
        if self.settings.minutes is None:
            return 0.0
        return (time.monotonic() - self.started) / (self.settings.minutes * 60)

    def _share(self) -> float:
        """Share of the training that is done, by time or by epochs, whichever is further on."""
        by_epochs = 0.0
        if self.settings.epochs is not None:
            by_epochs = self.step / (self.settings.epochs * self.windows)
        return min(1.0, max(self._elapsed_share(), by_epochs))

    def _seconds_left(self) -> float:
        assert self.settings.minutes is not None
        return self.settings.minutes * 60 - (time.monotonic() - self.started)

    def _time_is_up(self) -> bool:
        # The last validation belongs to the budget.
        return self.settings.minutes is not None and self._seconds_left() < (
            1.5 * self.check_seconds + 0.5
        )

    def _check_is_due(self, epoch_ends: bool) -> bool:
        """At an epoch's end or after a tenth of the budget, if it takes little of the time."""
        assert self.settings.minutes is not None
        waited = time.monotonic() - self.last_check
        return (
            (epoch_ends or waited > self.settings.minutes * 6)
            and self.check_seconds < waited * _VALIDATION_SHARE
            and self._seconds_left() > 4 * self.check_seconds
        )


def _rate(share: float) -> float:
    """The learning rate over its peak: linear warm-up, then a cosine to nearly zero."""
    if share < _WARM_UP:
        return max(share / _WARM_UP, 0.05)
    rest = (share - _WARM_UP) / (1 - _WARM_UP)
    return _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * rest))
