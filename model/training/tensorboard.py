"""Writes TensorBoard logs of a training: scalars, samples and the ranks of the true words.

The package tensorboard need not be installed. Only its own writers (`tf.summary.scalar` and the
like) need it; `tf.summary.write` with metadata made by hand writes the same events without it.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.network.lstm import LanguageModel
from textmill.model.network.reader import Reader
from textmill.model.text.dataset import WIDTHS, reversed_padded
from textmill.model.text.split import Part
from textmill.model.text.vocabulary import EOS, PAD, UNKNOWN, Vocabulary
from textmill.model.visible import visible

_RANKED = 2_000  # words of the validation part whose ranks are found
_LOOKED_AT = 40_000  # first words of a part, which are searched for lines of one label
_WINDOW = 64  # time steps read at once
_MOST_LOGITS = 512  # rows of V logits in memory at once
_PLUGINS = {"scalars": 1, "text": 2, "histograms": 2}  # plug-in: DataClass of summary.proto
_RANK = (
    "log2(rank + 1) of the true next word; rank: how many words the model finds more probable. "
    "0 holds the words that it finds the most probable."
)


class Watch:
    """Writes TensorBoard logs of a training to a folder.

    Tags: each scalar by its name, `sample/temperature_T` for each temperature, and `log2_rank`, a
    histogram of log2(rank + 1), see `ranks`, in buckets of width 1. All samples are drawn with the
    same seed, so that a change comes from the network.

    Args:
        folder: folder of the logs; it is made if absent.
        vocabulary: the network's vocabulary.
        temperatures: temperatures of the samples.
        words: largest number of words of a sample.
        seed: seed of the samples.

    Raises:
        TextmillError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: str,
        vocabulary: Vocabulary,
        *,
        temperatures: tuple[float, ...] = (0.5, 0.8, 1.0),
        words: int = 30,
        seed: int = 0,
    ):
        import tensorflow as tf

        self.vocabulary, self.temperatures = vocabulary, temperatures
        self.words, self.seed = words, seed
        try:
            os.makedirs(folder, exist_ok=True)
            self._writer = tf.summary.create_file_writer(folder)
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or "TensorFlow cannot open it"
            raise TextmillError(f"cannot write TensorBoard logs to {folder}: {reason}") from None

    def __call__(
        self,
        step: int,
        scalars: dict[str, float],
        network: LanguageModel,
        valid_ids: np.ndarray,
        sources: np.ndarray | None = None,
    ) -> None:
        """Writes the logs of one step.

        Args:
            valid_ids: int [N] or [B, T], as `rows_of` gives them; about 2,000 words are ranked.
            sources: int32 [B, S], as `sources_of` gives them, for a network with a source.
        """
        import tensorflow as tf

        samples = {
            f"sample/temperature_{temperature:g}": glimpse(
                network,
                self.vocabulary,
                temperature=temperature,
                words=self.words,
                seed=self.seed,
                source=None if sources is None else sources[:1],
            )
            for temperature in self.temperatures
        }
        few = _RANKED
        if valid_ids.ndim == 2:
            few = 1 + int(np.searchsorted(np.cumsum(np.sum(valid_ids != PAD, axis=1)), _RANKED))
        read = None if sources is None else sources[:few]
        histogram = _histogram(ranks(network, valid_ids[:few], read), len(self.vocabulary))
        with self._writer.as_default(step=step):
            for name, value in scalars.items():
                tf.summary.write(name, np.float32(value), metadata=_metadata("scalars"))
            for name, text in samples.items():
                tf.summary.write(name, visible(text, keep="\n\t"), metadata=_metadata("text"))
            tf.summary.write("log2_rank", histogram, metadata=_metadata("histograms", _RANK))
            self._writer.flush()


def _metadata(plugin: str, description: str = "") -> Any:
    import tensorflow as tf

    return tf.compat.v1.SummaryMetadata(
        plugin_data={"plugin_name": plugin},
        summary_description=description,
        data_class=_PLUGINS[plugin],
    )


def _histogram(found: np.ndarray, vocabulary: int) -> np.ndarray:
    """Gives left edge, right edge and count of each bucket of log2(rank + 1), float64 [buckets, 3].

    The buckets always cover the whole vocabulary, so that steps can be compared.
    """
    # frexp gives the power of two exactly; log2 may round up to the next bucket.
    powers = np.frexp(found + 1.0)[1] - 1
    counts = np.bincount(powers, minlength=vocabulary.bit_length())
    left = np.arange(len(counts))
    return np.stack([left, left + 1, counts], axis=1).astype(np.float64)


def glimpse(
    network: LanguageModel,
    vocabulary: Vocabulary,
    *,
    temperature: float,
    words: int,
    seed: int,
    source: np.ndarray | None = None,
) -> str:
    """Draws a text from a network in training; good for a few texts, slow for many.

    The text starts from `<eos>` and ends at the next `<eos>` or after `words` words; `<pad>` and
    `<unk>` are never drawn. A network with labels writes a text of the first label, one with
    numbers that of their means.

    Args:
        temperature: 0 takes the most probable word, the lowest id on ties.
        source: int32 [1, S], what the text is written from, for a network with a source.
    """
    random = np.random.default_rng(seed)
    h, c = _reader(network).start(1, _context(network, 1), source)
    token, drawn = EOS, []
    for _ in range(words):
        logits, h, c = _read(network, np.array([[token]], np.int32), h, c, source)
        token = _draw(logits[0, 0], temperature, random)
        if token == EOS:
            break
        drawn.append(token)
    return vocabulary.decode(drawn)


