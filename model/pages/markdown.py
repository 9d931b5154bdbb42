"""Text from outside in Markdown and in the YAML header that hubs read."""

from __future__ import annotations

import json
import re


def yaml_text(text: str) -> str:
    """A text as a double-quoted scalar of YAML: JSON, with more that must be escaped."""
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff]", lambda m: f"\\u{ord(m.group()):04x}", quoted)


def markdown_text(text: str) -> str:
    """A text on one line of Markdown, a table's cell too, with no markup of its own."""
    one_line = "".join(c if c.isprintable() else " " for c in text)
    escaped = re.sub(r"([\\`*_\[\]()!#|~])", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
