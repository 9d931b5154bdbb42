"""Looks into pages of HTML and their pictures."""

from __future__ import annotations

import contextlib
import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

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


@contextlib.contextmanager
def open_browser():
    """A browser without a window; skips the test where there is none."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as found:
        yield found


def look(browser, path, *, width, scheme="light"):
    """Opens a page at a width; nothing is wider than the page, and its style is allowed."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.get(path.as_uri())
    assert browser.execute_script("return innerWidth") == width
    colour = "return getComputedStyle(document.body).backgroundColor"
    expected = "rgb(255, 255, 255)" if scheme == "light" else "rgb(23, 23, 27)"
    assert browser.execute_script(colour) == expected  # the style's hash is right
    assert across(browser) <= width


def across(browser):
    """How wide all that is on the page is."""
    return browser.execute_script("return document.documentElement.scrollWidth")


def unfold(browser):
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
