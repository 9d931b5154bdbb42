"""Rows whose numbers or source a text starts from: in each format, in a job, in Python."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas
import pytest
from test_pipeline import contents, records, run

import textmill
from textmill.model.errors import TextmillError, UsageError
from textmill.model.network.directory import load_model, save_model
from textmill.model.settings import GenerationSettings
from textmill.pipeline.command.play import Player
from textmill.pipeline.prompts.picking import first_rows, named_row
from textmill.pipeline.prompts.reading import InputSettings

WORDS = [f"w{i}" for i in range(30)]
SETTINGS = GenerationSettings(max_words=6, samples=2)


@pytest.fixture(scope="module")
def models(make_model, tmp_path_factory):
    """Directories of models that start from a list, from two columns, and from a source."""
    made = {
        "list": make_model(WORDS, columns=("f",), numbers=3, mode="lines"),
        "columns": make_model(
            WORDS, columns=("p", "q"), numbers=2, labels=("x", "y"), mode="lines"
        ),
        "source": make_model(WORDS, source=["s1", "s2"], attention=True, mode="lines"),
    }
    folder = tmp_path_factory.mktemp("models")
    for name, model in made.items():
        save_model(folder / name, model, card="")
    return folder


def written(path, rows):
    if path.suffix == ".parquet":
        pandas.DataFrame(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pandas.DataFrame(rows).to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def texts(out):
    return {row["id"].split(":")[-1]: row["text"] for row in records(out)}


def test_each_format_gives_the_same_texts(models, tmp_path):
    rows = [
        {"id": f"{i}", "p": i / 3, "q": -i, "label": "xy"[i % 2], "note": f"n{i}"}
        for i in range(40)
    ]
    found = {}
    for ending in ("jsonl", "csv", "tsv", "parquet"):
        path = written(tmp_path / f"p.{ending}", rows)
        run(models / "columns", path, tmp_path / ending,
            settings=replace(SETTINGS, label="x"))  # fmt: skip
        found[ending] = texts(tmp_path / ending)
        (first, *_) = records(tmp_path / ending)
        assert first["note"].startswith("n")
        assert not {"p", "q"} & set(first)
    assert len(set(found["jsonl"].values())) > 10
    assert found["csv"] == found["tsv"] == found["jsonl"]
    assert found["parquet"] == found["jsonl"]


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_rows_that_cannot_be_used(models, tmp_path, ending):
    rows = [
        {"f": [1.0, 2.0, 3.0], "prompt": "w1"},
        {"f": [1.0, 2.0], "prompt": None},
        {"f": None},
        {"f": [1.0, None, 3.0]},
        {"f": [1.0, 2.0, 1e38]},
        {"f": [0.5, 0.5, 0.5], "prompt": ""},
        {"f": []},
    ]
    if ending == "jsonl":
        rows += [{"f": "1 2 3"}, {"f": [1, 2, "3"]}, {"f": 4}, {"f": [1, 2, 1e39]}, {"g": 1}]
    path = written(tmp_path / f"p.{ending}", rows)
    run(models / "list", path, tmp_path / "o", settings=SETTINGS)
    assert {name.split("#")[0] for name in texts(tmp_path / "o")} == {"1", "6"}
    reasons = {row["line"]: row["reason"] for row in records(tmp_path / "o", "rejected/*.jsonl")}
    assert len(reasons) == len(rows) - 2
    assert reasons[2] == "context must be 3 numbers. Received: '2 numbers'"
    assert reasons[3].startswith("no field 'f', which holds what texts start from")
    assert reasons[5].startswith("context must be within 1,000,000 standard deviations")
    assert reasons[7] == "f must have numbers. Received: an empty list"
    if ending == "jsonl":
        assert reasons[4] == "f must be finite numbers of 32 bits. Received: null"
        assert reasons[8] == "f must be finite numbers of 32 bits. Received: '1 2 3'"
        assert reasons[10] == "context must be 3 numbers. Received: '1 numbers'"


def test_cells_that_are_no_numbers(models, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("p,q,label\n1,2,x\n1,,x\n1,two,y\n1,nan,y\n 1 , 2 ,x\n")
    run(models / "columns", path, tmp_path / "o", settings=replace(SETTINGS, label="y"))
    assert {name.split("#")[0] for name in texts(tmp_path / "o")} == {"1", "5"}
    reasons = [row["reason"] for row in records(tmp_path / "o", "rejected/*.jsonl")]
    assert reasons == [
        "no field 'q', which holds what texts start from. Found: 'p, label'",
        "q must be finite numbers of 32 bits. Received: 'two'",
        "q must be finite numbers of 32 bits. Received: 'nan'",
    ]


@pytest.mark.parametrize(
    ("model", "name", "content", "message"),
    [
        (
            "list",
            "p.txt",
            "w1\n",
            "p.txt holds lines of text, and the model starts its texts from f",
        ),
        (
            "source",
            "p.txt",
            "w1\n",
            "starts its texts from source; give rows with that in a .jsonl",
        ),
        (
            "columns",
            "p.csv",
            "p,label\n1,x\n",
            "no column named 'q'. .* starts its texts from what",
        ),
        ("source", "p.csv", "prompt\nw1\n", "no column named 'source'"),
        ("list", "p.jsonl", '{"prompt": "w1"}\n', "no column named 'f'"),
        ("columns", "p.csv", "p,q,q\n1,2,3\n", "the column 'q' stands there twice"),
    ],
)
def test_files_that_cannot_be_used(models, tmp_path, model, name, content, message):
    (tmp_path / name).write_text(content)
    settings = replace(SETTINGS, label="x" if model == "columns" else None)
    with pytest.raises(TextmillError, match=message):
        run(models / model, tmp_path / name, tmp_path / "o", settings=settings)


def test_a_source_in_a_job(models, tmp_path):
    rows = [
        {"source": "s1 s2", "k": 1}, {"source": "s2", "prompt": "w3"}, {"source": " "},
        {"source": 5}, {"source": "s1 " * 40}, {"prompt": "w1"}, {"source": "s1 s2", "k": 2},
    ]  # fmt: skip
    path = written(tmp_path / "p.jsonl", rows)
    run(models / "source", path, tmp_path / "o", settings=SETTINGS)
    found = list(records(tmp_path / "o"))
    assert {row["id"].split(":")[1] for row in found} == {
        f"{i}#{n}" for i in (1, 2, 7) for n in (1, 2)
    }
    assert {row["source"] for row in found} == {"s1 s2", "s2"}
    reasons = [row["reason"] for row in records(tmp_path / "o", "rejected/*.jsonl")]
    assert reasons == [
        "source is empty",
        "source must be a text. Received: 5",
        "source must be a text of 1 to 12 words. Received: '40 words'",
        "no field 'source', which the model writes from. Found: 'prompt'",
    ]


def test_strict_knows_what_texts_start_from(models, tmp_path):
    for model, row in (("list", {"f": [1, 2, 3]}), ("source", {"source": "s1"})):
        path = written(tmp_path / f"{model}.jsonl", [row, {**row, "strange": 1}])
        run(models / model, path, tmp_path / model, settings=SETTINGS,
            reading=InputSettings(strict=True))  # fmt: skip
        assert {name.split("#")[0] for name in texts(tmp_path / model)} == {"1"}


@pytest.mark.parametrize(
    ("model", "beams"), [("source", 3), pytest.param("list", 0, marks=pytest.mark.long)]
)
def test_workers_and_resume_change_no_byte(models, tmp_path, model, beams):
    random = np.random.default_rng(0)
    sources = [" ".join(random.choice(["s1", "s2"], 1 + i % 5)) for i in range(200)]
    rows = [{"f": random.normal(size=3).tolist(), "source": source} for source in sources]
    path = written(tmp_path / "p.jsonl", rows)
    settings = replace(SETTINGS, beams=beams)
    run(models / model, path, tmp_path / "one", settings=settings)
    run(models / model, path, tmp_path / "two", settings=settings, flags=(), workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    shards = sorted((tmp_path / "two").glob("shard-*"))
    assert len(shards) > 2
    (tmp_path / "two" / "manifest.json").unlink()
    shards[1].unlink()
    run(models / model, path, tmp_path / "two", settings=settings, resume=True)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    first = next(iter(records(tmp_path / "one")))
    assert ("score" in first) == bool(beams)


def test_python_gives_the_texts_of_a_job(models, tmp_path):
    rows = [{"id": f"{i}", "p": i, "q": i / 7, "label": "xy"[i % 2]} for i in range(6)]
    path = written(tmp_path / "p.jsonl", rows)
    run(models / "columns", path, tmp_path / "o", settings=replace(SETTINGS, label="x"))
    found = {row["id"]: row["text"] for row in records(tmp_path / "o")}
    with textmill.load(models / "columns") as model:
        for given in (rows, pandas.DataFrame(rows)):
            made = model.generate(given, label="x", samples=2, max_words=6)
            assert {g.record()["id"]: g.text for g in made} == found
        own = [textmill.Prompt("1", "", context=[1, 1 / 7])]
        assert model.generate(own, label="y", samples=2, max_words=6)[0].text == found["1#1"]
        scores = model.score(["w1", "w2"], label="x", context=[[1.0, 2.0], [3.0, 4.0]])
        assert model.score("w2", label="x", context=[3.0, 4.0]) == scores[1:]
        assert model.next_words("w1", label="x", context=[1.0, 2.0], k=2)[0][1] > 0
        with pytest.raises(UsageError, match="row 1 is no prompt: no field 'q'"):
            model.generate([{"p": 1}], label="x")
        with pytest.raises(UsageError, match="context is missing"):
            model.generate("w1", label="x")


def test_generate_text_in_a_pipeline(models):
    from test_transform import collected

    rows = [{"id": f"{i}", "f": [i, 0.5, -i]} for i in range(5)]
    elements = [*rows, {"id": "bad", "f": [1]}, {"id": "none"}]
    found, rejected, _ = collected(models / "list", elements, SETTINGS)
    with textmill.load(models / "list") as model:
        expected = {g.record()["id"]: g.text for g in model.generate(rows, samples=2, max_words=6)}
    assert {row["id"]: row["text"] for row in found} == expected
    assert {row["id"] for row in rejected} == {"bad", "none"}


# -- single rows -----------------------------------------------------------------------------------


def test_a_row_is_picked(models, tmp_path):
    rows = [{"f": [i, i, i], "prompt": f"w{i}"} for i in range(1, 8)]
    path = written(tmp_path / "p.jsonl", [*rows, {"f": [1]}, {"g": 1}])
    model = load_model(models / "list")
    prompt = named_row(f"{path}:3", model, SETTINGS)
    assert (prompt.id, prompt.text, list(prompt.context)) == ("p.jsonl:3", "w3", [3, 3, 3])
    assert len(first_rows(str(path), model)) == 8
    for named, message in (
        (f"{path}", "row must be a file and a row's number"),
        (f"{path}:0", "row must be a number from 1 to 9"),
        (f"{path}:9", "row 9 of p.jsonl is no prompt: no field 'f'"),
    ):
        with pytest.raises(UsageError, match=message):
            named_row(named, model, SETTINGS)


def test_the_playground_starts_from_rows(models, tmp_path):
    path = written(tmp_path / "p.jsonl", [{"f": [9, -9, 9]}, {"f": [-9, 9, -9], "prompt": "w1"}])
    model = load_model(models / "list")
    with pytest.raises(UsageError, match="--rows FILE names a file of rows with f"):
        Player(model)
    player = Player(model, rows=first_rows(str(path), model))
    first, second = (player.next_words("", GenerationSettings(), player.start(i)) for i in (0, 1))
    assert first["words"] != second["words"]
    assert player.text("w1", GenerationSettings(max_words=6), player.start(1))["text"]
    for wrong in (2, -1, "1", True):
        with pytest.raises(UsageError, match="row must be a whole number from 0 to 1"):
            player.start(wrong)
