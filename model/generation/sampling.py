"""Draws exactly from softmax(logits / T) after rules and filters.

Pure functions of logits, history and uniforms, in TensorFlow that XLA can compile; nothing is
sorted. Shapes: S slots, V words, L places of a history. A history holds the words of a text so
far, the newest at the right, with `PAD` before the first and in place of reserved words, which are
never repetitions. Any L that holds the text gives the same result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from textmill.model.text.vocabulary import EOS, PAD

# Threefry-2x32 with 20 rounds: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
LOWEST = -1e30  # below any logit; avoids -inf minus -inf


def product(x: Any, kernel: Any) -> Any:
    """Multiplies x by the kernel, in the kernel's type, with TensorFlow's own operation."""
    return tf.matmul(tf.cast(x, kernel.dtype), kernel)


def threefry(key: tuple[Any, Any], counter: tuple[Any, Any]) -> tuple[Any, Any]:
    """Gives 64 random bits for each key and counter; all are uint32 tensors of one shape."""

    def rotate(x: Any, by: int) -> Any:
        return tf.bitwise.left_shift(x, tf.constant(by, tf.uint32)) | tf.bitwise.right_shift(
            x, tf.constant(32 - by, tf.uint32)
        )

    keys = (*key, key[0] ^ key[1] ^ tf.constant(_PARITY, tf.uint32))
    a, b = counter[0] + keys[0], counter[1] + keys[1]
    for i in range(5):
        for by in _ROTATIONS[i % 2]:
            a = a + b
            b = rotate(b, by) ^ a
        a = a + keys[(i + 1) % 3]
        b = b + keys[(i + 2) % 3] + tf.constant(i + 1, tf.uint32)
    return a, b


def uniform(bits: Any) -> Any:
    """Turns the upper 23 of 32 bits into a float32 in [0, 1).

    Float32 could hold one bit more. With 23 bits, u * total < total holds even after rounding, so
    an inverse CDF never passes its end.
    """
    return tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.float32) * 2.0**-23


def listed(ids: Any, words: int) -> Any:
    """Tells which words are in a row's list, bool [S, V]; ids are int32 [S, any number]."""
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(ids))
    places = tf.reshape(tf.stack([rows, ids], axis=2), [-1, 2])
    return tf.scatter_nd(places, tf.ones([tf.size(ids)]), [tf.shape(ids)[0], words]) > 0


def block_ends(logits: Any, ends: Any, too_early: Any) -> Any:
    """Blocks the words that end a text in rows whose text is too short to end.

    Args:
        logits: float32 [S, V].
        ends: int32 [S, any number].
        too_early: bool [S].
    """

    def blocked() -> Any:
        return tf.where(listed(ends, logits.shape[1]) & too_early[:, None], -np.inf, logits)

    return tf.cond(tf.reduce_any(too_early), blocked, lambda: logits)


def remember(history: Any, word: Any) -> Any:
    """Adds a word, int32 [S], to the history, int32 [S, L]; a reserved id becomes `PAD`."""
    word = tf.where(word > EOS, word, PAD)
    return tf.concat([history[:, 1:], word[:, None]], axis=1)


def penalise(logits: Any, history: Any, penalty: Any) -> Any:
    """Divides logits above 0 of the history's words by the penalty and multiplies the others.

    CTRL (Keskar et al. 2019). `PAD` must be blocked already, as it is in the history.

    Args:
        logits: float32 [S, V].
        history: int32 [S, L].
        penalty: float32, at least 1.
    """
    changed = tf.where(logits > 0, logits / penalty, logits * penalty)
    return tf.where(listed(history, logits.shape[1]), changed, logits)


def block_repeats(logits: Any, history: Any, n: int) -> Any:
    """Blocks words that would complete a sequence of n words that is already in the history.

    A row in which no word would be left stays as it was. `PAD` must be blocked already.

    Args:
        logits: float32 [S, V].
        history: int32 [S, L].
        n: at least 1.
    """
    size = history.shape[1]
    if n > size:
        return logits
    # A place repeats if the n - 1 words before it are the last n - 1 of the history.
    repeats = tf.ones([tf.shape(history)[0], size - n + 1], tf.bool)
    for back in range(1, n):
        last = history[:, size - back, None]
        repeats &= (history[:, n - 1 - back : size - back] == last) & (last != PAD)
    followers = tf.where(repeats, history[:, n - 1 :], PAD)
    blocked = tf.where(listed(followers, logits.shape[1]), -np.inf, logits)
    left = tf.reduce_any(blocked > -np.inf, axis=1, keepdims=True)
    return tf.where(left, blocked, logits)


def keep_top_k(weights: Any, k: Any) -> Any:
    """Zeroes all but the k largest weights of a row; all that tie with the k-th stay.

    Args:
        weights: float32 [S, V], not negative.
        k: int32 [S], 0 for off.
    """
    bits = tf.bitcast(weights, tf.int32)

    def enough(threshold: Any) -> Any:
        return tf.reduce_sum(tf.cast(bits >= threshold[:, None], tf.int32), axis=1) >= k

    threshold = tf.where(k > 0, _largest(enough, tf.shape(k)[0]), 0)
    return tf.where(bits >= threshold[:, None], weights, 0.0)


