"""The network as a `keras.Model` of stock layers, and back.

Stock means that Keras opens the saved file in its safe mode, without textmill. Weights are tied as
in `network.lstm`: a `ReversibleEmbedding` is both embedding and output. The output's bias, which it
does not have, is an `Embedding` of one row.

Shapes: B texts, T time steps, V words, D embedding width, H hidden units, C labels, F numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

from textmill.model.errors import TextmillError
from textmill.model.network.directory import SavedModel, weight_shapes
from textmill.model.network.lstm import LanguageModel
from textmill.model.settings import NetworkSettings

_STANDARD = "numbers_standardised"  # name of a layer
_CLOSE = 1e-4  # between logits of a Keras model and of the network that was made of it
_UNTIED = "its output has other weights than its embedding"
_STOCK = (
    "InputLayer", "Embedding", "ReversibleEmbedding", "LSTM", "Dense", "Add", "Reshape",
    "SpatialDropout1D", "Dropout", "Activation", "Concatenate", "GetItem", "Multiply", "Identity",
    "Normalization",
)  # fmt: skip


def keras_model(model: SavedModel, *, states: bool = False) -> keras.Model:
    """A model of stock layers with a saved model's weights.

    Inputs: `ids`, int32 [B, T]; of a model with labels `label`, one-hot float32 [B, C]; of one that
    starts from numbers `numbers`, float32 [B, F], as rows have them. With `states` also `h_0`,
    `c_0` and so on, float32 [B, H], two for each layer.

    Outputs: the logits of each next word, float32 [B, T, V]; those of an adaptive output are
    log-probabilities. With `states` a list: the logits, then h and c of each layer after the last
    word.

    A text begins with the id of `<eos>`, 2. The state starts from zeros, or from what label and
    numbers set, unless it is an input.

    Args:
        states: whether the states are inputs and outputs.
    """
    s = model.network
    if s.source:
        raise TextmillError("a model that writes from a source cannot be had as a Keras model yet")
    ids = keras.Input((None,), dtype="int32", name="ids")
    label = keras.Input((s.labels,), name="label") if s.labels else None
    numbers = keras.Input((s.numbers,), name="numbers") if s.numbers else None
    vector = _vector(model, label, numbers)
    given = [keras.Input((s.hidden,), name=f"{kind}_{i}") for i in range(s.layers) for kind in "hc"]
    tied = layers.ReversibleEmbedding(s.vocabulary, s.embedding, name="embedding")
    x = tied(ids)
    if vector is not None:
        own = layers.Dense(s.embedding, use_bias=False, name="label_input")(vector)
        x = layers.Add(name="with_label")([x, layers.Reshape((1, s.embedding))(own)])
    after = []
    for i in range(s.layers):
        x = layers.SpatialDropout1D(s.dropout, name=f"dropout_{i}")(x)
        start = None
        if states:
            start = given[2 * i : 2 * i + 2]
        elif vector is not None:
            h = layers.Dense(s.hidden, activation="tanh", name=f"label_h_{i}")(vector)
            start = [h, layers.Dense(s.hidden, name=f"label_c_{i}")(vector)]
        lstm = layers.LSTM(s.hidden, return_sequences=True, return_state=True, name=f"lstm_{i}")
        x, h, c = lstm(x, initial_state=start)
        after += [h, c]
    x = layers.SpatialDropout1D(s.dropout, name=f"dropout_{s.layers}")(x)
    if s.hidden != s.embedding:
        x = layers.Dense(s.embedding, use_bias=False, name="projection")(x)
    bias = layers.Embedding(1, s.vocabulary, name="output_bias")(ids[:, :1] * 0)
    logits = layers.Add(name="logits")([tied(x, reverse=True), bias])
    if s.tails:
        logits = _adaptive(s, x, logits, bias)
    context = [each for each in (label, numbers) if each is not None]
    inputs = [ids, *context, *(given if states else [])]
    made = keras.Model(inputs, [logits, *after] if states else logits, name="textmill")
    for layer, weights in _weights(s, _without_unused(model)):
        if not states or not layer.startswith(("label_h", "label_c")):
            made.get_layer(layer).set_weights(weights)
    return made


def _vector(model: SavedModel, label: Any, numbers: Any) -> Any:
    """The context vector [B, C + F] of a label and of numbers; None if there are neither."""
    if numbers is None:
        return label
    context = model.context
    variance = np.where(context.deviation > 0, context.deviation, 1).astype(np.float32) ** 2
    standard = layers.Normalization(mean=context.mean, variance=variance, name=_STANDARD)(numbers)
    return standard if label is None else layers.Concatenate(name="context")([label, standard])


def _without_unused(model: SavedModel) -> dict[str, np.ndarray]:
    """The weights, those of numbers that are not used at 0."""
    arrays = dict(model.arrays)
    if model.columns:
        unused = np.flatnonzero(model.context.deviation == 0) + model.network.labels
        for name in ("context_kernel", "context_input"):
            arrays[name] = arrays[name].copy()
            arrays[name][unused] = 0
    return arrays


def _adaptive(s: NetworkSettings, x: Any, logits: Any, bias: Any) -> Any:
    """Log-probabilities [B, T, V]: of the head's words, then of each cluster's.

    Args:
        logits: of all words by the tied embedding; those of the head count.
    """
    words = s.cutoffs[0]
    clusters = layers.Dense(len(s.tails), name="clusters")(x)
    head = layers.Concatenate(name="head")([logits[..., :words], clusters])
    head = layers.Activation("log_softmax", name="head_log_p")(head)
    parts = [head[..., :words]]
    for i, (first, end, narrow) in enumerate(s.tails):
        inner = layers.Dense(narrow, use_bias=False, name=f"tail_{i}_in")(x)
        outer = layers.Dense(end - first, use_bias=False, name=f"tail_{i}_out")(inner)
        own = layers.Add(name=f"tail_{i}_logits")([outer, bias[..., first:end]])
        own = layers.Activation("log_softmax", name=f"tail_{i}_log_p")(own)
        chosen = head[..., words + i : words + i + 1]
        parts.append(layers.Add(name=f"tail_{i}")([own, chosen]))
    return layers.Concatenate(name="log_p")(parts)


def _weights(
    s: NetworkSettings, arrays: dict[str, np.ndarray]
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Names of layers with their weights in Keras's order."""
    yield "embedding", [arrays["embedding"]]
    yield "output_bias", [arrays["output_bias"][None]]
    for i in range(s.layers):
        yield f"lstm_{i}", [arrays[f"lstm_{i}_{kind}"] for kind in ("kernel", "recurrent", "bias")]
    if s.hidden != s.embedding:
        yield "projection", [arrays["projection"]]
    if s.context:
        yield "label_input", [arrays["context_input"]]
        kernels = np.split(arrays["context_kernel"], 2 * s.layers, axis=1)
        biases = np.split(arrays["context_bias"], 2 * s.layers)
        names = [f"label_{kind}_{i}" for i in range(s.layers) for kind in "hc"]
        yield from zip(names, map(list, zip(kernels, biases, strict=True)), strict=True)
    if s.tails:
        yield "clusters", [arrays["cluster_kernel"].T, arrays["cluster_bias"]]
    for i in range(len(s.tails)):
        yield f"tail_{i}_in", [arrays[f"tail_{i}_in"]]
        yield f"tail_{i}_out", [arrays[f"tail_{i}_out"].T]


