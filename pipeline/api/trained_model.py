"""A trained model in Python: `textmill.load`, `textmill.train` and what they give."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack

from textmill.model.errors import SettingError, UsageError
from textmill.model.network.directory import SavedModel, load_model
from textmill.model.prompt import Generation, Prompt, Score
from textmill.model.settings import (
    AUTO,
    GenerationSettings,
    NetworkSettings,
    TrainSettings,
    VocabularySettings,
)
from textmill.model.tensorflow_setup import load_tensorflow, share_gpus, use_one_thread
from textmill.model.text.corpus import CorpusSettings
from textmill.model.text.vocabulary import Vocabulary
from textmill.pipeline.api.inputs import prompts_from, rows_from
from textmill.pipeline.api.options import (
    GenerationOptions,
    Path,
    TrainOptions,
    refuse_unknown,
    settings_from,
)
from textmill.pipeline.files.filesystem import local_copy, write_once
from textmill.pipeline.output.columns import plain
from textmill.pipeline.output.formats import json_lines
from textmill.pipeline.prompts.reading import AS_USUAL

if TYPE_CHECKING:
    from textmill.model.generation.own_process import WriterProcess
    from textmill.model.generation.writer import Writer


class Model:
    """A trained model that writes texts, scores them, and gives the next words.

    It comes from `textmill.load`, `textmill.train` or `textmill.from_keras`. The work is done in a
    process of its own, which starts with the first call (some seconds, as TensorFlow loads) and
    ends with this object, or with `close`. So it may be used beside any other TensorFlow, JAX or
    PyTorch work, and its texts are the same bytes as those of the commands for the same ids.

    Args:
        saved: what the model directory holds.
        own_process: False does the work in this process. This is refused if TensorFlow already
            runs here with several threads, and it leaves TensorFlow on one thread.

    Examples:
        >>> model = textmill.load("alice")
        >>> [found.sample for found in model.generate("The cat", samples=2, max_words=8)]
        [1, 2]
    """

    def __init__(self, saved: SavedModel, *, own_process: bool = True):
        self.saved = saved
        self._own_process = own_process
        self._writer: Writer | WriterProcess | None = None

    def __repr__(self) -> str:
        s = self.network
        labels = f", labels {', '.join(self.labels)}" if self.labels else ""
        return f"<textmill.Model of {s.vocabulary:,} words, {s.layers} x {s.hidden} units{labels}>"

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        return _unpickled, (self.saved, self._own_process)

    @property
    def network(self) -> NetworkSettings:
        """Sizes of the network."""
        return self.saved.network

    @property
    def vocabulary(self) -> Vocabulary:
        """Words, their ids and counts."""
        return self.saved.vocabulary

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels it was trained with; empty if there are none."""
        return self.saved.labels

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What training measured, such as `valid_perplexity`."""
        return self.saved.training.get("metrics", {})

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that changes the model's texts."""
        return self.saved.fingerprint

    def generate(
        self,
        prompts: str | Prompt | Mapping[str, Any] | Iterable[Any],
        *,
        column: str = "prompt",
        **options: Unpack[GenerationOptions],
    ) -> list[Generation]:
        """Writes texts for one prompt or many.

        Args:
            prompts: a text, a `textmill.Prompt`, a row with a field `prompt`, or an iterable, data
                frame or `datasets.Dataset` of such. A row may have an `id` and settings of its
                own, as in a prompt file; its other fields are in `Generation.prompt.extra`. The id
                of a text is the text itself, as in `textmill sample`. For a model trained with
                `context` or `source`, a row has the fields of the numbers or `source`, and may lack
                `prompt`.
            column: the field of a row that holds the prompt.
            options: `samples`, `temperature` (one or several), `top_k`, `top_p`, `min_p`,
                `min_words`, `max_words`, `stop`, `ban`, `label`, `seed` and so on, see
                `textmill.GenerationSettings`.

        Returns:
            A `Generation` for each text, in the order of the prompts and samples.

        Raises:
            UsageError: a prompt or an option is not allowed.

        Examples:
            >>> model = textmill.load("alice")
            >>> found = model.generate(["The cat", "The dog"], temperature=0.8, seed=1)
            >>> [g.prompt.text for g in found]
            ['The cat', 'The dog']
            >>> found[0].record()["id"]
            'The cat#1'
        """
        settings = _generation(self.generate, options)
        reading = AS_USUAL.of_model(self.saved)
        found = prompts_from(prompts, settings, column=column, reading=reading)
        return list(self.each(list(found), settings))

    def each(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Generation]:
        """Does what `generate` does, for prompts and settings made before, one by one.

        Raises:
            SettingError: the model cannot follow the settings.
        """
        return self._work().generate(prompts, settings)

    def stream(self, prompt: str | Prompt, **options: Unpack[GenerationOptions]) -> Iterator[str]:
        """Writes one text word by word: the pieces, joined, are the text that `generate` gives.

        Raises:
            UsageError: an option is not allowed.

        Examples:
            >>> model = textmill.load("alice")
            >>> pieces = list(model.stream("The cat", max_words=5, seed=1))
            >>> "".join(pieces) == model.generate("The cat", max_words=5, seed=1)[0].text
            True
        """
        settings = _generation(self.stream, options)
        if settings.texts != 1:
            raise SettingError(
                "samples", "1 with one temperature: one text is streamed", settings.texts
            )
        reading = AS_USUAL.of_model(self.saved)
        (found,) = prompts_from([prompt], settings, column="prompt", reading=reading)
        return self._work().stream(found, settings)

    def score(
        self,
        texts: str | Iterable[str],
        *,
        label: str | None = None,
        context: Sequence[Any] | None = None,
        source: str | Sequence[str] | None = None,
        tokens: bool = False,
    ) -> list[Score]:
        """Gives how probable the model finds texts, each from its first word to its end.

        Args:
            texts: a text, or many.
            label: the label of the texts, for a model that has labels.
            context: the numbers that the texts start from, for a model trained with some: those
                of all texts, or a list of those of each.
            source: what the texts were written from, for a model trained with sources: one text
                for all, or a list of one for each.
            tokens: whether the scores also hold each token.

        Raises:
            UsageError: a text is not a string, or the model does not have the label.

        Examples:
            >>> model = textmill.load("alice")
            >>> likely, unlikely = model.score(["The cat sat.", "sat The. cat"])
            >>> likely.perplexity < unlikely.perplexity
            True
        """
        many = [texts] if isinstance(texts, str) else list(texts)
        for text in many:
            if not isinstance(text, str):
                raise UsageError(f"texts must be texts. Received: {type(text).__name__}")
        numbers = context
        if context is not None and len(context) and not hasattr(context[0], "__len__"):
            numbers = [context] * len(many)
        if numbers is not None and len(numbers) != len(many):
            raise SettingError("context", f"one for each of {len(many)} texts", len(numbers))
        sources = [source] * len(many) if isinstance(source, str) else source
        if sources is not None and len(sources) != len(many):
            raise SettingError("source", f"one for each of {len(many)} texts", len(sources))
        return list(self._work().score(many, label, tokens, numbers, sources))

    def next_words(
        self,
        text: str,
        *,
        k: int = 10,
        context: Sequence[float] | None = None,
        source: str | None = None,
        **options: Unpack[GenerationOptions],
    ) -> list[tuple[str, float]]:
        """Gives the k most probable words after a text, with their probabilities.

        The end of the text is the word `<eos>`.

        Args:
            text: the text before.
            k: number of words.
            context: the numbers that the text starts from, for a model trained with some.
            source: what the text is written from, for a model trained with sources.
            options: `temperature`, `top_k`, `top_p`, `min_p`, `ban`, `unknown` and `label` are
                used.

        Raises:
            UsageError: an option is not allowed.

        Examples:
            >>> model = textmill.load("alice")
            >>> words = model.next_words("The cat", k=3, temperature=0.8)
            >>> words[0][1] >= words[1][1] >= words[2][1] > 0
            True
        """
        settings = _generation(self.next_words, options)
        if not isinstance(text, str):
            raise UsageError(f"text must be a text. Received: {type(text).__name__}")
        return list(self._work().next_words(text, settings, k, context, source))

    def keras(self, *, states: bool = False) -> Any:
        """Gives the network as a `keras.Model` of stock layers, for fine-tuning or embeddings.

        It takes `ids`, int32 [texts, words], beginning with `<eos>`, 2, and, if the model has
        labels, `label`, one-hot float32. It gives logits of each next word, float32
        [texts, words, vocabulary]. `textmill.from_keras` takes it back.

        Args:
            states: whether h and c of each layer are inputs and outputs, too.

        Examples:
            >>> import numpy as np
            >>> model = textmill.load("alice")
            >>> ids = np.array([[2, *model.vocabulary.encode(["The cat"])[0]]])
            >>> model.keras().predict_on_batch([ids]).shape == (1, 3, len(model.vocabulary))
            True
        """
        load_tensorflow()
        from textmill.model.network.keras_model import keras_model

        return keras_model(self.saved, states=states)

    def close(self) -> None:
        """Ends the model's process; the next call starts another one."""
        if self._own_process and self._writer is not None:
            self._writer.close()  # type: ignore[union-attr]

    def _work(self) -> Writer | WriterProcess:
        if self._writer is None and self._own_process:
            from textmill.model.generation.own_process import WriterProcess

            self._writer = WriterProcess(self.saved)
        elif self._writer is None:
            use_one_thread()
            from textmill.model.generation.writer import Writer

            self._writer = Writer(self.saved)
        return self._writer


