"""Texts that start from numbers: beside labels, against NumPy, and the same bits everywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
import reference
from sharing import generator_of

from textmill.model.errors import SettingError, TextmillError
from textmill.model.network.context import MOST_DEVIATIONS, Context
from textmill.model.network.directory import load_model, save_model
from textmill.model.network.likelihood import Evaluator
from textmill.model.network.lstm import restored
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings
from textmill.model.text.corpus import CorpusSettings
from textmill.model.text.row_numbers import numbers_of
from textmill.model.text.split import Part, split, tokenized_part
from textmill.model.training.transfer import transfer

WORDS = [f"w{i}" for i in range(20)]


@pytest.fixture(scope="module")
def numbers():
    random = np.random.default_rng(1)
    return random.normal(3, 5, (40, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(
        WORDS, labels=("x", "y"), columns=("f",), numbers=4, layers=2, embedding=9, hidden=11,
        mode="lines",
    )  # fmt: skip


def drawn(model, prompts, *, slots=8, **settings):
    settings = GenerationSettings(**{"label": "x", "max_words": 12, "seed": 3, **settings})
    return list(generator_of(model, slots=slots).generate(prompts, settings))


def plain(found):
    return [(g.prompt.id, g.sample, g.text, g.logprob) for g in found]


def test_numbers_are_standardised_as_numpy_does(numbers):
    context = Context.learned(["x", "y"], ["f"], numbers)
    found = context.vectors(["y", None], numbers[:2], rows=2)
    wide = numbers.astype(np.float64)
    expected = (wide[:2] - wide.mean(axis=0)) / wide.std(axis=0)
    assert found.dtype == np.float32
    assert found[:, :2].tolist() == [[0, 1], [0, 0]]
    assert np.allclose(found[:, 2:], expected, rtol=1e-5, atol=1e-6)


def test_a_number_that_never_changes_is_not_used(numbers):
    numbers = numbers.copy()
    numbers[:, 2] = np.float32(0.1)
    context = Context.learned([], ["f"], numbers)
    assert context.unused == 1
    strange = numbers[:1].copy()
    strange[0, 2] = 1e6
    assert context.vectors(None, strange, rows=1)[0, 2] == 0


@pytest.mark.parametrize(
    ("columns", "changes", "message"),
    [
        (["f"], None, "context must be numbers that differ from row to row. Received: 'f'"),
        (["a", "b"], 0, "context must be columns whose numbers differ .* Received: 'b'"),
    ],
)
def test_constant_columns(columns, changes, message):
    numbers = np.ones((5, 2), np.float32)
    if changes is not None:
        numbers[:, changes] = range(5)
    with pytest.raises(SettingError, match=message):
        Context.learned([], columns, numbers)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"context is missing; it must be the model's 4 numbers \(f\)"),
        ([1.0] * 3, "context must be 4 numbers. Received: '3 numbers'"),
        ([1.0, float("nan"), 0, 0], "context must be finite numbers. Received: nan"),
        ([1.0, 1e39, 0, 0], "context must be finite numbers. Received: inf"),
        ([1.0, 1e30, 0, 0], "context must be within 1,000,000 standard deviations"),
    ],
)
def test_numbers_that_no_text_can_start_from(model, given, message):
    with pytest.raises(SettingError, match=message):
        drawn(model, [Prompt("a", "", context=given)])
    assert MOST_DEVIATIONS == 1e6


def test_numbers_for_a_model_without(make_model):
    with pytest.raises(SettingError, match="context must be left out: the model has none"):
        drawn(make_model(WORDS), [Prompt("a", "", context=[1.0])], label=None)


def test_texts_follow_the_equations(model, numbers):
    """Greedy texts and their log-probabilities, against float64."""
    prompts = [
        Prompt(
            f"{i}", text, GenerationSettings(label=label, temperatures=(0,), max_words=9),
            context=own,
        )
        for i, (text, label, own) in enumerate(
            zip(["", "w3 w1", "w2 " * 70, "w5"], "xyxy", numbers.tolist(), strict=False)
        )
    ]  # fmt: skip
    for prompt, generation in zip(prompts, drawn(model, prompts), strict=True):
        vector = model.context.vectors(
            [prompt.settings.label], np.array([prompt.context]), rows=1
        )[0]  # fmt: skip
        ((words, _),) = model.vocabulary.encode_prompts([prompt.text])
        state = reference.start(model.arrays, model.network, vector)
        nats, ids = [], []
        for token in [2, *words]:
            logits, state = reference.step(model.arrays, 2, token, state, vector)
        for _ in range(9):
            p = reference.log_softmax(logits)
            allowed = p.copy()
            allowed[:2] = -np.inf
            ids.append(int(np.argmax(allowed)))
            nats.append(p[ids[-1]])
            if ids[-1] == 2:
                break
            logits, state = reference.step(model.arrays, 2, ids[-1], state, vector)
        assert generation.text.split() == [WORDS[i - 3] for i in ids if i != 2]
        assert generation.logprob == pytest.approx(np.mean(nats), abs=2e-5)


def test_bits_do_not_depend_on_neighbours_slots_or_order(model, numbers):
    prompts = [
        Prompt(f"{i}", ["", "w1", "w2 w3"][i % 3], context=own.tolist())
        for i, own in enumerate(numbers)
    ]
    found = {g.prompt.id: p for g, p in _with(drawn(model, prompts, slots=64))}
    turned = {g.prompt.id: p for g, p in _with(drawn(model, prompts[::-1], slots=64))}
    assert turned == found
    assert {g.prompt.id: p for g, p in _with(drawn(model, prompts, slots=128))} == found
    alone = drawn(model, prompts[7:8], slots=64)
    assert plain(alone) == [found["7"]]


def _with(generations):
    return zip(generations, plain(generations), strict=True)


def test_other_numbers_give_another_text(model):
    one = drawn(model, [Prompt("a", "", context=[0.0] * 4)], samples=20)
    other = drawn(model, [Prompt("a", "", context=[9.0, -9.0, 9.0, 9.0])], samples=20)
    assert [g.text for g in one] != [g.text for g in other]


def test_likelihood_follows_the_equations(model, numbers):
    random = np.random.default_rng(0)
    lengths = np.array([3, 7, 5])
    ids = random.integers(0, 20, 15).astype(np.int32)
    part = Part(ids, lengths, ["y", "x", "y"], WORDS, numbers[:3])
    found = Evaluator(restored(model), model.vocabulary, model.context)(part)
    nats = 0.0
    vectors = model.context.vectors(part.labels, part.numbers, rows=3)
    for row, vector in zip(np.split(ids, np.cumsum(lengths)[:-1]), vectors, strict=True):
        state, token = reference.start(model.arrays, model.network, vector), 2
        for target in [*(row + 3), 2]:
            logits, state = reference.step(model.arrays, 2, token, state, vector)
            nats -= reference.log_softmax(logits)[target]
            token = target
    assert found.tokens == 18
    assert found.nats == pytest.approx(nats, rel=1e-5)


def test_a_directory_keeps_it(model, tmp_path):
    save_model(tmp_path / "m", model, card="")
    loaded = load_model(tmp_path / "m")
    assert loaded.columns == ("f",)
    assert loaded.fingerprint == model.fingerprint
    assert (loaded.context.mean == model.arrays["context_mean"]).all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["f", "f"], "a column stands twice"),
        (["f", "g"], "the columns do not fit the network"),
        ([], "the columns do not fit the network"),
        ([3], "columns must be a list of texts"),
    ],
)
def test_a_directory_with_other_columns(model, tmp_path, columns, message):
    save_model(tmp_path / "m", model, card="")
    path = tmp_path / "m" / "model.json"
    index = {**json.loads(path.read_text()), "columns": columns}
    path.write_text(json.dumps(index, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    with pytest.raises(TextmillError, match=message):
        load_model(tmp_path / "m")


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "texts", "expected"),
    [
        ([[1, 2.5]], False, [1, 2.5]),
        ([np.array([1, 2], np.int16)], False, [1, 2]),
        ([3, 4.5], False, [3, 4.5]),
        (["3", " 4e1"], True, [3, 40]),
        ([True], False, "True"),
        ([[1, None]], False, "null"),
        ([[1, "2"]], False, "'2'"),
        (["1_0"], True, "'1_0'"),
        (["nan"], True, "'nan'"),
        ([[1, float("inf")]], False, "inf"),
        ([np.array([1, np.nan])], False, "nan"),
        ([[10**400]], False, "a number of many digits"),
        ([[]], False, "an empty list"),
        ([1e300], False, "1e\\+300"),
        ([[[1]]], False, r"\[1\]"),
    ],
)
def test_numbers_of_a_row(cells, texts, expected):
    if isinstance(expected, list):
        found = numbers_of(cells, texts=texts)
        assert (found.dtype, found.tolist()) == (np.float32, expected)
    else:
        with pytest.raises(ValueError, match=f"Received: '?{expected}"):
            numbers_of(cells, texts=texts)


def _rows(tmp_path, name, rows):
    path = tmp_path / name
    if name.endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet"])
def test_a_column_of_lists(tmp_path, name):
    rows = [{"text": f"a b {i}", "kind": "k", "f": [i / 3, -i]} for i in range(4)]
    rows[2]["f"] = None
    path = _rows(tmp_path, name, rows)
    corpus = CorpusSettings(paths=path, labels="kind", context=("f",)).read()
    assert (corpus.texts, corpus.skipped) == (["a b 0", "a b 1", "a b 3"], 1)
    assert corpus.numbers.dtype == np.float32
    assert np.allclose(corpus.numbers, [[0, 0], [1 / 3, -1], [1, -3]])


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_columns_of_a_number_each(tmp_path, name):
    rows = [{"text": f"a b {i}", "p": i, "q": i / 4} for i in range(30)]
    path = _rows(tmp_path, name, rows)
    corpus = CorpusSettings(paths=path, context=("q", "p")).read()
    assert np.allclose(corpus.numbers, [[i / 4, i] for i in range(30)])
    parts = split(tokenized_part(corpus, level="word", mode="lines"))
    texts = dict(enumerate(corpus.texts))
    # A line keeps its own numbers, wherever it goes.
    for part in parts.values():
        ends = np.cumsum(part.lengths)
        for end, length, own in zip(ends, part.lengths, part.numbers, strict=True):
            words = [part.words[i] for i in part.ids[end - length : end]]
            assert words == texts[int(own[1])].split()
        assert len(part.head(4).numbers) == len(part.head(4).lengths)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("t.jsonl", [1.0], "row 2 of .*t.jsonl: f has 1 numbers, the rows before it 2"),
        ("t.parquet", [1.0], "row 2 of .*: f has 1 numbers, the rows before it 2"),
        ("t.jsonl", [1.0, "x"], "f must be finite numbers of 32 bits. Received: 'x'"),
        ("t.jsonl", [1.0, None], "f must be finite numbers of 32 bits. Received: null"),
        ("t.parquet", [1.0, float("nan")], "f must be finite numbers of 32 bits. Received: nan"),
    ],
)
def test_numbers_that_cannot_be_learned(tmp_path, name, wrong, message):
    rows = [{"text": "a", "f": [1.0, 2.0]}, {"text": "b", "f": wrong}]
    path = _rows(tmp_path, name, rows)
    with pytest.raises(TextmillError, match=message):
        CorpusSettings(paths=path, context="f").read()


@pytest.mark.parametrize("context", [("text",), ("f", "f"), ("kind",), (3,)])
def test_a_column_for_two_purposes(context):
    with pytest.raises(SettingError, match="context must be columns that hold nothing else"):
        CorpusSettings(paths="t.csv", labels="kind", context=context)


# -- from one corpus to the next -------------------------------------------------------------------


def test_transfer_keeps_what_was_learned(model, numbers):
    new = Context.learned(["y", "z"], ["f"], numbers)
    start = transfer(model, model.vocabulary, new, seed=0)
    assert start.context.labels == ("x", "y", "z")
    assert (start.context.mean == model.arrays["context_mean"]).all()
    assert (start.network.context, start.network.numbers) == (7, 4)
    for name in ("context_kernel", "context_input"):
        kept = [0, 1, 3, 4, 5, 6]
        assert (start.arrays[name][kept] == model.arrays[name]).all()


def test_numbers_come_and_go(model, make_model, numbers):
    without = transfer(model, model.vocabulary, Context(("x",)), seed=0)
    assert (without.network.context, without.network.numbers) == (2, 0)
    assert (without.arrays["context_kernel"] == model.arrays["context_kernel"][:2]).all()
    old = make_model(WORDS)
    new = transfer(old, old.vocabulary, Context.learned([], ["f"], numbers), seed=0)
    assert new.arrays["context_input"].shape == (4, 8)
    assert new.context.deviation.all()


def test_transfer_to_other_numbers(model, numbers):
    for columns, own in ((["g"], numbers), (["f"], numbers[:, :3])):
        with pytest.raises(TextmillError, match="--init-from has 4 numbers"):
            transfer(model, model.vocabulary, Context.learned([], columns, own), seed=0)
