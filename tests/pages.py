"""Looks into pages of HTML and their pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

EVIL = "<script>alert('x')</script>&\"<b>"
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Tags(HTMLParser):
    """Checks that tags are closed in order; keeps tags, cells and all text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.texts, self.cells = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag == "td":
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)
        if self.open and self.open[-1] == "td":
            self.cells[-1] += text


def pictures(page):
    """The SVG elements, which must be XML."""
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.S)]


def points(svg, style):
    circles = [circle for circle in svg.iter("circle") if circle.get("class") == style]
    return [(float(circle.get("cx")), float(circle.get("cy"))) for circle in circles]
