"""Shows progress on the standard error, and tables on the standard output."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median_high
from typing import Any, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from textmill.model.visible import visible

_LOG_SECONDS = 30.0  # seconds between two lines, if there is no terminal


def stderr() -> Console:
    """The standard error as it is now (tests replace it)."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def stdout() -> Console:
    """The standard output as it is now."""
    width = None if sys.stdout.isatty() else 100
    return Console(highlight=False, width=width)


def say(console: Console, text: str) -> None:
    """Prints a line as it was typed: no markup, no emoji, control characters as escapes."""
    console.print(_typed(text))


def _typed(text: object) -> Text:
    return Text(visible(text))


def table(title: str, rows: Iterable[Sequence[Any]], *, head: Sequence[str] = ()) -> None:
    """Prints a table, with each text as it was typed.

    Args:
        title: the title of the table.
        rows: the rows; without a header they have two cells.
        head: names of the columns; all but the first then hold figures.
    """
    drawn = Table(show_header=bool(head))
    for number, name in enumerate(head or ("", "")):
        side: Literal["left", "right"] = "right" if head and number else "left"
        drawn.add_column(_typed(name), justify=side, overflow="fold")
    for row in rows:
        drawn.add_row(*map(_typed, row))
    screen = stdout()
    # As the table's own title it would be folded to the table's width.
    screen.print(_typed(title), style="italic", soft_wrap=True)
    screen.print(drawn)


class TrainingReport:
    """A `Reporter` that draws a bar in a terminal and writes lines elsewhere."""

    def __init__(self, *, quiet: bool = False):
        self._console, self._quiet = stderr(), quiet
        self._bar: Progress | None = None
        self._rates: list[float] = []
        self._validation = ""

    @contextmanager
    def running(self) -> Iterator[TrainingReport]:
        """Shows the bar while training goes on."""
        try:
            yield self
        finally:
            self.pause()

    def pause(self) -> None:
        """Ends the bar; the next training gets a new one."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def message(self, text: str) -> None:
        if not self._quiet:
            say(self._console, text)

    def progress(self, share: float, *, loss: float, rate: float) -> None:
        self._rates = [*self._rates[-99:], rate]
        if self._quiet or not self._console.is_terminal:
            return
        if self._bar is None:
            self._bar = Progress(
                "training", BarColumn(), "{task.description}", TimeElapsedColumn(), "left",
                TimeRemainingColumn(), console=self._console,
            )  # fmt: skip
            self._bar.start()
            self._bar.add_task("", total=1.0)
        perplexity = math.exp(min(loss, 700.0))
        self._bar.update(
            self._bar.task_ids[0],
            completed=share,
            description=f"loss {loss:.3f}  perplexity {perplexity:.1f}{self._validation}"
            f"  {median_high(self._rates):,.0f} words/s",
        )

    def validated(self, epoch: float, *, perplexity: float, best: bool) -> None:
        self._validation = f"  validation {perplexity:.1f}"
        words = median_high(self._rates) if self._rates else 0
        self.message(
            f"epoch {epoch:5.1f}  validation perplexity {perplexity:8.2f}{' *' if best else '  '}"
            f"  {words:,.0f} words/s"
        )


@contextmanager
def generation_progress(*, quiet: bool) -> Iterator[Any]:
    """Gives a function (counts, rows) that draws a bar in a terminal, writes lines elsewhere."""
    if quiet:
        yield None
        return
    console = stderr()
    bar = Progress(
        "generating", BarColumn(), MofNCompleteColumn(), "prompts", "{task.description}",
        TimeElapsedColumn(), "left", TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    )  # fmt: skip
    told = _Told(console, bar)
    try:
        yield told
    finally:
        told.stop()


class _Told:
    """Tells how far a run is: on the bar, or in a line every `_LOG_SECONDS`.

    The bar is seen, and its time counts, from the first call to the run's end: before and after it
    there may be a training, which has a bar of its own.
    """

    def __init__(self, console: Console, bar: Progress):
        self._console, self._bar = console, bar
        self._task: TaskID | None = None  # none while nothing runs
        self._over: tuple[int, int] | None = None  # prompts done and rows of the run that has ended

    def __call__(self, counts: Any, rows: int) -> None:
        done, now = counts.prompts + counts.rejected, time.monotonic()
        if (done, rows) == self._over:
            return
        if self._task is None:
            self._over = None
            self._started = self._last = now
            self._first = done, counts.words  # of a run before this one
            self._task = self._bar.add_task("", total=None)
            if self._console.is_terminal:
                self._bar.start()
        rate = (counts.words - self._first[1]) / max(now - self._started, 1e-3)
        words = f"{counts.samples:,} texts  {rate:,.0f} words/s  {counts.rejected:,} rejected"
        self._bar.update(self._task, completed=done, total=rows, description=words)
        if done >= rows:
            self.stop()
            self._bar.remove_task(self._task)
            self._task, self._over = None, (done, rows)
        elif not self._console.is_terminal and now - self._last >= _LOG_SECONDS:
            self._last, new = now, done - self._first[0]
            left = (now - self._started) * (rows - done) / new if new else math.inf
            ahead = f"{left:,.0f} s left" if math.isfinite(left) else "time left unknown"
            self._console.print(f"generating: {done:,}/{rows:,} prompts  {words}  {ahead}")

    def stop(self) -> None:
        """Leaves the bar as it is now."""
        if self._bar.live.is_started:
            self._bar.stop()
