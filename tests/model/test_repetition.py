"""Penalty, n-gram block, bans and echo: against brute force, and independent of other texts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import reference
import tensorflow as tf
from scipy import stats
from sharing import generator_of

from textmill.model.errors import SettingError
from textmill.model.generation import generator as generator_module
from textmill.model.generation import sampling
from textmill.model.generation.check_settings import check_settings
from textmill.model.network.directory import load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import RUN_WIDE, GenerationSettings
from textmill.model.text.vocabulary import EOS, PAD, UNKNOWN
from textmill.pipeline.command import cli
from textmill.pipeline.command.command_line import parser, settings_of
from textmill.pipeline.command.commands import COMMANDS
from textmill.pipeline.prompts.rows import json_row, prompt_of

WORDS = [f"w{i}" for i in range(12)]
RULES = [
    {"repetition_penalty": 1.5},
    {"no_repeat_ngram": 3},
    {"repetition_penalty": 1.2, "no_repeat_ngram": 2},
]


def texts(generator, prompts, **settings):
    return list(generator.generate(prompts, GenerationSettings(**settings)))


def by_id(found):
    return {(text.prompt.id, text.sample): text for text in found}


# -- pure functions ------------------------------------------------------------------------------


def random_histories(rows, size, words, seed=0):
    """Texts of all lengths up to `size`, with reserved ids among them; histories and lists."""
    random = np.random.default_rng(seed)
    history, lists = np.zeros((rows, size), np.int32), []
    for row in range(rows):
        text = random.integers(2, words, row % (size + 1))
        text[text == 2] = PAD
        history[row, size - len(text) :] = text
        lists.append([None if word == PAD else int(word) for word in text])
    return history, lists


@pytest.mark.parametrize("n", [1, 2, 3, 5, 20, 21, 100])
def test_blocked_repeats_against_brute_force(n):
    history, lists = random_histories(300, 20, 7)
    logits = np.random.default_rng(n).normal(size=(300, 7)).astype(np.float32)
    logits[:, [PAD, UNKNOWN]] = -np.inf
    logits[::3, EOS] = -np.inf  # then a row may have nothing left
    found = sampling.block_repeats(tf.constant(logits), tf.constant(history), n).numpy()
    expected = [
        reference.ruled(row, text, ngram=n) for row, text in zip(logits, lists, strict=True)
    ]
    np.testing.assert_array_equal(found, np.float32(expected))
    assert (found != logits).any() == (n < 20)


def test_penalty_against_brute_force():
    history, lists = random_histories(100, 8, 9)
    logits = np.random.default_rng(1).normal(size=(100, 9)).astype(np.float32)
    logits[:, [PAD, UNKNOWN]] = -np.inf
    found = sampling.penalise(tf.constant(logits), tf.constant(history), np.float32(1.3)).numpy()
    for row, text, after in zip(logits, lists, found, strict=True):
        np.testing.assert_allclose(after, reference.penalised(row, text, 1.3), rtol=1e-6)
        assert after[EOS] == row[EOS]


def test_a_history_remembers_words_alone():
    history = tf.constant([[0, 0, 5], [3, 4, 5], [3, 4, 5], [3, 4, 5]])
    found = sampling.remember(history, tf.constant([3, 4, EOS, UNKNOWN])).numpy()
    assert found.tolist() == [[0, 5, 3], [4, 5, 4], [4, 5, PAD], [4, 5, PAD]]


# -- texts ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def random_words(make_model):
    """A generator of random weights over WORDS, which likes <unk>, <eos> and w7."""
    model = make_model(WORDS, layers=2, scale=0.8)
    model.arrays["output_bias"][[UNKNOWN, EOS, model.vocabulary.ids["w7"]]] = [2, 2, 3]
    return generator_of(model)


@pytest.fixture(scope="module")
def mixed_prompts():
    """Prompts of no word to 100, a few of them unknown."""
    random = np.random.default_rng(5)
    lengths = [*range(10), *random.integers(1, 20, 40), 63, 64, 65, 100]
    return [
        Prompt(f"p:{i}", " ".join(random.choice([*WORDS, "zebra", "yak"], length)))
        for i, length in enumerate(lengths)
    ]


def assert_greedy_texts(generator, prompts, *, max_words, **settings):
    """Every text is, word for word, what a plain loop over lists gives."""
    found = texts(generator, prompts, temperatures=(0,), max_words=max_words, **settings)
    vocabulary, allowed = generator.model.vocabulary, settings.get("unknown", False)
    banned, ends = ([vocabulary.ids[word] for word in settings.get(f, ())] for f in ("ban", "stop"))
    for text in found:
        expected, nats = reference.greedy(
            generator.model,
            vocabulary.lookup(text.prompt.text.split()).tolist(),
            max_words=max_words,
            min_words=settings.get("min_words", 0),
            never=[PAD, *banned, *([] if allowed else [UNKNOWN])],
            ends=ends,
            eos=EOS,
            unknown=UNKNOWN,
            penalty=settings.get("repetition_penalty", 1.0),
            ngram=settings.get("no_repeat_ngram", 0),
        )
        assert text.text.split() == [vocabulary.words[i] for i in expected], text
        assert text.logprob == pytest.approx(np.mean(nats), abs=1e-4)
        assert text.words == len(expected)
    return found


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_greedy_texts_against_brute_force(random_words, mixed_prompts, rules):
    settings = {"min_words": 12, "max_words": 15, "stop": ("w7",)}
    found = assert_greedy_texts(random_words, mixed_prompts, **settings, **rules)
    assert found != assert_greedy_texts(random_words, mixed_prompts, **settings)


def test_all_rules_together_against_brute_force(random_words, mixed_prompts):
    rules = {"repetition_penalty": 1.4, "no_repeat_ngram": 2, "ban": ("w3", "w5"), "stop": ("w7",)}
    found = assert_greedy_texts(
        random_words, mixed_prompts, min_words=3, max_words=15, unknown=True, **rules
    )
    assert {text.finish for text in found} >= {"eos", "stop"}
    drawn = [word for text in found for word in text.text.split()]
    assert "<unk>" in drawn
    assert not {"w3", "w5", "w7"} & set(drawn)


def test_the_ngram_rule_gives_way_where_nothing_is_left(make_model):
    generator = generator_of(make_model(["a", "b"], scale=0.8))
    prompts = [Prompt("1", ""), Prompt("2", "a"), Prompt("3", "b a b")]
    rules = {"min_words": 10, "max_words": 12, "no_repeat_ngram": 1}
    found = assert_greedy_texts(generator, prompts, **rules)
    assert sorted(found[0].text.split()[:2]) == ["a", "b"]
    assert {text.words for text in found} <= {10, 11, 12}
    # With the end at hand nothing is ever repeated, and the end is not blocked itself.
    for text in texts(generator, prompts, samples=30, no_repeat_ngram=1):
        drawn, before = text.text.split(), text.prompt.text.split()
        assert len(set(drawn)) == len(drawn)
        assert not set(drawn) & set(before)
        assert text.finish == "eos"


BIAS = np.float32([9, 9, 0.5, 0.8, 1.0, -0.5, -0.3, -1.0, 0.4])
TEXTS = ["", "", "", " a", " b", " c", " d", " “", "“"]  # of the ids, after a word


@pytest.fixture(scope="module")
def constant(make_model):
    """A generator whose logits are `BIAS` at every step; its last two words are forms of one."""
    arrays = {"embedding": np.zeros((9, 8), np.float32), "output_bias": BIAS}
    return generator_of(make_model(["a", "b", "c", "d", "“■", "■“"], arrays=arrays))


@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 1.7, "top_k": 4, "temperatures": (0.7,)},
        {"no_repeat_ngram": 2, "repetition_penalty": 2.5, "min_p": 0.2},
        {"ban": ("b", "“"), "no_repeat_ngram": 2, "top_p": 0.6, "temperatures": (1.4,)},
    ],
    ids=str,
)
def test_draws_follow_the_ruled_softmax(constant, settings):
    prompt = Prompt("x", "c a zebra d c")
    found = texts(constant, [prompt], samples=3000, max_words=1, **settings)
    drawn = [EOS if text.finish == "eos" else TEXTS.index(text.text) for text in found]
    banned = [i for i, text in enumerate(TEXTS) if text.strip() in settings.get("ban", ())]
    expected = reference.filtered(
        reference.ruled(
            np.where(np.isin(np.arange(9), [PAD, UNKNOWN, *banned]), -np.inf, BIAS),
            [5, 3, None, 6, 5],
            penalty=settings.get("repetition_penalty", 1.0),
            ngram=settings.get("no_repeat_ngram", 0),
        ),
        temperature=settings.get("temperatures", (1.0,))[0],
        **{name: settings[name] for name in ("top_k", "top_p", "min_p") if name in settings},
    )
    counts, kept = np.bincount(drawn, minlength=9), expected > 0
    assert counts[~kept].sum() == 0
    assert kept.sum() > 1
    assert stats.chisquare(counts[kept], expected[kept] * 3000).pvalue > 1e-4
    own = reference.log_softmax(np.float64(BIAS))
    for text, word in zip(found, drawn, strict=True):
        assert text.logprob == pytest.approx(own[word], abs=1e-4)


# -- the same whatever is beside -----------------------------------------------------------------

BOTH = {"repetition_penalty": 1.3, "no_repeat_ngram": 3, "temperatures": (0.9,), "max_words": 30}


def some_prompts(count):
    words = ("the", "old cat", "a", "“", "dog said: the old dog said")
    return [Prompt(f"p:{i}", words[i % len(words)]) for i in range(count)]


@pytest.fixture(scope="module")
def generator(model_dir):
    return generator_of(load_model(model_dir))


@pytest.fixture(scope="module")
def many(generator):
    return texts(generator, some_prompts(300), **BOTH)


@pytest.mark.parametrize("slots", [128, 256])
def test_slots_do_not_change_a_bit(model_dir, many, slots):
    assert (
        texts(generator_of(load_model(model_dir), slots=slots), some_prompts(300), **BOTH) == many
    )


def test_order_and_neighbours_do_not_change_a_bit(generator, many):
    order = np.random.default_rng(0).permutation(300)
    shuffled = [some_prompts(300)[i] for i in order]
    assert by_id(texts(generator, shuffled, **BOTH)) == by_id(many)
    assert texts(generator, some_prompts(38)[37:], **BOTH) == [many[37]]


def test_room_for_longer_texts_does_not_change_a_bit(generator, many, monkeypatch):
    long = [Prompt(f"long:{i}", "the old cat sat " * i) for i in (5, 20, 40)]
    prompts = some_prompts(100)
    for place, prompt in zip((0, 70, 90), long, strict=True):
        prompts.insert(place, prompt)
    found = by_id(texts(generator, prompts, **BOTH))
    for text in many[:100]:
        assert found[text.prompt.id, 1] == text
    monkeypatch.setattr(generator_module, "LEAST_HISTORY", 256)
    assert by_id(texts(generator, prompts, **BOTH)) == found


@pytest.mark.long
def test_histories_grow_and_shrink_with_their_texts(random_words, monkeypatch):
    """Texts that outgrow the room they began with, and a slot given to a short text again."""
    monkeypatch.setattr(generator_module, "LEAST_HISTORY", 32)
    random = np.random.default_rng(2)
    prompts = [
        Prompt(f"p:{i}", " ".join(random.choice(WORDS, length)))
        for i, length in enumerate([0, 1, 3, 4, 7, 33, 0, 2, 3, 1])
    ]
    small = generator_of(random_words.model, slots=2)
    widths = []
    watched = _Watched(small._graph("float32"), widths)
    monkeypatch.setitem(small._graphs, "float32", watched)
    rules = {"repetition_penalty": 1.1, "no_repeat_ngram": 2}
    assert_greedy_texts(small, prompts, min_words=20, max_words=20, **rules)
    assert max(widths) == 64
    assert widths[-1] == 32


class _Watched:
    """A graph that notes the histories' width at each call."""

    def __init__(self, graph, widths):
        self._graph, self._widths = graph, widths

    def __getattr__(self, name):
        return getattr(self._graph, name)

    def draw_chunk(self, *arguments):
        self._widths.append(arguments[1]["history"].shape[1])
        return self._graph.draw_chunk(*arguments)


