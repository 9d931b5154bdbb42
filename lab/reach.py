"""How far gradients reach back: an LSTM beside a plain recurrent network."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.training import units_of


def build(kind: str, size: int, embedding: int, units: int) -> Any:
    """A model as exercise 4 demands it, without dropout; a plain network passes c through.

    Args:
        kind: "LSTM" or "RNN", h' = tanh(x W + h U + b).
        size: V.
        embedding: size of a word's vector.
        units: of the layer.
    """
    import keras

    ids = keras.Input((None,), dtype="int32")
    h, c = keras.Input((units,)), keras.Input((units,))
    x = keras.layers.Embedding(size, embedding, name="vectors")(ids)
    how = {"return_sequences": True, "return_state": True, "name": "recurrent"}
    if kind == "LSTM":
        x, after_h, after_c = keras.layers.LSTM(units, **how)(x, initial_state=[h, c])
    elif kind == "RNN":
        x, after_h = keras.layers.SimpleRNN(units, **how)(x, initial_state=h)
        after_c = keras.layers.Identity()(c)
    else:
        raise ValueError(f"the kind is 'LSTM' or 'RNN', not {kind!r}")
    logits = keras.layers.Dense(size, name="logits")(x)
    return keras.Model([ids, h, c], [logits, after_h, after_c])


def reach(model: Any, ids: np.ndarray, steps: int) -> np.ndarray:
    """Measures |d loss_t / d h_(t-k)| for k = 0, 1, ..., `steps`, at many places t of a text.

    loss_t is -log p of the word after word t; h_(t-k) also acts through all states after it. The
    text is cut into pieces of `steps + 2` words, each read from zeros, with one t a piece.

    Args:
        model: one that `build` made.
        ids: a text, int [N].
        steps: the largest k.

    Returns:
        float64 [pieces, steps + 1].
    """
    import tensorflow as tf

    embed, dense = model.get_layer("vectors"), model.get_layer("logits")
    cell = model.get_layer("recurrent").cell
    two = isinstance(cell.state_size, list | tuple) and len(cell.state_size) == 2
    count = len(ids) // (steps + 2)
    if count < 1:
        raise ValueError(f"{steps} steps need more than {len(ids)} words")
    pieces = tf.constant(np.asarray(ids[: count * (steps + 2)], np.int32).reshape(count, steps + 2))
    rows = (count, units_of(model))

    @tf.function
    def gradients(words: Any) -> Any:
        state = [tf.zeros(rows)] * (2 if two else 1)
        # Zeros added to each h: the gradient by them is the one by h, through all that follows.
        probes = [tf.zeros(rows) for _ in range(steps + 1)]
        with tf.GradientTape() as tape:
            tape.watch(probes)
            vectors = embed(words)
            for t, probe in enumerate(probes):
                _, after = cell(vectors[:, t], state)
                after = list(after) if isinstance(after, list | tuple) else [after]
                state = [after[0] + probe, *after[1:]]
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(words[:, -1], dense(state[0]))
        return tf.norm(tf.stack(tape.gradient(loss, probes)), axis=-1)

    return np.asarray(gradients(pieces), np.float64)[::-1].T
