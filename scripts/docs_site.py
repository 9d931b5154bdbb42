"""A hook of mkdocs: the pages that are made of files outside docs/, and links to such files.

A file of `PAGES` becomes a page of the site. Any other file that a page links to is copied to
`files/` in the site. So the same documents work in the repository and as a site, and mkdocs still
checks each link. Formulas become MathML, which browsers show without a script.
"""

from __future__ import annotations

import html
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "quickstart.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples.md",
    "lab/README.md": "lab.md",
    "lab/README.bg.md": "lab.bg.md",
}
_ORIGINS = {page: file for file, page in PAGES.items()}
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]*)(#[^)\s]*)?\)")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_LOADED = re.compile(
    r"<(?:script|img|link rel=\"(?:stylesheet|preload)\")[^>]+(?:src|href)=\"https?:"
)


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages, and the files that pages link to."""
    for file, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / file)))
    for page in list(files.documentation_pages()):
        for link, _ in _LINK.findall(page.content_string):
            target = _target(page.src_uri, link)
            place = _place(target)
            if place.startswith("files/") and files.get_file_from_path(place) is None:
                if not (ROOT / target).is_file():
                    raise PluginError(f"{page.src_uri} links to {link}, which is no file")
                files.append(File.generated(config, place, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lets each link lead to its place in the site."""
    source = page.file.src_uri

    def mapped(found: re.Match[str]) -> str:
        place = _place(_target(source, found[1]))
        return f"]({posixpath.relpath(place, posixpath.dirname(source) or '.')}{found[2] or ''})"

    return _LINK.sub(mapped, markdown)


def on_page_content(html_text: str, **_: Any) -> str:
    """Writes the formulas, which the extension `arithmatex` has marked, as MathML."""

    def as_mathml(found: re.Match[str]) -> str:
        display = "block" if found[1] == "div" else "inline"
        return convert(html.unescape(found[2]).strip(), display=display)

    return _FORMULA.sub(as_mathml, html_text)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuses a page that would load something from elsewhere, or show a formula's source."""
    if 'class="arithmatex"' in output:
        raise PluginError(f"{page.file.src_uri} has a formula that is not written as MathML")
    loaded = _LOADED.search(output)
    if loaded:
        raise PluginError(f"{page.file.src_uri} loads something from elsewhere: {loaded[0]}")
    return output


def _target(page: str, link: str) -> str:
    """The file that a link of a page names, from the repository's root."""
    origin = _ORIGINS.get(page, f"docs/{page}")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    return f"{target}/README.md" if os.path.isdir(ROOT / target) else target


def _place(target: str) -> str:
    """Where a file of the repository is in the site."""
    if target in PAGES:
        return PAGES[target]
    return target.removeprefix("docs/") if target.startswith("docs/") else f"files/{target}"
