"""Makes and runs the notebook: `python -m lab.notebook`.

`lab/word_level_lab.py` is its source (jupytext's percent format); the notebook has no outputs. With
the path of another source, such as `examples/tour.py`, it makes the notebook beside that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LAB = Path(__file__).resolve().parent
# Names of the pictures that it draws, in their order.
PICTURES = (
    "zipf", "training", "places", "temperature", "state", "experiment", "decoding", "unit-quotes",
    "unit-sentence", "gates", "gradients", "seeds",
)  # fmt: skip
SOURCE, NOTEBOOK = LAB / "word_level_lab.py", LAB / "word_level_lab.ipynb"


def made(source: Path = SOURCE) -> Any:
    """Makes the notebook, without outputs; it is the same each time."""
    import jupytext

    notebook = jupytext.read(source)
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i:02}"
    notebook.metadata.pop("jupytext", None)
    return notebook


def as_text(source: Path = SOURCE) -> str:
    """Gives the contents of the notebook file."""
    import nbformat

    return nbformat.writes(made(source), version=4, indent=1) + "\n"


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
    args = parser.parse_args(argv)
    if args.run is None:
        notebook = args.source.with_suffix(".ipynb")
        notebook.write_text(as_text(args.source), encoding="utf-8")
        print(notebook)
        return 0
    import nbformat

    nbformat.write(run(made(args.source), folder=args.source.parent), args.run)
    print(args.run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
