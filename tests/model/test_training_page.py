"""training.html: its figures, its pictures, and how it looks in a browser."""

from __future__ import annotations

import math
import re

import pytest
from pages import EVIL, Tags, across, look, open_browser, pictures, points, unfold

from textmill.model.pages.pieces import rounded, shown
from textmill.model.pages.training_page import training_page


def row(epoch, train, valid, **more):
    return {
        "epoch": epoch,
        "seconds": epoch**2 * 7.5,
        "train_perplexity": train,
        "valid_perplexity": valid,
        **more,
    }


HISTORY = [row(1, 400.0, 200.0), row(2, 150.0, 101.5), row(3, 60.0, 120.0)]


def test_the_page_has_a_point_for_each_row():
    page = training_page({"history": HISTORY}, "A title")
    Tags(page)
    epochs, seconds = pictures(page)
    for svg, stretch in ((epochs, 1), (seconds, 5 / 3)):
        assert svg.get("role") == "img"
        title, desc = svg.get("aria-labelledby").split()
        assert svg.find("title").get("id") == title
        assert svg.find("desc").get("id") == desc
        assert "The best validation is 101.5" in svg.find("desc").text
        valid = points(svg, "valid")
        assert len(valid) == len(points(svg, "train")) == 3
        assert points(svg, "best") == [valid[1]]
        (x0, y0), (x1, y1), (x2, y2) = valid
        assert x2 - x1 == pytest.approx((x1 - x0) * stretch, abs=0.3)
        assert x0 < x1
        # Log scale, better is lower.
        assert (y2 - y1) / (y0 - y1) == pytest.approx(
            math.log(120 / 101.5) / math.log(200 / 101.5), abs=0.01
        )
        assert y0 < y1 > y2
    assert {svg.find("title").text for svg in (epochs, seconds)} == {
        "Perplexity over epochs",
        "Perplexity over seconds",
    }
    idents = re.findall(r' id="([^"]*)"', page)
    assert len(idents) == len(set(idents)) == 4


def test_the_numbers_stand_in_a_table():
    cells = Tags(training_page({"history": HISTORY}, "t")).cells
    assert cells[:4] == ["1", "7.5", "400", "200"]
    assert cells == [rounded(value) for row in HISTORY for value in row.values()]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (6.578052e-05, "0.0000658"),
        (0.0038690020850960707, "0.003869"),
        (0.5, "0.5"),
        (157.876, "157.9"),
        (1204.6, "1,205"),
        (93542, "93,542"),
        (-0.0375, "-0.0375"),
        (0.0, "0"),
        (1e-300, "1e-300"),
        (math.nan, "nan"),
        (None, "–"),
        (True, "yes"),
        ([0.5, 10_000], "0.5, 10,000"),
        ([], "–"),
        ("0123456789abcdef" * 4, f'<code class="number" title="{"0123456789abcdef" * 4}">'
         "0123456789ab…</code>"),
    ],
)  # fmt: skip
def test_figures_for_people(value, told):
    assert shown(value) == told


def test_a_seed_can_be_copied():
    page = training_page({"settings": {"seed": 1234567, "max_size": 50000}}, "t")
    assert Tags(page).cells == ["1234567", "50,000"]


METRICS = {
    "test_perplexity": 74.414, "valid_perplexity": 77.573, "test_unknown_rate": 0.04756,
    "train_words": 93542, "vocabulary": 2895, "seconds": 754.0, "stopped": "minutes", "own": 1.5,
}  # fmt: skip


def test_a_summary_stands_on_top():
    page = training_page(
        {"metrics": METRICS, "corpus": {"sources": [{"name": f"{i}.txt"} for i in range(5)]}}, "t"
    )
    text = " ".join(" ".join(Tags(page).texts).partition("no validation")[0].split())
    for told in (
        "It learned from 0.txt, 1.txt, 2.txt and 2 more files. It stopped when its time was over.",
        "test perplexity 74.41", "unknown words in the test 4.8%", "words to learn from 93,542",
        "time 12.6 min",
    ):  # fmt: skip
        assert told in text
    assert Tags(page).cells[:8][-1] == "1.5"
    page = training_page(
        {"metrics": METRICS, "settings": {"vocabulary": {"level": "char"}}}, "t"
    )  # fmt: skip
    assert "characters to learn from" in page


def test_samples_of_three_validations_are_open_and_the_others_behind_a_fold():
    samples = [
        {"epoch": epoch, "temperature": t, "text": f"text {epoch} {t}"}
        for epoch in range(1, 8)
        for t in (0.5, 1.0)
    ]
    history = [row(epoch, 9.0, abs(epoch - 6) + 2.0) for epoch in range(1, 8)]
    page = training_page({"samples": samples, "history": history}, "t")
    page = page[page.index("<h2>Samples") :]
    open_ones, folded = page.split("<details>", 1)
    assert re.findall(r"text (\d) 0.5", open_ones) == ["1", "4", "7"]
    assert folded.startswith("<summary>Samples of the 4 other validations</summary>")
    assert re.findall(r"text (\d) 1.0", folded) == ["2", "3", "5", "6"]
    assert "<h3>Epoch 6, the best validation</h3>" in folded


LONG = {
    "history": [
        row(e / 3, 4000 / e, 3000 / e, step=e * 1234, learning_rate=6.578052e-05 / e)
        for e in range(1, 31)
    ],
    "samples": [
        {"epoch": e / 3, "temperature": t, "text": "Donaudampfschifffahrt" * 9}
        for e in range(1, 31)
        for t in (0.5, 0.8, 1.0)
    ],
    "metrics": METRICS,
    "settings": {"minutes": 5.0, "sha256": "0123456789abcdef" * 4, EVIL: EVIL, "x" * 60: 1234.5},
    "corpus": {"sources": [{"name": "n" * 200, "bytes": 123456789}]},
    "machine": EVIL,
}