# -- back --------------------------------------------------------------------------------------


def open_keras(path: str | os.PathLike[str]) -> keras.Model:
    """Opens a `.keras` file in Keras's safe mode, which runs no code from it.

    Raises:
        TextmillError: there is no such file, or Keras cannot open it so.
    """
    name = os.fspath(path)
    if not os.path.isfile(name) or not name.endswith(".keras"):
        raise TextmillError(
            f"there is no Keras file '{name}'; it must be a file that ends in .keras"
        )
    try:
        return keras.saving.load_model(name, compile=False, safe_mode=True)
    except Exception as error:  # Keras lets through whatever its parts raise
        why = str(error).strip().split("\n")[0] or type(error).__name__
        raise TextmillError(f"Keras cannot open {name} in its safe mode: {why[:300]}") from None


def from_keras_model(
    model: keras.Model, *, vocabulary: int, labels: int
) -> tuple[NetworkSettings, dict[str, np.ndarray]]:
    """Sizes and weights of a network, out of a Keras model of its shape.

    The layers are known by their kinds and order; those of labels and of an adaptive output by the
    names that `keras_model` gives. What was made is compared with the model on a few words.

    Args:
        vocabulary: V, words of the vocabulary. labels: C, how many there are.

    Raises:
        TextmillError: the model has another shape; the message says what is allowed.
    """
    found = _found(model)
    embedding = found["embedding"]
    if embedding.shape[0] != vocabulary:
        raise TextmillError(
            f"the vocabulary has {vocabulary:,} words, the model's embedding {len(embedding):,} "
            "rows; give the vocabulary that the model was trained with"
        )
    context = len(found["context_kernel"]) if "context_kernel" in found else 0
    numbers = len(found.get("context_mean", ()))
    if context - numbers != labels:
        raise TextmillError(
            f"the model takes {context - numbers} labels, {labels} are named; name each of them"
        )
    count = sum(name.endswith("recurrent") for name in found)
    tails = [i for i in range(8) if f"tail_{i}_out" in found]
    sizes = [len(found[f"tail_{i}_out"]) for i in tails]
    cuts = [vocabulary - sum(sizes[i:]) for i in tails]
    rates = [layer.rate for layer in model.layers if isinstance(layer, layers.SpatialDropout1D)]
    settings = NetworkSettings(
        vocabulary=vocabulary,
        embedding=embedding.shape[1],
        hidden=len(found["lstm_0_recurrent"]),
        layers=count,
        dropout=float(rates[0]) if rates else 0.0,
        context=context,
        numbers=numbers,
        cutoffs=tuple(cuts),
        tail_widths=tuple(found[f"tail_{i}_out"].shape[1] for i in tails),
    )
    shapes = {name: array.shape for name, array in found.items()}
    if shapes != weight_shapes(settings):
        wrong = sorted(set(shapes.items()) ^ set(weight_shapes(settings).items()))
        raise TextmillError(_refusal(f"its weights do not fit one another, such as {wrong[0][0]}"))
    _compare(model, settings, found)
    return settings, found


