"""The simulator of benchmarks/scaling.py, and all that docs/scaling.md says to run."""

from __future__ import annotations

import importlib.util
import math
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from textmill.pipeline.command import cli
from textmill.pipeline.job import probe as probing
from textmill.pipeline.job.estimate import makespan
from textmill.pipeline.job.pace import measure

ROOT = Path(__file__).resolve().parents[2]


def benchmark(name: str) -> Iterator[ModuleType]:
    """Loads a script of benchmarks/, for as long as it is used."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / f"benchmarks/{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def scaling():
    yield from benchmark("scaling")


@pytest.fixture(scope="module")
def many_shards():
    yield from benchmark("many_shards")


@pytest.mark.parametrize(("shards", "workers"), [(40, 1), (40, 7), (40, 40), (3, 10)])
def test_equal_shards_and_no_losses(scaling, shards, workers):
    found = scaling.simulate([5.0] * shards, scaling.Cluster(workers=workers, start=30.0))
    assert found.seconds == 30.0 + 5.0 * math.ceil(shards / workers)
    assert sorted(found.done) == list(range(shards))
    assert (found.lost, found.wasted) == (0, 0)


def test_no_losses_is_list_scheduling(scaling):
    seconds = np.random.default_rng(3).uniform(1, 9, 200).tolist()
    found = scaling.simulate(seconds, scaling.Cluster(workers=11))
    assert found.seconds == pytest.approx(makespan(seconds, 11))


def test_shards_of_lost_workers_are_done_again(scaling):
    cluster = scaling.Cluster(workers=20, start=5.0, lost=30.0)
    found = scaling.simulate([40.0] * 500, cluster, seed=1)
    assert found.lost > 50
    assert sorted(found.done) == list(range(500))
    took = found.spans[:, 1] - found.spans[:, 0]
    assert len(took) == 500 + found.lost
    assert np.sum(np.isclose(took, 40.0)) == 500
    assert found.wasted == pytest.approx(took.sum() - 500 * 40.0)
    # Lives are exponential, so every second of work is lost with the same probability: of n
    # attempts at 40 s, exp(-40 * 30 / 3600) come to their end.
    whole = 500 / (500 + found.lost)
    assert whole == pytest.approx(math.exp(-40 * 30 / 3600), abs=0.05)


def test_no_worker_does_two_things_at_once(scaling):
    cluster = scaling.Cluster(workers=7, start=3.0, lost=20.0, slow=0.3)
    found = scaling.simulate([10.0] * 200, cluster, seed=2)
    times = np.linspace(0, found.seconds, 997)
    begins, ends = np.sort(found.spans[:, 0]), np.sort(found.spans[:, 1])
    busy = np.searchsorted(begins, times, "right") - np.searchsorted(ends, times, "right")
    assert busy.max() == 7
    assert busy.min() == 0  # before the first has started
    assert found.spans[:, 0].min() == 3.0


def test_slow_workers(scaling):
    cluster = scaling.Cluster(workers=5, slow=1.0, slowness=3.0)
    assert scaling.simulate([2.0] * 10, cluster).seconds == 12.0


def test_the_seed_decides(scaling):
    cluster = scaling.Cluster(workers=20, start=5.0, lost=10.0, slow=0.1)
    one, again, other = (scaling.simulate([40.0] * 300, cluster, seed=seed) for seed in (1, 1, 2))
    assert (one.seconds, one.done, one.wasted) == (again.seconds, again.done, again.wasted)
    assert one.done != other.done


@pytest.mark.walk
def test_the_commands_of_the_document_run(
    scaling, many_shards, model_dir, tmp_path, monkeypatch, capsys
):
    text = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    commands = [shlex.split(line) for line in "\n".join(blocks).splitlines() if line.strip()]
    (tmp_path / "headlines.txt").write_text("the old\na dog\n" * 50)
    (tmp_path / "alice").symlink_to(model_dir)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scratch").mkdir()
    short = {"seconds": 0.1, "scratch": str(tmp_path / "scratch")}
    monkeypatch.setattr(
        probing, "probe", lambda engine, trial: (measure(replace(trial, **short)), 1.0)
    )
    scripts = {"benchmarks/scaling.py": scaling, "benchmarks/many_shards.py": many_shards}
    small = {scaling: ["--texts", "2e5", "--workers", "20", "--out", "docs"],
             many_shards: ["--shards", "30", "--rows", "500", "--files", "4"]}  # fmt: skip
    seen = set()
    for words in commands:
        if words[0] == "textmill":
            assert cli.main(words[1:]) == 0
        elif words[1] in scripts:
            script = scripts[words[1]]
            script.main([*words[2:], *small[script]])
        else:
            assert (ROOT / words[1]).exists(), words
        seen.add(words[1])
        assert capsys.readouterr().out or "plan_check" in words[1]
    assert {"plan", *scripts} <= seen
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (tmp_path / "docs" / picture).read_text().startswith("<?xml")
        assert (ROOT / "docs" / picture).stat().st_size < 100_000
