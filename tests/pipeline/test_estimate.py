"""`textmill plan`: its counts are the run's, its arithmetic that of brute force."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textmill.model.errors import SettingError, TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.command.cli import main
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.job import probe as probing
from textmill.pipeline.job.estimate import estimate, makespan, shard_seconds
from textmill.pipeline.job.generate import generate
from textmill.pipeline.job.pace import Pace
from textmill.pipeline.prompts import planning as prompts
from textmill.pipeline.prompts.planning import even_shards, plan, shard_words

IN_PROCESS = Launch(runner_flags=("--runner=FnApiRunner",))
PACE = Pace(
    load=10.0, idle=1.0, word=0.01, drawn=0.5, kept=0.75, rejected=0.25, spread=0.0,
    memory=2**30, texts=10.0, text=2**20, took=15.0,
)  # fmt: skip


@pytest.fixture
def fixed(monkeypatch):
    """A measurement that is known; what it was asked for."""
    asked = {}

    def measured(engine, trial):
        asked.update(vars(trial), engine=engine.name)
        return PACE, 5.0

    monkeypatch.setattr(probing, "probe", measured)
    return asked


@pytest.fixture
def prompt_file(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("the old\na dog\n" * 500)
    return str(path)


# -- arithmetic ------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.1, 100), max_size=60), st.integers(1, 9))
def test_makespan_against_brute_force(seconds, workers):
    free = [0.0] * workers
    for shard in seconds:
        first = min(range(workers), key=free.__getitem__)
        free[first] += shard
    assert makespan(seconds, workers) == max(free)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 3))
def test_makespan_beside_the_best_there_is(seconds, workers):
    best = min(
        max(sum(s for s, w in zip(seconds, chosen, strict=True) if w == i) for i in range(workers))
        for chosen in itertools.product(range(workers), repeat=len(seconds))
    )
    assert best <= makespan(seconds, workers) <= (2 - 1 / workers) * best


def test_equal_shards_are_whole_units():
    for shards, workers in ((40, 1), (40, 7), (40, 40), (3, 10)):
        assert makespan([2.0] * shards, workers) == 2.0 * math.ceil(shards / workers)
    assert makespan([], 3) == 0


def test_shards_have_the_measured_spread():
    spread = Pace(**{**vars(PACE), "spread": 0.3})
    found = shard_seconds([1000] * 20_000, spread) - spread.idle
    assert found.mean() == pytest.approx(10, rel=0.01)
    assert found.std() == pytest.approx(3, rel=0.03)
    assert found.min() > 0
    assert shard_seconds([100, 200], PACE).tolist() == [2.0, 3.0]
    assert (shard_seconds([5] * 9, spread) == shard_seconds([5] * 9, spread)).all()


# -- the planner's words, texts and rule -----------------------------------------------------------

OBJECTS = [
    {"prompt": "a"},
    {"prompt": "b", "samples": 3},
    {"prompt": "c", "max_words": 7, "temperature": [0.5, 1.0, 2.0]},
    {"prompt": "d", "temperature": 0.7, "samples": 2, "max_words": 30},
    {"prompt": "e", "samples": None},
]
TEXTS, WORDS = [4, 6, 6, 2, 4], [40, 60, 42, 60, 40]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_settings_of_rows_are_counted(tmp_path, ending):
    settings = GenerationSettings(samples=2, temperatures=(0.5, 1.0), max_words=10)
    path = tmp_path / f"p.{ending}"
    objects, texts, words = OBJECTS, TEXTS, WORDS
    if ending == "csv":  # which has no lists
        objects = [{**row, "temperature": 0.5} if "temperature" in row else row for row in OBJECTS]
        texts, words = [4, 6, 2, 2, 4], [40, 60, 14, 60, 40]
        names = ("prompt", "samples", "max_words", "temperature")
        lines = [names, *([row.get(name) or "" for name in names] for row in objects * 90)]
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    elif ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in objects * 90))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        lists = [
            {**row, "temperature": row["temperature"] if isinstance(row["temperature"], list)
             else [row["temperature"]]} if "temperature" in row else row
            for row in objects
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist([{**dict.fromkeys(OBJECTS[2]), "samples": None, **row}
                                             for row in lists * 90]), path)  # fmt: skip
    planned = plan([str(path)], settings)
    assert planned.texts == sum(texts) * 90
    first = 0
    for shard, found in zip(planned.shards, planned.words, strict=True):
        assert found == sum(words[i % 5] for i in range(first, first + shard.rows))
        first += shard.rows
    assert len(planned.shards) > 10


def test_nonsense_asks_for_nothing(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    samples = [math.nan, -1.0, math.inf, 2.0]
    pq.write_table(pa.table({"prompt": ["a"] * 4, "samples": samples}), tmp_path / "p.parquet")
    planned = plan([str(tmp_path / "p.parquet")], GenerationSettings(max_words=10))
    assert planned.rows == 4
    assert planned.texts == 100_000 + 2  # no prompt has more texts than that
    assert sum(planned.words) == 1 + 1 + 1_000_000 + 20


@pytest.mark.parametrize(
    ("total", "words"),
    [
        (20_000, 1_000),
        (196_341, 4_908),
        (8_000_000, 200_000),
        (60_000_000, 200_000),
        (2_000_000_000, 200_000),
        (4_000_000_000, 400_000),
        (50_000_000_000, 1_000_000),
        (10**13, 1_000_000),
    ],
)
def test_words_of_a_shard(total, words):
    assert shard_words(total) == words


@pytest.mark.parametrize("marks", [1 << 16, 40])
@pytest.mark.parametrize("rows", [1, 30, 999, 20_000])
def test_even_shards_are_the_planner_s(tmp_path, monkeypatch, rows, marks):
    monkeypatch.setattr(prompts, "MOST_MARKS", marks)
    monkeypatch.setattr(prompts, "LEAST_MARKS", 1)
    (tmp_path / "p.txt").write_text("p\n" * rows)
    planned = plan([str(tmp_path / "p.txt")], GenerationSettings(max_words=70, samples=3))
    assert even_shards(rows, rows * 210) == list(planned.words)


def test_a_billion_texts_are_shards_of_less_than_a_million_words():
    words = even_shards(10**9, 50 * 10**9)
    assert sum(words) == 50 * 10**9
    assert 50_000 <= len(words) <= 65_536
    assert max(words) <= 1_000_000


# -- the estimate ----------------------------------------------------------------------------------


def test_counts_are_those_of_the_run(model_dir, tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({**row, "prompt": "the old"}) + "\n" for row in OBJECTS * 9))
    settings = GenerationSettings(temperatures=(0.5, 1.0), max_words=40)
    found = estimate(
        str(model_dir), prompts=[str(path)], settings=settings, workers=[1, 2, 500], seconds=0,
        launch=IN_PROCESS, scratch=str(tmp_path / "scratch"),
    )  # fmt: skip
    assert not (tmp_path / "scratch").exists()
    outcome = generate(
        str(model_dir), prompts=[str(path)], out=str(tmp_path / "out"), settings=settings,
        launch=IN_PROCESS,
    )  # fmt: skip
    counts = outcome.manifest["counts"]
    assert found["rows"] == counts["rows"]
    assert found["texts"] == counts["records"]
    assert found["shards"] == len(outcome.manifest["shards"]) > 1
    assert found["words"] == pytest.approx(counts["words"], rel=0.2)
    assert found["rejected_share"] == 0
    worker = found["worker"]
    assert worker["words_a_second"] > 0
    assert worker["load_seconds"] > 0
    assert found["engine"] == "FnApiRunner"
    assert worker["memory_bytes"] > 100 * 2**20  # TensorFlow alone is more
    one, two, many = found["workers"]
    assert one["seconds"] >= two["seconds"] >= many["seconds"]
    assert "cost" not in one


def test_rejected_rows_are_measured(model_dir, tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("the old\n\n" * 100)
    found = estimate(
        str(model_dir), prompts=[str(path)], settings=GenerationSettings(max_words=3), seconds=0,
        launch=IN_PROCESS,
    )  # fmt: skip
    assert found["rows"] == 200
    assert found["texts"] == pytest.approx(100, rel=0.3)
    assert found["rejected_share"] == pytest.approx(0.5, abs=0.15)
    path.write_text("\n" * 9)
    with pytest.raises(TextmillError, match="none of 9 rows looked at can be used: empty"):
        estimate(
            str(model_dir), prompts=[str(path)], settings=GenerationSettings(), seconds=0,
            launch=IN_PROCESS,
        )  # fmt: skip


def test_time_memory_and_cost(model_dir, prompt_file, fixed, capsys):
    arguments = ["plan", str(model_dir), "--prompts", prompt_file, "--max-words", "8", "--json",
                 "--samples", "5", "--workers", "1", "7", "100", "--price", "3.6"]  # fmt: skip
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 1000
    assert found["texts"] == 3750
    assert found["words"] == 20_000
    assert found["shards"] == 40
    assert fixed["texts"] == 125
    assert found["worker"]["memory_bytes"] == 2**30 + 115 * 2**20
    for row in found["workers"]:
        paid = 15.0 + 11.0 * math.ceil(40 / row["workers"])
        assert row["seconds"] == pytest.approx(found["launch_seconds"] + paid, abs=0.1)
        assert row["cost"] == pytest.approx(3.6 * row["workers"] * paid / 3600, rel=0.01)
        assert row["memory_bytes"] == row["workers"] * found["worker"]["memory_bytes"]
    assert found["workers"][2]["shards_a_worker"] == 1
    assert (found["engine"], found["engine_seconds"]) == ("LocalRunner", 5.0)
    assert found["worker"]["load_seconds"] == PACE.load


def test_the_table(model_dir, prompt_file, fixed, capsys):
    arguments = ["plan", str(model_dir), "--prompts", prompt_file]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "cost" not in printed
    assert "1,000" in printed
    assert printed.count("│") >= 70
    assert main([*arguments, "--price", "0.5", "--workers", "3"]) == 0
    assert "cost" in capsys.readouterr().out


def test_more_rows_than_there_are(model_dir, prompt_file, fixed):
    def planned(**more):
        return estimate(
            str(model_dir), prompts=[prompt_file], settings=GenerationSettings(max_words=8), **more
        )

    few, many = planned(), planned(rows=1_000_000_000)
    assert planned(rows=1000)["shards"] == few["shards"]
    assert many["texts"] == few["texts"] * 1_000_000
    assert many["words"] == few["words"] * 1_000_000
    assert 8_000_000_000 / 800_000 <= many["shards"] <= 65_536


def test_a_worker_of_its_own_measures(model_dir, prompt_file):
    found = estimate(
        str(model_dir), prompts=[prompt_file], settings=GenerationSettings(max_words=3), seconds=0
    )
    assert found["engine"] == "LocalRunner"
    assert found["engine_seconds"] > 0  # an interpreter that loads Beam
    assert found["launch_seconds"] < found["workers"][0]["seconds"]


def test_a_folder_that_holds_something_is_not_removed(model_dir, prompt_file, tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "mine").write_text("mine")
    with pytest.raises(TextmillError, match="scratch holds files"):
        estimate(
            str(model_dir), prompts=[prompt_file], settings=GenerationSettings(),
            launch=IN_PROCESS, scratch=str(tmp_path / "scratch"),
        )  # fmt: skip
    assert (tmp_path / "scratch" / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--runner=PortableRunner"], "a plan for PortableRunner needs --scratch DIR"),
        (["--runer=PortableRunner"], "Beam has no flag --runer"),
    ],
)
def test_plans_for_engines(model_dir, prompt_file, fixed, capsys, flags, says):
    assert main(["plan", str(model_dir), "--prompts", prompt_file, "--", *flags]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--workers", "0"], "--workers must be whole numbers from 1 to 100,000. Received: 0"),
        (["--price", "-1"], "--price must be a number of at least 0"),
        (["--price", "nan"], "--price must be a number of at least 0"),
        (["--rows", "0"], "--rows must be a whole number from 1 to 10^12. Received: 0"),
        (["--max-words", "0"], "--max-words must be"),
        (["--stop", "zebra"], "zebra"),
    ],
)
def test_errors(model_dir, prompt_file, fixed, capsys, options, says):
    assert main(["plan", str(model_dir), "--prompts", prompt_file, *options]) == 2
    assert says in capsys.readouterr().err


def test_nothing_to_plan(model_dir, tmp_path, prompt_file, capsys):
    assert main(["plan", str(tmp_path / "none"), "--prompts", prompt_file]) == 1
    assert "none" in capsys.readouterr().err
    assert main(["plan", str(model_dir), "--prompts", str(tmp_path / "*.csv")]) == 1
    assert "no file matches" in capsys.readouterr().err
    with pytest.raises(SettingError, match="workers"):
        estimate("x", prompts=["x"], settings=GenerationSettings(), workers=[100_001])
