"""Mutants of the tour: many to one, one to many, many to many."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import nothing
from mutants.mutant import Variants

build_classifier = Variants("many-to-one", "build_classifier")
build_from_vector = Variants("one-to-many", "build_from_vector")
build_translator = Variants("many-to-many", "build_translator")
ALL = [build_classifier, build_from_vector, build_translator]

_FUTURE = r"words to come|future|Bidirectional"


def _classifier(
    *,
    read: str = "layers.Embedding(size, embedding, mask_zero=True)(ids)",
    lstm: str = "layers.LSTM(units)(x)",
    out: str = "layers.Dense(1, activation='sigmoid')(x)",
) -> str:
    return f"""
        def build_classifier(size, embedding, units):
            import keras
            from keras import layers, ops

            ids = keras.Input((None,), dtype="int32")
            x = {read}
            x = {lstm}
            return keras.Model(ids, {out})
    """


_PADDING = r"padding|mask"
_PROBABILITY = r"sigmoid|probabilit"
wrong = build_classifier.wrong
wrong(
    "pass", nothing("build_classifier"), "def build_classifier(size, embedding, units):\n    pass\n"
)
wrong("no-mask", _PADDING, _classifier(read="layers.Embedding(size, embedding)(ids)"))
wrong(
    "zero-vector-for-padding",
    _PADDING,
    _classifier(
        read="layers.Embedding(size, embedding)(ids) * ops.expand_dims(ops.cast(ids > 0, 'float32'), -1)"
    ),
)
wrong(
    "last-place",
    _PADDING,
    _classifier(
        lstm="layers.LSTM(units, return_sequences=True)(layers.Embedding(size, embedding)(ids))[:, -1]"
    ),
)
wrong(
    "mean-over-padding",
    _PADDING,
    _classifier(
        lstm="ops.mean(layers.LSTM(units, return_sequences=True)(layers.Embedding(size, embedding)(ids)), axis=1)"
    ),
)
wrong("logit", _PROBABILITY, _classifier(out="layers.Dense(1)(x)"))
wrong("tanh", _PROBABILITY, _classifier(out="layers.Dense(1, activation='tanh')(x)"))
wrong("relu", _PROBABILITY, _classifier(out="layers.Dense(1, activation='relu')(x)"))
wrong(
    "softmax-over-one-class",
    r"one class|softmax|always 1|sigmoid",
    _classifier(out="layers.Dense(1, activation='softmax')(x)"),
)
wrong(
    "two-classes",
    r"one number|\[B, 1\]|Dense\(1\)",
    _classifier(out="layers.Dense(2, activation='softmax')(x)"),
)
wrong(
    "every-word",
    r"one number|\[B, 1\]|LSTM\(units\)",
    _classifier(lstm="layers.LSTM(units, return_sequences=True)(x)"),
)
wrong("units-out", r"one number|\[B, 1\]|Dense\(1\)", _classifier(out="x"))
wrong(
    "flat",
    r"\[B, 1\]|one number|shape",
    _classifier(out="layers.Dense(1, activation='sigmoid')(x)[:, 0]"),
)
wrong(
    "not-trained",
    r"train",
    _classifier(
        lstm="layers.LSTM(units, trainable=False, kernel_initializer='zeros', recurrent_initializer='zeros')(x)"
    ),
)
wrong(
    "constant",
    r"train|always|same|learn",
    _classifier(out="layers.Dense(1, activation='sigmoid')(x * 0)"),
)
wrong(
    "last-word-only",
    r"all of the row|train|first",
    _classifier(
        lstm="layers.LSTM(units)(ops.take_along_axis(x, (ops.maximum(ops.sum(ops.cast(ids > 0, 'int32'), axis=1), 1) - 1)[:, None, None], axis=1))"
    ),
)
wrong(
    "dropout-stays-on",
    r"dropout|training|random",
    _classifier(out="layers.Dense(1, activation='sigmoid')(layers.Dropout(0.4)(x, training=True))"),
)

right = build_classifier.right
right("bidirectional", _classifier(lstm="layers.Bidirectional(layers.LSTM(units))(x)"))
right(
    "mask-by-hand",
    _classifier(
        read="layers.Embedding(size, embedding)(ids)",
        lstm="layers.LSTM(units)(x, mask=ops.not_equal(ids, 0))",
    ),
)
right(
    "last-word-by-place",
    _classifier(
        read="layers.Embedding(size, embedding)(ids)",
        lstm="ops.take_along_axis(layers.LSTM(units, return_sequences=True)(x), "
        "(ops.sum(ops.cast(ids > 0, 'int32'), axis=1) - 1)[:, None, None], axis=1)[:, 0]",
    ),
)
right(
    "sequential",
    """
    def build_classifier(size, embedding, units):
        import keras

        return keras.Sequential([
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(size, embedding, mask_zero=True),
            keras.layers.LSTM(units),
            keras.layers.Dense(1, activation="sigmoid"),
        ])
