"""report.html: the figures of a report as a page that needs nothing but itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any

from textmill.model.pages.escaping import escape
from textmill.model.pages.pieces import STYLE as PAGE_STYLE
from textmill.model.pages.pieces import (
    called,
    facts,
    fold,
    html_page,
    row,
    shown,
    table,
    tiles,
)
from textmill.model.settings import GenerationSettings
from textmill.pipeline.augment.classifiers import ADDED_WEIGHT
from textmill.pipeline.augment.filters import FilterSettings
from textmill.pipeline.augment.folder import added_columns
from textmill.pipeline.augment.gain import Gain
from textmill.pipeline.augment.settings import PSEUDO, AugmentSettings
from textmill.pipeline.report import charts
from textmill.pipeline.report.browse import SCRIPT, browser
from textmill.pipeline.report.figures import Agreement, OriginsOfLabel, Report, Sample
from textmill.pipeline.report.style import STYLE

_USUAL = {  # settings that say nothing, as they are what nobody asked for
    "generate": asdict(GenerationSettings())
    | {"temperatures": None, "samples": None, "max_words": None},
    "augment": {
        field.name: list(field.default) if isinstance(field.default, tuple) else field.default
        for kind in (AugmentSettings, FilterSettings)
        for field in fields(kind)
        if field.default is not MISSING
    },
}
_BAR = (
    '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
    '<rect width="{:.1f}" height="8"/></svg>'
)


def report_page(found: Report) -> str:
    """The page."""
    augment = found.kind == "augment"
    sections = [
        _lead(found),
        _notes(found.notes),
        _check(found.check),
        _use(found) if augment else "",
        _rejected(found),
        _samples(found),
        browser(found),
        _curves(found),
        _shapes(found),
        _agreement(found.agreement),
        _labels(found.labels),
        f"<h2>What was asked</h2>\n{fold('All settings', _settings(found.asked))}",
    ]
    title = f"Rows added in {found.name}" if augment else f"Texts generated in {found.name}"
    body = "\n".join(filter(None, sections))
    return html_page(title, body, style=PAGE_STYLE + STYLE, script=SCRIPT if found.browse else "")


def _settings(asked: Mapping[str, Any]) -> str:
    names = {key: value for key, value in asked.items() if key != "versions"}
    return facts("Settings and inputs", names) + facts("Versions", asked.get("versions"))


# Names of the counts for people, where that of the code says too little.
_COUNTS = {
    "rows": "prompt rows", "prompts": "prompts", "rejected": "rejected rows", "records": "texts",
    "words": "words drawn",
}  # fmt: skip
_COUNTS_OF_ROWS = {
    "real": "real rows", "learned": "real rows learned from", "candidates": "candidates",
    "wanted": "rows wanted", "kept": "rows added", "rejected": "candidates rejected",
    "not_needed": "candidates not needed",
}  # fmt: skip


def _lead(found: Report) -> str:
    names = _COUNTS_OF_ROWS if found.kind == "augment" else _COUNTS
    counts = [
        (names.get(name, name.replace("_", " ")), f"{n:,}") for name, n in found.counts.items()
    ]
    measured = found.measured
    used = (
        f"The figures of words come from {measured.sampled:,} of the {measured.texts:,} texts. "
        "These are chosen at random, with a fixed seed."
        if measured.sampled < measured.texts
        else f"The figures of words come from all {measured.texts:,} texts."
    )
    return f'<p class="asked">{_in_short(found)}</p>\n{tiles(counts)}\n<p class="faint">{used}</p>'


def _in_short(found: Report) -> str:
    """The settings that say something, in a line."""
    asked, usual = found.asked, _USUAL[found.kind]
    parts, names = [], asked.get("prompts")
    if "model" in asked:
        parts.append(f"model <b>{escape(asked['model'][:12])}</b>")
    if names:
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        parts.append(f"prompts of <b>{escape(', '.join(names[:3]))}</b>{more}")
    for key, value in asked["settings"].items():
        if value in (None, False, "", [], {}) or value == usual.get(key):
            continue
        parts.append(f"{called(key)} <b>{shown(value, exact=key == 'seed')}</b>")
    line = " · ".join(parts)
    return line[:1].upper() + line[1:]


def _notes(notes: Sequence[str]) -> str:
    lines = "\n".join(f"<p>{escape(note)}</p>" for note in notes)
    return f'<div class="notes" role="note">\n{lines}\n</div>' if notes else ""


def _rejected(found: Report) -> str:
    rejected, what = found.rejected, "Candidates" if found.kind == "augment" else "Rows"
    unneeded = found.counts.get("not_needed", 0) if found.kind == "augment" else 0
    said = ""
    if unneeded:
        many = "candidate was" if unneeded == 1 else "candidates were"
        said = f"<p>{unneeded:,} more {many} not needed: the label had all its rows already.</p>"
    if not rejected:
        return f"<h2>Candidates that were not needed</h2>\n{said}" if said else ""
    most, total = max(why.count for why in rejected), sum(why.count for why in rejected)
    rows = [
        row(
            why.reason,
            [f"{why.count:,}", f"{why.count / total:.1%}", _BAR.format(100 * why.count / most)],
        )
        for why in rejected
    ]
    head = ["reason", "rows", "share", ""]
    counts = table(f"{total:,} rejected, by reason", head, rows, style="numbers")
    examples = "\n".join(
        f"<div><span class='tag'>{escape(why.reason)}</span>"
        + "".join(f"<p>{escape(one.text)}</p>" for one in why.examples)
        + "</div>"
        for why in rejected
        if why.examples
    )
    if examples:
        examples = f'<h3>Some of them</h3>\n<div class="side">\n{examples}\n</div>'
    return f"<h2>{what} that were rejected</h2>\n{counts}\n{said}\n{examples}"


def _labels(labels: Mapping[str, Mapping[str, int]]) -> str:
    if not labels:
        return ""
    origins = {origin for counts in labels.values() for origin in counts}
    head = sorted(origins, key=lambda origin: (origin != "real", origin))
    rows = [
        row(label, [f"{counts.get(origin, 0):,}" for origin in head])
        for label, counts in labels.items()
    ]
    return (
        f"<h2>Labels</h2>\n{table('Texts of each label', ['label', *head], rows, style='numbers')}"
    )


def _samples(found: Report) -> str:
    parts: list[str] = []
    for group in found.samples:
        if group.label is not None:
            parts.append(f"<h3>Label {escape(group.label)}</h3>")
        if isinstance(group, OriginsOfLabel):
            parts.append(_side([column for column in group.columns if column]))
            continue
        for one in group.prompts:
            said = f'<p class="prompt">{escape(one.prompt)}</p>' if one.prompt else ""
            parts.append(f"{said}\n{_side([[text] for text in one.texts])}")
    return "<h2>Samples side by side</h2>\n" + "\n".join(parts) if parts else ""


def _side(columns: Sequence[Sequence[Sample]]) -> str:
    cells = []
    for texts in columns:
        inner = "".join(f"<p>{escape(one.text.strip()) or '(nothing)'}</p>" for one in texts)
        head = f'<span class="tag">{escape(texts[0].of)}</span>' if texts[0].of else ""
        cells.append(f"<div>{head}{inner}</div>")
    return '<div class="side">\n' + "\n".join(cells) + "\n</div>"


def _curves(found: Report) -> str:
    over = [group for group in found.groups if group.temperature is not None]
    drawn = "\n".join(charts.temperature_charts(found)) if len(over) > 1 else ""
    if drawn:
        drawn = f'<div class="charts">\n{drawn}\n</div>'
    else:
        why = "Only one temperature was used" if over else "The temperatures are not known"
        drawn = f'<p class="faint">{why}, so there are no curves.</p>'
    head, rows = charts.measured_rows(found)
    figures = table(
        "Figures of each temperature" if over and found.kind == "generate" else "Figures",
        head,
        [row(name, told) for name, *told in rows],
        style="numbers",
    )
    meanings = "\n".join(
        f"<dt>{measure.name}</dt><dd>{measure.meaning}</dd>"
        for measure in charts.MEASURES
        if measure.name in [name for name, *_ in rows]
    )
    measured, real = found.measured, found.real
    how = [
        f"Distinct-n is taken over {measured.distinct_words:,} words of each sample, as it "
        "falls with the number of words."
    ]
    if measured.bleu_texts:
        how.append(
            f"Self-BLEU, of up to four words in a row, is taken over {measured.bleu_texts:,} "
            "texts of each sample."
        )
    if real is not None:
        run = measured.copied_words
        how.append(f"A copy is a run of {run} or more words, case and punctuation aside.")
        how.append(f"Texts of the {real.name} are cut to the length of the longest drawn text.")
    explained = f'<dl class="meanings">\n{meanings}\n</dl>\n<p>{escape(" ".join(how))}</p>'
    return (
        f"<h2>{'Over temperature' if len(over) > 1 else 'Figures'}</h2>\n{drawn}\n{figures}\n"
        + fold("What the figures mean", explained)
    )


def _shapes(found: Report) -> str:
    """Distributions of lengths and of word frequencies, with the numbers behind them."""
    shapes = charts.chosen_shapes(found)
    drawn = "\n".join(charts.shape_charts(shapes))
    if not drawn:
        return ""
    tables = []
    for field, name, over in charts.DISTRIBUTIONS:
        columns = [dict(getattr(shape, field)) for shape in shapes]
        rows = [
            row(f"{x:,}", [f"{100 * c[x]:.3g}%" if x in c else "" for c in columns])
            for x in sorted({x for column in columns for x in column})
        ]
        head = [over, *(shape.name for shape in shapes)]
        tables.append(table(name, head, rows, style="numbers"))
    words = found.measured.distinct_words
    beside = "" if found.real is not None else " Real text was not measured."
    return (
        f'<h2>Lengths and word frequencies</h2>\n<div class="charts two">\n{drawn}\n</div>\n'
        f'<p class="faint">Word frequencies are counted over at most {words:,} words of each.'
        f"{beside}</p>\n{fold('The numbers behind these pictures', chr(10).join(tables))}"
    )


def _agreement(found: Agreement | None) -> str:
    """The label asked for against the one a classifier gives, as shares of each row."""
    if found is None or not found.labels:
        return ""
    rows = []
    for label, counts in zip(found.labels, found.matrix, strict=True):
        total = sum(counts) or 1
        cells = [
            f'<td class="q{round(10 * n / total)}">{n:,.6g}<br><span class="tag">'
            f"{n / total:.0%}</span></td>"
            for n in counts
        ]
        rows.append([*row(label, ()), *cells])
    same = sum(counts[i] for i, counts in enumerate(found.matrix))
    total = sum(map(sum, found.matrix)) or 1
    pairs = table("Rows of each pair", ["", *found.labels], rows, style="matrix")
    meaning = "Down: the label asked for. Across: the label that a classifier gives."
    said = f"<p>{same / total:.1%} agree. {meaning}</p>"
    return f"<h2>Do the labels agree?</h2>\n{said}\n{pairs}"


_READERS = {
    ".csv": "read_csv({})", ".tsv": 'read_csv({}, sep="\\t", quoting=3)',
    ".tab": 'read_csv({}, sep="\\t", quoting=3)',
    ".jsonl": "read_json({}, lines=True)", ".ndjson": "read_json({}, lines=True)",
    ".parquet": "read_parquet({})",
}  # fmt: skip
_CODE = """\
import pandas
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

