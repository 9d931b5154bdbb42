"""training.html: how a training went, as one page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from textmill.model.pages.svg import Chart, Curve, number

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --page: #fff; --faint: #6b6b76; --line: #d9d9e0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ee; --page: #17171b; --faint: #a0a0ad;
  --line: #3a3a44; } }
body { margin: 2rem auto; max-width: 48rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--page); }
h2 { margin-top: 2.5rem; font-size: 1.2rem; }
figure { margin: 1.5rem 0; } figcaption, .faint { color: var(--faint); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink); }
.grid { stroke: var(--line); } .curve { fill: none; stroke-width: 2; }
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


def html_page(title: str, body: str, *, style: str) -> str:
    """A page that may load nothing and run nothing; the policy allows its own style by its hash.

    Args:
        title: not escaped yet. body: HTML. style: CSS.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src 'sha256-{digest}'">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{body}
</main>
</body>
</html>
"""


# -- curves ----------------------------------------------------------------------------------------


_PERPLEXITIES = (
    ("train_perplexity", "training", "train"),
    ("valid_perplexity", "validation", "valid"),
)
_RATE = (("learning_rate", "learning rate", "valid"),)


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
    columns: Sequence[tuple[str, str, str]],
    *,
    over: str,
    name: str,
    log: bool = False,
) -> str:
    """A line chart; a row without the number in question breaks its line.

    Args:
        columns: of the history: each its key, its name for people, its class in the style.
    """
    curves, said, best = [], [], []
    for key, label, style in columns:
        pairs = [(number(row.get(over)), number(row.get(key), log)) for row in history]
        points = [None if x is None or y is None else (x, y) for x, y in pairs]
        curves.append(Curve(name=label, style=style, points=points))
        said.append(_said(label, [y for _, y in pairs if y is not None]))
        if key == "valid_perplexity":
            best = sorted((point for point in points if point is not None), key=lambda p: p[1])[:1]
    said += [f"The best validation is {y:.6g}, at {over} {x:.6g}." for x, y in best]
    svg = Chart(
        ident=f"{over}-{columns[0][0]}", name=name, over=over, curves=curves, said=" ".join(said),
        log_y=log, rings=best,
    ).svg()  # fmt: skip
    if svg is None:
        return f'<p class="faint">{name}: there is no number to show.</p>'
    legend = ", ".join(
        f"{curve.name} ({'dashed' if curve.style == 'train' else 'solid'})" for curve in curves
    )
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


# -- tables and texts ------------------------------------------------------------------------------


def _history_table(history: Sequence[dict[str, Any]]) -> str:
    if not history:
        return ""
    keys = list(dict.fromkeys(key for row in history for key in row))
    head = "".join(f'<th scope="col">{called(key)}</th>' for key in keys)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{shown(row.get(key, ''))}</td>" for key in keys) + "</tr>"
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
        f'<p class="faint">epoch {shown(sample.get("epoch", ""))}, '
        f"temperature {shown(sample.get('temperature', ''))}</p>\n"
        f"<blockquote>{shown(sample.get('text', ''))}</blockquote>"
        for sample in samples
    )
    return f"<h2>Samples</h2>\n{texts}"


def facts(name: str, value: Any) -> str:
    """A heading and a table of the plain values in dicts and lists; nothing without any."""
    rows = "\n".join(
        f'<tr><th scope="row">{called(key)}</th><td>{shown(leaf)}</td></tr>'
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


def called(key: Any) -> str:
    """A name of the code for people, escaped."""
    return escape(str(key).replace("_", " "))


def shown(value: Any) -> str:
    """A value as text, escaped: short numbers, None as a dash."""
    if value is None:
        return "–"
    return escape(f"{value:.7g}" if isinstance(value, float) else str(value))