""",
)
right(
    "last-layer-begins-at-zero",
    _classifier(out="layers.Dense(1, activation='sigmoid', kernel_initializer='zeros')(x)"),
)
right("sigmoid-apart", _classifier(out="layers.Activation('sigmoid')(layers.Dense(1)(x))"))


def _vector(
    *,
    state: str = "h, c = layers.Dense(units, activation='tanh')(start), layers.Dense(units)(start)",
    read: str = "layers.Embedding(size, embedding)(ids)",
    lstm: str = "layers.LSTM(units, return_sequences=True)(x, initial_state=[h, c])",
    out: str = "layers.Dense(size)(x)",
    model: str = "keras.Model([start, ids], logits)",
) -> str:
    return f"""
        def build_from_vector(size, vector, embedding, units):
            import keras
            from keras import layers, ops

            start, ids = keras.Input((vector,)), keras.Input((None,), dtype="int32")
            {state}
            x = {read}
            x = {lstm}
            logits = {out}
            return {model}
    """


_START = r"initial_state|state that|begins with|first state"
_AFFINE = r"affine|softmax|activation"
_STEP = r"each step|\[B, T, V\]"
wrong = build_from_vector.wrong
wrong(
    "pass",
    nothing("build_from_vector"),
    "def build_from_vector(size, vector, embedding, units):\n    pass\n",
)
wrong(
    "vector-not-used",
    _START + "|vector",
    _vector(
        lstm="layers.LSTM(units, return_sequences=True)(x)",
        out="layers.Dense(size)(x) + 0 * start[:, None, :1]",
    ),
)
wrong(
    "added-to-the-output-only",
    _START,
    _vector(
        lstm="layers.LSTM(units, return_sequences=True)(x)",
        out="layers.Dense(size)(x) + layers.Dense(size)(start)[:, None]",
    ),
)
wrong(
    "added-after-the-lstm",
    _START,
    _vector(lstm="layers.LSTM(units, return_sequences=True)(x) + h[:, None] + c[:, None]"),
)
wrong(
    "joined-after-the-lstm",
    _START,
    _vector(
        lstm="layers.LSTM(units, return_sequences=True)(x)",
        out="layers.Dense(size)(ops.concatenate([x, x * 0 + h[:, None]], axis=-1))",
    ),
)
wrong(
    "added-to-the-input-only",
    _START,
    _vector(
        read="layers.Embedding(size, embedding)(ids) + layers.Dense(embedding)(start)[:, None]",
        lstm="layers.LSTM(units, return_sequences=True)(x)",
    ),
)
wrong(
    "h-times-zero", _START, _vector(state="h = layers.Dense(units)(start) * 0\n            c = h")
)
wrong(
    "bidirectional",
    _FUTURE,
    _vector(
        lstm="layers.Bidirectional(layers.LSTM(units, return_sequences=True))(x, initial_state=[h, c, h, c])"
    ),
)
wrong(
    "backwards",
    _FUTURE,
    _vector(
        lstm="ops.flip(layers.LSTM(units, return_sequences=True, go_backwards=True)(x, initial_state=[h, c]), axis=1)"
    ),
)
wrong(
    "mean-over-time-added",
    _FUTURE,
    _vector(out="layers.Dense(size)(x + ops.mean(x, axis=1, keepdims=True))"),
)
wrong(
    "convolution-that-sees-ahead",
    _FUTURE,
    _vector(
        read="layers.Conv1D(embedding, 3, padding='same')(layers.Embedding(size, embedding)(ids))"
    ),
)
wrong("softmax", _AFFINE, _vector(out="layers.Dense(size, activation='softmax')(x)"))
wrong("relu", _AFFINE, _vector(out="layers.Dense(size, activation='relu')(x)"))
wrong("tanh", _AFFINE, _vector(out="layers.Dense(size, activation='tanh')(x)"))
wrong("last-word-only", _STEP, _vector(out="layers.Dense(size)(x[:, -1])"))
wrong("vector-size-out", _STEP + "|shape|V", _vector(out="layers.Dense(vector)(x)"))
wrong(
    "words-not-read",
    r"words before|teacher forcing|ids|train|learn|reach",
    _vector(read="layers.Embedding(size, embedding)(ids) * 0"),
)
wrong(
    "inputs-exchanged", r"\[vector|order|inputs", _vector(model="keras.Model([ids, start], logits)")
)
wrong(
    "not-trained",
    r"train|reach|vector",
    _vector(
        lstm="ops.stop_gradient(layers.LSTM(units, return_sequences=True)(x, initial_state=[h, c]))"
    ),
)
wrong(
    "gru",
    r"GRU|(is it|not|no|two|the) (an )?`?LSTM|LSTM has",
    _vector(lstm="layers.GRU(units, return_sequences=True)(x, initial_state=h + 0 * c)"),
)

right = build_from_vector.right
right("last-layer-begins-at-zero", _vector(out="layers.Dense(size, kernel_initializer='zeros')(x)"))
right(
    "state-begins-at-zero",
    _vector(
        state="h, c = [layers.Dense(units, kernel_initializer='zeros')(start) for _ in range(2)]"
    ),
)
right(
    "one-dense-for-both",
    _vector(state="h, c = ops.split(layers.Dense(2 * units)(start), 2, axis=-1)"),
)
right(
    "h-is-tanh-of-c", _vector(state="c = layers.Dense(units)(start)\n            h = ops.tanh(c)")
)
right(
    "hidden-layer",
    _vector(
        state="y = layers.Dense(32, activation='relu')(start)\n            h, c = layers.Dense(units)(y), layers.Dense(units)(y)"
    ),
)
right(
    "subclass",
    """
    def build_from_vector(size, vector, embedding, units):
        import keras
        from keras import layers

        class Writer(keras.Model):
            def __init__(self):
                super().__init__()
                self.h, self.c = layers.Dense(units, activation="tanh"), layers.Dense(units)
                self.embed = layers.Embedding(size, embedding)
                self.lstm = layers.LSTM(units, return_sequences=True)
                self.out = layers.Dense(size)

            def call(self, inputs):
                start, ids = inputs
                x = self.lstm(self.embed(ids), initial_state=[self.h(start), self.c(start)])
                return self.out(x)

        return Writer()
