"""The pictures of a report: figures over temperature, distributions, gains."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textmill.model.pages.escaping import escape
from textmill.model.pages.svg import MARKERS, Axis, Chart, Curve, Point, number, swatch
from textmill.pipeline.augment.gain import Gain
from textmill.pipeline.report.figures import Figures, GroupFigures, Points, RealText, Report

_SMALL: dict[str, Any] = {"width": 380, "height": 250, "left": 52, "right": 14, "bottom": 42}
_MOST_SHAPES = 4  # temperatures in one picture beside real text
_SHARE, _RATIO = ".1%", ".3f"


@dataclass(frozen=True)
class Measure:
    """One of `Figures` for people.

    Attributes:
        name: what it is called; the field is called like that in the code.
        meaning: what it is.
        form: a format of Python; None means three digits.
    """

    name: str
    meaning: str
    form: str | None = None

    @property
    def ident(self) -> str:
        """Name of the field, and of the picture."""
        return self.name.lower().replace("-", "_").replace(" ", "_")

    def of(self, figures: Figures) -> float | None:
        """The value."""
        return getattr(figures, self.ident)

    def told(self, value: float | None) -> str:
        """A value as text."""
        if value is None:
            return "–"
        if self.form is not None:
            return f"{value:{self.form}}"
        if isinstance(value, int) or value >= 100:
            return f"{value:,.0f}"
        return f"{value:#.3g}".rstrip(".")


# In the order of the table.
MEASURES = (
    Measure("perplexity", "of the drawn words under the model itself"),
    Measure("distinct-1", "different words over all words", _RATIO),
    Measure("distinct-2", "different pairs of words over all pairs", _RATIO),
    Measure("distinct-3", "different runs of three words over all of them", _RATIO),
    Measure("self-BLEU", "how much a text is like the others; lower is more diverse", _SHARE),
    Measure("repetition", "share of a text's runs of four words that stood in it before", _SHARE),
    Measure("copied", "share of the words that lie in runs which the corpus has, too", _SHARE),
    Measure("texts with copies", "share of the texts that hold such a run", _SHARE),
    Measure("longest copy", "words"),
    Measure("mean length", "words of a whole text, its prompt included"),
    Measure("cut", "share of the texts that ended at the limit of words", _SHARE),
)
_BY_NAME = {measure.name: measure for measure in MEASURES}


def measured_rows(found: Report) -> tuple[list[str], list[list[str]]]:
    """The figures for people: a header, and a row for each measure."""
    columns = [(group.name, group.figures) for group in found.groups]
    if found.real is not None:
        columns.append((found.real.name, found.real.figures))
    rows = []
    for measure in MEASURES:
        values = [measure.of(figures) for _, figures in columns]
        if any(value is not None for value in values):
            rows.append([measure.name, *map(measure.told, values)])
    return ["", *(name for name, _ in columns)], rows


def temperature_charts(found: Report) -> Iterator[str]:
    """Of the measures that were measured."""
    distinct = {name: name for name in ("distinct-1", "distinct-2", "distinct-3")}
    copied = f"Copied in runs of {found.measured.copied_words} or more words"
    charts = (
        _chart(found, "Perplexity", {"perplexity": "perplexity"}, log=True),
        _chart(found, "Distinct words and runs of words", distinct),
        _chart(found, "Self-BLEU: how alike the texts are", {"self-BLEU": "self-BLEU"}),
        _chart(found, "Repetition inside a text", {"repetition": "repetition"}),
        _chart(found, copied, {"copied": "words", "texts with copies": "texts"}),
        _chart(found, "Mean length in words, prompt included", {"mean length": "length"}),
    )
    yield from filter(None, charts)


def _chart(found: Report, name: str, labels: Mapping[str, str], *, log: bool = False) -> str | None:
    """One small picture; real text, where it was measured, is a level line across.

    Args:
        labels: of the curves, by the name of the measure.
    """
    over = [(g.temperature, g.figures) for g in found.groups if g.temperature is not None]
    measures = [_BY_NAME[called] for called in labels]
    drawn = [
        (measure, Curve(
            name=label, style=f"s{i}", marker=MARKERS[i],
            points=[_point(x, measure.of(figures), log=log) for x, figures in over],
        ))
        for i, (measure, label) in enumerate(zip(measures, labels.values(), strict=True))
    ]  # fmt: skip
    drawn = [(measure, curve) for measure, curve in drawn if any(curve.points)]
    if found.real is not None and len(drawn) == 1:
        value = measures[0].of(found.real.figures)
        level = [_point(x, value, log=log) for x, _ in (over[0], over[-1])]
        curve = Curve(name=found.real.name, style="real", points=level, marker=None)
        drawn += [(measures[0], curve)] if any(level) else []
    return _captioned(
        Chart(
            ident=measures[0].ident, name=f"{name} over temperature", over="temperature",
            curves=[curve for _, curve in drawn], said=" ".join(_said(*one) for one in drawn),
            **_SMALL, log_y=log, from_zero=not log, percent=measures[0].form == _SHARE,
            ticks_x=_ticks([x for x, _ in over]),
        ),
        f"<b>{escape(name)}</b>{', log scale' if log else ''}",
    )  # fmt: skip


def _point(x: float, value: float | None, *, log: bool) -> Point | None:
    y = number(value, log)
    return None if y is None else (x, y)


def _said(measure: Measure, curve: Curve) -> str:
    """What the curve is like in words."""
    known = [point for point in curve.points if point is not None]
    (start, first), (end, last) = known[0], known[-1]
    if curve.style == "real":
        return f"The {curve.name}: {measure.told(first)}."
    ends = f"from {measure.told(first)} at {start:g} to {measure.told(last)} at {end:g}"
    return f"{curve.name} goes {ends}."


def _ticks(temperatures: Sequence[float]) -> list[float] | None:
    """Those there are, if they have room on the axis."""
    span = temperatures[-1] - temperatures[0]
    close = any(b - a < span / 12 for a, b in itertools.pairwise(temperatures))
    return None if close else list(temperatures)


def _captioned(chart: Chart, caption: str) -> str | None:
    svg = chart.svg()
    if svg is None:
        return None
    legend = "".join(
        f'<span class="key">{swatch(curve.style, curve.marker)}{escape(curve.name)}</span> '
        for curve in chart.curves
    )
    keys = f"<br>{legend}" if len(chart.curves) > 1 else ""
    return f"<figure>\n{svg}\n<figcaption>{caption}{keys}</figcaption>\n</figure>"


# Distributions: the field of `GroupFigures`, a name for people, what the points are over.
DISTRIBUTIONS = (
    ("lengths", "Lengths: share of the texts with at most so many words", "words"),
    ("ranks", "Word frequencies by rank (Zipf): share of all words", "rank"),
)


def _in_words(points: Points, *, ranks: bool) -> str:
    if ranks:
        return f"{points[0][1]:.1%} at rank 1, {points[-1][0]:,} different words"
    middle = next(x for x, y in points if y >= 0.5 or (x, y) == points[-1])
    return f"half of the texts have at most {middle:,} words, all at most {points[-1][0]:,}"


def chosen_shapes(found: Report) -> list[GroupFigures]:
    """Some groups, evenly apart, the first and last among them, and real text.

    Of an augmentation what was kept is shown, not the candidates.
    """
    kept = [group for group in found.groups if group.temperature is None]
    groups = kept if found.kind == "augment" and kept else found.groups
    shown = [group for group in groups if group.ranks]
    if len(shown) > _MOST_SHAPES:
        steps = range(_MOST_SHAPES)
        shown = [shown[i * (len(shown) - 1) // (_MOST_SHAPES - 1)] for i in steps]
    return [*shown, *([] if found.real is None else [found.real])]


def shape_charts(shown: Sequence[GroupFigures]) -> Iterator[str]:
    """Of lengths and word frequencies."""
    for field, name, over in DISTRIBUTIONS:
        ranks, curves, said = field == "ranks", [], []
        for i, one in enumerate(shown):
            points: Points = getattr(one, field)
            if points:
                style = "real" if isinstance(one, RealText) else f"s{i}"
                curves.append(Curve(name=one.name, style=style, points=points, marker=None))
                said.append(f"{one.name}: {_in_words(points, ranks=ranks)}.")
        chart = Chart(
            ident=field, name=name, over=over, curves=curves, said=" ".join(said), **_SMALL,
            log_x=True, log_y=ranks, percent=True,
        )  # fmt: skip
        drawn = _captioned(chart, f"<b>{escape(name)}</b>, log {'scales' if ranks else 'scale'}")
        if drawn is not None:
            yield drawn


def gain_chart(gains: Sequence[Gain]) -> str:
    """A line for each classifier: its gain and the confidence interval, and where nothing is."""
    left = min(0.0, *(gain.low for gain in gains))
    right = max(0.0, *(gain.high for gain in gains))
    axis = Axis((left, right if right > left else 1.0), 14, 366)
    height = 34 * len(gains) + 24

    def at(value: float) -> str:
        return f"{axis(value):.1f}"

    zero = at(0.0)
    drawn = [
        f'<line class="zero" x1="{zero}" x2="{zero}" y1="2" y2="{height - 20}"/>',
        f'<text x="{zero}" y="{height - 5}" text-anchor="middle">no gain</text>',
    ]
    for y, gain in zip(itertools.count(26, 34), gains):
        told = f"{escape(gain.classifier)}: {gain.gain:+.4g} points"
        drawn += [
            f'<text class="over" x="14" y="{y - 9}">{told}</text>',
            f'<line class="interval" x1="{at(gain.low)}" x2="{at(gain.high)}" y1="{y}" y2="{y}"/>',
            f'<circle class="dot" cx="{at(gain.gain)}" cy="{y}" r="5"/>',
        ]
    said = " ".join(
        f"{g.classifier}: {g.gain:+.4g} points, from {g.low:+.4g} to {g.high:+.4g}." for g in gains
    )
    return (
        f'<figure class="narrow"><svg viewBox="0 0 380 {height}" role="img" '
        'aria-labelledby="gain-title gain-desc">\n'
        '<title id="gain-title">Gain of each classifier</title>\n'
        f'<desc id="gain-desc">{escape(said)}</desc>\n{chr(10).join(drawn)}\n</svg>\n'
        "<figcaption>The gain with its confidence interval; right of the dashed line the added "
        "rows help.</figcaption></figure>"
    )
