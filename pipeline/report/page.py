"""report.html: the figures of a report as a page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from textmill.model.pages.training_page import STYLE as PAGE_STYLE
from textmill.model.pages.training_page import called, facts, html_page, shown
from textmill.model.settings import GenerationSettings
from textmill.pipeline.report.charts import (
    MEASURES,
    SHAPES,
    chosen_shapes,
    gain_chart,
    measured_rows,
    shape_charts,
    temperature_charts,
)
from textmill.pipeline.report.style import STYLE

_USUAL = asdict(GenerationSettings()) | {"temperatures": None, "samples": None, "max_words": None}


def report_page(found: dict[str, Any]) -> str:
    """The page.

    Args:
        found: as `report.report.report` gives it.
    """
    augment = found["kind"] == "augment"
    sections = [
        _lead(found),
        _notes(found["notes"]),
        _check(found.get("check")),
        _rejected(found) if found["rejected"] else "",
        _samples(found["samples"]),
        _curves(found),
        _shapes(found),
        _agreement(found.get("agreement")),
        _labels(found["labels"]),
        _asked(found),
    ]
    title = "What was added to the data" if augment else "What was generated"
    return html_page(title, "\n".join(filter(None, sections)), style=PAGE_STYLE + STYLE)


# -- what was asked, what came ---------------------------------------------------------------------


def _lead(found: dict[str, Any]) -> str:
    counts = {key: value for key, value in found["counts"].items() if isinstance(value, int)}
    tiles = "\n".join(
        f"<div><dt>{called(key)}</dt><dd>{value:,}</dd></div>" for key, value in counts.items()
    )
    measured = found["measured"]
    used = (
        f"Figures of words are taken on {measured['sampled']:,} of {measured['texts']:,} texts, "
        "those whose ids hash lowest"
        if measured["sampled"] < measured["texts"]
        else f"Figures of words are taken on all {measured['texts']:,} texts"
    )
    return (
        f'<p class="asked">{_in_short(found["asked"])}</p>\n<dl class="tiles">\n{tiles}\n</dl>\n'
        f'<p class="faint">{used}.</p>'
    )


def _in_short(asked: dict[str, Any]) -> str:
    """The settings that say something, in a line."""
    parts = []
    if asked.get("prompts"):
        names = asked["prompts"]
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        parts.append(f"Prompts of <b>{escape(', '.join(names[:3]))}</b>{more}")
    if asked.get("model"):
        parts.append(f"model <b>{escape(str(asked['model'])[:12])}</b>")
    for key, value in (asked.get("settings") or {}).items():
        if value in (None, False, "", [], {}) or value == _USUAL.get(key):
            continue
        told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        parts.append(f"{called(key)} <b>{escape(told)}</b>")
    return " · ".join(parts)


def _notes(notes: Sequence[str]) -> str:
    lines = "\n".join(f"<p>{escape(note)}</p>" for note in notes)
    return f'<div class="notes" role="note">\n{lines}\n</div>' if notes else ""


def _asked(found: dict[str, Any]) -> str:
    rows = facts("Settings and inputs", found["asked"])
    return f"<h2>What was asked</h2>\n<details><summary>All settings</summary>\n{rows}\n</details>"


def _rejected(found: dict[str, Any]) -> str:
    what = "Candidates" if found["kind"] == "augment" else "Rows"
    heading = f"<h2>{what} that were rejected</h2>"
    most = max(row["count"] for row in found["rejected"])
    total = sum(row["count"] for row in found["rejected"])
    rows = [
        [
            f'<th scope="row">{escape(row["reason"])}</th>',
            f"<td>{row['count']:,}</td>",
            f"<td>{row['count'] / total:.1%}</td>",
            f"<td>{_bar(row['count'] / most)}</td>",
        ]
        for row in found["rejected"]
    ]
    table = _table(
        f"{total:,} rejected, by reason", ["reason", "rows", "share", ""], rows, "numbers"
    )
    examples = "\n".join(
        f"<div><span class='tag'>{escape(row['reason'])}</span>"
        + "".join(f"<p>{escape(one['text'])}</p>" for one in row["examples"])
        + "</div>"
        for row in found["rejected"]
        if row["examples"]
    )
    if examples:
        examples = f'<h3>Some of them</h3>\n<div class="side">\n{examples}\n</div>'
    return f"{heading}\n{table}\n{examples}"


def _labels(labels: dict[str, Any]) -> str:
    if not labels:
        return ""
    # Of an augmentation they are counted for each origin.
    counts = {k: v if isinstance(v, dict) else {"texts": v} for k, v in labels.items()}
    kinds = sorted({k for value in counts.values() for k in value}, key=lambda k: (k != "real", k))
    head = ["label", *kinds]
    rows = [
        [f'<th scope="row">{escape(label)}</th>', *(f"<td>{v.get(k, 0):,}</td>" for k in kinds)]
        for label, v in counts.items()
    ]
    return f"<h2>Labels</h2>\n{_table('Texts of each label', head, rows, 'numbers')}"


# -- samples ---------------------------------------------------------------------------------------


def _samples(samples: Sequence[dict[str, Any]]) -> str:
    parts = []
    for group in samples:
        if group["label"] is not None:
            parts.append(f"<h3>Label {escape(group['label'])}</h3>")
        for prompt in group.get("prompts", ()):
            cells = "\n".join(_cell(text["of"], [text["text"]]) for text in prompt["texts"])
            said = f'<p class="prompt">{escape(prompt["prompt"])}</p>' if prompt["prompt"] else ""
            parts.append(f'{said}\n<div class="side">\n{cells}\n</div>')
        if "columns" in group:
            cells = "\n".join(
                _cell(column[0]["of"], [text["text"] for text in column])
                for column in group["columns"]
                if column
            )
            parts.append(f'<div class="side">\n{cells}\n</div>')
    return "<h2>Samples side by side</h2>\n" + "\n".join(parts) if parts else ""


def _cell(tag: str, texts: Sequence[str]) -> str:
    inner = "".join(f"<p>{escape(text.strip()) or '(nothing)'}</p>" for text in texts)
    head = f'<span class="tag">{escape(tag)}</span>' if tag else ""
    return f"<div>{head}{inner}</div>"


# -- figures over temperature ----------------------------------------------------------------------


def _curves(found: dict[str, Any]) -> str:
    real = found["real"]
    over = [g for g in found["groups"] if g["temperature"] is not None]
    charts = "\n".join(filter(None, temperature_charts(found))) if len(over) > 1 else ""
    if charts:
        charts = f'<div class="charts">\n{charts}\n</div>'
    else:
        charts = '<p class="faint">There are no several temperatures, so there are no curves.</p>'
    measured = found["measured"]
    head, rows = measured_rows(found)
    body = [
        [f'<th scope="row">{escape(name)}</th>', *(f"<td>{told}</td>" for told in figures)]
        for name, *figures in rows
    ]
    meanings = "\n".join(
        f"<dt>{name}</dt><dd>{meaning}</dd>"
        for _, name, meaning in MEASURES
        if name in [name for name, *_ in rows]
    )
    run = measured["copied_words"]
    how = [
        f"Distinct-n is taken over {measured['distinct_words']:,} words of each sample, as it "
        "falls with the number of words."
    ]
    if measured["bleu_texts"]:
        how.append(f"Self-BLEU, of up to four words, is of {measured['bleu_texts']} texts of each.")
    if real is not None:
        how.append(f"A copy is a run of {run} or more words, case and punctuation aside.")
        how.append(f"For its figures the {real['name']} is cut to the longest drawn text.")
    table = _table("Figures of each temperature" if over else "Figures", head, body, "numbers")
    return (
        f"<h2>{'Over temperature' if over else 'Figures'}</h2>\n{charts}\n{table}\n"
        f"<details><summary>What the figures mean</summary>\n"
        f'<dl class="meanings">\n{meanings}\n</dl>\n<p>{escape(" ".join(how))}</p>\n</details>'
    )


# -- lengths and word frequencies ------------------------------------------------------------------


def _shapes(found: dict[str, Any]) -> str:
    """Distributions of lengths and of word frequencies, with the numbers behind them."""
    shapes = chosen_shapes(found)
    charts = "\n".join(shape_charts(shapes))
    if not charts:
        return ""
    tables = "\n".join(_behind(name, over, shapes, key) for key, name, over, _ in SHAPES)
    words = found["measured"]["distinct_words"]
    beside = "" if found["real"] is not None else " Real text was not measured."
    return (
        f'<h2>Lengths and word frequencies</h2>\n<div class="charts two">\n{charts}\n</div>\n'
        f'<p class="faint">Word frequencies are of {words:,} words each, or of all there are.'
        f"{beside}</p>\n<details><summary>The numbers behind these two</summary>\n{tables}\n"
        "</details>"
    )


def _behind(name: str, over: str, shapes: Sequence[tuple[str, Any]], key: str) -> str:
    columns = [dict(map(tuple, shape[key])) for _, shape in shapes]
    rows = [
        [f'<th scope="row">{x:,}</th>']
        + [f"<td>{_share(column.get(x))}</td>" for column in columns]
        for x in sorted({x for column in columns for x in column})
    ]
    return _table(name, [over, *(called_so for called_so, _ in shapes)], rows, "numbers")


# -- augmentation ----------------------------------------------------------------------------------


def _agreement(agreement: Any) -> str:
    """The label asked for against the one a classifier gives, as shares of each row."""
    if not isinstance(agreement, dict) or not agreement.get("labels"):
        return ""
    labels = [str(label) for label in agreement["labels"]]
    rows = []
    for label, counts in zip(labels, agreement["matrix"], strict=False):
        total = sum(counts) or 1
        cells = [
            f'<td class="q{round(10 * n / total)}">{n:,.6g}<br><span class="tag">'
            f"{n / total:.0%}</span></td>"
            for n in counts
        ]
        rows.append([f'<th scope="row">{escape(label)}</th>', *cells])
    same = sum(row[i] for i, row in enumerate(agreement["matrix"]) if i < len(row))
    total = sum(map(sum, agreement["matrix"])) or 1
    table = _table("Rows of each pair", ["", *labels], rows, "matrix")
    meaning = "Down: the label asked for. Across: the label that a classifier gives."
    said = f"<p>{same / total:.1%} agree. {meaning}</p>"
    return f"<h2>Do the labels agree?</h2>\n{said}\n{table}"


def _check(check: Any) -> str:
    """What the added rows did to classifiers, with confidence intervals."""
    rows = [row for row in check or () if isinstance(row, dict)]
    if not rows:
        return ""
    keys = ("classifier", "without", "with", "gain", "low", "high", "verdict")
    body = [
        [f'<th scope="row">{shown(row.get("classifier"))}</th>']
        + [f"<td>{shown(row.get(key))}</td>" for key in keys[1:-1]]
        + [f'<td class="words">{shown(row.get("verdict"))}</td>']
        for row in rows
    ]
    head = ["classifier", "without", "with", "gain", "from", "to", "verdict"]
    table = _table(
        "Accuracy in points, without and with the added rows", head, body, "numbers verdicts"
    )
    said = "<br>".join(
        f"{shown(row.get('classifier'))}: <b>{shown(row.get('verdict'))}</b>" for row in rows
    )
    return f"<h2>Does it help?</h2>\n<p>{said}</p>\n{gain_chart(rows)}\n{table}"


# -- pieces ----------------------------------------------------------------------------------------


def _table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], style: str = ""
) -> str:
    """A table that scrolls by itself; the cells of its rows are HTML."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "\n".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    kind = f' class="{style}"' if style else ""
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">
<table{kind}>
<caption>{escape(caption)}</caption>
<thead><tr>{top}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>"""


def _bar(share: float) -> str:
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{100 * share:.1f}" height="8"/></svg>'
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g}%"