""",
)


def _translator(
    *,
    first: str = "layers.Embedding(source, embedding)(read)",
    encoder: str = "_, h, c = layers.LSTM(units, return_state=True)(x)",
    second: str = "layers.Embedding(target, embedding)(ids)",
    decoder: str = "layers.LSTM(units, return_sequences=True)(y, initial_state=[h, c])",
    out: str = "layers.Dense(target)(y)",
    model: str = "keras.Model([read, ids], logits)",
) -> str:
    return f"""
        def build_translator(source, target, embedding, units):
            import keras
            from keras import layers, ops

            read, ids = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
            x = {first}
            {encoder}
            y = {second}
            y = {decoder}
            logits = {out}
            return {model}
    """


_GIVEN = r"initial_state|last state|\[h, c\]|h and c"
wrong = build_translator.wrong
wrong(
    "pass",
    nothing("build_translator"),
    "def build_translator(source, target, embedding, units):\n    pass\n",
)
wrong(
    "state-not-given",
    _GIVEN,
    _translator(decoder="layers.LSTM(units, return_sequences=True)(y) + 0 * h[:, None]"),
)
wrong(
    "h-only",
    _GIVEN,
    _translator(
        decoder="layers.LSTM(units, return_sequences=True)(y, initial_state=[h, ops.zeros_like(c)])"
    ),
)
wrong(
    "c-only",
    _GIVEN,
    _translator(
        decoder="layers.LSTM(units, return_sequences=True)(y, initial_state=[ops.zeros_like(h), c])"
    ),
)
wrong(
    "h-twice",
    _GIVEN,
    _translator(decoder="layers.LSTM(units, return_sequences=True)(y, initial_state=[h, h])"),
)
wrong(
    "c-twice",
    _GIVEN,
    _translator(decoder="layers.LSTM(units, return_sequences=True)(y, initial_state=[c, c])"),
)
wrong(
    "h-and-c-exchanged",
    _GIVEN,
    _translator(decoder="layers.LSTM(units, return_sequences=True)(y, initial_state=[c, h])"),
)
wrong(
    "added-to-the-output-only",
    _GIVEN,
    _translator(
        decoder="layers.LSTM(units, return_sequences=True)(y)",
        out="layers.Dense(target)(y) + layers.Dense(target)(h)[:, None]",
    ),
)
wrong(
    "added-to-the-input-only",
    _GIVEN,
    _translator(
        second="layers.Embedding(target, embedding)(ids) + layers.Dense(embedding)(h)[:, None]",
        decoder="layers.LSTM(units, return_sequences=True)(y)",
    ),
)
wrong(
    "source-not-read",
    _GIVEN + "|source",
    _translator(first="layers.Embedding(source, embedding)(read) * 0"),
)
wrong(
    "first-source-word-only",
    r"all source words|source|encoder|last state",
    _translator(encoder="_, h, c = layers.LSTM(units, return_state=True)(x[:, :1])"),
)
wrong(
    "last-source-word-only",
    r"all source words|source|encoder|last state|initial_state",
    _translator(encoder="_, h, c = layers.LSTM(units, return_state=True)(x[:, -1:])"),
)
wrong(
    "decoder-bidirectional",
    _FUTURE,
    _translator(
        decoder="layers.Bidirectional(layers.LSTM(units, return_sequences=True))(y, initial_state=[h, c, h, c])"
    ),
)
wrong(
    "decoder-backwards",
    _FUTURE,
    _translator(
        decoder="ops.flip(layers.LSTM(units, return_sequences=True, go_backwards=True)(y, initial_state=[h, c]), axis=1)"
    ),
)
wrong(
    "decoder-mean-over-time",
    _FUTURE,
    _translator(out="layers.Dense(target)(y + ops.mean(y, axis=1, keepdims=True))"),
)
wrong(
    "decoder-without-words",
    r"target.*before|teacher forcing|train|decoder|words",
    _translator(second="layers.Embedding(target, embedding)(ids) * 0"),
)
wrong("softmax", _AFFINE, _translator(out="layers.Dense(target, activation='softmax')(y)"))
wrong("relu", _AFFINE, _translator(out="layers.Dense(target, activation='relu')(y)"))
wrong(
    "source-size-out", r"\[B, T, V\]|target|shape|each", _translator(out="layers.Dense(source)(y)")
)
wrong(
    "last-word-only",
    r"each target step|\[B, T, V\]|each",
    _translator(out="layers.Dense(target)(y[:, -1])"),
)
wrong(
    "inputs-exchanged",
    r"source|order|inputs|\[ids|\[B, T, V\]",
    _translator(model="keras.Model([ids, read], logits)"),
)
wrong(
    "one-text-only",
    r"inputs|source|\[ids",
    _translator(
        encoder="_, h, c = layers.LSTM(units, return_state=True)(layers.Embedding(target, embedding)(ids))",
        model="keras.Model(ids, logits)",
    ),
)
wrong(
    "encoder-not-trained",
    r"train|source",
    _translator(
        encoder="_, h, c = [ops.stop_gradient(0.001 * s) for s in layers.LSTM(units, return_state=True)(x)]"
    ),
)
wrong(
    "gru",
    r"GRU|(is it|not|no|two|the) (an )?`?LSTM|LSTM has",
    _translator(
        encoder="_, h = layers.GRU(units, return_state=True)(x)",
        decoder="layers.GRU(units, return_sequences=True)(y, initial_state=h)",
    ),
)

right = build_translator.right
right(
    "last-layer-begins-at-zero",
    _translator(out="layers.Dense(target, kernel_initializer='zeros')(y)"),
)
right(
    "with-sequences",
    _translator(
        encoder="_, h, c = layers.LSTM(units, return_sequences=True, return_state=True)(x)"
    ),
)
right(
    "cells",
    _translator(
        encoder="_, h, c = layers.RNN(layers.LSTMCell(units), return_state=True)(x)",
        decoder="layers.RNN(layers.LSTMCell(units), return_sequences=True)(y, initial_state=[h, c])",
    ),
)
right(
    "subclass",
    """
    def build_translator(source, target, embedding, units):
        import keras
        from keras import layers

        class Translator(keras.Model):
            def __init__(self):
                super().__init__()
                self.read, self.write = layers.Embedding(source, embedding), layers.Embedding(target, embedding)
                self.encoder = layers.LSTM(units, return_state=True)
                self.decoder = layers.LSTM(units, return_sequences=True)
                self.out = layers.Dense(target)

            def call(self, inputs):
                read, ids = inputs
                _, *state = self.encoder(self.read(read))
                return self.out(self.decoder(self.write(ids), initial_state=state))

        return Translator()
""",
)
