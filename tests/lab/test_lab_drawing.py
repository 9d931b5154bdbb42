"""The pictures of the notebook that are more than a few lines."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest

from lab.notebook.drawing import band, coloured_text, dots, gate_rows, laid_out
from lab.notebook.inside import Record
from lab.notebook.spread import over_seeds, spread

TOKENS = ["“", "■Pay", "$100", "■$", "■now", "■!", "■”", "<b>", "said", "$x^2$", "■.", "дума"]


@pytest.fixture
def plt():
    with mpl.rc_context():
        mpl.use("agg")
        import matplotlib.pyplot as plt

        yield plt
        plt.close("all")


def drawn(fig):
    fig.savefig(io.BytesIO(), format="png")
    texts = []
    for ax in fig.axes:
        texts += ax.texts
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            texts += [
                tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high
            ]
    boxes = [
        text.get_window_extent()
        for text in texts
        if text.get_text() and text.get_visible() and text.get_rotation() == 0
    ]
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            down = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert across <= 1 or down <= 1, "two texts overlap"


def test_a_text_is_set_into_lines():
    places = laid_out(["One", "■,", "two", "three", "■" * 2, "a" * 30], columns=10)
    assert [word for *_, word in places] == ["One", ",", "two", "three", "■", "a" * 10]
    assert [place[:2] for place in places] == [(0, 0), (0, 3), (0, 5), (1, 0), (1, 5), (2, 0)]
    assert laid_out(["■"]) == [(0, 0, "■")]


def test_a_text_in_colours_shows_its_words_as_they_are(plt):
    truth = np.array([token != "дума" for token in TOKENS])
    fig = coloured_text(TOKENS, np.linspace(0, 1, len(TOKENS)), truth, title="unit 3: speech")
    ax = fig.axes[0]
    assert [text.get_text() for text in ax.texts] == [token.removeprefix("■") for token in TOKENS]
    assert not any(text.get_parse_math() for text in ax.texts)  # dollars are dollars
    assert len(ax.lines) == truth.sum()  # underlined
    red, _, blue = ax.patches[0].get_facecolor()[:3]
    assert red > blue  # orange where it is smallest
    red, _, blue = ax.patches[-1].get_facecolor()[:3]
    assert red < blue
    drawn(fig)


def test_words_are_as_wide_as_their_boxes(plt):
    fig = coloured_text(["mmmmmmmmmm", "iiiiiiiiii"], np.zeros(2), np.zeros(2, bool), title="")
    drawn(fig)
    ax = fig.axes[0]
    for text, box in zip(ax.texts, ax.patches, strict=True):
        assert text.get_window_extent().width == pytest.approx(
            box.get_window_extent().width, rel=0.05
        )


def test_gates_word_by_word(plt):
    random = np.random.default_rng(0)
    shape = (len(TOKENS), 4)
    gates = [random.uniform(0, 1, shape) for _ in range(3)]
    i, f, o = gates
    h, g = (random.uniform(-1, 1, shape) for _ in range(2))
    c = random.uniform(8, 12, shape)  # tanh is 1
    record = Record(x=np.zeros(shape), h=h, c=c, i=i, f=f, g=g, o=o)
    fig = gate_rows(record, 2, TOKENS, title="unit 2")
    panels, bottom = fig.axes[:3], fig.axes[2]
    for ax, rows in zip(panels, ([i, f, o], [c], [g, h]), strict=True):
        assert np.asarray(ax.images[0].get_array()) == pytest.approx(np.array(rows)[:, :, 2])
    drawn(fig)
    shades = panels[1].images[0].norm(c[:, 2])
    assert (shades.min(), shades.max()) == (0, 1)  # from its least to its most
    assert not any(label.get_parse_math() for label in bottom.get_xticklabels())
    names = [label.get_text() for label in bottom.get_xticklabels()]
    assert names == [token.removeprefix("■") for token in TOKENS]
    flat = Record(**{name: np.ones(shape) for name in "xhcifgo"})
    drawn(gate_rows(flat, 2, TOKENS, title="a unit that never changes"))


def test_dots_and_bands_have_the_mean_and_the_range(plt):
    rows = {
        "greedy": (spread([-1.0]), spread([0.5])),
        "the book": (spread([-4.0]), spread([0.0])),
        "temperature 1": (spread([-5.0, -3.0, -4.3]), spread([0.1, 0.0, 0.3])),
    }
    fig = dots(rows, ["log p", "repeated"], marked="the book", title="40 words")
    bar, dot = fig.axes[0].lines[4:6]
    assert bar.get_xdata().tolist() == [-5, -3]
    assert dot.get_xdata() == pytest.approx(-4.1)
    drawn(fig)
    fig, ax = plt.subplots()
    band(ax, [1, 2], spread([[1, 2], [3, 6]]), label="x")
    assert ax.lines[0].get_ydata().tolist() == [2, 4]
    assert ax.collections[0].get_paths()[0].get_extents().bounds == (1, 1, 1, 5)


def test_a_spread_is_over_the_seeds():
    found = over_seeds(lambda seed: [seed, seed**2], range(4))
    assert found.mean.tolist() == [1.5, 3.5]
    assert found.low.tolist() == [0, 0]
    assert found.high.tolist() == [3, 9]
    assert str(spread([1, 2])) == "1.50 (1.00 to 2.00)"
    with pytest.raises(ValueError, match="single"):
        str(found)
