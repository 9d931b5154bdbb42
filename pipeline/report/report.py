"""`textmill report`: the pictures and figures of an output of `generate` or `augment`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from textmill.model.errors import SettingError, TextmillError
from textmill.model.text.corpus import CorpusSettings
from textmill.pipeline.augment.folder import AUGMENT, NOT_NEEDED, Augmented
from textmill.pipeline.augment.gain import Gain
from textmill.pipeline.augment.settings import GENERATED
from textmill.pipeline.files.filesystem import (
    absolute,
    join,
    make_directory,
    names,
    remove,
    write_once,
)
from textmill.pipeline.job.manifest import MANIFEST, REPORT, read_manifest, read_statistics
from textmill.pipeline.job.verify import Verdict, read_rows
from textmill.pipeline.output.columns import Column
from textmill.pipeline.output.formats import Format
from textmill.pipeline.report.figures import Agreement, Report, as_json
from textmill.pipeline.report.measuring import RealTexts, compare
from textmill.pipeline.report.metrics import has_bleu, plain_words
from textmill.pipeline.report.page import report_page
from textmill.pipeline.report.tally import Group, Rejections, Rows, Stream, Table


def report(
    directory: str | os.PathLike[str],
    *,
    corpus: CorpusSettings | str | os.PathLike[str] | None = None,
    copied_words: int = 8,
    out: str | os.PathLike[str] | None = None,
) -> Report:
    """Reads an output once and writes report.html and report.json.

    Args:
        directory: that `generate` made, or FILE.augment of `augment`.
        corpus: what the model was trained on: a text file, or settings that read it. Without it
            copying and the lengths and word frequencies of real texts are not measured, except of
            an augmentation, whose real rows are there.
        copied_words: from so many words in a row on a text is a copy.
        out: where the two files go; None means the directory itself.

    Returns:
        What report.json holds.

    Raises:
        TextmillError: there is no finished output, it is damaged, or the corpus cannot be read.

    Examples:
        >>> textmill.report("out").measured.texts
        1
    """
    if copied_words < 1:
        raise SettingError("copied_words", "a whole number of at least 1", copied_words)
    directory = os.fspath(directory)
    if isinstance(corpus, str | os.PathLike):
        corpus = CorpusSettings(paths=(os.fspath(corpus),))
    inside = names(directory)
    if AUGMENT in inside:
        told, groups, real = _of_augment(directory)
    elif MANIFEST in inside:
        told, groups, real = _of_generate(directory)
    else:
        raise TextmillError(
            f"{directory} holds no finished output: neither {MANIFEST} of generate nor {AUGMENT} "
            "of augment"
        )
    if corpus is not None:  # read as training reads it
        read_corpus = corpus.read()
        texts = [plain_words(text) for text in read_corpus.texts]
        real = RealTexts("corpus", texts, read_corpus.sources)
    figures, beside, measured = compare(groups, real, copied_words=copied_words)
    told["notes"] = (*told["notes"], *_not_measured(real))
    found = Report(**told, groups=figures, real=beside, measured=measured)
    place = directory if out is None else os.fspath(out)
    text = json.dumps(as_json(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    make_directory(place)
    for name, content in zip(REPORT, (report_page(found), text), strict=True):
        path = join(place, name)
        remove(path)  # of an earlier report
        write_once(path, content.encode("utf-8", "replace"))
    return found


@contextmanager
def _damage_of(place: str, *, cure: str) -> Iterator[None]:
    """Turns what goes wrong with a file's content into one line."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, SettingError) as error:
        raise TextmillError(
            f"{place} is damaged ({type(error).__name__} {error}); {cure}"
        ) from None


# What is told of an output without measuring: fields of `Report`, texts to measure, real texts.
_Told = tuple[dict[str, Any], list[Group], RealTexts | None]


def _of_generate(directory: str) -> _Told:
    manifest = read_manifest(directory)
    stream = _streamed(directory, manifest)
    with _damage_of(directory, cure=_verify(directory)):
        rejected = read_statistics(directory, manifest)["rejected"]["by_reason"]
        asked = {n: manifest[n] for n in ("model", "settings", "input", "output", "versions")}
        asked["prompts"] = [file["name"] for file in manifest["prompts"]]
        reasons = {str(name): int(n) for name, n in rejected.items()}
        counts = {str(name): int(n) for name, n in manifest["counts"].items()}
        form = Format(**manifest["output"])
    notes = []
    if form.name == "text":
        notes.append(
            "The output is of the format text, which holds the texts alone: prompts, temperatures, "
            "labels and log-probabilities cannot be shown. Another --format has them."
        )
    told = {
        "kind": "generate",
        "name": _name(directory),
        "asked": asked,
        "counts": counts,
        "rejected": Rejections(reasons).reasons(),
        "labels": {label: {"texts": n} for label, n in sorted(stream.labels.items())},
        "samples": stream.samples(),
        "browse": stream.browse(),
        "notes": notes,
    }
    return told, stream.groups(), None


