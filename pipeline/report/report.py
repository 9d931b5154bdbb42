"""`textmill report`: the pictures and figures of an output of `generate` or `augment`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from textmill.model.errors import SettingError, TextmillError, UsageError
from textmill.model.text.corpus import Source, read_corpus, read_table
from textmill.pipeline.augment.folder import AUGMENT, REAL, Augmented
from textmill.pipeline.files.filesystem import join, make_directory, names, read, remove, write_once
from textmill.pipeline.job.manifest import MANIFEST, REPORT, STATS, read_manifest
from textmill.pipeline.job.verify import Verdict, read_rows
from textmill.pipeline.output.columns import Column
from textmill.pipeline.output.formats import Format
from textmill.pipeline.report.metrics import CopyIndex, Words, has_bleu, plain_words, rank_frequency
from textmill.pipeline.report.page import report_page
from textmill.pipeline.report.tally import (
    BLEU_TEXTS,
    MOST_GROUPS,
    MOST_LABELS,
    SAMPLE,
    SHOWN,
    Group,
    Lowest,
    Sampled,
    Stream,
)

FORMAT = 1  # of report.json
_EXAMPLES = 2  # for each reason
_POINTS = 60  # of a curve


@dataclass(frozen=True, kw_only=True)
class CorpusFiles:
    """The training corpus, read as training reads it.

    Attributes:
        paths: files or patterns. mode: `stream` or `lines`; None means lines for tables.
        text: the column of a table. encoding: of the files.
    """

    paths: tuple[str, ...]
    mode: str | None = None
    text: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if self.mode is None:
            object.__setattr__(self, "mode", "stream" if self.text is None else "lines")
        tables = [path for path in self.paths if path.endswith((".csv", ".tsv", ".jsonl"))]
        if tables and self.text is None:
            raise UsageError(f"{tables[0]} is a table; name its column with --text")


@dataclass(frozen=True)
class _Real:
    """Texts that people wrote: the corpus, or the real rows of an augmentation."""

    name: str
    texts: list[Words]
    sources: tuple[Source, ...] = ()

    @classmethod
    def read(cls, files: CorpusFiles) -> _Real:
        if files.text is not None:
            found = read_table(files.paths, text=files.text, encoding=files.encoding)
        else:
            found = read_corpus(files.paths, mode=str(files.mode), encoding=files.encoding)
        return cls("corpus", [plain_words(text) for text in found.texts], found.sources)


def report(
    directory: str,
    *,
    corpus: CorpusFiles | None = None,
    copied_words: int = 8,
    out: str | None = None,
) -> dict[str, Any]:
    """Reads an output once and writes report.html and report.json.

    Args:
        directory: that `generate` made, or FILE.augment of `augment`.
        corpus: that the model was trained on; without it copying, the lengths and the word
            frequencies of real texts are not measured, except of an augmentation, whose real rows
            are there.
        copied_words: from so many words in a row on a text is a copy.
        out: where the two files go; None means the directory itself.

    Returns:
        What report.json holds.

    Raises:
        TextmillError: there is no finished output, it is damaged, or the corpus cannot be read.
    """
    if copied_words < 1:
        raise SettingError("copied_words", "a whole number of at least 1", copied_words)
    inside = names(directory)
    if AUGMENT in inside:
        found = _of_augment(Augmented.open(directory), corpus, copied_words)
    elif MANIFEST in inside:
        found = _of_generate(directory, corpus, copied_words)
    else:
        raise TextmillError(
            f"{directory} holds no finished output: neither {MANIFEST} of generate nor {AUGMENT} "
            "of augment"
        )
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    place = directory if out is None else out
    make_directory(place)
    for name, content in zip(REPORT, (report_page(found), text), strict=True):
        path = join(place, name)
        remove(path)  # of an earlier report
        write_once(path, content.encode("utf-8", "replace"))
    return found


# -- generate --------------------------------------------------------------------------------------


def _of_generate(directory: str, corpus: CorpusFiles | None, copied_words: int) -> dict[str, Any]:
    real = None if corpus is None else _Real.read(corpus)
    manifest = read_manifest(directory)
    stream = Stream()
    try:
        form = Format(**manifest["output"])
        for row in _records(directory, manifest, form):
            stream.add(row, echo=manifest["settings"]["echo"])
        stats = json.loads(read(join(directory, STATS)))
        reasons = {str(name): int(n) for name, n in stats["rejected"]["by_reason"].items()}
        asked = {
            name: manifest[name] for name in ("model", "settings", "input", "output", "versions")
        }
        prompts = [file["name"] for file in manifest["prompts"]]
        counts = dict(manifest["counts"])
    except (KeyError, TypeError, ValueError, AttributeError, SettingError) as error:
        raise TextmillError(
            f"{directory} is damaged ({type(error).__name__} {error}); textmill verify {directory} "
            "tells more"
        ) from None
    notes = []
    if form.name == "text":
        notes.append(
            "The output is of the format text, which holds the texts alone: prompts, temperatures, "
            "labels and log-probabilities cannot be shown. Another --format has them."
        )
    return {
        "format": FORMAT,
        "kind": "generate",
        "asked": {**asked, "prompts": prompts},
        "counts": counts,
        "rejected": [
            {"reason": name, "count": n, "examples": []}
            for name, n in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ],
        "labels": dict(sorted(stream.labels.items())),
        "samples": stream.samples(),
        **_measured(stream.groups(), real, copied_words, notes),
    }


def _records(directory: str, manifest: Mapping[str, Any], form: Format) -> Iterator[dict[str, Any]]:
    columns = tuple(Column(**column) for column in manifest["columns"])
    verdict = Verdict()
    for shard in manifest["shards"]:
        rows = read_rows(join(directory, shard["name"]), shard["sha256"], form, columns, verdict)
        if verdict.problems:
            raise TextmillError(f"{verdict.problems[0]}; textmill verify {directory} tells more")
        for number, row in enumerate(rows):
            yield {"id": f"{shard['name']}:{number}#1", **row}


# -- augment ---------------------------------------------------------------------------------------


def _of_augment(
    augmented: Augmented, corpus: CorpusFiles | None, copied_words: int
) -> dict[str, Any]:
    real_texts: list[Words] = []
    shown: dict[str, dict[str, Lowest[str]]] = {}
    labels: dict[str, Counter[str]] = {}
    origins: dict[str, Group] = {}
    for number, row in enumerate(augmented.rows()):
        if row.origin == REAL:
            real_texts.append(plain_words(row.text))
        else:
            name = row.origin or "generated"
            if name not in origins and len(origins) >= MOST_GROUPS:
                name = "other"
            group = origins.setdefault(name, Group(f"kept, {name}"))
            group.add(f"{number}", row.text, row.text, {})
        labels.setdefault(row.label, Counter())[row.origin] += 1
        if row.label in shown or len(shown) < MOST_LABELS:
            kinds = shown.setdefault(row.label, {})
            if row.origin in kinds or len(kinds) < MOST_GROUPS:
                kinds.setdefault(row.origin, Lowest(SHOWN)).add(f"{number}", row.text)
    real = _Real("real rows", real_texts) if corpus is None else _Real.read(corpus)
    notes, groups = [], sorted(origins.values(), key=lambda group: group.name)
    place = augmented.generated
    if place is None:
        notes.append("The candidates as they were generated are gone: there are no temperatures.")
    else:
        stream, manifest = Stream(), read_manifest(place)
        for record in _records(place, manifest, Format(**manifest["output"])):
            stream.add(record, echo=manifest["settings"]["echo"])
        candidates = stream.groups()
        for group in candidates:
            group.name = f"candidates, {group.name}"
        groups = [*candidates, *groups]
    about, rejected = augmented.about, _rejected(augmented)
    counts = {k: v for k, v in about["counts"].items() if isinstance(v, int)}
    return {
        "format": FORMAT,
        "kind": "augment",
        "asked": {"settings": about["settings"], "thresholds": about.get("thresholds")},
        "counts": {**counts, "rejected": sum(row["count"] for row in rejected)},
        "rejected": rejected,
        "labels": {label: dict(labels[label]) for label in sorted(labels)},
        "samples": _side_by_side(shown),
        "agreement": about.get("agreement"),
        "check": about.get("check"),
        **_measured(groups, real, copied_words, notes),
    }


def _rejected(augmented: Augmented) -> list[dict[str, Any]]:
    """Reasons, the most frequent first; counted where the rows are, else as augment.json has it."""
    told = augmented.about["counts"].get("rejected")
    counts: Counter[str] = Counter()
    examples: dict[str, Lowest[dict[str, str]]] = {}
    for number, row in enumerate(augmented.rejected()):
        reason = row.reason or "no reason"
        counts[reason] += 1
        if reason in examples or len(examples) < MOST_GROUPS:
            example = {"text": row.text, "label": row.label}
            examples.setdefault(reason, Lowest(_EXAMPLES)).add(f"{number}", example)
    if not counts and isinstance(told, dict):
        counts = Counter({str(k): v for k, v in told.items() if isinstance(v, int)})
    return [
        {"reason": reason, "count": n, "examples": list(examples.get(reason, []))}
        for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _side_by_side(shown: Mapping[str, Mapping[str, Iterable[str]]]) -> list[dict[str, Any]]:
    """For each label the real rows first, then what was added."""
    samples = []
    for label in sorted(shown):
        kinds = sorted(shown[label], key=lambda origin: (origin != REAL, origin))
        columns = [[{"of": kind, "text": text} for text in shown[label][kind]] for kind in kinds]
        samples.append({"label": label, "columns": columns})
    return samples


# -- measuring -------------------------------------------------------------------------------------


def _measured(
    groups: Sequence[Group], real: _Real | None, copied_words: int, notes: list[str]
) -> dict[str, Any]:
    """Figures of every group on samples of equal size, and those of real texts beside them."""
    sampled = [Sampled(list(group.sample)) for group in groups]
    longest = max((n for s in sampled for n in map(len, s.texts)), default=0)
    own = None if real is None else _own(real, longest=longest)
    compared = [*sampled, *([] if own is None else [own])]
    words = _common([s.words for s in compared], least=1, enough=500)
    spoken = [sum(map(bool, s.texts)) for s in compared]
    bleu_texts = min(BLEU_TEXTS, _common(spoken, least=2, enough=50))
    if not has_bleu():
        notes.append("Self-BLEU was not measured: pip install 'textmill[report]' brings it.")
    if real is None:
        notes.append(
            "Without the training corpus (--corpus FILE...) neither copied text was measured nor "
            "the lengths and word frequencies of real text."
        )
    copies = None if real is None else CopyIndex(real.texts, copied_words)
    how: dict[str, Any] = {"words": words, "bleu": has_bleu(), "bleu_texts": bleu_texts}
    rows = [
        {
            "name": group.name,
            "temperature": group.temperature,
            "texts": group.texts,
            "perplexity": group.perplexity,
            "cut": group.finish["length"] / group.finish.total() if group.finish else None,
            **one.measure(copies=copies, **how),
            "lengths": _at_most(one.lengths),
            "ranks": rank_frequency(one.counts(words), points=_POINTS),
        }
        for group, one in zip(groups, sampled, strict=True)
    ]
    told = None
    if real is not None and own is not None:
        figures = own.measure(copies=None, **how)
        told = {
            "name": real.name,
            "files": [asdict(source) for source in real.sources],
            "texts": len(real.texts),
            "words": sum(map(len, real.texts)),
            "figures": {
                **figures,
                "mean_length": _ratio(sum(map(len, real.texts)), len(real.texts)),
            },
            "lengths": _at_most(sorted(map(len, real.texts))),
            "ranks": rank_frequency(own.counts(words), points=_POINTS),
        }
    return {
        "groups": rows,
        "real": told,
        "measured": {
            "texts": sum(group.texts for group in groups),
            "sampled": sum(len(s.texts) for s in sampled),
            "sample_of_a_group": SAMPLE,
            "distinct_words": words,
            "bleu_texts": bleu_texts if has_bleu() else 0,
            "copied_words": copied_words,
        },
        "notes": notes,
    }


def _common(sizes: Sequence[int], *, least: int, enough: int) -> int:
    """The least size that is of use: `enough`, or a tenth of the largest, but never below `least`.

    What has less does without the figures.
    """
    return min((n for n in sizes if n >= max(least, min(enough, max(sizes) / 10))), default=0)


def _ratio(a: float, b: float) -> float | None:
    return a / b if b else None


def _own(real: _Real, *, longest: int) -> Sampled:
    """A sample of real texts, each cut to the length of the longest drawn one."""
    chosen: Lowest[Words] = Lowest(SAMPLE)
    for number, text in enumerate(real.texts):
        if text:
            chosen.add(str(number), text[:longest])
    sampled = Sampled([])
    sampled.texts = list(chosen)
    sampled.lengths = sorted(map(len, sampled.texts))
    return sampled


def _at_most(lengths: Sequence[int]) -> list[tuple[int, float]]:
    """(words, share of the texts that have at most so many), of rising lengths."""
    points = [
        (length, (i + 1) / len(lengths))
        for i, length in enumerate(lengths)
        if i + 1 == len(lengths) or lengths[i + 1] != length
    ]
    step = max(1, len(points) / _POINTS)
    kept = {round(i * step) for i in range(_POINTS)} | {len(points) - 1}
    return [point for i, point in enumerate(points) if i in kept and point[0] > 0]
