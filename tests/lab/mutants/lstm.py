"""Mutants of exercise 4: the model and its loss."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import KEPT, nothing
from mutants.mutant import Variants

build_model = Variants("4", "build_model")
loss = Variants("4", "loss")
ALL = [build_model, loss]

_MODEL = """
        def build_model(size, embedding, units):
            import keras
            from keras import layers, ops

            ids = keras.Input({time}, dtype="int32")
            h, c = keras.Input((units,)), keras.Input((units,))
            x = {read}
            x = layers.SpatialDropout1D(0.2)(x)
            {lstm}
            x = layers.SpatialDropout1D(0.2)(x)
            logits = {logits}
            return {model}
"""


def _model(
    *,
    time: str = "(None,)",
    read: str = "layers.Embedding(size, embedding)(ids)",
    lstm: str = "x, h2, c2 = layers.LSTM(units, return_sequences=True, return_state=True)(x, initial_state=[h, c])",
    logits: str = "layers.Dense(size)(x)",
    model: str = "keras.Model([ids, h, c], [logits, h2, c2])",
) -> str:
    return _MODEL.format(time=time, read=read, lstm=lstm, logits=logits, model=model)


_LSTM = "layers.LSTM(units, return_sequences=True, return_state=True)"
_AFFINE = r"affine|activation|softmax"
_STATE = r"state"
_FUTURE = r"words to come|future|Bidirectional"
_NOT_LSTM = r"GRU|(is it|not|no|one) (an )?`?LSTM|plain (RNN|recurrent)|LSTM\(units\)|LSTM has"
_DROPOUT = r"dropout|training"
wrong = build_model.wrong
wrong("pass", nothing("build_model"), "def build_model(size, embedding, units):\n    pass\n")
# The output.
wrong("softmax", r"softmax", _model(logits="layers.Dense(size, activation='softmax')(x)"))
wrong("log-softmax", r"softmax|affine", _model(logits="ops.log_softmax(layers.Dense(size)(x))"))
wrong("relu", _AFFINE, _model(logits="layers.Dense(size, activation='relu')(x)"))
wrong("tanh", _AFFINE, _model(logits="layers.Dense(size, activation='tanh')(x)"))
wrong("sigmoid", _AFFINE, _model(logits="layers.Dense(size, activation='sigmoid')(x)"))
wrong("elu", _AFFINE, _model(logits="layers.Dense(size, activation='elu')(x)"))
wrong("capped", _AFFINE, _model(logits="5 * ops.tanh(layers.Dense(size)(x) / 5)"))
wrong("no-output-layer", r"Dense|shape|V", _model(logits="x"))
wrong("one-word-more", r"Dense|shape|V", _model(logits="layers.Dense(size + 1)(x)"))
wrong("embedding-size-out", r"Dense|shape|V", _model(logits="layers.Dense(embedding)(x)"))
wrong(
    "last-word-only",
    r"each|every|return_sequences|shape",
    _model(logits="layers.Dense(size)(x[:, -1])"),
)
wrong(
    "last-word-for-all",
    _FUTURE + "|every step|each",
    _model(logits="layers.Dense(size)(x * 0 + x[:, -1:])"),
)
wrong(
    "logits-one-late",
    r"after each word|shift|next|word itself|sees",
    _model(logits="layers.Dense(size)(ops.pad(x[:, :-1], [[0, 0], [1, 0], [0, 0]]))"),
)
wrong(
    "input-for-target",
    r"after each word|shift|next|Bidirectional|words to come|learn",
    _model(logits="ops.one_hot(ids, size) * 20 - 10 + 0 * layers.Dense(size)(x)"),
)
wrong(
    "embedding-beside-the-lstm",
    r"LSTM's output|affine",
    _model(
        logits="layers.Dense(size)(ops.concatenate([x, layers.Embedding(size, embedding)(ids)], axis=-1))"
    ),
)
# What is read.
wrong(
    "mask-zero",
    r"mask|padding",
    _model(read="layers.Embedding(size, embedding, mask_zero=True)(ids)"),
)
wrong(
    "mask-by-hand",
    r"mask|padding",
    _model(lstm=f"x, h2, c2 = {_LSTM}(x, initial_state=[h, c], mask=ops.not_equal(ids, 0))"),
)
wrong(
    "masking-layer",
    r"mask|padding",
    _model(
        read="layers.Masking(0.0)(layers.Embedding(size, embedding)(ids) * ops.expand_dims(ops.cast(ids > 0, 'float32'), -1))"
    ),
)
wrong(
    "ids-as-numbers", r"[Ee]mbedding", _model(read="ops.expand_dims(ops.cast(ids, 'float32'), -1)")
)
wrong(
    "ids-as-small-numbers",
    r"[Ee]mbedding",
    _model(read="ops.expand_dims(ops.cast(ids, 'float32') / size, -1)"),
)
wrong(
    "ids-as-numbers-through-dense",
    r"[Ee]mbedding",
    _model(read="layers.Dense(embedding)(ops.expand_dims(ops.cast(ids, 'float32') / size, -1))"),
)
wrong(
    "embedding-of-one-word-less",
    r"[Ee]mbedding|size|vocabulary|range",
    _model(read="layers.Embedding(size - 1, embedding)(ops.minimum(ids, size - 2))"),
)
wrong(
    "neighbouring-ids-the-same",
    r"[Ee]mbedding|size|vocabulary|learn|train",
    _model(read="layers.Embedding(size, embedding)(ids // 2)"),
)
wrong(
    "embedding-not-trained",
    r"train|learn",
    _model(
        read="layers.Embedding(size, embedding, trainable=False, embeddings_initializer='zeros')(ids)"
    ),
)
wrong(
    "convolution-that-sees-ahead",
    _FUTURE,
    _model(
        read="layers.Conv1D(embedding, 3, padding='same')(layers.Embedding(size, embedding)(ids))"
    ),
)
wrong("fixed-steps", r"any number|\bT\b|None", _model(time="(35,)"))
# The recurrent layer.
wrong(
    "bidirectional",
    _FUTURE,
    _model(
        lstm=(
            "x, h2, c2, _, _ = layers.Bidirectional(layers.LSTM(units, return_sequences=True, return_state=True))"
            "(x, initial_state=[h, c, h, c])"
        )
    ),
)
wrong(
    "backwards",
    _FUTURE,
    _model(
        lstm=(
            "x, h2, c2 = layers.LSTM(units, return_sequences=True, return_state=True, go_backwards=True)"
            "(x, initial_state=[h, c])"
        )
    ),
)
wrong(
    "backwards-both-ways",
    _FUTURE,
    _model(
        read="ops.flip(layers.Embedding(size, embedding)(ids), axis=1)",
        logits="ops.flip(layers.Dense(size)(x), axis=1)",
    ),
)
wrong(
    "mean-over-time-added",
    _FUTURE,
    _model(logits="layers.Dense(size)(x + ops.mean(x, axis=1, keepdims=True))"),
)
wrong(
    "gru-second-state-passed-through",
    _NOT_LSTM,
    _model(
        lstm="x, h2 = layers.GRU(units, return_sequences=True, return_state=True)(x, initial_state=h)\n            c2 = c * 1.0"
    ),
)
wrong(
    "gru-second-state-is-the-first",
    _NOT_LSTM,
    _model(
        lstm="x, h2 = layers.GRU(units, return_sequences=True, return_state=True)(x, initial_state=h)\n            c2 = h2 + 0 * c"
    ),
)
wrong(
    "gru-second-state-is-zero",
    _NOT_LSTM,
    _model(
        lstm="x, h2 = layers.GRU(units, return_sequences=True, return_state=True)(x, initial_state=h)\n            c2 = 0 * c"
    ),
)
wrong(
    "plain-rnn",
    _NOT_LSTM,
    _model(
        lstm="x, h2 = layers.SimpleRNN(units, return_sequences=True, return_state=True)(x, initial_state=h)\n            c2 = c * 1.0"
    ),
)
wrong(
    "no-recurrence",
    r"LSTM|state",
    _model(
        lstm="x = layers.Dense(units, activation='tanh')(x)\n            h2, c2 = h * 1.0, c * 1.0"
    ),
)
wrong(
    "lstm-not-trained",
    r"train",
    _model(
        lstm="x, h2, c2 = layers.LSTM(units, return_sequences=True, return_state=True, trainable=False, "
        "kernel_initializer='zeros')(x, initial_state=[h, c])"
    ),
)
wrong(
    "state-not-used",
    _STATE,
    _model(lstm=f"x, h2, c2 = {_LSTM}(x)\n            h2, c2 = h2 + 0 * h, c2 + 0 * c"),
)
wrong(
    "state-times-zero", _STATE, _model(lstm=f"x, h2, c2 = {_LSTM}(x, initial_state=[h * 0, c * 0])")
)
wrong("h-only", _STATE, _model(lstm=f"x, h2, c2 = {_LSTM}(x, initial_state=[h, c * 0])"))
wrong("c-only", _STATE, _model(lstm=f"x, h2, c2 = {_LSTM}(x, initial_state=[h * 0, c])"))
wrong("h-twice", _STATE, _model(lstm=f"x, h2, c2 = {_LSTM}(x, initial_state=[h, h + 0 * c])"))
wrong("exchanged-going-in", _STATE, _model(lstm=f"x, h2, c2 = {_LSTM}(x, initial_state=[c, h])"))
wrong("exchanged-coming-out", _STATE, _model(model="keras.Model([ids, h, c], [logits, c2, h2])"))
wrong("old-state-out", _STATE, _model(model="keras.Model([ids, h, c], [logits, h * 1.0, c * 1.0])"))
wrong("old-c-out", _STATE, _model(model="keras.Model([ids, h, c], [logits, h2, c * 1.0])"))
wrong("h-out-twice", _STATE, _model(model="keras.Model([ids, h, c], [logits, h2, h2 * 1.0])"))
wrong(
    "state-after-the-first-word",
    _STATE,
    _model(model="keras.Model([ids, h, c], [logits, x[:, 0], c2])"),
)
wrong(
    "second-layer-forgets",
    _STATE,
    _model(
        lstm=f"x, h2, c2 = {_LSTM}(x, initial_state=[h, c])\n            x = layers.LSTM(units, return_sequences=True)(x)"
    ),
)
# Dropout.
wrong(
    "dropout-stays-on",
    _DROPOUT,
    _model(logits="layers.Dense(size)(layers.Dropout(0.4)(x, training=True))"),
)
wrong(
    "dropout-before-stays-on",
    _DROPOUT,
    _model(
        read="layers.SpatialDropout1D(0.3)(layers.Embedding(size, embedding)(ids), training=True)"
    ),
)
wrong(
    "noise-stays-on",
    _DROPOUT + "|noise|random",
    _model(read="layers.GaussianNoise(0.3)(layers.Embedding(size, embedding)(ids), training=True)"),
)
# The model's form.
wrong(
    "logits-only",
    r"return_state|\[logits, h, c\]",
    _model(model="keras.Model([ids, h, c], logits)"),
)
wrong("two-outputs", r"\[logits, h, c\]", _model(model="keras.Model([ids, h, c], [logits, h2])"))
wrong(
    "state-first-out",
    r"\[logits, h, c\]",
    _model(model="keras.Model([ids, h, c], [h2, c2, logits])"),
)
wrong("ids-last-in", r"\[ids, h, c\]", _model(model="keras.Model([h, c, ids], [logits, h2, c2])"))
wrong(
    "ids-only-in",
    r"\[ids, h, c\]",
    _model(lstm=f"x, h2, c2 = {_LSTM}(x)", model="keras.Model(ids, [logits, h2, c2])"),
)
wrong(
    "sequential",
    r"Sequential|three inputs|\[ids, h, c\]",
    """
    def build_model(size, embedding, units):
        import keras

        return keras.Sequential([
            keras.layers.Embedding(size, embedding),
            keras.layers.LSTM(units, return_sequences=True),
            keras.layers.Dense(size),
        ])
