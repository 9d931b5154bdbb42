"""Pieces of pages that need nothing but themselves."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

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


def policy_of(text: str) -> str:
    """What a Content-Security-Policy calls an inner script or style that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def html_page(title: str, body: str, *, style: str) -> str:
    """A page that may load nothing and run nothing; the policy allows its own style by its hash.

    Args:
        title: not escaped yet.
        body: HTML.
        style: CSS.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
style-src {policy_of(style)}">
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
