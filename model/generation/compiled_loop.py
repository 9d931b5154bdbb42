"""The network that a generator runs, in TensorFlow, for a fixed number of slots.

Matrix products are TensorFlow's own operations: on CPUs they are faster than XLA's, and a row's
bits do not depend on its place or on the other rows. XLA compiles everything between them.

Shapes: S slots, V words, H hidden units, D embedding width.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from textmill.model.generation.adaptive_softmax import AdaptiveSampler
from textmill.model.generation.check_settings import most_source
from textmill.model.generation.dense_softmax import DenseSampler
from textmill.model.generation.encoded_sources import Attention, Encoder
from textmill.model.generation.lstm_step import READ, aligned, lstm_layers, through
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
CHUNK = 32  # most words that are drawn in one call; slots are refilled at each word
# Added to the counter for a draw after all proposals were rejected; it is above the counters of
# all rounds of `generation.dense_softmax`.
_OF_LOST = 63 << 24


class Graph:
    """The network in TensorFlow, for S slots. Gates are in Keras's order i, f, c, o.

    Args:
        model: the saved model.
        slots: S.
        precision: precision of the products, `float32` or `bfloat16`; everything else is float32,
            and so are all products of adaptive outputs, of the encoder and of attention.
        places: number of texts whose sources are kept to attend to.
    """

    def __init__(
        self, model: SavedModel, slots: int, precision: str = "float32", *, places: int = 0
    ):
        self.model, self.slots = model, slots
        self.layers = model.network.layers
        w = {name: aligned(name, array) for name, array in model.arrays.items()}
        self.hidden = len(w["lstm_0_recurrent"])
        self.width = w["embedding"].shape[1]  # D
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
        # What sets the state, and what is added to every word's vector.
        self._context: list[Any] = []
        if model.network.context:
            kernels = w["context_kernel"], w["context_input"]
            self._context = [tf.constant(kernel) for kernel in kernels]
        self.encoder = Encoder(model, w, slots) if model.network.source else None
        self.attention = None
        if model.network.attention:
            self.attention = Attention(w, slots, steps=most_source(model), places=places)
        self._projection = None
        if "projection" in w:
            self._projection = tf.cast(w["projection"], precision)
        self._lstms = lstm_layers(w, "lstm", self.layers, precision)
        self._start = tf.function(self._products_of, autograph=False)
        self.read_chunk = tf.function(self._read_chunk, autograph=False)
        self.draw_chunk = tf.function(self._draw_chunk, autograph=False)
        self.beam_step = tf.function(self._beam_step, autograph=False, reduce_retracing=True)
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
        self, tokens: Any, h: Any, c: Any, on: Any, added: Any = None, source: Any = None
    ) -> tuple[Any, list[Any], list[Any]]:
        """Makes one time step.

        Args:
            tokens: int32 [S].
            h: h of each layer, float32 [S, H].
            c: c of each layer, float32 [S, H].
            on: bool [S]; slots that are off keep their state.
            added: float32 [S, D], what a context adds to every word's vector, from `start`.
            source: places in the bank and lengths of the texts' sources, int32 [S], to attend to;
                None leaves the attention out, if only the state is asked for.

        Returns:
            The input of the output layer, [S, D], and h and c after the step.
        """
        x = tf.gather(self._embedding, tokens)
        if added is not None:
            x += added
        x, new_h, new_c = through(self._lstms, x, h, c, on)
        if source is not None:
            assert self.attention is not None
            x = self.attention(x, *source)
        if self._projection is not None:
            x = tf.cast(product(x, self._projection), tf.float32)
        return x, new_h, new_c

    def start(
        self, contexts: np.ndarray | None, encoded: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Gives what texts start from.

        Args:
            contexts: float32 [texts, C], up to S of them; None for a model without a context.
            encoded: states [texts, layers, 2, H] from `Encoder`, if there are sources.

        Returns:
            The states [S, layers, 2, H] before the first word, and what is added to every word's
            vector, [S, D], or None.
        """
        states = np.zeros((self.slots, self.layers, 2, self.hidden), np.float32)
        if encoded is not None:
            states[: len(encoded)] = encoded
        if contexts is None:
            return states, None
        rows = np.zeros((self.slots, contexts.shape[1]), np.float32)
        rows[: len(contexts)] = contexts
        found, added = (part.numpy() for part in self._start(rows))
        found = (found + self.model.arrays["context_bias"]).reshape(*states.shape[:3], -1)
        for state in found:  # each alone, as NumPy's last bits may depend on the shape
            state[:, 0] = np.tanh(state[:, 0])
        states[..., : found.shape[3]] += found
        return states, added

    def _products_of(self, contexts: Any) -> list[Any]:
        return [product(contexts, kernel) for kernel in self._context]

    def read(
        self,
        ids: list[np.ndarray],
        contexts: np.ndarray | None,
        encoded: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Reads up to S prompts.

        Args:
            ids: the words of each prompt.
            contexts, encoded: see `start`.

        Returns:
            The states [layers, 2, prompts, H] after them, and what their contexts add to every
            word's vector, [prompts, D], or None.
        """
        start, added = self.start(contexts, encoded)
        h, c = ([np.ascontiguousarray(start[:, j, i]) for j in range(self.layers)] for i in (0, 1))
        lengths = np.zeros(self.slots, np.int32)
        lengths[: len(ids)] = [len(row) for row in ids]
        longest = int(lengths.max(initial=0))
        # One width, so that there are few programs; the loop ends with the longest prompt.
        for begin in range(0, longest, READ):
            words = np.full((READ, self.slots), PAD, np.int32)
            for row, prompt in enumerate(ids):
                piece = prompt[begin : begin + READ]
                words[: len(piece), row] = piece
            h, c = self.read_chunk(words, lengths - begin, added, h, c)
        states = np.stack([np.stack(h), np.stack(c)], axis=1)[:, :, : len(ids)]
        return states, None if added is None else added[: len(ids)]

    def _read_chunk(
        self, words: Any, lengths: Any, added: Any, h: list[Any], c: list[Any]
    ) -> tuple[Any, Any]:
        longest = tf.minimum(tf.reduce_max(lengths), READ)

        def body(t: Any, h: list[Any], c: list[Any]) -> tuple[Any, Any, Any]:
            _, h, c = self.step(words[t], h, c, t < lengths, added)
            return t + 1, h, c

        return tf.while_loop(lambda t, *_: t < longest, body, (0, h, c))[1:]

    def empty(self, asked: dict[str, np.ndarray]) -> dict[str, Any]:
        """Makes empty slots; `asked` are a queue's arrays, which give shapes and types."""
        slots = {name: tf.zeros([self.slots, *v.shape[1:]], v.dtype) for name, v in asked.items()}
        state = [tf.zeros([self.slots, self.hidden])] * self.layers
        number = tf.fill([self.slots], NO_TEXT)
        drawn = tf.zeros([self.slots], tf.int32)
        return {**slots, "number": number, "drawn": drawn, "h": state, "c": list(state)}

    def empty_state(self) -> tuple[list[Any], list[Any]]:
        """Gives h and c of each layer, [S, H], at 0."""
        state = [tf.zeros([self.slots, self.hidden])] * self.layers
        return state, list(state)

    def joined_state(self, state: Any, new: np.ndarray) -> tuple[list[Any], list[Any]]:
        """Puts new states, [new, layers, 2, H], behind those of the slots; S rows in any case."""
        rows = np.zeros((self.slots, *new.shape[1:]), np.float32)
        rows[: len(new)] = new
        h, c = (
            [tf.concat([old, rows[:, layer, i]], axis=0) for layer, old in enumerate(state[i])]
            for i in (0, 1)
        )
        return h, c

    def _beam_step(
        self,
        state: Any,
        parent: Any,
        token: Any,
        nats: Any,
        on: Any,
        early: Any,
        stops: Any,
        added: Any,
        source: Any,
        never: Any,
        history: Any,
        ngram: int,
        beams: int,
    ) -> tuple[Any, ...]:
        """Makes one step of a beam search; groups of `beams` slots belong together.

        Args:
            state: h and c of each layer, [S or more, H].
            parent: the row of the state that each slot goes on from, int32 [S].
            token: the word that each slot reads, int32 [S].
            nats: log p of each beginning so far, [S]; -inf for none.
            on, early, stops, added, never, history, ngram: as in `draw_chunk`.
            source: places and lengths of the sources, int32 [S], or None.
            beams: N.

        Returns:
            The state after the step; log p, beginning (from 0) and word of the 2 N most probable
            continuations of each group, [S / N, 2 N]. The first of equal ones comes first.
        """
        h, c = ([tf.gather(each, parent) for each in part] for part in state)
        if source is not None:
            source = source[0], tf.where(on, source[1], 0)
        features, h, c = self.step(token, h, c, on, added, source)
        logits = self.sampler.logits(self.sampler.products(features))
        found = _continued(logits, nats, never, stops, early, history, ngram)
        groups, most = self.slots // beams, 2 * beams
        few = min(most, found.shape[1])
        value, word = tf.math.top_k(found, few)
        value, word = (
            tf.reshape(each[: groups * beams], [groups, beams * few]) for each in (value, word)
        )
        value, place = tf.math.top_k(value, min(most, beams * few))
        return (h, c), value, place // few, tf.gather(word, place, batch_dims=1)

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
            small = {name: v for name, v in s.items() if name not in ("h", "c", "added", "history")}
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
            source = None
            if self.attention is not None:
                source = s["place"], tf.where(on, s["length"], 0)
            features, h, c = self.step(s["token"], s["h"], s["c"], on, s.get("added"), source)
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
def _continued(
    logits: Any, nats: Any, never: Any, stops: Any, early: Any, history: Any, ngram: int
) -> Any:
    """Gives log p of each beginning with each word behind it, [S, V]; -inf for what is barred."""
    allowed = tf.nn.log_softmax(logits) + never
    allowed = block_ends(allowed, stops, early)
    if ngram:
        allowed = block_repeats(allowed, history, ngram)
    return allowed + nats[:, None]
