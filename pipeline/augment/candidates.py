"""Makes candidates for an augmented table: a language model writes them, filters choose.

Everything that a run makes stays in its folder, so that a stopped run can go on.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.network.directory import load_model
from textmill.model.reporter import Reporter
from textmill.model.settings import (
    AUTO,
    GenerationSettings,
    TrainSettings,
    VocabularySettings,
)
from textmill.model.text.corpus import CorpusSettings, read_corpus
from textmill.model.training.checkpoint import checkpoint_of
from textmill.model.training.train import tidy, train_model
from textmill.pipeline.augment.edits import AUGMENTERS, Candidate
from textmill.pipeline.augment.filters import (
    Choice,
    FilterSettings,
    Scores,
    choose,
    cuts,
    judged,
    score,
)
from textmill.pipeline.augment.folder import AugmentFolder
from textmill.pipeline.augment.judge import judges
from textmill.pipeline.augment.rewriting import measured_noise, noisy
from textmill.pipeline.augment.settings import GENERATED, PSEUDO, REWRITTEN, AugmentSettings
from textmill.pipeline.augment.table import Rows
from textmill.pipeline.augment.word_vectors import LEAST_KNOWN, WordVectors, word_vectors
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.files.filesystem import make_directory, write_once
from textmill.pipeline.job.generate import Interrupted, Progress, generate
from textmill.pipeline.output.formats import json_lines

_PREFIXES = {"word": (1, 2, 3), "char": (2, 5, 9)}  # first units of a real row in a prompt
# With fewer rows, a tenth of them is precious, and too small to decide when training ends. So each
# row is there five times, and rows that are validated on are also trained on. Filters find copies.
_FEW_ROWS, _OFTEN, _LEAST_LINES = 1_000, 5, 20
_PASSES = 30  # passes over the rows
# For few rows, tuned (docs/benchmarks.md). A model that nearly knows them by heart joins parts of
# them into sentences; a model that fully does copies them; one that does not writes nonsense.
_BATCH, _RATE, _ENOUGH = 8, 8e-3, 8.0
_ENOUGH_EVERY = 20  # steps; a model that begins from another is there within a few passes
_STEPS, _MOST_PASSES, _LEAST_STEPS = 2_000, 60, 600
_JUDGED = 10_000  # texts judged at a time; the features of a million would fill the memory
_BASE_SHARE = 2 / 3  # share of the minutes for the texts without labels


@dataclass
class Clock:
    """The seconds that each phase took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[phase] = round(time.monotonic() - started, 1)


@dataclass(frozen=True, kw_only=True)
class Made:
    """Candidates, their scores, and which of them are kept."""

    candidates: list[Candidate]
    scores: list[Scores]
    choice: Choice

    @property
    def kept(self) -> list[Candidate]:
        """The candidates to add."""
        return [self.candidates[i] for i in self.choice.kept]


@dataclass(frozen=True, kw_only=True)
class AugmentRun:
    """How candidates are made, chosen and reported.

    Attributes:
        settings: what is asked for.
        filters: which candidates are kept.
        launch: where the generation runs.
        report: receives news of the training.
        progress: called with the progress of the generation.
    """

    settings: AugmentSettings
    filters: FilterSettings
    launch: Launch
    report: Reporter
    progress: Progress | None


