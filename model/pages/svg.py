"""Line charts as SVG, for pages without scripts; colours and dashes are the style sheet's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from textmill.model.pages.escaping import escape

Point = tuple[float, float]

_MOST_DECADES = 8
# Around (0, 0), of about the size of a circle of radius 1.
_MARKERS = {
    "square": "M-.9-.9H.9V.9H-.9Z",
    "triangle": "M0-1.2L1.1.8H-1.1Z",
    "diamond": "M0-1.3L1.3 0L0 1.3L-1.3 0Z",
    "cross": "M-1.2-.4H-.4V-1.2H.4V-.4H1.2V.4H.4V1.2H-.4V.4H-1.2Z",
}
MARKERS = ("circle", *_MARKERS)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line of a chart.

    Attributes:
        name: for people, not escaped yet.
        style: its class in the style sheet.
        points: in order; None breaks the line.
        marker: one of `MARKERS` at each point, or None for a bare line.
    """

    name: str
    style: str
    points: Sequence[Point | None]
    marker: str | None = "circle"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A line chart.

    Attributes:
        ident: unique on the page.
        name: for people.
        over: the name of the axis across.
        curves: to draw.
        said: what someone who does not see it is told.
        width, height: of the whole, in units of the view box.
        left, right, top, bottom: margins around the curves.
        log_x, log_y: scales; all values must be positive there.
        rings: points to ring.
        from_zero: the upright axis goes from 0 to a round number.
        percent: the upright axis is of shares.
        ticks_x: where the axis across has numbers; None means at round ones.
    """

    ident: str
    name: str
    over: str
    curves: Sequence[Curve]
    said: str
    width: int = 640
    height: int = 300
    left: int = 64
    right: int = 16
    top: int = 12
    bottom: int = 44
    log_x: bool = False
    log_y: bool = False
    rings: Sequence[Point] = ()
    from_zero: bool = False
    percent: bool = False
    ticks_x: Sequence[float] | None = None

    def svg(self) -> str | None:
        """The picture, or None where there is no point."""
        shown = [p for curve in self.curves for p in curve.points if p is not None]
        if not shown:
            return None
        ys = [y for _, y in shown]
        if self.from_zero:
            ys = [0.0, _round_up(max(ys)) if max(ys) > 0 else 0.01]
        right, bottom = self.width - self.right, self.height - self.bottom
        across = Axis([x for x, _ in shown], self.left, right, log=self.log_x)
        up = Axis(ys, bottom, self.top, log=self.log_y)
        drawn = [self._line(curve, across, up) for curve in self.curves]
        drawn += [
            f'<circle class="best" cx="{across(x):.1f}" cy="{up(y):.1f}" r="7"/>'
            for x, y in self.rings
        ]
        ident = escape(self.ident)
        return f"""<svg viewBox="0 0 {self.width} {self.height}" role="img" \
aria-labelledby="{ident}-title {ident}-desc">
<title id="{ident}-title">{escape(self.name)}</title>
<desc id="{ident}-desc">{escape(self.said)}</desc>
{self._grid(across, up)}
{chr(10).join(drawn)}
</svg>"""

    def _grid(self, across: Axis, up: Axis) -> str:
        lines, right = [], self.width - self.right
        for tick in up.ticks():
            y, label = f"{up(tick):.1f}", f"{100 * tick:.4g}%" if self.percent else _tick(tick)
            lines.append(f'<line class="grid" x1="{self.left}" x2="{right}" y1="{y}" y2="{y}"/>')
            lines.append(
                f'<text x="{self.left - 8}" y="{y}" dy="4" text-anchor="end">{label}</text>'
            )
        ticks = across.ticks() if self.ticks_x is None else self.ticks_x
        under = self.height - self.bottom + 18
        below = [(f"{across(tick):.1f}", under, _tick(tick)) for tick in ticks]
        below.append((f"{(self.left + right) / 2}", self.height - 6, escape(self.over)))
        for x, at, name in below:
            lines.append(f'<text x="{x}" y="{at}" text-anchor="middle">{name}</text>')
        return "\n".join(lines)

    def _line(self, curve: Curve, across: Axis, up: Axis) -> str:
        drawn = []
        for run in _runs(curve.points):
            path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in run)
            drawn.append(f'<polyline class="curve {curve.style}" points="{path}"/>')
            for x, y in run if curve.marker is not None else ():
                told = f"{curve.name} {y:.6g} at {self.over} {x:.6g}"
                drawn.append(_marker(curve, across(x), up(y), told))
        return "\n".join(drawn)


def swatch(style: str, marker: str | None) -> str:
    """A piece of a line, for a legend of text; of no use to those who hear the page."""
    drawn = Curve(name="", style=style, points=(), marker=marker)
    mark = "" if marker is None else _marker(drawn, 16, 6, "")
    return (
        '<svg class="swatch" viewBox="0 0 32 12" aria-hidden="true">'
        f'<polyline class="curve {style}" points="1,6 31,6"/>{mark}</svg>'
    )


def _round_up(value: float) -> float:
    """The next multiple of the step that an axis up to here has."""
    step = _step(value)
    return step * math.ceil(value / step - 1e-9)


def _step(span: float) -> float:
    """Of round numbers, some five to a span."""
    power = 10.0 ** math.floor(math.log10(span / 5))
    return power * next(m for m in (1, 2, 5, 10) if m * power >= span / 5 * 0.999)


def number(value: Any, positive: bool = False) -> float | None:
    """The value where it can be drawn, on a log scale if it must be positive."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return None if positive and value <= 0 else float(value)


class Axis:
    """Where numbers between the least and the largest of `values` lie from `start` to `end`."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, log: bool = False):
        self.start, self.end, self.log = start, end, log
        self.low, self.high = low, high = min(values), max(values)
        if low == high:  # one value lies in the middle
            self.low = low / 2 if log else low - (abs(low) or 1)
            self.high = high * 2 if log else high + (abs(high) or 1)

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
            step = _step(self.high - self.low)
            first = math.ceil(self.low / step)
            found = [i * step for i in range(first, math.floor(self.high / step) + 1)]
        return [tick for tick in found if self.low <= tick <= self.high]


def _marker(curve: Curve, x: float, y: float, told: str) -> str:
    title = f"<title>{escape(told)}</title>"
    if curve.marker == "circle":
        return f'<circle class="{curve.style}" cx="{x:.1f}" cy="{y:.1f}" r="3">{title}</circle>'
    place = f'transform="translate({x:.1f} {y:.1f}) scale(3.4)"'
    path = _MARKERS[str(curve.marker)]
    return f'<path class="mark {curve.style}" d="{path}" {place}>{title}</path>'


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e6 else f"{value:.4g}"


def _runs(points: Sequence[Point | None]) -> Iterator[list[Point]]:
    """The stretches between the points that are missing."""
    for there, run in groupby(points, key=lambda point: point is not None):
        if there:
            yield [point for point in run if point is not None]
