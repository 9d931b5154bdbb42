"""The network as a generator runs it: TensorFlow, compiled by XLA for a fixed number of slots.

Shapes: S slots, V words, H hidden units.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from model.adaptive import AdaptiveSampler, Wishes
from model.sampling import (
    block_ends,
    block_repeats,
    draw,
    greedy,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise,
    remember,
    threefry,
    uniform,
    weights_of,
)
from model.saved import SavedModel
from model.vocabulary import EOS, PAD

NO_TEXT = -1  # in a slot
READ = 64  # prompt words read in one call, at most
CHUNK = 32  # words drawn in one call, at most; slots are refilled at every one of them


class Graph:
    """The network in TensorFlow, compiled for S slots. Gates stand in Keras's order i, f, c, o."""

    def __init__(self, model: SavedModel, slots: int):
        self.model, self.slots = model, slots
        self.layers, self.hidden = model.network.layers, model.network.hidden
        adaptive = bool(model.network.tails)
        self.adaptive = AdaptiveSampler(model.network, model.arrays) if adaptive else None
        self.weights = {name: tf.constant(array) for name, array in model.arrays.items()}
        if adaptive:
            # Both kernels of a layer as one, turned: see `column_step`.
            self.kernels = [
                tf.constant(
                    np.concatenate(
                        [model.arrays[f"lstm_{i}_kernel"], model.arrays[f"lstm_{i}_recurrent"]]
                    ).T.copy()
                )
                for i in range(self.layers)
            ]
        self.read_chunk = tf.function(self._read_chunk, jit_compile=True, autograph=False)
        self.draw_chunk = tf.function(self._draw_chunk, jit_compile=True, autograph=False)

    def step(self, tokens: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """One time step.

        Args:
            tokens: int32 [S]. h, c: float32 [layers, S, H].

        Returns:
            The last layer's output [S, H], and h and c after the step.
        """
        w = self.weights
        x = tf.gather(w["embedding"], tokens)
        new_h, new_c = [], []
        for i in range(self.layers):
            z = tf.matmul(x, w[f"lstm_{i}_kernel"]) + tf.matmul(h[i], w[f"lstm_{i}_recurrent"])
            gates = tf.split(z + w[f"lstm_{i}_bias"], 4, axis=1)
            cell = tf.sigmoid(gates[1]) * c[i] + tf.sigmoid(gates[0]) * tf.tanh(gates[2])
            x = tf.sigmoid(gates[3]) * tf.tanh(cell)
            new_h.append(x)
            new_c.append(cell)
        return x, tf.stack(new_h), tf.stack(new_c)

    def column_step(self, tokens: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """The same in columns for an adaptive output: weights times columns is a faster product.

        (A dense output would lose more than that, as its draws want rows.)

        Args:
            tokens: int32 [S]. h, c: float32 [layers, H, S].

        Returns:
            What the output layer takes, [D, S], and h and c after the step.
        """
        w = self.weights
        x = tf.transpose(tf.gather(w["embedding"], tokens))
        new_h, new_c = [], []
        for i in range(self.layers):
            z = tf.matmul(self.kernels[i], tf.concat([x, h[i]], axis=0))
            gates = tf.split(z + w[f"lstm_{i}_bias"][:, None], 4)
            cell = tf.sigmoid(gates[1]) * c[i] + tf.sigmoid(gates[0]) * tf.tanh(gates[2])
            x = tf.sigmoid(gates[3]) * tf.tanh(cell)
            new_h.append(x)
            new_c.append(cell)
        if "projection" in w:
            x = tf.matmul(w["projection"], x, transpose_a=True)
        return x, tf.stack(new_h), tf.stack(new_c)

    def logits(self, output: Any) -> Any:
        """Logits [S, V] of what a step gave; those of an adaptive output are log-probabilities."""
        if self.adaptive is not None:
            return self.adaptive.log_probabilities(output)
        w = self.weights
        if "projection" in w:
            output = tf.matmul(output, w["projection"])
        return tf.matmul(output, w["embedding"], transpose_b=True) + w["output_bias"]

    def _turned(self, states: Any) -> Any:
        """States [layers, S, H] as columns [layers, H, S] where the steps want these, or back."""
        return states if self.adaptive is None else tf.transpose(states, [0, 2, 1])

    def start(self, label: str | None) -> np.ndarray:
        """The state [layers, 2, H] before the first word."""
        if label is None:
            return np.zeros((self.layers, 2, self.hidden), np.float32)
        arrays = self.model.arrays
        row = arrays["context_kernel"][self.model.labels.index(label)] + arrays["context_bias"]
        state = row.reshape(self.layers, 2, self.hidden).copy()
        state[:, 0] = np.tanh(state[:, 0])
        return state

    def read(self, ids: list[np.ndarray], labels: list[str | None]) -> np.ndarray:
        """States [layers, 2, prompts, H] after reading up to S prompts."""
        start = np.zeros((self.slots, self.layers, 2, self.hidden), np.float32)
        for row, label in enumerate(labels):
            start[row] = self.start(label)
        h, c = (np.ascontiguousarray(start[:, :, i].transpose(1, 0, 2)) for i in (0, 1))
        lengths = np.zeros(self.slots, np.int32)
        lengths[: len(ids)] = [len(row) for row in ids]
        longest = int(lengths.max(initial=0))
        # Few widths, so that programs are few; the loop itself ends with the longest prompt.
        for begin in range(0, longest, READ):
            words = np.full((self.slots, READ), PAD, np.int32)
            for row, prompt in enumerate(ids):
                piece = prompt[begin : begin + READ]
                words[row, : len(piece)] = piece
            h, c = self.read_chunk(words, lengths - begin, h, c)
        return np.stack([np.asarray(h), np.asarray(c)], axis=1)[:, :, : len(ids)]

    def _read_chunk(self, words: Any, lengths: Any, h: Any, c: Any) -> tuple[Any, Any]:
        columns = self.adaptive is not None
        step = self.column_step if columns else self.step
        longest = tf.minimum(tf.reduce_max(lengths), READ)

        def body(t: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
            _, new_h, new_c = step(words[:, t], h, c)
            on = (t < lengths) if columns else (t < lengths)[:, None]
            return t + 1, tf.where(on, new_h, h), tf.where(on, new_c, c)

        state = (0, self._turned(h), self._turned(c))
        _, h, c = tf.while_loop(lambda t, *_: t < longest, body, state)
        return self._turned(h), self._turned(c)

    def empty(self, asked: dict[str, np.ndarray]) -> dict[str, Any]:
        """Slots with no text in them. asked: a queue's arrays, for their types."""
        slots = {name: tf.zeros([self.slots, *v.shape[1:]], v.dtype) for name, v in asked.items()}
        state = self._turned(tf.zeros([self.layers, self.slots, self.hidden]))
        number = tf.fill([self.slots], NO_TEXT)
        drawn = tf.zeros([self.slots], tf.int32)
        return {**slots, "number": number, "drawn": drawn, "h": state, "c": state}

    def _refilled(self, slots: Any, queue: Any, states: Any, head: Any, left: Any) -> Any:
        """Slots of which the empty ones have taken the next texts, and how many they took."""
        empty = slots["number"] == NO_TEXT
        rank = tf.cumsum(tf.cast(empty, tf.int32))
        takes = empty & (rank <= left)
        size = queue["number"].shape[0]
        source = tf.where(takes, (head + rank - 1) % size, 0)

        def take() -> Any:
            def mixed(new: Any, old: Any) -> Any:
                return tf.where(tf.reshape(takes, [-1] + [1] * (len(old.shape) - 1)), new, old)

            after = {name: mixed(tf.gather(v, source), slots[name]) for name, v in queue.items()}
            after["drawn"] = tf.where(takes, 0, slots["drawn"])
            for i, name in enumerate(("h", "c")):
                new = self._turned(tf.gather(states[:, i], source, axis=1))
                on = takes if self.adaptive is not None else takes[:, None]
                after[name] = tf.where(on, new, slots[name])
            return after

        return (
            tf.cond(tf.reduce_any(takes), take, lambda: dict(slots)),
            tf.reduce_sum(tf.cast(takes, tf.int32)),
        )

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
    ) -> tuple[Any, ...]:
        """Feeds each slot its last word and draws the next, up to `CHUNK` times.

        A slot whose text ends takes the next one of the queue before the next step.

        Args:
            slots: from `empty` or the last call.
            queue: the texts that wait, a ring of Q: arrays [Q, ...] by name. What a slot takes.
            states: float32 [layers, 2, Q, H], after all words of their prompts but the last.
            head, waiting: where the ring starts, and how many texts it holds.
            more: whether others wait outside, so that it is of use to stop when the queue is empty.
            never: float32 [V], added to the logits.
            penalty: float32, None for off. ngram: 0 for off. What is off is no part of the program.

        Returns:
            The slots, how many texts they took, how many steps were made, and for each of `CHUNK`
            steps and each slot: the number of its text (`NO_TEXT` for none), the word and its
            log-probability.
        """
        # `history`, int32 [S, L] as in `model.sampling`, is there where a rule looks at it.
        looks_back = "history" in queue

        def ruled(logits: Any, s: Any) -> Any:
            """Logits after the rules on words; those that may not be drawn are -inf."""
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

        def from_all(features: Any, s: Any, on: Any) -> tuple[Any, Any]:
            """Words and their log-probabilities by the weights of the whole vocabulary."""
            logits = self.logits(features)
            allowed = ruled(logits, s)
            key, position = (s["key"][:, 0], s["key"][:, 1]), tf.cast(s["drawn"], tf.uint32)
            bits = threefry(key, (position, s["sample"]))
            word = draw(filtered(allowed, s, on), *(uniform(b) for b in bits))
            token = tf.where(s["temperature"] > 0, word, greedy(allowed))
            own = tf.gather(logits, token, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
            return token, own

        def from_few(features: Any, s: Any, on: Any) -> tuple[Any, Any]:
            """The same with those tails only that a slot proposes."""
            assert self.adaptive is not None
            wishes = Wishes(
                temperature=s["temperature"],
                key=(s["key"][:, 0], s["key"][:, 1]),
                sample=s["sample"],
                position=tf.cast(s["drawn"], tf.uint32),
                on=on,
            )
            near_stops = tf.minimum(s["stops"], self.adaptive.words - 1)

            def no_end(words: Any) -> Any:
                """Logits of the head [words, S] without what would end a text too early."""
                too_early = on & (s["drawn"] < s["min_words"])

                def blocked() -> Any:
                    slots = tf.broadcast_to(tf.range(self.slots)[:, None], near_stops.shape)
                    places = tf.stack([near_stops, slots], axis=2)
                    least = tf.where(too_early, -np.inf, np.inf)[:, None]
                    return tf.tensor_scatter_nd_min(
                        words, places, tf.broadcast_to(least, near_stops.shape)
                    )

                return tf.cond(tf.reduce_any(too_early), blocked, lambda: words)

            word, own, _ = self.adaptive.draw(features, never, no_end, wishes)
            return word, own

        def word_of(features: Any, s: Any) -> tuple[Any, Any]:
            on = s["number"] != NO_TEXT
            if self.adaptive is None or looks_back:
                return from_all(features, s, on)
            # Filters look at every word, and so do bans of one slot's own in the tails. Each slot
            # goes its own way, whatever those beside it want.
            far_stop = tf.reduce_any(s["stops"] >= self.adaptive.words, axis=1)
            filters = (s["top_k"] > 0) | (s["top_p"] < 1) | (s["min_p"] > 0)
            sees_all = on & (filters | ((s["drawn"] < s["min_words"]) & far_stop))
            few = from_few(features, s, on & ~sees_all)

            def some_see_all() -> list[Any]:
                pairs = zip(from_all(features, s, sees_all), few, strict=True)
                return [tf.where(sees_all, *pair) for pair in pairs]

            return tuple(tf.cond(tf.reduce_any(sees_all), some_see_all, lambda: list(few)))

        step = self.step if self.adaptive is None else self.column_step

        def body(i: Any, taken: Any, s: Any, out: Any) -> tuple[Any, ...]:
            s, took = self._refilled(s, queue, states, head + taken, waiting - taken)
            features, h, c = step(s["token"], s["h"], s["c"])
            token, own = word_of(features, s)
            drawn = s["drawn"] + 1
            ended = (token == EOS) | tf.reduce_any(token[:, None] == s["stops"], axis=1)
            ended |= drawn >= s["max_words"]
            new = {"h": h, "c": c, "token": token, "drawn": drawn}
            new["number"] = tf.where(ended, NO_TEXT, s["number"])
            if looks_back:
                new["history"] = remember(s["history"], token)
            out = [
                tf.tensor_scatter_nd_update(rows, [[i]], row[None])
                for rows, row in zip(out, (s["number"], token, own), strict=True)
            ]
            return i + 1, taken + took, {**s, **new}, out

        def goes_on(i: Any, taken: Any, s: Any, out: Any) -> Any:
            empty = s["number"] == NO_TEXT
            none_waits = taken >= waiting
            useless = none_waits & (tf.reduce_all(empty) | (more & tf.reduce_any(empty)))
            return (i < CHUNK) & ~useless

        shape = [CHUNK, self.slots]
        out = [tf.fill(shape, NO_TEXT), tf.zeros(shape, tf.int32), tf.zeros(shape)]
        steps, taken, slots, out = tf.while_loop(goes_on, body, (0, 0, slots, out))
        return slots, taken, steps, *out
