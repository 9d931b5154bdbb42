"""Turns ids into training batches: windows of one long stream, or padded lines.

A feeder plans its batches in NumPy. `batches()` makes them in NumPy, `tf_data()` in a tf.data
pipeline; both give the same arrays in the same order. Shapes: B texts, T time steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textmill.model.text.vocabulary import EOS, PAD

Batch = tuple[dict[str, Any], Any, Any]  # inputs, targets, weights


WIDTHS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_SIMILAR = 16  # batches whose lines are sorted by the lengths of their sources


@dataclass(frozen=True)
class StreamBatches:
    """Contiguous windows for truncated backpropagation: B streams side by side, state carried.

    Args:
        ids: the text, int32 [N].
        batch: B.
        steps: T.
        seed: seed of the offset that shifts the windows in each epoch, so that no word is always
            the last of its window.
    """

    ids: np.ndarray
    batch: int
    steps: int
    seed: int

    carries_state = True

    @property
    def windows(self) -> int:
        """Number of batches of T steps in an epoch; below 1 if there is too little text."""
        return (self._rows_length() - self._slack() - 1) // self.steps

    @property
    def words(self) -> int:
        """Number of words to predict in an epoch."""
        return self.windows * self.steps * self.batch

    def plan(self, epoch: int) -> list[int]:
        """Gives the first step of each window, which is the same in every epoch."""
        return list(range(0, self.windows * self.steps, self.steps))

    def _rows_length(self) -> int:
        return (len(self.ids) + 1) // self.batch

    def _slack(self) -> int:
        # Room for the offset: at most one window, and at most an eighth of a short row.
        return min(self.steps, self._rows_length() // 8)

    def _rows(self, epoch: int) -> np.ndarray:
        text = np.concatenate([[EOS], self.ids])[: self._rows_length() * self.batch]
        length = self.windows * self.steps + 1
        spare = self._rows_length() - length
        offset = int(np.random.default_rng([self.seed, epoch]).integers(spare + 1))
        rows = text.reshape(self.batch, -1)[:, offset : offset + length]
        return rows.astype(np.int32)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Makes the batches from number `start` on.

        Inputs are [B, T], targets [B, T] are one word ahead, all weights are one.
        """
        rows = self._rows(epoch)
        for begin in self.plan(epoch)[start:]:
            window = rows[:, begin : begin + self.steps + 1]
            ones = np.ones((self.batch, self.steps), np.float32)
            yield {"ids": window[:, :-1]}, window[:, 1:], ones

    def tf_data(self, epoch: int, start: int = 0) -> Any:
        """Makes the same batches as a `tf.data.Dataset`."""
        import tensorflow as tf

        rows, plan = tf.constant(self._rows(epoch)), self.plan(epoch)[start:]

        @tf.autograph.experimental.do_not_convert  # no Python flow to look for
        def window(begin: Any) -> Any:
            words = rows[:, begin : begin + self.steps + 1]
            ids, targets = (
                tf.ensure_shape(part, (self.batch, self.steps))
                for part in (words[:, :-1], words[:, 1:])
            )
            return {"ids": ids}, targets, tf.ones_like(targets, tf.float32)

        begins = np.array(plan, np.int32)
        return _feed(tf.data.Dataset.from_tensor_slices(begins).map(window))


