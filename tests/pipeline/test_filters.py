"""Filters of augmented rows, against brute force and by properties."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmill.model.errors import SettingError
from textmill.pipeline.augment.edits import Candidate
from textmill.pipeline.augment.filters import (
    FilterSettings,
    Scores,
    choose,
    cuts,
    jaccard,
    largest_jaccard,
    longest_runs,
    loops,
    score,
)

WORDS = st.lists(st.sampled_from("abcd"), max_size=9).map(tuple)
SIDES = st.tuples(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=6))


def brute_run(words, rows):
    runs = [words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1)]
    inside = {row[i:j] for row in rows for i in range(len(row)) for j in range(i + 1, len(row) + 1)}
    return max((len(run) for run in runs if run in inside), default=0)


@settings(max_examples=100, deadline=None)
@given(SIDES)
def test_longest_runs_are_those_of_brute_force(sides):
    texts, rows = sides
    assert longest_runs(texts, rows).tolist() == [brute_run(words, rows) for words in texts]


@settings(max_examples=100, deadline=None)
@given(SIDES)
def test_jaccard_is_that_of_brute_force(sides):
    texts, rows = sides
    expected = [max((jaccard(words, row) for row in rows), default=0.0) for words in texts]
    np.testing.assert_allclose(largest_jaccard(texts, rows), expected)


def test_jaccard_by_hand():
    assert jaccard(("a", "b", "b"), ("b", "c")) == pytest.approx(1 / 3)
    assert jaccard((), ()) == 0


def test_jaccard_of_more_texts_than_are_compared_at_a_time():
    texts = [(str(i), "x") for i in range(1201)]
    found = largest_jaccard(texts, [("700", "x"), ("1200",)])
    assert found[[0, 700, 1200]].tolist() == pytest.approx([1 / 3, 1, 1 / 2])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b c d", 0),
        ("a a", 1 / 2),
        ("a b a b", 1 / 4),
        ("a b c x a b c", 1 / 7),
        ("very very very good", 2 / 4),
        ("", 0),
    ],
)
def test_loops(text, expected):
    assert loops(tuple(text.split())) == pytest.approx(expected)


@settings(max_examples=100, deadline=None)
@given(WORDS)
def test_texts_of_different_words_have_no_loop(words):
    assert (loops(words) > 0) <= (len(set(words)) < len(words))
    assert 0 <= loops(words) <= 1


def test_words_and_characters():
    letters, marked, spaced = cuts("word")
    assert letters("The R&B, it's") == ("the", "r", "b", "it", "s")
    assert marked("R&B, it's") == ("r", "&", "b", ",", "it", "'", "s")
    assert spaced("The R&B, it's") == ("the", "r&b,", "it's")
    (characters,) = cuts("char")
    assert characters("Ab c") == ("a", "b", "c")


# -- scores ----------------------------------------------------------------------------------------


class Says:
    """A classifier that always gives the same answer and records what it was asked."""

    def __init__(self, labels, row):
        self.labels, self.row, self.asked = labels, row, []

    def probabilities(self, texts):
        self.asked += texts
        return np.tile(self.row, (len(texts), 1))


REAL = ["play some old jazz music now", "what is the weather like", "book a table"]
LABELS = ["x", "y", "z"]


def scored(*candidates, fitted=None, **more):
    fitted = fitted or [(Says(("x", "y", "z"), [0.7, 0.2, 0.1]), [0, 1, 2])]
    return score(candidates, REAL, LABELS, fitted=fitted, level="word", **more)


def written(text, label="x", source=None, origin="generated"):
    return Candidate(text, label, origin, source, perplexity=3.0)


def test_a_row_s_own_fold_does_not_judge_it():
    first, second = Says(("x", "y"), [0.9, 0.1]), Says(("x", "y"), [0.2, 0.8])
    fitted = [(first, [0, 2]), (second, [1])]
    found = scored(written("a", source=1), written("b", source=0), written("c"), fitted=fitted)
    assert [s.predicted for s in found] == ["y", "x", "x"]
    assert [s.confidence for s in found] == pytest.approx([0.2, 0.9, 0.55])
    assert (first.asked, second.asked) == (["b", "c"], ["a", "c"])


def test_a_label_that_its_fold_has_not_seen_is_judged_by_the_others():
    """If a label has one row, the classifier that has not seen this row does not know it."""
    knows, knows_not = Says(("x", "z"), [0.3, 0.7]), Says(("x", "y"), [0.5, 0.5])
    (found,) = scored(written("a", "z", source=2), fitted=[(knows, [0]), (knows_not, [1, 2])])
    assert (found.predicted, found.confidence) == ("z", pytest.approx(0.7))


def test_copies_are_measured_under_all_ways_to_cut():
    one, two, three = scored(
        written("please play some OLD jazz again"),
        written("What is the weather, like"),  # of five words between spaces four are copied
        written("Book a table!"),
        known=["something else"],
    )
    assert (one.copied, one.words) == (4, 6)
    assert one.copied_share == pytest.approx(4 / 6)
    assert (two.copied, two.similarity, two.duplicate) == (5, 1, True)
    assert three.duplicate
    assert one.similarity == pytest.approx(4 / 8)
    (again,) = scored(written("Something else"), known=["something  else"])
    assert again.duplicate
    assert again.copied == 0


def test_unseen_neighbours():
    (found,) = scored(written("play some weather like jazz"))
    # play some, weather like are known; some weather, like jazz are not.
    assert found.unseen == pytest.approx(2 / 4)
    (one,) = scored(written("play"))
    assert one.unseen == 0


# -- choosing --------------------------------------------------------------------------------------

GOOD = {
    "predicted": "x", "confidence": 0.9, "words": 6, "duplicate": False, "copied": 3,
    "copied_share": 0.5, "similarity": 0.5, "loops": 0.0, "unseen": 0.2, "perplexity": 10.0,
}  # fmt: skip


def chosen(rows, wanted=9, level="word", unfinished=(), seed=0, **thresholds):
    candidates = [
        replace(written(text, origin=more.pop("origin", "generated")), unfinished=i in unfinished)
        for i, (text, more) in enumerate(rows)
    ]
    return choose(
        candidates, [Scores(**{**GOOD, **more}) for _, more in rows], {"x": wanted},
        lengths={"x": (4, 8)}, settings=FilterSettings(**thresholds), level=level,
        seed=seed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"words": 0}, "empty"),
        ({"duplicate": True}, "copy of a real row"),
        ({"copied": 8}, "copied run"),
        ({"copied_share": 0.61}, "copied share"),
        ({"similarity": 0.8}, "similar to a real row"),
        ({"words": 3}, "length"),
        ({"words": 11}, "length"),
        ({"loops": 0.2}, "loop"),
        ({"unseen": 0.95}, "unseen neighbours"),
        ({"perplexity": 31.0}, "perplexity"),
        ({"predicted": "y"}, "another label"),
    ],
)
def test_each_reason(scores, reason):
    others = [(f"a b c {i}", {}) for i in range(3)]
    found = chosen([*others, ("bad one", scores)], max_similarity=0.7)
    assert found.reasons == {3: reason}
    assert sorted(found.kept) == [0, 1, 2]
    assert found.counts() == {reason: 1}


def test_thresholds_are_options():
    rows = [("a b c d", {"confidence": 0.4}), ("e f g h", {"copied": 5})]
    assert chosen(rows).reasons == {}
    assert chosen(rows, min_confidence=0.5).reasons == {0: "low confidence"}
    assert chosen(rows, max_copied=4).reasons == {1: "copied run"}
    assert chosen(rows, unfinished=[0]).reasons == {0: "unfinished"}
    long = [("a b c d", {"copied": 24})]
    assert chosen(long, level="char").reasons == {}
    assert chosen([("a b c d", {"copied": 25})], level="char").reasons == {0: "copied run"}


def test_what_is_kept_is_drawn_by_seed_whatever_the_confidence():
    rows = [(f"{i}a {i}b {i}c", {"confidence": 0.1 * i}) for i in range(1, 9)]
    kept = [chosen(rows, wanted=2, seed=seed).kept for seed in range(40)]
    assert kept[0] == chosen(rows, wanted=2).kept
    assert {i for some in kept for i in some} == set(range(8))
    found = chosen(rows, wanted=2)
    assert len(found.kept) == 2
    assert set(found.reasons.values()) == {"not needed"}


def test_kept_rows_differ_from_one_another():
    rows = [
        ("one two three four five", {}),
        ("One two, three four five!", {"confidence": 0.8}),
        ("one two three four five six", {"confidence": 0.7}),
        ("one two seven eight nine", {"confidence": 0.6}),
    ]
    copy, similar = "copy of a kept row", "similar to a kept row"
    expected = {0: {1: copy, 2: similar}, 1: {0: copy, 2: similar}, 2: {0: similar, 1: similar}}
    firsts = set()
    for seed in range(20):
        found = chosen(rows, seed=seed)
        (first,) = set(found.kept) - {3}
        assert found.reasons == expected[first]
        firsts.add(first)
    assert firsts == {0, 1, 2}


@pytest.mark.parametrize("most", [0.6, 0.99, 1])
def test_a_threshold_of_similarity_may_be_near_1(most):
    alike, other = "one two three four", "five six seven eight"
    found = chosen([(alike, {}), ("four three two one", {}), (other, {})], max_similarity=most)
    rejected = {0, 1} & set(found.reasons)
    assert len(rejected) == (0 if most == 1 else 1)
    assert 2 in found.kept


def test_edited_rows_may_be_near_copies_but_no_copies():
    near = {"copied": 9, "copied_share": 0.9, "similarity": 1.0, "origin": "swap"}
    rows = [("one two three four five", {}), ("two one three four five", near)]
    assert chosen(rows).reasons == {}
    assert chosen([("a b c d", {**near, "duplicate": True})]).reasons == {0: "copy of a real row"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_confidence", 1.1), ("max_copied", 0), ("max_copied_share", -0.1),
        ("max_similarity", 2), ("length_slack", -1), ("max_perplexity", float("nan")),
    ],
)  # fmt: skip
def test_thresholds_are_checked(name, value):
    with pytest.raises(SettingError, match=name):
        FilterSettings(**{name: value})


def test_scores_become_columns():
    found = Scores(**{**GOOD, "similarity": 0.123456})
    assert set(found.record()) == set(asdict(found)) - {"duplicate", "probabilities"}
    assert found.record()["similarity"] == 0.1235
