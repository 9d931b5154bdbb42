"""Makes the lab's pictures: `python -m lab.notebook.pictures`. The files are the same each time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "pictures"
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"  # Okabe and Ito
WORDS = {
    "en": {
        "in": "input", "state": "state", "out": "output",
        "one-one": "one to one", "one-many": "one to many",
        "many-one": "many to one", "many-many": "many to many: another text",
        "many-each": "many to many: at every step", "network": "network",
        "vector": "vector", "label": "label", "w": "word", "point": ".",
        "text": ["the", "cat", "sat", "on", "the", "mat"],
        "inputs": "inputs", "targets": "targets",
        "candidates": ["sat", "ran", "slept", "sang", "flew"],
        "p": "probability", "t": "temperature T", "bits": "entropy (bits)",
        "after": "after “the cat”", "spread": "the same logits, ever flatter",
    },
    "bg": {
        "in": "вход", "state": "състояние", "out": "изход",
        "one-one": "едно към едно", "one-many": "едно към много",
        "many-one": "много към едно", "many-many": "много към много: друг текст",
        "many-each": "много към много: на всяка стъпка", "network": "мрежа",
        "vector": "вектор", "label": "клас", "w": "дума", "point": ",",
        "text": ["малката", "котка", "седна", "на", "червения", "килим"],
        "inputs": "вход", "targets": "цели",
        "candidates": ["седна", "тича", "спа", "пя", "летя"],
        "p": "вероятност", "t": "температура T", "bits": "ентропия (битове)",
        "after": "след „малката котка“", "spread": "едни и същи логити, все по-равно",
    },
}  # fmt: skip
LOGITS = np.array([2.4, 1.6, 1.2, 0.2, -0.8])


def softmax(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Gives softmax(logits / T), float64."""
    weights = np.exp((logits - logits.max()) / temperature)
    return np.asarray(weights / weights.sum())


def _box(ax: Any, x: float, y: float, text: str, colour: str) -> None:
    ax.text(
        x, y, text, ha="center", va="center", fontsize=8, color="white",
        bbox={"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "none"},
    )  # fmt: skip


def _arrow(ax: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    off = 11 if start[0] == end[0] else 18  # points; a box is wider than it is high
    ax.annotate(
        "", end, start,
        arrowprops={"arrowstyle": "->", "color": GREY, "shrinkA": off, "shrinkB": off},
    )  # fmt: skip


def shapes(plt: Any, said: dict[str, Any]) -> Any:
    """Draws the four shapes, with both kinds of the last one."""
    fig, rows = plt.subplot_mosaic(
        [["one-one", "one-many", "many-one"], ["many-many", "many-many", "many-each"]],
        figsize=(8, 5.6), width_ratios=[1, 3, 3],
    )  # fmt: skip
    drawn = (
        ("one-one", 1, {0}, {0}), ("one-many", 3, {0}, {0, 1, 2}),
        ("many-one", 3, {0, 1, 2}, {2}), ("many-many", 4, {0, 1}, {2, 3}),
        ("many-each", 3, {0, 1, 2}, {0, 1, 2}),
    )  # fmt: skip
    for name, steps, inputs, outputs in drawn:
        ax = rows[name]
        for t in range(steps):
            _box(ax, t, 1, said["network"] if name == "one-one" else "LSTM", BLUE)
            if t:
                _arrow(ax, (t - 1, 1), (t, 1))
            if t in inputs:
                _box(ax, t, 0, said["vector"] if name == "one-many" else said["w"], GREEN)
                _arrow(ax, (t, 0), (t, 1))
            if t in outputs:
                _box(ax, t, 2, said["label"] if name == "many-one" else said["w"], ORANGE)
                _arrow(ax, (t, 1), (t, 2))
        ax.set(xlim=(-0.6, steps - 0.4), ylim=(-0.5, 2.5), title=said[name])
        ax.axis("off")
    return fig


def shift(plt: Any, said: dict[str, Any]) -> Any:
    """Draws teacher forcing: inputs and targets shifted by one."""
    words = said["text"]
    fig, ax = plt.subplots(figsize=(8, 2.8))
    for t in range(len(words) - 1):
        _box(ax, t, 0, words[t], GREEN)
        _box(ax, t, 1, "LSTM", BLUE)
        _box(ax, t, 2, words[t + 1], ORANGE)
        _arrow(ax, (t, 0), (t, 1))
        _arrow(ax, (t, 1), (t, 2))
        if t:
            _arrow(ax, (t - 1, 1), (t, 1))
    for y, name in enumerate(("inputs", "state", "targets")):
        ax.text(-0.75, y, said[name], ha="right", va="center", color=GREY)
    ax.set(xlim=(-1.6, len(words) - 1.4), ylim=(-0.4, 2.4))
    ax.axis("off")
    return fig


def temperature(plt: Any, said: dict[str, Any]) -> Any:
    """Draws the probabilities of five words at four temperatures, and the entropy against T."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=[3, 2])
    colours, hatches = (BLUE, ORANGE, GREEN, "#CC79A7"), ("", "//", "..", "xx")
    places = np.arange(len(LOGITS))
    for i, t in enumerate((0.2, 0.5, 1.0, 2.0)):
        label = f"T = {t:g}".replace(".", said["point"])
        left.bar(
            places + 0.2 * i - 0.3, softmax(LOGITS, t), 0.2, label=label,
            color=colours[i], hatch=hatches[i], edgecolor="white",
        )  # fmt: skip
    left.set_xticks(places, said["candidates"])
    left.set(ylabel=said["p"], title=said["after"])
    left.legend()
    ts = np.linspace(0.05, 4, 80)
    entropies = [
        -np.sum(p * np.log2(np.maximum(p, 1e-300))) for p in (softmax(LOGITS, t) for t in ts)
    ]
    right.plot(ts, entropies, color=BLUE)
    right.axhline(np.log2(len(LOGITS)), color=GREY, linestyle="--", label="log₂ 5")
    right.set(xlabel=said["t"], ylabel=said["bits"], title=said["spread"], ylim=(0, 2.6))
    right.legend(loc="lower right")
    return fig


PICTURES = {"shapes": shapes, "shift": shift, "temperature": temperature}


def make(folder: Path) -> list[Path]:
    """Makes all pictures in all languages."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with mpl.rc_context():  # independent of what was set before in this process
        mpl.rcdefaults()
        mpl.rcParams.update({"svg.hashsalt": "textmill", "svg.fonttype": "none", "font.size": 9})
        for language, said in WORDS.items():
            for name, draw in PICTURES.items():
                fig = draw(plt, said)
                fig.set_layout_engine("tight")
                fig.patch.set_facecolor("white")
                path = folder / f"{name}{'' if language == 'en' else '.' + language}.svg"
                fig.savefig(path, bbox_inches="tight", metadata={"Date": None, "Creator": None})
                plt.close(fig)
                made.append(path)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Makes the files."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.notebook.pictures", description="Makes them."
    )
    parser.add_argument("--folder", type=Path, default=FOLDER)
    for path in make(parser.parse_args(argv).folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