def _found(model: keras.Model) -> dict[str, np.ndarray]:
    """A model's weights by the names of `weight_shapes`."""
    if not isinstance(model, keras.Model):
        raise TextmillError(f"a keras.Model is needed. Received: {type(model).__name__}")
    strange = [layer for layer in model.layers if type(layer).__name__ not in _STOCK]
    if strange:
        raise TextmillError(_refusal(f"it has a layer of the kind {type(strange[0]).__name__}"))
    for layer in model.layers:
        _check_layer(layer)
    own = {layer.name: layer for layer in model.layers}
    tables = [x for x in model.layers if isinstance(x, layers.Embedding)]
    tied = next((x for x in tables if x.input_dim > 1), None)
    if tied is None:
        raise TextmillError(_refusal("it has no embedding"))
    if not model.built:
        raise TextmillError("the Keras model has no weights yet; call it once on ids of words")
    embedding, *output = _weights_of(tied)
    if output and np.abs(output[0].T - embedding).max() > 0:
        raise TextmillError(_refusal(_UNTIED))
    found = {"embedding": embedding}
    lstms = [x for x in model.layers if isinstance(x, layers.LSTM)]
    if not 1 <= len(lstms) <= 3:
        raise TextmillError(_refusal(f"it has {len(lstms)} LSTM layers"))
    for i, lstm in enumerate(lstms):
        weights = lstm.get_weights()
        if len(weights) == 2:
            weights.append(np.zeros(weights[0].shape[1], np.float32))
        found.update(
            zip((f"lstm_{i}_kernel", f"lstm_{i}_recurrent", f"lstm_{i}_bias"), weights, strict=True)
        )
    dense = {
        name: _weights_of(layer) for name, layer in own.items() if isinstance(layer, layers.Dense)
    }
    bias = own.get("output_bias")
    found["output_bias"] = np.zeros(len(embedding), np.float32)
    if bias is not None and _weights_of(bias):
        found["output_bias"] = _weights_of(bias)[0].reshape(-1)
    found.update(_labels_taken(dense, len(lstms)))
    if _STANDARD in own:
        standard = own[_STANDARD]
        mean, variance = (
            np.asarray(keras.ops.convert_to_numpy(value), np.float32).reshape(-1)
            for value in (standard.mean, standard.variance)
        )
        found["context_mean"], found["context_deviation"] = mean, np.sqrt(variance)
    found.update(_adaptive_taken(dense))
    for name, weights in dense.items():
        shape = weights[0].shape
        if shape == (embedding.shape[1], len(embedding)):
            if np.abs(weights[0].T - embedding).max() > 1e-6:
                raise TextmillError(_refusal(_UNTIED))
            if len(weights) == 2:
                found["output_bias"] = weights[1]
        elif shape == (len(found[f"lstm_{len(lstms) - 1}_recurrent"]), embedding.shape[1]):
            found["projection"] = weights[0]
        else:
            raise TextmillError(_refusal(f"it has a further layer, {name}"))
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise TextmillError(
                f"the Keras model's weights hold numbers that are not finite, such as in {name}; "
                "its training diverged"
            )
    return {name: np.asarray(array, np.float32) for name, array in found.items()}