def _streamed(directory: str, manifest: Mapping[str, Any]) -> Stream:
    stream, verdict = Stream(), Verdict()
    with _damage_of(directory, cure=_verify(directory)):
        form = Format(**manifest["output"])
        columns = tuple(Column(**column) for column in manifest["columns"])
        for shard in manifest["shards"]:
            name, echo = shard["name"], manifest["settings"]["echo"]
            rows = read_rows(join(directory, name), shard["sha256"], form, columns, verdict)
            if verdict.problems:
                raise TextmillError(f"{verdict.problems[0]}; {_verify(directory)}")
            for number, row in enumerate(rows):
                stream.add({"id": f"{name}:{number}#1", **row}, echo=echo)
    return stream


def _verify(directory: str) -> str:
    return f"textmill verify {directory} tells more"


def _of_augment(directory: str) -> _Told:
    augmented, table, browsed = Augmented.open(directory), Table(), Rows()
    about, place = augmented.about, augmented.generated
    for number, row in enumerate(augmented.rows()):
        table.add(number, row)
        browsed.add(number, row)
    asked = {"settings": about["settings"], "thresholds": about.get("thresholds")}
    candidates = []
    if place is not None:
        manifest = read_manifest(place)
        candidates = _streamed(place, manifest).groups()
        asked["model"] = manifest["model"]
    for group in candidates:
        group.name = f"candidates, {group.name}"
    gone = "The candidates as they were generated are gone: there are no temperatures."
    lost = place is None and GENERATED in about["settings"].get("methods", (GENERATED,))
    rejections, unneeded = _rejections(augmented, browsed)
    with _damage_of(join(directory, AUGMENT), cure="run augment again"):
        agreement, check = about.get("agreement"), _gains(about.get("check"))
        if agreement is not None:
            agreement = Agreement(labels=agreement["labels"], matrix=agreement["matrix"])
    counts = {name: n for name, n in about["counts"].items() if isinstance(n, int)}
    told = {
        "kind": "augment",
        "name": _name(augmented.table),
        "asked": asked,
        "counts": {**counts, "rejected": rejections.counts.total(), "not_needed": unneeded},
        "rejected": rejections.reasons(),
        "labels": table.labels(),
        "samples": table.samples(),
        "browse": browsed.browse(),
        "agreement": agreement,
        "check": check,
        "notes": [gone] if lost else [],
    }
    return told, [*candidates, *table.groups()], RealTexts("real rows", table.real)


def _rejections(augmented: Augmented, browsed: Rows) -> tuple[Rejections, int]:
    """Counts candidates that did not pass, and those that were not needed.

    Their rows are counted if their file is there; else the counts are those of augment.json.
    """
    found, unneeded = Rejections(), 0
    for number, row in enumerate(augmented.rejected()):
        browsed.add(number, row)
        if row.reason == NOT_NEEDED:
            unneeded += 1
        else:
            found.add(number, row)
    told = augmented.about["counts"].get("rejected")
    if not found.counts and not unneeded and isinstance(told, dict):
        counts = {str(k): n for k, n in told.items() if isinstance(n, int)}
        unneeded = counts.pop(NOT_NEEDED, 0)
        return Rejections(counts), unneeded
    return found, unneeded


def _name(path: str) -> str:
    """The name of a run's directory or table."""
    return os.path.basename(absolute(path)) or path


def _gains(told: Any) -> tuple[Gain, ...] | None:
    """Of the records that `Gain.record` made."""
    if told is None:
        return None
    gains = tuple(Gain(augmented=row.pop("with"), **row) for row in map(dict, told))
    if [gain.record() for gain in gains] != told:
        raise ValueError("its check holds no gains")
    return gains


def _not_measured(real: RealTexts | None) -> Iterator[str]:
    if not has_bleu():
        yield "Self-BLEU was not measured: pip install 'textmill[report]' brings it."
    if real is None:
        yield (
            "Without the training corpus (--corpus FILE...) neither copied text was measured nor "
            "the lengths and word frequencies of real text."
        )
