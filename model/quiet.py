"""Importing TensorFlow without its greeting."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from model.errors import TextmillError


def load_tensorflow() -> None:
    """Imports TensorFlow and its text operations; what they print while they load goes nowhere.

    They write some lines to the standard error's descriptor before any log level is read, and a
    person takes them for something gone wrong.

    Raises:
        TextmillError: Keras, which comes with them, cannot load its backend.
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
