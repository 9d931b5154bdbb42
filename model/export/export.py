"""`textmill export`: a model as a Keras file, a TensorFlow SavedModel or an ONNX file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from textmill.model.errors import TextmillError, UsageError
from textmill.model.network.directory import SavedModel, check_free, written_whole
from textmill.model.reporter import quiet_logs
from textmill.model.settings import EXPORTS, check_choice

_NOISY = ("tensorflow", "tf2onnx", "absl")  # loggers that tell of what is as it should be
_ENDINGS = {"keras": ".keras", "onnx": ".onnx", "saved-model": ""}


def export_model(
    model: SavedModel, *, to: str, out: str | os.PathLike[str], states: bool = False
) -> None:
    """Writes a model for programs without textmill; all of it appears, or nothing.

    Args:
        to: `keras`, a file of stock layers, see `keras_model`; `saved-model`, a directory, see
            `Exported`; `onnx`, the network of the Keras file.
        out: the file, which ends in `.keras` or `.onnx`, or the directory to make.
        states: of `keras` and `onnx`: the state is an input and an output, see `keras_model`.

    Raises:
        TextmillError: the place is taken or cannot be written, or ONNX's packages are missing.
        UsageError: the name of the file has another ending, or `states` of a SavedModel.
    """
    check_export(to=to, out=out, states=states)
    with written_whole(out, ending=_ENDINGS[to]) as temporary:
        _write(model, to, temporary, states=states)


def check_export(*, to: str, out: str | os.PathLike[str], states: bool) -> None:
    """Refuses what `export_model` would refuse, before a model is read.

    Raises:
        TextmillError: as `export_model` does.
    """
    check_choice("to", to, EXPORTS)
    name = os.fspath(out)
    if not name.endswith(_ENDINGS[to]):
        raise UsageError(
            f"the name of a file for {to} must end in {_ENDINGS[to]}. Received: {name}"
        )
    if states and to == "saved-model":
        raise UsageError("a SavedModel takes states by its signature step; leave states out")
    if to == "onnx":
        _needs_onnx()
    check_free(out)


def _write(model: SavedModel, to: str, path: Path, *, states: bool) -> None:
    from textmill.model.network.keras_model import keras_model

    if to == "saved-model":
        from textmill.model.export.saved_model import save_tensorflow

        with quiet_logs(*_NOISY):
            save_tensorflow(model, str(path))
        return
    network = keras_model(model, states=states)
    if to == "keras":
        network.save(path)
        return
    # Keras exports what has been called.
    network([np.zeros([size or 1 for size in x.shape], x.dtype) for x in network.inputs])
    with quiet_logs(*_NOISY), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.export(str(path), format="onnx", verbose=False)


def _needs_onnx() -> None:
    import importlib.util

    missing = [name for name in ("onnx", "tf2onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise TextmillError(
            f"ONNX needs {' and '.join(missing)}, not installed: pip install 'textmill[export]'"
        )
