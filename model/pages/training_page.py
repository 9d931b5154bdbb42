"""training.html: how a training went, as one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from textmill.model.pages.escaping import escape
from textmill.model.pages.pieces import (
    STYLE,
    facts,
    fold,
    html_page,
    rounded,
    row,
    shown,
    table,
    tiles,
)
from textmill.model.pages.svg import Chart, Curve, number

_CURVES = """
:root { --train: #b45309; --valid: #1d4ed8; }
@media (prefers-color-scheme: dark) { :root { --train: #f0a35e; --valid: #8ab0ff; } }
.train { stroke: var(--train); stroke-dasharray: 6 4; } .valid { stroke: var(--valid); }
circle.train { fill: var(--train); stroke: none; } circle.valid { fill: var(--valid); }
"""


def training_page(training: dict[str, Any], title: str) -> str:
    """Makes the page of a training.

    A summary, curves, samples; behind folds the samples of the other validations, a table of the
    curves' numbers, settings and versions. It has no scripts and loads nothing. What is not a
    finite number has no point in a curve and stands in the table as it is.

    Args:
        training: as `SavedModel.training`; any key may be absent. `history` holds a dict for each
            validation, `samples` dicts of `epoch`, `temperature` and `text`.
        title: the page's title and heading, not escaped yet.
    """
    history = training.get("history") or []
    metrics = training.get("metrics") or {}
    about = {key: training[key] for key in ("corpus", "versions", "machine") if key in training}
    settings = {key: training[key] for key in ("settings", "recipe") if training.get(key)}
    body = "\n".join(
        (
            _summary(training, metrics),
            _curves(history),
            _samples(training.get("samples") or [], _best_epoch(history)),
            "<h2>All numbers</h2>",
            fold("Figures", _metrics(metrics, _unit(training))),
            fold(f"Each of the {len(history):,} validations", _history_table(history)),
            fold("Settings", "".join(facts(k.capitalize(), v) for k, v in settings.items())),
            fold("Corpus and versions", facts("Corpus and versions", about)),
        )
    )
    return html_page(title, body, style=STYLE + _CURVES)


# -- the summary -----------------------------------------------------------------------------------

_WHY_IT_STOPPED = {
    "epochs": "It stopped after the passes that were asked for.",
    "minutes": "It stopped when its time was over.",
    "patience": "It stopped early: the validation perplexity did not fall any more.",
    "enough": "It stopped when the validation perplexity was low enough.",
    "diverged": "It stopped because it diverged; the best weights before that are kept.",
    "interrupted": "It was interrupted; the best weights until then are kept.",
}


def _number(value: Any) -> str:
    return rounded(value) if isinstance(value, int | float) else str(value)


def _percent(value: Any) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else str(value)


def _duration(value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    if value < 120:
        return f"{rounded(value)} s"
    return f"{value / 60:,.1f} min" if value < 7200 else f"{value / 3600:,.1f} h"


# Of the metrics: a name for people and how the value is told, units included.
_METRICS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "test_perplexity": ("test perplexity", _number),
    "valid_perplexity": ("best validation perplexity", _number),
    "test_bits_a_character": ("test, bits a character", _number),
    "test_unknown_rate": ("unknown words in the test", _percent),
    "test_words": ("words of the test", _number),
    "train_words": ("words to learn from", _number),
    "vocabulary": ("words in the vocabulary", _number),
    "epochs": ("passes over the text", _number),
    "seconds": ("time", _duration),
    "words_a_second": ("words a second", _number),
    "share_of_time_waiting_for_data": ("share of the time that it waited for data", _percent),
    "stopped": ("stopped by", str),
}
_FIRST = (
    "test_perplexity", "valid_perplexity", "test_unknown_rate",
    "train_words", "vocabulary", "epochs", "seconds",
)  # fmt: skip


def _summary(training: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """What was learned from, how well, and why it ended."""
    unit = _unit(training)
    told = [
        (name.replace("word", unit), tell(metrics[key]))
        for key, (name, tell) in _METRICS.items()
        if key in _FIRST and metrics.get(key) is not None
    ]
    corpus = training.get("corpus")
    sources = corpus.get("sources") if isinstance(corpus, dict) else None
    names = [str(source.get("name")) for source in sources or () if isinstance(source, dict)]
    more = f" and {len(names) - 3:,} more files" if len(names) > 3 else ""
    said = f"It learned from {', '.join(names[:3])}{more}. " if names else ""
    said += _WHY_IT_STOPPED.get(str(metrics.get("stopped")), "")
    if told:
        said += (
            f" A perplexity of 80 means that the model is, on average, as unsure of the next "
            f"{unit} as if it chose among 80 {unit}s. Lower is better."
        )
    return f"<p>{escape(said.strip())}</p>\n{tiles(told)}" if said.strip() else ""


def _unit(training: Mapping[str, Any]) -> str:
    """What the model writes one after the other."""
    settings = training.get("settings")
    vocabulary = settings.get("vocabulary") if isinstance(settings, dict) else None
    level = vocabulary.get("level") if isinstance(vocabulary, dict) else None
    return "character" if level == "char" else "word"


def _metrics(metrics: Mapping[str, Any], unit: str) -> str:
    rows = []
    for key in [
        *(key for key in _METRICS if key in metrics),
        *(key for key in metrics if key not in _METRICS),
    ]:
        name, tell = _METRICS.get(key, (str(key).replace("_", " "), None))
        value = metrics[key]
        cell = shown(value) if tell is None or value is None else escape(tell(value))
        rows.append(row(name.replace("word", unit) if key in _METRICS else name, [cell]))
    if not rows:
        return ""
    return table("Figures of the training", ["figure", "value"], rows, style="facts")


# -- curves ----------------------------------------------------------------------------------------

_PERPLEXITIES = {"train_perplexity": "training", "valid_perplexity": "validation"}
_RATE = {"learning_rate": "learning rate"}
_COLUMNS = {
    "train_perplexity": "training perplexity",
    "valid_perplexity": "validation perplexity",
    "seconds": "seconds (s)",
}


def _curves(history: Sequence[dict[str, Any]]) -> str:
    if not history:
        return '<p class="faint">There was no validation, so there are no curves.</p>'
    figures = [
        _figure(history, _PERPLEXITIES, over="epoch", name="Perplexity over epochs", log=True),
        _figure(history, _PERPLEXITIES, over="seconds", name="Perplexity over seconds", log=True),
    ]
    if any("learning_rate" in row for row in history):
        figures.append(_figure(history, _RATE, over="epoch", name="Learning rate over epochs"))
    drawn = "\n".join(figures)
    return f'<h2>Curves</h2>\n<div class="charts">\n{drawn}\n</div>'


def _figure(
    history: Sequence[dict[str, Any]],
    columns: Mapping[str, str],
    *,
    over: str,
    name: str,
    log: bool = False,
) -> str:
    """Draws a line chart; a row without the number in question breaks its line.

    Args:
        columns: keys of the history, each with its name for people.
    """
    curves, said, best = [], [], []
    for key, label in columns.items():
        style = "train" if key == "train_perplexity" else "valid"
        pairs = [(number(row.get(over)), number(row.get(key), log)) for row in history]
        points = [None if x is None or y is None else (x, y) for x, y in pairs]
        curves.append(Curve(name=label, style=style, points=points))
        said.append(_said(label, [y for _, y in pairs if y is not None]))
        if key == "valid_perplexity":
            best = sorted((point for point in points if point is not None), key=lambda p: p[1])[:1]
    said += [f"The best validation is {rounded(y)}, at {over} {rounded(x)}." for x, y in best]
    svg = Chart(
        ident=f"{over}-{next(iter(columns))}", name=name, over=over, curves=curves,
        said=" ".join(said), log_y=log, rings=best, width=380, height=250, right=14,
    ).svg()  # fmt: skip
    if svg is None:
        return f'<p class="faint">{name}: there is no number to show.</p>'
    dashes = {"train": "dashed", "valid": "solid"}
    legend = ", ".join(f"{curve.name} ({dashes[curve.style]})" for curve in curves)
    ring = "; the ring marks the best" if best else ""
    return f"""<figure>
{svg}
<figcaption><b>{name}</b>{", log scale" if log else ""}: {legend}{ring}.</figcaption>
</figure>"""


def _said(name: str, values: Sequence[float]) -> str:
    if not values:
        return f"There is no number for {name}."
    return (
        f"{name.capitalize()} goes from {rounded(values[0])} to {rounded(values[-1])}, "
        f"{len(values)} points."
    )


def _history_table(history: Sequence[dict[str, Any]]) -> str:
    if not history:
        return ""
    keys = list(dict.fromkeys(key for row in history for key in row))
    head = [_COLUMNS.get(str(key), str(key).replace("_", " ")) for key in keys]
    rows = [[f"<td>{shown(row.get(key, ''))}</td>" for key in keys] for row in history]
    return table("Each validation", head, rows, style="numbers")


def _best_epoch(history: Sequence[dict[str, Any]]) -> Any:
    """The epoch of the lowest validation perplexity; None without any."""
    known = [(number(row.get("valid_perplexity"), True), row.get("epoch")) for row in history]
    return min(((y, x) for y, x in known if y is not None), key=lambda p: p[0], default=(0, None))[
        1
    ]


# -- samples ---------------------------------------------------------------------------------------


def _samples(samples: Sequence[dict[str, Any]], best: Any) -> str:
    """The first validation, one in the middle and the last; the others behind a fold.

    Args:
        samples: dicts of `epoch`, `temperature` and `text`, by epoch.
        best: the epoch with the lowest validation perplexity.
    """
    groups = [(epoch, list(g)) for epoch, g in groupby(samples, key=lambda s: s.get("epoch", ""))]
    if not groups:
        return ""
    seen = {0, len(groups) // 2, len(groups) - 1}
    drawn = [_of_validation(epoch, texts, best) for epoch, texts in groups]
    open_ones = "\n".join(text for i, text in enumerate(drawn) if i in seen)
    others = [text for i, text in enumerate(drawn) if i not in seen]
    said = f"Samples of the {len(others):,} other validations"
    if len(others) == 1:
        said = "Samples of the other validation"
    return (
        '<h2>Samples</h2>\n<p class="faint">What the model wrote at a validation, after no prompt. '
        "A higher temperature makes it choose more freely.</p>\n"
        f"{open_ones}\n{fold(said, chr(10).join(others))}"
    )


def _of_validation(epoch: Any, texts: Sequence[dict[str, Any]], best: Any) -> str:
    cells = "\n".join(
        f'<div><span class="tag">temperature {shown(sample.get("temperature", ""))}</span>'
        f"<p>{shown(sample.get('text', '')) or '(nothing)'}</p></div>"
        for sample in texts
    )
    mark = ", the best validation" if best is not None and epoch == best else ""
    return f'<h3>Epoch {shown(epoch)}{mark}</h3>\n<div class="side">\n{cells}\n</div>'
