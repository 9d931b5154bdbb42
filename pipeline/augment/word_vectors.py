"""Vectors of words from outside the rows, for judges that see few rows.

They are in the package wordllama (MIT): 256 numbers for each of 32,000 pieces of words. Only its
two data files are read; its own loader looks for one of them in the wrong place and then asks a
server.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError

# With fewer whole words among its pieces, a text is in a language that the vectors hardly know.
# English sets have 45 to 80 %, German ones 40 %, Bulgarian ones next to none.
LEAST_KNOWN = 0.25
_LOOKED_AT = 1_000  # texts from which the share is taken
_VECTORS, _PIECES = "weights/l2_supercat_256.safetensors", "l2_supercat_tokenizer_config.json"
_WORD = re.compile(r"[^\W\d_]{4,}")  # shorter ones may be a piece in any language


class WordVectors:
    """Vectors of pieces of words, float32 [pieces, D]."""

    def __init__(self, table: np.ndarray, tokenizer: Any):
        self._table, self._tokenizer = table, tokenizer

    def of(self, texts: Sequence[str]) -> np.ndarray:
        """Gives the mean vector of each text's pieces, of length 1, or 0 without one; [N, D]."""
        found = np.zeros((len(texts), self._table.shape[1]), np.float32)
        for row, pieces in enumerate(self._pieces(texts)):
            if pieces:
                found[row] = self._table[pieces].mean(axis=0)
        sizes = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.where(sizes == 0, 1, sizes)

    def known(self, texts: Sequence[str]) -> float:
        """Gives the share of words of 4 letters and more that are one piece; 1 if there is none."""
        words = [word for text in texts[:_LOOKED_AT] for word in _WORD.findall(text)]
        whole = sum(len(pieces) == 1 for pieces in self._pieces(words))
        return whole / len(words) if words else 1.0

    def _pieces(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [each.ids for each in encoded]


@functools.cache
def word_vectors() -> WordVectors | None:
    """Reads the vectors; None if the package is not installed. No network is used.

    Raises:
        TextmillError: the package holds other files than its tested version.
    """
    spec = importlib.util.find_spec("wordllama")  # finds it, and does not import it
    if spec is None or not spec.submodule_search_locations:
        return None
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer
    except ImportError:
        return None
    folder = Path(spec.submodule_search_locations[0])
    try:
        (pieces,) = folder.rglob(_PIECES)
        tokenizer = Tokenizer.from_file(str(pieces))
        (table,) = load_file(folder / _VECTORS).values()
    except Exception as error:  # each library raises its own
        raise TextmillError(
            f"the word vectors in {folder} cannot be read ({type(error).__name__}); install the "
            "tested version: pip install -c constraints.txt 'textmill[augment]'"
        ) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return WordVectors(table.astype(np.float32), tokenizer)
