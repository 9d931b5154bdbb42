"""The command: its statuses, its one-line errors, and what it does not load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from outputs import generation, write_output

from textmill.pipeline.command.cli import main

HEAVY = {"tensorflow", "keras", "apache_beam", "numpy", "rich", "jax"}


@pytest.mark.parametrize("arguments", [["--help"], ["augment", "--help"], ["train", "--nope"]])
def test_help_and_wrong_use_load_nothing_heavy(arguments):
    code = (
        "import sys; from textmill.pipeline.command.cli import main; main(sys.argv[1:]);"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_report_loads_no_network():
    code = (
        "import sys, textmill.pipeline.report.report;"
        "print(*{'tensorflow', 'keras'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def fails(capsys, arguments, status, *messages):
    """The command ends with a status and one line that says all of this."""
    assert main([str(a) for a in arguments]) == status
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if "error:" in line]
    assert len(errors) == 1, captured.err
    assert "Traceback" not in captured.err
    for message in messages:
        assert message in errors[0]


@pytest.fixture
def files(tmp_path, model_dir):
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "few.txt").write_text("only a few words")
    (tmp_path / "less.txt").write_text("word " * 500)
    (tmp_path / "long.txt").write_text("word " * 3000)
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "latin.txt").write_bytes("für ".encode("latin-1") * 500)
    (tmp_path / "p.txt").write_text("the old\n")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").write_text("")
    cut = shutil.copytree(model_dir, tmp_path / "cut")
    (cut / "weights.safetensors").write_bytes((cut / "weights.safetensors").read_bytes()[:1000])
    newer = shutil.copytree(model_dir, tmp_path / "newer")
    index = json.loads((newer / "model.json").read_text())
    (newer / "model.json").write_text(json.dumps({**index, "format": 99}))
    shutil.copytree(model_dir, tmp_path / "whole")
    return tmp_path


BAD_TRAINING = {
    "missing file": (["nothing.txt", "--out", "m"], 1, ["nothing.txt", "check the path"]),
    "no match": (["*.md", "--out", "m"], 1, ["no file matches '*.md'"]),
    "folder": (["taken", "--out", "m"], 1, ["taken is a folder"]),
    "empty": (["empty.txt", "--out", "m"], 1, ["corpus is empty", "empty.txt"]),
    "few": (["few.txt", "--out", "m"], 1, ["only 5 words", "add text"]),
    "less than a batch": (["less.txt", "--out", "m"], 1, ["one batch of 32 x 32", "add text"]),
    "binary": (["binary.bin", "--out", "m"], 1, ["binary.bin looks like a binary file"]),
    "encoding": (["latin.txt", "--out", "m"], 1, ["latin.txt", "at byte 1", "--encoding"]),
    "no encoding": (["p.txt", "--out", "m", "--encoding", "x"], 2, ["--encoding"]),
    "taken": (["p.txt", "--out", "taken"], 1, ["taken already exists"]),
    "no out": (["p.txt"], 2, ["--out"]),
    "unknown flag": (["p.txt", "--out", "m", "--epoch", "3"], 2, ["--epoch"]),
    "minutes": (["p.txt", "--out", "m", "--minutes", "0"], 2, ["--minutes must be", "Received: 0"]),
    "level": (["p.txt", "--out", "m", "--level", "x"], 2, ["--level"]),
    "no table": (["p.txt", "--out", "m", "--labels", "1", "--text", "2"], 1, ["p.txt", ".csv"]),
    "labels need lines": (
        ["p.txt", "--out", "m", "--labels", "a", "--mode", "stream"], 2, ["--mode lines"],
    ),
    "table": (["rows.tsv", "--out", "m"], 2, ["rows.tsv is a table", "--text"]),
    "no word": (["less.txt", "--out", "m", "--min-count", "999"], 1, ["--min-count"]),
    "no column": (["p.txt", "--out", "m", "--labels", "1", "--text", "²"], 1, ["p.txt"]),
    "tensorboard": (["long.txt", "--out", "m", "--tensorboard", "p.txt/x"], 1, ["p.txt/x"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_TRAINING)
def test_bad_training(name, files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    arguments, status, messages = BAD_TRAINING[name]
    fails(capsys, ["train", *arguments], status, *messages)
    assert not (files / "m").exists()


ASK = ["--prompts", "p.txt", "--out", "o"]
BAD_GENERATION = {
    "no model": (["nothing", *ASK], 1, ["there is no model directory 'nothing'"]),
    "foreign model": (["taken", *ASK], 1, ["taken is no textmill model"]),
    "cut model": (["cut", *ASK], 1, ["cut/weights.safetensors is damaged"]),
    "newer model": (["newer", *ASK], 1, ["newer/model.json is of format 99", "newer textmill"]),
    "no prompts": (["whole", "--prompts", "q*", "--out", "o"], 1, ["no file matches 'q*'"]),
    "taken": (["whole", "--prompts", "p.txt", "--out", "taken"], 1, ["taken already exists"]),
    "temperature": (["whole", *ASK, "-t", "-1"], 2, ["--temperature must be 0 (greedy)", "-1"]),
    "nan": (["whole", *ASK, "--temperature", "nan"], 2, ["--temperature must be", "nan"]),
    "hot": (["whole", *ASK, "--temperature", "hot"], 2, ["temperature", "hot"]),
    "top-p 0": (["whole", *ASK, "--top-p", "0"], 2, ["--top-p must be a number in (0, 1]", "0"]),
    "top-p 2": (["whole", *ASK, "--top-p", "2"], 2, ["--top-p must be", "2"]),
    "stop": (["whole", *ASK, "--stop", "zebra"], 2, ["--stop must be a word", "zebra"]),
    "ban": (["whole", *ASK, "--ban", "zebra"], 2, ["--ban must be a word", "zebra"]),
    "penalty": (
        ["whole", *ASK, "--repetition-penalty", "0.5"],
        2,
        ["--repetition-penalty must be a number from 1 (off) to 10", "0.5"],
    ),
    "ngram": (
        ["whole", *ASK, "--no-repeat-ngram", "-2"],
        2,
        ["--no-repeat-ngram must be a whole number from 0 to 100", "-2"],
    ),
    "label": (["whole", *ASK, "--label", "x"], 2, ["--label must be left out"]),
    "workers": (["whole", *ASK, "--workers", "0"], 2, ["--workers must be"]),
    "rejected": (["whole", *ASK, "--max-rejected", "2"], 2, ["--max-rejected must be"]),
    "unknown flag": (["whole", *ASK, "--sample", "3"], 2, ["--sample"]),
    "unknown runner flag": (["whole", *ASK, "--", "--runnr=X"], 2, ["Beam has no flag --runnr"]),
    "workers and runner": (
        ["whole", *ASK, "--workers", "2", "--", "--runner=DirectRunner"],
        2,
        ["--workers is for local runs"],
    ),
    "options that do not fit": (
        ["whole", *ASK, "--", "--type_check_additional=zz"],
        2,
        ["after --", "type_check"],
    ),
    "huge top-k": (["whole", *ASK, "--top-k", "3000000000"], 2, ["--top-k must be"]),
    "long name": (
        ["whole", "--prompts", "p.txt", "--out", "a" * 300],
        1,
        ["File name too long"],
    ),
    "unknown runner": (["whole", *ASK, "--", "--runner=Nope"], 2, ["Nope"]),
}


@pytest.mark.parametrize("name", BAD_GENERATION)
def test_bad_generation(name, files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    arguments, status, messages = BAD_GENERATION[name]
    fails(capsys, ["generate", *arguments], status, *messages)
    assert not (files / "o").exists()


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_other_commands_check_their_model(command, files, capsys):
    fails(
        capsys, [command, files / "cut", files / "p.txt"], 1, "cut/weights.safetensors is damaged"
    )


def test_baselines_are_not_tested_on_what_they_saw(model_dir, book, capsys):
    arguments = ["evaluate", model_dir, book, "--baselines", "--part", "train"]
    fails(capsys, arguments, 2, "--part train", "use test or valid")


def test_arguments_that_are_no_unicode(model_dir, capsys):
    fails(capsys, ["sample", model_dir, "caf\udce9"], 1, "cannot be written in utf-8")


def test_a_full_output(tmp_path):
    """`main` flushes the output, so that it can still report a full disk."""
    write_output(tmp_path / "o", [generation("p:1", 1, "the cat", 1.0)])
    (tmp_path / "o" / "stranger").touch()
    command = [sys.executable, "-m", "textmill", "verify", str(tmp_path / "o"), "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == ("textmill: error: the output: No space left on device")


def test_too_many_rejected_rows(files, capsys):
    (files / "bad.txt").write_text("the\n\n\n")
    flags = ["--max-words", "3", "--", "--runner=FnApiRunner"]
    arguments = ["generate", files / "whole", "--prompts", files / "bad.txt", "--out", files / "o"]
    fails(capsys, [*arguments, "--quiet", *flags], 3, "2 of 3 rows were rejected", "o/rejected")
    assert (files / "o" / "manifest.json").exists()


def test_read_only_places(files, capsys):
    # A file in the path stands for a read-only place: root may write to those.
    fails(
        capsys,
        ["generate", files / "whole", "--prompts", files / "p.txt", "--out", files / "p.txt" / "o"],
        1,
        "cannot write",
    )


@pytest.mark.long
def test_the_whole_path(book, tmp_path, capsys):
    model, out = str(tmp_path / "m"), str(tmp_path / "o")
    train = ["train", str(book), "--out", model, "--preset", "tiny", "--epochs", "6", "--json"]
    assert main(train) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["epochs"] == 6
    assert main(["evaluate", model, str(book), "--json", "--baselines"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["part"] == "test"
    assert result["own_corpus"]
    assert result["perplexity"] == pytest.approx(metrics["test_perplexity"], rel=1e-3)
    assert result["kneser_ney_5gram_perplexity"] < result["unigram_perplexity"]
    assert main(["sample", model, "the old", "-n", "3", "-t", "0.7", "--max-words", "5"]) == 0
    assert [line[:7] for line in capsys.readouterr().out.splitlines()] == ["the old"] * 3
    assert main(["sample", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "#1"
    (tmp_path / "p.txt").write_text("the old\nthe red\n")
    ask = [
        "generate",
        model,
        "--prompts",
        str(tmp_path / "p.txt"),
        "--out",
        out,
        "--json",
        "--quiet",
    ]
    assert main([*ask, "--", "--runner=FnApiRunner"]) == 0
    assert json.loads(capsys.readouterr().out)["records"] == 2


def test_evaluate_takes_other_texts(model_dir, tmp_path, capsys):
    (tmp_path / "other.txt").write_text("The old cat sat on the wet mat. Nothing else is known.")
    assert main(["evaluate", str(model_dir), str(tmp_path / "other.txt"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["part"] == "all"
    assert result["words"] == 15
    assert 0 < result["unknown_rate"] < 1


@pytest.mark.walk
def test_demo(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "textmill-demo").mkdir()
    (tmp_path / "textmill-demo" / "mine").write_text("")
    assert main(["demo", "--minutes", "0.15", "--workers", "1", "--quiet"]) == 0
    out = capsys.readouterr().out
    for said in ("Samples", "perplexity, last 5 %", "words/s", "samples", "textmill-demo-2/model"):
        assert said in out
    assert (tmp_path / "textmill-demo-2" / "generated" / "manifest.json").exists()
