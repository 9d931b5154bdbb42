"""What watching a training shows: samples, ranks, TensorBoard's files, the page."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import reference
from pages import EVIL, Tags, across, look, open_browser, pictures, points, unfold

from textmill.model.errors import TextmillError
from textmill.model.network.lstm import LanguageModel
from textmill.model.pages.pieces import rounded, shown
from textmill.model.pages.training_page import training_page
from textmill.model.text.split import END, Part
from textmill.model.text.vocabulary import EOS, PAD, RESERVED, UNKNOWN
from textmill.model.training.tensorboard import Watch, glimpse, ranks, rows_of

WORDS = ["a", "b", "c", "d", "e", "f", "g", "h"]
ADAPTIVE = {"cutoffs": (5, 8), "tail_widths": (4, 2)}


@pytest.fixture
def make_network(make_model):
    """Makes a network of random or given weights, its vocabulary and its arrays."""

    def make(**settings):
        model = make_model(WORDS, **settings)
        network = LanguageModel(model.network)
        network.build()
        network.assign_arrays(model.arrays)
        return network, model.vocabulary, model.arrays

    return make


def biased(make_network, probabilities):
    """A network that draws its words from these probabilities, whatever came before."""
    bias = np.full(len(WORDS) + 3, -50.0, np.float32)
    for word, p in probabilities.items():
        bias[[*RESERVED, *WORDS].index(word)] = np.log(p)
    return make_network(arrays={"embedding": np.zeros((11, 8), np.float32), "output_bias": bias})


# -- samples ---------------------------------------------------------------------------------------


def test_a_glimpse_never_draws_pad_or_unknown(make_network):
    chances = {"<pad>": 0.5, "<unk>": 0.4, "a": 0.07, "b": 0.03}
    network, vocabulary, _ = biased(make_network, chances)
    for temperature in (0, 0.5, 1.0):
        text = glimpse(network, vocabulary, temperature=temperature, words=50, seed=0)
        assert len(text.split()) == 50
        assert set(text.split()) <= {"a", "b"}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_glimpse_follows_the_temperature(make_network, temperature):
    network, vocabulary, _ = biased(make_network, {"a": 0.6, "b": 0.3, "c": 0.1})
    text = glimpse(network, vocabulary, temperature=temperature, words=600, seed=1)
    p = reference.filtered(np.log([0.6, 0.3, 0.1]), temperature=temperature)
    reference.assert_follows(["abc".index(word) for word in text.split()], p)


def test_a_glimpse_is_a_function_of_the_seed(make_network):
    network, vocabulary, _ = make_network(scale=0.1)
    texts = [
        glimpse(network, vocabulary, temperature=1.0, words=20, seed=seed) for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_glimpse_ends_at_eos(make_network):
    network, vocabulary, _ = biased(make_network, {"a": 0.9, "<eos>": 0.1})
    lengths = [
        len(glimpse(network, vocabulary, temperature=1.0, words=40, seed=seed).split())
        for seed in range(12)
    ]
    assert min(lengths) < 10 < max(lengths) <= 40


def greedy(arrays, layers, state, words, label=None):
    """The most probable words after `<eos>`, by the reference."""
    token, drawn = EOS, []
    for _ in range(words):
        logits, state = reference.step(arrays, layers, token, state, label)
        logits[[PAD, UNKNOWN]] = -np.inf
        token = int(np.argmax(logits))
        if token == EOS:
            break
        drawn.append(token)
    return drawn


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_word_is_read_once(make_network, seed):
    network, vocabulary, arrays = make_network(seed=seed, scale=1.0, layers=2, hidden=6)
    expected = greedy(arrays, 2, reference.zeros(network.settings), 25)
    text = glimpse(network, vocabulary, temperature=0, words=25, seed=0)
    assert text == vocabulary.decode(expected)
    # Nearly 0 is greedy too, and must not overflow.
    assert glimpse(network, vocabulary, temperature=1e-300, words=25, seed=0) == text


def test_labels_start_from_the_first(make_network):
    network, vocabulary, arrays = make_network(seed=4, scale=1.0, labels=("x", "y"))
    start = reference.start(arrays, network.settings, 0)
    text = glimpse(network, vocabulary, temperature=0, words=25, seed=0)
    assert text == vocabulary.decode(greedy(arrays, 1, start, 25, label=0))
    assert text != vocabulary.decode(greedy(arrays, 1, reference.zeros(network.settings), 25))


# -- ranks -----------------------------------------------------------------------------------------


def brute_force_ranks(logits_of, state, ids):
    token, found = EOS, []
    for target in ids:
        logits, state = logits_of(token, state)
        found.append(sum(other > logits[target] for other in logits))
        token = target
    return found


@pytest.mark.parametrize("layers", [1, 2])
def test_ranks_of_a_dense_output(make_network, layers):
    network, _, arrays = make_network(seed=5, scale=1.0, layers=layers, hidden=6)
    ids = np.random.default_rng(0).integers(1, 11, 150)  # three windows, the last not full
    expected = brute_force_ranks(
        lambda token, state: reference.step(arrays, layers, token, state),
        reference.zeros(network.settings),
        ids,
    )
    found = ranks(network, ids)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)


def test_ranks_of_an_adaptive_output(make_network):
    network, _, arrays = make_network(seed=6, scale=1.0, **ADAPTIVE)

    def logits_of(token, state):
        _, after = reference.step(arrays, 1, token, state)
        h, _ = after[0]
        return reference.adaptive_log_probabilities(arrays, network.settings, h), after

    ids = np.random.default_rng(1).integers(1, 11, 80)
    expected = brute_force_ranks(logits_of, reference.zeros(network.settings), ids)
    np.testing.assert_array_equal(ranks(network, ids), expected)


def test_texts_of_their_own_each_start_anew(make_network):
    network, _, _ = make_network(seed=7, scale=1.0)
    rows = [np.array([3, 4, 5, EOS]), np.array([6, EOS]), np.array([7, 8, EOS])]
    filled = np.full((3, 4), PAD)
    for i, row in enumerate(rows):
        filled[i, : len(row)] = row
    expected = np.concatenate([ranks(network, row) for row in rows])
    np.testing.assert_array_equal(ranks(network, filled), expected)


def test_parts_as_ranks_takes_them(make_network):
    _, vocabulary, _ = make_network()
    ids = np.array([0, 1, END, 2, END])
    words = ["b", "a", "rare"]
    stream = Part(ids, None, None, words)
    np.testing.assert_array_equal(rows_of(stream, vocabulary), [4, 3, EOS, UNKNOWN, EOS])
    lines = Part(ids[[0, 1, 3]], np.array([2, 1]), ["y", "x"], words)
    np.testing.assert_array_equal(rows_of(lines, vocabulary), [[4, 3, EOS], [UNKNOWN, EOS, PAD]])
    np.testing.assert_array_equal(rows_of(lines, vocabulary, label="x"), [[UNKNOWN, EOS]])
    # A label that no line has leaves all lines.
    assert rows_of(lines, vocabulary, label="z").shape == (2, 3)


# -- TensorBoard -----------------------------------------------------------------------------------


def events(folder):
    import tensorflow as tf

    (path,) = folder.iterdir()
    return [
        (event.step, value)
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]


def test_logs_hold_scalars_samples_and_ranks(make_network, tmp_path):
    import tensorflow as tf

    network, vocabulary, _ = make_network(seed=8)
    ids = np.random.default_rng(2).integers(1, 11, 2_500)
    watch = Watch(str(tmp_path / "logs"), vocabulary, temperatures=(0.5, 1.0), words=5)
    for step in (3, 9):
        watch(step, {"train_perplexity": 20.5, "valid_perplexity": 30.25}, network, ids)
    rows = events(tmp_path / "logs")
    plugins = {
        "train_perplexity": "scalars",
        "valid_perplexity": "scalars",
        "sample/temperature_0.5": "text",
        "sample/temperature_1": "text",
        "log2_rank": "histograms",
    }
    assert [(step, value.tag) for step, value in rows] == [
        (step, tag) for step in (3, 9) for tag in plugins
    ]
    # The metadata goes with the first of each tag.
    told = {value.tag: value.metadata.plugin_data.plugin_name for _, value in rows[:5]}
    assert told == plugins
    assert [value.metadata.data_class for _, value in rows[:5]] == [1, 1, 2, 2, 2]
    assert "log2(rank + 1)" in rows[4][1].metadata.summary_description
    at_9 = {value.tag: tf.make_ndarray(value.tensor) for step, value in rows if step == 9}
    assert at_9["valid_perplexity"] == 30.25
    text = glimpse(network, vocabulary, temperature=0.5, words=5, seed=0)
    assert at_9["sample/temperature_0.5"].item().decode() == text != ""
    found = ranks(network, ids[:2_000])
    expected = [
        (k, k + 1, sum(2**k <= rank + 1 < 2 ** (k + 1) for rank in found)) for k in range(4)
    ]
    np.testing.assert_array_equal(at_9["log2_rank"], expected)


def test_few_words_of_many_texts_are_ranked(make_network, tmp_path):
    import tensorflow as tf

    network, vocabulary, _ = make_network(seed=9)
    ids = np.full((300, 40), PAD)
    ids[:, :10] = np.random.default_rng(3).integers(1, 11, (300, 10))
    Watch(str(tmp_path / "logs"), vocabulary, words=1)(1, {}, network, ids)
    histogram = tf.make_ndarray(events(tmp_path / "logs")[-1][1].tensor)
    assert histogram[:, 2].sum() == 2_000


def test_a_folder_that_cannot_be_written(make_network, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        TextmillError, match=r"cannot write TensorBoard logs to .*file/x: Not a dir"
    ):
        Watch(str(tmp_path / "file" / "x"), make_network()[1])


# -- the page --------------------------------------------------------------------------------------


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
