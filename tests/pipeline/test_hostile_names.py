"""Whatever names and texts hold, nothing of it acts on the terminal."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from argparse import Namespace
from types import SimpleNamespace

import pytest
import yaml
from outputs import generation, write_output
from rich.console import Console

from textmill.model.errors import TextmillError
from textmill.model.prompt import Generation, Prompt, Score
from textmill.model.visible import visible
from textmill.pipeline.api import console
from textmill.pipeline.api.status_line import status_line
from textmill.pipeline.command import commands
from textmill.pipeline.command.cli import main
from textmill.pipeline.command.play import page
from textmill.pipeline.job.dataset_card import dataset_card
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import FORMATS, Format

# A title of the window, a bell, markup of rich, C1's CSI, right to left, half a character.
NAME = "\x1b]0;x\x07[red]a[bold]:smile:\x9b2J\u202e\udce9\nb"
TEXT = "\x1b]0;x\x07[red]a[/red] [link=x]:smile:\x9b2J\u202e\ud800\nb"
SHOWN = visible(TEXT)


def harmless(text: str) -> str:
    """The text, in which nothing acts but line ends."""
    assert visible(text, keep="\n") == text
    return text


def said(capsys) -> str:
    captured = capsys.readouterr()
    return harmless(captured.err) + harmless(captured.out)


def failure(capsys, words: list[str], status: int = 1) -> str:
    """The one line with which a command fails."""
    assert main(words) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = harmless(captured.err).removesuffix("\n").split("\n")
    assert line.startswith("textmill")
    return line


@pytest.mark.parametrize(
    "words",
    [
        [NAME],
        ["--" + NAME],
        ["help", NAME],
        ["sample", "m", "--" + NAME],
        ["sample", "m", "--top-k", NAME],
        ["sample", "m", "--temperature", "1", "--temperature", NAME],
        ["train", "a", "--out", "m", "--level", NAME],
        ["export", "m", "--to", NAME, "--out", "o"],
        ["verify", "a", NAME],
        ["generate", "m", "--prompts", "p", "--out", "o", "--format", NAME],
        ["generate", "m", "--prompts", "p", "--out", "o", "--delimiter", NAME],
    ],
    ids=lambda words: words[0] if words[0].isalpha() else "top",
)
def test_what_was_typed_wrong(capsys, words):
    line = failure(capsys, words, status=2)
    assert "\\x1b]0;x\\x07[red]a[bold]:smile:" in line


@pytest.mark.parametrize(
    "words",
    [
        ["train", NAME, "--out", "m"],
        ["evaluate", NAME, "a"],
        ["sample", NAME],
        ["score", "m", NAME],
        ["generate", NAME, "--prompts", "p", "--out", "o"],
        ["augment", f"{NAME}.csv", "--text", "t", "--label", "l", "--out", "o.csv"],
        ["verify", NAME],
        ["report", NAME],
        ["export", NAME, "--to", "keras", "--out", "o.keras"],
        ["import", NAME, "--vocabulary", NAME, "--out", "o"],
        ["plan", NAME, "--prompts", "p"],
        ["bench", NAME],
        ["play", NAME],
    ],
    ids=lambda words: words[0],
)
def test_a_file_that_is_not_there(capsys, monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    assert "[red]a[bold]:smile:" in failure(capsys, words)


@pytest.mark.parametrize(
    "error",
    [
        TextmillError(f"a library says {TEXT}"),
        OSError(2, TEXT, NAME),
        UnicodeEncodeError("ascii", TEXT, 0, 1, "cannot"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_messages_of_libraries(capsys, monkeypatch, error):
    def fault(*_):
        raise error

    monkeypatch.setitem(commands.COMMANDS, "verify", fault)
    assert "[red]a" in failure(capsys, ["verify", "o"])


@pytest.mark.last_resort
def test_a_fault(capsys, monkeypatch, tmp_path):
    def fault(*_):
        raise ValueError(TEXT)

    monkeypatch.setitem(commands.COMMANDS, "verify", fault)
    assert "ValueError: \\x1b]0;x\\x07[red]a[/red]" in failure(capsys, ["verify", NAME])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert "ValueError: \\x1b]0;x\\x07[red]a[/red]" in failure(capsys, ["verify", NAME])


def test_interrupted_runs(capsys, monkeypatch):
    trained = Namespace(metrics={"stopped": "interrupted"})
    monkeypatch.setattr("textmill.pipeline.api.trained_model.train", lambda *_, **__: trained)
    assert main(["train", "a", "--out", NAME]) == 130
    assert "the best weights so far are in \\x1b]0;x\\x07[red]a" in said(capsys)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(commands.COMMANDS, "verify", interrupted)
    assert failure(capsys, ["verify", NAME], 130) == "textmill: error: interrupted"


# -- tables, messages, the line while one waits ----------------------------------------------------


def test_a_table(capsys):
    console.table(TEXT, [(TEXT, 1), ("a", TEXT)], head=[TEXT, "n"])
    found = said(capsys)
    assert found.startswith(f"{SHOWN}\n")
    # Folded to columns, without the frame and the spaces.
    flat = re.sub(r"[│┃\s]|[─-╿]", "", found)
    assert flat.count("[/red]") >= 3
    assert flat.count(":smile:") >= 3


def test_messages(capsys):
    report = console.TrainingReport()
    report.message(TEXT)
    console.say(console.stderr(), TEXT)
    assert said(capsys) == f"{SHOWN}\n{SHOWN}\n"


def test_messages_in_a_terminal(monkeypatch):
    seen = io.StringIO()
    monkeypatch.setattr(
        console, "stderr",
        lambda: Console(file=seen, force_terminal=True, soft_wrap=True, highlight=False),
    )  # fmt: skip
    console.TrainingReport().message(TEXT)
    assert seen.getvalue() == f"{SHOWN}\n"


def test_the_line_while_one_waits(monkeypatch):
    seen = io.StringIO()
    seen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", seen)
    with status_line(f"loading {TEXT}"):
        assert seen.getvalue() == f"loading {SHOWN} ..."


# -- commands that do their work -------------------------------------------------------------------


@pytest.fixture
def hostile_model(model_dir, tmp_path):
    return str(shutil.copytree(model_dir, tmp_path / NAME))


def test_evaluate(capsys, hostile_model, tmp_path):
    text = tmp_path / f"{NAME}.txt"
    text.write_text("The old cat sat on the wet mat.\n")
    assert main(["evaluate", hostile_model, str(text)]) == 0
    assert "[red]a[bold]:smile:" in said(capsys)


def test_verify_and_report(capsys, tmp_path):
    made = [generation(f"p:{i}", 1, TEXT, 0.5, label=TEXT) for i in (1, 2)]
    for one in made:
        object.__setattr__(one, "text", TEXT.replace("\ud800", ""))
        object.__setattr__(one, "label", TEXT.replace("\ud800", ""))
    out = write_output(tmp_path / NAME, made, labelled=True)
    assert main(["report", str(out)]) == 0
    found = said(capsys)
    assert found.endswith("/report.html\n")
    pages = (out / "report.html").read_text("utf-8")
    harmless(pages)
    (out / "report.html").unlink()
    (out / "report.json").unlink()
    assert main(["verify", str(out)]) == 0
    assert "[red]a[bold]:smile:" in said(capsys)
    (out / f"shard-{NAME}").write_text("")
    next(out.glob("shard-00000*")).write_text("")
    assert main(["verify", str(out)]) == 1
    assert "is not what its manifest says" in said(capsys)


def test_books(capsys, tmp_path):
    assert main(["books", "--built-in", "--out", str(tmp_path / NAME)]) == 0
    assert "to train on it: textmill train '" in said(capsys)


def test_export_and_import(capsys, monkeypatch):
    monkeypatch.setattr("textmill.pipeline.api.exchange.export", lambda *_, **__: None)
    assert main(["export", "m", "--to", "keras", "--out", NAME]) == 0
    assert said(capsys) == f"{visible(NAME)}\n"
    monkeypatch.setattr("textmill.pipeline.api.exchange.from_keras", lambda *_, **__: TEXT)
    assert main(["import", "m", "--vocabulary", "v", "--out", NAME]) == 0
    assert said(capsys).startswith(visible(NAME))


def test_augment(capsys, monkeypatch):
    about = {
        "counts": {"real": 1, "candidates": 1, "wanted": 1, "kept": 1, "rejected": {TEXT: 1}},
        "check": [{"classifier": TEXT, "verdict": TEXT, "gain": 1, "low": 0, "high": 2}],
        "seconds": {TEXT: 1},
    }
    monkeypatch.setattr("textmill.pipeline.api.bulk.augment_table", lambda *_, **__: about)
    words = ["augment", "d.csv", "--text", "t", "--label", "l", "--out", NAME]
    assert main(words) == 0
    assert ":smile:" in said(capsys)


def test_the_demo_shows_samples(capsys, tmp_path):
    from textmill.pipeline.command.demo import _show

    row = json.dumps({"temperature": 0.5, "prompt": TEXT, "text": TEXT})
    (tmp_path / "shard-0.jsonl").write_text(f"{row}\n")
    _show(tmp_path)
    found = re.sub(r"\s", "", said(capsys))
    assert found.count("[/red]") == found.count(":smile:") == 2


@pytest.mark.parametrize("name", FORMATS)
def test_the_card_of_an_output_loads(name):
    names = [TEXT, "---", "\n---\n", "\"'\\: [", "\x00\ufeff\uffff\x85", "#!!python", "no", "~"]
    manifest = {
        "counts": {"records": 1, "prompts": 1, "rows": 2, "rejected": 1},
        "model": "m",
        "versions": {"textmill": "0"},
        "settings": {"label": "\n```\n---\n\x1b"},
    }
    columns = columns_of(dict.fromkeys(names, "text"), labelled=True)
    card = dataset_card(manifest, columns, Format(name=name)).encode().decode()
    if name == "tfrecord":  # it has no header
        assert card.startswith("# ")
        return
    start, header, rest = re.split("^---\n", card, maxsplit=2, flags=re.MULTILINE)
    assert start == ""
    assert "\n---" not in rest
    assert "\n```\n---" not in rest
    found = yaml.safe_load(header)
    assert found["configs"][0]["config_name"] == "default"
    if name != "text":
        features = [each["name"] for each in found["dataset_info"][0]["features"]]
        assert features[-len(names) :] == [each.replace("\ud800", "\ufffd") for each in names]


def test_the_page_to_play_with():
    text, _ = page(NAME)
    assert visible(NAME, keep="\n").encode() in text


# -- texts: as they are in a pipe, harmless in a terminal ------------------------------------------


class FakeModel:
    """Gives hostile texts."""

    labels = ()
    saved = SimpleNamespace(labels=(), columns=(), source=None)

    def each(self, prompts, settings):
        yield Generation(Prompt(TEXT, TEXT), 1, f"{TEXT}\tc", None, 1.0, 1, "eos", -1.0)

    def score(self, texts, *, label, tokens=False, context=None, source=None):
        word = TEXT.split()[0]
        return [Score(t, None, 1, 0, -1.0, 2.0, ((word, -1.0),) if tokens else None) for t in texts]


@pytest.fixture
def printed(monkeypatch):
    """A function that gives what a command prints, into a pipe and to a terminal."""
    for place in ("textmill.pipeline.api.trained_model", "textmill.pipeline.command.score"):
        monkeypatch.setattr(f"{place}.load", lambda *_, **__: FakeModel())

    def both(*words: str) -> tuple[str, str]:
        found = []
        for terminal in (False, True):
            seen = io.StringIO()
            seen.isatty = lambda here=terminal: here
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", seen)
                assert main(words) == 0
            found.append(seen.getvalue())
        return found[0], found[1]

    return both


def test_sample(printed):
    assert printed("sample", "m") == (f"{TEXT}\tc\n", visible(f"{TEXT}\tc\n", keep="\n\t"))
    piped, shown = printed("sample", "m", "--json")
    assert "\u202e" in piped
    assert json.loads(piped) == json.loads(harmless(shown))


def test_score(printed, tmp_path):
    line = TEXT.replace("\n", " ").replace("\ud800", "")
    (tmp_path / "t.txt").write_text(line + " the old cat" * 20, encoding="utf-8")
    words = ["score", "m", str(tmp_path / "t.txt"), "--tokens", "--quiet"]
    piped, shown = printed(*words)
    assert line in piped
    assert visible(piped, keep="\n\t") == shown
    piped, shown = printed(*words, "--json")
    assert "\u202e" in piped
    assert json.loads(piped) == json.loads(harmless(shown))