rows = pandas.{reader}
vectorizer = TfidfVectorizer()
words = vectorizer.fit_transform(rows[{text}])
linear = LogisticRegression()
linear.fit(words, rows[{label}], sample_weight=rows[{weight}])

import keras

kinds = rows[{label}].astype("category").cat
network = keras.Sequential([keras.layers.Dense(len(kinds.categories), activation="softmax")])
network.compile("adam", "sparse_categorical_crossentropy")
weights = rows[{weight}].to_numpy()
network.fit(words.toarray(), kinds.codes, sample_weight=weights, verbose=0)
"""


def _use(found: Report) -> str:
    """For which classifier the added rows are meant, with code for both kinds."""
    asked = found.asked.get("settings", {})
    text, label = str(asked.get("text")), str(asked.get("label"))
    (weight,) = added_columns((text, label), ["weight"])
    reader = _READERS.get(os.path.splitext(found.name)[1].lower())
    if reader is None:
        return ""
    names = {"text": repr(text), "label": repr(label), "weight": repr(weight)}
    code = _CODE.format(reader=reader.format(repr(found.name)), **names)
    weighed = f"the column <code>{escape(weight)}</code> (1 for real rows, {ADDED_WEIGHT:g} for "
    if PSEUDO in asked.get("methods", ()):
        said = (
            "Texts that people wrote, with the judges' labels, are of use to neural and to linear "
            f"classifiers, with {weighed}added ones) or without it."
        )
    else:
        said = (
            "They are meant for neural classifiers, which gain most. A linear classifier counts "
            f"words; with {weighed}added ones) it loses nothing."
        )
    shown_code = f"<pre>{escape(code)}</pre>"
    folded = fold("Code for scikit-learn and Keras", shown_code)
    return f"<h2>What are the rows for?</h2>\n<p>{said}</p>\n{folded}"


def _check(gains: Sequence[Gain] | None) -> str:
    """What the added rows did to classifiers, with confidence intervals."""
    if not gains:
        return ""
    rows = []
    for gain in gains:
        points = map(shown, (gain.without, gain.augmented, gain.gain, gain.low, gain.high))
        verdict = f'<td class="words">{escape(gain.verdict)}</td>'
        rows.append([*row(gain.classifier, points), verdict])
    accuracies = table(
        "Accuracy in points, without and with the added rows",
        ["classifier", "without", "with", "gain", "from", "to", "verdict"],
        rows,
        style="numbers verdicts",
    )
    said = "<br>".join(
        f"{escape(gain.classifier)}: <b>{escape(gain.verdict)}</b>" for gain in gains
    )
    return f"<h2>Does it help?</h2>\n<p>{said}</p>\n{charts.gain_chart(gains)}\n{accuracies}"
