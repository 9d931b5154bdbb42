"""Pieces of pages that need nothing but themselves."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from textmill.model.pages.escaping import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --page: #fff; --faint: #6b6b76; --line: #d9d9e0;
  --soft: #f4f5f8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ee; --page: #17171b; --faint: #a0a0ad;
  --line: #3a3a44; --soft: #212128; } }
body { margin: 2rem auto; max-width: 48rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--page); }
h1 { font-size: 1.7rem; line-height: 1.2; margin-bottom: .3rem; overflow-wrap: anywhere; }
h2 { margin-top: 2.5rem; font-size: 1.2rem; border-top: 1px solid var(--line);
  padding-top: 1.5rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; overflow-wrap: anywhere; }
p { max-width: 46rem; overflow-wrap: break-word; }
figure { margin: 1.5rem 0; } figcaption, .faint { color: var(--faint); }
figcaption { font-size: .9rem; } figcaption b { color: var(--ink); }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink); }
.grid { stroke: var(--line); } .curve { fill: none; stroke-width: 2; }
.best { fill: none; stroke: var(--ink); stroke-width: 2; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .8rem;
  margin: 1.2rem 0; }
.tiles div { background: var(--soft); border-radius: .5rem; padding: .7rem .9rem; }
.tiles dt { color: var(--faint); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: 1rem 2rem; }
.charts svg:not(.swatch) { font-size: 13.5px; }
.charts figure { margin: .5rem 0; min-width: 0; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 10.5rem), 1fr));
  gap: .8rem; }
.side > div { background: var(--soft); border-radius: .5rem; padding: .6rem .9rem; min-width: 0; }
pre { overflow-x: auto; }
.side p { margin: .2rem 0 .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.tag { overflow-wrap: anywhere; color: var(--faint); font-size: .8rem; letter-spacing: .02em; }
.number { white-space: nowrap; }
.scroll { max-width: 100%; overflow-x: auto; margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; } details { margin: 1rem 0; }
details h2 { border: 0; padding: 0; margin: 1rem 0 .3rem; } details .scroll { margin: .5rem 0; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid; outline-offset: 2px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
td { overflow-wrap: anywhere; }
thead th { vertical-align: bottom; }
.facts th { max-width: 16rem; overflow-wrap: anywhere; min-width: 6rem; font-weight: 600; }
.numbers th, .numbers td { text-align: right; overflow-wrap: normal; white-space: nowrap;
  padding-right: 1.1rem; }
.numbers th:first-child { text-align: left; position: sticky; left: 0; background: var(--page); }
@media print { body { max-width: none; } .scroll { overflow: visible; } }
"""


def policy_of(text: str) -> str:
    """What a Content-Security-Policy calls an inner script or style that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def html_page(title: str, body: str, *, style: str, script: str = "", language: str = "en") -> str:
    """Makes a page that loads nothing; the policy allows its own style and script by their hashes.

    Args:
        title: text that is not escaped yet.
        body: HTML.
        style: CSS.
        script: JavaScript that the page can do without; a page without one may run none.
        language: of the texts, as HTML calls it.
    """
    allowed = f"; script-src {policy_of(script)}" if script else ""
    run = f"<script>{script}</script>\n" if script else ""
    return f"""<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src {policy_of(style)}{allowed}; base-uri 'none'; form-action 'none'">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{body}
</main>
{run}</body>
</html>
"""


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, style: str) -> str:
    """A table that scrolls by itself.

    Args:
        caption, head: not escaped yet.
        rows: of cells, which are HTML.
        style: classes.
    """
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">
<table class="{style}">
<caption>{escape(caption)}</caption>
<thead><tr>{top}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>"""


def row(name: str, cells: Iterable[str]) -> list[str]:
    """A row of a table: its head, not escaped yet, and cells of HTML."""
    return [f'<th scope="row">{escape(name)}</th>', *(f"<td>{cell}</td>" for cell in cells)]


def tiles(figures: Iterable[tuple[str, str]]) -> str:
    """Makes a grid of figures to see first.

    Args:
        figures: (name, value), not escaped yet.
    """
    cells = "\n".join(
        f'<div><dt>{escape(name)}</dt><dd class="number">{escape(value)}</dd></div>'
        for name, value in figures
    )
    return f'<dl class="tiles">\n{cells}\n</dl>' if cells else ""


def fold(summary: str, body: str) -> str:
    """Makes a part that is closed at first; nothing without a body.

    Args:
        summary: text that is not escaped yet.
        body: HTML.
    """
    if not body.strip():
        return ""
    return f"<details><summary>{escape(summary)}</summary>\n{body}\n</details>"


def facts(name: str, value: Any) -> str:
    """Makes a heading and a table of the plain values in dicts and lists; nothing without any."""
    rows = "\n".join(
        f'<tr><th scope="row">{called(key)}</th>'
        f"<td{_style(leaf)}>{shown(leaf, exact=key.endswith('seed'))}</td></tr>"
        for key, leaf in _leaves(value)
    )
    if not rows:
        return ""
    return (
        f'<h2>{escape(name)}</h2>\n<div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(name)}">\n<table class="facts">\n{rows}\n</table></div>'
    )


def _style(leaf: Any) -> str:
    return ' class="number"' if isinstance(leaf, int | float) else ""


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the plain values in dicts and lists, each with the path to it.

    A list of plain values is one of them.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}, {key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(v, dict | list | tuple) for v in value):
        for number, inner in enumerate(value, start=1):
            yield from _leaves(inner, f"{prefix} {number}")
    elif prefix:
        yield prefix, value


def called(key: Any) -> str:
    """Turns a name of the code into words, escaped."""
    return escape(str(key).replace("_", " "))


def rounded(value: float) -> str:
    """A number for people: four digits that count, thousands apart.

    >>> [rounded(value) for value in (93542, 12345.6, 157.876, 0.0038690020850960707, 6.578052e-05)]
    ['93,542', '12,346', '157.9', '0.003869', '0.0000658']
    """
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    if value == 0 or abs(value) >= 1e9 or abs(value) < 1e-7:
        return f"{value:.4g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 4 if abs(value) >= 1e-3 else 3
    places = digits - 1 - math.floor(math.log10(abs(value)))
    told = f"{value:.{max(places, 0)}f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


def shown(value: Any, *, exact: bool = False) -> str:
    """A value as HTML: rounded numbers, None as a dash, the first 12 digits of a SHA-256.

    Args:
        exact: a number is shown as it is.
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value) if exact else rounded(value)
    if isinstance(value, dict | list | tuple):
        return ", ".join(map(shown, value)) or "–"
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return f'<code class="number" title="{value}">{value[:12]}…</code>'
    return escape(str(value))
