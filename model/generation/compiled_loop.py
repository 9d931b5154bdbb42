"""The network that a generator runs, in TensorFlow, for a fixed number of slots.

Matrix products are TensorFlow's own operations: on CPUs they are faster than XLA's, and a row's
bits do not depend on its place or on the other rows. XLA compiles everything between them.

Shapes: S slots, V words, H hidden units, D embedding width.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from textmill.model.generation.adaptive_softmax import AdaptiveSampler
from textmill.model.generation.dense_softmax import LANES, DenseSampler
from textmill.model.generation.sampling import (
    block_ends,
    block_repeats,
    compiled,
    draw,
    greedy,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise,
    product,
    remember,
    uniforms,
    weights_of,
)
from textmill.model.memory import give_back_heap, give_back_pages
from textmill.model.network.directory import SavedModel
from textmill.model.text.vocabulary import EOS, PAD

NO_TEXT = -1  # the number of the text in an empty slot
READ = 64  # most prompt words that are read in one call
CHUNK = 32  # most words that are drawn in one call; slots are refilled at each word
_KERNELS = ("kernel", "recurrent")
# Added to the counter for a draw after all proposals were rejected; it is above the counters of
# all rounds of `generation.dense_softmax`.
_OF_LOST = 63 << 24


class Graph:
    """The network in TensorFlow, for S slots. Gates are in Keras's order i, f, c, o.

    Args:
        model: the saved model.
        slots: S.
        precision: precision of the products, `float32` or `bfloat16`; everything else is float32,
            and so are all products of adaptive outputs.
    """

    def __init__(self, model: SavedModel, slots: int, precision: str = "float32"):
        self.model, self.slots = model, slots
        self.layers = model.network.layers
        w = {name: _aligned(name, array) for name, array in model.arrays.items()}
        self.hidden = len(w["lstm_0_recurrent"])
        self.sampler: AdaptiveSampler | DenseSampler
        if model.network.tails:
            self.sampler = AdaptiveSampler(model.network, w)
        else:
            self.sampler = DenseSampler(w["embedding"], w["output_bias"], precision)
        if isinstance(self.sampler, DenseSampler):
            # The same rows, with some behind them that no word has.
            self._embedding = self.sampler.embedding
        else:
            self._embedding = tf.constant(w["embedding"])
        # What a label adds to every word's vector; the last row is for no label.
        self._labels = None
        if "context_input" in w:
            self._labels = tf.constant(np.pad(w["context_input"], [(0, 1), (0, 0)]))
        self._projection = None
        if "projection" in w:
            self._projection = tf.cast(w["projection"], precision)
        # Each layer's two kernels as one, cut by gate, because narrower products are faster.
        self._kernels, self._biases = [], []
        for i in range(self.layers):
            both = np.concatenate([w[f"lstm_{i}_kernel"], w[f"lstm_{i}_recurrent"]])
            gates = np.ascontiguousarray(np.split(both, 4, axis=1))
            self._kernels.append([tf.cast(gate, precision) for gate in gates])
            self._biases.append(tf.constant(np.stack(np.split(w[f"lstm_{i}_bias"], 4))))
        self.read_chunk = tf.function(self._read_chunk, autograph=False)
        self.draw_chunk = tf.function(self._draw_chunk, autograph=False)
        # Whether the program has filters. The first text that needs one sets it, and nothing
        # resets it, so there are at most two programs.
        self.looks = False
        self._settled = 0  # programs that had run when memory was last given back

    def settle(self) -> None:
        """Gives back, after a new program has run, the memory that it took to compile it."""
        programs = self.draw_chunk.experimental_get_tracing_count()
        if programs > self._settled:
            self._settled = programs
            give_back_heap()
            give_back_pages("libtensorflow")

    def step(
        self, tokens: Any, h: Any, c: Any, on: Any, labels: Any = None
    ) -> tuple[Any, list[Any], list[Any]]:
        """Makes one time step.

        Args:
            tokens: int32 [S].
            h: h of each layer, float32 [S, H].
            c: c of each layer, float32 [S, H].
            on: bool [S]; slots that are off keep their state.
            labels: int32 [S], from `label_ids`, for a model that has labels.

        Returns:
            The input of the output layer, [S, D], and h and c after the step.
        """
        x = tf.gather(self._embedding, tokens)
        if self._labels is not None:
            x += tf.gather(self._labels, labels)
        new_h, new_c = [], []
        for i in range(self.layers):
            both = tf.concat([x, h[i]], axis=1)
            both = tf.cast(both, self._kernels[i][0].dtype)
            gates = [product(both, kernel) for kernel in self._kernels[i]]
            x, cell = _gates(gates, self._biases[i], h[i], c[i], on)
            new_h.append(x)
            new_c.append(cell)
        if self._projection is not None:
            x = tf.cast(product(x, self._projection), tf.float32)
        return x, new_h, new_c

    def label_ids(self, labels: Sequence[str | None]) -> np.ndarray:
        """Gives the rows of labels in the table that `step` uses, int32."""
        names = self.model.labels
        ids = [len(names) if label is None else names.index(label) for label in labels]
        return np.array(ids, np.int32)

    def start(self, label: str | None) -> np.ndarray:
        """Gives the state [layers, 2, H] before the first word."""
        if label is None:
            return np.zeros((self.layers, 2, self.hidden), np.float32)
        arrays = self.model.arrays
        row = arrays["context_kernel"][self.model.labels.index(label)] + arrays["context_bias"]
        state = row.reshape(self.layers, 2, -1).copy()
        state[:, 0] = np.tanh(state[:, 0])
        return np.pad(state, [(0, 0), (0, 0), (0, self.hidden - state.shape[2])])

    def read(self, ids: list[np.ndarray], labels: list[str | None]) -> np.ndarray:
        """Reads up to S prompts; returns the states [layers, 2, prompts, H] after them."""
        start = np.zeros((self.slots, self.layers, 2, self.hidden), np.float32)
        for row, label in enumerate(labels):
            start[row] = self.start(label)
        h, c = ([np.ascontiguousarray(start[:, j, i]) for j in range(self.layers)] for i in (0, 1))
        rows = np.zeros(self.slots, np.int32)
        rows[: len(labels)] = self.label_ids(labels)
        lengths = np.zeros(self.slots, np.int32)
        lengths[: len(ids)] = [len(row) for row in ids]
        longest = int(lengths.max(initial=0))
        # One width, so that there are few programs; the loop ends with the longest prompt.
        for begin in range(0, longest, READ):
            words = np.full((READ, self.slots), PAD, np.int32)
            for row, prompt in enumerate(ids):
                piece = prompt[begin : begin + READ]
                words[: len(piece), row] = piece
            h, c = self.read_chunk(words, lengths - begin, rows, h, c)
        return np.stack([np.stack(h), np.stack(c)], axis=1)[:, :, : len(ids)]

    def _read_chunk(
        self, words: Any, lengths: Any, labels: Any, h: list[Any], c: list[Any]
    ) -> tuple[Any, Any]:
        longest = tf.minimum(tf.reduce_max(lengths), READ)

        def body(t: Any, h: list[Any], c: list[Any]) -> tuple[Any, Any, Any]:
            _, h, c = self.step(words[t], h, c, t < lengths, labels)
            return t + 1, h, c

        return tf.while_loop(lambda t, *_: t < longest, body, (0, h, c))[1:]

    def empty(self, asked: dict[str, np.ndarray]) -> dict[str, Any]:
        """Makes empty slots; `asked` are a queue's arrays, which give shapes and types."""
        slots = {name: tf.zeros([self.slots, *v.shape[1:]], v.dtype) for name, v in asked.items()}
        state = [tf.zeros([self.slots, self.hidden])] * self.layers
        number = tf.fill([self.slots], NO_TEXT)
        drawn = tf.zeros([self.slots], tf.int32)
        return {**slots, "number": number, "drawn": drawn, "h": state, "c": list(state)}

    def _refilled(self, s: Any, queue: Any, states: Any, head: Any, left: Any) -> tuple[Any, Any]:
        """Fills empty slots with the next texts; returns the slots and how many were filled."""

        def takers(number: Any, head: Any, left: Any) -> tuple[Any, Any, Any]:
            empty = number == NO_TEXT
            rank = tf.cumsum(tf.cast(empty, tf.int32))
            takes = empty & (rank <= left)
            source = tf.where(takes, (head + rank - 1) % queue["number"].shape[0], 0)
            return takes, source, tf.reduce_sum(tf.cast(takes, tf.int32))

        takes, source, took = takers(s["number"], head, left)
        after = tf.cond(took > 0, lambda: _taken(s, queue, states, takes, source), lambda: dict(s))
        return after, took

    def _draw_chunk(
        self,
        slots: dict[str, Any],
        queue: dict[str, Any],
        states: Any,
        head: Any,
        waiting: Any,
        more: Any,
        never: Any,
        penalty: Any,
        ngram: int,
        looks: bool,
    ) -> tuple[Any, ...]:
        """Feeds each slot its last word and draws the next, up to `CHUNK` times.

        A slot whose text has ended takes the next text of the queue before the next step.

        Args:
            slots: slots from `empty` or the last call.
            queue: the texts that wait, a ring of Q places: arrays [Q, ...] by name.
            states: float32 [layers, 2, Q, H], after all words of the prompts but the last.
            head: the place where the ring starts.
            waiting: number of texts in the ring.
            more: whether texts wait outside the ring, so that the call should stop when the ring
                is empty.
            never: float32 [V], added to the logits.
            penalty: float32, None for off; then it is left out of the program.
            ngram: 0 for off; then it is left out of the program.
            looks: whether any text may need a filter or, as a greedy one does, all logits. If not,
                these are left out of the program.

        Returns:
            The slots, how many texts they took, how many steps were made, and for each of `CHUNK`
            steps and each slot: the number of its text (`NO_TEXT` for none), the word and its
            log-probability.
        """
        # `history`, int32 [S, L] as in `generation.sampling`, exists if a rule needs it.
        looks_back = "history" in queue

        def ruled(logits: Any, s: Any) -> Any:
            """Applies the rules on words to logits; words that may not be drawn get -inf."""
            logits = block_ends(logits + never, s["stops"], s["drawn"] < s["min_words"])
            if penalty is not None:
                logits = penalise(logits, s["history"], penalty)
            if ngram:
                logits = block_repeats(logits, s["history"], ngram)
            return logits

        def filtered(logits: Any, s: Any, on: Any) -> Any:
            weights = weights_of(logits, s["temperature"])
            for wanted, keep, setting in (
                (s["top_k"] > 0, keep_top_k, s["top_k"]),
                (s["top_p"] < 1, keep_top_p, s["top_p"]),
                (s["min_p"] > 0, keep_min_p, s["min_p"]),
            ):
                kept = functools.partial(keep, weights, setting)
                wanted = tf.reduce_any(wanted & on)
                weights = tf.cond(wanted, kept, lambda weights=weights: weights)
            return weights

        def from_all(logits: Any, s: Any, on: Any, lost: Any) -> tuple[Any, Any]:
            """Draws words from the weights of the whole vocabulary, with log-probabilities."""
            position = tf.cast(s["drawn"], tf.uint32)
            position += tf.where(lost, tf.constant(_OF_LOST, tf.uint32), 0)
            two = uniforms(s["key"], position[None], s["sample"])
            return by_weights(logits, s, on, [row[0] for row in two])

        @compiled
        def by_weights(logits: Any, s: Any, on: Any, two: Any) -> tuple[Any, Any]:
            allowed = ruled(logits, s)
            word = draw(filtered(allowed, s, on), *two)
            token = tf.where(s["temperature"] > 0, word, greedy(allowed))
            own = tf.gather(logits, token, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
            return token, own

        def wishes_of(s: Any) -> dict[str, Any]:
            on = s["number"] != NO_TEXT
            early = on & (s["drawn"] < s["min_words"])
            return {**s, "on": on, "too_early": early, "position": tf.cast(s["drawn"], tf.uint32)}

        def word_of(features: Any, s: Any) -> tuple[Any, Any]:
            """Draws words; returns them and their log-probabilities.

            Only a slot's own settings and draws decide whether all its logits are used, whatever
            the other slots need.
            """
            small = {name: v for name, v in s.items() if name not in ("h", "c", "history")}
            wishes = wishes_of(small)
            on = wishes["on"]
            if looks_back:
                logits = self.sampler.logits(self.sampler.products(features))
                return from_all(logits, rules_of(s), on, tf.zeros_like(on))
            sees_all = on & self.sampler.sees_all(wishes)
            filters = (s["top_k"] > 0) | (s["top_p"] < 1) | (s["min_p"] > 0)

            def with_all(products: Any, slots: Any, lost: Any, token: Any, own: Any) -> Any:
                def some() -> tuple[Any, Any]:
                    new, new_own = from_all(self.sampler.logits(products), rules_of(s), slots, lost)
                    return tf.where(slots, new, token), tf.where(slots, new_own, own)

                return tf.cond(tf.reduce_any(slots), some, lambda: (token, own))

            def drawn(*, keep: bool) -> tuple[Any, Any, Any, Any]:
                sums, products = self.sampler.sums(features, never, wishes, keep=keep)
                few = on & ~sees_all
                return products, *self.sampler.choose(sums, products, never, wishes, few)

            def plain() -> tuple[Any, Any]:
                _, token, own, lost = drawn(keep=False)

                def some_lost() -> tuple[Any, Any]:
                    return with_all(self.sampler.products(features), lost, lost, token, own)

                return tf.cond(tf.reduce_any(lost), some_lost, lambda: (token, own))

            def looking() -> tuple[Any, Any]:
                products, token, own, lost = drawn(keep=True)
                return with_all(products, sees_all | lost, lost, token, own)

            def all_see_all() -> tuple[Any, Any]:
                products = self.sampler.products(features)
                none = tf.zeros_like(on), tf.zeros_like(s["token"]), tf.zeros([self.slots])
                return with_all(products, sees_all, *none)

            def some_look() -> tuple[Any, Any]:
                return tf.cond(tf.reduce_any(on & ~sees_all), looking, all_see_all)

            if not looks:  # halves the time to build the program
                return plain()
            return tf.cond(tf.reduce_any(on & (sees_all | filters)), some_look, plain)

        def rules_of(s: Any) -> dict[str, Any]:
            return {name: v for name, v in s.items() if name not in ("h", "c")}

        def after(
            s: Any, token: Any, i: Any, taken: Any, took: Any, more: Any, waiting: Any
        ) -> tuple[Any, ...]:
            """Gives the slots without h and c, texts taken, and whether to make another step."""
            drawn = s["drawn"] + 1
            ended = (token == EOS) | tf.reduce_any(token[:, None] == s["stops"], axis=1)
            ended |= drawn >= s["max_words"]
            number = tf.where(ended, NO_TEXT, s["number"])
            new = {**s, "token": token, "drawn": drawn, "number": number}
            if looks_back:
                new["history"] = remember(s["history"], token)
            taken += took
            empty = number == NO_TEXT
            useless = (taken >= waiting) & (tf.reduce_all(empty) | (more & tf.reduce_any(empty)))
            return new, taken, (i + 1 < CHUNK) & ~useless

        def body(go: Any, i: Any, taken: Any, s: Any, out: Any) -> tuple[Any, ...]:
            s, took = self._refilled(s, queue, states, head + taken, waiting - taken)
            on = s["number"] != NO_TEXT
            features, h, c = self.step(s["token"], s["h"], s["c"], on, s.get("label"))
            token, own = word_of(features, s)
            out = [
                rows.write(i, row) for rows, row in zip(out, (s["number"], token, own), strict=True)
            ]
            new, taken, go = after(rules_of(s), token, i, taken, took, more, waiting)
            return go, i + 1, taken, {**new, "h": h, "c": c}, out

        out = [
            tf.TensorArray(kind, size=CHUNK, element_shape=[self.slots])
            for kind in (tf.int32, tf.int32, tf.float32)
        ]
        start = tf.constant(True), 0, 0, slots, out
        _, steps, taken, slots, out = tf.while_loop(lambda go, *_: go, body, start)
        return slots, taken, steps, *(rows.stack() for rows in out)


@compiled
def _taken(s: Any, queue: Any, states: Any, takes: Any, source: Any) -> dict[str, Any]:
    """Fills the slots in `takes` with the texts at their `source` in the queue."""

    def mixed(new: Any, old: Any) -> Any:
        return tf.where(tf.reshape(takes, [-1] + [1] * (len(old.shape) - 1)), new, old)

    after = {name: mixed(tf.gather(v, source), s[name]) for name, v in queue.items()}
    after["drawn"] = tf.where(takes, 0, s["drawn"])
    for i, name in enumerate(("h", "c")):
        after[name] = [
            mixed(tf.gather(states[layer, i], source), old) for layer, old in enumerate(s[name])
        ]
    return after


@compiled
def _gates(gates: list[Any], bias: Any, h: Any, c: Any, on: Any) -> tuple[Any, Any]:
    """Computes h and c [S, H] from the gates' inputs i, f, c, o [S, H], for slots that are on."""
    i, f, new, o = (tf.cast(gate, tf.float32) + bias[n] for n, gate in enumerate(gates))
    cell = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(new)
    out = tf.sigmoid(o) * tf.tanh(cell)
    return tf.where(on[:, None], out, h), tf.where(on[:, None], cell, c)


def _aligned(name: str, array: np.ndarray) -> np.ndarray:
    """Pads weights with zeros to multiples of `LANES` features, which are read faster.

    An added unit stays at 0, because its cell adds tanh(0).
    """
    if name in ("context_kernel", "context_bias") or name in ("output_bias", "cluster_bias"):
        return array

    def padded(array: np.ndarray, axis: int) -> np.ndarray:
        sizes = [(0, 0)] * array.ndim
        sizes[axis] = (0, -array.shape[axis] % LANES)
        return np.pad(array, sizes) if sizes[axis][1] else array

    if name.startswith("lstm"):
        array = np.concatenate([padded(gate, -1) for gate in np.split(array, 4, axis=-1)], axis=-1)
        return array if name.endswith("bias") else padded(array, 0)
    if name.startswith("tail"):  # in: [D, d], out: [k, d]
        return padded(array, 0) if name.endswith("in") else array
    return padded(padded(array, 0) if name == "projection" else array, 1)
