"""Imports TensorFlow without its log lines and sets it to one thread, which equal bits need."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from textmill.model.errors import TextmillError

# TensorFlow and Keras load these, if they are installed, which takes nearly two seconds. A
# generator does not need them.
_OPTIONAL = ("IPython", "jax", "matplotlib", "pandas", "sklearn")


def load_tensorflow(*, lean: bool = False) -> None:
    """Imports TensorFlow and its text operations and drops what they print while they load.

    They write some lines to the standard error's descriptor before any log level is read, and
    users take these lines for an error.

    Args:
        lean: whether to load it as if the packages that it does not need were not installed.

    Raises:
        TextmillError: TensorFlow is missing, or Keras cannot load its backend.
    """
    if "tensorflow_text" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _no_stderr(), _no_collection(), _hidden(_OPTIONAL if lean else ()):
            import tensorflow  # noqa: F401
            import tensorflow_text  # noqa: F401
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND")
        hint = f"; KERAS_BACKEND is '{backend}': install it or unset that" if backend else ""
        raise TextmillError(f"TensorFlow and Keras cannot be loaded: {error}{hint}") from None


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
def _no_collection() -> Iterator[None]:
    """Stops the garbage collector, which takes a tenth of the time that modules load.

    Later, it does not search the loaded modules either, as they hold no garbage.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if on:
            gc.enable()


@contextmanager
def _hidden(names: Iterable[str]) -> Iterator[None]:
    """Hides packages that are not loaded, as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


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
