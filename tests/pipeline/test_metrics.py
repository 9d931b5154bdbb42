"""What is counted in texts, against brute force and an independent BLEU."""

from __future__ import annotations

import math
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textmill.model.errors import TextmillError
from textmill.pipeline.report.metrics import (
    CopyIndex,
    distinct,
    has_bleu,
    plain_words,
    rank_frequency,
    repetition,
    self_bleu,
)

few_words = st.lists(st.sampled_from("abc"), max_size=14)
texts_of = st.lists(few_words, max_size=8)
orders = st.integers(1, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("“Stop!” said Alice’s cat.", ["stop", "said", "alice's", "cat"]),
        ("Don't 'quote' me", ["don't", "quote", "me"]),
        ("A snake_case, 3.5 and 007", ["a", "snake", "case", "3", "5", "and", "007"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("cafe\u0301 caf\u00e9", ["café", "café"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("你好, мир", ["你", "好", "мир"]),
        ("カタカナとひら", list("カタカナとひら")),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("🙂 -- …", []),
    ],
)
def test_words_have_neither_case_nor_punctuation(text, expected):
    assert plain_words(text) == expected


@given(texts_of, orders)
def test_distinct_counts_different_runs(texts, n):
    runs = [tuple(t[i : i + n]) for t in texts for i in range(len(t)) if i + n <= len(t)]
    expected = len(set(runs)) / len(runs) if runs else None
    assert distinct(texts, n) == expected


@given(few_words, orders)
def test_repetition_counts_runs_that_were_there_before(text, n):
    runs = ["".join(text[i : i + n]) for i in range(len(text) - n + 1)]
    again = sum(run in runs[:i] for i, run in enumerate(runs))
    found = repetition(text, n)
    assert found == (pytest.approx(again / len(runs)) if runs else None)


def brute_copies(text, corpus, n):
    """All runs of n or more words of the text, sought word by word."""
    covered, longest = set(), 0
    for start in range(len(text)):
        for end in range(start + n, len(text) + 1):
            run = text[start:end]
            if any(c[i : i + len(run)] == run for c in corpus for i in range(len(c))):
                covered |= set(range(start, end))
                longest = max(longest, end - start)
    return len(covered), longest


@settings(max_examples=150, deadline=None)
@given(few_words, texts_of, orders)
@example(list("abab"), [list("ab"), list("ab"), list("ba")], 2)
@example(list("acb"), [list("ab")], 1)
@example(list("abcab"), [list("abca"), list("bcab")], 3)
def test_copies_are_those_that_brute_force_finds(text, corpus, n):
    assert CopyIndex(corpus, n).copied(text) == brute_copies(text, corpus, n)


def test_no_copy_goes_over_the_end_of_a_text():
    index = CopyIndex([["a", "b"], ["c", "d"]], 3)
    assert index.copied(["a", "b", "c", "d"]) == (0, 0)


def test_equal_hashes_are_compared_word_by_word():
    def zeros(ids, n):
        return np.zeros(max(len(ids) - n + 1, 0), np.uint64)

    index = CopyIndex([list("abcd")], 2, hashes=zeros)
    assert index.copied(list("abxcd")) == (4, 2)
    assert index.copied(list("acbd")) == (0, 0)


def test_words_that_the_corpus_lacks_match_nothing():
    assert CopyIndex([["a", "a"]], 1).copied(["x", "a", "y"]) == (1, 1)
    assert CopyIndex([], 2).copied(["a", "b"]) == (0, 0)


def bleu(hypothesis, references):
    """BLEU-4 of Papineni et al. 2002, written out: 0.1 matches where there are none."""
    logs = []
    for n in range(1, 5):
        runs = Counter(tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1))
        if not runs:
            break
        most = Counter()
        for r in references:
            most |= Counter(tuple(r[i : i + n]) for i in range(len(r) - n + 1))
        matched = sum(min(count, most[run]) for run, count in runs.items())
        logs.append(math.log((matched or 0.1) / runs.total()))
    length = len(hypothesis)
    closest = min((abs(len(r) - length), len(r)) for r in references)[1]
    brevity = min(0.0, 1 - closest / length)
    return math.exp(brevity + sum(logs) / len(logs))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9), min_size=2, max_size=6))
def test_self_bleu_is_bleu_against_all_others(texts):
    expected = [bleu(t, texts[:i] + texts[i + 1 :]) for i, t in enumerate(texts)]
    # Where not even a word matches sacrebleu says 0.
    expected = [
        value if set(t) & {w for o in texts[:i] + texts[i + 1 :] for w in o} else 0.0
        for i, (t, value) in enumerate(zip(texts, expected, strict=True))
    ]
    assert self_bleu(texts) == pytest.approx(sum(expected) / len(expected), rel=1e-6)


def test_self_bleu_of_less_than_two_texts_is_none():
    assert self_bleu([]) is None
    assert self_bleu([["a"], []]) is None
    assert self_bleu([["a", "b"]] * 2) == pytest.approx(1)


def test_without_sacrebleu_the_way_to_get_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    assert not has_bleu()
    with pytest.raises(TextmillError, match=r"pip install 'textmill\[report\]'"):
        self_bleu([["a"], ["a"]])


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(2, 40))
def test_rank_frequency_is_the_sorted_counts(numbers, points):
    counts = Counter({str(i): n for i, n in enumerate(numbers)})
    found = rank_frequency(counts, points=points)
    falling = sorted(numbers, reverse=True)
    assert len(found) <= points
    assert found == [(rank, falling[rank - 1] / sum(numbers)) for rank, _ in found]
    if numbers:
        assert found[0][0] == 1
        assert found[-1][0] == len(numbers)
    else:
        assert found == []
