"""`GenerateText`: the generator inside a Beam pipeline of your own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import TaggedOutput

from textmill.model.errors import SettingError, UsageError
from textmill.model.generation.check_settings import check_settings
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.engine import is_dask
from textmill.pipeline.engines.versions import versions
from textmill.pipeline.files.filesystem import absolute, local_copy
from textmill.pipeline.job.beam_steps import NAMESPACE, CountGenerated
from textmill.pipeline.job.handler import Made, TextModelHandler
from textmill.pipeline.job.manifest import GeneratedShard
from textmill.pipeline.output.columns import columns_of, record
from textmill.pipeline.prompts.planning import LoadedShard, Shard, shown
from textmill.pipeline.prompts.reading import AS_USUAL, Form, InputSettings
from textmill.pipeline.prompts.rows import BadRow, checked, prompt_of, reason_class, value_row

Record = dict[str, Any]

_MOST_TEXTS = 20_000  # in one call of the generator; more would fill the memory


@dataclass(frozen=True)
class Generated:
    """What `GenerateText` gives.

    Attributes:
        generations: records with id, prompt, text, label (if the model has labels), temperature,
            words, finish, logprob, then the other fields of the element.
        rejected: records with id, reason, raw.
    """

    generations: beam.PCollection[Record]
    rejected: beam.PCollection[Record]


@beam.typehints.with_input_types(Prompt | Mapping[str, Any])
class GenerateText(beam.PTransform):
    """Generates texts for every prompt of a collection.

    An element is a `Prompt`, or a mapping with the fields of a JSON Lines prompt file: `prompt`,
    `id` and, if you like, settings of its own; other fields are copied to the output. For a model
    trained with `context` or `source`, it has the fields of the numbers or `source`, and may lack
    `prompt`. The `id` is
    needed: a text depends only on model, settings, seed, prompt, id and sample number, whatever the
    runner, so the same id and prompt give the same texts as `textmill generate` does.

    In each window, elements are grouped into shards by a hash of the id; a shard is the unit of
    retry. Every element gives its texts or one rejected record.

    Args:
        model_dir: a directory from `textmill train`, on a disk of every worker or on one of Beam's
            file systems.
        settings: what is drawn for each prompt.
        shards: number of groups of elements; it should be a few times the number of workers.

    Raises:
        TextmillError: the model or the settings are of no use.

    Examples:
        >>> import apache_beam as beam
        >>> write = textmill.GenerateText("alice", textmill.GenerationSettings(max_words=9))
        >>> with beam.Pipeline("FnApiRunner") as pipeline:
        ...     prompts = pipeline | beam.Create([{"id": "a", "prompt": "The cat"}])
        ...     found = prompts | write
        ...     _ = found.generations | beam.Map(lambda row: print(row["id"]))
        a#1
    """

    def __init__(
        self,
        model_dir: str,
        settings: GenerationSettings = GenerationSettings(),  # noqa: B008
        *,
        shards: int = 64,
    ):
        super().__init__()
        if isinstance(shards, bool) or not isinstance(shards, int) or shards < 1:
            raise SettingError("shards", "a whole number of at least 1", shards)
        with local_copy(model_dir) as folder:
            model = load_model(folder)
        check_settings(model, settings)
        self._settings, self._shards, self._labelled = settings, shards, bool(model.labels)
        self._reading = AS_USUAL.of_model(model)
        self._handler = TextModelHandler(
            model_dir=absolute(model_dir),
            fingerprint=model.fingerprint,
            settings=settings,
            versions=versions(),
        )

    def expand(self, elements: beam.PCollection) -> Generated:
        """See `PTransform`.

        Raises:
            UsageError: the pipeline's runner would give other results.
        """
        if is_dask(type(elements.pipeline.runner).__name__):
            raise UsageError(
                "GenerateText does not run on Beam's DaskRunner, which mixes generations and "
                "rejected elements up; `textmill generate` does, and GenerateText on other runners"
            )
        reading = _Read(self._settings, self._shards, self._reading)
        read = elements | "Read" >> beam.ParDo(reading).with_outputs("rejected", main="prompts")
        done = (
            read.prompts
            | "Group" >> beam.GroupByKey()
            | "Shards" >> beam.ParDo(_Pieces(self._settings, self._shards))
            | "Generate" >> RunInference(self._handler.with_no_batching())
            | "Count" >> beam.ParDo(CountGenerated())
            | "Records"
            >> beam.ParDo(_Records(self._labelled)).with_outputs("rejected", main="generations")
        )
        rejected = (read.rejected, done.rejected) | "Rejected" >> beam.Flatten()
        return Generated(done.generations, rejected)


@beam.typehints.with_output_types(tuple[int, Prompt])
class _Read(beam.DoFn):
    """Turns elements into prompts, keyed by shard."""

    def __init__(self, settings: GenerationSettings, shards: int, reading: InputSettings):
        self._settings, self._shards, self._reading = settings, shards, reading

    def process(self, element: Prompt | Mapping[str, Any]) -> Iterator[Any]:
        try:
            prompt = self._prompt(element)
        except BadRow as reason:
            own_id = element.get("id") if isinstance(element, Mapping) else None
            Metrics.counter(NAMESPACE, f"rejected: {reason_class(str(reason))}").inc()
            raw = shown(dict(element) if isinstance(element, Mapping) else repr(element))
            yield TaggedOutput("rejected", _rejected(own_id, str(reason), raw))
            return
        digest = hashlib.blake2b(prompt.id.encode(), digest_size=8).digest()
        yield int.from_bytes(digest, "little") % self._shards, prompt

    def _prompt(self, element: Prompt | Mapping[str, Any]) -> Prompt:
        if isinstance(element, Prompt):
            return checked(element)
        if not isinstance(element, Mapping):
            raise BadRow(f"neither a Prompt nor a mapping: {type(element).__name__}")
        if element.get("id") is None:
            raise BadRow("no field 'id'")
        return prompt_of(
            value_row(element), row_id="", settings=self._settings, reading=self._reading
        )


@beam.typehints.with_output_types(list[LoadedShard])
class _Pieces(beam.DoFn):
    """Cuts a group's prompts into pieces that fit into memory."""

    def __init__(self, settings: GenerationSettings, shards: int):
        self._settings, self._shards = settings, shards

    def process(self, group: tuple[int, Iterable[Prompt]]) -> Iterator[list[LoadedShard]]:
        number, prompts = group
        piece: list[Prompt] = []
        texts = 0
        for prompt in prompts:
            piece.append(prompt)
            texts += (prompt.settings or self._settings).texts
            if texts >= _MOST_TEXTS:
                yield [self._loaded(number, piece)]
                piece, texts = [], 0
        if piece:
            yield [self._loaded(number, piece)]

    def _loaded(self, number: int, piece: list[Prompt]) -> LoadedShard:
        shard = Shard(
            number=number, of=self._shards, path="", name="", form=Form("elements"), columns=(),
            start=0, end=len(piece), first=0, rows=len(piece),
        )  # fmt: skip
        # Only its id says which element a prompt was.
        return LoadedShard(shard, piece, [(prompt.id, 0) for prompt in piece], [])


@beam.typehints.with_input_types(Made)
@beam.typehints.with_output_types(dict[str, Any])
class _Records(beam.DoFn):
    def __init__(self, labelled: bool):
        self._labelled = labelled

    def process(self, done: GeneratedShard) -> Iterator[Any]:
        for generation in done.generations:
            carried = dict.fromkeys(generation.prompt.extra, "json")
            yield record(
                generation,
                columns_of(carried, labelled=self._labelled, scored=generation.score is not None),
            )
        for row in done.rejected:
            yield TaggedOutput("rejected", _rejected(row.file, row.reason, row.raw))


def _rejected(own_id: Any, reason: str, raw: str) -> Record:
    own_id = own_id if own_id is None or isinstance(own_id, str) else shown(own_id)
    return {"id": own_id, "reason": reason, "raw": raw}