def make_candidates(
    folder: AugmentFolder, rows: Rows, run: AugmentRun, *, known: Sequence[str] = (), clock: Clock
) -> Made:
    """Trains the model, makes candidates and chooses from them.

    Args:
        folder: the run's folder, which may hold what an earlier run has left.
        rows: the real rows.
        run: how candidates are made and chosen.
        known: other texts that must not be added.
        clock: receives the seconds of each phase.

    Raises:
        Interrupted: Ctrl-C stopped the run; what is finished is kept.
        TextmillError: no prompts can be made from these rows.
    """
    make_directory(folder.path)
    settings = run.settings
    wanted, level = settings.wanted(rows.labels), level_of(settings)
    with clock.of("train"):
        if {GENERATED, "masked"} & set(settings.methods):
            _learn(folder, rows, run)
        if REWRITTEN in settings.methods:
            _learn_to_rewrite(folder, rows, run)
    with clock.of("judge"):
        unlabelled = _unlabelled(settings)
        fitted = judges(
            rows.texts, rows.labels, folds=settings.folds, seed=settings.seed,
            vectors=_vectors(rows, run.report), unlabelled=unlabelled,
        )  # fmt: skip
    candidates: list[Candidate] = []
    with clock.of("generate"):
        for method, counts in _shares(wanted, settings).items():
            if method == GENERATED:
                _write_prompts(folder, rows, counts, run)
                candidates += _written(
                    folder.model, folder.prompts, folder.generated, rows, run, GENERATED, "source"
                )
            elif method == REWRITTEN:
                noise = measured_noise(load_model(folder.rewriter), rows, fitted, settings.seed)
                write_once(folder.drafts, json_lines(_drafts(rows, counts, run)))
                candidates += _written(
                    folder.rewriter, folder.drafts, folder.rewritten, rows, run, REWRITTEN,
                    "draft_of", state_noise=noise,
                )  # fmt: skip
            elif method == PSEUDO:
                candidates += _pseudo(rows, counts, fitted, unlabelled, settings.seed)
            else:
                candidates += AUGMENTERS[method](
                    rows.texts, rows.labels, counts, seed=settings.seed, model_dir=folder.model
                )
    with clock.of("filter"):
        scores = score(candidates, rows.texts, rows.labels, fitted=fitted, level=level, known=known)
        choice = choose(
            candidates, scores, wanted, lengths=_lengths(rows, level), settings=run.filters,
            level=level, seed=settings.seed,
        )  # fmt: skip
    return Made(candidates=candidates, scores=scores, choice=choice)


def _unlabelled(settings: AugmentSettings) -> list[str]:
    """Reads the different texts without labels."""
    if not settings.unlabelled:
        return []
    return list(dict.fromkeys(read_corpus(settings.unlabelled, mode="lines").texts))


def _vectors(rows: Rows, report: Reporter) -> WordVectors | None:
    """Gives the word vectors that the judges use, if they know the rows' words."""
    vectors = word_vectors()
    if vectors is None:
        report.message(
            "labels are judged by the rows' own words: without wordllama there are no vectors of "
            "words (pip install 'textmill[augment]')"
        )
        return None
    known = vectors.known(rows.texts)
    if known < LEAST_KNOWN:
        report.message(
            f"labels are judged by the rows' own words: the vectors of words know {known:.0%} of "
            "them, as they are of English first of all"
        )
        return None
    return vectors


def _pseudo(
    rows: Rows,
    counts: Mapping[str, int],
    fitted: Sequence[Any],
    unlabelled: Sequence[str],
    seed: int,
) -> list[Candidate]:
    """Takes texts without labels and gives them the classifiers' labels (self-training)."""
    texts = [unlabelled[i] for i in np.random.default_rng(seed).permutation(len(unlabelled))]
    left, found = Counter(counts), []
    for start in range(0, len(texts), _JUDGED):
        if not left.total():
            break
        # A candidate needs a label, but any will do, since only the judges' label is used.
        part = texts[start : start + _JUDGED]
        some = [Candidate(text, rows.labels[0], PSEUDO, None) for text in part]
        names, p = judged(some, fitted)
        for text, best in zip(some, p.argmax(axis=1).tolist(), strict=True):
            label = names[best]
            if left[label] > 0:
                left[label] -= 1
                found.append(replace(text, label=label))
    return found


def level_of(settings: AugmentSettings) -> str:
    """Gives the level at which the filters cut texts: `word` or `char`."""
    return "char" if settings.level == "char" else "word"


