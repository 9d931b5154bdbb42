"""`GenerateText` inside pipelines of others, and what Beam's metrics say."""

from __future__ import annotations

import collections
import json
import tempfile

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from sharing import generator_of

from textmill.model.errors import SettingError
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.pipeline.job import transform
from textmill.pipeline.job.transform import GenerateText
from textmill.pipeline.output.columns import columns_of, record

SETTINGS = GenerationSettings(samples=2, max_words=9)
ELEMENTS = [{"id": f"row {i}", "prompt": ["the old", "a dog", "zzz"][i % 3]} for i in range(40)]


def run(build):
    """Runs a pipeline that `build` makes; its result."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    return result


def collected(model_dir, elements, settings=SETTINGS, **more):
    """Generations and rejected records of some elements."""
    with tempfile.TemporaryDirectory() as folder:

        def build(pipeline):
            out = pipeline | beam.Create(elements) | GenerateText(str(model_dir), settings, **more)
            _ = out.generations | "Keep" >> beam.Map(keep, f"{folder}/generations")
            _ = out.rejected | "Keep rejected" >> beam.Map(keep, f"{folder}/rejected")

        result = run(build)
        return kept(f"{folder}/generations"), kept(f"{folder}/rejected"), result


def keep(row, path):
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")


def kept(path):
    try:
        with open(path) as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


@pytest.fixture(scope="module")
def expected(model_dir):
    """What the generator gives by itself."""
    prompts = [Prompt(row["id"], row["prompt"]) for row in ELEMENTS]
    columns = columns_of({}, labelled=False)
    drawn = generator_of(load_model(model_dir)).generate(prompts, SETTINGS)
    return {row["id"]: row for row in (record(generation, columns) for generation in drawn)}


@pytest.mark.parametrize("shards", [1, 7])
def test_texts_are_those_of_the_generator(model_dir, expected, monkeypatch, shards):
    monkeypatch.setattr(transform, "_MOST_TEXTS", 5)  # several pieces a shard
    generations, rejected, _ = collected(model_dir, ELEMENTS, shards=shards)
    assert rejected == []
    assert len(generations) == 80
    assert {row["id"]: row for row in generations} == expected


def test_every_element_ends_somewhere(labelled_dir):
    elements = [
        Prompt("a", "the", GenerationSettings(label="cats", max_words=3)),
        {"id": "b", "prompt": "a", "label": "birds"},
        {"prompt": "no id"},
        {"id": "c", "prompt": ""},
        {"id": "d", "prompt": "x" * 70_000},
        {"id": "e", "prompt": "a", "samples": 3, "note": {"k": 1}, "text": "mine"},
        {"id": "f", "prompt": "a", "temperature": "hot"},
        {"id": 10**5000, "prompt": "a"},
        {"id": "g", "prompt": "a", "deep": _nested(90)},
        Prompt("h", "x" * 70_000),
        Prompt(5, "x"),
    ]
    settings = GenerationSettings(label="dogs", max_words=4)
    generations, rejected, result = collected(labelled_dir, elements, settings)
    assert collections.Counter(row["id"] for row in generations) == {
        "a#1": 1, "e#1": 1, "e#2": 1, "e#3": 1
    }  # fmt: skip
    (first,) = (row for row in generations if row["id"] == "e#1")
    assert (first["label"], first["note"], first["input_text"]) == ("dogs", {"k": 1}, "mine")
    reasons = {row["id"]: row["reason"].split(".")[0] for row in rejected if row["id"]}
    others = {row["reason"].split(".")[0] for row in rejected if not row["id"]}
    assert others == {
        "no field 'id'",
        "longer than 65,536 bytes",
        "id must be a text of 1 to 500 characters",
    }
    assert reasons == {
        "b": "label must be one of the model's labels (cats, dogs)",
        "c": "empty",
        "d": "longer than 65,536 bytes",
        "f": "temperature must be 0 (greedy) or a number from 0",
        "a int that cannot be shown": "id must be a text of 1 to 500 characters",
        "g": "values nested more than 64 deep",
    }
    found = result.metrics().query(MetricsFilter().with_namespace("textmill"))
    counters = {counter.key.metric.name: counter.committed for counter in found["counters"]}
    assert counters["prompts"] == 2
    assert counters["rejected: empty"] == 1
    assert counters["samples"] == 4
    assert counters["words"] == sum(row["words"] for row in generations)
    assert counters["rejected: label must be one of the model's labels (cats, dogs)"] == 1
    spread = {one.key.metric.name: one.committed for one in found["distributions"]}
    assert spread["words_a_sample"].count == 4
    assert spread["generator_milliseconds"].sum > 0
    assert any("load_model" in name for name in spread)


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def test_values_of_python_are_carried_as_json_has_them(model_dir):
    import datetime
    import decimal

    import numpy as np

    own = {
        "when": datetime.date(2020, 1, 1), "price": decimal.Decimal("0.10"), "raw": b"x",
        "small": np.float32(0.5), "many": np.arange(2), "nan": float("nan"),
    }  # fmt: skip
    row = {"id": np.int64(7), "prompt": "the", "temperature": (0, 1), "samples": np.int64(1), **own}
    generations, rejected, _ = collected(model_dir, [row], GenerationSettings(max_words=2))
    assert rejected == []
    assert [r["id"] for r in generations] == ["7#1", "7#2"]
    assert {name: generations[0].get(name) for name in own} == {
        "when": "2020-01-01", "price": "0.10", "raw": "x", "small": 0.5, "many": [0, 1],
        "nan": None,
    }  # fmt: skip


def test_windows_stay_apart(model_dir, expected, tmp_path):
    path = str(tmp_path / "rows")

    def build(pipeline):
        stamped = [TimestampedValue(row, i) for i, row in enumerate(ELEMENTS)]
        out = (
            pipeline
            | beam.Create(stamped)
            | beam.Map(lambda stamped: stamped).with_output_types(dict[str, str])
            | beam.WindowInto(FixedWindows(10))
            | GenerateText(str(model_dir), SETTINGS)
        )
        _ = out.generations | "Keep" >> beam.Map(keep, path)

    run(build)
    assert {row["id"]: row for row in kept(path)} == expected


def test_bad_settings_are_told_before_anything_runs(model_dir, labelled_dir):
    with pytest.raises(SettingError, match="label is missing; it must be one of"):
        GenerateText(str(labelled_dir))
    with pytest.raises(SettingError, match="stop must be a word"):
        GenerateText(str(model_dir), GenerationSettings(stop=("zebra",)))
    with pytest.raises(SettingError, match="shards must be"):
        GenerateText(str(model_dir), shards=0)
    with pytest.raises(beam.typehints.TypeCheckError):
        _ = beam.Pipeline() | beam.Create([1, 2]) | GenerateText(str(model_dir))