""",
)
wrong(
    "kept-between-calls",
    KEPT + r"|new model|size",
    """
    _models = []

    def build_model(size, embedding, units):
        import keras

        if not _models:
            ids = keras.Input((None,), dtype="int32")
            h, c = keras.Input((units,)), keras.Input((units,))
            x = keras.layers.Embedding(size, embedding)(ids)
            x, h2, c2 = keras.layers.LSTM(units, return_sequences=True, return_state=True)(
                x, initial_state=[h, c]
            )
            _models.append(keras.Model([ids, h, c], [keras.layers.Dense(size)(x), h2, c2]))
        return _models[0]
""",
)

right = build_model.right
right(
    "subclass",
    """
    def build_model(size, embedding, units):
        import keras

        class Network(keras.Model):
            def __init__(self):
                super().__init__()
                self.embed = keras.layers.Embedding(size, embedding)
                self.lstm = keras.layers.LSTM(units, return_sequences=True, return_state=True)
                self.out = keras.layers.Dense(size)

            def call(self, inputs, training=None):
                ids, h, c = inputs
                x, h, c = self.lstm(self.embed(ids), initial_state=[h, c])
                return [self.out(x), h, c]

        return Network()
""",
)
right(
    "subclass-with-dropout",
    """
    def build_model(size, embedding, units):
        import keras
        from keras import layers

        class Network(keras.Model):
            def __init__(self, **settings):
                super().__init__(**settings)
                self.embed = layers.Embedding(size, embedding)
                self.before, self.after = layers.Dropout(0.2), layers.Dropout(0.2)
                self.lstm = layers.LSTM(units, return_sequences=True, return_state=True)
                self.out = layers.Dense(size)

            def call(self, inputs, training=False):
                ids, h, c = inputs
                x = self.before(self.embed(ids), training=training)
                x, h, c = self.lstm(x, initial_state=[h, c], training=training)
                return self.out(self.after(x, training=training)), h, c

        return Network(name="network")