def _labels_taken(dense: dict[str, list[np.ndarray]], count: int) -> dict[str, np.ndarray]:
    """Takes the weights of labels out of those of dense layers; nothing if there are none.

    Args:
        count: of LSTM layers.
    """
    if "label_input" not in dense:
        return {}
    names = [f"label_{kind}_{i}" for i in range(count) for kind in "hc"]
    missing = [name for name in names if name not in dense]
    if missing:
        raise TextmillError(_refusal(f"it has a label, and no layer {missing[0]}"))
    parts = [dense.pop(name) for name in names]
    return {
        "context_input": dense.pop("label_input")[0],
        "context_kernel": np.concatenate([kernel for kernel, _ in parts], axis=1),
        "context_bias": np.concatenate([bias for _, bias in parts]),
    }


def _adaptive_taken(dense: dict[str, list[np.ndarray]]) -> dict[str, np.ndarray]:
    """Takes the weights of an adaptive output out of those of dense layers; nothing if none."""
    found: dict[str, np.ndarray] = {}
    if "clusters" in dense:
        kernel, found["cluster_bias"] = dense.pop("clusters")
        found["cluster_kernel"] = kernel.T
    i = 0
    while f"tail_{i}_in" in dense and f"tail_{i}_out" in dense:
        found[f"tail_{i}_in"] = dense.pop(f"tail_{i}_in")[0]
        found[f"tail_{i}_out"] = dense.pop(f"tail_{i}_out")[0].T
        i += 1
    return found


def _weights_of(layer: layers.Layer) -> list[np.ndarray]:
    """A layer's weights in Keras's order; those of LoRA are added to what they adapt."""
    if not getattr(layer, "lora_enabled", False):
        return layer.get_weights()
    if isinstance(layer, layers.Embedding):
        return [np.asarray(keras.ops.convert_to_numpy(layer.embeddings))]
    biases = [] if layer.bias is None else [layer.bias]
    return [np.asarray(keras.ops.convert_to_numpy(x)) for x in (layer.kernel, *biases)]


def _check_layer(layer: layers.Layer) -> None:
    """Refuses what a comparison of small logits could miss."""
    if getattr(layer, "quantization_mode", None) is not None:
        raise TextmillError(_refusal(f"its layer {layer.name} is quantized"))
    if getattr(layer, "logit_soft_cap", None) is not None:
        raise TextmillError(_refusal(f"its layer {layer.name} caps the logits"))
    if isinstance(layer, layers.LSTM):
        functions = [layer.activation.__name__, layer.recurrent_activation.__name__]
        if functions != ["tanh", "sigmoid"] or layer.go_backwards:
            raise TextmillError(
                _refusal(f"its layer {layer.name} is no forward LSTM of tanh and sigmoid")
            )


def _compare(model: keras.Model, settings: NetworkSettings, arrays: dict[str, np.ndarray]) -> None:
    """Refuses a model that does not compute what the network made of it does."""
    network = LanguageModel(settings)
    network.build()
    network.assign_arrays(arrays)
    random = np.random.default_rng(0)
    # Without the padding's id: a network may mask it, and no text holds it.
    ids = random.integers(1, settings.vocabulary, (2, 5)).astype(np.int32)
    given, parts = [], []
    if settings.labels:
        given.append(np.eye(settings.labels, dtype=np.float32)[[0, -1]])
        parts.append(given[0])
    if settings.numbers:
        parts.append(random.standard_normal((2, settings.numbers)).astype(np.float32))
        given.append(parts[-1] * arrays["context_deviation"] + arrays["context_mean"])
    context = np.concatenate(parts, axis=1) if parts else None
    expected, _ = network(ids, network.initial_state(2, context), context)
    try:
        found = model([ids, *given], training=False)
        apart = float(np.abs(np.asarray(found) - np.asarray(expected)).max())
    except Exception as error:  # a model may take or give anything
        raise TextmillError(_refusal(str(error).split("\n")[0][:200])) from None
    if not apart < _CLOSE * max(0.1, float(np.abs(np.asarray(expected)).max())):
        raise TextmillError(_refusal(f"its logits are up to {apart:.2g} off"))


def _refusal(why: str) -> str:
    return (
        f"the Keras model is no network of textmill's shape: {why}. Allowed are an embedding, 1 to "
        "3 LSTM layers, a projection and an output tied to the embedding, as Model.keras() has them"
    )
