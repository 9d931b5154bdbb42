"""The leaderboard: the same for all, each word after its guess, and nothing lost."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path

import lab_solution
import numpy as np
import pytest
from pages import EVIL, Tags

from lab import leaderboard
from lab.leaderboard import Board, Row, as_csv, as_html, read_text, run
from lab.sandbox import contest, jail
from lab.sandbox.contest import PRIMED, Failed, Measured, Task, _foretold, compete, grace
from lab.sandbox.run import readable, unprotected
from textmill.model.errors import TextmillError

TEXT = "\n\n".join(
    f"The {a} cat sat on the {b} mat, and the {c} dog said: “Stop {d}!”"
    for a in ("old", "red", "small", "quick")
    for b in ("green", "old", "wet", "soft")
    for c in ("lazy", "red", "big", "old")
    for d in ("it", "that", "him", "now")
)
SETTINGS = {"text": "x", "words": 100, "seconds": 60, "units": 8, "seeds": 1}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "cats.txt"
    file.write_text("\n\n".join([TEXT] * 3 + ["An unseen snark sat on a boojum."]), "utf-8")
    return read_text(file, encoding=None, words=200)


def task(text, seconds=1.0, **more):
    return Task(text.inputs, text.targets, text.primed, text.held_out, size=text.size,
                embedding=4, units=8, seconds=seconds, **more)  # fmt: skip


# -- the text --------------------------------------------------------------------------------------


def test_the_text_is_cut_into_windows_and_words_to_foretell(text):
    assert text.inputs.shape == text.targets.shape
    assert text.inputs.dtype == text.targets.dtype == text.held_out.dtype == np.int32
    assert (text.inputs[:, :, 1:] == text.targets[:, :, :-1]).all()
    assert (text.inputs[1:, :, 0] == text.targets[:-1, :, -1]).all()  # the state can be carried
    assert len(text.held_out) == 200
    assert len(text.primed) == PRIMED
    every = np.concatenate([text.inputs.ravel(), text.primed, text.held_out])
    assert every.min() >= 0
    assert every.max() == text.size - 1
    kinds = len(set(np.concatenate([lab_solution.tokenize(TEXT)])))
    assert kinds // 2 < text.size <= kinds + 10
    assert text.unknown == np.mean(text.held_out == 0)
    by_words, by_five = text.baselines.values()
    assert 1 < by_five < by_words < text.size


def test_counting_of_single_words_against_numpy(text):
    counts = np.bincount(np.concatenate([text.targets.ravel()]), minlength=text.size) + 1.0
    p = counts[text.held_out] / counts.sum()
    found = text.baselines["how often each word occurs"]
    assert found == pytest.approx(np.exp(-np.mean(np.log(p))), rel=0.02)


def test_unknown_words_and_short_texts(tmp_path):
    file = tmp_path / "x.txt"
    words = "the cat sat on the mat . " * 1000
    file.write_text(words + " ".join(f"snark{i}" for i in range(600)))
    found = read_text(file, encoding=None, words=100_000)
    assert 0.1 < found.unknown < 1
    file.write_text("the cat sat")
    with pytest.raises(TextmillError, match=r"has 3 words; 4,551 are the least"):
        read_text(file, encoding=None, words=100)
    with pytest.raises(TextmillError, match="there is no file"):
        read_text(tmp_path / "none", encoding=None, words=100)


# -- the words to foretell -------------------------------------------------------------------------


class Guesses:
    """Stands for a network and its process: gives these answers, and notes what it was sent."""

    def __init__(self, answers):
        self.answers, self.sent, self.deadlines = iter(answers), [], []
        self.deadline = None

    def step(self, ids, h, c):
        self.sent.append(int(ids[0, 0]))
        self.deadlines.append(self.deadline)
        return [next(self.answers), h, c]


def foretold(answers, **more):
    guesses = Guesses(np.asarray(each)[None, None] for each in answers)
    return guesses, _foretold(guesses, guesses, Task(**{**vars(SMALL), **more}))


SMALL = Task(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), np.array([1, 2], np.int32),
             np.array([3, 0, 2], np.int32), size=4, embedding=1, units=1, seconds=0)  # fmt: skip


def test_each_word_is_sent_when_its_guess_is_back():
    random = np.random.default_rng(0)
    logits = (random.normal(size=(4, 4)) * [[1], [5], [20], [80]]).astype(np.float32)
    known = []

    def answers():
        for each in logits:
            known.append(list(guesses.sent))
            yield each[None, None]

    guesses = Guesses(answers())
    found = _foretold(guesses, guesses, SMALL)
    # The last held-out word is never sent; each other one after the guess for it.
    assert known == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 0]]
    z = logits[1:].astype(np.float64)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    assert found == pytest.approx(-np.mean(np.log(p[np.arange(3), [3, 0, 2]])))
    assert all(each is not None for each in guesses.deadlines)


@pytest.mark.parametrize(
    ("logits", "said"),
    [
        (np.full(4, -np.inf), "the probability 0"),
        ([np.nan, 0.0, 0.0, 0.0], "not finite numbers"),
        ([0.0, 1e9, 0.0, 0.0], "its mean of -log p is 1e.09; did its training diverge"),
        ([0.0, 0.0, 0.0], r"float64 of the shape \(1, 1, 3\), not floats of the shape \(1, 1, 4\)"),
        ([1, 0, 0, 0], "int64 of the shape"),
    ],
)
def test_what_comes_back_may_be_anything(logits, said):
    with pytest.raises(Failed, match=said):
        foretold([logits], primed=SMALL.primed[:1], held_out=SMALL.held_out[:1])


def test_all_words_together_have_a_time_too(monkeypatch):
    monkeypatch.setattr(contest, "_ANSWER_SECONDS", 1000.0)
    monkeypatch.setattr(contest.time, "monotonic", lambda: 100.0 * len(guesses.sent))
    guesses = Guesses(np.zeros((1, 1, 4)) for _ in range(99))
    one = SMALL.held_out[:1].repeat(30)
    _foretold(guesses, guesses, Task(**{**vars(SMALL), "held_out": one}))
    assert guesses.deadlines[0] == 1000
    assert max(guesses.deadlines) == 2000


# -- a process -------------------------------------------------------------------------------------


def submission(tmp_path, more=""):
    file = tmp_path / "exercises.py"
    solution = Path(lab_solution.__file__).read_text("utf-8")
    file.write_text(f"{solution}\n{more}\n", "utf-8")
    return file


@pytest.mark.long
def test_a_submission_is_trained_and_measured(text, tmp_path):
    # What it prints is dropped; what it writes is in a folder that goes.
    file = submission(tmp_path, "print('x' * 9999)\nopen('here.txt', 'w').write('x')")
    found = compete(file, task(text, seconds=4.0), seed=1)
    assert 1 < math.exp(found.nats) < text.size
    assert found.trained <= 4 + grace(4)
    assert found.parameters == text.size * 4 + 4 * (4 + 8 + 1) * 8 + (8 + 1) * text.size
    assert list(tmp_path.iterdir()) == [file]


BACKWARDS = "iter(range(0, -(10**9), -1)).__next__"  # a clock by which no time is ever over


@pytest.mark.long  # each loads TensorFlow
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("import os; os._exit(3)", "the process ended: exit status 3"),
        ("x = [", "SyntaxError"),
        ("import sys; sys.exit()", r"SystemExit.*in line \d+"),
        ("open('/etc/passwd')", "PermissionError"),
        ("def build_model(*sizes):\n    raise NotImplementedError", "build_model is not started"),
        ("def loss(logits, targets): return 1 / 0", r"ZeroDivisionError: .*in line \d+: .*1 / 0"),
        ("def build_model(*sizes): return 7", "build_model gives no keras.Model"),
        ("def build_model(*sizes): import time; time.sleep(600)", "for longer than the 1 s"),
        (
            "import time\ntime.monotonic = iter(range(0, -(10**9), -1)).__next__",
            "longer than the 1 s",
        ),
    ],
)
def test_a_submission_that_is_wrong_is_one_line(more, said, text, tmp_path):
    seconds = 1.0 if "1 s" in said else 120.0  # a busy machine takes long to find an error
    with pytest.raises(Failed, match=said) as failed:
        compete(submission(tmp_path, more), task(text, seconds=seconds), seed=0)
    assert "\n" not in str(failed.value)


# -- the board -------------------------------------------------------------------------------------


def done(perplexity, **more):
    return Measured(math.log(perplexity), **{"trained": 60.2, "measured": 3.0, "epochs": 7,
                                             "parameters": 1234, **more})  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "class"
    found.mkdir()
    for name in ("ana", "bo", "cy"):
        (found / f"{name}.py").write_text(f"# {name}\n")
    return found


def files(folder):
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def test_results_are_kept_as_they_come_and_a_stopped_run_goes_on(folder, text, monkeypatch, capsys):
    asked = []

    def fake(file, task, *, seed):
        asked.append((file.stem, seed))
        if asked[-1] == stop_at:
            raise KeyboardInterrupt
        if file.stem == "bo":
            raise Failed("it \x1b[2J broke")
        return done({"ana": 30, "cy": 20}[file.stem] + seed)

    monkeypatch.setattr(leaderboard, "compete", fake)
    settings = {**SETTINGS, "seeds": 2}
    stop_at = ("cy", 0)
    with pytest.raises(KeyboardInterrupt):
        run(Board(folder, settings, text), files(folder), task(text), seeds=2)
    assert asked == [("ana", 0), ("ana", 1), ("bo", 0), ("cy", 0)]  # bo's second seed is left out
    assert [row.name for row in Board(folder, settings, text).ranked()] == ["ana", "bo"]
    out = capsys.readouterr().out
    assert "6 trainings" in out
    assert "\x1b" not in out
    asked.clear()
    stop_at = None
    run(Board(folder, settings, text), files(folder), task(text), seeds=2)
    assert asked == [("bo", 0), ("cy", 0), ("cy", 1)]  # what went wrong is tried again
    assert "2 of 6 trainings are kept from before" in capsys.readouterr().out
    asked.clear()
    (folder / "ana.py").write_text("# another\n")
    (folder / "cy.py").unlink()
    board = Board(folder, settings, text)
    run(board, files(folder), task(text), seeds=2)
    assert asked == [("ana", 0), ("ana", 1), ("bo", 0)]
    assert [(row.name, len(row.results)) for row in board.ranked()] == [("ana", 2), ("bo", 0)]
    assert not list(folder.parent.glob("*.part"))


def test_results_of_other_settings_are_not_mixed(folder, text):
    Board(folder, SETTINGS, text).keep(Row("ana", "h", (done(9),)))
    with pytest.raises(TextmillError, match=r"settings: seconds \(60 instead of 90\).*--again"):
        Board(folder, {**SETTINGS, "seconds": 90}, text)
    kept = Board(folder, SETTINGS, text)
    assert kept.rows["ana"] == Row("ana", "h", (done(9),))
    file = folder.parent / "class-leaderboard.json"
    whole = json.loads(file.read_text())
    for changed in (
        "{", "[]", json.dumps({**whole, "version": 1}), json.dumps({**whole, "rows": [1]}),
        json.dumps({**whole, "rows": {"a": {"results": [{"nats": 1}]}}}),
        file.read_text().replace(f"{math.log(9)}", '"x"'),
    ):  # fmt: skip
        file.write_text(changed)
        with pytest.raises(TextmillError, match=r"leaderboard\.json"):
            Board(folder, SETTINGS, text)


def test_the_order_and_the_table(text):
    rows = [
        Row("=1+1", "", (done(20), done(80))), Row("bo", "", (done(39),)),
        Row("cy", "", (done(5),), failed="it broke"),
    ]  # fmt: skip
    board = Board(Path("no folder"), SETTINGS, text)
    board.rows = {row.name: row for row in rows}
    ranked = board.ranked()
    assert [row.name for row in ranked] == ["bo", "=1+1", "cy"]
    assert ranked[1].perplexity == pytest.approx(40)  # of the mean of logarithms
    lines = list(csv.DictReader(io.StringIO(as_csv(ranked))))
    assert [(line["rank"], line["name"], line["perplexity"]) for line in lines] == [
        ("1", "bo", "39.00"), ("2", "'=1+1", "40.00"), ("", "cy", ""),
    ]  # fmt: skip
    assert (lines[1]["lowest"], lines[1]["highest"], lines[1]["seeds"]) == ("20.00", "80.00", "2")
    assert lines[2]["failed"] == "it broke"


def test_the_page_escapes_and_counting_stands_where_it_would_be(text):
    low, high = sorted(text.baselines.values())
    rows = [
        Row(EVIL, "", (done((low + high) / 2),)), Row("bo", "", (done(high + 1),)),
        Row("cy", "", failed=f"ValueError: {EVIL}"),
    ]  # fmt: skip
    page = as_html(rows, text, SETTINGS)
    assert "<script>" not in page
    tags = Tags(page)
    names = [tags.cells[i + 1] for i in range(0, 28, 7)]
    assert names == ["counting up to five words (Kneser-Ney)", EVIL,
                     "how often each word occurs", "bo"]  # fmt: skip
    assert [tags.cells[i] for i in range(0, 28, 7)] == ["", "1", "", "2"]
    assert any(f"ValueError: {EVIL}" in cell for cell in tags.cells)
    assert "1 min on the same machine, and one seed, 0, of 8 units" in page


@pytest.mark.parametrize(
    "flags", [["--minutes", "0"], ["--minutes", "nan"], ["--seeds", "0"], ["--words", "5"]]
)
def test_numbers_that_are_too_small(folder, flags, capsys):
    usual = [str(folder), "--text", "x", *([] if "--minutes" in flags else ["--minutes", "1"])]
    with pytest.raises(SystemExit):
        leaderboard.main([*usual, *flags])
    assert re.search(r"must be (at least \d+|more than 0)$", capsys.readouterr().err.strip())


def test_the_command(folder, tmp_path, monkeypatch, capsys):
    file = tmp_path / "cats.txt"
    file.write_text("\n\n".join([TEXT] * 3), "utf-8")
    monkeypatch.setattr(leaderboard, "compete", lambda file, task, seed: done(12))
    usual = [str(folder), "--text", str(file), "--minutes", "1", "--words", "150"]
    assert leaderboard.main(usual) == 0
    out = capsys.readouterr().out
    assert "3 trainings, about 4 min" in out
    assert "   1        12.0  ana" in out
    assert out.endswith("class-leaderboard.csv\n" + str(tmp_path / "class-leaderboard.html\n"))
    assert leaderboard.main([*usual[:-1], "160"]) == 1
    assert "other settings: words (150 instead of 160)" in capsys.readouterr().err
    assert leaderboard.main([*usual[:-1], "160", "--again"]) == 0
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit):
        leaderboard.main([str(tmp_path / "empty"), *usual[1:]])


# -- attacks ---------------------------------------------------------------------------------------

LIST = """
import os, select

