"""Texts are right for hand-made logits, and do not depend on the texts beside them."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
import reference
from scipy import stats
from sharing import generator_of

from textmill.model.errors import SettingError, TextmillError
from textmill.model.generation.check_settings import stop_ids
from textmill.model.generation.generator import Generator, prompt_key
from textmill.model.network.directory import load_model
from textmill.model.prompt import Generation, Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.text.vocabulary import EOS, PAD, UNKNOWN

WORDS = ["a", "b", "c", "d", "■."]


def texts(generator, prompts, **settings) -> list[Generation]:
    return list(generator.generate(prompts, GenerationSettings(**settings)))


def prompts(count, words=("the", "old cat", "a", "“", "dog said:")):
    return [Prompt(id=f"p:{i}", text=words[i % len(words)]) for i in range(count)]


@pytest.fixture(scope="module")
def generator(model_dir):
    return generator_of(load_model(model_dir))


def successor(make_model, follows: dict[int, int], size: int = len(WORDS)):
    """A model whose next word is a function of the last one: no state, one-hot embeddings.

    With the forget gate shut and all others open, c = tanh(gain) and h = tanh(c) at the word's own
    unit; the projection moves it to the successor's.
    """
    count = size + 3
    hidden = count
    kernel = np.zeros((count, 4 * hidden), np.float32)
    kernel[:, 2 * hidden : 3 * hidden] = 50 * np.eye(count)
    bias = np.zeros(4 * hidden, np.float32)
    bias[:hidden], bias[hidden : 2 * hidden], bias[3 * hidden :] = 50, -50, 50
    recurrent = np.zeros((hidden, 4 * hidden), np.float32)
    second = np.zeros((hidden, 4 * hidden), np.float32)
    for word, after in follows.items():
        second[word, 2 * hidden + after] = 50
    arrays = {
        "embedding": np.eye(count, dtype=np.float32) * 30,
        "output_bias": np.zeros(count, np.float32),
        "lstm_0_kernel": kernel,
        "lstm_0_recurrent": recurrent,
        "lstm_0_bias": bias,
        "lstm_1_kernel": second,
        "lstm_1_recurrent": recurrent,
        "lstm_1_bias": bias,
    }
    return make_model(WORDS[:size], arrays=arrays, embedding=count, hidden=hidden, layers=2)


def test_hand_made_logits(make_model):
    # <eos> a b c d . <eos>: the first word after nothing is a.
    model = successor(make_model, {EOS: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: EOS})
    generator = generator_of(model, slots=4)
    found = texts(generator, [Prompt("1", ""), Prompt("2", "a b"), Prompt("3", "d")], samples=2)
    assert [g.text for g in found[::2]] == ["a b c d.", " c d.", "."]
    assert all(g.finish == "eos" and g.logprob == pytest.approx(0, abs=1e-4) for g in found)
    assert [g.words for g in found[::2]] == [5, 3, 1]
    assert [g.sample for g in found] == [1, 2] * 3


@pytest.mark.parametrize("length", [1, 15, 16, 17, 18, 40])
def test_prompts_of_any_length_are_read_once_and_whole(make_model, length):
    model = make_model([f"w{i}" for i in range(9)], layers=2, scale=0.8)
    generator = generator_of(model, slots=3)
    words = [f"w{i}" for i in np.random.default_rng(length).integers(0, 9, length)]
    (found,) = texts(generator, [Prompt("x", " ".join(words))], temperatures=(0,), max_words=6)
    state, token = reference.zeros(model.network), EOS
    for word in words:
        _, state = reference.step(model.arrays, 2, token, state)
        token = model.vocabulary.ids[word]
    expected, nats = [], []
    for _ in range(6):
        logits, state = reference.step(model.arrays, 2, token, state)
        allowed = logits.copy()
        allowed[[PAD, UNKNOWN]] = -np.inf
        token = int(np.argmax(allowed))
        nats.append(reference.log_softmax(logits)[token])
        if token == EOS:
            break
        expected.append(model.vocabulary.words[token])
    assert found.text == "".join(f" {word}" for word in expected)
    assert found.logprob == pytest.approx(np.mean(nats), abs=1e-4)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        pytest.param({"top_k": 3}, marks=pytest.mark.long),
        pytest.param({"top_p": 0.7}, marks=pytest.mark.long),
        pytest.param({"min_p": 0.2}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_texts_follow_the_filtered_softmax(make_model, filters):
    # With no embedding the logits are the output's bias at every step.
    bias = np.float32([9, 9, 0.5, 0.1, 1.0, -0.5, 0.8, -1.5])  # <pad> and <unk> would always win
    zeros = np.zeros((8, 8), np.float32)
    model = make_model(list("abcde"), arrays={"embedding": zeros, "output_bias": bias})
    generator = generator_of(model)
    for temperature in (0.5, 1.0, 1.5):
        settings = {"temperatures": (temperature,), "min_words": 9, "max_words": 9, **filters}
        found = texts(generator, prompts(1000), **settings)
        ids = [i for g in found for i in model.vocabulary.encode([g.text])[0]]
        assert len(ids) == 9000
        allowed = np.where(np.isin(np.arange(8), [PAD, UNKNOWN, EOS]), -np.inf, bias)
        expected = reference.filtered(allowed, temperature=temperature, **filters)
        counts = np.bincount(ids, minlength=8)
        assert counts[expected == 0].sum() == 0
        kept = expected > 0
        if kept.sum() > 1:
            assert stats.chisquare(counts[kept], expected[kept] * 9000).pvalue > 1e-4


@pytest.fixture(scope="module")
def many(generator):
    return texts(generator, prompts(2000), temperatures=(0.9,), max_words=12)


def by_id(found):
    return {(g.prompt.id, g.sample, g.temperature): g for g in found}


@pytest.mark.parametrize("slots", [128, 256])
def test_slots_do_not_change_a_bit(model_dir, many, slots):
    other = generator_of(load_model(model_dir), slots=slots)
    assert texts(other, prompts(2000), temperatures=(0.9,), max_words=12) == many


def test_order_and_neighbours_do_not_change_a_bit(generator, many):
    order = np.random.default_rng(0).permutation(2000)
    shuffled = [prompts(2000)[i] for i in order]
    assert by_id(texts(generator, shuffled, temperatures=(0.9,), max_words=12)) == by_id(many)
    few = texts(generator, prompts(2000)[37:38], temperatures=(0.9,), max_words=12)
    assert few == [many[37]]


def test_filters_of_neighbours_do_not_change_a_bit(generator, many):
    """A filter that keeps everything runs its passes and must leave the weights as they are."""
    for open_filter in ({"top_k": 10**6}, {"min_p": 1e-30}, {"top_k": 10**6, "min_p": 1e-30}):
        found = texts(generator, prompts(500), temperatures=(0.9,), max_words=12, **open_filter)
        assert found == many[:500]


@pytest.mark.long
def test_filters_that_come_late_change_no_other_text(make_model):
    """What filters need is built for the first text that wants one, in the middle of a run."""
    model = make_model([f"w{i}" for i in range(9)], scale=0.8)
    generator = Generator(model, slots=4)  # of its own: what it has built is looked at
    some = [Prompt(f"p:{i}", f"w{i % 9}") for i in range(60)]
    plain = texts(generator, some, max_words=8)
    assert not generator._graph("float32").looks
    some[40] = Prompt("p:40", "w4", GenerationSettings(temperatures=(0,), max_words=8))
    mixed = texts(generator, some, max_words=8)
    assert generator._graph("float32").looks
    assert mixed[:40] + mixed[41:] == plain[:40] + plain[41:]
    assert mixed[40].text != plain[40].text


def test_samples_and_temperatures_do_not_disturb_one_another(generator):
    more = by_id(texts(generator, prompts(20), samples=3, temperatures=(0.9, 0.3), max_words=12))
    less = by_id(texts(generator, prompts(20), samples=2, temperatures=(0.9,), max_words=12))
    assert {key[1:] for key in more} == {(s, 0.9 if s < 4 else 0.3) for s in range(1, 7)}
    assert all(more[key] == text for key, text in less.items())


def test_low_precision_writes_other_texts_and_the_same_at_any_number_of_slots(model_dir, generator):
    wanted = {"temperatures": (0.8,), "max_words": 12, "precision": "bfloat16"}
    found = texts(generator, prompts(300), **wanted)
    assert found != texts(generator, prompts(300), **{**wanted, "precision": "float32"})
    assert found == texts(generator_of(load_model(model_dir), slots=128), prompts(300), **wanted)
    assert found[7:8] == texts(generator, prompts(300)[7:8], **wanted)


def test_prompts_with_settings_of_their_own_share_slots(generator):
    """Each text is, to the bit, what a run with that prompt's settings alone gives."""
    own = [
        GenerationSettings(max_words=12, temperatures=(0.9,), samples=2),
        GenerationSettings(max_words=7, temperatures=(0.0, 1.2), stop=("mat",)),
        GenerationSettings(max_words=20, top_k=3, min_words=15, stop=("the", ",")),
        GenerationSettings(max_words=9, top_p=0.8, min_p=0.05, temperatures=(0.7,)),
        None,
    ]
    mixed = [Prompt(prompt.id, prompt.text, own[i % 5]) for i, prompt in enumerate(prompts(300))]
    found = by_id(texts(generator, mixed, max_words=5))
    alone = {}
    for i, settings in enumerate(own):
        some = [Prompt(prompt.id, prompt.text) for prompt in mixed[i::5]]
        settings = settings or GenerationSettings(max_words=5)
        alone |= by_id(generator.generate(some, settings))
    assert found.keys() == alone.keys()
    for key, text in found.items():
        same = alone[key]
        assert (text.text, text.finish, text.logprob) == (same.text, same.finish, same.logprob)
    assert {text.finish for text in found.values()} == {"eos", "length", "stop"}


