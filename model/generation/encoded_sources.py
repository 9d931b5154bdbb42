"""Reads sources and attends to them in TensorFlow, for a fixed number of slots.

The counterpart of `network.encoder`. Shapes: S slots, H hidden units.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from textmill.model.generation.lstm_step import READ, lstm_layers, through
from textmill.model.generation.sampling import compiled, product
from textmill.model.network.directory import SavedModel
from textmill.model.text.vocabulary import PAD

LOOK = 8  # words of the sources that attention takes up at a time


class Encoder:
    """Reads up to S sources at a time.

    Args:
        model: a saved model with sources.
        w: its arrays, from `aligned`.
        slots: S.
    """

    def __init__(self, model: SavedModel, w: dict[str, np.ndarray], slots: int):
        self.slots, self.layers = slots, model.network.layers
        self._embedding = tf.constant(w["source_embedding"])
        self._lstms = lstm_layers(w, "source", self.layers, "float32")
        self.hidden = len(w["source_0_recurrent"])
        self._read = tf.function(self._read_chunk, autograph=False)

    def __call__(self, sources: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Reads up to S sources, each at least a word long.

        Args:
            sources: their words, last word first.

        Returns:
            The states [S, layers, 2, H] after them, and the outputs [longest, S, H] at each word,
            which mean nothing behind a source's end.
        """
        lengths = np.zeros(self.slots, np.int32)
        lengths[: len(sources)] = [len(row) for row in sources]
        h = c = [np.zeros((self.slots, self.hidden), np.float32)] * self.layers
        outputs = []
        for begin in range(0, int(lengths.max()), READ):
            words = np.full((READ, self.slots), PAD, np.int32)
            for row, source in enumerate(sources):
                piece = source[begin : begin + READ]
                words[: len(piece), row] = piece
            h, c, found = self._read(words, lengths - begin, h, c)
            outputs.append(found.numpy())
        states = np.stack([np.stack([h, c]) for h, c in zip(h, c, strict=True)])
        return states.transpose(2, 0, 1, 3), np.concatenate(outputs)[: int(lengths.max())]

    def _read_chunk(self, words: Any, lengths: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        longest = tf.minimum(tf.reduce_max(lengths), READ)

        def body(t: Any, h: list[Any], c: list[Any], out: Any) -> tuple[Any, ...]:
            x = tf.gather(self._embedding, words[t])
            x, h, c = through(self._lstms, x, h, c, t < lengths)
            return t + 1, h, c, out.write(t, x)

        out = tf.TensorArray(tf.float32, READ, element_shape=[self.slots, self.hidden])
        start = 0, list(h), list(c), out
        _, h, c, out = tf.while_loop(lambda t, *_: t < longest, body, start)
        return h, c, out.stack()


class Attention:
    """Looks at the sources of the slots' texts, whose encoded words lie in one bank.

    Args:
        w: arrays of the model, from `aligned`.
        slots: S.
        steps: words of the longest source.
        places: number of sources that the bank has room for at first.
    """

    def __init__(self, w: dict[str, np.ndarray], slots: int, *, steps: int, places: int):
        self.slots, self._places = slots, places
        self._score = tf.constant(w["attention_score"])
        self._combine = tf.constant(w["attention_combine"])
        self.hidden = self._score.shape[0]
        self.steps = -(-steps // LOOK) * LOOK  # rows of the bank for each place
        self._bank = tf.Variable(
            tf.zeros([places * self.steps, self.hidden]), trainable=False,
            shape=[None, self.hidden],
        )  # fmt: skip

    def __call__(self, h: Any, places: Any, lengths: Any) -> Any:
        """Gives what stands in for h, see `GlobalAttention`; [S, H].

        The softmax over a source is summed up word by word, so padding does not change a bit.

        Args:
            h: of the decoder's last layer, [S, H].
            places: of the sources in the bank, int32 [S].
            lengths: their words, int32 [S]; 0 for a slot that is off.
        """
        query, longest = product(h, self._score), tf.reduce_max(lengths)
        first = places[None] * self.steps + tf.range(LOOK)[:, None]

        def body(t: Any, top: Any, total: Any, seen: Any) -> tuple[Any, ...]:
            # A variable of which single rows were written is copied unless it is read by rows.
            outputs = tf.gather(self._bank, first + t)
            return t + LOOK, *_looked(query, outputs, lengths - t, top, total, seen)

        start = tf.fill([self.slots], -np.inf), tf.zeros([self.slots]), tf.zeros_like(h)
        _, _, total, seen = tf.while_loop(lambda t, *_: t < longest, body, (0, *start))
        both = tf.concat([tf.math.divide_no_nan(seen, total[:, None]), h], axis=1)
        return tf.tanh(product(both, self._combine))

    def write(self, sources: list[tuple[int, np.ndarray]], *, places: int) -> None:
        """Writes encoded words into the bank.

        Args:
            sources: places, and what `Encoder` gave for the words, [words, H].
            places: number of places that the bank must have.
        """
        if places > self._places:
            more = tf.zeros([(places - self._places) * self.steps, self.hidden])
            self._bank.assign(tf.concat([self._bank.value(), more], axis=0))
            self._places = places
        rows = [np.arange(len(words)) + place * self.steps for place, words in sources]
        words = np.concatenate([words for _, words in sources])
        self._bank.scatter_nd_update(np.concatenate(rows)[:, None], words)


@compiled
def _looked(
    query: Any, outputs: Any, lengths: Any, top: Any, total: Any, seen: Any
) -> tuple[Any, Any, Any]:
    """Adds words of the sources, outputs [LOOK, S, H], to the sums of a softmax.

    Args:
        lengths: how many of these words each source has.
        top: the largest score so far, [S]; the sums are relative to its exponential.
        total: sum of the exponentials of the scores.
        seen: sum of the outputs, times these, [S, H].
    """
    for t in range(LOOK):
        score = tf.reduce_sum(query * outputs[t], axis=1)
        higher = tf.maximum(top, score)
        old, new = tf.exp(top - higher), tf.exp(score - higher)
        here = t < lengths
        total = tf.where(here, total * old + new, total)
        sums = seen * old[:, None] + outputs[t] * new[:, None]
        seen = tf.where(here[:, None], sums, seen)
        top = tf.where(here, higher, top)
    return top, total, seen