def nothing(found):
    raise ValueError(f"found {len(found)}: {found[:1]}")
"""
# What it does, and what its row says; None for one that is measured.
ATTACKS = {
    "looks for the text": ("""
def build_model(*sizes):
    found = []
    for place in [os.path.dirname(TEXT), os.getcwd(), "/tmp", "/home", "/root", "/proc"]:
        for folder, _, names in os.walk(place):
            for name in names:
                if name == os.path.basename(TEXT):
                    found.append(folder)
    try:
        found.append(open(TEXT).read())
    except PermissionError:
        pass
    nothing(found)
""", "ValueError: found 0"),
    "looks into other processes": ("""
def build_model(*sizes):
    found = []
    for name in ["mem", "environ", "cmdline", "maps", "fd/0", "cwd/x"]:
        try:
            found.append(open(f"/proc/{os.getppid()}/{name}", "rb").read(1))
        except OSError:
            pass
    nothing(found)
""", "ValueError: found 0"),
    "writes the table": ("""
def build_model(*sizes):
    open(BOARD, "w").write("{}")
""", "PermissionError"),
    "writes another's file": ("""
def build_model(*sizes):
    open(OTHER, "a").write("raise SystemExit")
""", "PermissionError"),
    "forks": ("""
def build_model(*sizes):
    os.fork()
