"""Draws exactly from an adaptive softmax, in TensorFlow that XLA can compile.

Let Z_c be the sum of p(w | c)^(1/T) over the words w of cluster c. A word of c has the probability
p(c)^(1/T) Z_c * p(w | c)^(1/T) / Z_c, up to a constant. Computing Z_c takes the whole tail, so a
bound is used first: U_c = 1 for T <= 1, otherwise k_c^(1 - 1/T), if c has k_c words (the sum is
largest if all are equally probable). A row proposes the head's words by their weights and a cluster
by p(c)^(1/T) U_c. If it proposes a cluster, the tail is computed and the proposal is accepted with
probability Z_c / U_c. If it is rejected, the row proposes again, now with Z_c instead of U_c: the
bound is different, the accepted draw has the same distribution. A cluster with a known Z_c is
always accepted, so C clusters need at most C + 1 rounds and compute each tail at most once.

Texts are columns, because weights times columns were the fastest product on CPUs (see
docs/benchmarks.md). Shapes: S slots, D embedding width, C clusters, G = `GROUP` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from textmill.model.generation.sampling import (
    LOWEST,
    compiled,
    inverse_cdf,
    ordered_sum,
    sharpness,
    threefry,
    uniform,
)
from textmill.model.network.adaptive_cuts import GROUP
from textmill.model.settings import NetworkSettings

# Random streams of a step: rounds of proposals from 0, tails from `_TAILS`. The stream's number is
# in the bits above the position in a text, which is below 2^24.
_TAILS = 16
_STREAM = 1 << 24


@dataclass(frozen=True, kw_only=True)
class _Words:
    """Vectors [n, d] and biases [n, 1] of words in whole blocks; biases of -inf fill the last.

    A draw first chooses a block by the blocks' sums, then a word in it. So a block's size is about
    the square root of the number of words.
    """

    kernel: np.ndarray
    bias: np.ndarray
    block: int

    @classmethod
    def of(cls, kernel: np.ndarray, bias: np.ndarray) -> _Words:
        block = -(-(math.isqrt(len(kernel) - 1) + 1) // 8) * 8
        rows = -len(kernel) % block
        return cls(
            kernel=np.pad(kernel, [(0, rows), (0, 0)]),
            bias=np.pad(bias, (0, rows), constant_values=-np.inf)[:, None],
            block=block,
        )

    def filled(self, values: Any) -> Any:
        """Makes a column [n, 1] of the words' values [k], filled up with zeros."""
        return tf.pad(values, [[0, len(self.kernel) - values.shape[0]]])[:, None]


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the slots need for a draw; each attribute is [S].

    Attributes:
        temperature: float32, 0 for greedy.
        key: a pair of uint32.
        sample: uint32.
        position: uint32.
        on: bool; draws of slots that are off are not used and cost nothing.
    """

    temperature: Any
    key: tuple[Any, Any]
    sample: Any
    position: Any
    on: Any


class AdaptiveSampler:
    """The output layer of a saved model as columns, and draws from it.

    Args:
        network: sizes of a network with cut-offs.
        arrays: the weights by name.
    """

    def __init__(self, network: NetworkSettings, arrays: dict[str, np.ndarray]):
        self.tails, self.words = network.tails, network.cutoffs[0]
        bias = arrays["output_bias"]
        # The clusters come after the words of the head.
        self.head = _Words.of(arrays["embedding"][: self.words], bias[: self.words])
        self.last = len(self.head.kernel)
        self.head_kernel = tf.constant(np.concatenate([self.head.kernel, arrays["cluster_kernel"]]))
        self.head_bias = tf.constant(
            np.concatenate([self.head.bias, arrays["cluster_bias"][:, None]])
        )
        self.into = [
            tf.constant(np.ascontiguousarray(arrays[f"tail_{i}_in"].T))
            for i in range(len(self.tails))
        ]
        self.out = [
            _Words.of(arrays[f"tail_{i}_out"], bias[first:end])
            for i, (first, end, _) in enumerate(self.tails)
        ]
        self.out_kernels = [tf.constant(out.kernel) for out in self.out]
        self.out_biases = [tf.constant(out.bias) for out in self.out]
        self._logits = compiled(self.log_probabilities)
        self._choose = compiled(self._chosen)

    def sees_all(self, wishes: dict[str, Any]) -> Any:
        """Tells which slots need all logits, bool [S], so that `choose` cannot serve them.

        These are slots with a filter, or with a stop word in a tail that may not be drawn yet.
        """
        far_stop = tf.reduce_any(wishes["stops"] >= self.words, axis=1)
        filters = (wishes["top_k"] > 0) | (wishes["top_p"] < 1) | (wishes["min_p"] > 0)
        return filters | (wishes["too_early"] & far_stop)

    def products(self, x: Any) -> Any:
        """Turns features [S, D] into columns, from which `logits` makes the products."""
        return tf.transpose(x)

    def logits(self, products: Any) -> Any:
        """Gives log p of every word, float32 [S, V]."""
        return self._logits(products)

    def sums(self, x: Any, never: Any, wishes: dict[str, Any], *, keep: bool) -> tuple[Any, Any]:
        """Gives what `choose` draws from: features [S, D] as columns."""
        columns = tf.transpose(x)
        return columns, columns

    def choose(
        self, sums: Any, products: Any, never: Any, wishes: dict[str, Any], on: Any
    ) -> tuple[Any, Any, Any]:
        """Draws a word for each slot that is on, bool [S].

        Returns:
            Words int32 [S], their log-probabilities [S] under the model itself, and the slots that
            got no word, bool [S].
        """
        word, nats = self._choose(sums, never, wishes, on)
        return word, nats, tf.zeros_like(on)

    def _chosen(self, x: Any, never: Any, wishes: dict[str, Any], on: Any) -> tuple[Any, Any]:
        near_stops = tf.minimum(wishes["stops"], self.words - 1)
        too_early = on & wishes["too_early"]

        def no_end(words: Any) -> Any:
            """Blocks the head's words that would end a text too early; logits are [words, S]."""

            def blocked() -> Any:
                slots = tf.broadcast_to(tf.range(x.shape[1])[:, None], near_stops.shape)
                places = tf.stack([near_stops, slots], axis=2)
                least = tf.where(too_early, -np.inf, np.inf)[:, None]
                return tf.tensor_scatter_nd_min(
                    words, places, tf.broadcast_to(least, near_stops.shape)
                )

            return tf.cond(tf.reduce_any(too_early), blocked, lambda: words)

        wanted = Wishes(
            temperature=wishes["temperature"],
            key=(wishes["key"][:, 0], wishes["key"][:, 1]),
            sample=wishes["sample"],
            position=wishes["position"],
            on=on,
        )
        return self.draw(x, never, no_end, wanted)[:2]

    def log_probabilities(self, x: Any) -> Any:
        """Gives log p of every word, float32 [S, V], for features [D, S]."""
        head, lse = self._head(x)
        parts = [head[: self.words] - lse]
        for i, (first, end, _) in enumerate(self.tails):
            logits = self._within(i, x)
            within = logits - tf.reduce_logsumexp(logits, axis=0)
            parts.append((head[self.last + i] - lse) + within[: end - first])
        return tf.transpose(tf.concat(parts, axis=0))

    def _head(self, x: Any) -> tuple[Any, Any]:
        """Gives logits of the head's words and of the clusters, and the log of their sum of exp."""
        logits = tf.matmul(self.head_kernel, x) + self.head_bias
        top = tf.reduce_max(logits, axis=0)
        # XLA's order of a long sum depends on the number of columns, which would change last bits.
        weights = tf.exp(logits - top)
        words = tf.reshape(weights[: self.last], [-1, self.head.block, x.shape[1]])
        total = ordered_sum(
            tf.concat([tf.reduce_sum(words, axis=1), weights[self.last :]], axis=0), axis=0
        )
        return logits, tf.math.log(total) + top

    def _within(self, i: int, x: Any) -> Any:
        """Gives the logits of the words of cluster i, in columns."""
        return tf.matmul(self.out_kernels[i], tf.matmul(self.into[i], x)) + self.out_biases[i]

    def draw(self, x: Any, never: Any, blocked: Any, wishes: Wishes) -> tuple[Any, Any, Any]:
        """Draws a word for each slot that is on.

        Args:
            x: features, float32 [D, S].
            never: float32 [V], -inf for words that no slot may draw, otherwise 0.
            blocked: a function that takes the logits of the head's words [words, S] and gives them
                with -inf for words that a slot may not draw now.
            wishes: what the slots need.

        Returns:
            Words int32 [S], their log-probabilities [S] under the model itself, and the number of
            tails that were computed for each slot, int32 [S].
        """
        slots = x.shape[1]
        head, lse = self._head(x)
        allowed = blocked(head[: self.last] + self.head.filled(never[: self.words]))
        log_p = head[self.last :] - lse  # of the clusters, [C, S]
        top = tf.maximum(tf.reduce_max(allowed, axis=0), LOWEST)
        is_greedy = wishes.temperature <= 0
        sharp = sharpness(wishes.temperature)
        weights = tf.reshape(tf.exp((allowed - top) * sharp), [-1, self.head.block, slots])
        sums = tf.reduce_sum(weights, axis=1)
        blocks = sums.shape[0]

        # A cluster's log weight relative to the head's best word, at first with the bound.
        sizes = np.array([end - first for first, end, _ in self.tails], np.float32)
        bound = np.log(sizes)[:, None] * tf.maximum(1.0 - sharp, 0.0)
        base = (log_p - (top - lse)) * sharp
        found = {
            "log_z": bound,
            "known": tf.zeros(log_p.shape, tf.bool),
            "word": tf.zeros(log_p.shape, tf.int32),
            "nats": tf.zeros(log_p.shape),
        }
        # A cluster is at least as probable as its best word. So a cluster that is less probable
        # than the head's best word does not hold the best word of all.
        wanted = is_greedy & (log_p > top - lse)

        # All uniforms of the step: a row for each round, then two rows for each cluster.
        count = len(self.tails)
        first, second = self._uniforms(wishes)
        barred = [
            out.filled(never[begin:end])
            for out, (begin, end, _) in zip(self.out, self.tails, strict=True)
        ]

        def compute(fresh: Any, found: Any) -> tuple[Any, Any]:
            """Computes the tails of `fresh` [C, S]; gives what is known and what is accepted."""
            columns = []
            for i in range(count):
                at = count + 1 + 2 * i
                uniforms = first[at], second[at]
                columns.append(self._tail(i, x, barred[i], sharp, is_greedy, fresh[i], uniforms))
            names = ("log_z", "word", "nats")
            new = {
                name: tf.where(fresh, tf.stack(rows), found[name])
                for name, rows in zip(names, zip(*columns, strict=True), strict=True)
            }
            accepted = first[count + 2 :: 2] < tf.exp(new["log_z"] - bound)
            return {**new, "known": found["known"] | fresh}, accepted

        def propose(number: Any, place: Any, is_open: Any, u: Any, found: Any) -> tuple[Any, ...]:
            log_weight = base + found["log_z"]
            ahead = tf.maximum(tf.reduce_max(log_weight, axis=0), 0.0)
            mass = tf.concat([sums * tf.exp(-ahead), tf.exp(log_weight - ahead)], axis=0)
            chosen = inverse_cdf(tf.transpose(mass), first[number])
            place = tf.where(is_open, chosen, place)
            u = tf.where(is_open, second[number], u)
            mine = place == blocks + tf.range(len(self.tails))[:, None]
            fresh = is_open & tf.where(is_greedy, wanted, mine & ~found["known"])
            found, accepted = compute(fresh, found)
            turned_down = tf.reduce_any(mine & fresh & ~accepted, axis=0) & ~is_greedy
            return number + 1, place, is_open & turned_down, u, found

        state = (
            0,
            tf.zeros([slots], tf.int32),
            wishes.on,
            tf.zeros([slots]),
            found,
        )
        _, place, _, u, found = tf.while_loop(
            lambda number, place, is_open, *_: tf.reduce_any(is_open), propose, state
        )

        # The best words for greedy slots; on ties the lowest id wins, which is in the head, then in
        # the first cluster.
        scores = tf.concat(
            [(top - lse)[None], tf.where(wanted, log_p + found["nats"], -np.inf)], axis=0
        )
        best = _first(scores == tf.reduce_max(scores, axis=0)) - 1
        cluster = tf.where(is_greedy, best, place - blocks)
        word = _inside(weights, tf.minimum(place, blocks - 1), u)
        word = _or_greedy(word, is_greedy, allowed, 0.0, top)
        nats = _pick(head, word) - lse
        for i in range(len(self.tails)):
            word = tf.where(cluster == i, found["word"][i], word)
            nats = tf.where(cluster == i, log_p[i] + found["nats"][i], nats)
        return word, nats, tf.reduce_sum(tf.cast(found["known"], tf.int32), axis=0)

    def _uniforms(self, wishes: Wishes) -> tuple[Any, Any]:
        """Gives two uniforms for each slot and random stream of a step, each [streams, S]."""
        count = len(self.tails)
        streams = [*range(count + 1), *(_TAILS + i for i in range(2 * count))]
        numbers = np.array(streams, np.uint32)[:, None] * np.uint32(_STREAM)
        position = wishes.position + numbers
        like = tf.zeros_like(position)
        key = wishes.key[0] + like, wishes.key[1] + like
        first, second = threefry(key, (position, wishes.sample + like))
        return uniform(first), uniform(second)

    def _tail(
        self,
        i: int,
        x: Any,
        barred: Any,
        sharp: Any,
        greedy: Any,
        fresh: Any,
        uniforms: tuple[Any, Any],
    ) -> tuple[Any, Any, Any]:
        """Gives log Z, a word and its log-probability in cluster i, [S], for the fresh slots.

        They are computed G at a time until none is left.
        """
        begin, slots = self.tails[i][0], x.shape[1]
        number = tf.cumsum(tf.cast(fresh, tf.int32)) - 1  # a fresh slot's number among these

        def group(start: Any, log_z: Any, word: Any, nats: Any) -> tuple[Any, ...]:
            mine = fresh[:, None] & (number[:, None] == start + tf.range(GROUP))  # [S, G]
            rows = _first(mine)  # slot 0 if none is left
            logits = self._within(i, tf.gather(x, rows, axis=1))
            lse = _log_sum(logits)
            allowed = logits + barred
            best = tf.maximum(tf.reduce_max(allowed, axis=0), LOWEST)
            power = tf.gather(sharp, rows)
            weights = tf.exp((allowed - best) * power)
            weights = tf.reshape(weights, [-1, self.out[i].block, GROUP])
            sums = tf.reduce_sum(weights, axis=1)
            new_log_z = tf.math.log(tf.reduce_sum(sums, axis=0)) + (best - lse) * power
            block = inverse_cdf(tf.transpose(sums), tf.gather(uniforms[0], rows))
            chosen = _inside(weights, block, tf.gather(uniforms[1], rows))
            chosen = _or_greedy(chosen, tf.gather(greedy, rows), logits, barred, best)
            own = _pick(logits, chosen) - lse
            place = tf.argmax(tf.cast(mine, tf.int32), axis=1, output_type=tf.int32)
            done = tf.reduce_any(mine, axis=1)
            return (
                start + GROUP,
                tf.where(done, tf.gather(new_log_z, place), log_z),
                tf.where(done, tf.gather(chosen + begin, place), word),
                tf.where(done, tf.gather(own, place), nats),
            )

        count = tf.reduce_sum(tf.cast(fresh, tf.int32))
        state = (0, tf.zeros([slots]), tf.zeros([slots], tf.int32), tf.zeros([slots]))
        return tf.while_loop(lambda start, *_: start < count, group, state)[1:]


