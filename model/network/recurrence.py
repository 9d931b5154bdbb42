"""Runs an LSTM layer over a window, by the fastest way to compute it that there is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

State = list[tuple[Any, Any]]  # h and c of each layer, [B, H]

# Added to the arguments of the gates at padding: the input gate closes and the forget gate opens,
# so that the cell stays as it was.
_CLOSED = 1e4


def fast_kernels() -> Any:
    """Gives `network.cpu_kernels` if it is the fastest way to compute, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    from textmill.model.network import cpu_kernels as fast

    return fast if fast.available() else None


def lstm_layer(units: int, *, seeds: Iterator[int], precision: str) -> Any:
    """Makes a layer for `run`, with two of the seeds for its first weights."""
    return keras.layers.LSTM(
        units,
        return_sequences=True,
        return_state=True,
        kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
        dtype="float32" if precision == "float32" else f"mixed_{precision}",
    )


def drop_words(x: Any, ids: Any, vocabulary: int, share: float, *, masks: Any) -> Any:
    """Zeroes the vectors x [B, T, D] of a share of the vocabulary, drawn once for the batch."""
    kept = keras.random.dropout(ops.ones((vocabulary, 1)), share, seed=masks)
    return x * ops.take(kept, ids, axis=0)


def run(
    lstm: Any,
    x: Any,
    start: tuple[Any, Any],
    *,
    fast: Any,
    dropped: float = 0.0,
    masks: Any = None,
    here: Any = None,
) -> tuple[Any, Any, Any]:
    """Gives the outputs [B, T, H], and h and c after the last step.

    Args:
        lstm: a `keras.layers.LSTM` that returns its sequences and its state.
        x: float32 [B, T, I].
        start: h and c before the window, [B, H].
        fast: from `fast_kernels`, or None for Keras's layer.
        dropped: share of the recurrent kernel's weights that is dropped.
        masks: seeds of what is dropped.
        here: float32 [B, T], 1 at words and 0 at the padding behind them, which leaves the state as
            it is. Each row has a word.
    """
    cell = lstm.cell
    kernel, recurrent, bias = map(
        ops.convert_to_tensor, (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    if dropped:
        recurrent = keras.random.dropout(recurrent, dropped, seed=masks)
    if fast is not None and here is None:
        return fast.lstm(x, *start, kernel, recurrent, bias)
    if fast is not None:
        zeros = ops.zeros((1, lstm.units), kernel.dtype)
        gates = ops.concatenate([zeros - _CLOSED, zeros + _CLOSED, zeros, zeros], axis=1)
        x = ops.concatenate([x, 1.0 - here[:, :, None]], axis=2)
        kernel = ops.concatenate([kernel, gates], axis=0)
        outputs, _, c = fast.lstm(x, *start, kernel, recurrent, bias)
        last = ops.cast(ops.sum(here, axis=1), "int32") - 1
        return outputs, ops.take_along_axis(outputs, last[:, None, None], axis=1)[:, 0], c
    # Runs Keras's layer, which uses cuDNN on a GPU, with these values instead of its own.
    values = [(cell.kernel, kernel), (cell.recurrent_kernel, recurrent), (cell.bias, bias)]
    mask = None if here is None else ops.cast(here, "bool")
    with keras.StatelessScope(values):
        found = lstm(x, initial_state=list(start), mask=mask)
    outputs, h, c = (ops.cast(each, "float32") for each in found)
    return outputs, h, c