def keep_top_p(weights: Any, p: Any) -> Any:
    """Zeroes all but the smallest set of largest weights that holds share p of a row's sum.

    Nucleus sampling (Holtzman et al. 2020). All that tie with the smallest of the set stay.

    Args:
        weights: float32 [S, V], not negative.
        p: float32 [S], 1 for off.
    """
    bits = tf.bitcast(weights, tf.int32)
    wanted = p * tf.reduce_sum(weights, axis=1)

    def enough(threshold: Any) -> Any:
        kept = tf.where(bits >= threshold[:, None], weights, 0.0)
        return tf.reduce_sum(kept, axis=1) >= wanted

    # With p = 1, rounding could drop the smallest weights, so this case is switched off.
    threshold = tf.where(p < 1.0, _largest(enough, tf.shape(p)[0]), 0)
    return tf.where(bits >= threshold[:, None], weights, 0.0)


def keep_min_p(weights: Any, p: Any) -> Any:
    """Zeroes weights below share p of the row's largest (Nguyen et al. 2024); 0 is off."""
    return tf.where(
        weights >= p[:, None] * tf.reduce_max(weights, axis=1, keepdims=True), weights, 0
    )


def _largest(enough: Any, rows: Any) -> Any:
    """Finds the largest int32 threshold in [0, bits of 1.0] for which `enough` holds, by bisection.

    Floats that are not negative have the order of their bits, so 31 halvings find it exactly.
    """

    def halve(i: Any, low: Any, high: Any) -> tuple[Any, Any, Any]:
        middle = low + (high - low) // 2
        good = enough(middle)
        return i + 1, tf.where(good, middle, low), tf.where(good, high, middle)

    start = (0, tf.zeros([rows], tf.int32), tf.fill([rows], 0x3F800001))
    return tf.while_loop(lambda i, *_: i < 31, halve, start)[1]


def greedy(logits: Any) -> Any:
    """Gives the most probable word, the lowest id on ties, int32 [S]."""
    top = tf.reduce_max(logits, axis=1, keepdims=True)
    return tf.argmax(tf.cast(logits == top, tf.int32), axis=1, output_type=tf.int32)


def weights_of(logits: Any, temperature: Any) -> Any:
    """Gives exp((logits - max) / T), float32 [S, V]: the softmax at T without its division.

    The logits of blocked words are -inf and their weights 0. If T is 0, the weights are not used.
    """
    top = tf.reduce_max(logits, axis=1, keepdims=True)
    return tf.exp((logits - top) * sharpness(temperature)[:, None])


def draw(weights: Any, first: Any, second: Any) -> Any:
    """Draws a word for each row with probability weight / sum, by a two-level inverse CDF.

    There are J, about sqrt(V), classes of ids that are equal modulo J. The first uniform chooses a
    class by the classes' sums, the second a word in it. So a draw takes two short scans and uses
    46 random bits.

    Args:
        weights: float32 [S, V], not negative, at least one above 0 in each row.
        first: float32 [S] in [0, 1).
        second: float32 [S] in [0, 1), independent of the first.

    Returns:
        int32 [S]. A word of weight 0 is never drawn.
    """
    words = weights.shape[1]
    classes = classes_of(words)
    grid = tf.pad(weights, [[0, 0], [0, -words % classes]])
    grid = tf.reshape(grid, [-1, (words + -words % classes) // classes, classes])
    chosen = inverse_cdf(tf.reduce_sum(grid, axis=1), first)
    place = inverse_cdf(tf.gather(grid, chosen, axis=2, batch_dims=1), second)
    return place * classes + chosen


def classes_of(words: int) -> int:
    """Gives the number of classes that a draw divides words into, a multiple of 16."""
    return 16 * -(-(math.isqrt(words - 1) + 1) // 16)


def sharpness(temperature: Any) -> Any:
    """Gives 1 / T; 1 if T is 0, which is greedy."""
    return 1.0 / tf.where(temperature > 0, temperature, 1.0)


def compiled(function: Any) -> Any:
    """Compiles a function with XLA, as one program for each shape of its arguments."""
    return tf.function(function, jit_compile=True, autograph=False)


def _two_uniforms(key: Any, position: Any, sample: Any) -> tuple[Any, Any]:
    """Gives two uniforms [n, S] for keys [S, 2], positions [n, S] and samples [S]."""
    first, second = threefry((key[:, 0], key[:, 1]), (position, sample))
    return uniform(first), uniform(second)


# This is a program of its own: in a larger one, XLA repeats its rounds in each loop that uses
# them, which takes a second to compile.
uniforms = compiled(_two_uniforms)


def ordered_sum(values: Any, *, axis: int) -> Any:
    """Sums along an axis in an order that depends only on its length.

    XLA's order of a long sum also depends on the other axes, which would change the last bits.
    """
    while (size := values.shape[axis]) > 1:
        if size % 2:
            values = tf.pad(values, [[0, int(i == axis)] for i in range(len(values.shape))])
        left, right = tf.split(values, 2, axis=axis)
        values = left + right
    return tf.squeeze(values, axis)


def inverse_cdf(weights: Any, u: Any) -> Any:
    """Draws a place in each row in proportion to its weights, from one uniform; int32 [S]."""
    cdf = tf.cumsum(weights, axis=1)
    # Parallel prefix sums may rise by a rounding error where the weight is 0. The second
    # condition excludes such a place.
    good = (cdf > (u * cdf[:, -1])[:, None]) & (weights > 0)
    # If rounding leaves no place at all, take the last one with a weight.
    last = (
        tf.shape(weights)[1]
        - 1
        - tf.argmax(tf.reverse(weights, [1]) > 0, axis=1, output_type=tf.int32)
    )
    first = tf.argmax(good, axis=1, output_type=tf.int32)
    return tf.where(tf.reduce_any(good, axis=1), first, last)
