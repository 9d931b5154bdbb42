"""A TensorFlow SavedModel: one step of the network, and whole texts from strings to strings.

`tf.saved_model.load` loads it in a process with TensorFlow and tensorflow-text, whose operations
cut the texts into words. It needs neither textmill nor Keras.

Shapes: N texts, T time steps, V words, L layers, H hidden units, F numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from textmill.model.generation.sampling import (
    draw,
    greedy,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    weights_of,
)
from textmill.model.network.directory import SavedModel
from textmill.model.network.keras_model import keras_model
from textmill.model.text.tokens import MARK, parts, tokenize
from textmill.model.text.vocabulary import EOS, PAD, RESERVED, UNKNOWN

# What Python's str.isspace takes for white space, in RE2's syntax.
_ENDS_IN_SPACE = r"(?s).*[\s\x{0B}\x{1C}-\x{1F}\x{85}\p{Z}]"


def save_tensorflow(model: SavedModel, path: str) -> None:
    """Writes a SavedModel with the signatures `step`, `start` and `generate`, see `Exported`."""
    made = Exported(model)
    signatures = {name: getattr(made, name) for name in ("generate", "start", "step")}
    tf.saved_model.save(made, path, signatures=signatures)


class Exported(tf.Module):
    """The network and its vocabulary as functions of tensors.

    generate(prompts [N] string, labels [N] string, temperature, top_k, top_p, min_p, seed,
        max_words: one number each) gives texts [N], each to be put behind its prompt. It draws from
        softmax(logits / T) after the filters, as textmill does, with TensorFlow's random numbers:
        the texts follow the same distribution and are other ones. Temperature 0 is greedy and
        gives textmill's own texts.
    start(labels [N] string; without labels texts, their number N) gives h and c [N, L, H] before
        the first word.
    step(ids [N, T] int32, labels [N] string, h and c [N, L, H]) gives logits [N, T, V] of each next
        word, and h and c after the last one. A text begins with the id 2.

    Only a model that was trained with labels has the argument `labels`, and only one that starts
    from numbers has, behind it, `numbers` [N, F] float32, as rows have them.
    """

    def __init__(self, model: SavedModel):
        super().__init__()
        s, vocabulary = model.network, model.vocabulary
        self._sizes, self._level, self._labels = s, vocabulary.level, model.labels
        self.network = keras_model(model, states=True)
        self.table = _table(vocabulary.ids, UNKNOWN)
        self.label_table = _table({name: i for i, name in enumerate(model.labels)}, -1)
        starts = [n for n in model.arrays if n.startswith("context_") and n != "context_input"]
        self.starts = {name: tf.Variable(model.arrays[name], trainable=False) for name in starts}
        words = [parts(w) if self._level == "word" else (False, w, False) for w in vocabulary.words]
        words[: len(RESERVED)] = [(False, word, False) for word in RESERVED]
        self._left = tf.constant([left for left, _, _ in words])
        self._surface = tf.constant([body.encode() for _, body, _ in words])
        self._right = tf.constant([right for _, _, right in words])
        self._never = np.zeros(s.vocabulary, np.float32)
        self._never[[PAD, UNKNOWN]] = -np.inf
        text, number = tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.float32)
        whole = tf.TensorSpec([], tf.int32)
        state = tf.TensorSpec([None, s.layers, s.hidden], tf.float32)
        label = {"labels": text} if model.labels else {}
        if model.columns:
            label["numbers"] = tf.TensorSpec([None, s.numbers], tf.float32)
        self.generate = _function(
            self._generate, prompts=text, **label, temperature=number, top_k=whole, top_p=number,
            min_p=number, seed=whole, max_words=whole,
        )  # fmt: skip
        first = label or {"texts": whole}
        self.start = _function(self._start, **first)
        ids = tf.TensorSpec([None, None], tf.int32)
        self.step = _function(self._step, ids=ids, **label, h=state, c=state)

    # -- the signatures --------------------------------------------------------------------------

    def _start(
        self, *, labels: Any = None, numbers: Any = None, texts: Any = None
    ) -> dict[str, Any]:
        s = self._sizes
        if not s.context:
            zeros = tf.zeros([texts, s.layers, s.hidden])
            return {"h": zeros, "c": zeros}
        parts = [] if labels is None else [self._one_hot(labels)]
        if numbers is not None:
            apart = numbers - self.starts["context_mean"]
            parts.append(tf.math.divide_no_nan(apart, self.starts["context_deviation"]))
        found = tf.matmul(tf.concat(parts, axis=1), self.starts["context_kernel"])
        state = tf.reshape(found + self.starts["context_bias"], [-1, s.layers, 2, s.hidden])
        return {"h": tf.tanh(state[:, :, 0]), "c": state[:, :, 1]}

    def _step(
        self, *, ids: Any, h: Any, c: Any, labels: Any = None, numbers: Any = None
    ) -> dict[str, Any]:
        context = [] if labels is None else [self._one_hot(labels)]
        context += [] if numbers is None else [numbers]
        state = [x for i in range(self._sizes.layers) for x in (h[:, i], c[:, i])]
        logits, *after = self.network([ids, *context, *state], training=False)
        return {
            "logits": logits, "h": tf.stack(after[::2], axis=1), "c": tf.stack(after[1::2], axis=1)
        }  # fmt: skip

    def _generate(
        self, *, prompts: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any, seed: Any,
        max_words: Any, labels: Any = None, numbers: Any = None,
    ) -> dict[str, Any]:  # fmt: skip
        checks = _checks(temperature, top_k, top_p, min_p, max_words)
        with tf.control_dependencies(checks):
            prompts = tf.identity(prompts)
        count = tf.shape(prompts)[0]
        ids, lengths, glued = self._encoded(prompts)
        given = {"labels": labels, "numbers": numbers}
        label = {name: value for name, value in given.items() if value is not None}
        first = self._start(**(label or {"texts": count}))

        def read(t: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
            after = self._step(ids=ids[:, t, None], h=h, c=c, **label)
            on = (t < lengths - 1)[:, None, None]
            return t + 1, tf.where(on, after["h"], h), tf.where(on, after["c"], c)

        state = tf.TensorShape([None, self._sizes.layers, self._sizes.hidden])
        none, flat = tf.TensorShape([]), tf.TensorShape([None])
        longest = tf.reduce_max(tf.concat([lengths, [1]], axis=0))  # also of no prompts at all
        _, h, c = tf.while_loop(
            lambda t, *_: t < longest - 1, read, (0, first["h"], first["c"]),
            shape_invariants=(none, state, state),
        )  # fmt: skip
        last = tf.gather(ids, lengths - 1, batch_dims=1)

        def settings(value: Any) -> Any:
            return tf.fill([count], value)

        def step(t: Any, word: Any, on: Any, h: Any, c: Any, drawn: Any) -> tuple[Any, ...]:
            after = self._step(ids=word[:, None], h=h, c=c, **label)
            logits = tf.ensure_shape(after["logits"][:, 0], [None, len(self._never)]) + self._never
            weights = weights_of(logits, settings(temperature))
            weights = keep_top_k(weights, settings(top_k))
            weights = keep_top_p(weights, settings(top_p))
            weights = keep_min_p(weights, settings(min_p))
            two = tf.random.stateless_uniform([2, count], tf.stack([seed, t]))
            word = tf.where(temperature > 0, draw(weights, two[0], two[1]), greedy(logits))
            on = on & (word != EOS)
            word = tf.where(on, word, EOS)
            return t + 1, word, on, after["h"], after["c"], drawn.write(t, word)

        drawn = tf.TensorArray(tf.int32, size=max_words, element_shape=[None])
        on = tf.fill([count], True)
        t, *_, drawn = tf.while_loop(
            # At least one step: an array that nothing was written into has no shape.
            lambda t, word, on, *_: (t == 0) | ((t < max_words) & tf.reduce_any(on)),
            step,
            (0, last, on, h, c, drawn),
            shape_invariants=(none, flat, flat, state, state, tf.TensorShape(None)),
        )  # fmt: skip
        return {"texts": self._decoded(tf.transpose(drawn.stack())[:, :t], glued)}

    # -- words -----------------------------------------------------------------------------------

    def _one_hot(self, labels: Any) -> Any:
        ids = self.label_table.lookup(labels)
        known = ", ".join(self._labels)
        check = tf.debugging.assert_non_negative(ids, f"labels must be some of {known}")
        with tf.control_dependencies([check]):
            return tf.one_hot(ids, len(self._labels))

    def _encoded(self, prompts: Any) -> tuple[Any, Any, Any]:
        """Ids [N, longest] after an EOS, their numbers, and whether the next word joins directly.

        See `Vocabulary.encode_prompts`.
        """
        tokens = tokenize(prompts, self._level)
        ids = tokens.with_values(self.table.lookup(tokens.values))
        count = tf.cast(tokens.row_lengths(), tf.int32)
        glued = (count == 0) | (self._level == "char")
        glued = glued | tf.strings.regex_full_match(prompts, _ENDS_IN_SPACE)
        start = tf.fill([tf.shape(prompts)[0], 1], EOS)
        ids = tf.concat([start, ids.to_tensor(PAD)], axis=1)
        if self._level == "word":
            last = tf.gather(ids, count, batch_dims=1)
            padded = tf.concat([tf.fill([tf.shape(prompts)[0], 1], ""), tokens.to_tensor("")], 1)
            text = tf.gather(padded, count, batch_dims=1)
            joined = self.table.lookup(text + MARK)
            better = (last == UNKNOWN) | (joined < last)
            takes = ~glued & (joined != UNKNOWN) & better
            places = tf.stack([tf.range(tf.shape(ids)[0]), count], axis=1)
            ids = tf.tensor_scatter_nd_update(ids, places, tf.where(takes, joined, last))
            glued = glued | takes
        return ids, count + 1, glued

    def _decoded(self, ids: Any, glued: Any) -> Any:
        """Texts of words int32 [N, words], up to the first EOS. See `text.tokens.join`."""
        here = tf.math.cumsum(tf.cast(ids == EOS, tf.int32), axis=1) == 0
        body = tf.gather(self._surface, ids)
        if self._level == "char":
            pieces = body
        else:
            right = tf.gather(self._right, ids)
            before = tf.concat([glued[:, None], right[:, :-1]], axis=1)[:, : tf.shape(ids)[1]]
            no_space = before | tf.gather(self._left, ids)
            pieces = tf.where(no_space, body, " " + body)
        return tf.strings.reduce_join(tf.where(here, pieces, ""), axis=1)


def _checks(temperature: Any, top_k: Any, top_p: Any, min_p: Any, max_words: Any) -> list[Any]:
    """Operations that fail, with what is allowed, where a setting is outside its range."""
    allowed = (
        (temperature >= 0, "temperature must be at least 0", temperature),
        (top_k >= 0, "top_k must be at least 0 (off)", top_k),
        ((top_p > 0) & (top_p <= 1), "top_p must be above 0 and at most 1 (off)", top_p),
        ((min_p >= 0) & (min_p <= 1), "min_p must be from 0 (off) to 1", min_p),
        (max_words >= 1, "max_words must be at least 1", max_words),
    )
    return [tf.debugging.Assert(good, [f"{said}. Received:", value])
            for good, said, value in allowed]  # fmt: skip


def _table(ids: dict[str, int], unknown: int) -> Any:
    keys = tf.constant([key.encode() for key in ids] or [b""])
    values = tf.constant(list(ids.values()) or [unknown], tf.int32)
    made = tf.lookup.KeyValueTensorInitializer(keys, values)
    return tf.lookup.StaticHashTable(made, unknown)


def _function(function: Any, **specs: Any) -> Any:
    """A traced function whose arguments have these names and types."""
    named = {name: tf.TensorSpec(s.shape, s.dtype, name=name) for name, s in specs.items()}
    return tf.function(function, autograph=False).get_concrete_function(**named)
