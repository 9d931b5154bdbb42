"""The part of the page where many texts are browsed and filtered.

All texts stand in the page, behind a fold. Without JavaScript they are one long list; the script
shows a few at a time and lets the reader choose among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from textmill.model.pages.escaping import escape
from textmill.model.pages.pieces import fold
from textmill.pipeline.report.figures import BrowsedPrompt, BrowsedRow, Report

PER_PAGE = {"generate": 5, "augment": 20}  # prompts, rows
_FINISHES = {"eos": "ended by itself", "length": "cut at the limit", "stop": "ended at a stop word"}
# What can be chosen of, by the name of the data attribute.
_CHOICES = {
    "temperature": "temperature", "label": "label", "finish": "end", "origin": "origin",
    "reason": "result",
}  # fmt: skip

SCRIPT = """
"use strict";
for (const box of document.querySelectorAll(".browse")) {
  const form = box.querySelector("form"), said = box.querySelector(".found");
  const [back, on] = box.querySelectorAll("nav button"), size = Number(box.dataset.size);
  const choices = [...form.querySelectorAll("select")];
  const entries = [...box.querySelectorAll(".entry")].map((entry) => ({
    entry, head: (entry.querySelector(".prompt")?.textContent ?? "").toLowerCase(),
    cells: [...entry.querySelectorAll(".cell")].map((cell) => ({
      cell, text: cell.querySelector("p").textContent.toLowerCase() })) }));
  let page = 0, pages = 1;
  const show = () => {
    const wanted = form.elements.words.value.trim().toLowerCase();
    const chosen = choices.filter((choice) => choice.selectedIndex > 0)
      .map((choice) => [choice.name, choice.selectedOptions[0].textContent]);
    const found = [];
    let texts = 0;
    for (const { entry, head, cells } of entries) {
      let any = false;
      for (const { cell, text } of cells) {
        const fits = chosen.every(([name, value]) => cell.dataset[name] === value)
          && (head.includes(wanted) || text.includes(wanted));
        cell.hidden = !fits;
        texts += fits;
        any ||= fits;
      }
      entry.hidden = true;
      if (any) found.push(entry);
    }
    pages = Math.max(1, Math.ceil(found.length / size));
    page = Math.min(page, pages - 1);
    for (const entry of found.slice(page * size, (page + 1) * size)) entry.hidden = false;
    const number = (n, name) => `${n.toLocaleString("en")} ${name}${n === 1 ? "" : "s"}`;
    said.textContent = texts === 0 ? "No text fits. Choose less, or other words."
      : `${number(texts, "text")} found, page ${page + 1} of ${pages}.`;
    back.setAttribute("aria-disabled", page === 0);
    on.setAttribute("aria-disabled", page === pages - 1);
  };
  const turn = (by) => {
    if (page + by < 0 || page + by >= pages) return;
    page += by;
    show();
    form.scrollIntoView();
  };
  back.addEventListener("click", () => turn(-1));
  on.addEventListener("click", () => turn(1));
  for (const what of ["input", "change"]) {
    form.addEventListener(what, () => { page = 0; show(); });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { page = 0; show(); }));
  for (const part of [form, said, box.querySelector("nav")]) part.hidden = false;
  show();
}
"""


@dataclass(frozen=True)
class _Cell:
    """A text with what it can be chosen by.

    Attributes:
        text: the text.
        of: values by the names of `_CHOICES`.
        told: what stands above the text.
    """

    text: str
    of: Mapping[str, str]
    told: str


def browser(found: Report) -> str:
    """Makes the section; nothing where there is no text."""
    cells = [(_head(one), list(_cells(one))) for one in found.browse]
    texts = sum(len(inside) for _, inside in cells)
    if not texts:
        return ""
    entries = "\n".join(_entry(head, inside) for head, inside in cells)
    prompts = sum(head is not None for head, _ in cells)
    few = "text" if texts == 1 else "texts"
    of = f" of {prompts:,} prompt{'' if prompts == 1 else 's'}" if prompts else ""
    if found.kind == "augment":
        said, few = _of_rows(found), "row" if texts == 1 else "rows"
    else:
        said = "The prompts are chosen at random, with a fixed seed. Long texts are cut."
    size = PER_PAGE[found.kind]
    body = f"""<div class="browse" data-size="{size}">
<p class="faint">{said}</p>
{_form([cell for _, inside in cells for cell in inside])}
<p class="found" role="status" hidden></p>
<div class="entries {found.kind}">
{entries}
</div>
<nav aria-label="Pages of texts" hidden>
<button type="button">Previous</button> <button type="button">Next</button>
</nav>
</div>"""
    return f"<h2>Browse</h2>\n{fold(f'Browse and filter {texts:,} {few}{of}', body)}"


def _of_rows(found: Report) -> str:
    return (
        "The rows are chosen at random, with a fixed seed, for each origin, label and result. "
        "A result is why a candidate was not added. Long texts are cut."
    )


def _form(cells: list[_Cell]) -> str:
    """The fields; what has one value only is no choice."""
    fields = []
    for name, called in _CHOICES.items():
        values = list(dict.fromkeys(cell.of[name] for cell in cells if name in cell.of))
        if len(values) < 2:
            continue
        if name != "temperature":  # these are in order
            values.sort()
        options = "".join(f"<option>{escape(value)}</option>" for value in values)
        fields.append(
            f'<label>{called} <select name="{name}"><option>all</option>{options}</select></label>'
        )
    return (
        '<form hidden autocomplete="off" aria-label="Filter the texts">\n'
        '<label>text contains <input type="search" name="words"></label>\n'
        f"{chr(10).join(fields)}\n"
        '<button type="reset">Show all</button>\n</form>'
    )


def _head(one: BrowsedPrompt | BrowsedRow) -> str | None:
    return one.prompt if isinstance(one, BrowsedPrompt) else None


def _cells(one: BrowsedPrompt | BrowsedRow) -> Iterator[_Cell]:
    if isinstance(one, BrowsedRow):
        of = {"label": one.label, "origin": one.origin, "reason": one.result}
        told = dict.fromkeys(value for value in (one.label, one.origin, one.result) if value)
        yield _Cell(one.text, of, " · ".join(told))
        return
    for text in one.texts:
        of, parts = {}, []
        if text.temperature is not None:
            of["temperature"] = text.temperature
            parts.append(f"temperature {text.temperature}")
        if one.label is not None:
            of["label"] = one.label
            parts.append(f"label {one.label}")
        if text.words is not None:
            parts.append(f"{text.words:,} word{'' if text.words == 1 else 's'}")
        if text.finish is not None:
            of["finish"] = _FINISHES.get(text.finish, text.finish)
            parts.append(of["finish"])
        yield _Cell(text.text, of, " · ".join(parts))


def _entry(head: str | None, cells: list[_Cell]) -> str:
    said = f'<p class="prompt">{escape(head)}</p>\n' if head else ""
    inside = "\n".join(map(_shown, cells))
    return f'<article class="entry">\n{said}<div class="side">\n{inside}\n</div>\n</article>'


def _shown(cell: _Cell) -> str:
    data = "".join(f' data-{name}="{escape(value)}"' for name, value in cell.of.items())
    tag = f'<span class="tag">{escape(cell.told)}</span>' if cell.told else ""
    text = escape(cell.text.strip()) or "(nothing)"
    return f'<div class="cell"{data}>{tag}<p>{text}</p></div>'