def test_too_many_stop_words(generator, make_model):
    words = [f"w{i}" for i in range(70)]
    with pytest.raises(SettingError, match="words of at most 63 forms"):
        stop_ids(make_model(words), GenerationSettings(stop=tuple(words)))


def test_seed_id_and_sample_decide(generator):
    def draw(id="a", **settings):
        return texts(generator, [Prompt(id, "the")], max_words=30, **settings)[0].text

    assert draw() == draw(seed=0)
    assert len({draw(), draw(seed=1), draw(seed=2**63), draw(id="b")}) == 4
    two = texts(generator, [Prompt("a", "the")], samples=2, max_words=30)
    assert two[0].text == draw() != two[1].text


def test_keys_differ_by_seed_and_prompt():
    keys = {prompt_key(seed, name) for seed in (0, 1) for name in ("a:1", "a:2", "1")}
    assert len(keys) == 6
    assert prompt_key(0, "a:1") == prompt_key(0, "a:1")


def test_greedy_is_the_same_for_all_samples(generator):
    found = texts(generator, prompts(3), samples=3, temperatures=(0,), max_words=15)
    for i in range(3):
        assert len({g.text for g in found[3 * i : 3 * i + 3]}) == 1


def test_results_come_in_the_order_of_the_prompts(generator, many):
    assert [g.prompt.id for g in many] == [f"p:{i}" for i in range(2000)]
    assert {g.finish for g in many} == {"eos", "length"}


