"""Exact draws from a dense softmax.

A word's class is its id modulo J, about the square root of V: a draw chooses a class by the sum of
its weights, then a word in it, two short scans. Classes of ids that lie J apart, not blocks of
neighbours, as the sums then run along the rows of the logits, which makes fast code. The product is
made in tiles of the vocabulary, so that logits are in a core's cache when their sums are taken.

A filter is met by rejection: a word drawn without it stays if the filter keeps it. That takes one
look over the row and no search for a threshold; what is drawn anew until it is kept has the
distribution of the kept words. Slots that `ROUNDS` proposals did not serve are left to a draw from
filtered weights, which is exact too.

Shapes: S slots, V words, J classes, R words of each class in a tile, C tiles, D embedding width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from model.sampling import (
    LOWEST,
    classes_of,
    compiled,
    inverse_cdf,
    sharpness,
    threefry,
    uniform,
)
from model.settings import NetworkSettings
from model.vocabulary import EOS

TILE = 2048  # words, about
ROUNDS = 8
_ROUND = 1 << 24  # between the counters of two rounds; above any position in a text


class DenseSampler:
    """The output layer of a saved model in tiles, and draws from it.

    Args:
        network: sizes, without cut-offs.
        arrays: the weights by name.
    """

    def __init__(self, network: NetworkSettings, arrays: dict[str, np.ndarray]):
        self.words, self.classes = network.vocabulary, classes_of(network.vocabulary)
        rows = -(-self.words // self.classes)
        tiles = max(1, round(self.words / TILE))
        self.rows = -(-rows // tiles)
        self.tiles = -(-rows // self.rows)
        missing = self._padded - self.words
        kernel = np.pad(arrays["embedding"], [(0, missing), (0, 0)])
        self.kernels = [
            tf.constant(np.ascontiguousarray(tile.T)) for tile in np.split(kernel, self.tiles)
        ]
        self.bias = np.pad(arrays["output_bias"], (0, missing), constant_values=-np.inf)
        self.biases = [tf.constant(tile) for tile in np.split(self.bias, self.tiles)]
        self._sums = compiled(self._sums_of_tile)
        self._first = compiled(self._first_round)
        self._others = compiled(self._other_rounds)
        self._joined = compiled(self._joined_tiles)

    @property
    def _padded(self) -> int:
        return self.tiles * self.rows * self.classes

    def sees_all(self, wishes: dict[str, Any]) -> Any:
        """Slots, bool [S], that `choose` cannot serve."""
        other_stops = tf.reduce_any(wishes["stops"] != EOS, axis=1)
        greedy = wishes["temperature"] <= 0
        # After top-k, top-p wants the mass of the words that top-k leaves.
        both = (wishes["top_k"] > 0) & (wishes["top_p"] < 1)
        return greedy | both | (wishes["too_early"] & other_stops)

    def prepare(
        self, x: Any, never: Any, wishes: dict[str, Any], *, draws: bool
    ) -> tuple[list[Any], list[Any]]:
        """The product of each tile with features [S, D], [S, R J], and what `_sums` gives of it.

        Args:
            never: float32 [V], -inf for words that no slot may draw, otherwise 0.
            draws: whether `choose` will follow, which wants the sums.
        """
        barred = tf.split(tf.pad(never, [[0, self._padded - self.words]]), self.tiles)
        products, sums = [], []
        for i, (kernel, bias, no) in enumerate(zip(self.kernels, self.biases, barred, strict=True)):
            products.append(tf.matmul(x, kernel))
            if draws:
                early = wishes["too_early"] & (i == 0)
                # The features pass through, so that a tile is summed before the next one is made.
                *found, x = self._sums(products[-1], bias, no, wishes["temperature"], early, x)
                sums.append(found)
        return products, sums

    def choose(
        self, prepared: tuple[list[Any], list[Any]], never: Any, wishes: dict[str, Any], on: Any
    ) -> tuple[Any, Any, Any]:
        """A word for each slot that is on, bool [S].

        Returns:
            Words int32 [S], their log-probabilities [S] under the model itself, and the slots that
            got none, bool [S].
        """
        word, nats, logit, lse = self._first(*prepared, never, wishes)
        # Words that may not be drawn can be so far above the others that their exp is infinite.
        lost = on & ~tf.math.is_finite(lse)
        filters = (wishes["top_k"] > 0) | (wishes["top_p"] < 1) | (wishes["min_p"] > 0)
        is_open = on & filters & ~lost

        def others() -> list[Any]:
            return list(self._others(*prepared, never, wishes, (is_open, word, nats, logit)))

        still, word, nats = tf.cond(
            tf.reduce_any(is_open), others, lambda: [tf.zeros_like(on), word, nats]
        )
        return word, nats, still | lost

    def logits(self, prepared: tuple[list[Any], list[Any]]) -> Any:
        """Logits [S, V]."""
        return self._joined(prepared[0])

    def _joined_tiles(self, products: list[Any]) -> Any:
        return tf.concat(products, axis=1)[:, : self.words] + self.bias[: self.words]

    def _grid(self, tile: Any) -> Any:
        return tf.reshape(tile, [-1, self.rows, self.classes])

    def _sums_of_tile(
        self, product: Any, bias: Any, no: Any, temperature: Any, early: Any, x: Any
    ) -> tuple[Any, ...]:
        """Of a tile: its largest allowed logit, over that the sum of exp of all logits, both [S],
        and the classes' sums of allowed weights at temperature T, [S, J]."""
        logits = product + bias
        allowed = self._allowed(logits, no, early)
        top = tf.reduce_max(tf.reduce_max(self._grid(allowed), axis=1), axis=1)
        top = tf.maximum(top, LOWEST)
        own = tf.reduce_sum(self._grid(tf.exp(logits - top[:, None])), axis=1)
        weights = tf.exp((allowed - top[:, None]) * sharpness(temperature)[:, None])
        sums = tf.reduce_sum(self._grid(weights), axis=1)
        return top, tf.reduce_sum(own, axis=1), sums, x + 0.0 * top[:1, None]

    def _allowed(self, logits: Any, no: Any, early: Any) -> Any:
        ends = early[:, None] & (tf.range(logits.shape[1]) == EOS)
        return tf.where(ends, -np.inf, logits + no)

    def _mass(self, sums: list[Any], wishes: dict[str, Any]) -> tuple[Any, Any, Any]:
        """The largest allowed logit, the log of the sum of exp of all logits, [S], and the sums of
        the classes' weights over the largest, [S, J]."""
        sharp, top = sharpness(wishes["temperature"]), sums[0][0]
        for tile_top, _, _ in sums[1:]:
            top = tf.maximum(top, tile_top)
        total = mass = 0.0
        for tile_top, own, of_classes in sums:
            total += own * tf.exp(tile_top - top)
            mass += of_classes * tf.exp((tile_top - top) * sharp)[:, None]
        return top, tf.math.log(total) + top, mass

    def _propose(
        self,
        number: Any,
        products: list[Any],
        never: Any,
        wishes: dict[str, Any],
        mass: Any,
        top: Any,
    ) -> tuple[Any, Any]:
        """Words of one round and their logits, [S]."""
        position = wishes["position"] + tf.cast(number * _ROUND, tf.uint32)
        key = wishes["key"][:, 0], wishes["key"][:, 1]
        bits = threefry(key, (position, wishes["sample"]))
        chosen = inverse_cdf(mass, uniform(bits[0]))
        of_class = [tf.gather(self._grid(tile), chosen, axis=2, batch_dims=1) for tile in products]
        by_class = np.ascontiguousarray(self.bias.reshape(-1, self.classes).T)
        logits = tf.concat(of_class, axis=1) + tf.gather(by_class, chosen)
        padded = tf.pad(never, [[0, self._padded - self.words]])
        no = tf.gather(tf.transpose(tf.reshape(padded, [-1, self.classes])), chosen)
        ends = wishes["too_early"] & (chosen == EOS)
        first = tf.range(logits.shape[1]) == 0
        allowed = tf.where(ends[:, None] & first, -np.inf, logits + no)
        sharp = sharpness(wishes["temperature"])
        weights = tf.exp((allowed - top[:, None]) * sharp[:, None])
        place = inverse_cdf(weights, uniform(bits[1]))
        logit = tf.gather(logits, place, batch_dims=1)
        return place * self.classes + chosen, logit

    def _first_round(
        self, products: list[Any], sums: list[Any], never: Any, wishes: dict[str, Any]
    ) -> tuple[Any, ...]:
        top, lse, mass = self._mass(sums, wishes)
        word, logit = self._propose(0, products, never, wishes, mass, top)
        return word, logit - lse, logit, lse

    def _other_rounds(
        self,
        products: list[Any],
        sums: list[Any],
        never: Any,
        wishes: dict[str, Any],
        state: tuple[Any, ...],
    ) -> tuple[Any, ...]:
        """Draws anew what a filter does not keep; the slots that are open to the end."""
        top, lse, mass = self._mass(sums, wishes)
        padded = tf.pad(never, [[0, self._padded - self.words]])
        parts = list(zip(products, self.biases, tf.split(padded, self.tiles), strict=True))
        sharp = sharpness(wishes["temperature"])[:, None]

        def over_larger(logit: Any, of_tile: Any) -> Any:
            """Sums over the allowed words with a larger logit."""
            total = 0.0
            for i, (product, bias, no) in enumerate(parts):
                allowed = self._allowed(product + bias, no, wishes["too_early"] & (i == 0))
                larger = tf.where(allowed > logit[:, None], of_tile(allowed), 0.0)
                total += tf.reduce_sum(tf.reduce_sum(self._grid(larger), axis=1), axis=1)
            return total

        def kept(is_open: Any, logit: Any) -> Any:
            k, p = wishes["top_k"], wishes["top_p"]
            by_k, by_p = is_open & (k > 0), is_open & (p < 1)
            none = tf.zeros_like(logit)
            count = tf.cond(
                tf.reduce_any(by_k), lambda: over_larger(logit, tf.ones_like), lambda: none
            )
            before = tf.cond(
                tf.reduce_any(by_p),
                lambda: over_larger(logit, lambda a: tf.exp((a - top[:, None]) * sharp)),
                lambda: none,
            )
            good = ~by_k | (count < tf.cast(k, tf.float32))
            good &= ~by_p | (before < p * tf.reduce_sum(mass, axis=1))
            return good & (tf.exp((logit - top) * sharp[:, 0]) >= wishes["min_p"])

        def again(number: Any, is_open: Any, word: Any, logit: Any) -> tuple[Any, ...]:
            is_open &= ~kept(is_open, logit)
            new_word, new_logit = self._propose(number, products, never, wishes, mass, top)
            return (
                number + 1,
                is_open,
                tf.where(is_open, new_word, word),
                tf.where(is_open, new_logit, logit),
            )

        is_open, word, nats, logit = state
        _, still, word, new_logit = tf.while_loop(
            lambda number, is_open, *_: (number <= ROUNDS) & tf.reduce_any(is_open),
            again,
            (1, is_open, word, logit),
        )
        return still, word, tf.where(is_open, new_logit - lse, nats)