def test_rules_that_never_apply_change_nothing(generator, many):
    plain = texts(generator, some_prompts(100), temperatures=(0.9,), max_words=12)
    ruled = texts(
        generator, some_prompts(100), temperatures=(0.9,), max_words=12, no_repeat_ngram=100
    )
    # Another program sums in another order, which may show in the last digit of a logprob.
    assert [replace(text, logprob=0.0) for text in ruled] == [
        replace(text, logprob=0.0) for text in plain
    ]
    for one, other in zip(ruled, plain, strict=True):
        assert one.logprob == pytest.approx(other.logprob, abs=2e-5)
    assert plain != many[:100]


# -- bans and echo -------------------------------------------------------------------------------


def test_banned_words_are_never_drawn(generator, many):
    banned = ("the", "cat", ",", "“")
    found = texts(generator, some_prompts(300), ban=banned, max_words=30)
    drawn = " ".join(text.text for text in found)
    everything = " ".join(text.text for text in many)
    for word in banned:
        assert word in everything
        assert word not in drawn.replace("The", "").split()
    assert not set(",“") & set(drawn)
    # A ban is stronger than a stop.
    stopped = texts(generator, some_prompts(50), stop=("!",), max_words=30)
    banned = texts(generator, some_prompts(50), ban=("!",), stop=("!",), max_words=30)
    assert "stop" in {text.finish for text in stopped}
    assert "stop" not in {text.finish for text in banned}


