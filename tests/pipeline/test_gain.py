"""The check against data whose truth is known, and its interval against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from textmill.model.errors import SettingError, UsageError
from textmill.pipeline.augment.edits import Candidate
from textmill.pipeline.augment.gain import (
    HELPS,
    HURTS,
    NONE_SHOWN,
    CheckSettings,
    Gain,
    check,
    interval,
    verdict,
)

LABELS = ("bird", "cat")
WORDS = 60  # of each label's own


def sentence(random, label, *, own=2, common=6):
    """Words that both labels use, and some of the label's own."""
    words = [f"common{i}" for i in random.integers(0, 40, common)]
    words += [f"{label}{i}" for i in random.integers(0, WORDS, own)]
    return " ".join(random.permutation(words))


def rows(count, *, seed=0):
    random = np.random.default_rng(seed)
    labels = [LABELS[i % 2] for i in range(count)]
    return [sentence(random, label) for label in labels], labels


def helpful(texts, labels, seed):
    """Rows with more of the labels' words than the few real rows have."""
    random = np.random.default_rng([seed, len(texts)])
    made = [(sentence(random, label, own=4), label) for label in LABELS * 100]
    return [Candidate(text, label, "made", None) for text, label in made]


def harmful(texts, labels, seed):
    """The same rows, with labels that have nothing to do with them."""
    random = np.random.default_rng(seed)
    found = helpful(texts, labels, seed)
    names = random.permutation([row.label for row in found])
    return [Candidate(r.text, str(n), "made", None) for r, n in zip(found, names, strict=True)]


def test_rows_that_carry_the_labels_words_help():
    (found,) = check(*rows(60), helpful, settings=CheckSettings(seeds=2))
    assert found.verdict == HELPS
    assert found.low > 0
    assert found.augmented - found.without == pytest.approx(found.gain)
    assert "they help" in found.sentence()
    assert found.record()["with"] == round(found.augmented, 2)


def test_rows_of_shuffled_labels_hurt_and_it_says_so():
    (found,) = check(*rows(200), harmful, settings=CheckSettings(seeds=2))
    assert found.verdict == HURTS
    assert found.high < 0
    assert "don't use them" in found.sentence()


def test_copies_show_no_difference():
    def copies(texts, labels, seed):
        return [
            Candidate(t, n, "copy", i) for i, (t, n) in enumerate(zip(texts, labels, strict=True))
        ]

    (found,) = check(*rows(60), copies, settings=CheckSettings(seeds=1))
    assert found.verdict == NONE_SHOWN
    assert "no difference" in found.sentence()


@pytest.mark.parametrize(("high", "said"), [(2.0, "no reason"), (54.7, "too few to tell")])
def test_where_no_difference_is_shown_the_interval_says_whether_rows_are_too_few(high, said):
    found = Gain("lstm", 50.0, 51.0, 1.0, -4.7, high, NONE_SHOWN)
    assert found.sentence().endswith(said) or f"{said} to use them" in found.sentence()


def test_a_fold_s_rows_are_not_seen_by_what_augments_for_it():
    texts, labels = rows(30)
    seen = []

    def augment(part, part_labels, seed):
        seen.append((seed, tuple(part)))
        assert [labels[texts.index(t)] for t in part] == list(part_labels)
        return []

    check(texts, labels, augment, settings=CheckSettings(folds=3, seeds=2))
    assert [seed for seed, _ in seen] == [0, 0, 0, 1, 1, 1]
    for start in (0, 3):
        held_out = [set(texts) - set(part) for _, part in seen[start : start + 3]]
        assert sorted(t for some in held_out for t in some) == sorted(texts)
    assert seen[0][1] != seen[3][1]


def test_the_interval_holds_the_true_gain_as_often_as_it_says():
    """Cross-validated means of a normal sample: folds overlap as those of `check` do.

    The statistic is linear in the sample, so that its truth is known; without the correction the
    interval holds it far less often.
    """
    random = np.random.default_rng(0)
    held = {True: 0, False: 0}
    trials, folds, seeds, n = 400, 5, 3, 60
    for _ in range(trials):
        sample = random.normal(size=n)
        found = []
        for _ in range(seeds):
            for part in np.array_split(random.permutation(n), folds):
                found.append(sample[part].mean())
        for corrected in held:
            _, low, high = interval(found, ratio=1 / (folds - 1) if corrected else 0.0)
            held[corrected] += low <= 0 <= high
    assert held[True] / trials > 0.93
    assert held[False] / trials < 0.85


def test_the_interval_by_hand():
    mean, low, high = interval([1.0, 2.0, 3.0], ratio=0.25)
    # t of 2 degrees of freedom at 0.975 is 4.3027; the sample's variance is 1.
    assert mean == 2
    assert high - mean == pytest.approx(4.3027 * np.sqrt(1 / 3 + 0.25), abs=1e-3)
    assert mean - low == pytest.approx(high - mean)
    assert [verdict(0.1, 1), verdict(-1, 0.1), verdict(-2, -0.1)] == [HELPS, NONE_SHOWN, HURTS]


def test_too_few_rows_and_wrong_settings():
    with pytest.raises(UsageError, match="so few rows"):
        check(["a", "b"], ["x", "y"], helpful, settings=CheckSettings())
    with pytest.raises(SettingError, match="folds must be"):
        CheckSettings(folds=1)
    with pytest.raises(SettingError, match="classifiers must be one of tfidf, lstm"):
        CheckSettings(classifiers=("other",))
