"""The generator as RunInference uses it: one model for each process, one shard for each call."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from textmill.model.errors import SettingError, TextmillError
from textmill.model.generation.check_settings import check_settings, check_source, most_source
from textmill.model.generation.generator import Generator, slots_for
from textmill.model.machine import cpu_kind
from textmill.model.network.directory import SavedModel, load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.tensorflow_setup import use_one_thread
from textmill.pipeline.engines.versions import check_worker
from textmill.pipeline.files.filesystem import local_copy
from textmill.pipeline.job.manifest import GeneratedShard, ShardSummary
from textmill.pipeline.job.notes import failure_noted, note_loaded, note_working
from textmill.pipeline.job.progress import Counts
from textmill.pipeline.prompts.planning import LoadedShard, Rejected, shown
from textmill.pipeline.prompts.rows import setting_reason

# Runners may give one process several threads, which share the model. One shard keeps a core busy,
# so a second shard at the same time would only cost memory.
_ONE_SHARD = threading.Lock()
_NOTE_SECONDS = 1.0  # between notes on a shard's progress


# A shard to make, or the summary of one that stands already, which passes through.
Asked = LoadedShard | ShardSummary
Made = GeneratedShard | ShardSummary


@dataclass(eq=False)  # RunInference refers to it weakly
class NotLoaded:
    """Stands for a model that could not be loaded.

    An error before the first shard reaches a new worker would be told late: engines in Java wait
    three minutes for the worker's data connection before they look at it.
    """

    error: Exception


class TextModelHandler(ModelHandler[Asked, Made, Generator | NotLoaded]):
    """Loads a model directory once for each process and generates whole shards.

    Args:
        model_dir: the model directory.
        fingerprint: fingerprint of the model that the run was planned with.
        settings: what is drawn for each prompt.
        texts: about how many texts a shard has; the number of slots depends on it.
        versions: the launcher's versions.
        out: directory of the run, for notes on progress and failures; None if there is none.
    """

    def __init__(
        self,
        *,
        model_dir: str,
        fingerprint: str,
        settings: GenerationSettings,
        texts: int = 0,
        versions: Mapping[str, str],
        out: str | None = None,
    ):
        super().__init__()
        self._model_dir, self._fingerprint, self._settings = model_dir, fingerprint, settings
        self._texts, self._versions, self._out = texts, dict(versions), out

    def load_model(self) -> Generator | NotLoaded:
        """Loads the generator, or gives the error to whoever uses it."""
        try:
            return self.load()
        except Exception as error:
            return NotLoaded(error)

    def load(self) -> Generator:
        """Loads the generator, on one thread.

        Raises:
            TextmillError: it is not the model that the run was planned with, or this worker has
                other versions than the launcher.
        """
        with failure_noted(self._out):
            check_worker(self._versions)
            use_one_thread()
            with local_copy(self._model_dir) as folder:
                model = load_model(folder)
            if model.fingerprint != self._fingerprint:
                raise TextmillError(
                    f"{self._model_dir} is another model than the one the run began with"
                )
            slots = slots_for(model.network, texts=self._texts, source_words=most_source(model))
            generator = Generator(model, slots=slots)
        if self._out is not None:
            note_loaded(self._out)
        return generator

    def run_inference(
        self,
        batch: Sequence[Asked],
        model: Generator | NotLoaded,
        inference_args: dict[str, Any] | None = None,
    ) -> list[Made]:
        """Generates a result for each shard; RunInference would silently lose a missing one."""
        if isinstance(model, NotLoaded):
            raise model.error
        with _ONE_SHARD, failure_noted(self._out):
            results = [
                each if isinstance(each, ShardSummary) else self._generate(each, model)
                for each in batch
            ]
        assert len(results) == len(batch)
        return results

    def _generate(self, loaded: LoadedShard, generator: Generator) -> GeneratedShard:
        import tensorflow as tf

        started = time.monotonic()
        prompts, rejected = [], list(loaded.rejected)
        words_of: dict[str | None, int] = {None: 0}
        if generator.model.source is not None:
            sources = list(dict.fromkeys(p.source for p in loaded.prompts if p.source is not None))
            words_of.update(zip(sources, generator.source_words(sources), strict=True))
        for prompt, place in zip(loaded.prompts, loaded.places, strict=True):
            reason = self._unfit(prompt, generator.model, words_of.get(prompt.source, 0))
            if reason is None:
                prompts.append(prompt)
            else:
                rejected.append(Rejected(*place, reason, shown(prompt.text)))
        generations, words, finished, noted = [], 0, 0, started
        for generation in generator.generate(prompts, self._settings):
            generations.append(generation)
            words += generation.words
            finished += generation.sample == (generation.prompt.settings or self._settings).texts
            if self._out is not None and time.monotonic() - noted > _NOTE_SECONDS:
                noted = time.monotonic()
                counts = Counts(finished, len(generations), words, len(rejected))
                note_working(loaded.shard, self._out, counts)
        return GeneratedShard(
            shard=loaded.shard,
            prompts=len(prompts),
            texts=sum((prompt.settings or self._settings).texts for prompt in prompts),
            generations=generations,
            rejected=sorted(rejected, key=lambda row: row.line),
            machine=cpu_kind(),
            tensorflow=tf.__version__,
            seconds=time.monotonic() - started,
        )

    @staticmethod
    def _unfit(prompt: Prompt, model: SavedModel, source_words: int) -> str | None:
        """Says why the model cannot follow a row; None if it can."""
        try:
            model.context.check(prompt.context)
            check_source(model, prompt.source, source_words)
            if prompt.settings is not None:
                check_settings(model, prompt.settings)
        except SettingError as error:
            return setting_reason(error)
        return None

    def get_num_bytes(self, batch: Sequence[Asked]) -> int:
        """Gives the size of the prompts; Beam's default would pickle them all to measure it."""
        loaded = (each.shard for each in batch if isinstance(each, LoadedShard))
        return sum(shard.end - shard.start for shard in loaded)

    def get_metrics_namespace(self) -> str:
        """Gives the namespace of RunInference's metrics."""
        return "textmill"