""", "PermissionError"),
    "takes more minutes": ("""
import time
time.monotonic = iter(range(0, -(10**9), -1)).__next__
""", "it trains for longer than the"),
    "reads the next words": ("""
def peek(ids):
    \"\"\"Reads what lies in any pipe, and fails if anything does: the words to come.\"\"\"
    for place in range(3, 64):
        try:
            while select.select([place], [], [], 0)[0] and (data := os.read(place, 1 << 16)):
                raise ValueError(f"read {len(data)}")
        except OSError:
            pass
    return ids

honest = build_model

def build_model(*sizes):
    import keras
    import tensorflow as tf

    class Peeks(keras.Model):
        def __init__(self, model):
            super().__init__()
            self.inner = model

        def call(self, inputs, training=False):
            ids, h, c = inputs
            shape = ids.shape
            ids = tf.numpy_function(peek, [ids], tf.int32)
            ids.set_shape(shape)
            return self.inner([ids, h, c], training=training)

    return Peeks(honest(*sizes))
""", None),
    "answers before it is asked": ("""
from lab.sandbox import wire
import numpy as np

honest = build_model

def build_model(*sizes):
    for guess in range(50):
        zeros = np.zeros((1, 8), np.float32)
        certain = np.full((1, 1, SIZE), -50.0, np.float32)
        certain[..., 1] = 50.0
        packer = wire.Packer()
        data = wire.message(packer.pack(["value", [certain, zeros, zeros]]), packer.blocks)
        for place in range(3, 64):
            try:
                os.write(place, data)
            except OSError:
                pass
    return honest(*sizes)
