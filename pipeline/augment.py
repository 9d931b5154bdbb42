"""`textmill augment`: learn from a labelled table, write more of it, keep what passes the filters.

FILE                        the real rows, then the kept ones
FILE.augment/settings.json  what was asked for; a resume compares it
             texts.txt      all texts, with --unlabelled; base/ the model of them
             rows.jsonl     the rows as trained on; model/ the model of them
             prompts.jsonl  labels with first words of real rows; generated/ what they became
             rejected.jsonl the other candidates, with reason and scores
             augment.json   settings, counts, thresholds, agreement of labels, seconds
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.corpus import read_corpus
from model.errors import SettingError, TextmillError, UsageError
from model.fit import Reporter
from model.saved import SavedModel, check_free, load_model
from model.settings import GenerationSettings, TrainSettings, VocabularySettings
from model.train import CorpusSettings, train_model
from pipeline.augmenters import AUGMENTERS, Candidate
from pipeline.check import CheckSettings, made_before
from pipeline.check import check as measure
from pipeline.classify import UNSPACED, cross_fitted, needs_scikit_learn
from pipeline.files import make_directory, read, remove, sha256, write_once
from pipeline.filters import Choice, FilterSettings, Scores, choose, cuts, score
from pipeline.generate import Interrupted, Progress, generate
from pipeline.tables import Labelled, check_ending, read_labelled, write_table

# The language model has learned from the rows that are held out.
_UPPER = "The true gain is rather smaller: the rows were written by a model of all real rows"
GENERATED, REAL = "generated", "real"
_PREFIXES = {"word": (1, 2, 3), "char": (2, 5, 9)}  # units of a real row that a prompt holds
MOST_ROWS = 10_000  # that are learned from
# Of fewer rows a tenth is dear, and too small to say when training is to end: each is said five
# times, so that those that are validated on are trained on too. Copies are what filters are for.
_FEW_ROWS, _OFTEN, _LEAST_LINES = 1_000, 5, 20
_PASSES = 30  # over the rows
_BASE_SHARE = 2 / 3  # of the minutes, for the texts without labels
_FEW = 10  # rows of a label, below which it is told
_UNSPACED = re.compile(f"[{UNSPACED}]")
_UNSPACED_SHARE = 0.3


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """What is asked for.

    Attributes:
        text, label: columns. encoding: of the table, if it is not UTF-8.
        per_example, per_label, balance: rows wanted: so many for each real row of the label; so
            many for each label; as many as the largest label has more. One of them.
        candidates: for each wanted row.
        methods: `generated`, names of `AUGMENTERS`; the candidates are shared out among them.
        temperatures: of the language model.
        level: what it takes for a token.
        minutes, epochs: of training; what is reached first. Epochs are passes over the rows; None
            means 30.
        unlabelled: files of texts of the same kind. init_from: a model to begin from.
        folds: of the classifiers that judge.
    """

    text: str
    label: str
    encoding: str | None = None
    per_example: int | None = None
    per_label: int | None = None
    balance: bool = False
    candidates: int = 20
    methods: tuple[str, ...] = (GENERATED,)
    temperatures: tuple[float, ...] = (0.8,)
    level: str = "word"
    minutes: float = 3.0
    epochs: int | None = None
    unlabelled: tuple[str, ...] = ()
    init_from: str | None = None
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("per_example", "per_label", "candidates", "epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingError(name, "a whole number of at least 1", value)
        given = (self.per_example is not None, self.per_label is not None, self.balance)
        if sum(given) > 1:
            raise UsageError("give one of --per-example, --per-label and --balance")
        known = (GENERATED, *AUGMENTERS)
        for name in self.methods:
            if name not in known:
                raise SettingError("with", "of " + ", ".join(known), name)
        if not 0 < self.minutes < math.inf:
            raise SettingError("minutes", "a number above 0", self.minutes)
        # Refuses what they refuse, before a minute is spent.
        GenerationSettings(temperatures=self.temperatures, seed=self.seed)
        TrainSettings(seed=self.seed)

    def wanted(self, labels: Sequence[str]) -> dict[str, int]:
        """Rows to add, by label."""
        counts = Counter(labels)
        if self.per_label is not None:
            return dict.fromkeys(sorted(counts), self.per_label)
        if self.balance:
            most = max(counts.values())
            return {label: most - counts[label] for label in sorted(counts)}
        each = PER_EXAMPLE if self.per_example is None else self.per_example
        return {label: counts[label] * each for label in sorted(counts)}


PER_EXAMPLE = 5


@dataclass
class _Clock:
    """Seconds by phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[phase] = round(time.monotonic() - started, 1)


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The real rows that are learned from: texts in single spaces, and their labels."""

    texts: list[str]
    labels: list[str]


def augment(
    data: str,
    *,
    out: str,
    settings: AugmentSettings,
    filters: FilterSettings,
    workers: int | None = None,
    runner_flags: Sequence[str] = (),
    resume: bool = False,
    check: bool = False,
    report: Reporter,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes `out` and the folder beside it.

    Args:
        data: a table. out: another, of the kind that its name says.
        workers, runner_flags: of the generation.
        resume: go on with a run into `out` that was stopped.
        check: measure what the added rows are worth, see `pipeline.check.made_before`.

    Returns:
        What stands in augment.json.

    Raises:
        Interrupted: by Ctrl-C; what is finished stands.
        TextmillError: the table is of no use, or the output cannot be written.
    """
    check_ending(out, "the output")
    needs_scikit_learn()
    if importlib.util.find_spec("datasketch") is None:
        raise TextmillError("augment needs datasketch: pip install 'textmill[augment]'")
    clock, folder = _Clock(), Path(f"{out}.augment")
    if os.path.exists(out):
        raise TextmillError(f"{out} already exists; name another file or remove it first")
    with clock.of("read"):
        table = read_labelled(
            data, text=settings.text, label=settings.label, encoding=settings.encoding
        )
        rows = _usable(table, settings, report)
        _begin(folder, _asked(data, settings, filters), resume=resume)
    wanted = settings.wanted(rows.labels)
    candidates: list[Candidate] = []
    perplexities: list[float | None] = []
    unfinished: set[int] = set()
    with clock.of("train"):
        model = _learned(folder, rows, settings, report) if _needs_model(settings) else None
    with clock.of("generate"):
        for method, counts in _shares(wanted, settings).items():
            if method != GENERATED:
                found = AUGMENTERS[method](
                    rows.texts, rows.labels, counts, seed=settings.seed,
                    model_dir=str(folder / "model"),
                )  # fmt: skip
                candidates += found
                perplexities += [None] * len(found)
                continue
            assert model is not None
            _write_prompts(folder, rows, counts, settings, filters)
            _generate(folder, model, settings, workers, runner_flags, progress)
            for row in _records(folder / "generated"):
                if row["finish"] == "length":
                    unfinished.add(len(candidates))
                own = Candidate(row["text"].strip(), row["label"], GENERATED, row["source"])
                candidates.append(own)
                perplexities.append(math.exp(min(-row["logprob"], 700.0)))
    level = _level(settings)
    with clock.of("filter"):
        fitted = cross_fitted(rows.texts, rows.labels, folds=settings.folds, seed=settings.seed)
        scores = score(
            candidates, rows.texts, rows.labels, fitted=fitted, perplexities=perplexities,
            level=level, known=table.texts,
        )  # fmt: skip
        choice = choose(
            candidates, scores, wanted, lengths=_lengths(rows, level), settings=filters,
            level=level, unfinished=frozenset(unfinished),
        )  # fmt: skip
    text, label = table.columns
    asked = _asked(data, settings, filters)["settings"]
    about = {
        "settings": {**asked, "text": text, "label": label, "out": os.path.basename(out)},
        "seed": settings.seed,
        "thresholds": {**asdict(filters), "max_copied": filters.copied(level)},
        "counts": _counts(table, rows, wanted, candidates, choice),
        "agreement": _agreement(candidates, scores),
        "seconds": clock.seconds,
    }
    if check:
        with clock.of("check"):
            added = made_before(rows.texts, [candidates[i] for i in choice.kept])
            gains = measure(
                rows.texts, rows.labels, added, settings=CheckSettings(seed=settings.seed)
            )
        about["check"] = [gain.record() for gain in gains]
        for gain in gains:
            report.message(f"{gain.sentence()}. {_UPPER}")
    _write(out, folder, table, candidates, scores, choice, about)
    _tell(wanted, candidates, choice, report)
    return about


