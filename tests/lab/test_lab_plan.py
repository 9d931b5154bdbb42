"""A training says how long it takes, and does not flood the place it speaks to."""

from __future__ import annotations

import sys
import types

import pytest

from lab.notebook.plan import POINTS, Plan, Point, Progress, plan, where

# Seconds of an epoch; epochs, seconds, least, limit; seconds and epochs that come out; why.
PLANNED = [
    (5, (None, 120, 6, 240), 120, 24, "120 s were asked for"),
    (30, (None, 120, 6, 240), 180, 6, "6 epochs at least"),
    (295, (None, 120, 6, 240), 240, 0.81, "so 1,770 s; the limit of 240 s"),
    (295, (None, 120, 0, 240), 120, 0.41, "120 s were asked for"),
    (10, (3, None, 0, None), 30, 3, "3 epochs were asked for"),
    (10, (3, 20, 0, None), 20, 2, "20 s were asked for"),
    (10, (3, None, 0, 20), 20, 2, "the limit of 20 s"),
    (10, (None, None, 0, 20), 20, 2, "the limit of 20 s"),
    (10, (None, 89.732, 0, None), 89.732, 8.97, "89.7 s were asked for"),
]  # fmt: skip


@pytest.mark.parametrize(("epoch", "asked", "seconds", "epochs", "because"), PLANNED)
def test_what_ends_a_training(epoch, asked, seconds, epochs, because):
    found = plan(epoch, **dict(zip(("epochs", "seconds", "least", "limit"), asked, strict=True)))
    assert found.seconds == seconds
    assert found.epochs == pytest.approx(epochs, abs=0.01)
    assert because in found.because
    assert f"about {seconds:.0f} s" in str(found)


def test_the_limit_names_what_it_ends():
    found = plan(10, epochs=3, seconds=20, least=0, limit=15)
    assert found.because == "20 s were asked for, so 20 s; the limit of 15 s ends it"


def test_a_short_training_on_a_long_book_has_a_curve_as_well():
    assert plan(295, epochs=None, seconds=120, least=0, limit=None).parts * 0.41 >= POINTS
    assert plan(5, epochs=None, seconds=120, least=0, limit=None).parts == 1


def test_a_training_without_an_end_is_refused():
    with pytest.raises(ValueError, match="say when the training ends"):
        plan(5, epochs=None, seconds=None, least=3, limit=None)


def speak(progress, clock, kept=None):
    """A training of 100 s with a step every 0.1 s, and a point in the middle."""
    progress.begins()
    progress.planned(Plan(50, 100, 2, "100 s were asked for", 1))
    for step in range(1000):
        clock[0] += 0.1
        progress.step(epochs=step / 500, seconds=step / 10, perplexity=300)
        if step == 499:
            progress.point(Point(1, 50, 400, 300, 310))
    progress.ends(epochs=2, seconds=100, kept=kept)


def test_a_file_gets_a_line_every_half_minute(capsys):
    clock = [0.0]
    speak(Progress(place="file", clock=lambda: clock[0]), clock)
    said = capsys.readouterr().out
    assert "compiling" in said.splitlines()[0]
    assert "about 100 s: about 2.0 epochs" in said.splitlines()[1]
    assert len(said.splitlines()) == 2 + 3 + 1 + 1  # the last is what it took
    assert "training 400.0, without dropout 300.0, validation 310.0" in said
    assert "\r" not in said
    assert "trained 100.0 s, 2.00 epochs" in said.splitlines()[-1]


@pytest.mark.parametrize(("epoch", "lines"), [(1, 1), (2, 0)])
def test_what_is_kept_is_told_if_it_is_not_the_end(capsys, epoch, lines):
    clock = [0.0]
    progress = Progress(place="file", clock=lambda: clock[0])
    speak(progress, clock, kept=Point(epoch, 50, 400, 300, 310))
    said = (
        "the validation text was easiest to foretell after epoch 1.0: the network has the weights"
    )
    assert capsys.readouterr().out.count(said) == lines


def test_a_terminal_gets_one_line_that_is_overwritten(capsys):
    clock = [0.0]
    speak(Progress(place="terminal", clock=lambda: clock[0]), clock)
    said = capsys.readouterr().out
    lines = said.split("\n")
    assert len(lines) == 2 + 1 + 1 + 1  # the last one is empty
    assert 300 < said.count("\r") < 420  # four a second, at most
    # What stays is not mixed with what is overwritten.
    assert lines[2].rsplit("\r", 1)[1].startswith("epoch   1.0")
    assert lines[3].rsplit("\r", 1)[1] == "trained 100.0 s, 2.00 epochs"


def test_a_notebook_gets_one_output_that_changes(monkeypatch, capsys):
    shown, updated = [], []

    class Handle:
        def update(self, data, raw):
            updated.append(data["text/plain"])

    def display(data, raw, display_id):
        shown.append(data["text/plain"])
        return Handle()

    found = types.ModuleType("IPython.display")
    found.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", found)
    clock = [0.0]
    speak(Progress(place="notebook", clock=lambda: clock[0]), clock)
    assert len(shown) == 1
    assert "of 100 s, epoch 1" in shown[0]
    assert 100 < len(updated) < 250  # two a second
    assert updated[-1] == ""  # the line is gone at the end
    assert len(capsys.readouterr().out.splitlines()) == 2 + 1 + 1


def test_a_kernel_is_known(monkeypatch):
    shell = types.SimpleNamespace(kernel=object())
    python = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", python)
    assert where() == "notebook"
    python.get_ipython = lambda: types.SimpleNamespace()  # IPython in a terminal
    assert where() == "file"  # as pytest captures the output
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert where() == "terminal"


def test_if_epochs_end_it_the_seconds_follow_from_what_they_took(capsys):
    clock = [0.0]
    progress = Progress(place="file", clock=lambda: clock[0])
    progress.planned(plan(10, epochs=4, seconds=None, least=0, limit=None))
    clock[0] = 31
    progress.step(epochs=1, seconds=30, perplexity=300)  # an epoch took three times as long
    assert "] 30 of 120 s, epoch 2: 0%" in capsys.readouterr().out
    progress.planned(plan(10, epochs=None, seconds=40, least=0, limit=None))
    clock[0] = 62
    progress.step(epochs=1, seconds=30, perplexity=300)
    assert "] 30 of 40 s, epoch 2: 0%" in capsys.readouterr().out