def _lengths(rows: Rows, level: str) -> dict[str, tuple[int, int]]:
    """Gives the number of words of each label's shortest and longest row."""
    cut = cuts(level)[0]
    words: dict[str, list[int]] = {}
    for text, label in zip(rows.texts, rows.labels, strict=True):
        words.setdefault(label, []).append(len(cut(text)))
    return {label: (min(counts), max(counts)) for label, counts in words.items()}


# -- the language model ----------------------------------------------------------------------------


def _learn(folder: AugmentFolder, rows: Rows, run: AugmentRun) -> None:
    """Trains the model of the labelled rows; before it, if there are other texts, one of all."""
    settings = run.settings
    few = len(rows.texts) < _FEW_ROWS
    often = max(_OFTEN, math.ceil(_LEAST_LINES / len(rows.texts))) if few else 1
    lines = [
        {"text": text, "label": label} for text, label in zip(rows.texts, rows.labels, strict=True)
    ] * often
    write_once(folder.rows, json_lines(lines))
    start, left = settings.init_from, settings.minutes
    if settings.unlabelled:
        texts = read_corpus(settings.unlabelled, mode="lines").texts + rows.texts
        write_once(folder.texts, "\n".join(texts).encode() + b"\n")
        corpus = CorpusSettings(paths=(folder.texts,), mode="lines")
        train = _training(settings, left * _BASE_SHARE, len(texts))
        _train(folder.base, corpus, run, train, AUTO, start)
        start, left = folder.base, left * (1 - _BASE_SHARE)
    corpus = CorpusSettings(paths=(folder.rows,), mode="lines", text="text", labels="label")
    train = _training(settings, left, len(rows.texts), often=often)
    preset = "mini" if few and start is None else AUTO
    _train(folder.model, corpus, run, train, preset, start)


def _train(
    place: str,
    corpus: CorpusSettings,
    run: AugmentRun,
    train: TrainSettings,
    preset: str,
    init_from: str | None,
) -> None:
    """Trains a model, unless an interrupted run has already done so."""
    checkpoint = checkpoint_of(place).exists()
    if os.path.exists(place) and not checkpoint:
        tidy(place)  # it may have been killed in the midst of that
        run.report.message(f"the {os.path.basename(place)} of the run before is used")
        return
    model = train_model(
        place,
        corpus=corpus,
        # With few rows, most words are in only one row, and the classifier needs them.
        vocabulary=VocabularySettings(level=run.settings.level, min_count=1),
        preset=preset,
        train=train,
        report=run.report,
        resume=checkpoint,
        init_from=init_from,
    )
    if model.training["metrics"]["stopped"] == "interrupted":
        raise Interrupted("interrupted; the same command with --resume goes on")


def _learn_to_rewrite(folder: AugmentFolder, rows: Rows, run: AugmentRun) -> None:
    """Trains the model that writes rows anew, see `augment.rewriting`."""
    settings, count = run.settings, len(rows.texts)
    few = count < _FEW_ROWS
    often = max(_OFTEN, math.ceil(_LEAST_LINES / count)) if few else 2
    lines = [
        {"text": text, "label": label, "noisy": noisy(text, settings.seed, f"{i} {time}")}
        for time in range(often)
        for i, (text, label) in enumerate(zip(rows.texts, rows.labels, strict=True))
    ]
    write_once(folder.noisy, json_lines(lines))
    corpus = CorpusSettings(
        paths=(folder.noisy,), mode="lines", text="text", labels="label", source="noisy"
    )
    train = replace(_training(settings, settings.minutes, count, often=often), enough=0.0)
    _train(folder.rewriter, corpus, run, train, "mini" if few else AUTO, None)


def _drafts(rows: Rows, counts: Mapping[str, int], run: AugmentRun) -> Iterator[dict[str, Any]]:
    """Gives prompts for the rewriter: real rows with words dropped and moved."""
    settings = run.settings
    units = re.compile(r"\S" if settings.level == "char" else r"\w+|[^\w\s]")
    for label, count in counts.items():
        own = [i for i, name in enumerate(rows.labels) if name == label]
        texts = math.ceil(count / len(settings.temperatures))
        longest = max(len(units.findall(rows.texts[i])) for i in own)
        for number in range(texts):
            i = own[number % len(own)]
            yield {
                "id": f"{i}-{number}", "label": label, "draft_of": i,
                "source": noisy(rows.texts[i], settings.seed, f"{i} draft {number}"),
                "max_words": math.ceil(longest * (1 + run.filters.length_slack)) + 1,
            }  # fmt: skip