def _unpickled(saved: SavedModel, own_process: bool) -> Model:
    return Model(saved, own_process=own_process)


def _generation(method: Callable[..., Any], options: Mapping[str, Any]) -> GenerationSettings:
    refuse_unknown(method, options, GenerationOptions)
    return settings_from(GenerationSettings, options)


def load(path: Path, *, own_process: bool = True) -> Model:
    """Loads a model directory and checks every byte of it. It runs no code from it.

    Args:
        path: a directory that `textmill.train` or `textmill train` made; also on Beam's file
            systems, such as `gs://bucket/model`.
        own_process: see `textmill.Model`.

    Raises:
        TextmillError: there is no such directory, or it is damaged.

    Examples:
        >>> textmill.load("alice").network.layers
        1
    """
    with local_copy(os.fspath(path)) as folder:
        return Model(load_model(folder), own_process=own_process)


def train(
    corpus: Path | Sequence[Path] | Any = None,
    *,
    out: Path,
    minutes: float | None = None,
    epochs: int | None = None,
    preset: str = AUTO,
    output: str = AUTO,
    attention: bool = False,
    init_from: Path | None = None,
    resume: bool = False,
    tensorboard: Path | None = None,
    quiet: bool = False,
    **options: Unpack[TrainOptions],
) -> Model:
    """Trains a model on texts and saves it.

    Args:
        corpus: text files or patterns, or tables with `text="column"`; or a data frame, a
            `datasets.Dataset` or rows, with `text="column"`. None means the text that comes with
            Python, its language reference.
        out: the directory to make.
        minutes: time to train; the speed is measured first and fixes the number of words.
        epochs: passes over the texts; 40 if neither is given.
        preset: sizes, a name of `textmill train --preset`, or `auto`.
        output: `dense`, `adaptive`, or `auto` for the faster one.
        attention: whether each step looks at all of the source, which `source="column"` names.
        init_from: a model directory to begin from.
        resume: go on with a stopped training into `out`.
        tensorboard: a folder for TensorBoard's logs.
        quiet: show no progress on the standard error.
        options: `mode`, `level`, `text`, `label`, `seed` and so on: the options of
            `textmill train` with underscores.

    Raises:
        TextmillError: the corpus has no text, or `out` exists or cannot be written.
        UsageError: an option is not allowed.

    Examples:
        >>> rows = [{"text": f"The {a} cat sat.", "kind": a} for a in ("old", "red")] * 40
        >>> model = textmill.train(
        ...     rows, text="text", label="kind", out="cats", preset="tiny", epochs=2, quiet=True
        ... )
        >>> model.labels
        ('old', 'red')
    """
    refuse_unknown(train, options, TrainOptions)
    with _files(corpus) as paths:
        return _train(
            paths,
            options,
            out=os.fspath(out),
            budget={"minutes": minutes, "epochs": epochs},
            quiet=quiet,
            preset=preset,
            output=output,
            attention=attention,
            tensorboard=None if tensorboard is None else os.fspath(tensorboard),
            resume=resume,
            init_from=None if init_from is None else os.fspath(init_from),
        )


