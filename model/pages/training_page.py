"""training.html: how a training went, as one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textmill.model.pages.pieces import STYLE, facts, html_page, shown, table
from textmill.model.pages.svg import Chart, Curve, number

_CURVES = """
:root { --train: #b45309; --valid: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --train: #f0a35e; --valid: #8ab0ff; } }
.train { stroke: var(--train); stroke-dasharray: 6 4; } .valid { stroke: var(--valid); }
circle.train { fill: var(--train); stroke: none; } circle.valid { fill: var(--valid); }
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
    body = f"""{_curves(history)}
{_history_table(history)}
{_samples(training.get("samples") or [])}
{facts("Figures", training.get("metrics"))}
{facts("Settings", training.get("settings"))}
{facts("Corpus and versions", about)}"""
    return html_page(title, body, style=STYLE + _CURVES)


_PERPLEXITIES = {"train_perplexity": "training", "valid_perplexity": "validation"}
_RATE = {"learning_rate": "learning rate"}


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
    columns: Mapping[str, str],
    *,
    over: str,
    name: str,
    log: bool = False,
) -> str:
    """A line chart; a row without the number in question breaks its line.

    Args:
        columns: of the history: for each key its name for people.
    """
    curves, said, best = [], [], []
    for key, label in columns.items():
        style = "train" if key == "train_perplexity" else "valid"
        pairs = [(number(row.get(over)), number(row.get(key), log)) for row in history]
        points = [None if x is None or y is None else (x, y) for x, y in pairs]
        curves.append(Curve(name=label, style=style, points=points))
        said.append(_said(label, [y for _, y in pairs if y is not None]))
        if key == "valid_perplexity":
            best = sorted((point for point in points if point is not None), key=lambda p: p[1])[:1]
    said += [f"The best validation is {y:.6g}, at {over} {x:.6g}." for x, y in best]
    svg = Chart(
        ident=f"{over}-{next(iter(columns))}", name=name, over=over, curves=curves,
        said=" ".join(said), log_y=log, rings=best,
    ).svg()  # fmt: skip
    if svg is None:
        return f'<p class="faint">{name}: there is no number to show.</p>'
    dashes = {"train": "dashed", "valid": "solid"}
    legend = ", ".join(f"{curve.name} ({dashes[curve.style]})" for curve in curves)
    ring = "; the ring marks the best" if best else ""
    return f"""<figure>
{svg}
<figcaption>{name}{", log scale" if log else ""}: {legend}{ring}.</figcaption>
</figure>"""


def _said(name: str, values: Sequence[float]) -> str:
    if not values:
        return f"There is no number for {name}."
    return (
        f"{name.capitalize()} goes from {values[0]:.6g} to {values[-1]:.6g}, {len(values)} points."
    )


def _history_table(history: Sequence[dict[str, Any]]) -> str:
    if not history:
        return ""
    keys = list(dict.fromkeys(key for row in history for key in row))
    head = [str(key).replace("_", " ") for key in keys]
    rows = [[f"<td>{shown(row.get(key, ''))}</td>" for key in keys] for row in history]
    return table("Each validation", head, rows, style="numbers")


def _samples(samples: Sequence[dict[str, Any]]) -> str:
    if not samples:
        return ""
    texts = "\n".join(
        f'<p class="faint">epoch {shown(sample.get("epoch", ""))}, '
        f"temperature {shown(sample.get('temperature', ''))}</p>\n"
        f"<blockquote>{shown(sample.get('text', ''))}</blockquote>"
        for sample in samples
    )
    return f"<h2>Samples</h2>\n{texts}"