# -- the table -------------------------------------------------------------------------------------


def _usable(table: Labelled, settings: AugmentSettings, report: Reporter) -> Rows:
    """The rows to learn from; says what is left out, and what will go badly.

    Raises:
        TextmillError: they are of no use.
    """
    for why, count in table.left_out.items():
        report.message(f"{count:,} rows with {why} are not learned from")
    counts = Counter(table.labels)
    if len(counts) == 1:
        raise TextmillError(
            f"all {len(table.labels):,} rows have the label {table.labels[0]!r}; a classifier "
            "needs two labels. For more text of one kind: textmill train, textmill generate"
        )
    if len(counts) > max(len(table.labels) / 2, 2):
        raise TextmillError(
            f"the column '{settings.label}' holds {len(counts):,} labels in "
            f"{len(table.labels):,} rows; name the column of labels with --label"
        )
    characters = "".join("".join(table.texts[:1000]).split())
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
            f"labels with fewer than {_FEW} rows, whose added rows the classifier can hardly "
            f"judge: {told}"
        )
    if len(table.texts) <= MOST_ROWS:
        return Rows(texts=table.texts, labels=table.labels)
    random, chosen = np.random.default_rng(settings.seed), []
    names = np.array(table.labels)
    for label, n in sorted(counts.items()):
        share = math.ceil(MOST_ROWS * n / len(names))
        chosen += random.permutation(np.flatnonzero(names == label))[:share].tolist()
    report.message(
        f"{len(table.texts):,} rows are more than are of use: {len(chosen):,} of them, chosen by "
        "--seed, are learned from and counted for --per-example; all come back"
    )
    chosen.sort()
    return Rows(texts=[table.texts[i] for i in chosen], labels=[table.labels[i] for i in chosen])


