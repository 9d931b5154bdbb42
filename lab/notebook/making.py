"""Makes and runs the notebooks: `python -m lab.notebook`.

`lab/word_level_lab.py` is the source of the first (jupytext's percent format), and the one in
PyTorch takes most of its cells; the notebooks have no outputs. Each is made in each language that
has a catalogue. With the path of another source, such as `examples/tour.py`, it makes the notebook
beside that.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.language import ENGLISH, add_option, languages, spoken, translations
from lab.messages import of_cell, translated

LAB = Path(__file__).resolve().parents[1]
# Names of the pictures that it draws, in their order.
PICTURES = (
    "zipf", "training", "places", "temperature", "state", "experiment", "decoding", "unit-quotes",
    "unit-sentence", "gates", "gradients", "seeds",
)  # fmt: skip
SOURCE, NOTEBOOK = LAB / "word_level_lab.py", LAB / "word_level_lab.ipynb"
TORCH = LAB / "word_level_lab_torch.py"
_AS_IN = re.compile(r"<!-- as in (\S+): (.+) -->")  # a cell that stands for a section
BEGINNING = "the beginning"  # what comes before the first section
_LANGUAGE = 'os.environ.setdefault("LAB_LANGUAGE", "{}")'  # in its code


def made(source: Path = SOURCE, language: str = ENGLISH) -> Any:
    """Makes the notebook, without outputs; it is the same each time."""
    import jupytext

    notebook = jupytext.read(source)
    cells = []
    for cell in notebook.cells:
        found = _AS_IN.fullmatch(cell.source)
        cells += section(source.parent / found[1], found[2]) if found else [cell]
    notebook.cells = cells
    told = translations(language) if language != ENGLISH else {}
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02}"
        if told:
            cell.source = translated(cell.source, of_cell(cell), told)
            cell.source = cell.source.replace(_LANGUAGE.format(ENGLISH), _LANGUAGE.format(language))
    notebook.metadata.pop("jupytext", None)
    return notebook


def file_of(source: Path, language: str) -> Path:
    """Gives the notebook's place."""
    return source.with_suffix(".ipynb" if language == ENGLISH else f".{language}.ipynb")


def section(source: Path, title: str) -> list[Any]:
    """Gives the cells of a section that hold for any library: those without the tag `keras`."""
    import jupytext

    found, now = [], BEGINNING
    for cell in jupytext.read(source).cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            now = cell.source.splitlines()[0].removeprefix("## ")
        if now == title and "keras" not in cell.metadata.get("tags", ()):
            found.append(cell)
    if not found:
        raise ValueError(f"{source} has no section {title!r}")
    return found


def as_text(source: Path = SOURCE, language: str = ENGLISH) -> str:
    """Gives the contents of the notebook file."""
    import nbformat

    return nbformat.writes(made(source, language), version=4, indent=1) + "\n"


def run(notebook: Any, *, folder: Path = LAB, allow_errors: bool = False) -> Any:
    """Runs the notebook in a new kernel; its cells then hold the outputs."""
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook,
        timeout=1200,  # seconds for a cell
        allow_errors=allow_errors,
        resources={"metadata": {"path": str(folder)}},
    )
    return client.execute()


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the notebook; with --run, runs it and writes another file."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.notebook", description="Makes the notebooks."
    )
    parser.add_argument("source", type=Path, nargs="?", help="one source (default: both)")
    parser.add_argument("--run", type=Path, metavar="FILE", help="run it, with outputs into FILE")
    add_option(parser)
    args = parser.parse_args(argv)
    if args.run is None:
        sources = [SOURCE, TORCH] if args.source is None else [args.source]
        for source, language in itertools.product(sources, languages()):
            if language != ENGLISH and source.resolve().parent != LAB:
                continue
            notebook = file_of(source, language)
            notebook.write_text(as_text(source, language), encoding="utf-8")
            print(notebook)
        return 0
    import nbformat

    source = args.source or SOURCE
    made_one = made(source, spoken())
    nbformat.write(run(made_one, folder=source.parent), args.run)
    print(args.run)
    return 0
