"""Prepares a trained model for another corpus, whose new words and labels get rows of their own.

Old words keep their ids and vectors, so all that was learned stays; new words follow them. An
adaptive output puts the new words into its last cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from textmill.model.errors import UsageError
from textmill.model.network.context import Context
from textmill.model.network.directory import SavedModel
from textmill.model.settings import AUTO, NetworkSettings, Preset
from textmill.model.text.vocabulary import RESERVED, Vocabulary
from textmill.model.training.recipe import Recipe

_NOISE = 0.1  # noise of a new row, in standard deviations of the old rows
_GENTLER = 0.5  # the peak rate is lowered by this, so that good weights are not lost


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a training begins from.

    Attributes:
        vocabulary: the old model's words, then the corpus's new words.
        context: the old model's labels, then the corpus's new ones, or none if the corpus has none;
            the corpus's numbers, with the old model's mean and deviation if it has them, too.
        network: the old sizes, with this vocabulary and this context.
        arrays: float32 weights of this network, by name; parts that the old one did not have are
            left out.
        source: the vocabulary of the corpus's sources, if it has some: the old model's words first.
    """

    vocabulary: Vocabulary
    context: Context
    network: NetworkSettings
    arrays: dict[str, np.ndarray]
    source: Vocabulary | None = None


def check_choices(old: SavedModel, *, level: str, preset: str, output: str) -> None:
    """Refuses choices that the old network does not allow.

    Raises:
        UsageError: the level differs, or sizes or output are given.
    """
    if level != old.vocabulary.level:
        raise UsageError(
            f"--init-from is a model at {old.vocabulary.level} level, this training is at {level} "
            f"level; give --level {old.vocabulary.level}"
        )
    for option, value in (("--preset", preset), ("--output", output)):
        if value != AUTO:
            raise UsageError(f"{option} {value} is not for --init-from, which has its own")


def sizes(old: SavedModel) -> Preset:
    """Gives the sizes that a training from `old` has to keep."""
    network = old.network
    return Preset(network.embedding, network.hidden, network.layers)


def gentler(recipe: Recipe) -> Recipe:
    """Gives the recipe with a lower rate, for a training that begins from good weights."""
    return replace(recipe, learning_rate=round(recipe.learning_rate * _GENTLER, 6))


def transfer(
    old: SavedModel,
    learned: Vocabulary,
    context: Context,
    *,
    seed: int,
    source: Vocabulary | None = None,
) -> Start:
    """Extends a model by a corpus's words, labels, numbers and sources.

    A new word's vector is the mean vector of its cluster (of all words, for a dense output) plus a
    little noise. Its bias makes its first probability match its share of the new corpus: it is
    log of this share, plus the mean of b - log p over the cluster's old words, where p is a
    word's share of the old corpus.

    Args:
        old: the trained model.
        learned: words and counts of the new corpus's training part.
        context: labels and numbers of the new corpus.
        seed: seed of the noise.
        source: words and counts of the sources of the training part, if there are some.

    Raises:
        UsageError: both have numbers, but not of the same columns, or not equally many.
    """
    random = np.random.default_rng(seed)
    vocabulary = _extended(old.vocabulary, learned)
    context, kept = _context(old.context, context)
    arrays = {name: array.copy() for name, array in old.arrays.items()}
    new = len(vocabulary) - len(old.vocabulary)
    if new:
        shares = (np.array(learned.counts, np.float64) + 1) / (sum(learned.counts) + len(learned))
        wanted = np.log([shares[learned.ids[w]] for w in vocabulary.words[len(old.vocabulary) :]])
        first = old.network.cutoffs[-1] if old.network.cutoffs else len(RESERVED)
        bias = arrays["output_bias"]
        counts = np.array(old.vocabulary.counts, np.float64) + 1
        level = np.mean(bias[first:] - np.log(counts[first:] / counts.sum()))
        arrays["output_bias"] = np.concatenate([bias, np.float32(wanted + level)])
        arrays["embedding"] = _grown(arrays["embedding"], first, new, random)
        if old.network.tails:
            name = f"tail_{len(old.network.tails) - 1}_out"
            arrays[name] = _grown(arrays[name], 0, new, random)
    hidden = 2 * old.network.layers * old.network.hidden
    if not context.width:
        for name in ("context_kernel", "context_bias", "context_input"):
            arrays.pop(name, None)
    else:
        for name, width in (("context_kernel", hidden), ("context_input", old.network.embedding)):
            kernel = np.zeros((context.width, width), np.float32)
            kernel[kept < 0] = random.normal(0.0, 0.1, (int((kept < 0).sum()), width))
            if name in arrays:
                kernel[kept >= 0] = arrays[name][kept[kept >= 0]]
            arrays[name] = kernel
        arrays.setdefault("context_bias", np.zeros(hidden, np.float32))
    if source is not None and old.source is not None:
        source = _extended(old.source, source)
        grown = len(source) - len(old.source)
        arrays["source_embedding"] = _grown(
            arrays["source_embedding"], len(RESERVED), grown, random
        )
    elif source is None:
        arrays = {name: array for name, array in arrays.items() if not _of_source(name)}
    network = replace(
        old.network, vocabulary=len(vocabulary), context=context.width, numbers=context.numbers,
        source=0 if source is None else len(source),
        attention=source is not None and old.network.attention,
    )  # fmt: skip
    return Start(
        vocabulary=vocabulary, context=context, network=network, arrays=arrays, source=source
    )


def _of_source(name: str) -> bool:
    return name.startswith(("source_", "attention_"))


def _context(old: Context, new: Context) -> tuple[Context, np.ndarray]:
    """Joins two contexts; gives also, for each entry, its place in the old one, or -1."""
    both = old.columns and new.columns
    if both and (old.columns, old.numbers) != (new.columns, new.numbers):
        raise UsageError(
            f"the model of --init-from has {old.numbers} numbers ({' '.join(old.columns)}), the "
            f"corpus {new.numbers} ({' '.join(new.columns)}); give the same --context"
        )
    added = [label for label in new.labels if label not in old.labels]
    labels = (*old.labels, *added) if new.labels else ()
    numbers = old if both else new  # its weights fit the old mean and deviation
    kept = [i if i < len(old.labels) else -1 for i in range(len(labels))]
    first = len(old.labels) if both else -1
    kept += [first + i if both else -1 for i in range(new.numbers)]
    joined = Context(labels, new.columns, numbers.mean, numbers.deviation)
    return joined, np.array(kept, np.int64)


def _extended(old: Vocabulary, learned: Vocabulary) -> Vocabulary:
    """Makes a vocabulary of the old words, with both corpora's counts, then the new words."""
    counts = dict(zip(old.words, old.counts, strict=True))
    for word, count in zip(learned.words, learned.counts, strict=True):
        counts[word] = counts.get(word, 0) + count
    return Vocabulary(level=old.level, words=list(counts), counts=list(counts.values()))


def _grown(rows: np.ndarray, first: int, new: int, random: np.random.Generator) -> np.ndarray:
    """Adds `new` rows that resemble those from `first` on."""
    like = rows[first:].astype(np.float64)
    noise = random.standard_normal((new, rows.shape[1])) * like.std(axis=0) * _NOISE
    return np.concatenate([rows, np.float32(like.mean(axis=0) + noise)])