def _log_sum(logits: Any) -> Any:
    """Gives the log of the sum of exp of each column, which is never below the column's maximum."""
    top = tf.reduce_max(logits, axis=0)
    return tf.math.log(tf.reduce_sum(tf.exp(logits - top), axis=0)) + top


def _first(good: Any) -> Any:
    """Gives the first row that is true in each column, int32."""
    return tf.argmax(tf.cast(good, tf.int32), axis=0, output_type=tf.int32)


def _or_greedy(word: Any, is_greedy: Any, logits: Any, barred: Any, best: Any) -> Any:
    """Puts the first best word into greedy columns; it searches only if there are any."""

    def search() -> Any:
        return tf.where(is_greedy, _first(logits + barred == best), word)

    return tf.cond(tf.reduce_any(is_greedy), search, lambda: word)


def _pick(values: Any, rows: Any) -> Any:
    """Takes one row of `values` [n, columns] for each column."""
    columns = values.shape[1]
    return tf.gather(tf.reshape(values, [-1]), rows * columns + tf.range(columns))


def _inside(weights: Any, block: Any, u: Any) -> Any:
    """Draws a word by weights [blocks, words, columns] in the block that each column chose."""
    _, size, columns = weights.shape
    places = block * size + tf.range(size)[:, None]
    of_block = tf.gather(
        tf.reshape(weights, [-1]), tf.transpose(places * columns + tf.range(columns))
    )
    return block * size + inverse_cdf(of_block, u)
