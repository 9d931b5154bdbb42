"""The probabilities of the word after a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from textmill.model.generation.check_settings import never_ids
from textmill.model.network.directory import SavedModel
from textmill.model.network.lstm import restored
from textmill.model.settings import GenerationSettings
from textmill.model.text.dataset import reversed_padded
from textmill.model.text.vocabulary import EOS

_AT_A_TIME = 64  # words that are read in one call


class NextWord:
    """Reads texts with a saved model's network, and gives what may follow.

    Args:
        model: from `load_model`.
    """

    def __init__(self, model: SavedModel):
        self.model = model
        self._network = restored(model)
        # Words, context, state and logits.
        self._last: tuple[list[int], Any, Any, Any] = ([], None, None, None)

    def logits(
        self,
        text: str,
        label: str | None,
        numbers: Sequence[float] | None = None,
        source: str | None = None,
    ) -> np.ndarray:
        """Gives the logits of the word after a text, float64 [V].

        The state is kept: if a text continues the one before it, only the new words are read.
        """
        (words, _), *_ = self.model.vocabulary.encode_prompts([text])
        ids = [EOS, *map(int, words)]
        before, old, state, logits = self._last
        own = self.model.context
        given = None if numbers is None else np.array([numbers], np.float32)
        context = own.vectors([label], given, rows=1) if own.width else None
        kind = (b"" if context is None else context.tobytes()), source
        encoded = None
        if source is not None:
            assert self.model.source is not None
            (ids_of_source,) = self.model.source.encode([source])
            encoded = self._network.encode(
                reversed_padded([ids_of_source], max(len(ids_of_source), 2))
            )
        goes_on = before and old == kind and ids[: len(before)] == before
        if not goes_on:
            before, state = [], self._network.initial_state(1, context, encoded)
        for start in range(len(before), len(ids), _AT_A_TIME):
            given = np.array([ids[start : start + _AT_A_TIME]], np.int32)
            logits, state = self._network(given, state, context, source=encoded)
            logits = logits[:, -1]
        self._last = ids, kind, state, logits
        return np.array(logits, np.float64)[0]

    def probabilities(
        self,
        text: str,
        settings: GenerationSettings,
        numbers: Sequence[float] | None = None,
        source: str | None = None,
    ) -> np.ndarray:
        """Gives the probabilities that the next word is drawn with, float64 [V].

        Args:
            text: the text before.
            settings: the first temperature, filters, label, bans and `unknown` are used.
            numbers: those that the text starts from, for a model that has some.
            source: what the text is written from, for a model that has sources.
        """
        logits = self.logits(text, settings.label, numbers, source)
        logits[list(never_ids(self.model, settings))] = -np.inf
        return probabilities(logits, settings)


def probabilities(logits: np.ndarray, settings: GenerationSettings) -> np.ndarray:
    """Gives softmax(logits / T) after the filters, as the generator draws from it, float64 [V].

    Args:
        logits: float64 [V].
        settings: the first temperature and the filters are used.
    """
    import tensorflow as tf

    from textmill.model.generation import sampling

    temperature = settings.temperatures[0]
    if temperature == 0:
        return np.asarray(np.arange(len(logits)) == np.argmax(logits), np.float64)
    weights = np.exp((logits - logits.max()) / temperature)
    kept = tf.constant(weights[None], tf.float32)
    kept = sampling.keep_top_k(kept, tf.constant([settings.top_k]))
    kept = sampling.keep_top_p(kept, tf.constant([settings.top_p], tf.float32))
    kept = sampling.keep_min_p(kept, tf.constant([settings.min_p], tf.float32))
    weights = np.where(np.asarray(kept)[0] > 0, weights, 0.0)
    return np.asarray(weights / weights.sum())
