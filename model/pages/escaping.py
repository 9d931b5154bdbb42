"""Text from outside in HTML and SVG."""

from __future__ import annotations

import html

from textmill.model.visible import visible


def escape(text: str) -> str:
    """A text in HTML or SVG, in attributes too: no markup of its own, control characters shown."""
    return html.escape(visible(text, keep="\n\t"))
