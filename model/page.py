"""training.html: how a training went, as one page that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 44  # margins, in the units of the view box
_MOST_DECADES = 8
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --page: #fff; --faint: #6b6b76; --line: #d9d9e0;
  --train: #b45309; --valid: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ee; --page: #17171b; --faint: #a0a0ad;
  --line: #3a3a44; --train: #f0a35e; --valid: #8ab0ff; } }
body { margin: 2rem auto; max-width: 48rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--page); }
h2 { margin-top: 2.5rem; font-size: 1.2rem; }
figure { margin: 1.5rem 0; } figcaption, .faint { color: var(--faint); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink); }
.grid { stroke: var(--line); } .curve { fill: none; stroke-width: 2; }
.train { stroke: var(--train); stroke-dasharray: 6 4; } .valid { stroke: var(--valid); }
circle.train { fill: var(--train); stroke: none; } circle.valid { fill: var(--valid); }
.best { fill: none; stroke: var(--ink); stroke-width: 2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
.numbers th, .numbers td { text-align: right; }
blockquote { margin: .5rem 0 1rem; padding-left: 1rem; border-left: 3px solid var(--line);
  white-space: pre-wrap; overflow-wrap: anywhere; }
"""


def training_page(training: dict[str, Any], title: str) -> str:
    """The page of a training.

    Curves with a table of the same numbers, samples, figures and settings, without scripts and
    without anything from elsewhere. What is not a finite number has no point in a curve and stands
    in the table as it is.

    Args:
        training: as `SavedModel.training`; any key may be absent. `history` holds a dict for each
            validation, `samples` dicts of `epoch`, `temperature` and `text`.
        title: of the page.
    """
    history = training.get("history") or []
    about = {key: training[key] for key in ("corpus", "versions", "machine") if key in training}
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{_curves(history)}
{_history_table(history)}
{_samples(training.get("samples") or [])}
{_facts("Figures", training.get("metrics"))}
{_facts("Settings", training.get("settings"))}
{_facts("Corpus and versions", about)}
</main>
</body>
</html>
"""


# -- curves ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Curve:
    """A column of the history: its key, its name for people, its class in the style."""

    key: str
    name: str
    style: str


_PERPLEXITIES = (
    _Curve("train_perplexity", "training", "train"),
    _Curve("valid_perplexity", "validation", "valid"),
)
_RATE = (_Curve("learning_rate", "learning rate", "valid"),)


def _curves(history: Sequence[dict[str, Any]]) -> str:
    if not history:
        return '<p class="faint">There was no validation, so there are no curves.</p>'
    figures = [
        _figure(history, _PERPLEXITIES, over="epoch", name="Perplexity over epochs", log=True),
        _figure(history, _PERPLEXITIES, over="seconds", name="Perplexity over seconds", log=True),
    ]
    if any("learning_rate" in row for row in history):
        figures.append(_figure(history, _RATE, over="epoch", name="Learning rate over epochs"))
    return "\n".join(figures)


def _figure(
    history: Sequence[dict[str, Any]],
    curves: Sequence[_Curve],
    *,
    over: str,
    name: str,
    log: bool = False,
) -> str:
    """A line chart; a row without the number in question breaks its line."""
    xs = [_number(row.get(over)) for row in history]
    columns = {curve: [_number(row.get(curve.key), log) for row in history] for curve in curves}
    points = {
        curve: [None if x is None or y is None else (x, y) for x, y in zip(xs, ys, strict=True)]
        for curve, ys in columns.items()
    }
    shown = [point for column in points.values() for point in column if point is not None]
    if not shown:
        return f'<p class="faint">{name}: there is no number to show.</p>'
    across = _Axis.of([x for x, _ in shown], _LEFT, _WIDTH - _RIGHT)
    up = _Axis.of([y for _, y in shown], _HEIGHT - _BOTTOM, _TOP, log=log)
    drawn = [_line(curve, points[curve], across, up, over=over) for curve in curves]
    said = [_said(curve, [y for y in columns[curve] if y is not None]) for curve in curves]
    best = [point for curve in curves if curve.key == "valid_perplexity" for point in points[curve]]
    marked = min((point for point in best if point is not None), key=lambda p: p[1], default=None)
    if marked is not None:
        x, y = across(marked[0]), up(marked[1])
        drawn.append(f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
        said.append(f"The best validation is {marked[1]:.6g}, at {over} {marked[0]:.6g}.")
    ident = f"{over}-{curves[0].key}"
    legend = ", ".join(
        f"{curve.name} ({'dashed' if curve.style == 'train' else 'solid'})" for curve in curves
    )
    ring = "; the ring marks the best" if marked is not None else ""
    return f"""<figure>
