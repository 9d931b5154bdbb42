"""Everything that a saved model does with texts: it writes, scores and gives next words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from textmill.model.generation.check_settings import check_label, check_settings, check_source
from textmill.model.generation.generator import Generator
from textmill.model.network.directory import SavedModel
from textmill.model.prompt import Generation, Prompt, Score
from textmill.model.settings import GenerationSettings, check_int
from textmill.model.tensorflow_setup import load_keras
from textmill.model.text.tokens import surface
from textmill.model.text.vocabulary import EOS, RESERVED, UNKNOWN

_ROWS = 32  # texts of a batch
_AT_A_TIME = 64 * _ROWS  # texts that are sorted by length and then cut into batches


class Writer:
    """A saved model at work. TensorFlow loads with the first call.

    Args:
        model: from `load_model`.
    """

    def __init__(self, model: SavedModel):
        self.model = model

    def generate(
        self, prompts: Sequence[Prompt], settings: GenerationSettings
    ) -> Iterator[Generation]:
        """See `Generator.generate`."""
        return self._generator.generate(prompts, settings)

    def stream(self, prompt: Prompt, settings: GenerationSettings) -> Iterator[str]:
        """See `Generator.stream`."""
        return self._generator.stream(prompt, settings)

    def score(
        self,
        texts: Sequence[str],
        label: str | None,
        tokens: bool,
        numbers: Sequence[Sequence[float]] | None = None,
        sources: Sequence[str] | None = None,
    ) -> Iterator[Score]:
        """Scores texts, in their order.

        Args:
            texts: the texts.
            label: the label of all texts, for a model that has labels.
            tokens: whether the scores hold each token.
            numbers: those that each text starts from, for a model that has some.
            sources: what each text was written from, for a model that has sources.

        Raises:
            SettingError: the model does not have the label, the numbers or the sources, or needs
                some.
        """
        load_keras()
        check_label(self.model, label)
        own = self.model.context
        for each in numbers if numbers is not None and len(numbers) else [None]:
            own.check(each)
        given = None if numbers is None else np.array(numbers, np.float32)
        read: list[np.ndarray] | None = None
        if self.model.source is not None and sources:
            read = self.model.source.encode(sources)
        for i, source in enumerate(sources if sources else [None]):
            check_source(self.model, source, 0 if read is None else len(read[i]))
        for start in range(0, len(texts), _AT_A_TIME):
            some = texts[start : start + _AT_A_TIME]
            words = list(self.model.vocabulary.tokens(some))
            ids = [np.append(self.model.vocabulary.lookup(w), EOS).astype(np.int32) for w in words]
            # A batch has texts of similar length, so that little is padded; there is one shape.
            order = sorted(range(len(some)), key=lambda i: len(ids[i]))
            nats: dict[int, np.ndarray] = {}
            for begin in range(0, len(order), _ROWS):
                batch = order[begin : begin + _ROWS]
                rows = [ids[i] for i in batch]
                rows += [np.zeros(0, np.int32)] * (_ROWS - len(batch))
                places = [start + i for i in batch] + [start] * (_ROWS - len(batch))
                context = own.vectors(
                    [label] * _ROWS, None if given is None else given[places], rows=_ROWS
                )
                own_sources = None if read is None else [read[i] for i in places]
                each = self._evaluator.each(rows, context, own_sources)
                nats.update(zip(batch, each, strict=False))
            for i, text in enumerate(some):
                yield self._scored(text, label, words[i], ids[i], nats[i], tokens)

    def next_words(
        self,
        text: str,
        settings: GenerationSettings,
        k: int,
        numbers: Sequence[float] | None = None,
        source: str | None = None,
    ) -> Iterator[tuple[str, float]]:
        """Gives the k most probable next words with their probabilities; the end is `<eos>`.

        Args:
            text: the text before.
            settings: see `NextWord.probabilities`.
            k: number of words.
            numbers: those that the text starts from, for a model that has some.
            source: what the text is written from, for a model that has sources.

        Raises:
            SettingError: see `check_settings`, `Context.check` and `check_source`.
        """
        check_settings(self.model, settings)
        self.model.context.check(numbers)
        read = 0
        if self.model.source is not None and source is not None:
            read = len(self.model.source.encode([source])[0])
        check_source(self.model, source, read)
        check_int("k", k, 1)
        p = self._reader.probabilities(text, settings, numbers, source)
        order = np.lexsort((np.arange(len(p)), -p))[:k]
        words = self.model.vocabulary.words
        for i in order[p[order] > 0]:
            yield self._shown(words[i]), float(p[i])

    def _scored(
        self,
        text: str,
        label: str | None,
        words: Sequence[str],
        ids: np.ndarray,
        nats: np.ndarray,
        tokens: bool,
    ) -> Score:
        total = float(nats.sum())
        shown = [*map(self._shown, words), RESERVED[EOS]]
        each = (float(round(-nat, 5)) for nat in nats)
        return Score(
            text=text,
            label=label,
            words=len(words),
            unknown=int((ids == UNKNOWN).sum()),
            logprob=round(-total, 5),
            perplexity=round(math.exp(min(total / len(ids), 700.0)), 3),
            tokens=tuple(zip(shown, each, strict=True)) if tokens else None,
        )

    def _shown(self, word: str) -> str:
        """Gives a token as it stands in text."""
        return surface(word) if self.model.vocabulary.level == "word" else word

    @cached_property
    def _generator(self) -> Generator:
        return Generator(self.model)

    @cached_property
    def _reader(self):
        load_keras()
        from textmill.model.generation.next_word import NextWord

        return NextWord(self.model)

    @cached_property
    def _evaluator(self):
        from textmill.model.network.likelihood import Evaluator
        from textmill.model.network.lstm import restored

        model = self.model
        return Evaluator(restored(model), model.vocabulary, model.context, model.source)
