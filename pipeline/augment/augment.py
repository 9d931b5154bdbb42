"""Learns from a labelled table, writes more rows, keeps the good ones (`textmill augment`)."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError, UsageError
from textmill.model.network.directory import check_free, load_model
from textmill.model.reporter import Reporter
from textmill.model.small_files import json_object
from textmill.pipeline.augment.candidates import (
    AugmentRun,
    Clock,
    Made,
    level_of,
    make_candidates,
)
from textmill.pipeline.augment.classifiers import (
    ADDED_WEIGHT,
    CLASSIFIERS,
    UNSPACED,
    needs_scikit_learn,
)
from textmill.pipeline.augment.edits import Candidate
from textmill.pipeline.augment.filters import FilterSettings
from textmill.pipeline.augment.folder import NOT_NEEDED, REAL, AugmentFolder, added_columns
from textmill.pipeline.augment.gain import CheckSettings
from textmill.pipeline.augment.gain import check as measure
from textmill.pipeline.augment.settings import GENERATED, PSEUDO, AugmentSettings
from textmill.pipeline.augment.table import (
    Labelled,
    Rows,
    check_ending,
    read_labelled,
    write_table,
)
from textmill.pipeline.engines.launch import HERE, Launch
from textmill.pipeline.files.filesystem import (
    make_directory,
    read,
    remove,
    remove_attempts,
    sha256,
    write_once,
)
from textmill.pipeline.job.generate import Progress
from textmill.pipeline.output.formats import json_lines, json_page

MOST_ROWS = 10_000  # the model learns from at most this many
_FEW = 10  # a label with fewer rows gets a warning
_UNSPACED = re.compile(f"[{UNSPACED}]")
_UNSPACED_SHARE = 0.3
_CHECKS = 5  # parts of the real rows; each is held out once


def augment(
    data: str,
    *,
    out: str,
    settings: AugmentSettings,
    filters: FilterSettings,
    launch: Launch = HERE,
    resume: bool = False,
    check: bool = False,
    report: Reporter,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Augments a table; writes `out` and the folder beside it.

    Args:
        data: path of the table.
        out: path of the new table; the ending of its name says its kind.
        settings: what is asked for.
        filters: which candidates are kept.
        launch: where the generation runs.
        resume: whether to go on with a stopped run into `out`.
        check: whether to measure what the added rows are worth, see `_checked`.
        report: receives news of the training.
        progress: called with the progress of the generation.

    Returns:
        The contents of augment.json.

    Raises:
        Interrupted: Ctrl-C stopped the run; what is finished is kept.
        TextmillError: the table cannot be used, or the output cannot be written.
    """
    check_ending(out, "the output")
    needs_scikit_learn()
    if importlib.util.find_spec("datasketch") is None:
        raise TextmillError("augment needs datasketch: pip install 'textmill[augment]'")
    clock, folder = Clock(), AugmentFolder.beside(out)
    if resume and os.path.exists(out) and os.path.exists(folder.about):
        _compare(folder, _asked(data, settings, filters))
        remove_attempts(folder.path)
        report.message(f"{out} is finished")
        return json.loads(read(folder.about))
    if os.path.exists(out):
        raise TextmillError(f"{out} already exists; name another file or remove it first")
    with clock.of("read"):
        table = read_labelled(
            data, text=settings.text, label=settings.label, encoding=settings.encoding
        )
        rows = _usable(table, settings, report)
        if settings.unlabelled and GENERATED in settings.methods:
            report.message(
                "the texts of --unlabelled help about three times as much with the classifier's "
                "labels as rows that a model writes (docs/benchmarks.md): leave --with out to get "
                "them"
            )
        asked = _asked(data, settings, filters)
        _begin(folder, asked, resume=resume)
    run = AugmentRun(
        settings=settings, filters=filters, launch=launch, report=report, progress=progress
    )
    found = make_candidates(folder, rows, run, known=table.rows.texts, clock=clock)
    wanted = settings.wanted(rows.labels)
    text, label = table.columns
    about = {
        "settings": {
            **asked["settings"], "text": text, "label": label, "out": os.path.basename(out)
        },
        "seed": settings.seed,
        "thresholds": {**asdict(filters), "max_copied": filters.copied(level_of(settings))},
        "counts": _counts(table, rows, wanted, found),
        "agreement": _agreement(found),
        "seconds": clock.seconds,
    }  # fmt: skip
    if check:
        with clock.of("check"):
            about["check"] = _checked(folder, rows, run)
    _write(out, folder, table, rows, found, about, probabilities=settings.probabilities)
    _tell(wanted, found, report)
    return about


