"""How long a training takes: planned when an epoch's time is known, and told while it runs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.language import say

POINTS = 8  # of a curve, at least, if the time is limited
SECONDS_BETWEEN = {"notebook": 0.5, "terminal": 0.25, "file": 30.0}


@dataclass(frozen=True)
class Plan:
    """What a training will take, as far as its first steps tell.

    Args:
        epoch: seconds that an epoch takes, about.
        seconds: seconds that the training takes, about.
        epochs: number of epochs in this time, about.
        because: what ends it, in words.
        parts: points of the curves in an epoch.
        by_epochs: a number of epochs ends it, so that `seconds` is an estimate.
    """

    epoch: float
    seconds: float
    epochs: float
    because: str
    parts: int
    by_epochs: bool = False

    def __str__(self) -> str:
        count = f"{self.epochs:.1f}" if self.epochs < 10 else f"{self.epochs:.0f}"
        return say(
            f"an epoch takes about {self.epoch:,.1f} s; training takes about "
            f"{self.seconds:,.0f} s: about {count} epochs ({self.because})"
        )


def plan(
    epoch: float, *, epochs: int | None, seconds: float | None, least: int, limit: float | None
) -> Plan:
    """Plans a training.

    Args:
        epoch: seconds that an epoch takes.
        epochs: the training ends after this number of epochs.
        seconds: it ends after this time, but not before `least` epochs.
        least: number of epochs for which `seconds` may be exceeded.
        limit: seconds after which it ends in any case.
    """
    ends: list[tuple[float, str, bool]] = []
    if epochs is not None:
        ends.append((epochs * epoch, f"{epochs} epochs were asked for", True))
    if seconds is not None and least * epoch > seconds:
        why = f"{round(seconds, 1):g} s were asked for, but {least} epochs at least"
        ends.append((least * epoch, why, True))
    elif seconds is not None:
        ends.append((seconds, f"{round(seconds, 1):g} s were asked for", False))
    ends = ends and [min(ends)]
    if limit is not None and all(limit < end for end, *_ in ends):
        wanted = "".join(f"{why}, so {end:,.0f} s; " for end, why, _ in ends)
        ends.append((limit, f"{wanted}the limit of {round(limit, 1):g} s ends it", False))
    if not ends:
        raise ValueError("say when the training ends: epochs, seconds or limit")
    total, because, by_epochs = min(ends)
    count = total / epoch if epoch > 0 else 1.0
    parts = 1 if epochs is not None else max(1, math.ceil(POINTS / max(count, 1e-3)))
    return Plan(epoch, total, count, because, parts, by_epochs)


@dataclass(frozen=True)
class Point:
    """A point of the curves; perplexities.

    Args:
        epochs: passes over the text so far; 1.5 is in the middle of the second.
        seconds: of training so far, without what measuring took.
        training: of the words since the point before, while the weights changed, with the model's
            dropout on.
        plain: of words of the training text after that, with dropout off.
        validation: of the validation text after that, with dropout off.
    """

    epochs: float
    seconds: float
    training: float
    plain: float | None = None
    validation: float | None = None

    def __str__(self) -> str:
        said = (
            f"epoch {self.epochs:5.1f}  {self.seconds:5.0f} s  perplexity: "
            f"training {self.training:.1f}"
        )
        if self.plain is not None:
            said += f", without dropout {self.plain:.1f}"
        if self.validation is not None:
            said += f", validation {self.validation:.1f}"
        return say(said)


class Silence:
    """Tells nothing."""

    def begins(self) -> None:
        """Training begins; the first step is compiled."""

    def planned(self, plan: Plan) -> None:
        """The first steps have told how long an epoch takes."""

    def step(self, *, epochs: float, seconds: float, perplexity: float) -> None:
        """A step is done; `perplexity` is that of its words."""

    def point(self, point: Point) -> None:
        """A point of the curves is measured."""

    def ends(self, *, epochs: float, seconds: float, kept: Point | None) -> None:
        """Training has ended; the model has the weights of the point `kept`."""


def where() -> str:
    """Says where the output goes: "notebook", "terminal" or "file"."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel"):
        return "notebook"
    return "terminal" if sys.stdout.isatty() else "file"


class Progress(Silence):
    """Tells the plan, the points, and between them one line that is overwritten.

    Where a line cannot be overwritten, there is one every half minute.

    Args:
        place: "notebook", "terminal" or "file"; None looks where this is.
        clock: gives seconds.
    """

    def __init__(
        self, *, place: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.place = where() if place is None else place
        self.clock = clock
        self.plan: Plan | None = None
        self.last = clock()
        self.handle: Any = None
        self.width = 0

    def begins(self) -> None:
        """Says it at once, as compiling takes seconds."""
        print(say("compiling the network, then a few steps to see how long an epoch takes ..."))
        sys.stdout.flush()

    def planned(self, plan: Plan) -> None:
        """Tells how long it will take."""
        self.plan = plan
        print(plan, flush=True)

    def step(self, *, epochs: float, seconds: float, perplexity: float) -> None:
        """Overwrites the line, if the last one is old enough."""
        if self.plan is None or self.clock() - self.last < SECONDS_BETWEEN[self.place]:
            return
        self.last = self.clock()
        done, whole = (
            (epochs, self.plan.epochs) if self.plan.by_epochs else (seconds, self.plan.seconds)
        )
        share = min(1.0, done / whole) if whole > 0 else 1.0
        bar, total = "#" * round(20 * share), seconds / max(share, 1e-9)
        self._line(
            say(
                f"[{bar:<20}] {seconds:,.0f} of {total:,.0f} s, epoch {int(epochs) + 1}: "
                f"{epochs % 1:.0%}, perplexity {perplexity:.1f}"
            )
        )

    def point(self, point: Point) -> None:
        """Tells a point in a line that stays."""
        self._clear()
        print(point, flush=True)

    def ends(self, *, epochs: float, seconds: float, kept: Point | None) -> None:
        """Tells what it took, and from when the weights are, if not from the end."""
        self._clear()
        print(say(f"trained {seconds:,.1f} s, {epochs:.2f} epochs"))
        if kept is not None and kept.epochs < epochs:
            print(
                say(
                    f"the validation text was easiest to foretell after epoch {kept.epochs:.1f}: "
                    f"the network has the weights of then"
                )
            )
        sys.stdout.flush()

    def _line(self, text: str) -> None:
        if self.place == "notebook":
            from IPython.display import display

            data = {"text/plain": text}
            if self.handle is None:
                self.handle = display(data, raw=True, display_id=True)
            else:
                self.handle.update(data, raw=True)
        elif self.place == "terminal":
            sys.stdout.write("\r" + text.ljust(self.width))
            sys.stdout.flush()
            self.width = len(text)
        else:
            print(text, flush=True)

    def _clear(self) -> None:
        if self.place == "notebook" and self.handle is not None:
            self.handle.update({"text/plain": ""}, raw=True)
        elif self.place == "terminal" and self.width:
            sys.stdout.write("\r" + " " * self.width + "\r")
            self.width = 0
