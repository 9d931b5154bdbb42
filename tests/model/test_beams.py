"""Beam search: against a search of all texts, against one in float64, the same bits everywhere."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import reference
from sharing import generator_of

from textmill.model.errors import SettingError
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings

WORDS = [f"w{i}" for i in range(20)]
FEW = ["a", "b"]


def searched(model, prompts, *, slots=64, **settings):
    settings = GenerationSettings(**{"beams": 4, "max_words": 6, **settings})
    return list(generator_of(model, slots=slots).generate(prompts, settings))


def plain(found):
    return {(g.prompt.id, g.sample): (g.text, g.finish, g.logprob, g.score) for g in found}


class Log:
    """log p of the words after a text, in float64."""

    def __init__(self, model, prompt):
        ((self.words, _),) = model.vocabulary.encode_prompts([prompt])
        self.model, self.known = model, {}

    def p(self, tokens):
        if tokens not in self.known:
            state = reference.zeros(self.model.network)
            for token in [2, *self.words, *tokens]:
                logits, state = reference.step(
                    self.model.arrays, self.model.network.layers, token, state
                )
            self.known[tokens] = reference.log_softmax(logits)
        return self.known[tokens]


def lp(words, penalty):
    return ((5 + words) / 6) ** penalty


def all_texts(model, prompt, *, most, least=0, penalty=0.6):
    """Every text up to a length with its score, the best first: exhaustive search."""
    log, found = Log(model, prompt), []
    words = range(3, len(model.vocabulary))
    for length in range(most + 1):
        for tokens in itertools.product(words, repeat=length):
            nats = sum(log.p(tokens[:i])[t] for i, t in enumerate(tokens))
            if length == most:
                found.append((nats / lp(length, penalty), tokens))
            elif length >= least:
                found.append(((nats + log.p(tokens)[2]) / lp(length + 1, penalty), tokens))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize(("prompt", "least"), [("", 0), ("b a", 2)])
def test_enough_beams_find_the_best_of_all_texts(make_model, penalty, prompt, least, monkeypatch):
    """16 beams hold all beginnings of up to 4 of 2 words, so nothing is lost."""
    for seed in range(3):
        model = make_model(FEW, seed=seed, scale=0.9)
        best = all_texts(model, prompt, most=4, least=least, penalty=penalty)
        wide = _wide(model, prompt, least, penalty, monkeypatch)
        for generation, (score, tokens) in zip(wide, best, strict=False):
            assert generation.score == pytest.approx(score, abs=1e-5)
            assert model.vocabulary.encode([generation.text])[0].tolist() == list(tokens)


def _wide(model, prompt, least, penalty, monkeypatch):
    """More beams than words are left to choose from, which is refused to users."""
    monkeypatch.setattr("textmill.model.generation.generator.check_settings", lambda *_: None)
    return searched(
        model, [Prompt("p", prompt)], beams=16, samples=5, max_words=4, min_words=least,
        length_penalty=penalty,
    )  # fmt: skip


def by_the_rules(model, prompt, *, beams, most, penalty=0.6, barred=lambda tokens, word: False):
    """A second beam search, in float64 and with all texts in lists."""
    log, live, found = Log(model, prompt), [((), 0.0)], []
    while live:
        ranked = sorted(
            (
                (nats + log.p(tokens)[word], tokens, word)
                for tokens, nats in live
                for word in range(2, len(model.vocabulary))
                if not barred(tokens, word)
            ),
            key=lambda each: -each[0],
        )
        live = []
        for rank, (nats, tokens, word) in enumerate(ranked[: 2 * beams]):
            if word == 2:
                if rank < beams:
                    found.append((nats / lp(len(tokens) + 1, penalty), tokens))
            elif len(live) < beams:
                live.append(((*tokens, word), nats))
        if live and len(live[0][0]) == most:
            found += [(nats / lp(most, penalty), tokens) for tokens, nats in live]
            live = []
        found = sorted(found, reverse=True)[:beams]
        if live and len(found) == beams and live[0][1] / lp(most + 1, penalty) <= found[-1][0]:
            live = []
    return found


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_it_finds_what_a_second_search_finds(make_model, beams):
    model = make_model(WORDS, layers=2, scale=0.6)
    prompts = ["", "w1", "w2 w3 w4", "w5 w5"]
    found = searched(
        model, [Prompt(p, p) for p in prompts], beams=beams, samples=beams, max_words=8
    )
    for prompt in prompts:
        expected = by_the_rules(model, prompt, beams=beams, most=8)
        own = [g for g in found if g.prompt.id == prompt]
        assert [g.sample for g in own] == list(range(1, beams + 1))
        assert [g.score for g in own] == pytest.approx([score for score, _ in expected], abs=2e-5)
        for generation, (_, tokens) in zip(own, expected, strict=True):
            assert model.vocabulary.encode([generation.text])[0].tolist() == list(tokens)


def test_one_beam_is_not_worse_than_greedy(make_model):
    model = make_model(WORDS, scale=0.6)
    for generation in searched(model, [Prompt(w, w) for w in WORDS], beams=1, max_words=8):
        words = generation.words + (generation.finish != "length")
        assert generation.logprob * words == pytest.approx(
            generation.score * lp(words, 0.6), abs=1e-3
        )


def test_bits_do_not_depend_on_neighbours_slots_or_order(make_model):
    model = make_model(WORDS, layers=2, scale=0.6)
    prompts = [Prompt(f"{i}", " ".join(WORDS[i : i + i % 4])) for i in range(20)] * 3
    prompts = [Prompt(f"{i}", p.text) for i, p in enumerate(prompts)]
    found = plain(searched(model, prompts, samples=3))
    assert len(found) == 180
    assert plain(searched(model, prompts[::-1], samples=3)) == found
    assert plain(searched(model, prompts, samples=3, slots=128)) == found
    alone = plain(searched(model, prompts[7:8], samples=3))
    assert alone == {key: value for key, value in found.items() if key[0] == "7"}


def test_they_come_in_the_order_of_the_prompts(make_model):
    model = make_model(WORDS, scale=0.9)
    found = searched(model, [Prompt(f"{i}", WORDS[i % 20]) for i in range(60)], max_words=12)
    assert [int(g.prompt.id) for g in found] == list(range(60))


def test_rules(make_model):
    model = make_model(WORDS, scale=0.7)
    found = searched(model, [Prompt("p", "w1")], samples=4, ban=["w3", "w4"], min_words=3)
    for generation in found:
        words = generation.text.split()
        assert len(words) >= 3
        assert not {"w3", "w4"} & set(words)
    stopped = searched(model, [Prompt(w, w) for w in WORDS], samples=4, stop=WORDS[:2], max_words=4)
    assert {"stop"} < {g.finish for g in stopped} <= {"stop", "eos", "length"}
    assert not {word for g in stopped for word in g.text.split()} & set(WORDS[:2])


def test_no_ngram_comes_twice(make_model):
    model = make_model(WORDS, scale=0.7)
    prompts = [Prompt(w, f"{w} w1") for w in WORDS]
    for generation in searched(model, prompts, no_repeat_ngram=2, max_words=12, min_words=12):
        words = [*generation.prompt.text.split(), *generation.text.split()]
        pairs = list(itertools.pairwise(words))
        assert len(set(pairs)) == len(pairs)
    one = searched(model, prompts[:1], no_repeat_ngram=2, max_words=8, samples=4)
    text = tuple(model.vocabulary.encode(["w0 w1"])[0].tolist())

    def barred(tokens, word):
        return word != 2 and reference.repeats([*text, *tokens], word, 2)

    expected = by_the_rules(model, "w0 w1", beams=4, most=8, barred=barred)
    assert [g.score for g in one] == pytest.approx([s for s, _ in expected], abs=2e-5)


@pytest.mark.long
def test_with_a_label_numbers_and_a_source(make_model):
    model = make_model(
        WORDS, labels=("x", "y"), columns=("f",), numbers=2, source=["s", "t"], attention=True,
        longest_source=4, mode="lines",
    )  # fmt: skip
    prompts = [
        Prompt(f"{i}", "", context=[i, -i], source=" ".join("st"[i % 2] for _ in range(1 + i % 5)))
        for i in range(30)
    ]
    found = plain(searched(model, prompts, label="y", samples=2))
    assert plain(searched(model, prompts[::-1], label="y", samples=2)) == found
    greedy = searched(model, prompts, label="y", beams=1)
    drawn = list(
        generator_of(model, slots=64).generate(
            prompts, GenerationSettings(temperatures=(0,), label="y", max_words=6)
        )
    )
    same = [a.text == b.text for a, b in zip(greedy, drawn, strict=True) if a.finish == b.finish]
    assert np.mean(same) > 0.7  # a beam search of one goes on behind an end that came second


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperatures": (0.8,)}, "temperature must be left out with beams"),
        ({"temperatures": (0,)}, "temperature must be left out with beams"),
        ({"top_k": 3}, "top_k must be left out with beams"),
        ({"top_p": 0.5}, "top_p must be left out with beams"),
        ({"min_p": 0.5}, "min_p must be left out with beams"),
        ({"repetition_penalty": 2.0}, "repetition_penalty must be left out with beams"),
        ({"samples": 5}, "samples must be at most beams, 4"),
        ({"beams": 33}, "beams must be a whole number from 0 to 32"),
        ({"length_penalty": -1}, "length_penalty must be a number from 0 to 10"),
    ],
)
def test_settings_without_meaning(settings, message):
    with pytest.raises(SettingError, match=message):
        GenerationSettings(**{"beams": 4, **settings})


def test_more_beams_than_words(make_model):
    with pytest.raises(SettingError, match="beams must be at most 2, the words left"):
        searched(make_model(FEW), [Prompt("a", "")], beams=3)


def test_a_stream_of_beams(make_model):
    stream = generator_of(make_model(WORDS), slots=8).stream(
        Prompt("a", ""), GenerationSettings(beams=2)
    )
    with pytest.raises(SettingError, match="beams must be 0 for a stream"):
        next(stream)


def test_only_a_search_is_recorded():
    usual = GenerationSettings().record()
    assert not {"beams", "length_penalty"} & set(usual)
    assert GenerationSettings(beams=2).record()["length_penalty"] == 0.6
    assert math.isclose(lp(7, 0.6), 2**0.6)