def _train(
    paths: tuple[str, ...],
    options: Mapping[str, Any],
    *,
    out: str,
    budget: dict[str, Any],
    quiet: bool,
    **more: Any,
) -> Model:
    # Each line of a tokenised corpus is a sentence or a paragraph; blank lines count, too.
    unwrap = options.get("unwrap", True) and options.get("level") != "whitespace"
    corpus = settings_from(
        CorpusSettings, {**options, "unwrap": unwrap}, paths=paths, labels=options.get("label")
    )
    vocabulary = settings_from(VocabularySettings, options)
    settings = settings_from(TrainSettings, {**options, "mode": corpus.mode}, **budget)
    load_tensorflow()
    share_gpus()
    from textmill.model.training.train import train_model
    from textmill.pipeline.api.console import TrainingReport

    with TrainingReport(quiet=quiet).running() as report:
        saved = train_model(
            out, corpus=corpus, vocabulary=vocabulary, train=settings, report=report, **more
        )
    return Model(saved)


@contextmanager
def _files(corpus: Any) -> Iterator[tuple[str, ...]]:
    """Gives the corpus as paths; writes rows in memory to a table first."""
    rows = None if corpus is None else rows_from(corpus)
    if rows is None:
        one = corpus is not None and isinstance(corpus, str | os.PathLike)
        yield (os.fspath(corpus),) if one else tuple(map(os.fspath, corpus or ()))
        return
    with tempfile.TemporaryDirectory(prefix="textmill-") as folder:
        path = os.path.join(folder, "rows.jsonl")
        write_once(path, json_lines(map(plain, rows)))
        yield (path,)
