"""Makes and runs the notebook: `python -m lab.notebook`.

`lab/word_level_lab.py` is its source (jupytext's percent format); the notebook has no outputs. It
is made in each language that has a catalogue. With the path of another source, such as
`examples/tour.py`, it makes the notebook beside that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.language import ENGLISH, add_option, languages, spoken, translations
from lab.messages import of_cell, translated

LAB = Path(__file__).resolve().parent
# Names of the pictures that it draws, in their order.
PICTURES = (
    "zipf", "training", "places", "temperature", "state", "experiment", "decoding", "unit-quotes",
    "unit-sentence", "gates", "gradients", "seeds",
)  # fmt: skip
SOURCE, NOTEBOOK = LAB / "word_level_lab.py", LAB / "word_level_lab.ipynb"
_LANGUAGE = 'os.environ.setdefault("LAB_LANGUAGE", "{}")'  # in its code


def made(source: Path = SOURCE, language: str = ENGLISH) -> Any:
    """Makes the notebook, without outputs; it is the same each time."""
    import jupytext

    notebook = jupytext.read(source)
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
        prog="python -m lab.notebook", description="Makes the notebook."
    )
    parser.add_argument("source", type=Path, nargs="?", default=SOURCE, help="its source")
    parser.add_argument("--run", type=Path, metavar="FILE", help="run it, with outputs into FILE")
    add_option(parser)
    args = parser.parse_args(argv)
    if args.run is None:
        own = args.source.resolve().parent == LAB
        for language in languages() if own else [ENGLISH]:
            notebook = file_of(args.source, language)
            notebook.write_text(as_text(args.source, language), encoding="utf-8")
            print(notebook)
        return 0
    import nbformat

    made_one = made(args.source, spoken())
    nbformat.write(run(made_one, folder=args.source.parent), args.run)
    print(args.run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
