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
from model.vocabulary import PAD

READ = 16  # prompt words read in one call
CHUNK = 4  # words drawn in one call, between which slots are refilled


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
        """States [prompts, layers, 2, H] after reading up to S prompts."""
        start = np.zeros((self.slots, self.layers, 2, self.hidden), np.float32)
        for row, label in enumerate(labels):
            start[row] = self.start(label)
        h, c = (np.ascontiguousarray(start[:, :, i].transpose(1, 0, 2)) for i in (0, 1))
        lengths = np.zeros(self.slots, np.int32)
        lengths[: len(ids)] = [len(row) for row in ids]
        for begin in range(0, int(lengths.max(initial=0)), READ):
            words = np.full((self.slots, READ), PAD, np.int32)
            for row, prompt in enumerate(ids):
                piece = prompt[begin : begin + READ]
                words[row, : len(piece)] = piece
            h, c = self.read_chunk(words, lengths - begin, h, c)
        return np.stack([np.asarray(h), np.asarray(c)], axis=2).transpose(1, 0, 2, 3)[: len(ids)]

    def _read_chunk(self, words: Any, lengths: Any, h: Any, c: Any) -> tuple[Any, Any]:
        columns = self.adaptive is not None
        step = self.column_step if columns else self.step

        def body(t: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
            _, new_h, new_c = step(words[:, t], h, c)
            on = (t < lengths) if columns else (t < lengths)[:, None]
            return t + 1, tf.where(on, new_h, h), tf.where(on, new_c, c)

        _, h, c = tf.while_loop(lambda t, *_: t < READ, body, (0, self._turned(h), self._turned(c)))
        return self._turned(h), self._turned(c)

    def _draw_chunk(
        self,
        token: Any,
        h: Any,
        c: Any,
        drawn: Any,
        key: Any,
        sample: Any,
        min_words: Any,
        stops: Any,
        temperature: Any,
        top_k: Any,
        top_p: Any,
        min_p: Any,
        never: Any,
        history: Any,
        penalty: Any,
        ngram: int,
    ) -> tuple[Any, ...]:
        """Feeds each slot its last word and draws the next, `CHUNK` times.

        Args:
            history: int32 [S, L], see `model.sampling`; () where no rule looks at it.
            penalty: float32, None for off. ngram: 0 for off. What is off is no part of the program.
        """

        def ruled(logits: Any, drawn: Any, history: Any) -> Any:
            """Logits after the rules on words; those that may not be drawn are -inf."""
            logits = block_ends(logits + never, stops, drawn < min_words)
            if penalty is not None:
                logits = penalise(logits, history, penalty)
            if ngram:
                logits = block_repeats(logits, history, ngram)
            return logits

        def filtered(logits: Any) -> Any:
            weights = weights_of(logits, temperature)
            for wanted, keep, setting in (
                (top_k > 0, keep_top_k, top_k),
                (top_p < 1, keep_top_p, top_p),
                (min_p > 0, keep_min_p, min_p),
            ):
                kept = functools.partial(keep, weights, setting)
                weights = tf.cond(tf.reduce_any(wanted), kept, lambda weights=weights: weights)
            return weights

        def from_all(features: Any, drawn: Any, history: Any) -> tuple[Any, Any]:
            """Words and their log-probabilities by the weights of the whole vocabulary."""
            logits = self.logits(features)
            allowed = ruled(logits, drawn, history)
            bits = threefry((key[:, 0], key[:, 1]), (tf.cast(drawn, tf.uint32), sample))
            word = draw(filtered(allowed), *(uniform(b) for b in bits))
            token = tf.where(temperature > 0, word, greedy(allowed))
            own = tf.gather(logits, token, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
            return token, own

        def from_few(features: Any, drawn: Any, on: Any) -> tuple[Any, Any]:
            """The same with those tails only that a slot proposes."""
            assert self.adaptive is not None
            wishes = Wishes(
                temperature=temperature,
                key=(key[:, 0], key[:, 1]),
                sample=sample,
                position=tf.cast(drawn, tf.uint32),
                on=on,
            )

            def no_end(words: Any) -> Any:
                """Logits of the head [words, S] without what would end a text too early."""
                too_early = on & (drawn < min_words)

                def blocked() -> Any:
                    slots = tf.broadcast_to(tf.range(self.slots)[:, None], tf.shape(stops))
                    places = tf.stack([near_stops, slots], axis=2)
                    least = tf.where(too_early, -np.inf, np.inf)[:, None]
                    return tf.tensor_scatter_nd_min(
                        words, places, tf.broadcast_to(least, tf.shape(stops))
                    )

                return tf.cond(tf.reduce_any(too_early), blocked, lambda: words)

            word, own, _ = self.adaptive.draw(features, never, no_end, wishes)
            return word, own

        step = self.step
        if self.adaptive is not None:
            step = self.column_step
            # Filters look at every word, and so do bans of one slot's own in the tails.
            whole = (top_k > 0) | (top_p < 1) | (min_p > 0)
            far_stop = tf.reduce_any(stops >= self.adaptive.words, axis=1)
            near_stops = tf.minimum(stops, self.adaptive.words - 1)

        def body(
            i: Any, token: Any, h: Any, c: Any, drawn: Any, history: Any, tokens: Any, nats: Any
        ) -> tuple[Any, ...]:
            features, h, c = step(token, h, c)
            dense = functools.partial(from_all, features, drawn, history)
            if self.adaptive is None or penalty is not None or ngram:
                token, own = dense()
            else:
                # Each slot goes its own way, whatever those beside it want.
                sees_all = whole | ((drawn < min_words) & far_stop)
                token, own = from_few(features, drawn, ~sees_all)
                token, own = tf.cond(
                    tf.reduce_any(sees_all),
                    lambda: [
                        tf.where(sees_all, *pair)
                        for pair in zip(dense(), (token, own), strict=True)
                    ],
                    lambda: [token, own],
                )
            if penalty is not None or ngram:
                history = remember(history, token)
            tokens = tf.tensor_scatter_nd_update(tokens, [[i]], token[None])
            nats = tf.tensor_scatter_nd_update(nats, [[i]], own[None])
            return i + 1, token, h, c, drawn + 1, history, tokens, nats

        tokens = tf.zeros([CHUNK, self.slots], tf.int32)
        nats = tf.zeros([CHUNK, self.slots], tf.float32)
        state = (0, token, self._turned(h), self._turned(c), drawn, history, tokens, nats)
        _, token, h, c, *rest = tf.while_loop(lambda i, *_: i < CHUNK, body, state)
        return token, self._turned(h), self._turned(c), *rest
