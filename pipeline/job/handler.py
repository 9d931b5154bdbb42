"""The generator as RunInference uses it: one model for each process, one shard for each call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from textmill.model.errors import SettingError, TextmillError
from textmill.model.generation.check_settings import check_settings
from textmill.model.generation.generator import Generator, slots_for
from textmill.model.machine import cpu_kind
from textmill.model.network.directory import SavedModel, load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.tensorflow_setup import use_one_thread
from textmill.pipeline.engines.versions import check_worker
from textmill.pipeline.files.filesystem import local_copy
from textmill.pipeline.job.manifest import GeneratedShard
from textmill.pipeline.job.progress import Counts
from textmill.pipeline.prompts.planning import LoadedShard, Rejected, Shard, shown
from textmill.pipeline.prompts.rows import setting_reason

# Runners may give one process several threads, which share the model. One shard keeps a core busy,
# so a second shard at the same time would only cost memory.
_ONE_SHARD = threading.Lock()
_NOTE_SECONDS = 1.0  # between notes on a shard's progress


class TextModelHandler(ModelHandler[LoadedShard, GeneratedShard, Generator]):
    """Loads a model directory once for each process and generates whole shards.

    Args:
        model_dir: the model directory.
        fingerprint: fingerprint of the model that the run was planned with.
        settings: what is drawn for each prompt.
        texts: about how many texts a shard has; the number of slots depends on it.
        versions: the launcher's versions.
        note: called every second with a shard and its progress.
    """

    def __init__(
        self,
        *,
        model_dir: str,
        fingerprint: str,
        settings: GenerationSettings,
        texts: int = 0,
        versions: Mapping[str, str],
        note: Callable[[Shard, Counts], None] | None = None,
    ):
        super().__init__()
        self._model_dir, self._fingerprint, self._settings = model_dir, fingerprint, settings
        self._texts, self._versions, self._note = texts, dict(versions), note

    def load_model(self) -> Generator:
        """Loads the generator, on one thread.

        Raises:
            TextmillError: it is not the model that the run was planned with, or this worker has
                other versions than the launcher.
        """
        check_worker(self._versions)
        use_one_thread()
        with local_copy(self._model_dir) as folder:
            model = load_model(folder)
        if model.fingerprint != self._fingerprint:
            raise TextmillError(
                f"{self._model_dir} is another model than the one the run began with"
            )
        return Generator(model, slots=slots_for(model.network, texts=self._texts))

    def run_inference(
        self,
        batch: Sequence[LoadedShard],
        model: Generator,
        inference_args: dict[str, Any] | None = None,
    ) -> list[GeneratedShard]:
        """Generates a result for each shard; RunInference would silently lose a missing one."""
        with _ONE_SHARD:
            results = [self._generate(loaded, model) for loaded in batch]
        assert len(results) == len(batch)
        return results

    def _generate(self, loaded: LoadedShard, generator: Generator) -> GeneratedShard:
        import tensorflow as tf

        started = time.monotonic()
        prompts, rejected = [], list(loaded.rejected)
        for prompt, place in zip(loaded.prompts, loaded.places, strict=True):
            reason = self._unfit(prompt, generator.model)
            if reason is None:
                prompts.append(prompt)
            else:
                rejected.append(Rejected(*place, reason, shown(prompt.text)))
        generations, words, finished, noted = [], 0, 0, started
        for generation in generator.generate(prompts, self._settings):
            generations.append(generation)
            words += generation.words
            finished += generation.sample == (generation.prompt.settings or self._settings).texts
            if self._note is not None and time.monotonic() - noted > _NOTE_SECONDS:
                noted = time.monotonic()
                counts = Counts(finished, len(generations), words, len(rejected))
                self._note(loaded.shard, counts)
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
    def _unfit(prompt: Prompt, model: SavedModel) -> str | None:
        """Says why the model cannot follow a row's settings; None if it can."""
        if prompt.settings is None:
            return None
        try:
            check_settings(model, prompt.settings)
        except SettingError as error:
            return setting_reason(error)
        return None

    def get_num_bytes(self, batch: Sequence[LoadedShard]) -> int:
        """Gives the size of the prompts; Beam's default would pickle them all to measure it."""
        return sum(loaded.shard.end - loaded.shard.start for loaded in batch)

    def get_metrics_namespace(self) -> str:
        """Gives the namespace of RunInference's metrics."""
        return "textmill"