def _checked(folder: AugmentFolder, rows: Rows, run: AugmentRun) -> list[dict[str, Any]]:
    """Measures the gain of added rows, which are made again without each held-out part.

    A model of all rows writes words of the held-out rows with their labels. Measured with such
    rows, a gain of nothing on TREC looked like 33 points.
    """
    parts = itertools.count(1)

    def augment_part(texts: Sequence[str], labels: Sequence[str], seed: int) -> list[Candidate]:
        part = next(parts)
        run.report.message(
            f"check {part} of {_CHECKS}: a new model learns without a part of the real rows"
        )
        rest = Rows(list(texts), list(labels), numbers=[])
        return make_candidates(folder.check(part), rest, run, clock=Clock()).kept

    asked = CheckSettings(
        classifiers=tuple(CLASSIFIERS), folds=_CHECKS, seeds=1, seed=run.settings.seed
    )
    gains = measure(rows.texts, rows.labels, augment_part, settings=asked)
    for gain in gains:
        run.report.message(gain.sentence())
    return [gain.record() for gain in gains]


# -- the table -------------------------------------------------------------------------------------


def _usable(table: Labelled, settings: AugmentSettings, report: Reporter) -> Rows:
    """Gives the rows to learn from; reports what is left out, and labels with few rows.

    Raises:
        TextmillError: the model cannot learn from them.
    """
    for why, count in table.left_out.items():
        report.message(f"the model does not learn from {count:,} rows with {why}; they are kept")
    rows = table.rows
    counts = Counter(rows.labels)
    if len(counts) == 1:
        raise TextmillError(
            f"all {len(rows.labels):,} rows have the label {rows.labels[0]!r}; a classifier "
            "needs two labels. For more text of one kind: textmill train, textmill generate"
        )
    if len(counts) > max(len(rows.labels) / 2, 2):
        raise TextmillError(
            f"the column '{settings.label}' holds {len(counts):,} labels in "
            f"{len(rows.labels):,} rows; name the column of labels with --label"
        )
    characters = "".join("".join(rows.texts[:1000]).split())
    if settings.level != "char":
        share = len(_UNSPACED.findall(characters)) / max(len(characters), 1)
        if share > _UNSPACED_SHARE:
            raise UsageError(
                "the texts are in a script without spaces between words; give --level char, which "
                "takes characters for words"
            )
    few = {label: n for label, n in sorted(counts.items()) if n < _FEW}
    if few:
        told = ", ".join(f"{label} {n}" for label, n in list(few.items())[:10])
        report.message(
            f"some labels have fewer than {_FEW} rows, so that the classifier can hardly judge "
            f"what is added to them: {told}"
        )
    if len(rows.texts) <= MOST_ROWS:
        return rows
    random, chosen = np.random.default_rng(settings.seed), []
    names = np.array(rows.labels)
    for label, n in sorted(counts.items()):
        share = math.ceil(MOST_ROWS * n / len(names))
        chosen += random.permutation(np.flatnonzero(names == label))[:share].tolist()
    report.message(
        f"with more than {MOST_ROWS:,} rows, the model learns from {len(chosen):,} of them; the "
        "output keeps all. --seed chooses them, and --per-example counts only these"
    )
    return rows.chosen(sorted(chosen))


# -- the folder ------------------------------------------------------------------------------------


def _asked(data: str, settings: AugmentSettings, filters: FilterSettings) -> dict[str, Any]:
    """Gives what was asked for; a resume must ask for the same."""
    told = json.loads(json.dumps({**asdict(settings), **asdict(filters)}))
    told["unlabelled"] = [os.path.basename(path) for path in told["unlabelled"]]
    if settings.init_from is not None:
        told["init_from"] = load_model(settings.init_from).fingerprint
    return {"settings": {**told, "data": os.path.basename(data)}, "data": sha256(read(data))}


def _begin(folder: AugmentFolder, asked: dict[str, Any], *, resume: bool) -> None:
    """Claims the folder, or checks that the run in it asked for the same."""
    place = folder.settings
    if resume:
        remove_attempts(folder.path)
    if resume and os.path.exists(place):
        _compare(folder, asked)
        for path in (folder.rejected, folder.about):
            remove(path)
        return
    try:
        check_free(folder.path)
    except TextmillError as error:
        raise TextmillError(f"{error}, or go on with --resume") from None
    make_directory(folder.path)
    write_once(place, json_page(asked))