def _draw(logits: np.ndarray, temperature: float, random: np.random.Generator) -> int:
    allowed = logits.astype(np.float64)
    allowed[[PAD, UNKNOWN]] = -np.inf
    if temperature == 0:
        return int(np.argmax(allowed))
    # Subtract the maximum first: a small temperature would make the logits infinite.
    weights = np.exp((allowed - allowed.max()) / temperature)
    return int(random.choice(len(weights), p=weights / weights.sum()))


def ranks(network: LanguageModel, ids: np.ndarray, sources: np.ndarray | None = None) -> np.ndarray:
    """Counts the words that the network finds more probable than each true next word.

    Args:
        ids: int [N], one text through which the state is carried; or int [B, T], separate texts
            filled up with `<pad>`. Each text starts from an `<eos>`, and with the first label and
            mean numbers if the network has labels and numbers.
        sources: int32 [B, S], what each text is written from, for a network with a source.

    Returns:
        int64 [words], 0 for the most probable; text after text, without the padding.
    """
    targets = np.atleast_2d(ids).astype(np.int32)
    rows, steps = targets.shape
    window = max(1, min(_WINDOW, _MOST_LOGITS // rows))
    filled = np.pad(targets, ((0, 0), (0, -steps % window)), constant_values=PAD)
    inputs = np.concatenate([np.full((rows, 1), EOS, np.int32), filled[:, :-1]], axis=1)
    h, c = _reader(network).start(rows, _context(network, rows), sources)
    found = np.zeros(filled.shape, np.int64)
    for i in range(0, filled.shape[1], window):
        part = slice(i, i + window)
        logits, h, c = _read(network, inputs[:, part], h, c, sources)
        true = np.take_along_axis(logits, filled[:, part, None], axis=-1)
        found[:, part] = np.sum(logits > true, axis=-1)
    return found[:, :steps][targets != PAD]


def rows_of(part: Part, vocabulary: Vocabulary, *, label: str | None = None) -> np.ndarray:
    """Gives a part's ids for `ranks`: a stream as int [N], lines with their `<eos>` as int [B, T].

    Only the part's first 40,000 words are used.

    Args:
        label: take only lines with this label, if there are any.
    """
    part = part.head(_LOOKED_AT)
    ids = part.encode(vocabulary)
    if part.lengths is None:
        return ids
    lines = np.split(ids, np.cumsum(part.lengths)[:-1])
    chosen = [lines[i] for i in _of_label(part, label)]
    filled = np.full((len(chosen), max(map(len, chosen)) + 1), PAD, np.int32)
    for i, line in enumerate(chosen):
        filled[i, : len(line) + 1] = [*line, EOS]
    return filled


def sources_of(part: Part, vocabulary: Vocabulary, *, label: str | None = None) -> np.ndarray:
    """Gives the sources of the lines of `rows_of`, int32 [B, S], as the encoder reads them.

    Args:
        vocabulary: that of the sources.
        label: as for `rows_of`.
    """
    part = part.head(_LOOKED_AT)
    assert part.source is not None
    assert part.source.lengths is not None
    ids = part.source.encode(vocabulary)
    lines = np.split(ids, np.cumsum(part.source.lengths)[:-1])
    chosen = [lines[i] for i in _of_label(part, label)]
    return reversed_padded(chosen, min(max(map(len, chosen)), WIDTHS[-1]))


def _of_label(part: Part, label: str | None) -> list[int]:
    """Gives the numbers of the lines with a label, or of all if none has it."""
    assert part.lengths is not None
    every = list(range(len(part.lengths)))
    return [i for i in every if part.labels is None or part.labels[i] == label] or every


# -- the network, compiled -------------------------------------------------------------------------


@lru_cache(maxsize=1)  # compiled once, however often a training is watched
def _reader(network: LanguageModel) -> Reader:
    return Reader(network)


def _read(
    network: LanguageModel,
    ids: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    sources: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inputs = {"ids": ids, "h": h, "c": c}
    if sources is not None:
        inputs["source"] = sources
    if (context := _context(network, len(ids))) is not None:
        inputs["context"] = context
    out = _reader(network).predict_on_batch(inputs)
    return np.asarray(out["logits"]), np.asarray(out["h"]), np.asarray(out["c"])


def _context(network: LanguageModel, rows: int) -> np.ndarray | None:
    """Gives a context for each row: the first label and mean numbers; None if there is none."""
    s = network.settings
    vector = np.zeros((1, s.context), np.float32)
    vector[:, : min(s.labels, 1)] = 1
    return vector.repeat(rows, axis=0) if s.context else None