def test_in_a_browser(tmp_path):
    path = tmp_path / "training.html"
    path.write_text(training_page(LONG, f"How {'m' * 90} was trained"), "utf-8")
    with open_browser() as browser:
        for width in (360, 390, 1180):
            for scheme in ("light", "dark"):
                look(browser, path, width=width, scheme=scheme)
                height = browser.execute_script("return document.documentElement.scrollHeight")
                assert height < 5_000
                unfold(browser)
                assert across(browser) <= width
        assert browser.get_log("browser") == []
        look(browser, path, width=390)
        unfold(browser)
        # A number stands on one line, wherever it is.
        broken = browser.execute_script(
            "return [...document.querySelectorAll('dd, .numbers th, .numbers td, td.number')]"
            ".filter(e => /^-?[0-9]/.test(e.textContent) && (() => {"
            "  const r = document.createRange(); r.selectNodeContents(e);"
            "  return new Set([...r.getClientRects()].map(b => Math.round(b.top))).size > 1"
            "})()).map(e => e.textContent)"
        )
        assert broken == []


def test_the_learning_rate_is_drawn_where_it_is_known():
    rates = [0.001, 0.0005, 0.0001]
    history = [{**row, "learning_rate": rate} for row, rate in zip(HISTORY, rates, strict=True)]
    page = training_page({"history": history}, "t")
    *_, svg = pictures(page)
    assert svg.find("title").text == "Learning rate over epochs"
    ys = [y for _, y in points(svg, "valid")]
    assert (ys[2] - ys[0]) / (ys[1] - ys[0]) == pytest.approx(0.9 / 0.5, abs=0.01)
    assert points(svg, "best") == []


def test_all_text_is_escaped():
    page = training_page(
        {
            "corpus": {"sources": [{"name": EVIL}]},
            "settings": {EVIL: {"inner": EVIL}},
            "history": [{**HISTORY[0], EVIL: EVIL, "epoch": EVIL}, HISTORY[1]],
            "metrics": {EVIL: EVIL},
            "versions": {"keras": EVIL},
            "machine": EVIL,
            "samples": [{"epoch": EVIL, "temperature": EVIL, "text": EVIL}],
        },
        EVIL,
    )
    tags = Tags(page)
    assert "script" not in {tag for tag, _ in tags.seen}
    assert EVIL not in page
    # Title, heading, corpus twice, setting and its name, column, cell, epoch, figure, version...
    assert "".join(tags.texts).count(EVIL) == 16
    pictures(page)


def test_the_page_needs_nothing_but_itself():
    page = training_page({"history": HISTORY, "settings": {"a": 1}}, "t")
    for _, attributes in Tags(page).seen:
        assert not {"src", "href", "srcset", "data"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page


def test_samples_and_settings_are_shown():
    page = training_page(
        {
            "settings": {"batch": 32, "minutes": None, "vocabulary": {"level": "word"}},
            "samples": [{"epoch": 2.5, "temperature": 0.8, "text": "Once  upon\na time"}],
        },
        "t",
    )
    tags = Tags(page)
    text = "".join(tags.texts)
    assert "Once  upon\na time" in text
    assert "Epoch 2.5" in text
    assert "temperature 0.8" in text
    assert "vocabulary, level" in text
    assert tags.cells == ["32", "–", "word"]


@pytest.mark.parametrize("training", [{}, {"history": [], "samples": [], "metrics": {}}])
def test_a_page_without_history(training):
    page = training_page(training, "t")
    Tags(page)
    assert "no validation" in page
    assert pictures(page) == []


@pytest.mark.parametrize("value", [1.0, 57.25, 1e-300, 1e304])
def test_a_page_of_one_row(value):
    page = training_page({"history": [row(1, value, value)]}, "t")
    Tags(page)
    for svg in pictures(page):
        assert len(points(svg, "valid")) == len(points(svg, "train")) == 1
        assert all(0 < x < 640 and 0 < y < 300 for x, y in points(svg, "valid"))
        labels = [text for text in svg.iter("text") if text.get("text-anchor") == "end"]
        assert 1 <= len(labels) <= 12


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, 0.0, -3, "x", True])
def test_what_is_no_perplexity_breaks_the_line(bad):
    history = [*HISTORY, row(4, 50.0, bad), row(5, 45.0, 110.0)]
    page = training_page({"history": history}, "t")
    tags = Tags(page)
    svg = pictures(page)[0]
    assert len(points(svg, "train")) == 5
    assert len(points(svg, "valid")) == 4
    lines = [line.get("class") for line in svg.iter("polyline")]
    assert lines == ["curve train", "curve valid", "curve valid"]
    assert "nan" not in svg.find("desc").text
    assert len(tags.cells) == 20


def test_nothing_to_draw_is_said():
    page = training_page({"history": [row(1, math.nan, math.inf)]}, "t")
    Tags(page)
    assert pictures(page) == []
    assert page.count("there is no number to show") == 2
    assert {"nan", "inf"} <= set(Tags(page).cells)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (50, 80, [50, 60, 70, 80]),
        (15, 160, [20, 50, 100]),
        (1, 1e304, [10.0**k for k in range(0, 305, 39)]),
        (98.2, 98.9, [98.2, 98.4, 98.6, 98.8]),
    ],
)
def test_ticks_are_few_round_numbers(low, high, expected):
    page = training_page({"history": [row(1, low, low), row(2, high, high)]}, "t")
    labels = [
        float(text.text.replace(",", ""))
        for text in pictures(page)[0].iter("text")
        if text.get("text-anchor") == "end"
    ]
    assert labels == pytest.approx(expected)