@dataclass(frozen=True)
class LineBatches:
    """Lines of similar length padded to a common width, `<eos>` before and after, padding masked.

    Args:
        ids: the tokens of all lines, int32 [N].
        lengths: number of tokens of each line, int [lines].
        batch: B; if the last batch of a width has fewer lines, masked rows fill it up.
        seed: seed of the order, which differs in each epoch.
        contexts: float32 [lines, C], one for each line, or None.
        sources: the tokens of all sources, int32, one source for each line, or None.
        source_lengths: number of tokens of each source.
        shuffle: False keeps the order of the lines.
    """

    ids: np.ndarray
    lengths: np.ndarray
    batch: int
    seed: int
    contexts: np.ndarray | None = None
    sources: np.ndarray | None = None
    source_lengths: np.ndarray | None = None
    shuffle: bool = True

    carries_state = False

    @property
    def cut(self) -> int:
        """Number of lines that are longer than the largest width and lose their ends."""
        return int(np.sum(self.lengths + 1 > WIDTHS[-1]))

    @property
    def sources_cut(self) -> int:
        """Number of sources that are longer than the largest width and lose their ends."""
        if self.source_lengths is None:
            return 0
        return int(np.sum(self.source_lengths > WIDTHS[-1]))

    def plan(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """Gives (width, line numbers [B]) of each batch; -1 stands for a missing line."""
        random = np.random.default_rng([self.seed, epoch])
        order = np.arange(len(self.lengths))
        if self.shuffle:
            random.shuffle(order)
        column = np.searchsorted(WIDTHS, np.minimum(self.lengths + 1, WIDTHS[-1]))
        plan = []
        for i, width in enumerate(WIDTHS):
            members = order[column[order] == i]
            if self.source_lengths is not None and self.shuffle:
                members = self._by_source(members)
            for start in range(0, len(members), self.batch):
                lines = np.full(self.batch, -1)
                chunk = members[start : start + self.batch]
                lines[: len(chunk)] = chunk
                plan.append((width, lines))
        if self.shuffle:
            random.shuffle(plan)
        return plan

    def _by_source(self, lines: np.ndarray) -> np.ndarray:
        """Puts lines with sources of similar length beside one another, within parts of a pass."""
        assert self.source_lengths is not None
        part = _SIMILAR * self.batch
        parts = [lines[start : start + part] for start in range(0, len(lines), part)]
        lengths = self.source_lengths
        return np.concatenate(
            [some[np.argsort(lengths[some], kind="stable")] for some in parts] or [lines]
        )

    @property
    def words(self) -> int:
        """Number of words to predict in an epoch, each `<eos>` included."""
        return int(np.minimum(self.lengths + 1, WIDTHS[-1]).sum())

    def _padded(self, width: int, lines: np.ndarray) -> Batch:
        ends = np.cumsum(self.lengths)
        ids = np.full((len(lines), width), PAD, np.int32)
        targets, weights = ids.copy(), np.zeros((len(lines), width), np.float32)
        for row, line in enumerate(lines):
            if line < 0:
                continue
            text = self.ids[ends[line] - self.lengths[line] : ends[line]]
            text = np.concatenate([[EOS], text, [EOS]])[: width + 1]
            ids[row, : len(text) - 1], targets[row, : len(text) - 1] = text[:-1], text[1:]
            weights[row, : len(text) - 1] = 1.0
        inputs = {"ids": ids}
        if self.contexts is not None:
            inputs["context"] = self.contexts[lines]  # the row of a missing line is masked
        if self.source_lengths is not None:
            inputs["source"] = self._sources(lines)
        return inputs, targets, weights

    def _sources(self, lines: np.ndarray) -> np.ndarray:
        """Gives the sources of lines, reversed, in the least width that holds them, [B, S]."""
        assert self.sources is not None
        assert self.source_lengths is not None
        lengths = np.minimum(self.source_lengths[lines], WIDTHS[-1])
        ends = np.cumsum(self.source_lengths)
        starts = ends[lines] - self.source_lengths[lines]
        width = WIDTHS[int(np.searchsorted(WIDTHS, lengths.max()))]
        return reversed_padded(
            [self.sources[a : a + n] for a, n in zip(starts, lengths, strict=True)], width
        )

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Makes the batches: inputs and targets [B, T], weight 1 for words and `<eos>`, else 0."""
        for width, lines in self.plan(epoch)[start:]:
            yield self._padded(width, lines)

    def tf_data(self, epoch: int, start: int = 0) -> Any:
        """Makes the same batches as a `tf.data.Dataset`; there is one shape for each width."""
        import tensorflow as tf

        plan = self.plan(epoch)[start:]
        # Each row with its <eos> at both ends; an empty last row stands for a missing line.
        starts = np.cumsum(self.lengths)
        ended = np.insert(self.ids, np.repeat(starts, 2)[:-1], EOS)
        texts = tf.RaggedTensor.from_row_lengths(
            np.concatenate([[EOS], ended]).astype(np.int32),
            np.append(self.lengths + 2, 0),
        )
        widths = tf.constant([width for width, _ in plan], tf.int64)
        lines = tf.constant(np.stack([lines for _, lines in plan]))
        contexts = None if self.contexts is None else tf.constant(self.contexts)

        @tf.autograph.experimental.do_not_convert
        def padded(i: Any) -> Any:
            # A missing line is -1; modulo the number of rows, that is the empty last row.
            rows = tf.gather(texts, lines[i] % (len(self.lengths) + 1))
            words = rows.to_tensor(PAD, shape=(self.batch, None))[:, : widths[i] + 1]
            words = tf.pad(words, [[0, 0], [0, widths[i] + 1 - tf.shape(words, tf.int64)[1]]])
            at = tf.range(widths[i])[None, :]
            lengths = rows.row_lengths()[:, None] - 1
            inputs = {"ids": tf.where(at < lengths, words[:, :-1], PAD)}
            if contexts is not None:
                inputs["context"] = tf.gather(contexts, lines[i] % tf.shape(contexts, tf.int64)[0])
            return inputs, words[:, 1:], tf.cast(at < lengths, tf.float32)

        def sourced(i: Any, inputs: Any, *others: Any) -> Any:
            source = tf.numpy_function(lambda at: self._sources(plan[at][1]), [i], tf.int32)
            return {**inputs, "source": tf.ensure_shape(source, (self.batch, None))}, *others

        data = tf.data.Dataset.range(len(plan)).map(padded, num_parallel_calls=2)
        if self.source_lengths is not None:
            numbers = tf.data.Dataset.range(len(plan))
            data = tf.data.Dataset.zip(numbers, data).map(
                lambda i, batch: sourced(i, *batch), num_parallel_calls=2
            )
        return _feed(data)


def reversed_padded(rows: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Puts sources into the order that the encoder reads them in, int32 [rows, width].

    The last word comes first, and the padding behind the first. A source that is longer than
    `width` loses its end.
    """
    found = np.full((len(rows), width), PAD, np.int32)
    for row, ids in enumerate(rows):
        kept = ids[:width]
        found[row, : len(kept)] = kept[::-1]
    return found


def _feed(data: Any) -> Any:
    """Keeps two batches ready. All parallelism is fixed, so tf.data need not tune itself.

    Its tuning thread sleeps longer each time (10 ms, 20, 40 ...), and an iterator that ends waits
    for it: after a minute of training, this cost 30 s.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return data.prefetch(2).with_options(options)


Feeder = StreamBatches | LineBatches
