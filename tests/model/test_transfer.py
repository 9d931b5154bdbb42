"""A model carried over to another corpus: `textmill train --init-from`."""

from __future__ import annotations

import numpy as np
import pytest

from textmill.model.errors import TextmillError, UsageError
from textmill.model.network.context import Context
from textmill.model.network.directory import SavedModel, load_model, weight_shapes
from textmill.model.settings import NetworkSettings, TrainSettings, VocabularySettings
from textmill.model.text.corpus import CorpusSettings
from textmill.model.text.vocabulary import RESERVED, Vocabulary
from textmill.model.training.train import train_model
from textmill.model.training.transfer import check_choices, transfer


def vocabulary(words, counts, level="word"):
    return Vocabulary(level=level, words=[*RESERVED, *words], counts=[0, 5, 7, *counts])


def untrained(*, labels=(), adaptive=False):
    words = [f"w{i}" for i in range(17)]
    counts = [max(40 - 2 * i, 1) for i in range(17)]
    network = NetworkSettings(
        vocabulary=20, embedding=6, hidden=8, context=len(labels),
        cutoffs=(8, 14) if adaptive else (), tail_widths=(3, 2) if adaptive else (),
    )  # fmt: skip
    random = np.random.default_rng(0)
    arrays = {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in weight_shapes(network).items()
    }
    smoothed = (np.array([0, 5, 7, *counts]) + 1.0) / (sum(counts) + 12 + 20)
    arrays["output_bias"] = np.log(smoothed).astype(np.float32)
    return SavedModel(
        network=network, vocabulary=vocabulary(words, counts), mode="lines", labels=labels,
        arrays=arrays, training={},
    )  # fmt: skip


@pytest.mark.parametrize("adaptive", [False, True], ids=["dense", "adaptive"])
def test_old_words_stay_and_new_ones_follow(adaptive):
    old = untrained(labels=("a", "b"), adaptive=adaptive)
    learned = vocabulary(["new", "w3", "newer"], [9, 4, 2])
    start = transfer(old, learned, Context(("b", "c")), seed=1)
    assert start.vocabulary.words == (*old.vocabulary.words, "new", "newer")
    counts = dict(zip(start.vocabulary.words, start.vocabulary.counts, strict=True))
    assert (counts["w3"], counts["new"], counts["newer"], counts["<eos>"]) == (34 + 4, 9, 2, 14)
    assert start.context.labels == ("a", "b", "c")
    assert {name: array.shape for name, array in start.arrays.items()} == weight_shapes(
        start.network
    )
    for name, array in old.arrays.items():
        kept = start.arrays[name][tuple(slice(n) for n in array.shape)]
        np.testing.assert_array_equal(kept, array)
        assert start.arrays[name].dtype == np.float32
    if adaptive:
        assert start.network.tails == ((8, 14, 3), (14, 22, 2))


def test_a_new_word_is_as_likely_as_it_is_frequent():
    old = untrained()
    start = transfer(old, vocabulary(["new", "newer"], [9, 2]), Context(), seed=0)
    # Biases of the old words are their log shares, so those of the new ones are theirs.
    shares = (np.array([9, 2]) + 1) / (9 + 2 + 12 + 5)
    np.testing.assert_allclose(start.arrays["output_bias"][20:], np.log(shares), rtol=1e-5)
    rows = old.arrays["embedding"][3:]
    spread = np.abs(start.arrays["embedding"][20:] - rows.mean(0))
    assert (spread < rows.std(0)).all()
    assert spread.max() > 0
    again = transfer(old, vocabulary(["new", "newer"], [9, 2]), Context(), seed=0)
    np.testing.assert_array_equal(again.arrays["embedding"], start.arrays["embedding"])


def test_labels_come_and_go():
    with_labels = untrained(labels=("a",))
    plain = transfer(with_labels, vocabulary([], []), Context(), seed=0)
    assert (plain.context.labels, plain.network.context) == ((), 0)
    assert not any(name.startswith("context") for name in plain.arrays)
    new = transfer(untrained(), vocabulary([], []), Context(("x", "y")), seed=0)
    assert (new.context.labels, new.network.context) == (("x", "y"), 2)
    assert new.arrays["context_kernel"].shape == (2, 16)
    assert new.arrays["context_kernel"].any()
    assert new.arrays["context_input"].shape == (2, 6)
    assert new.arrays["context_input"].any()
    assert not new.arrays["context_bias"].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"level": "char"}, "word level"),
        ({"preset": "small"}, "--preset small"),
        ({"output": "dense"}, "--output dense"),
    ],
)
def test_another_network_is_refused(change, words):
    settings = {"level": "word", "preset": "auto", "output": "auto", **change}
    with pytest.raises(UsageError, match=words):
        check_choices(untrained(), **settings)


SUBJECTS = ("cat", "dog", "fox", "owl", "hen", "bear")
VERBS = ("sees", "hears", "likes", "fears")


def sentences(random, count):
    return [
        f"the {random.choice(SUBJECTS)} {random.choice(VERBS)} the {random.choice(SUBJECTS)} ."
        for _ in range(count)
    ]


def trained(out, path, silent, *, text="text", preset="auto", epochs=3, **more):
    return train_model(
        str(out),
        corpus=CorpusSettings(
            paths=(str(path),), mode="lines", text=text, labels="label" if text else None
        ),
        vocabulary=VocabularySettings(),
        preset=preset,
        train=TrainSettings(mode="lines", epochs=epochs, learning_rate=4e-3),
        report=silent,
        **more,
    )


@pytest.mark.walk
def test_a_hundred_labelled_rows_gain_by_it(tmp_path, silent):
    random = np.random.default_rng(0)
    (tmp_path / "all.txt").write_text("\n".join(sentences(random, 2_000)))
    rows = sentences(random, 100)
    labelled = "".join(f"{i % 2},{row} yes\n" for i, row in enumerate(rows))
    (tmp_path / "few.csv").write_text("label,text\n" + labelled)
    base = trained(tmp_path / "base", tmp_path / "all.txt", silent, text=None, preset="tiny")
    found = trained(
        tmp_path / "found", tmp_path / "few.csv", silent, init_from=str(tmp_path / "base")
    )
    scratch = trained(tmp_path / "scratch", tmp_path / "few.csv", silent, preset="tiny")
    assert found.vocabulary.words == (*base.vocabulary.words, "yes")
    assert (found.labels, found.network.context) == (("0", "1"), 2)
    # The vocabularies hold the same words but for their order.
    assert sorted(scratch.vocabulary.words) == sorted(found.vocabulary.words)
    measured = [m.training["metrics"]["test_perplexity"] for m in (found, scratch)]
    assert measured[0] < 0.8 * measured[1]
    saved = load_model(tmp_path / "found")
    assert saved.training["init_from"]["fingerprint"] == base.fingerprint
    assert base.fingerprint[:12] in (tmp_path / "found" / "README.md").read_text()


def test_a_model_that_is_none_is_told_before_the_corpus_is_read(tmp_path, silent):
    with pytest.raises(TextmillError, match="nowhere"):
        trained(
            tmp_path / "m", tmp_path / "absent.csv", silent, init_from=str(tmp_path / "nowhere")
        )
