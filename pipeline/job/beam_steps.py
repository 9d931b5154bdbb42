"""The steps of the pipeline, from shards of prompt files to output files, and their metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import RunInference

from textmill.model.settings import GenerationSettings
from textmill.pipeline.engines.versions import versions
from textmill.pipeline.job.handler import Asked, Made, TextModelHandler
from textmill.pipeline.job.manifest import FEW, Output, ShardSummary, folded, write_shard
from textmill.pipeline.job.notes import failure_noted, note_done, note_working, standing
from textmill.pipeline.prompts.planning import Shard, read_shard
from textmill.pipeline.prompts.reading import InputSettings
from textmill.pipeline.prompts.rows import reason_class

NAMESPACE = "textmill"


@beam.typehints.with_input_types(Shard)
@beam.typehints.with_output_types(ShardSummary)
class GenerateShards(beam.PTransform):
    """Reads each shard's rows, generates its texts and writes its files, all on one worker.

    Only shard descriptions and summaries travel between workers, never prompts or texts.

    Args:
        model_dir: the model directory.
        fingerprint: the model's fingerprint.
        settings: what is drawn.
        texts: about how many texts a shard has.
        reading: how prompt files are read.
        output: where the files go.
    """

    def __init__(
        self,
        *,
        model_dir: str,
        fingerprint: str,
        settings: GenerationSettings,
        texts: int,
        reading: InputSettings,
        output: Output,
    ):
        super().__init__()
        self._settings, self._reading, self._output = settings, reading, output
        self._handler = TextModelHandler(
            model_dir=model_dir,
            fingerprint=fingerprint,
            settings=settings,
            texts=texts,
            versions=versions(),
            out=output.directory,
        )

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        """See `PTransform`."""
        return (
            shards
            # Without this, Beam would fuse the plan and all that follows onto one worker.
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_Read(self._settings, self._reading, self._output))
            | "Generate" >> RunInference(self._handler.with_no_batching())
            | "Count" >> beam.ParDo(CountGenerated())
            | "Write" >> beam.ParDo(_Write(self._output))
        )


@beam.typehints.with_input_types(Shard)
@beam.typehints.with_output_types(list[Asked])
class _Read(beam.DoFn):
    def __init__(self, settings: GenerationSettings, reading: InputSettings, output: Output):
        self._settings, self._reading, self._output = settings, reading, output

    def process(self, shard: Shard) -> Iterator[list[Asked]]:
        out = self._output.directory
        stands = standing(shard, self._output)
        if stands is not None:
            yield [stands]
            return
        with failure_noted(out):
            note_working(shard, out)
            loaded = read_shard(shard, self._settings, self._reading)
        yield [loaded]


@beam.typehints.with_input_types(Made)
@beam.typehints.with_output_types(ShardSummary)
class _Write(beam.DoFn):
    def __init__(self, output: Output):
        self._output = output

    def process(self, done: Made) -> Iterator[ShardSummary]:
        if isinstance(done, ShardSummary):
            yield done
            return
        with failure_noted(self._output.directory):
            summary = write_shard(done, self._output)
            note_done(summary, done.shard, self._output.directory)
        yield summary


@beam.typehints.with_input_types(Made)
@beam.typehints.with_output_types(Made)
class CountGenerated(beam.DoFn):
    """Adds Beam metrics in the namespace `textmill`, beside RunInference's own.

    The counters are prompts, samples, words and `rejected: REASON`; the distributions are
    words_a_sample and generator_milliseconds (for a shard).
    """

    def process(self, done: Made) -> Iterator[Made]:
        """Counts a shard that was made now, and passes all on."""
        if isinstance(done, ShardSummary):
            yield done
            return
        counts = {
            "prompts": done.prompts,
            "samples": len(done.generations),
            "words": sum(generation.words for generation in done.generations),
        }
        for name, count in counts.items():
            Metrics.counter(NAMESPACE, name).inc(count)
        for row in done.rejected:
            Metrics.counter(NAMESPACE, f"rejected: {reason_class(row.reason)}").inc()
        words = Metrics.distribution(NAMESPACE, "words_a_sample")
        for generation in done.generations:
            words.update(generation.words)
        Metrics.distribution(NAMESPACE, "generator_milliseconds").update(round(1000 * done.seconds))
        yield done


class Collect(beam.CombineFn):
    """Makes one list of all summaries, with their figures added up on the way."""

    def create_accumulator(self) -> list[ShardSummary]:
        """See `CombineFn`."""
        return []

    def add_input(self, found: list[ShardSummary], summary: ShardSummary) -> list[ShardSummary]:
        """See `CombineFn`."""
        found.append(summary)
        if len(found) % FEW == 0:
            found[-FEW:] = folded(found[-FEW:])
        return found

    def merge_accumulators(self, parts: Iterable[list[ShardSummary]]) -> list[ShardSummary]:
        """See `CombineFn`."""
        return folded(summary for part in parts for summary in part)

    def extract_output(self, found: list[ShardSummary]) -> list[ShardSummary]:
        """See `CombineFn`."""
        return folded(found)
