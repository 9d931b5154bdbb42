"""The pictures of a report: figures over temperature, distributions, gains."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from textmill.model.pages.svg import MARKERS, Chart, Curve, Frame, number, swatch

# (key, name, what it is) of the measures, in the order of the table.
MEASURES = (
    ("perplexity", "perplexity", "of the drawn words under the model itself"),
    ("distinct_1", "distinct-1", "different words over all words"),
    ("distinct_2", "distinct-2", "different pairs of words over all pairs"),
    ("distinct_3", "distinct-3", "different runs of three words over all of them"),
    ("self_bleu", "self-BLEU", "how much a text is like the others; lower is more diverse"),
    ("repetition", "repetition", "share of a text's runs of four words that stood in it before"),
    ("copied", "copied", "share of the words that lie in runs which the corpus has, too"),
    ("texts_with_copies", "texts with copies", "share of the texts that hold such a run"),
    ("longest_copy", "longest copy", "words"),
    ("mean_length", "mean length", "words of a whole text, its prompt included"),
    ("cut", "cut", "share of the texts that ended at the limit of words"),
)
PERCENT = {"self_bleu", "repetition", "copied", "texts_with_copies", "cut"}
_SMALL = Frame(width=380, height=250, left=52, right=14, top=12, bottom=42)
SHAPES = (
    ("lengths", "Lengths: share of the texts with at most so many words", "words", False),
    ("ranks", "Word frequencies by rank (Zipf): share of all words", "rank", True),
)
_MOST_SHAPES = 4  # temperatures in one picture beside real text


def temperature_charts(found: dict[str, Any]) -> Iterator[str | None]:
    """Of the measures; None for what was not measured."""
    yield _chart(found, "Perplexity", [("perplexity", "perplexity")], log=True)
    distinct = [(f"distinct_{n}", f"distinct-{n}") for n in (1, 2, 3)]
    yield _chart(found, "Distinct words and runs of words", distinct)
    yield _chart(found, "Self-BLEU: how alike the texts are", [("self_bleu", "self-BLEU")])
    yield _chart(found, "Repetition inside a text", [("repetition", "repetition")])
    run = found["measured"]["copied_words"]
    copied = [("copied", "words"), ("texts_with_copies", "texts")]
    yield _chart(found, f"Copied in runs of {run} or more words", copied)
    yield _chart(found, "Mean length in words, prompt included", [("mean_length", "length")])


def _chart(
    found: dict[str, Any], name: str, columns: Sequence[tuple[str, str]], *, log: bool = False
) -> str | None:
    """One small picture; real text, where it was measured, is a level line across."""
    groups = [g for g in found["groups"] if g["temperature"] is not None]
    percent = columns[0][0] in PERCENT
    curves, said = [], []
    for i, (key, label) in enumerate(columns):
        pairs = [(g["temperature"], number(g[key], log)) for g in groups]
        points = [None if y is None else (x, y) for x, y in pairs]
        known = [p for p in points if p is not None]
        if not known:
            continue
        curves.append(Curve(name=label, style=f"s{i}", points=points, marker=MARKERS[i]))
        said.append(
            f"{label} goes from {figure(key, known[0][1])} at {known[0][0]:g} to "
            f"{figure(key, known[-1][1])} at {known[-1][0]:g}."
        )
    if not curves:
        return None
    keys = [(curve.style, curve.marker, curve.name) for curve in curves]
    real = found["real"]
    level = None if real is None else number(real["figures"].get(columns[0][0]), log)
    if len(curves) == 1 and level is not None:
        ends = [(groups[0]["temperature"], level), (groups[-1]["temperature"], level)]
        label = real["name"]
        curves.append(Curve(name=label, style="real", points=ends, marker=None))
        said.append(f"The {label}: {figure(columns[0][0], level)}.")
        keys.append(("real", None, label))
    return _captioned(
        Chart(
            ident=columns[0][0], name=f"{name} over temperature", over="temperature",
            curves=curves, said=" ".join(said), frame=_SMALL, log_y=log, from_zero=not log,
            percent=percent, ticks_x=_ticks([g["temperature"] for g in groups]),
        ),
        f"<b>{escape(name)}</b>{', log scale' if log else ''}", keys,
    )  # fmt: skip


def _ticks(temperatures: Sequence[float]) -> list[float] | None:
    """Those there are, if they have room on the axis."""
    span = temperatures[-1] - temperatures[0]
    close = any(b - a < span / 12 for a, b in itertools.pairwise(temperatures))
    return None if close else list(temperatures)


def _captioned(
    chart: Chart, caption: str, keys: Sequence[tuple[str, str | None, str]]
) -> str | None:
    svg = chart.svg()
    if svg is None:
        return None
    legend = "".join(
        f'<span class="key">{swatch(style, marker)}{escape(name)}</span> '
        for style, marker, name in keys
    )
    shown_keys = f"<br>{legend}" if len(keys) > 1 else ""
    return f"<figure>\n{svg}\n<figcaption>{caption}{shown_keys}</figcaption>\n</figure>"


def shape_charts(shapes: Sequence[tuple[str, Any]]) -> Iterator[str]:
    """Lengths and word frequencies.

    Args:
        shapes: by name, each with the points of `lengths` and `ranks`; those of real text have
            `figures`, too.
    """
    for key, name, over, log_y in SHAPES:
        curves, keys, said = [], [], []
        for i, (label, shape) in enumerate(shapes):
            points = [(float(x), float(y)) for x, y in shape[key]]
            if not points:
                continue
            style = "real" if "figures" in shape else f"s{i}"
            curves.append(Curve(name=label, style=style, points=points, marker=None))
            keys.append((style, None, label))
            said.append(f"{label}: {_said(key, points)}.")
        chart = Chart(
            ident=key, name=name, over=over, curves=curves, said=" ".join(said), frame=_SMALL,
            log_x=True, log_y=log_y, percent=True,
        )  # fmt: skip
        caption = f"<b>{escape(name)}</b>, log scale{'s' if log_y else ''}"
        yield from filter(None, [_captioned(chart, caption, keys)])


def chosen_shapes(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """Distributions of some groups, evenly apart, the first and last among them, and real ones.

    Of an augmentation what was kept is shown, not the candidates.
    """
    kept = [group for group in found["groups"] if group["temperature"] is None]
    groups = kept if found["kind"] == "augment" and kept else found["groups"]
    shapes = [(group["name"], group) for group in groups if group["ranks"]]
    if len(shapes) > _MOST_SHAPES:
        steps = range(_MOST_SHAPES)
        shapes = [shapes[i * (len(shapes) - 1) // (_MOST_SHAPES - 1)] for i in steps]
    real = found["real"]
    return shapes if real is None else [*shapes, (real["name"], real)]


def _said(key: str, points: Sequence[tuple[float, float]]) -> str:
    if key == "ranks":
        return f"{points[0][1]:.1%} at rank 1, {points[-1][0]:,.0f} different words"
    middle = next(x for x, y in points if y >= 0.5 or (x, y) == points[-1])
    return f"half of the texts have at most {middle:,.0f} words, all at most {points[-1][0]:,.0f}"


def gain_chart(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each classifier: its gain and the confidence interval, and where nothing is."""
    known = []
    for row in rows:
        low, gain, high = (number(row.get(key)) for key in ("low", "gain", "high"))
        if low is not None and gain is not None and high is not None:
            known.append((str(row.get("classifier")), low, gain, high))
    if not known:
        return ""
    left = min(0.0, *(low for _, low, _, _ in known))
    right = max(0.0, *(high for *_, high in known))
    span = (right - left) or 1.0
    height = 34 * len(known) + 24

    def at(value: float) -> float:
        return 14 + 352 * (value - left) / span

    zero = at(0.0)
    drawn = [f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="2" y2="{height - 20}"/>']
    drawn.append(f'<text x="{zero:.1f}" y="{height - 5}" text-anchor="middle">no gain</text>')
    for i, (name, start, gain, end) in enumerate(known):
        y = 34 * i + 26
        drawn.append(
            f'<text class="over" x="14" y="{y - 9}">{escape(name)}: {gain:+.4g} points</text>'
        )
        drawn.append(
            f'<line class="interval" x1="{at(start):.1f}" x2="{at(end):.1f}" y1="{y}" y2="{y}"/>'
        )
        drawn.append(f'<circle class="dot" cx="{at(gain):.1f}" cy="{y}" r="5"/>')
    said = " ".join(f"{n}: {g:+.4g} points, from {a:+.4g} to {b:+.4g}." for n, a, g, b in known)
    return (
        f'<figure class="narrow"><svg viewBox="0 0 380 {height}" role="img" '
        'aria-labelledby="gain-title gain-desc">\n'
        '<title id="gain-title">Gain of each classifier</title>\n'
        f'<desc id="gain-desc">{escape(said)}</desc>\n{chr(10).join(drawn)}\n</svg>\n'
        "<figcaption>The gain with its confidence interval; right of the dashed line the added "
        "rows help.</figcaption></figure>"
    )


def figure(key: str, value: Any) -> str:
    """A measure's value for people."""
    if value is None:
        return "–"
    if key in PERCENT:
        return f"{value:.1%}"
    if key.startswith("distinct"):
        return f"{value:.3f}"
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def measured_rows(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The figures for people: a header, and a row for each measure."""
    columns = [(group["name"], group) for group in found["groups"]]
    if found["real"] is not None:
        columns.append((found["real"]["name"], found["real"]["figures"]))
    rows = [
        [name, *(figure(key, of.get(key)) for _, of in columns)]
        for key, name, _ in MEASURES
        if any(of.get(key) is not None for _, of in columns)
    ]
    return ["", *(name for name, _ in columns)], rows