""",
)
right(
    "without-dropout",
    """
    def build_model(size, embedding, units):
        import keras

        ids = keras.Input((None,), dtype="int32", name="ids")
        h, c = keras.Input((units,), name="h"), keras.Input((units,), name="c")
        x = keras.layers.Embedding(size, embedding)(ids)
        x, *after = keras.layers.LSTM(units, return_sequences=True, return_state=True)(x, initial_state=(h, c))
        return keras.Model(inputs=[ids, h, c], outputs=[keras.layers.Dense(size)(x), *after])
""",
)
right("time-distributed", _model(logits="layers.TimeDistributed(layers.Dense(size))(x)"))
right(
    "sequential-inside",
    _model(
        read="keras.Sequential([layers.Embedding(size, embedding), layers.Dropout(0.1)])(ids)",
        logits="keras.Sequential([layers.Dropout(0.1), layers.Dense(size)])(x)",
    ),
)
right(
    "other-first-weights",
    _model(
        read="layers.Embedding(size, embedding, embeddings_initializer='glorot_uniform')(ids)",
        lstm="x, h2, c2 = layers.LSTM(units, return_sequences=True, return_state=True, recurrent_initializer='glorot_uniform')"
        "(x, initial_state=[h, c])",
        logits="layers.Dense(size, kernel_initializer='he_normal')(x)",
    ),
)
right(
    "last-layer-begins-at-zero", _model(logits="layers.Dense(size, kernel_initializer='zeros')(x)")
)
right(
    "dropout-after-only",
    """
    def build_model(size, embedding, units):
        from keras import Input, Model, layers

        inputs = [Input((None,), dtype="int32"), Input((units,)), Input((units,))]
        lstm = layers.LSTM(units, return_state=True, return_sequences=True)
        x, h, c = lstm(layers.Embedding(size, embedding)(inputs[0]), initial_state=inputs[1:])
        return Model(inputs, [layers.Dense(size)(layers.Dropout(0.3)(x)), h, c])