""", "the process ended"),
}  # fmt: skip


@pytest.fixture(scope="module")
def attacked(text, tmp_path_factory):
    """The rows of a class in which one is honest; what the others went for is whole."""
    if missing := unprotected():
        pytest.skip(f"this system does not protect from: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("attacks") / "class"
    folder.mkdir()
    held_out = folder.parent / "cats.txt"
    held_out.write_text(TEXT, "utf-8")
    honest = Path(lab_solution.__file__).read_text("utf-8")
    (folder / "ada.py").write_text(honest, "utf-8")
    board = folder.parent / "class-leaderboard.json"
    known = f"TEXT, BOARD, OTHER = {str(held_out)!r}, {str(board)!r}, {str(folder / 'ada.py')!r}\n"
    known += f"SIZE = {text.size}\n"
    for name, (code, _) in ATTACKS.items():
        (folder / f"{name}.py").write_text(honest + LIST + known + code, "utf-8")
    kept, rows = [], Board(folder, SETTINGS, text)
    keep = rows.keep

    def noted(row):
        keep(row)
        kept.append(json.loads(board.read_text())["rows"]["ada"])

    rows.keep = noted
    assert not readable(held_out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.sandbox.run._LOAD_SECONDS", 600.0)  # on a busy machine
        run(rows, files(folder), task(text, seconds=3.0), seeds=1)
    assert len(kept) == 1 + len(ATTACKS)
    assert all(each == kept[0] for each in kept)  # nobody changes another's row
    assert (folder / "ada.py").read_text("utf-8") == honest
    assert held_out.read_text("utf-8") == TEXT
    assert sorted(path.suffix for path in folder.parent.iterdir() if path.is_file()) == [
        ".csv", ".html", ".json", ".txt"
    ]  # fmt: skip
    return rows.ranked()


@pytest.mark.long
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gets_no_better_rank(attacked, attack):
    (row,) = [row for row in attacked if row.name == attack]
    said = ATTACKS[attack][1]
    if said is None:
        assert not row.failed
        assert row.perplexity > 1.5  # whoever knew the words would be nearly sure of them
    else:
        assert said in row.failed
        assert attacked.index(row) > [row.name for row in attacked].index("ada")


def test_a_text_that_code_could_read_is_told(folder, text, monkeypatch, capsys):
    import pydoc_data.topics

    if jail.FILES not in unprotected():
        assert readable(Path(pydoc_data.topics.__file__))
        assert not readable(Path(__file__))
    monkeypatch.setattr(leaderboard, "readable", lambda file: True)
    monkeypatch.setattr(leaderboard, "compete", lambda file, task, seed: done(12))
    monkeypatch.setattr(leaderboard, "read_text", lambda *_, **__: text)
    assert leaderboard.main([str(folder), "--text", "cats.txt", "--minutes", "1"]) == 0
    assert "a student's code could read cats.txt" in capsys.readouterr().err
