"""Models to and from other programs: `textmill.export`, `textmill.from_keras`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textmill.model.tensorflow_setup import load_tensorflow, share_gpus
from textmill.pipeline.api.options import Path
from textmill.pipeline.api.trained_model import Model, load


def export(model: Path | Model, *, to: str, out: Path, states: bool = False) -> None:
    """Writes a model as a file that programs without textmill open.

    Args:
        model: a model directory, or a model.
        to: `keras` (a file of stock layers that Keras opens in its safe mode), `saved-model` (a
            directory for TensorFlow, with functions for one step and for whole texts), or `onnx`.
        out: the file to make, which ends in `.keras` or `.onnx`, or the directory.
        states: of `keras` and `onnx`: the state is an input and an output.

    Raises:
        TextmillError: `out` is taken or cannot be written, or ONNX's packages are missing.
        UsageError: an argument is not allowed.

    Examples:
        >>> textmill.export("alice", to="keras", out="alice.keras")
        >>> import keras
        >>> keras.saving.load_model("alice.keras").name
        'textmill'
    """
    from textmill.model.export.export import check_export, export_model

    check_export(to=to, out=out, states=states)
    saved = model.saved if isinstance(model, Model) else load(model).saved
    load_tensorflow()
    share_gpus()
    export_model(saved, to=to, out=out, states=states)


def from_keras(
    network: Any,
    *,
    vocabulary: Any,
    out: Path,
    labels: Sequence[str] | None = None,
    mode: str | None = None,
    level: str | None = None,
) -> Model:
    """Makes a textmill model of a Keras model of its shape, such as one that was fine-tuned.

    Args:
        network: a `keras.Model` as `Model.keras` gives it, or the path of a `.keras` file, which
            is opened in safe mode.
        vocabulary: a model or model directory, whose labels and mode are taken, too; a
            `vocabulary.txt`; or the words in the order of their ids, the first three being
            `<pad>`, `<unk>` and `<eos>`.
        out: the model directory to make.
        labels: names of the labels, in the order of the network's input `label`.
        mode: `stream` or `lines`; None takes that of `vocabulary`, else `lines`.
        level: what a token is, for a list of words; None means `word`.

    Raises:
        TextmillError: the network has another shape, the vocabulary another size, or `out` is
            taken.

    Examples:
        >>> model = textmill.load("alice")
        >>> network = model.keras()          # fine-tune it here
        >>> again = textmill.from_keras(network, vocabulary=model, out="alice-2")
        >>> again.fingerprint == model.fingerprint
        True
    """
    load_tensorflow()
    from textmill.model.export.from_keras import save_from_keras

    words = vocabulary.saved if isinstance(vocabulary, Model) else vocabulary
    return Model(
        save_from_keras(network, vocabulary=words, out=out, labels=labels, mode=mode, level=level)
    )