def test_a_ban_of_everything_is_refused(random_words):
    def check(**settings):
        check_settings(random_words.model, GenerationSettings(**settings))

    for settings in ({}, {"min_words": 1}):
        with pytest.raises(SettingError, match=r"ban must be fewer words.*Received: '12 words'"):
            texts(random_words, [Prompt("x", "w1")], ban=tuple(WORDS), **settings)
    check(ban=tuple(WORDS), unknown=True)
    check(ban=tuple(WORDS[1:]), min_words=3)
    check(ban=tuple(WORDS[2:]), stop=tuple(WORDS[:2]))
    with pytest.raises(SettingError, match="ban must be fewer words"):
        check(ban=tuple(WORDS[2:]), stop=tuple(WORDS[:2]), min_words=1)
    with pytest.raises(SettingError, match="stop must be fewer words"):
        check(stop=tuple(WORDS), min_words=1)
    with pytest.raises(SettingError, match="ban must be a word of the model's vocabulary"):
        texts(random_words, [Prompt("x", "w1")], ban=("zebra",))


def test_echo_puts_the_prompt_before_the_text(generator):
    prompts = [Prompt(t, t) for t in ("", "the", "said: “", "zzz unknown", "the ", "  (old)")]
    for plain, echoed in zip(
        texts(generator, prompts, samples=5, max_words=8),
        texts(generator, prompts, samples=5, max_words=8, echo=True),
        strict=True,
    ):
        assert echoed.text == plain.prompt.text + plain.text
        assert (echoed.words, echoed.logprob) == (plain.words, plain.logprob)


