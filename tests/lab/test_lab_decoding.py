"""Ways to choose words, against brute force over all texts of a tiny vocabulary."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lab.notebook.decoding import (
    beam_search,
    keep_top_k,
    keep_top_p,
    log_probabilities,
    log_softmax,
    write,
)

V, WORDS = 4, 4
PROMPT = [2, 0]


def network(seed, *, forbidden=None):
    """A step whose logits depend on all words before; the state is the tuple of them."""

    def step(word, state):
        words = (*(state or ()), word)
        logits = np.random.default_rng([seed, *words]).normal(0, 2, V)
        if forbidden is not None:
            logits[forbidden] = -np.inf
        return logits, words

    return step


def all_texts(seed, **how):
    """log p of each text of WORDS words, by the chain rule."""
    step, found = network(seed, **how), {}
    for text in itertools.product(range(V), repeat=WORDS):
        words, total = tuple(PROMPT), 0.0
        for word in text:
            logits = step(words[-1], words[:-1])[0]
            total += logits[word] - np.log(np.exp(logits).sum())
            words += (word,)
        found[text] = total
    return found


@pytest.mark.parametrize("seed", range(12))
def test_enough_beams_find_the_most_probable_text(seed):
    found = all_texts(seed)
    best = max(found, key=found.get)
    assert tuple(beam_search(network(seed), PROMPT, WORDS, V ** (WORDS - 1))) == best
    assert sum(map(np.exp, found.values())) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(12))
def test_one_beam_is_greedy(seed):
    greedy = write(network(seed), PROMPT, [0.0] * WORDS, lambda logits, _: logits.argmax())
    assert beam_search(network(seed), PROMPT, WORDS, 1) == greedy


def test_more_beams_find_more_probable_texts_than_greedy():
    gained = []
    for seed in range(20):
        found = all_texts(seed)
        one, three = (tuple(beam_search(network(seed), PROMPT, WORDS, n)) for n in (1, 3))
        gained.append(found[three] - found[one])
    assert np.mean(gained) > 0.05
    assert max(gained) > 0.5


def pruned(seed, beams):
    """The definition, with no state kept: of all texts one word longer, the best ones."""
    kept = [()]
    for _ in range(WORDS):
        longer = [(*text, word) for text in kept for word in range(V)]
        scores = {text: log_probabilities(network(seed), PROMPT, text).sum() for text in longer}
        kept = sorted(longer, key=scores.get, reverse=True)[:beams]
    return kept[0]


@pytest.mark.parametrize("beams", [2, 3, 5])
def test_beams_are_those_of_the_definition(beams):
    for seed in range(8):
        found = beam_search(network(seed), PROMPT, WORDS, beams)
        assert tuple(found) == pruned(seed, beams)


def test_a_word_without_probability_is_never_chosen():
    for seed in range(8):
        step = network(seed, forbidden=1)

        def never(word, state, step=step):
            assert word != 1  # nor is it tried
            return step(word, state)

        assert 1 not in beam_search(never, PROMPT, WORDS, V**WORDS)
        assert log_probabilities(step, PROMPT, [1])[0] == -np.inf


def test_log_probabilities_are_those_of_the_chain_rule():
    found = all_texts(3)
    for text in list(found)[::17]:
        received = log_probabilities(network(3), PROMPT, text)
        assert received.shape == (WORDS,)
        assert received.sum() == pytest.approx(found[text])


def test_top_k_keeps_the_k_best():
    random = np.random.default_rng(0)
    for k in range(1, 9):
        logits = random.normal(size=8)
        kept = np.flatnonzero(keep_top_k(logits, k) > -np.inf)
        assert set(kept) == set(sorted(range(8), key=lambda i: -logits[i])[:k])
        assert (keep_top_k(logits, k)[kept] == logits[kept]).all()
    assert np.flatnonzero(keep_top_k(np.zeros(5), 2) > -np.inf).tolist() == [0, 1]


def test_top_p_keeps_the_smallest_set_that_is_enough():
    random = np.random.default_rng(1)
    for _ in range(40):
        logits, p = random.normal(0, 2, 6), random.uniform(0.05, 0.99)
        probabilities = np.exp(log_softmax(logits))
        enough = [
            subset
            for size in range(1, 7)
            for subset in itertools.combinations(range(6), size)
            if probabilities[list(subset)].sum() >= p
        ]
        fewest = min(map(len, enough))
        best = max(
            (subset for subset in enough if len(subset) == fewest),
            key=lambda subset: probabilities[list(subset)].sum(),
        )
        kept = np.flatnonzero(keep_top_p(logits, p) > -np.inf)
        assert tuple(kept) == best
    assert (keep_top_p(np.arange(300.0) / 300, 1.0) > -np.inf).all()
    halves = np.log([0.25, 0.5, 0.25])
    for p, count in ((0.5, 1), (0.5001, 2), (0.75, 2), (0.7501, 3)):
        assert (keep_top_p(halves, p) > -np.inf).sum() == count


@pytest.mark.parametrize(
    "call",
    [
        lambda: keep_top_k(np.zeros(3), 0),
        lambda: keep_top_p(np.zeros(3), 0.0),
        lambda: keep_top_p(np.zeros(3), 1.5),
        lambda: beam_search(network(0), PROMPT, 3, 0),
        lambda: write(network(0), [], [0.5], lambda z, u: 0),
    ],
)
def test_what_makes_no_sense_is_refused(call):
    with pytest.raises(ValueError, match=r"must be|has no word"):
        call()


def test_no_word_is_read_twice():
    read = []
    step = network(5)

    def counted(word, state):
        read.append(word)
        return step(word, state)

    words = write(counted, PROMPT, [0.5, 0.5, 0.5], lambda logits, _: logits.argmax())
    assert read == [*PROMPT, *words[:-1]]
