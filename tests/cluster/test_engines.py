"""The same job on every engine that can be had here: the same bytes.

Run by `make test-cluster`, which prints a table of the engines. `make cluster-tools` gets Prism and
Spark. Spark, Dask and Dataflow have tests of their own beside this one.
"""

from __future__ import annotations

import pytest
from clusters import by_flags, flink, job_service, prism, prism_binary
from runs import contents, run

from textmill.pipeline.job.verify import verify

pytestmark = pytest.mark.cluster

WORDS = 20
ENGINES = {
    "local, 1 worker": lambda folder: by_flags("--direct_num_workers=1"),
    "DirectRunner, no Prism": lambda folder: by_flags(
        "--runner=DirectRunner", "--prism_location=none"
    ),
    "DirectRunner, Prism": lambda folder: by_flags(
        "--runner=DirectRunner", f"--prism_location={prism_binary()}"
    ),
    "PrismRunner": lambda folder: by_flags(
        "--runner=PrismRunner", f"--prism_location={prism_binary()}"
    ),
    "Prism, external workers": prism,
    "job service, external workers": job_service,
    "Flink, 2 task managers": flink,
}


@pytest.fixture(scope="module")
def reference(job, told_of_engine, tmp_path_factory) -> dict[str, bytes]:
    """What textmill's own local runner writes with two workers."""
    out = tmp_path_factory.mktemp("reference") / "out"
    told = run(job, out, "--direct_num_workers=2", words=WORDS)
    assert verify(str(out)).problems == []
    told_of_engine("local, 2 workers", told, True, "make fault-test")
    return contents(out)


# Beside other work these take long, or are much like others.
_LATER = ("DirectRunner, Prism", "job service, external workers")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.trial] * (name in _LATER)) for name in ENGINES],
)
def test_the_same_bytes(job, reference, told_of_engine, tmp_path, name):
    with ENGINES[name](tmp_path) as cluster:
        told = run(job, tmp_path / "out", *cluster.flags, words=WORDS)
    same = contents(tmp_path / "out") == reference
    told_of_engine(name, told, same, "")
    assert same
