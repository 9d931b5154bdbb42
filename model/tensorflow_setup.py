"""Imports TensorFlow without its log lines and sets it to one thread, which equal bits need."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from textmill.model.errors import TextmillError


def load_tensorflow() -> None:
    """Imports TensorFlow and its text operations; what they print while they load goes nowhere.

    They write some lines to the standard error's descriptor before any log level is read, and
    users take these lines for an error.

    Raises:
        TextmillError: TensorFlow is missing, or Keras cannot load its backend.
    """
    if "tensorflow_text" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with _no_stderr():
            import tensorflow  # noqa: F401
            import tensorflow_text  # noqa: F401
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND")
        hint = f"; KERAS_BACKEND is '{backend}': install it or unset that" if backend else ""
        raise TextmillError(f"TensorFlow and Keras cannot be loaded: {error}{hint}") from None


def use_one_thread() -> None:
    """Sets TensorFlow to one intra-op thread, on which equal bits depend, and GPUs to grow.

    Call it before TensorFlow computes anything in the process.

    Raises:
        TextmillError: TensorFlow already runs with several threads.
    """
    # TensorFlow generates the texts, whatever backend a model is trained on.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    load_tensorflow()
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        # Nor does it run two operations at a time: a process uses one core.
        tf.config.threading.set_inter_op_parallelism_threads(1)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != 1:
            raise TextmillError(
                "TensorFlow already runs in this process with several threads, which would change "
                "the texts; generate in a process of its own"
            ) from None


@contextmanager
def _no_stderr() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
