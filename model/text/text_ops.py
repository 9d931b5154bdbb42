"""The two operations of tensorflow-text that split texts, without the package around them.

`import tensorflow_text` loads Keras and some forty libraries, which a generating worker has no use
for. The operations are in two libraries, which TensorFlow loads by itself.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import Any

from textmill.model.errors import TextmillError


def normalize_nfc(texts: Any) -> Any:
    """Puts texts, a string tensor [N] of valid UTF-8, into the form NFC."""
    return _library("normalize").normalize_utf8(texts, "NFC")


def regex_split(texts: Any, delimiter: str, keep: str = "") -> tuple[Any, Any, Any]:
    """Splits texts, a string tensor [N], wherever a delimiter matches.

    Args:
        delimiter: a regular expression of RE2.
        keep: delimiters that match this whole one become pieces, too.

    Returns:
        The pieces, and their first and last byte in their texts, ragged tensors [N, (pieces)].
    """
    import tensorflow as tf

    split = _library("regex_split").regex_split_with_offsets
    pieces, begin, end, rows = split(texts, f"({delimiter})", f"({keep})")
    ragged = tf.RaggedTensor.from_row_splits
    return ragged(pieces, rows), ragged(begin, rows), ragged(end, rows)


@cache
def _library(name: str) -> Any:
    """Loads one of tensorflow-text's libraries of operations.

    Raises:
        TextmillError: tensorflow-text is missing or another than the one that is asked for.
    """
    import tensorflow as tf

    package = importlib.util.find_spec("tensorflow_text")  # does not import it
    folders = package.submodule_search_locations if package else None
    reason: object = "tensorflow-text is not installed"
    for folder in folders or ():
        try:
            return tf.load_op_library(os.path.join(folder, "python", "ops", f"_{name}_ops.so"))
        except tf.errors.OpError as error:
            reason = error.message
    raise TextmillError(
        f"TensorFlow's text operations cannot be loaded: {reason}; install the tensorflow-text of "
        f"TensorFlow {tf.__version__}"
    )
