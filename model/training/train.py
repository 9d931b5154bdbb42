"""Trains a model on a corpus and saves it in a model directory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from textmill.model.errors import TextmillError, UsageError
from textmill.model.machine import cores, gpus
from textmill.model.network.adaptive_cuts import choose_output
from textmill.model.network.context import Context
from textmill.model.network.directory import (
    SavedModel,
    check_free,
    load_model,
    remove_attempts,
    save_model,
)
from textmill.model.pages.model_card import model_card
from textmill.model.pages.training_page import training_page
from textmill.model.reporter import Reporter
from textmill.model.settings import AUTO, NetworkSettings, TrainSettings, VocabularySettings
from textmill.model.text.corpus import Corpus, CorpusSettings
from textmill.model.text.dataset import Feeder, LineBatches, StreamBatches
from textmill.model.text.split import Part, split, tokenized_part
from textmill.model.text.vocabulary import RESERVED, Vocabulary
from textmill.model.training.account import (
    corpus_record,
    device_line,
    fused_line,
    made_by,
    metrics,
    origin,
    recipe_line,
)
from textmill.model.training.checkpoint import (
    Checkpoint,
    about,
    checkpoint_of,
    claimed,
    damaged,
    remove_own,
)
from textmill.model.training.fit import History, fit
from textmill.model.training.recipe import Recipe, choose
from textmill.model.training.transfer import Start, check_choices, gentler, sizes, transfer

if TYPE_CHECKING:
    from textmill.model.network.lstm import LanguageModel

# With a budget, a validation reads at most this many words for each second of it: a tenth of the
# time, if 2,000 words a second are read.
_VALID_WORDS = 200
_TEMPERATURES, _GLIMPSE = (0.5, 0.8, 1.0), 30  # temperatures and words of each validation's samples


@dataclass(frozen=True)
class _Material:
    """What a training learns from.

    Attributes:
        corpus: the corpus that was read.
        parts: `train`, `valid` and `test`.
        vocabulary: the network's vocabulary.
        context: how the corpus's labels and numbers become the network's context vector.
        source: the vocabulary of the sources, if the corpus has some.
        old: the model that the training begins from, if any.
        start: what the new network takes from `old`.
    """

    corpus: Corpus
    parts: dict[str, Part]
    vocabulary: Vocabulary
    context: Context
    source: Vocabulary | None
    old: SavedModel | None
    start: Start | None


def train_model(
    out: str,
    *,
    corpus: CorpusSettings,
    vocabulary: VocabularySettings,
    output: str = "auto",
    attention: bool = False,
    train: TrainSettings,
    report: Reporter,
    preset: str = AUTO,
    tensorboard: str | None = None,
    resume: bool = False,
    init_from: str | None = None,
) -> SavedModel:
    """Reads a corpus, trains a model on 90 % of it, and saves it.

    Args:
        out: the model directory to make.
        corpus: where the text comes from.
        vocabulary: how text becomes tokens.
        output: `dense`, `adaptive`, or `auto` for the faster one, see `network.adaptive_cuts`.
        attention: whether each step looks at all of the source.
        train: how to train. Fields that are None are chosen for the corpus and the budget, see
            `training.recipe`.
        report: receives news of the training.
        preset: a name of `PRESETS`, or `auto`, which chooses the sizes.
        tensorboard: a folder for logs.
        resume: whether to go on from the checkpoint that a stopped run into `out` left.
        init_from: a model that gives the first words, sizes and weights, see `training.transfer`.

    Returns:
        The model as saved in `out`; `training["metrics"]` holds its perplexity on the test part.

    Raises:
        TextmillError: the corpus cannot be read or is too small, or `out` exists or cannot be
            written.
    """
    if attention and corpus.source is None:
        raise UsageError("--attention looks at a source; --source names its column")
    with claimed(checkpoint_of(out)):
        started = time.monotonic()
        unfinished = _unfinished(out, resume=resume)
        old = None if init_from is None else load_model(init_from)
        if old is not None:
            check_choices(old, level=vocabulary.level, preset=preset, output=output)
        material = _read(corpus, vocabulary, train, old, report, name=init_from)
        # Keras and its backend are needed only from here on.
        report.message(device_line())
        recipe = _recipe(
            material, train, preset, unfinished if resume else None, attention=attention
        )
        report.message(recipe_line(recipe))
        network = _network(material, recipe, train, output, attention, report)
        checkpoint = Checkpoint(
            unfinished,
            _digest(train, recipe, network.settings, material),
            about={"recipe": asdict(recipe)},
        )
        if resume and _is_finished(out):  # it was killed when only the checkpoint was to be removed
            checkpoint.load()  # refuses another run
            tidy(out)
            return load_model(out)
        history = _fit(
            network, material, train, recipe, checkpoint,
            started=started, tensorboard=tensorboard, resume=resume, report=report,
        )  # fmt: skip
        model = SavedModel(
            network=network.settings,
            vocabulary=material.vocabulary,
            mode=train.mode,
            labels=material.context.labels,
            columns=material.context.columns,
            source=material.source,
            longest_source=_longest(material.parts["train"].source),
            arrays={**network.arrays(), **_standard(material.context)},
            training={
                "corpus": corpus_record(corpus, material.corpus),
                "init_from": None if old is None else origin(old),
                "settings": {**asdict(train), "vocabulary": asdict(vocabulary), "preset": preset},
                "recipe": asdict(recipe),
                "history": history.validations,
                "samples": history.samples,
                "metrics": metrics(
                    network,
                    history,
                    parts=material.parts,
                    vocabulary=material.vocabulary,
                    context=material.context,
                    source=material.source,
                ),
                **made_by(),
            },
        )
        name = os.path.basename(os.path.abspath(out))
        page = training_page(model.training, f"How {name} was trained")
        save_model(
            out,
            model,
            card=model_card(model, name=name, recipe=recipe_line(recipe)),
            page=page,
            instead=resume,  # what the interrupted run left
        )
        if history.stopped != "interrupted":
            tidy(out)
        return model


# -- the steps -------------------------------------------------------------------------------------


def _read(
    corpus: CorpusSettings,
    vocabulary: VocabularySettings,
    train: TrainSettings,
    old: SavedModel | None,
    report: Reporter,
    *,
    name: str | None,
) -> _Material:
    """Reads, tokenises and splits the corpus; chooses the vocabulary from the training part.

    Args:
        name: the directory of `old`, for the message.
    """
    text = corpus.read()
    report.message(
        f"read {len(text.texts):,} {'paragraphs' if train.mode == 'stream' else 'lines'}"
    )
    for note in text.notes:
        report.message(note)
    parts = split(tokenized_part(text, level=vocabulary.level, mode=train.mode))
    learned = Vocabulary.build(
        parts["train"].words, parts["train"].counts(), vocabulary, ends=parts["train"].ends
    )
    if len(learned) == len(RESERVED) and old is None:
        raise TextmillError(
            f"no word is seen {vocabulary.min_count} times in the training part; give a lower "
            "--min-count or more text"
        )
    if text.skipped:
        report.message(f"{text.skipped:,} rows with an empty cell are left out")
    context = Context.learned(
        sorted(set(text.labels or ())), corpus.context, parts["train"].numbers
    )
    if context.unused:
        report.message(
            f"{context.unused:,} of the {context.numbers:,} numbers never change in the training "
            "part and are not used"
        )
    source = None
    if (given := parts["train"].source) is not None:
        source = Vocabulary.build(given.words, given.counts(), vocabulary, ends=given.ends)
    start = None
    if old is not None:
        start = transfer(old, learned, context, seed=train.seed, source=source)
        new = len(start.vocabulary) - len(old.vocabulary)
        report.message(f"going on from {name}: {len(old.vocabulary):,} words, and {new:,} new ones")
        learned, context, source = start.vocabulary, start.context, start.source
    report.message(
        f"{parts['train'].tokens:,} words to train on, vocabulary {len(learned):,}, "
        f"{parts['valid'].unknown_rate(learned):.1%} of the validation words not in it"
    )
    if source is not None:
        report.message(
            f"sources: vocabulary {len(source):,}, up to {_longest(parts['train'].source)} words"
        )
    return _Material(text, parts, learned, context, source, old, start)


def _longest(source: Part | None) -> int:
    """Gives the number of words of the longest source; 0 if there are none."""
    if source is None:
        return 0
    assert source.lengths is not None
    return int(source.lengths.max())


def _standard(context: Context) -> dict[str, np.ndarray]:
    """Gives mean and deviation of the numbers, as a saved model holds them."""
    if not context.numbers:
        return {}
    return {"context_mean": context.mean, "context_deviation": context.deviation}


def _recipe(
    material: _Material,
    train: TrainSettings,
    preset: str,
    checkpoint: Path | None,
    *,
    attention: bool,
) -> Recipe:
    """Chooses sizes and rates; a resumed run keeps those of its checkpoint.

    What was chosen may depend on the machine that the run began on.
    """
    if checkpoint is not None:
        try:
            return Recipe(**about(checkpoint)["recipe"])
        except (KeyError, TypeError) as error:
            raise damaged(checkpoint, error) from None
    old, source = material.old, material.parts["train"].source
    recipe = choose(
        preset if old is None else sizes(old),
        words=material.parts["train"].tokens,
        vocabulary=len(material.vocabulary),
        minutes=train.minutes,
        epochs=train.epochs,
        cores=cores(),
        gpus=gpus(),
        source_words=0 if source is None else source.tokens,
        attention=attention,
    )
    return (recipe if old is None else gentler(recipe)).given(train)


def _network(
    material: _Material,
    recipe: Recipe,
    train: TrainSettings,
    output: str,
    attention: bool,
    report: Reporter,
) -> LanguageModel:
    """Makes the network with its first weights."""
    import keras

    from textmill.model.network.lstm import LanguageModel

    start, counts = material.start, material.vocabulary.counts
    if start is None:
        sized = NetworkSettings(
            vocabulary=len(material.vocabulary),
            embedding=recipe.embedding,
            hidden=recipe.hidden,
            layers=recipe.layers,
            dropout=recipe.dropout,
            context=material.context.width,
            numbers=material.context.numbers,
            source=0 if material.source is None else len(material.source),
            attention=attention,
        )
        settings = choose_output(output, counts, sized)
    else:
        settings = replace(start.network, dropout=recipe.dropout)
        settings = replace(settings, attention=attention or settings.attention)
    if settings.tails:
        head, tails = settings.cutoffs[0], len(settings.tails)
        report.message(f"adaptive output: {head:,} words in the head, {tails} tail clusters")
    network = LanguageModel(
        settings,
        seed=train.seed,
        weight_drop=recipe.weight_drop,
        word_dropout=recipe.word_dropout,
        precision=train.precision,
    )
    network.build()
    if gpus() and keras.backend.backend() == "tensorflow":
        report.message(fused_line(network))
    if start is None:
        network.assign_output_bias(counts)
    else:
        network.assign_arrays({**network.arrays(), **start.arrays})  # new parts as they are
    return network


def _fit(
    network: LanguageModel,
    material: _Material,
    train: TrainSettings,
    recipe: Recipe,
    checkpoint: Checkpoint,
    *,
    started: float,
    tensorboard: str | None,
    resume: bool,
    report: Reporter,
) -> History:
    """Trains the network in place, which writes samples at each validation."""
    import keras

    from textmill.model.network.likelihood import Evaluator
    from textmill.model.training.tensorboard import Watch, glimpse, rows_of, sources_of

    vocabulary, context = material.vocabulary, material.context
    watch = None if tensorboard is None else Watch(tensorboard, vocabulary)
    evaluator = Evaluator(network, vocabulary, context, material.source)
    feeder = make_feeder(material.parts["train"], vocabulary, train, context, material.source)
    if isinstance(feeder, LineBatches) and feeder.cut:
        report.message(f"{feeder.cut:,} lines are longer than 255 words and are cut there")
    if isinstance(feeder, LineBatches) and feeder.sources_cut:
        report.message(f"{feeder.sources_cut:,} sources are longer than 256 words, and cut there")
    valid = material.parts["valid"]
    if train.minutes is not None:
        valid = valid.head(max(1_000, int(train.minutes * 60 * _VALID_WORDS)))
    first = context.labels[0] if context.labels else None
    ids, sources = rows_of(valid, vocabulary, label=first), None
    if material.source is not None:
        sources = sources_of(valid, material.source, label=first)

    def look(step: int, row: dict[str, float]) -> list[dict[str, Any]]:
        samples = []
        for temperature in _TEMPERATURES:
            text = glimpse(
                network,
                vocabulary,
                temperature=temperature,
                words=_GLIMPSE,
                seed=train.seed,
                source=None if sources is None else sources[:1],
            )
            samples.append({"epoch": row["epoch"], "temperature": temperature, "text": text})
        if watch is not None:
            watch(step, row, network, ids, sources)
        return samples

    return fit(
        network,
        feeder,
        lambda: evaluator(valid).perplexity,
        train,
        started=started,
        report=report,
        use_tf_data=keras.backend.backend() == "tensorflow",
        recipe=recipe,
        watch=look,
        checkpoint=checkpoint,
        resume=resume,
    )


def _unfinished(out: str, *, resume: bool) -> Path:
    """Gives the path of the checkpoint of a run into `out`.

    Raises:
        TextmillError: the run may not begin, or not go on.
    """
    checkpoint = checkpoint_of(out)
    if not resume:
        check_free(out)
        if checkpoint.exists():
            raise TextmillError(
                f"there is an unfinished training in {checkpoint.parent}; go on with --resume, or "
                "remove it"
            )
    elif not checkpoint.exists():
        finished = False
        with contextlib.suppress(TextmillError):
            finished = _is_finished(out)
        if finished:  # perhaps it was killed in `tidy`
            tidy(out)
            raise TextmillError(f"there is nothing to resume: {out} is finished")
        raise TextmillError(f"there is nothing to resume: {checkpoint} does not exist")
    return checkpoint


def _is_finished(out: str) -> bool:
    """Tells whether a model is there that no interrupted run has left."""
    if not os.path.exists(out):
        return False
    return load_model(out).training.get("metrics", {}).get("stopped") != "interrupted"


def tidy(out: str) -> None:
    """Removes what a finished training needs no more; last the checkpoint, which a resume reads."""
    remove_attempts(out)
    remove_own(checkpoint_of(out))


def _digest(
    train: TrainSettings, recipe: Recipe, network: NetworkSettings, material: _Material
) -> str:
    """Hashes all that decides a run's steps."""
    settings = asdict(train)
    del settings["checkpoint_minutes"]
    old = material.old
    parts = [
        settings,
        asdict(recipe),
        network.record(),
        list(material.vocabulary.counts),
        *([] if material.source is None else [list(material.source.counts)]),
        list(material.context.labels),
        *([list(material.context.columns)] if material.context.columns else []),
        [source.sha256 for source in material.corpus.sources],
        old and old.fingerprint,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def make_feeder(
    part: Part,
    vocabulary: Vocabulary,
    settings: TrainSettings,
    context: Context,
    source: Vocabulary | None = None,
) -> Feeder:
    """Makes the training batches of a part.

    Raises:
        TextmillError: the part has too few words for one batch.
    """
    ids = part.encode(vocabulary)
    if part.lengths is not None:
        contexts = None
        if context.width:
            contexts = context.vectors(part.labels, part.numbers, rows=len(part.lengths))
        batch = min(settings.batch, len(part.lengths))
        sources: dict[str, Any] = {}
        if part.source is not None:
            assert source is not None
            sources["sources"] = part.source.encode(source)
            sources["source_lengths"] = part.source.lengths
        return LineBatches(
            ids, part.lengths, batch=batch, seed=settings.seed, contexts=contexts, **sources
        )
    least = settings.batch * (settings.steps + 1)
    feeder = StreamBatches(
        ids,
        batch=settings.batch,
        steps=settings.steps,
        seed=settings.seed,
    )
    if len(ids) < least or feeder.windows < 1:
        raise TextmillError(
            f"the training part (90 % of the corpus) has {len(ids):,} words, one batch of "
            f"{settings.batch} x {settings.steps} needs at least {least * 8 // 7:,}; add text"
        )
    return feeder
