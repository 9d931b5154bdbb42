"""Runs of very many shards: their names, their progress, a resume's look at what stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from textmill.pipeline.job.resumable_run import _SHARD
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
