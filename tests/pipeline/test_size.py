"""Runs of very many shards: their names, their progress, a resume's look at what stands."""

from __future__ import annotations

import pickle
import tempfile
import tracemalloc
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from textmill.pipeline.job import beam_steps, manifest
from textmill.pipeline.job.beam_steps import Collect
from textmill.pipeline.job.manifest import Output, ShardSummary, folded, write_manifest
from textmill.pipeline.job.resumable_run import _SHARD
from textmill.pipeline.job.run_statistics import NO_FIGURES, Statistics
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Shard
from textmill.pipeline.prompts.reading import Form


def shard(number: int, of: int) -> Shard:
    return Shard(
        number=number, of=of, path="p", name="p", form=Form("text"), columns=(), start=0, end=9,
        first=1, rows=3,
    )  # fmt: skip


# -- names -----------------------------------------------------------------------------------------

COUNTS = st.one_of(
    st.integers(99_990, 100_010), st.integers(999_990, 1_000_010), st.integers(1, 2_000_000)
)


@given(st.data())
def test_names_sort_as_their_shards_do(data):
    of = data.draw(COUNTS)
    near = st.integers(0, of - 1) | st.sampled_from([n for n in (0, 9, 99_999, 100_000) if n < of])
    numbers = sorted(data.draw(st.sets(near | st.just(of - 1), min_size=1, max_size=20)))
    names = [shard(number, of).file_name for number in numbers]
    assert sorted(names) == names
    assert len({len(name) for name in names}) == 1
    assert all(_SHARD.fullmatch(f"{name}.jsonl.gz") for name in names)


def test_names_of_usual_runs_are_as_ever():
    assert shard(1, 40).file_name == "shard-00001-of-00040"
    assert shard(99_998, 99_999).file_name == "shard-99998-of-99999"
    assert shard(7, 100_000).file_name == "shard-000007-of-100000"
    assert shard(999_999, 1_000_000).file_name == "shard-0999999-of-1000000"


# -- summaries -------------------------------------------------------------------------------------

FIGURES = st.builds(
    Statistics,
    finish=st.dictionaries(st.sampled_from(["eos", "length", "stop"]), st.integers(1, 10**7)),
    reasons=st.dictionaries(st.sampled_from(["empty", "no text"]), st.integers(1, 10**7)),
    words=st.dictionaries(st.integers(0, 100).map(str), st.integers(1, 10**7), max_size=5),
    logprobs=st.dictionaries(st.integers(0, 80).map(str), st.integers(1, 10**7), max_size=5),
    seconds=st.integers(0, 10**6).map(lambda n: n / 1000),
)


def summary(number: int, figures: Statistics) -> ShardSummary:
    return ShardSummary(
        number, f"{shard(number, 9).file_name}.jsonl", 3, 2, 1, 4, 9, "", None, "m", "t", figures
    )


def combined(parts: list[list[ShardSummary]]) -> list[ShardSummary]:
    """The summaries of some workers, as an engine puts them together."""
    collect, found = Collect(), []
    for part in parts:
        found.append(collect.create_accumulator())
        for each in part:
            found[-1] = collect.add_input(found[-1], pickle.loads(pickle.dumps(each)))
    return collect.extract_output(collect.merge_accumulators(found))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), FIGURES), max_size=30), st.integers(1, 5))
def test_folded_summaries_make_the_same_manifest(made, few):
    whole = [summary(number, figures) for number, (_, figures) in enumerate(made)]
    parts = [[each for each, (part, _) in zip(whole, made, strict=True) if part == i]
             for i in range(4)]  # fmt: skip
    header = {"model": "m", "settings": {}, "versions": {"textmill": "0"}}

    def written(summaries: list[ShardSummary]) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as out:
            for name in ("run.json", *(each.name for each in whole)):
                Path(out, name).touch()
            output = Output(out, Format(), ())
            write_manifest(summaries, output=output, header=header, rows=3 * len(whole))
            return {path.name: path.read_bytes() for path in Path(out).iterdir()}

    with mock.patch.multiple(manifest, FEW=few), mock.patch.multiple(beam_steps, FEW=few):
        kept, new = folded(whole[:3]), combined(parts)
        assert written(whole) == written(new) == written(folded(iter(whole)))
        assert sum(each.statistics != NO_FIGURES for each in new) <= 1
        new = combined([[each for each in part if each.number >= 3] for part in parts])
        assert written([*kept, *new]) == written(whole)


def test_figures_of_few_shards_are_held_at_a_time():
    """Those of 2,000 shards take some 12 MiB."""

    def figures() -> Statistics:
        return Statistics({}, {}, {str(i + 1000): 9 for i in range(90)}, {}, 1.0)

    folded(summary(number, figures()) for number in range(300))  # imports and caches
    tracemalloc.start()
    found = folded(summary(number, figures()) for number in range(2_000))
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found[0].statistics.words["1089"] == 18_000
    assert peak < size + 3 * 2**20 < 5 * 2**20
