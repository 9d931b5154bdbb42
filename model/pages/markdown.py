"""Text from outside in Markdown and in the YAML header that hubs read."""

from __future__ import annotations

import json
import re

# Beside C0, which JSON escapes, too.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


def yaml_text(text: str) -> str:
    """A text as a double-quoted scalar of YAML: JSON, with more that must be escaped.

    Half a surrogate pair, which no file of UTF-8 can hold, becomes the replacement character.
    """
    whole = re.sub("[\ud800-\udfff]", "\ufffd", text)
    quoted = json.dumps(whole, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def markdown_text(text: str) -> str:
    """A text on one line of Markdown, a table's cell too, with no markup of its own."""
    one_line = "".join(c if c.isprintable() else " " for c in text)
    escaped = re.sub(r"([\\`*_\[\]()!#|~])", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