<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{ident}-title {ident}-desc">
<title id="{ident}-title">{name}</title>
<desc id="{ident}-desc">{" ".join(said)}</desc>
{_grid(across, up, over)}
{chr(10).join(drawn)}
</svg>
<figcaption>{name}{", log scale" if log else ""}: {legend}{ring}.</figcaption>
</figure>"""


def _number(value: Any, positive: bool = False) -> float | None:
    """The value where it can be drawn, on a log scale if it must be positive."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return None if positive and value <= 0 else float(value)


@dataclass(frozen=True)
class _Axis:
    """Where a number from `low` to `high` lies between the coordinates `start` and `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float, *, log: bool = False) -> _Axis:
        low, high = min(values), max(values)
        if low == high:  # one value lies in the middle
            low, high = (
                (low / 2, high * 2) if log else (low - (abs(low) or 1), high + (abs(high) or 1))
            )
        return cls(low, high, start, end, log)

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Round numbers on the axis."""
        if self.log and self.high / self.low >= 10:
            first, last = math.floor(math.log10(self.low)), math.floor(math.log10(self.high))
            every = -(-(last - first + 1) // _MOST_DECADES)
            steps = (1, 2, 5) if last - first < 3 else (1,)
            found = [m * 10.0**k for k in range(first, last + 1, every) for m in steps]
        else:
            rough = (self.high - self.low) / 5
            power = 10.0 ** math.floor(math.log10(rough))
            step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
            first = math.ceil(self.low / step)
            found = [i * step for i in range(first, math.floor(self.high / step) + 1)]
        return [tick for tick in found if self.low <= tick <= self.high]


def _grid(across: _Axis, up: _Axis, over: str) -> str:
    lines = []
    for tick in up.ticks():
        y = f"{up(tick):.1f}"
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        lines.append(f'<text x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">{_tick(tick)}</text>')
    for tick in across.ticks():
        lines.append(
            f'<text x="{across(tick):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">'
            f"{_tick(tick)}</text>"
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    lines.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{over}</text>')
    return "\n".join(lines)


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e6 else f"{value:.4g}"


def _line(
    curve: _Curve,
    points: Sequence[tuple[float, float] | None],
    across: _Axis,
    up: _Axis,
    *,
    over: str,
) -> str:
    drawn = []
    for run in _runs(points):
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in run)
        drawn.append(f'<polyline class="curve {curve.style}" points="{path}"/>')
        for x, y in run:
            drawn.append(
                f'<circle class="{curve.style}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="3">'
                f"<title>{curve.name} {y:.6g} at {over} {x:.6g}</title></circle>"
            )
    return "\n".join(drawn)


def _runs(
    points: Sequence[tuple[float, float] | None],
) -> Iterator[list[tuple[float, float]]]:
    """The stretches between the points that are missing."""
    run: list[tuple[float, float]] = []
    for point in (*points, None):
        if point is not None:
            run.append(point)
        elif run:
            yield run
            run = []


def _said(curve: _Curve, values: Sequence[float]) -> str:
    if not values:
        return f"There is no number for {curve.name}."
    name = curve.name.capitalize()
    return f"{name} goes from {values[0]:.6g} to {values[-1]:.6g}, {len(values)} points."


# -- tables and texts ------------------------------------------------------------------------------


def _history_table(history: Sequence[dict[str, Any]]) -> str:
    if not history:
        return ""
    keys = list(dict.fromkeys(key for row in history for key in row))
    head = "".join(f'<th scope="col">{_name(key)}</th>' for key in keys)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{_value(row.get(key, ''))}</td>" for key in keys) + "</tr>"
        for row in history
    )
    return f"""<div class="scroll"><table class="numbers">
<caption>Each validation</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table></div>"""


def _samples(samples: Sequence[dict[str, Any]]) -> str:
    if not samples:
        return ""
    texts = "\n".join(
        f'<p class="faint">epoch {_value(sample.get("epoch", ""))}, '
        f"temperature {_value(sample.get('temperature', ''))}</p>\n"
        f"<blockquote>{_value(sample.get('text', ''))}</blockquote>"
        for sample in samples
    )
    return f"<h2>Samples</h2>\n{texts}"


def _facts(name: str, value: Any) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{_name(key)}</th><td>{_value(leaf)}</td></tr>'
        for key, leaf in _leaves(value)
    )
    return f"<h2>{name}</h2>\n<table>\n{rows}\n</table>" if rows else ""


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The plain values in dicts and lists, each with the path to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}, {key}" if prefix else str(key))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(inner, f"{prefix} {number}")
    elif prefix:
        yield prefix, value


def _name(key: Any) -> str:
    return escape(str(key).replace("_", " "))


def _value(value: Any) -> str:
    """A value as text: short numbers, None as a dash."""
    if value is None:
        return "–"
    return escape(f"{value:.7g}" if isinstance(value, float) else str(value))