def test_what_belongs_to_the_run_no_prompt_overrides(generator):
    run = GenerationSettings(
        max_words=9, repetition_penalty=2, no_repeat_ngram=3, ban=("cat",), echo=True, seed=3
    )
    own = GenerationSettings(max_words=7, temperatures=(0.5,))
    assert own.within(run) == GenerationSettings(
        max_words=7, temperatures=(0.5,), **{name: getattr(run, name) for name in RUN_WIDE}
    )
    with_own = [Prompt(prompt.id, prompt.text, own) for prompt in some_prompts(100)]
    found = by_id(generator.generate(with_own, run))
    for key, text in by_id(generator.generate(some_prompts(100), own.within(run))).items():
        assert (found[key].text, found[key].logprob) == (text.text, text.logprob)
    row = b'{"prompt": "the", "ban": "cat", "echo": true, "no_repeat_ngram": 2, "max_words": 3}'
    prompt = prompt_of(json_row(row), row_id="x", settings=GenerationSettings())
    assert prompt.settings == GenerationSettings(max_words=3)
    assert prompt.extra == {"ban": "cat", "echo": True, "no_repeat_ngram": 2}


# -- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repetition_penalty", 0.9), ("repetition_penalty", 11), ("repetition_penalty", "2"),
        ("repetition_penalty", float("nan")), ("no_repeat_ngram", -1), ("no_repeat_ngram", 101),
        ("no_repeat_ngram", 2.0), ("no_repeat_ngram", True), ("ban", 5), ("ban", ("",)),
        ("ban", [5]), ("echo", 1), ("echo", None),
    ],
)  # fmt: skip
def test_settings_are_checked(field, value):
    with pytest.raises(SettingError, match=f"^{field} (must be|is missing)"):
        GenerationSettings(**{field: value})


@pytest.mark.parametrize(
    "command", [["sample", "m"], ["generate", "m", "--prompts", "p", "--out", "o"]]
)
def test_options_reach_the_settings(command):
    given = ["--repetition-penalty", "1.2", "--no-repeat-ngram", "3", "--ban", "a", "--ban", "b"]
    args = parser(COMMANDS).parse_args([*command, *given, "--echo"])
    assert settings_of(GenerationSettings, args) == GenerationSettings(
        repetition_penalty=1.2, no_repeat_ngram=3, ban=("a", "b"), echo=True
    )
    args = parser(COMMANDS).parse_args(command)
    assert settings_of(GenerationSettings, args) == GenerationSettings()


def test_sample_prints_the_prompt_once(generator, model_dir, capsys, monkeypatch):
    monkeypatch.setattr(generator_module, "Generator", lambda model: generator)
    ask = ["sample", str(model_dir), "the old", "--max-words", "5"]
    assert cli.main(ask) == 0
    plain = capsys.readouterr().out
    assert plain.count("the old") == 1
    assert cli.main([*ask, "--echo"]) == 0
    assert capsys.readouterr().out == plain
    for echo in ([], ["--echo"]):
        assert cli.main([*ask, "--json", *echo]) == 0
        record = json.loads(capsys.readouterr().out)
        assert ("" if echo else record["prompt"]) + record["text"] == plain[:-1]