""",
)
right(
    "a-model-within-a-model",
    """
    def build_model(size, embedding, units):
        import keras
        from keras import layers

        words = keras.Input((None,), dtype="int32")
        reader = keras.Model(words, layers.Embedding(size, embedding)(words))
        ids, h, c = keras.Input((None,), dtype="int32"), keras.Input((units,)), keras.Input((units,))
        x, h2, c2 = layers.LSTM(units, return_sequences=True, return_state=True)(reader(ids), initial_state=[h, c])
        return keras.Model([ids, h, c], [layers.Dense(size)(x), h2, c2])
""",
)
right(
    "subclass-of-layers-in-a-list",
    """
    def build_model(size, embedding, units):
        import keras
        from keras import layers

        class Network(keras.Model):
            def __init__(self):
                super().__init__()
                self.parts = [
                    layers.Embedding(size, embedding),
                    layers.LSTM(units, return_sequences=True, return_state=True),
                    layers.Dense(size),
                ]

            def call(self, inputs):
                embed, lstm, out = self.parts
                x, *state = lstm(embed(inputs[0]), initial_state=list(inputs[1:]))
                return [out(x), *state]

        return Network()
""",
)


def _loss(result: str, before: str = "pass") -> str:
    return f"""
        def loss(logits, targets):
            from keras import ops

            {before}
            return {result}
    """


_NLL = "ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)"
_STABLE = r"overflow|underflow|large|infinite|log_softmax|from_logits|logsumexp"
_GRADIENT = r"gradient|tensor|differentia"
_MEAN = r"mean"
wrong = loss.wrong
wrong("pass", nothing("loss"), "def loss(logits, targets):\n    pass\n")
wrong(
    "not-from-logits",
    r"from_logits|softmax",
    _loss("ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=False))"),
)
wrong("sum", _MEAN, _loss(f"ops.sum({_NLL})"))
wrong("sum-over-time", _MEAN, _loss(f"ops.mean(ops.sum({_NLL}, axis=1))"))
wrong("each-row", r"scalar|mean", _loss(f"ops.mean({_NLL}, axis=1)"))
wrong("each-word", r"scalar|mean", _loss(_NLL))
wrong("bits", r"bits|natural", _loss(f"ops.mean({_NLL}) / 0.6931472"))
wrong("perplexity", r"exp|perplexity|nats|-log", _loss(f"ops.exp(ops.mean({_NLL}))"))
wrong("negated", r"sign|minus|negative|-log", _loss(f"-ops.mean({_NLL})"))
wrong(
    "over-the-vocabulary",
    r"mean over all words|mean",
    _loss(f"ops.mean({_NLL}) / logits.shape[-1]"),
)
wrong("largest", _MEAN, _loss(f"ops.max({_NLL})"))
wrong("first-word-only", r"all words", _loss(f"ops.mean({_NLL}[:, 0])"))
wrong("last-word-only", r"all words", _loss(f"ops.mean({_NLL}[:, -1])"))
wrong("first-row-only", r"all words", _loss(f"ops.mean({_NLL}[0])"))
wrong(
    "without-unk",
    r"all words|\b0\b|<unk>",
    _loss(
        "ops.sum(nats * known) / ops.maximum(ops.sum(known), 1)",
        f"nats, known = {_NLL}, ops.cast(ops.not_equal(targets, 0), 'float32')",
    ),
)
wrong(
    "shifted-again",
    r"shift|targets",
    _loss(
        "ops.mean(ops.sparse_categorical_crossentropy(targets[:, 1:], logits[:, :-1], from_logits=True))"
    ),
)
wrong(
    "exchanged-arguments",
    r"logits, targets|order|exchang|swap|dtype|shape|TypeError|line \d+",
    _loss("ops.mean(ops.sparse_categorical_crossentropy(logits, targets, from_logits=True))"),
)
wrong(
    "input-and-target-exchanged",
    r"softmax|target|-log",
    _loss(
        "-ops.mean(ops.sum(ops.softmax(logits) * ops.log(ops.one_hot(targets, logits.shape[-1]) + 1e-3), axis=-1))"
    ),
)
wrong(
    "softmax-over-time",
    r"softmax|axis|last",
    _loss(
        "-ops.mean(ops.take_along_axis(ops.log_softmax(logits, axis=1), targets[..., None], axis=-1))"
    ),
)
wrong(
    "squares",
    r"-log|softmax",
    _loss("ops.mean((ops.softmax(logits) - ops.one_hot(targets, logits.shape[-1])) ** 2)"),
)
wrong(
    "probability",
    r"-log|log",
    _loss("1 - ops.mean(ops.take_along_axis(ops.softmax(logits), targets[..., None], axis=-1))"),
)
wrong(
    "log-of-the-mean",
    r"mean|log",
    _loss(
        "-ops.log(ops.mean(ops.take_along_axis(ops.softmax(logits), targets[..., None], axis=-1)))"
    ),
)
wrong(
    "smoothed-labels",
    r"-log|softmax|\[target\]",
    _loss(
        "ops.mean(ops.categorical_crossentropy(0.9 * hot + 0.1 / logits.shape[-1], logits, from_logits=True))",
        "hot = ops.one_hot(targets, logits.shape[-1])",
    ),
)
wrong(
    "logit-not-log-softmax",
    r"softmax",
    _loss("-ops.mean(ops.take_along_axis(logits, targets[..., None], axis=-1))"),
)
wrong(
    "overflow",
    _STABLE,
    _loss(
        "ops.mean(ops.log(ops.sum(ops.exp(logits), axis=-1)) - ops.take_along_axis(logits, targets[..., None], axis=-1)[..., 0])"
    ),
)
wrong(
    "underflow",
    _STABLE,
    _loss(
        "-ops.mean(ops.log(ops.take_along_axis(ops.softmax(logits), targets[..., None], axis=-1)))"
    ),
)
wrong(
    "small-number-added",
    _STABLE + "|add|clip|small",
    _loss(
        "-ops.mean(ops.log(ops.take_along_axis(ops.softmax(logits), targets[..., None], axis=-1) + 1e-7))"
    ),
)
wrong("clipped", _STABLE + "|clip", _loss(f"ops.mean(ops.minimum({_NLL}, 10.0))"))
wrong("number", _GRADIENT, _loss(f"float(ops.mean({_NLL}))"))
wrong(
    "numpy",
    _GRADIENT + "|numpy",
    """
    def loss(logits, targets):
        z = np.asarray(logits, np.float64)
        z = z - z.max(axis=-1, keepdims=True)
        logs = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
        return -np.take_along_axis(logs, np.asarray(targets)[..., None], -1).mean()
