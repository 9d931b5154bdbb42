"""The notebook's pictures that take more than a few lines. Colours are those of `pictures`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.language import say
from lab.notebook.inside import Record
from lab.notebook.pictures import BLUE, ORANGE
from lab.notebook.spread import Spread

_COLUMNS = 96  # characters of a line of text
_WIDTH = 9.6  # inches of it
# A character of DejaVu Sans Mono, which matplotlib brings along, is 0.602 of its size wide.
_SIZE = _WIDTH * 72 / _COLUMNS / 0.602
_LINE = 0.26  # inches from line to line


def diverging() -> Any:
    """Orange below zero, white, blue above: colours that all can tell apart, under black text."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("orange-blue", ["#E8955A", "#FFFFFF", "#5CA6D1"])


def laid_out(tokens: Sequence[str], columns: int = _COLUMNS) -> list[tuple[int, int, str]]:
    """Sets a text into lines: (line, column, word) of each token, without its mark.

    A word longer than a line is cut.
    """
    found, line, column = [], 0, 0
    for token in tokens:
        word = token[1:] if token.startswith("■") and len(token) > 1 else token
        word = word[:columns]
        column += int(column > 0 and not token.startswith("■"))
        if column + len(word) > columns:
            line, column = line + 1, 0
        found.append((line, column, word))
        column += len(word)
    return found


def coloured_text(
    tokens: Sequence[str], shares: np.ndarray, truth: np.ndarray, *, title: str
) -> Any:
    """Draws a text coloured by a number of a unit; the words where `truth` holds are underlined.

    Args:
        tokens: N of them.
        shares: of words at which the number is smaller, from 0 to 1, [N]; see `inside.share_below`.
        truth: bool [N].
        title: of the picture.
    """
    import matplotlib.pyplot as plt
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    places = laid_out(tokens)
    lines = places[-1][0] + 1
    height = lines * _LINE + 1.2  # room for the title and the bar of colours
    across = _WIDTH + 0.4
    fig = plt.figure(figsize=(across, height))
    ax = fig.add_axes((0.2 / across, 0.8 / height, _WIDTH / across, 1 - 1.2 / height))
    colours = ScalarMappable(Normalize(0, 1), diverging())
    for (line, column, word), share, true in zip(places, shares, truth, strict=True):
        fill = colours.to_rgba(np.asarray(share))
        ax.add_patch(Rectangle((column, line), len(word), 0.82, facecolor=fill))
        ax.text(
            column, line + 0.41, word, family="DejaVu Sans Mono", fontsize=_SIZE, va="center",
            parse_math=False,
        )  # fmt: skip
        if true:
            ax.plot([column, column + len(word)], [line + 0.9] * 2, color="black", linewidth=1.5,
                    linestyle="-", solid_capstyle="butt")  # fmt: skip
    ax.set(xlim=(0, _COLUMNS), ylim=(lines, -0.1), title=title)
    ax.axis("off")
    bar = fig.add_axes((0.3, 0.53 / height, 0.4, 0.13 / height))
    fig.colorbar(colours, cax=bar, orientation="horizontal", ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.set_xlabel(say("share of words at which it is smaller"), fontsize=8)
    return fig


def gate_rows(record: Record, unit: int, tokens: Sequence[str], *, title: str) -> Any:
    """Draws the gates and the state of one unit, word by word.

    Args:
        record: of these tokens alone, or cut to them: [N, H].
        unit: which.
        tokens: N of them, a sentence.
        title: of the picture.
    """
    import matplotlib.pyplot as plt

    gates = {"input i": record.i, "forget f": record.f, "output o": record.o}
    kept = record.c[:, unit]
    panels = (
        (gates, 0, 1, "Blues"),
        # c has no bounds: colours from its least to its most show where it changes.
        ({"kept c": record.c}, kept.min(), max(kept.max(), kept.min() + 1e-6), "Blues"),
        ({"written g": record.g, "shown h": record.h}, -1, 1, diverging()),
    )
    fig, axes = plt.subplots(
        3, 1, figsize=(max(6.0, 0.42 * len(tokens) + 1.8), 4.4), sharex=True, layout="constrained",
        height_ratios=[len(rows) for rows, *_ in panels],
    )  # fmt: skip
    for ax, (rows, low, high, colours) in zip(axes, panels, strict=True):
        table = np.array([each[:, unit] for each in rows.values()])
        image = ax.imshow(table, vmin=low, vmax=high, cmap=colours, aspect="auto")
        fig.colorbar(image, ax=ax)
        ax.set_yticks(range(len(rows)), [say(name) for name in rows])
        ax.grid(visible=False)
        for row, column in np.ndindex(*table.shape):
            dark = colours == "Blues" and table[row, column] > low + 0.6 * (high - low)
            ax.text(
                column, row, f"{table[row, column]:.1f}".replace("-0.0", "0.0"), ha="center",
                va="center", fontsize=8, color="white" if dark else "black",
            )  # fmt: skip
    names = [token.lstrip("■") or token for token in tokens]
    axes[-1].set_xticks(range(len(tokens)), names)
    for label in axes[-1].get_xticklabels():
        label.set(parse_math=False, rotation=60, ha="right", rotation_mode="anchor")
    axes[0].set_title(title)
    return fig


def band(ax: Any, x: Sequence[float], values: Spread, **how: Any) -> None:
    """Draws the means as a line, and the range as a band of its colour."""
    (line,) = ax.plot(x, values.mean, **how)
    ax.fill_between(x, values.low, values.high, color=line.get_color(), alpha=0.2, linewidth=0)


def dots(
    rows: Mapping[str, Sequence[Spread]], names: Sequence[str], *, marked: str, title: str
) -> Any:
    """Draws a panel for each measure, with a row for each way: its mean, and its range as a bar.

    Args:
        rows: the measures of each way.
        names: of the measures.
        marked: the way to compare with; a dashed line goes through it.
        title: of the picture.
    """
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(
        1, len(names), figsize=(10, 0.42 * len(rows) + 1.5), sharey=True, layout="constrained"
    )
    ways = list(rows)
    for i, (ax, name) in enumerate(zip(axes, names, strict=True)):
        for place, way in enumerate(ways):
            found = rows[way][i]
            colour = ORANGE if way == marked else BLUE
            ax.plot([found.low, found.high], [place] * 2, color=colour, linestyle="-", linewidth=4,
                    alpha=0.4)  # fmt: skip
            ax.plot(
                found.mean, place, color=colour, linestyle="", markersize=8,
                marker="D" if way == marked else "o",
            )  # fmt: skip
        ax.axvline(float(rows[marked][i].mean), color=ORANGE, linestyle="--", linewidth=1)
        ax.set(xlabel=name)
    axes[0].set_yticks(range(len(ways)), ways)
    axes[0].invert_yaxis()
    fig.suptitle(title)
    return fig