def _level(settings: AugmentSettings) -> str:
    return "char" if settings.level == "char" else "word"


def _lengths(rows: Rows, level: str) -> dict[str, tuple[int, int]]:
    """Words of the shortest and the longest row of each label."""
    cut = cuts(level)[0]
    found: dict[str, tuple[int, int]] = {}
    for text, label in zip(rows.texts, rows.labels, strict=True):
        words = len(cut(text))
        low, high = found.get(label, (words, words))
        found[label] = min(low, words), max(high, words)
    return found


# -- the folder ------------------------------------------------------------------------------------


def _asked(data: str, settings: AugmentSettings, filters: FilterSettings) -> dict[str, Any]:
    """What makes a run this one: a resume must ask for the same."""
    told = json.loads(json.dumps({**asdict(settings), **asdict(filters)}))
    for name in ("unlabelled",):
        told[name] = [os.path.basename(path) for path in told[name]]
    if settings.init_from is not None:
        told["init_from"] = load_model(settings.init_from).fingerprint
    return {"settings": {**told, "data": os.path.basename(data)}, "data": sha256(read(data))}


def _begin(folder: Path, asked: dict[str, Any], *, resume: bool) -> None:
    place = folder / "settings.json"
    if resume and place.exists():
        before = json.loads(read(str(place)))
        if before["data"] != asked["data"]:
            raise TextmillError(f"the run in {folder} began with another table")
        for name, value in asked["settings"].items():
            if before["settings"].get(name) != value:
                raise TextmillError(
                    f"the run in {folder} began with --{name.replace('_', '-')} "
                    f"{before['settings'].get(name)}, now it is {value}; give the same or another "
                    "--out"
                )
        for name in ("rejected.jsonl", "augment.json"):
            remove(str(folder / name))
        return
    try:
        check_free(folder)
    except TextmillError as error:
        raise TextmillError(f"{error}, or go on with --resume") from None
    make_directory(folder)
    write_once(place, _json(asked))


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return text.encode("utf-8", "replace")


# -- the language model ----------------------------------------------------------------------------