def _compare(folder: AugmentFolder, asked: dict[str, Any]) -> None:
    """Refuses to go on with a run that asked for something else."""
    place = folder.settings
    before = json_object(read(place), name=place, cure="remove it and begin anew")
    if not isinstance(before.get("settings"), dict):
        raise TextmillError(f"{place} is damaged: it tells of no run; remove it and begin anew")
    if before.get("data") != asked["data"]:
        raise TextmillError(f"the run in {folder.path} began with another table")
    for name, value in asked["settings"].items():
        if before["settings"].get(name) != value:
            raise TextmillError(
                f"the run in {folder.path} began with --{name.replace('_', '-')} "
                f"{before['settings'].get(name)}, now it is {value}; give the same or another --out"
            )


# -- the output ------------------------------------------------------------------------------------


def _counts(table: Labelled, rows: Rows, wanted: Mapping[str, int], found: Made) -> dict[str, Any]:
    candidates, choice = found.candidates, found.choice
    real = Counter(rows.labels)
    asked = Counter(c.label for c in candidates)
    kept = Counter(candidates[i].label for i in choice.kept)
    return {
        "real": len(table.cells),
        "learned": len(rows.texts),
        "left_out": table.left_out,
        "candidates": len(candidates),
        "wanted": sum(wanted.values()),
        "kept": len(choice.kept),
        "rejected": choice.counts(),
        "labels": {
            label: {
                "real": real[label],
                "wanted": wanted[label],
                "candidates": asked[label],
                "kept": kept[label],
            }
            for label in wanted
        },
    }


def _agreement(found: Made) -> dict[str, Any]:
    """Counts candidates by the label asked for (rows) and the classifiers' label (columns)."""
    candidates, scores = found.candidates, found.scores
    pairs = Counter(zip((c.label for c in candidates), (s.predicted for s in scores), strict=True))
    names = sorted({name for pair in pairs for name in pair})
    return {"labels": names, "matrix": [[pairs[a, b] for b in names] for a in names]}


_COLUMNS = ("source", "confidence", "copied", "similarity", "loops", "perplexity")


def _write(
    out: str,
    folder: AugmentFolder,
    table: Labelled,
    learned: Rows,
    found: Made,
    about: dict[str, Any],
    *,
    probabilities: bool,
) -> None:
    """Writes the folder's files and, last, the table; if the table is there, all is there."""
    candidates, choice = found.candidates, found.choice
    records = [
        {"source": None if c.source is None else learned.numbers[c.source], **own.record()}
        for c, own in zip(candidates, found.scores, strict=True)
    ]
    rejected = [
        {
            "text": candidates[i].text, "label": candidates[i].label,
            "origin": candidates[i].origin, "reason": choice.reasons[i], **records[i],
        }
        for i in sorted(choice.reasons)
    ]  # fmt: skip
    write_once(folder.rejected, json_lines(rejected))
    write_once(folder.about, json_page(about))
    used = dict(zip(table.rows.numbers, table.rows.labels, strict=True))
    cells = {label: table.cells[number - 1][1] for number, label in used.items()}
    labels = sorted(cells) if probabilities else []
    columns = added_columns(
        table.columns, ["origin", "weight", *_COLUMNS, *(f"p_{label}" for label in labels)]
    )
    nothing = [None] * len(_COLUMNS)

    def rows() -> Iterator[Sequence[Any]]:
        for number, (text, label) in enumerate(table.cells, start=1):
            known = used.get(number)
            sure = [None if known is None else float(name == known) for name in labels]
            yield [text, label, REAL, 1.0, *nothing, *sure]
        for i in choice.kept:
            own, scores = candidates[i], (records[i][name] for name in _COLUMNS)
            p = (round(found.scores[i].probabilities.get(name, 0.0), 4) for name in labels)
            yield [own.text, cells[own.label], own.origin, ADDED_WEIGHT, *scores, *p]

    write_table(out, [*table.columns, *columns], rows(), attempts=folder.path)


def _tell(wanted: Mapping[str, int], found: Made, report: Reporter) -> None:
    candidates, choice = found.candidates, found.choice
    kept = Counter(candidates[i].label for i in choice.kept)
    short = [f"{label} {kept[label]:,} of {n:,}" for label, n in wanted.items() if kept[label] < n]
    if short:
        reasons = [(why, n) for why, n in choice.counts().items() if why != NOT_NEEDED]
        why = ", ".join(f"{reason} {n:,}" for reason, n in reasons[:3])
        because = f"; most were rejected for: {why}" if why else ""
        if any(candidate.origin == PSEUDO for candidate in candidates):
            because += ". More texts in --unlabelled give more rows"
        report.message(
            f"fewer rows than wanted passed the filters: {', '.join(short[:10])}{because}"
        )
