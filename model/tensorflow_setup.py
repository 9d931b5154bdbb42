"""Imports TensorFlow without its log lines and sets it to one thread, which equal bits need."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from textmill.model.errors import TextmillError
from textmill.model.lean_imports import hidden, no_collection, put_off
from textmill.model.memory import give_back_pages

# TensorFlow and Keras load these, if they are installed, which takes some seconds, and do without
# each. What only generates needs none of them.
_OPTIONAL = ("IPython", "jax", "matplotlib", "pandas", "sklearn")
# TensorFlow alone does without these, too.
_OF_KERAS = ("h5py", "keras.src", "scipy")
# The names that TensorFlow gives its users, `tf.lite` and so on. Most of them are never used here,
# and they load nearly half of its code. It loads `tf.distribute` itself, and in one order only.
_API, _AT_ONCE = "tensorflow._api.v2", ("distribute",)


def load_tensorflow(*, lean: bool = False) -> None:
    """Imports TensorFlow and drops what it prints while it loads.

    It writes some lines to the standard error's descriptor before any log level is read, and users
    take these lines for an error.

    Args:
        lean: whether to load only what generating needs. The rest, Keras too, can be loaded later.

    Raises:
        TextmillError: TensorFlow is missing, or Keras cannot load its backend.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with ExitStack() as stack:
            stack.enter_context(_no_stderr())
            stack.enter_context(no_collection())
            if lean:
                stack.enter_context(hidden((*_OPTIONAL, *_OF_KERAS)))
                stack.enter_context(put_off(_API, but=_AT_ONCE))
            import tensorflow  # noqa: F401

            if not lean:
                import keras  # noqa: F401  # TensorFlow goes on if Keras cannot be loaded
        if lean:
            give_back_pages("libtensorflow")
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND")
        hint = f"; KERAS_BACKEND is '{backend}': install it or unset that" if backend else ""
        raise TextmillError(f"TensorFlow and Keras cannot be loaded: {error}{hint}") from None


def load_keras() -> None:
    """Imports Keras after TensorFlow was loaded lean, without what Keras does not need."""
    with _no_stderr(), no_collection(), hidden(_OPTIONAL):
        import keras  # noqa: F401


def use_one_thread() -> None:
    """Sets TensorFlow to one thread, which equal bits need, and shares GPUs.

    Call it before TensorFlow computes anything in the process.

    Raises:
        TextmillError: TensorFlow already runs with several threads.
    """
    # TensorFlow generates the texts, whatever backend a model is trained on.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    load_tensorflow(lean=True)
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        # Nor does it run two operations at a time: a process uses one core.
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != 1:
            raise TextmillError(
                "TensorFlow already runs in this process with several threads, which would change "
                "the texts; generate in a process of its own"
            ) from None
    share_gpus()


def share_gpus() -> None:
    """Lets TensorFlow take a GPU's memory as it needs it, so that other processes have some, too.

    It does nothing if TensorFlow has taken it already.
    """
    import tensorflow as tf

    with suppress(RuntimeError):
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


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
