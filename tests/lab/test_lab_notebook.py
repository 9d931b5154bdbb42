"""The notebook runs: in full with a solution, to the first exercise without."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from lab_here import with_class

from lab.notebook import making as notebook

ROOT = Path(__file__).resolve().parents[2]
SOLUTION = str(ROOT / "tests" / "lab" / "lab_solution.py")


def printed(run) -> str:
    return "".join(
        str(output.get("text", "")) for cell in run.cells for output in cell.get("outputs", [])
    )


def pictures(run) -> int:
    return sum(
        "image/png" in output.get("data", {})
        for cell in run.cells
        for output in cell.get("outputs", [])
    )


@pytest.mark.parametrize("source", [notebook.SOURCE, notebook.TORCH], ids=lambda path: path.stem)
def test_a_notebook_is_the_one_that_its_source_makes(source):
    assert source.with_suffix(".ipynb").read_text("utf-8") == notebook.as_text(source)
    for cell in notebook.made(source).cells:
        assert not cell.get("outputs")


SAID = {
    "en": (
        "trigram  perplexity", "an epoch takes about", "0.3 s were asked for", "without dropout",
        "every", "T = 1.5", "bits a character", "s on characters", "beam search, 8 beams", "AUC",
        "gradient by", "after 10 words", "states zeroed with probability 0.2", "right:",
        "a capital letter within the sentence  the property is always or never there in this text",
    ),
    "bg": (
        "триграми перплексия", "една епоха трае около", "поискани са 0.3 s", "без dropout",
        "на всеки", "T = 1.5", "битове на символ", "s върху символи", "лъчево търсене, 8 лъча",
        "AUC", "градиент по", "след 10 думи", "състояния, нулирани с вероятност 0.2", "познати:",
        "главна буква вътре в изречението      свойството го има винаги или никога в този текст",
    ),
}  # fmt: skip


def test_a_cell_may_stand_for_a_section_of_another_notebook(tmp_path):
    (tmp_path / "one.py").write_text(
        "# %%\nfirst = 1\n\n# %% [markdown]\n# ## A\n\n# %%\na = 2\n\n"
        '# %% tags=["keras"]\nkeras = 3\n\n# %%\na = 4\n\n# %% [markdown]\n# ## B\n'
    )
    other = tmp_path / "other.py"
    other.write_text("# %% [markdown]\n# <!-- as in one.py: A -->\n\n# %%\nown = 5\n")
    assert [cell.source for cell in notebook.made(other).cells] == [
        "## A", "a = 2", "a = 4", "own = 5"
    ]  # fmt: skip
    (begin,) = notebook.section(tmp_path / "one.py", notebook.BEGINNING)
    assert begin.source == "first = 1"
    with pytest.raises(ValueError, match="no section 'C'"):
        notebook.section(tmp_path / "one.py", "C")


def run_here(source, solution, monkeypatch, tmp_path, language="en") -> int:
    """Runs a notebook on a small text in this process; gives the number of pictures."""
    text = "\n\n".join(
        f"The {a} cat sat on the {b} mat. “Stop {c}!” said the {d} dog."
        for a in ("old", "red", "big", "odd", "wet") for b in ("green", "red", "soft")
        for c in ("it", "that", "him", "now") for d in ("lazy", "odd", "old", "big")
    )  # fmt: skip
    (tmp_path / "book.txt").write_text(text, encoding="utf-8")
    for name, value in (
        ("EXERCISES", str(solution)), ("BOOK", str(tmp_path / "book.txt")), ("SECONDS", "0.3"),
        ("LEAST", "2"), ("UNITS", "32"), ("TEXTS", "2"), ("EPOCHS", "1"), ("DATES", "400"),
        ("SMALL", "0.3"), ("SEEDS", "2"), ("SMALL_EPOCHS", "1"),
        ("NETWORK", str(tmp_path / "network.safetensors")),
    ):  # fmt: skip
        monkeypatch.setenv(f"LAB_{name}", value)
    shown = []

    def show():
        """Draws and closes the picture, as a kernel does."""
        plt.savefig(io.BytesIO(), format="png")
        shown.append(plt.gcf())
        plt.close()

    monkeypatch.setattr(plt, "show", show)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(notebook.LAB)
    names = {"__name__": "__main__"}
    with mpl.rc_context():
        for cell in notebook.made(source, language).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, cell.id, "exec"), names)
    return len(shown)


@pytest.mark.parametrize(
    ("language", "network"),
    [
        pytest.param("en", "", marks=pytest.mark.walk),
        pytest.param("bg", "", marks=pytest.mark.lab),  # has the same code, as another test sees
        pytest.param("en", "Layers", marks=pytest.mark.lab),
        pytest.param("en", "Inner", marks=pytest.mark.lab),
    ],
)
def test_it_runs_with_a_solution(language, network, monkeypatch, tmp_path, capsys):
    """In this process, which has TensorFlow already; on a book it runs in a kernel of its own."""
    solution = with_class(tmp_path, network) if network else SOLUTION
    shown = run_here(notebook.SOURCE, solution, monkeypatch, tmp_path, language)
    assert shown == len(notebook.PICTURES)
    said = capsys.readouterr().out
    for each in SAID[language]:
        assert each in said, each
    if language != "en":
        assert not re.search(r"\b(perplexity|epochs?|words?|training)\b", said)


def test_as_the_starter_it_runs_to_the_first_exercise(monkeypatch):
    monkeypatch.delenv("LAB_EXERCISES", raising=False)
    made = notebook.made()
    # What comes after the first error would be errors, too.
    first = next(i for i, cell in enumerate(made.cells) if "ex.count_words" in cell.source)
    made.cells = made.cells[: first + 1]
    run = notebook.run(made, allow_errors=True)
    errors = [o for cell in run.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    assert [error.ename for error in errors] == ["NotImplementedError"]
    assert errors[0] in run.cells[first].outputs


@pytest.mark.lab
def test_on_a_book_the_lstm_beats_the_trigram(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_EXERCISES", SOLUTION)
    monkeypatch.setenv("LAB_NETWORK", str(tmp_path / "network.safetensors"))
    monkeypatch.setenv("LAB_BOOK", str(shared / "books" / "alice.txt"))
    run = notebook.run(notebook.made())
    said = printed(run)
    assert pictures(run) == len(notebook.PICTURES)
    lstm, trigram = re.search(r"LSTM +perplexity +([\d.]+) .* trigram ([\d.]+)", said).groups()
    assert float(lstm) < float(trigram)
    assert int(re.search(r"right: (\d+)% of 200 dates", said)[1]) >= 50
    # The pictures show something: a few words are likely, a unit has learned what speech is, the
    # network is not overfitted, and the gradient of an LSTM falls less in the long run.
    assert int(re.search(r"the eight best words hold (\d+)%", said)[1]) >= 20
    quotes = re.search(
        r"inside quotation marks +[ch] of unit \d+ +AUC +[\d.]+ +([\d.]+) +([\d.]+)", said
    )
    held_out, untrained = (abs(float(each) - 0.5) for each in quotes.groups())
    assert held_out > untrained + 0.1
    lowest = float(re.search(r"perplexity is lowest at T = ([\d.]+)", said)[1])
    assert 0.85 < lowest < 1.25
    late = dict(re.findall(r"(LSTM|RNN): after 10 .* it is ([\d.]+) times as large", said))
    assert float(late["LSTM"]) > float(late["RNN"])
