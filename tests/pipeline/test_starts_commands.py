"""The commands on tables whose rows a text starts from: train, evaluate, sample, score, report."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from textmill.model.settings import GenerationSettings
from textmill.pipeline.command.cli import main

pytestmark = pytest.mark.long  # it trains models
COLOURS = ["red", "green", "blue", "white"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Rows whose texts follow from their numbers, and from their sources."""
    folder, random = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    rows = []
    for _ in range(300):
        first, second = random.integers(0, 4, 2)
        features = [float(first == i) + random.normal(0, 0.05) for i in range(4)]
        features += [float(second == i) + random.normal(0, 0.05) for i in range(4)]
        row = {
            "features": features, "caption": f"a {COLOURS[first]} and a {COLOURS[second]} one",
            "de": f"{'xyzw'[first]} {'xyzw'[second]}",
        }  # fmt: skip
        rows.append(row)
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def trained(tables, tmp_path_factory):
    """Models that were trained by the command."""
    folder = tmp_path_factory.mktemp("models")
    for name, columns in (
        ("numbers", ["--context", "features"]), ("source", ["--source", "de", "--attention"])
    ):  # fmt: skip
        arguments = [
            "train", str(tables), "--text", "caption", *columns, "--out", str(folder / name),
            "--preset", "tiny", "--epochs", "15", "--learning-rate", "0.01", "--dropout", "0",
            "--quiet",
        ]  # fmt: skip
        assert main(arguments) == 0
    return folder


@pytest.mark.parametrize(("name", "way"), [("numbers", []), ("source", ["--beams", "3"])])
def test_references(trained, tables, capsys, name, way):
    arguments = ["evaluate", str(trained / name), str(tables), "--references", "--json", *way]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["part"], found["texts"]) == ("test", 15)
    assert found["exact_match"] > 0.9
    assert found["bleu"] > 90
    assert found["chrf"] > 90
    assert found["length_ratio"] == pytest.approx(1, abs=0.05)
    assert found["perplexity"] < 1.6


def test_wrong_use_of_references(trained, tables, model_dir, tmp_path, capsys):
    for arguments, said in (
        ([str(trained / "source"), str(tables), "--beams", "3"], "are for --references"),
        ([str(model_dir), str(tables), "--references"], "is a table"),
    ):
        assert main(["evaluate", *arguments]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "t.txt").write_text("The old cat sat.\n" * 30)
    assert main(["evaluate", str(model_dir), str(tmp_path / "t.txt"), "--references"]) == 2
    assert "compares texts that start from a row" in capsys.readouterr().err


def test_case_may_count_as_equal(monkeypatch):
    """Figures of texts that are known, against sacrebleu and by hand."""
    from textmill.model.text.corpus import Corpus
    from textmill.pipeline.command import references

    class Writer:
        def __init__(self, model):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def each(self, prompts, settings):
            for prompt in prompts:
                yield SimpleNamespace(text=["A big  cat", "two dogs run far"][int(prompt.id)])

    monkeypatch.setattr(references, "Model", Writer)
    model = SimpleNamespace(labels=(), columns=(), source=object())
    corpus = Corpus(["a big cat", "two dogs run"], (), sources_of_texts=["x", "y"])
    found = references.compared(model, corpus, [0, 1], GenerationSettings())
    assert (found["texts"], found["exact_match"], found["length_ratio"]) == (2, 0.0, 1.1667)
    small = references.compared(model, corpus, [0, 1], GenerationSettings(), lowercase=True)
    assert small["exact_match"] == 0.5
    # 13a, lower-cased: 6 of 7 words, 4 of 5 pairs, 2 of 3 triples, 0 of 1 quadruple (smoothed).
    assert small["bleu"] == pytest.approx(100 * (6 / 7 * 4 / 5 * 2 / 3 * 1 / 2) ** 0.25, abs=0.01)
    assert found["bleu"] < small["bleu"]


@pytest.mark.parametrize("name", ["numbers", "source"])
def test_a_row_in_the_terminal_is_that_of_a_run(trained, tables, tmp_path, capsys, name):
    model, out = str(trained / name), tmp_path / "o"
    prompts = tmp_path / "p.jsonl"
    rows = [json.loads(line) for line in tables.read_text().splitlines()][:5]
    prompts.write_text(
        "".join(json.dumps({"features": r["features"], "source": r["de"]}) + "\n" for r in rows)
    )
    generate = ["generate", model, "--prompts", str(prompts), "--out", str(out), "--quiet"]
    assert main([*generate, "--", "--runner=FnApiRunner"]) == 0
    capsys.readouterr()
    made = [json.loads(line) for line in (next(out.glob("shard-*"))).read_text().splitlines()]
    assert main(["sample", model, "--row", f"{prompts}:1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["id"], found["text"]) == (made[0]["id"], made[0]["text"])
    assert main(["sample", model, "again", "--row", f"{prompts}:1"]) == 2
    assert "not both" in capsys.readouterr().err
    assert main(["sample", model, "again"]) == 2
    assert "is missing" in capsys.readouterr().err
    assert main(["verify", str(out)]) == 0
    assert main(["report", str(out)]) == 0


@pytest.mark.parametrize("name", ["numbers", "source"])
def test_scores_of_a_table(trained, tables, tmp_path, capsys, name):
    rows = [json.loads(line) for line in tables.read_text().splitlines()][:4]
    wrong = [{**row, "caption": "a green and a green one"} for row in rows]
    path = tmp_path / "t.jsonl"
    path.write_text(
        "".join(json.dumps({**row, "source": row["de"]}) + "\n" for row in [*rows, *wrong])
    )
    command = ["score", str(trained / name), str(path), "--json", "--quiet"]
    assert main([*command, "--text", "caption"]) == 0
    found = [json.loads(line)["logprob"] for line in capsys.readouterr().out.splitlines()]
    assert np.mean(found[:4]) > np.mean(found[4:])
    (tmp_path / "t.txt").write_text("a red and a blue one\n")
    assert main(["score", str(trained / name), str(tmp_path / "t.txt"), "--quiet"]) == 2
    assert "give a table with that, and --text" in capsys.readouterr().err


def test_going_on_from_it(trained, tables, tmp_path, capsys):
    for name, columns in (("numbers", ["--context", "features"]), ("source", ["--source", "de"])):
        out = str(tmp_path / name)
        arguments = [
            "train", str(tables), "--text", "caption", *columns, "--out", out, "--epochs", "1",
            "--init-from", str(trained / name), "--json", "--quiet",
        ]  # fmt: skip
        assert main(arguments) == 0
        assert json.loads(capsys.readouterr().out)["test_perplexity"] < 1.6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--context", "caption"], "context must be columns that hold nothing else"),
        (["--context", "nothing"], "no column named 'nothing'"),
        (["--attention"], "--attention looks at a source"),
        (["--context", "features", "--mode", "stream"], "tables need --mode lines"),
        (["--context", "de"], "de must be finite numbers of 32 bits. Received: '"),
    ],
)
def test_wrong_use_of_train(tables, tmp_path, capsys, arguments, said):
    train = ["train", str(tables), "--text", "caption", "--out", str(tmp_path / "m"), "--quiet"]
    assert main([*train, *arguments]) in (1, 2)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