def _learned(folder: Path, rows: Rows, settings: AugmentSettings, report: Reporter) -> SavedModel:
    """The model of the labelled rows; that of all texts before it, where there are others."""
    few = len(rows.texts) < _FEW_ROWS
    often = max(_OFTEN, math.ceil(_LEAST_LINES / len(rows.texts))) if few else 1
    lines = [
        {"text": text, "label": label} for text, label in zip(rows.texts, rows.labels, strict=True)
    ] * often
    write_once(folder / "rows.jsonl", _lines(lines))
    start, left = settings.init_from, settings.minutes
    if settings.unlabelled:
        texts = read_corpus(settings.unlabelled, mode="lines").texts + rows.texts
        write_once(folder / "texts.txt", "\n".join(texts).encode() + b"\n")
        corpus = CorpusSettings(paths=(str(folder / "texts.txt"),), mode="lines")
        train = _training(settings, left * _BASE_SHARE, few=len(texts) < _FEW_ROWS)
        _model(folder / "base", corpus, settings, train, start, report)
        start, left = str(folder / "base"), left * (1 - _BASE_SHARE)
    corpus = CorpusSettings(
        paths=(str(folder / "rows.jsonl"),), mode="lines", text="text", labels="label"
    )
    train = _training(settings, left, few=few, often=often)
    return _model(folder / "model", corpus, settings, train, start, report)


def _model(
    place: Path,
    corpus: CorpusSettings,
    settings: AugmentSettings,
    train: TrainSettings,
    init_from: str | None,
    report: Reporter,
) -> SavedModel:
    """A trained model, or the one that an interrupted run trained."""
    checkpoint = Path(f"{place}.training", "checkpoint.npz").exists()
    if place.exists() and not checkpoint:
        report.message(f"{place.name} stands already")
        return load_model(place)
    model = train_model(
        str(place),
        corpus=corpus,
        # Of few rows most words stand in one only, and the classifier lives on them.
        vocabulary=VocabularySettings(level=settings.level, min_count=1),
        train=train,
        report=report,
        resume=checkpoint,
        init_from=init_from,
    )
    if model.training["metrics"]["stopped"] == "interrupted":
        raise Interrupted("interrupted; the same command with --resume goes on")
    return model


def _training(
    settings: AugmentSettings, minutes: float, *, few: bool, often: int = 1
) -> TrainSettings:
    """Of few rows small batches, or there would be too few steps, and less is dropped.

    Args:
        often: how many times a row is said in what is trained on.
    """
    return TrainSettings(
        mode="lines",
        minutes=minutes,
        epochs=max(1, round((settings.epochs or _PASSES) / often)),
        batch=8 if few else 32,
        dropout=0.3 if few else None,
        weight_drop=0.1 if few else None,
        word_dropout=0.05 if few else None,
        seed=settings.seed,
    )


def _needs_model(settings: AugmentSettings) -> bool:
    return GENERATED in settings.methods or "masked" in settings.methods


def _shares(wanted: Mapping[str, int], settings: AugmentSettings) -> dict[str, dict[str, int]]:
    """Candidates of each method by label."""
    each = settings.candidates / len(settings.methods)
    return {
        method: {label: math.ceil(n * each) for label, n in wanted.items() if n}
        for method in dict.fromkeys(settings.methods)
    }


def _write_prompts(
    folder: Path,
    rows: Rows,
    counts: Mapping[str, int],
    settings: AugmentSettings,
    filters: FilterSettings,
) -> None:
    """Each label with first words of its rows: a label alone loses the label more often."""
    random, prompts = np.random.default_rng(settings.seed), []
    units = re.compile(r"\S" if settings.level == "char" else r"\w+|[^\w\s]")
    for label, count in counts.items():
        own = [i for i, name in enumerate(rows.labels) if name == label]
        starts = [(i, k) for i in own for k in _prefixes(rows.texts[i], settings)]
        starts = [starts[j] for j in random.permutation(len(starts))]
        texts = math.ceil(count / len(settings.temperatures))
        starts = starts[:texts]
        longest = max(len(units.findall(rows.texts[i])) for i in own)
        prompts += [
            {
                "id": f"{i}-{len(start)}", "prompt": start, "label": label, "source": i,
                "samples": math.ceil(texts / len(starts)),
                "max_words": math.ceil(longest * (1 + filters.length_slack)) + 1,
            }
            for i, start in starts
        ]  # fmt: skip
    if not prompts:
        raise TextmillError("no row has two words, so that none can be begun; add longer texts")
    write_once(folder / "prompts.jsonl", _lines(prompts))


