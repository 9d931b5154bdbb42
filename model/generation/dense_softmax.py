"""Draws exactly from a dense softmax.

The vocabulary is cut into tiles, and a tile's words into J classes by their ids modulo J. A draw
chooses a tile, then a class in it, then a word in that, by the sums of their weights. The product
is made tile by tile, so that logits are still in a core's cache when they are summed; the sums of
the classes run along the rows of a tile, which is fast code. The tiles are not kept, so the few
words of the chosen class get their logits once more.

If a slot has a filter, the tiles are kept and the filter works by rejection: a word is drawn
without the filter until the filter keeps it, so it has the distribution of the kept words. A check
takes one pass over the row and no search for a threshold. Classes whose best word no filter can
keep are left out: the k-th best of the classes' best words is a bound for the k-th best word. Slots
that got no word after `ROUNDS` proposals are left to a draw from filtered weights, which is exact
too.

Shapes: S slots, V words, C tiles, J classes, R words of each class in a tile, D embedding width.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from textmill.model.generation.sampling import (
    LOWEST,
    compiled,
    inverse_cdf,
    ordered_sum,
    product,
    sharpness,
    uniforms,
)
from textmill.model.text.vocabulary import EOS

TILE = 1536  # about this many words are in a tile
ROUNDS = 30
GROUP = 16  # slots that draw again together
# The k-th best of the classes is searched down to `DEPTH` below the best logit, by halving.
HALVINGS, DEPTH = 7, 16.0
# Steps between the counters of two rounds, and of a round's two calls; above all text positions.
_ROUND, _SECOND = 1 << 25, 1 << 24
ROWS = range(9, 14)  # R: with fewer there are more classes, with more a class has more words
LANES = 16  # D is a multiple of it


def layout(words: int) -> tuple[int, int, int]:
    """Gives C, R and J: about `TILE` words in a tile, and as little padding as possible."""
    most = max(1, -(-words // TILE))
    sizes = [
        (tiles, rows, LANES * -(-words // (tiles * rows * LANES)))
        for tiles in range(max(1, round(most * 0.9)), most + 1)
        for rows in ROWS
    ]
    return min(sizes, key=math.prod)


class DenseSampler:
    """The output layer of a saved model in tiles, and draws from it.

    Args:
        embedding: float32 [V, D].
        bias: float32 [V].
        precision: precision of the products. Logits are the rounded products plus float32 biases;
            the few that are computed again for a draw are float32 throughout.
    """

    def __init__(self, embedding: np.ndarray, bias: np.ndarray, precision: str = "float32"):
        self.words = len(embedding)
        self.tiles, self.rows, self.classes = layout(self.words)
        missing = self.tiles * self.rows * self.classes - self.words
        self.embedding = tf.constant(np.pad(embedding, [(0, missing), (0, 0)]))
        self.kernels = [
            tf.cast(np.ascontiguousarray(tile.T), precision)
            for tile in np.split(self.embedding.numpy(), self.tiles)
        ]
        padded = np.pad(bias, (0, missing), constant_values=-np.inf)
        self.bias = tf.constant(padded)
        self.biases = [tf.constant(tile) for tile in np.split(padded, self.tiles)]
        self._first_sums = compiled(self._sums_of_first)
        self._other_sums = compiled(self._sums)
        self._first_round = compiled(self._first)
        # Separate, because one program would compute the classes' best again for each use.
        self._tops = compiled(self._best_of_classes)
        self._without_useless = compiled(self._useful)
        self._again = compiled(self._propose)
        self._before = compiled(self._larger)
        self._is_kept = compiled(self._is_good)
        self._joined = compiled(self._joined_tiles)

    def sees_all(self, wishes: dict[str, Any]) -> Any:
        """Tells which slots need all logits, bool [S], so that `choose` cannot serve them."""
        other_stops = tf.reduce_any(wishes["stops"] != EOS, axis=1)
        greedy = wishes["temperature"] <= 0
        # After top-k, top-p needs the mass of the words that top-k keeps.
        both = (wishes["top_k"] > 0) & (wishes["top_p"] < 1)
        return greedy | both | (wishes["too_early"] & other_stops)

    def products(self, x: Any) -> list[Any]:
        """Multiplies each tile by features [S, D]; gives [S, R J] without biases."""
        return [product(x, kernel) for kernel in self.kernels]

    def logits(self, products: list[Any]) -> Any:
        """Gives logits [S, V]."""
        return self._joined(products)

    def sums(
        self, x: Any, never: Any, wishes: dict[str, Any], *, keep: bool
    ) -> tuple[dict[str, Any], list[Any]]:
        """Gives what `choose` draws from, and the products of the tiles if `keep` is true.

        Args:
            x: features [S, D].
            never: float32 [V], -inf for words that no slot may draw, otherwise 0.
        """
        barred = tf.split(self._filled(never), self.tiles)
        products, masses, totals, top = [], [], [], None
        features = tf.cast(x, self.kernels[0].dtype)
        for kernel, bias, no in zip(self.kernels, self.biases, barred, strict=True):
            tile = product(features, kernel)
            # The features pass through, so that each tile is summed before the next is made.
            if top is None:
                top, total, mass, features = self._first_sums(tile, bias, no, wishes, features)
            else:
                total, mass, features = self._other_sums(tile, bias, no, wishes, features, top)
            if keep:
                products.append(tile)
            totals.append(total)
            masses.append(mass)
        return {"x": x, "top": top, "totals": totals, "masses": masses}, products

    def choose(
        self, sums: dict[str, Any], products: list[Any], never: Any, wishes: dict[str, Any], on: Any
    ) -> tuple[Any, Any, Any]:
        """Draws a word for each slot that is on, bool [S].

        Args:
            sums: sums from the method `sums`.
            products: products from the method `sums`. Without them, no slot may have a filter.

        Returns:
            Words int32 [S], their log-probabilities [S] under the model itself, and the slots that
            got no word, bool [S].
        """
        word, logit, lse, mass = self._first_round(_uniforms(0, wishes), sums, never, wishes)
        # A word can be so far above the first tile's best that its exp is infinite.
        lost = on & ~(tf.math.is_finite(lse) & tf.math.is_finite(mass))
        if not products:
            return word, logit - lse, lost
        filters = (wishes["top_k"] > 0) | (wishes["top_p"] < 1) | (wishes["min_p"] > 0)
        is_open = on & filters & ~lost
        # Bits depend on the program: slots without a filter take the result of the first round,
        # which is the same program whether other slots have filters or not.
        new_word, new_logit, still = tf.cond(
            tf.reduce_any(is_open),
            lambda: self._filtered(sums, products, never, wishes, is_open, word, logit, mass),
            lambda: (word, logit, tf.zeros_like(on)),
        )
        return new_word, new_logit - lse, still | lost

    def _filtered(
        self,
        sums: dict[str, Any],
        products: list[Any],
        never: Any,
        wishes: dict[str, Any],
        is_open: Any,
        word: Any,
        logit: Any,
        mass: Any,
    ) -> tuple[Any, Any, Any]:
        """Draws again where a filter rejects a word; also gives the slots that got no word.

        One check over all slots serves most of them. The others draw again in groups until their
        words are kept, so that the last few cost little.
        """
        rows = {"tiles": products, "x": sums["x"], "top": sums["top"], "mass": mass} | wishes

        def without_useless() -> Any:
            return self._without_useless(
                self._tops(rows, never), sums["masses"], rows, never, is_open, word, logit
            )

        def as_they_are() -> Any:
            masses = tf.stack(sums["masses"], axis=1)
            return masses, tf.zeros_like(logit), word, logit, tf.ones_like(word)

        has_bound = is_open & ((wishes["top_k"] > 0) | (wishes["min_p"] > 0))
        rows["masses"], rows["best"], word, logit, number = tf.cond(
            tf.reduce_any(has_bound), without_useless, as_they_are
        )
        start = number, is_open & ~self._kept(word, rows, never), word, logit
        size = min(GROUP, is_open.shape[0])

        def wait(number: Any, is_open: Any) -> Any:
            return is_open & (number <= ROUNDS)

        def again(number: Any, is_open: Any, word: Any, logit: Any) -> tuple[Any, ...]:
            waiting = wait(number, is_open)
            here = tf.math.top_k(tf.cast(waiting, tf.int32), size).indices
            takes = tf.gather(waiting, here)
            padded = tf.pad(here, [[0, GROUP - size]])
            group = tf.nest.map_structure(lambda v: tf.gather(v, padded), (rows, number))
            group, number_of = group
            new = self._again(number_of, group["masses"], group["x"], never, group)
            good = self._kept(new[0], group, never)
            good, new_word, new_logit = (v[:size] for v in (good, *new))

            def put(old: Any, where: Any, new: Any) -> Any:
                new = tf.where(takes & where, new, tf.gather(old, here))
                return tf.tensor_scatter_nd_update(old, here[:, None], new)

            return (
                put(number, True, number_of[:size] + 1),
                put(is_open, good, False),
                put(word, good, new_word),
                put(logit, good, new_logit),
            )

        _, still, word, logit = tf.while_loop(
            lambda number, is_open, *_: tf.reduce_any(wait(number, is_open)), again, start
        )
        return word, logit, still

    def _filled(self, values: Any) -> Any:
        """Fills up the words' values [V] with zeros to the end of the last tile."""
        return tf.pad(values, [[0, self.bias.shape[0] - self.words]])

    def _joined_tiles(self, products: list[Any]) -> Any:
        products = tf.cast(tf.concat(products, axis=1)[:, : self.words], tf.float32)
        return products + self.bias[: self.words]

    def _grid(self, tile: Any) -> Any:
        return tf.reshape(tile, [-1, self.rows, self.classes])

    def _sums_of_first(
        self, tile: Any, bias: Any, no: Any, wishes: dict[str, Any], x: Any
    ) -> tuple[Any, ...]:
        """Gives the tile's largest allowed logit, [S], and what `_sums` gives relative to it."""
        logits = tf.cast(tile, tf.float32) + bias
        allowed = self._without_end(logits + no, wishes)
        top = tf.reduce_max(tf.reduce_max(self._grid(allowed), axis=1), axis=1)
        top = tf.maximum(top, LOWEST)
        sharp = sharpness(wishes["temperature"])[:, None]
        return top, *self._sums_over(top, logits, allowed, sharp, x)

    def _sums(
        self, tile: Any, bias: Any, no: Any, wishes: dict[str, Any], x: Any, top: Any
    ) -> tuple[Any, ...]:
        """Sums over a tile, relative to `top` [S].

        Gives the sum of exp of all logits, [S], the sums by class of the allowed weights at
        temperature T, [S, J], and the features.
        """
        logits = tf.cast(tile, tf.float32) + bias
        sharp = sharpness(wishes["temperature"])[:, None]
        return self._sums_over(top, logits, logits + no, sharp, x)

    def _sums_over(
        self, top: Any, logits: Any, allowed: Any, sharp: Any, x: Any
    ) -> tuple[Any, ...]:
        total = tf.reduce_sum(self._grid(tf.exp(logits - top[:, None])), axis=1)
        weights = tf.exp((allowed - top[:, None]) * sharp)
        mass = tf.reduce_sum(self._grid(weights), axis=1)
        # This is 0, as no sum is below 0; a product with 0 would not do if a sum is infinite.
        nothing = tf.cast(tf.minimum(total[:1, :1], 0.0), x.dtype)
        return ordered_sum(total, axis=1), mass, x + nothing

    def _without_end(self, allowed: Any, wishes: dict[str, Any]) -> Any:
        """Blocks the end of a text in the first tile's logits in slots where it is too early."""
        ends = wishes["too_early"][:, None] & (tf.range(allowed.shape[1]) == EOS)
        return tf.where(ends, -np.inf, allowed)

    def _propose(
        self, number: Any, masses: Any, x: Any, never: Any, wishes: dict[str, Any]
    ) -> tuple[Any, Any]:
        """Draws words by the sums of classes [S, C, J] in round `number`; gives words, logits."""
        return self._word_of(_uniforms(number, wishes), masses, x, never, wishes)

    def _word_of(
        self,
        three: tuple[Any, Any, Any],
        masses: Any,
        x: Any,
        never: Any,
        wishes: dict[str, Any],
    ) -> tuple[Any, Any]:
        """Draws words as `_propose` does, from given uniforms for tile, class and word."""
        of_tile, of_class, of_word = three
        tile = inverse_cdf(ordered_sum(masses, axis=2), of_tile)
        chosen = inverse_cdf(tf.gather(masses, tile, axis=1, batch_dims=1), of_class)
        ids = (tile[:, None] * self.rows + tf.range(self.rows)) * self.classes + chosen[:, None]
        vectors = tf.gather(self.embedding, ids) * x[:, None]  # [S, R, D]
        lanes = tf.reshape(vectors, [-1, self.rows, vectors.shape[2] // LANES, LANES])
        logits = ordered_sum(tf.reduce_sum(lanes, axis=2), axis=2) + tf.gather(self.bias, ids)
        ends = wishes["too_early"][:, None] & (ids == EOS)
        allowed = tf.where(ends, -np.inf, logits + tf.gather(self._filled(never), ids))
        best = tf.maximum(tf.reduce_max(allowed, axis=1, keepdims=True), LOWEST)
        weights = tf.exp((allowed - best) * sharpness(wishes["temperature"])[:, None])
        place = inverse_cdf(weights, of_word)
        return tuple(tf.gather(values, place, batch_dims=1) for values in (ids, logits))

    def _first(
        self,
        three: tuple[Any, Any, Any],
        sums: dict[str, Any],
        never: Any,
        wishes: dict[str, Any],
    ) -> tuple[Any, ...]:
        """Makes the first proposal.

        Gives words, their logits, the log of the sum of exp of all logits, and the sum of all
        allowed weights, [S].
        """
        total = mass = 0.0
        for of_all, of_classes in zip(sums["totals"], sums["masses"], strict=True):
            total += of_all
            mass += of_classes
        masses = tf.stack(sums["masses"], axis=1)
        word, logit = self._word_of(three, masses, sums["x"], never, wishes)
        return word, logit, tf.math.log(total) + sums["top"], ordered_sum(mass, axis=1)

    def _best_of_classes(self, rows: dict[str, Any], never: Any) -> Any:
        """Gives the best allowed logit of each class, [S, C, J]."""
        allowed = self._allowed(rows, never)
        return tf.stack([tf.reduce_max(self._grid(tile), axis=1) for tile in allowed], axis=1)

    def _useful(
        self,
        tops: Any,
        masses: list[Any],
        rows: dict[str, Any],
        never: Any,
        is_open: Any,
        word: Any,
        logit: Any,
    ) -> tuple[Any, ...]:
        """Leaves out classes without a word that the filters can keep.

        Words that the filters cannot keep are drawn again once. Gives the classes' sums
        [S, C, J], the best logits, words, their logits and the next round's number, [S].
        """
        best = tf.maximum(tf.reduce_max(tf.reduce_max(tops, axis=2), axis=1), LOWEST)
        # A little lower, because the share may be rounded.
        least = (tf.math.log(rows["min_p"]) - 1e-3) / sharpness(rows["temperature"])
        by_k = is_open & (rows["top_k"] > 0)
        kth = tf.cond(
            tf.reduce_any(by_k),
            lambda: tf.where(by_k, self._kth(rows["top_k"], tops, best), -np.inf),
            lambda: tf.fill(best.shape, -np.inf),
        )
        floor = tf.maximum(best + least, kth)
        useful = tf.where(tops >= floor[:, None, None], tf.stack(masses, axis=1), 0.0)
        too_low = is_open & (self._logit_of(word, rows, never) < floor)
        new = tf.cond(
            tf.reduce_any(too_low),
            lambda: self._propose(1, useful, rows["x"], never, rows),
            lambda: (word, logit),
        )
        word, logit = (tf.where(too_low, b, a) for a, b in zip((word, logit), new, strict=True))
        return useful, best, word, logit, 1 + tf.cast(too_low, tf.int32)

    def _allowed(self, rows: dict[str, Any], never: Any) -> list[Any]:
        """Gives the logits of each tile's words, -inf for words that may not be drawn."""
        first, *others = (
            tf.cast(tile, tf.float32) + more
            for tile, more in zip(
                rows["tiles"], tf.split(self.bias + self._filled(never), self.tiles), strict=True
            )
        )
        return [self._without_end(first, rows), *others]

    def _kth(self, k: Any, tops: Any, best: Any) -> Any:
        """Finds a lower bound of the k-th best word's logit, [S].

        At least k classes' best words [S, C, J] reach it; it is -inf if there is none down to
        `DEPTH` below the best.
        """
        low = best - DEPTH

        def enough(logit: Any) -> Any:
            reach = tf.where(tops >= logit[:, None, None], 1.0, 0.0)
            return tf.reduce_sum(tf.reduce_sum(reach, axis=1), axis=1) >= tf.cast(k, tf.float32)

        def halve(i: Any, low: Any, high: Any) -> tuple[Any, Any, Any]:
            middle = (low + high) / 2
            good = enough(middle)
            return i + 1, tf.where(good, middle, low), tf.where(good, high, middle)

        found = tf.while_loop(lambda i, *_: i < HALVINGS, halve, (0, low, best))[1]
        return tf.where(enough(low), found, -np.inf)

    def _logit_of(self, word: Any, rows: dict[str, Any], never: Any) -> Any:
        """Gives a word's logit from the tiles; the one computed for a draw may differ in a bit."""
        size, product = self.rows * self.classes, tf.zeros(word.shape)
        for i, tile in enumerate(rows["tiles"]):
            place = word - i * size
            own = tf.gather(tile, tf.clip_by_value(place, 0, size - 1), batch_dims=1)
            here = (place >= 0) & (place < size)
            product = tf.where(here, tf.cast(own, tf.float32), product)
        return product + tf.gather(self.bias + self._filled(never), word)

    def _kept(self, word: Any, rows: dict[str, Any], never: Any) -> Any:
        """Tells whether the filters keep the words, bool [S]."""
        before = tf.cond(
            tf.reduce_any((rows["top_k"] > 0) | (rows["top_p"] < 1)),
            lambda: self._before(word, rows, never),
            lambda: tf.zeros(word.shape),
        )
        return self._is_kept(word, before, rows, never)

    def _larger(self, word: Any, rows: dict[str, Any], never: Any) -> Any:
        """Gives the number of words with a larger logit; for top-p, the sum of their weights."""
        logit, sharp = self._logit_of(word, rows, never), sharpness(rows["temperature"])
        sums = []
        for allowed in self._allowed(rows, never):
            weight = tf.exp((allowed - rows["top"][:, None]) * sharp[:, None])
            counts = tf.where(rows["top_k"][:, None] > 0, 1.0, weight)
            counts = tf.where(allowed > logit[:, None], counts, 0.0)
            sums.append(tf.reduce_sum(self._grid(counts), axis=1))
        return ordered_sum(tf.add_n(sums), axis=1)

    def _is_good(self, word: Any, before: Any, rows: dict[str, Any], never: Any) -> Any:
        by_k, by_p = rows["top_k"] > 0, rows["top_p"] < 1
        most = tf.where(by_k, tf.cast(rows["top_k"], tf.float32), rows["top_p"] * rows["mass"])
        logit = self._logit_of(word, rows, never)
        share = tf.exp((logit - rows["best"]) * sharpness(rows["temperature"]))
        return (~(by_k | by_p) | (before < most)) & (
            (rows["min_p"] <= 0) | (share >= rows["min_p"])
        )


def _uniforms(number: Any, wishes: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Gives the uniforms of round `number` for the tile, the class and the word, each [S]."""
    position = wishes["position"] + tf.cast(number * _ROUND, tf.uint32)
    positions = tf.stack([position, position + np.uint32(_SECOND)])
    (of_class, of_tile), (of_word, _) = (
        tf.unstack(pair) for pair in uniforms(wishes["key"], positions, wishes["sample"])
    )
    return of_tile, of_class, of_word