def _training(
    settings: AugmentSettings, minutes: float, rows: int, *, often: int = 1
) -> TrainSettings:
    """Chooses how to train; few rows need small batches, for enough steps, and less dropout.

    Args:
        settings: what is asked for.
        minutes: longest time of training.
        rows: number of rows.
        often: how many times each row is in the corpus.
    """
    few = rows < _FEW_ROWS
    passes = _PASSES
    if few:
        passes = min(max(passes, _STEPS * _BATCH // rows), _MOST_PASSES)
        passes = max(passes, _LEAST_STEPS * _BATCH // rows)
    return TrainSettings(
        mode="lines",
        minutes=minutes,
        epochs=max(1, round((settings.epochs or passes) / often)),
        batch=_BATCH if few else 32,
        learning_rate=_RATE if few else None,
        enough=_ENOUGH if few else 0.0,
        enough_every=_ENOUGH_EVERY if few else None,
        dropout=0.3 if few else None,
        weight_drop=0.1 if few else None,
        word_dropout=0.05 if few else None,
        seed=settings.seed,
    )


def _shares(wanted: Mapping[str, int], settings: AugmentSettings) -> dict[str, dict[str, int]]:
    """Gives the number of candidates of each method, by label."""
    each = settings.candidates / len(settings.methods)
    return {
        method: {label: math.ceil(n * each) for label, n in wanted.items() if n}
        for method in dict.fromkeys(settings.methods)
    }


def _write_prompts(
    folder: AugmentFolder, rows: Rows, counts: Mapping[str, int], run: AugmentRun
) -> None:
    """Writes prompts: a label with first words of its rows, as a label alone works less well."""
    settings = run.settings
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
                "max_words": math.ceil(longest * (1 + run.filters.length_slack)) + 1,
            }
            for i, start in starts
        ]  # fmt: skip
    if not prompts:
        raise TextmillError("no row has two words to begin texts with; add longer texts")
    write_once(folder.prompts, json_lines(prompts))


def _prefixes(text: str, settings: AugmentSettings) -> list[str]:
    units = list(text) if settings.level == "char" else text.split()
    mark = "" if settings.level == "char" else " "
    sizes = _PREFIXES[level_of(settings)]
    return [mark.join(units[:k]) for k in sizes if k < len(units) and mark.join(units[:k]).strip()]


def _written(
    model: str,
    prompts: str,
    out: str,
    rows: Rows,
    run: AugmentRun,
    origin: str,
    field: str,
    **more: Any,
) -> Iterator[Candidate]:
    """Lets a model write a text for each prompt.

    Args:
        model: the model directory.
        prompts: the file of prompts.
        out: the directory of the texts.
        rows: the real rows.
        run: how candidates are made.
        origin: the way that they are made.
        field: of a prompt, which holds the real row that its texts come from.
        more: settings of `GenerationSettings`.
    """
    generate(
        model,
        prompts=[prompts],
        out=out,
        settings=GenerationSettings(
            temperatures=run.settings.temperatures,
            label=min(rows.labels),  # each prompt has its own; a run's must be one of the model's
            echo=True,
            seed=run.settings.seed,
            **more,
        ),
        launch=run.launch,
        resume=True,
        progress=run.progress,
    )
    for path in sorted(Path(out).glob("shard-*.jsonl")):
        for line in path.read_text("utf-8").split("\n")[:-1]:
            row = json.loads(line)
            yield Candidate(
                row["text"].strip(), row["label"], origin, row[field],
                perplexity=math.exp(min(-row["logprob"], 700.0)),
                unfinished=row["finish"] == "length",
            )  # fmt: skip