def test_bounds_on_words(generator):
    found = texts(generator, prompts(200), min_words=9, max_words=11)
    assert {g.words for g in found} <= {9, 10, 11}
    assert all(g.finish == ("length" if g.words == 11 else "eos") or g.words == 11 for g in found)


def test_unknown_words_only_when_asked_for(make_model):
    bias = np.float32([0, 30, 0, 0, 0, 0, 0, 0])
    model = make_model(
        WORDS, arrays={"embedding": np.zeros((8, 8), np.float32), "output_bias": bias}
    )
    generator = generator_of(model)
    assert "<unk>" not in " ".join(g.text for g in texts(generator, prompts(50), max_words=4))
    (found,) = texts(generator, prompts(1), max_words=2, unknown=True)
    assert found.text == " <unk> <unk>"


def test_stop_words_in_all_their_forms(make_model):
    model = successor(make_model, {EOS: 3, 3: 4, 4: 7, 7: 5})
    generator = generator_of(model)
    (found,) = texts(generator, [Prompt("x", "a")], stop=(".",))
    assert (found.text, found.finish, found.words) == (" b", "stop", 1)
    assert stop_ids(model, GenerationSettings(stop=(".", "a"))) == {7, 3}
    (found,) = texts(generator, [Prompt("x", "a")], stop=(".",), min_words=2, max_words=2)
    assert (found.finish, found.words) == ("length", 2)
    assert "." not in found.text
    with pytest.raises(SettingError, match="stop must be a word of the model's vocabulary"):
        texts(generator, prompts(1), stop=("zebra",))


def test_labels(labelled_dir):
    generator = generator_of(load_model(labelled_dir))
    own = [GenerationSettings(label=name, temperatures=(0.5,)) for name in ("cats", "dogs")]
    mixed = [Prompt(f"p:{i}", "", own[i % 2]) for i in range(40)]
    for found in texts(generator, mixed):
        word = {"cats": "cat", "dogs": "dog"}[found.label]
        assert word in found.text.split(), found
    assert {g.label for g in texts(generator, prompts(3), label="dogs")} == {"dogs"}
    with pytest.raises(SettingError, match=r"label is missing; it must be .* labels \(cats"):
        texts(generator, prompts(1))
    for bad in ("birds",):
        with pytest.raises(
            SettingError, match=r"label must be one of the model's labels \(cats, dogs\)"
        ):
            texts(generator, prompts(1), label=bad)