def _prefixes(text: str, settings: AugmentSettings) -> list[str]:
    units = list(text) if settings.level == "char" else text.split()
    mark = "" if settings.level == "char" else " "
    sizes = _PREFIXES[_level(settings)]
    return [mark.join(units[:k]) for k in sizes if k < len(units) and mark.join(units[:k]).strip()]


def _generate(
    folder: Path,
    model: SavedModel,
    settings: AugmentSettings,
    workers: int | None,
    runner_flags: Sequence[str],
    progress: Progress | None,
) -> None:
    generate(
        str(folder / "model"),
        prompts=[str(folder / "prompts.jsonl")],
        out=str(folder / "generated"),
        settings=GenerationSettings(
            temperatures=settings.temperatures,
            label=model.labels[0],
            echo=True,
            seed=settings.seed,
        ),
        workers=workers,
        runner_flags=runner_flags,
        resume=True,
        progress=progress,
    )


def _records(generated: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(generated.glob("shard-*.jsonl")):
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


# -- the output ------------------------------------------------------------------------------------


def _counts(
    table: Labelled,
    rows: Rows,
    wanted: Mapping[str, int],
    candidates: Sequence[Candidate],
    choice: Choice,
) -> dict[str, Any]:
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


def _agreement(candidates: Sequence[Candidate], scores: Sequence[Scores]) -> dict[str, Any]:
    """Candidates by asked label (rows) and the classifiers' (columns)."""
    names = sorted({c.label for c in candidates} | {s.predicted for s in scores})
    at = {name: i for i, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)), np.int64)
    for candidate, own in zip(candidates, scores, strict=True):
        matrix[at[candidate.label], at[own.predicted]] += 1
    return {"labels": names, "matrix": matrix.tolist()}


_COLUMNS = ("confidence", "copied", "similarity", "loops", "perplexity")


def _write(
    out: str,
    folder: Path,
    table: Labelled,
    candidates: Sequence[Candidate],
    scores: Sequence[Scores],
    choice: Choice,
    about: dict[str, Any],
) -> None:
    """The folder's files, and the table last: where it stands, all is there."""
    records = [own.record() for own in scores]
    write_once(
        folder / "rejected.jsonl",
        _lines(
            [
                {
                    "text": candidates[i].text, "label": candidates[i].label,
                    "origin": candidates[i].origin, "reason": choice.reasons[i], **records[i],
                }
                for i in sorted(choice.reasons)
            ]
        ),
    )  # fmt: skip
    write_once(folder / "augment.json", _json(about))
    cells = {name: table.cells[row][1] for name, row in zip(table.labels, table.rows, strict=True)}
    taken = set(table.columns)
    columns = [name if name not in taken else f"augment_{name}" for name in ("origin", *_COLUMNS)]
    nothing = [None] * len(_COLUMNS)

    def rows() -> Iterator[Sequence[Any]]:
        for text, label in table.cells:
            yield [text, label, REAL, *nothing]
        for i in choice.kept:
            own = candidates[i]
            own_scores = [records[i][name] for name in _COLUMNS]
            yield [own.text, cells[own.label], own.origin, *own_scores]

    write_table(out, [*table.columns, *columns], rows())


def _tell(
    wanted: Mapping[str, int],
    candidates: Sequence[Candidate],
    choice: Choice,
    report: Reporter,
) -> None:
    kept = Counter(candidates[i].label for i in choice.kept)
    short = [f"{label} {kept[label]:,} of {n:,}" for label, n in wanted.items() if kept[label] < n]
    if short:
        why = ", ".join(f"{reason} {n:,}" for reason, n in list(choice.counts().items())[:3])
        report.message(
            f"fewer rows than wanted passed the filters: {', '.join(short[:10])}; most were "
            f"rejected for: {why}"
        )