""",
)
wrong("gradient-stopped", _GRADIENT, _loss(f"ops.stop_gradient(ops.mean({_NLL}))"))
wrong(
    "logits-without-gradient",
    _GRADIENT,
    _loss(
        "ops.mean(ops.sparse_categorical_crossentropy(targets, ops.stop_gradient(logits), from_logits=True))"
    ),
)
wrong(
    "made-a-tensor-again",
    _GRADIENT,
    _loss("ops.convert_to_tensor(value)", f"value = float(ops.mean({_NLL}))"),
)
wrong(
    "kept-between-calls",
    KEPT + "|mean",
    """
    _nats = []

    def loss(logits, targets):
        from keras import ops

        _nats.append(ops.mean(ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)))
        return sum(_nats) / len(_nats)
""",
)

right = loss.right
right(
    "log-softmax",
    _loss(
        "-ops.mean(ops.take_along_axis(ops.log_softmax(logits, axis=-1), ops.cast(targets, 'int32')[..., None], axis=-1))"
    ),
)
right(
    "one-hot",
    _loss(
        "ops.mean(-ops.sum(ops.one_hot(targets, logits.shape[-1]) * ops.log_softmax(logits), axis=-1))"
    ),
)
right(
    "logsumexp",
    _loss(
        "ops.mean(ops.logsumexp(logits, axis=-1) - ops.sum(ops.one_hot(targets, logits.shape[-1]) * logits, axis=-1))"
    ),
)
right(
    "keras-class",
    """
    def loss(logits, targets):
        import keras

        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(targets, logits)
""",
)
right(
    "tensorflow",
    """
    def loss(logits, targets):
        import tensorflow as tf

        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))
""",
)
right(
    "flat",
    _loss(
        "ops.mean(ops.sparse_categorical_crossentropy(ops.reshape(targets, (-1,)), ops.reshape(logits, (-1, logits.shape[-1])), from_logits=True))"
    ),
)
right(
    "largest-off-by-hand",
    _loss(
        "ops.mean(ops.log(ops.sum(ops.exp(z), axis=-1)) - ops.take_along_axis(z, targets[..., None], axis=-1)[..., 0])",
        "z = logits - ops.max(logits, axis=-1, keepdims=True)",
    ),
)