def test_labels_are_there_at_each_step(make_model):
    model = make_model([f"w{i}" for i in range(9)], labels=("x", "y"), layers=2, scale=0.8)
    wanted = [
        (text, label) for text in ("", "w3 w1", " ".join(["w2"] * 70)) for label in ("y", "x")
    ]
    own = [
        Prompt(f"{i}", text, GenerationSettings(label=label, temperatures=(0,), max_words=12))
        for i, (text, label) in enumerate(wanted)
    ]
    found = texts(generator_of(model, slots=4), own, label="x")
    for (text, label), generation in zip(wanted, found, strict=True):
        number = model.labels.index(label)
        state, token, nats = reference.start(model.arrays, model.network, number), EOS, []
        for word in text.split():
            _, state = reference.step(model.arrays, 2, token, state, number)
            token = model.vocabulary.ids[word]
        for word in [*model.vocabulary.encode([generation.text])[0], EOS][:12]:
            logits, state = reference.step(model.arrays, 2, token, state, number)
            allowed = logits.copy()
            allowed[[PAD, UNKNOWN]] = -np.inf
            token = int(np.argmax(allowed))
            nats.append(reference.log_softmax(logits)[token])
            assert token == word
        assert generation.logprob == pytest.approx(np.mean(nats), abs=1e-4)
    assert len({generation.text for generation in found}) > 3


def test_labels_of_neighbours_do_not_change_a_bit(labelled_dir):
    generator = generator_of(load_model(labelled_dir))
    own = [GenerationSettings(label=name, max_words=9) for name in ("cats", "dogs")]
    names = [f"p:{i}" for i in range(300)]
    mixed = [Prompt(name, "the", own[i % 2]) for i, name in enumerate(names)]
    found = list(generator.generate(mixed, own[0]))
    for i, label in enumerate(("cats", "dogs")):
        alone = [Prompt(name, "the") for name in names[i::2]]
        expected = texts(generator, alone, label=label, max_words=9)
        assert [(g.text, g.logprob) for g in found[i::2]] == [(g.text, g.logprob) for g in expected]


def test_no_label_where_there_is_none(generator):
    with pytest.raises(SettingError, match="label must be left out"):
        texts(generator, prompts(1), label="cats")


@pytest.mark.parametrize("text", ["", "the", "The old", "said: “", "zzz unknown", "the ", "(old)"])
def test_prompt_and_text_join_with_right_spacing(generator, text):
    for found in texts(generator, [Prompt("x", text)], samples=20, max_words=8):
        joined = text + found.text
        assert "  " not in joined
        if found.words and not text.endswith((" ", "“", "(")) and text:
            assert found.text[0] == " " or not found.text[0].isalnum()
        if text.endswith(("“", " ")) and found.words:
            assert not found.text.startswith(" ")


def test_no_prompts(generator):
    assert texts(generator, []) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", 0), ("samples", True), ("temperatures", (-0.1,)),
        ("temperatures", (float("nan"),)), ("temperatures", ("hot",)), ("temperatures", ()),
        ("top_p", 0.0), ("top_p", 1.5),
        ("top_k", -1), ("min_p", 2.0), ("min_words", 99), ("max_words", 0), ("stop", (" ",)),
        ("label", 3), ("seed", -1), ("unknown", 1), ("temperatures", {0.5}), ("stop", {"a": 1}),
        ("temperatures", "0.5"), ("ban", [1]), ("temperatures", [[0.5]]),
    ],
)  # fmt: skip
def test_settings_are_checked(field, value):
    with pytest.raises(SettingError, match="must be"):
        GenerationSettings(**{field: value})


def test_settings_of_several_values_take_any_sequence():
    asked = GenerationSettings(temperatures=(0.5, 2), stop=("mat",), ban=("cat", "dog"))
    ways = ([0.5, 2], np.array([0.5, 2.0]), pandas.Series([0.5, 2]), [np.float32(0.5), 2])
    for temperatures in ways:
        own = GenerationSettings(temperatures=temperatures, stop="mat", ban=["cat", "dog"])
        assert own == asked
        assert hash(own) == hash(asked)
    assert GenerationSettings(temperatures=0.8).temperatures == (0.8,)
    assert GenerationSettings(temperatures=np.float64(0.8)).temperatures == (0.8,)
    with pytest.raises(SettingError, match=r"0 \(greedy\) or .*, or several in a list.*\{0.5\}"):
        GenerationSettings(temperatures={0.5})


@pytest.mark.walk  # TensorFlow in a process of its own
def test_threads_that_would_change_bits_are_refused():
    import subprocess
    import sys

    code = (
        "import tensorflow as tf; tf.config.threading.set_intra_op_parallelism_threads(2);"
        "tf.constant(1) + 1\n"
        "from textmill.model.tensorflow_setup import use_one_thread\n"
        "use_one_thread()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert TextmillError.__name__ in done.stderr
    assert "in a process of its own" in done.stderr
