"""Batches: shifted by one, nothing lost, padding masked, the two feeders equal."""

from __future__ import annotations

import numpy as np
import pytest

from textmill.model.errors import TextmillError
from textmill.model.text.dataset import WIDTHS, LineBatches, StreamBatches
from textmill.model.text.split import END, Part, split, whole
from textmill.model.text.vocabulary import EOS, PAD, UNKNOWN, TokenizedTexts, Vocabulary

RANDOM = np.random.default_rng(0)
LENGTHS = np.concatenate([RANDOM.integers(1, 60, 61), [254, 255, 256, 300, 1]])
IDS = RANDOM.integers(3, 99, LENGTHS.sum()).astype(np.int32)
CONTEXTS = RANDOM.normal(size=(len(LENGTHS), 3)).astype(np.float32)

FEEDERS = {
    "stream": StreamBatches(IDS, batch=8, steps=16, seed=3),
    "tight": StreamBatches(IDS[: 8 * 20], batch=8, steps=16, seed=3),
    "lines": LineBatches(IDS, LENGTHS, batch=8, seed=1),
    "contexts": LineBatches(IDS, LENGTHS, batch=8, seed=1, contexts=CONTEXTS),
    "in order": LineBatches(IDS, LENGTHS, batch=8, seed=1, shuffle=False),
}


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("name", FEEDERS)
def test_numpy_and_tf_data_feed_the_same(name, epoch):
    feeder = FEEDERS[name]
    count = 0
    pairs = zip(feeder.batches(epoch), feeder.tf_data(epoch).as_numpy_iterator(), strict=True)
    for (inputs, targets, weights), (tf_inputs, tf_targets, tf_weights) in pairs:
        count += 1
        assert inputs.keys() == tf_inputs.keys()
        for ours, theirs in (
            *((inputs[key], tf_inputs[key]) for key in inputs),
            (targets, tf_targets),
            (weights, tf_weights),
        ):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
    assert count == len(feeder.plan(epoch)) > 0


def test_stream_windows_are_contiguous_and_shifted_by_one():
    feeder = FEEDERS["stream"]
    batches = list(feeder.batches(5))
    inputs = np.concatenate([inputs["ids"] for inputs, _, _ in batches], 1)
    targets = np.concatenate([targets for _, targets, _ in batches], 1)
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    text = np.concatenate([[EOS], IDS]).tolist()
    for row in range(8):
        run = [*inputs[row].tolist(), int(targets[row, -1])]
        assert any(text[i : i + len(run)] == run for i in range(len(text)))


@pytest.mark.parametrize("name", FEEDERS)
def test_an_epoch_goes_on_from_any_batch(name):
    feeder = FEEDERS[name]
    whole, rest = list(feeder.batches(2)), list(feeder.batches(2, 1))
    theirs = list(feeder.tf_data(2, 1).as_numpy_iterator())
    assert len(whole) - 1 == len(rest) == len(theirs)
    for (_, a, _), (_, b, _), (_, c, _) in zip(whole[1:], rest, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_every_word_of_a_stream_is_seen_within_some_epochs():
    feeder = StreamBatches(np.arange(3, 1003, dtype=np.int32), batch=4, steps=16, seed=0)
    seen = {int(w) for e in range(60) for _, targets, _ in feeder.batches(e) for w in targets.flat}
    missing = set(range(3, 1003)) - seen
    assert len(missing) <= 4  # at most the joints of the four rows


def test_lines_come_once_with_both_ends_and_masked_padding():
    feeder = FEEDERS["contexts"]
    lines = []
    for inputs, targets, weights in feeder.batches(2):
        assert targets.shape[1] in WIDTHS
        for ids, target, weight, context in zip(
            inputs["ids"], targets, weights, inputs["context"], strict=True
        ):
            count = int(weight.sum())
            assert (weight[:count] == 1).all()
            assert not weight[count:].any()
            assert (target[count:] == PAD).all()
            if count:
                assert ids[0] == EOS
                np.testing.assert_array_equal(ids[1:count], target[: count - 1])
                lines.append((tuple(target[:count].tolist()), tuple(context.tolist())))
    expected = []
    for end, length, context in zip(np.cumsum(LENGTHS), LENGTHS, CONTEXTS, strict=True):
        line = [*IDS[end - length : end].tolist(), EOS][: WIDTHS[-1]]
        expected.append((tuple(line), tuple(context.tolist())))
    assert sorted(lines) == sorted(expected)
    assert feeder.cut == 2  # 256 and 300 words


def test_order_differs_by_epoch_and_hangs_on_the_seed():
    feeder = FEEDERS["lines"]
    plans = [[lines.tolist() for _, lines in feeder.plan(epoch)] for epoch in (0, 1, 0)]
    assert plans[0] == plans[2] != plans[1]
    other = LineBatches(IDS, LENGTHS, batch=8, seed=2)
    assert [lines.tolist() for _, lines in other.plan(0)] != plans[0]


def texts(lengths) -> TokenizedTexts:
    count = int(np.sum(lengths))
    return TokenizedTexts(
        np.arange(count, dtype=np.int32) % 50, np.array(lengths), [f"w{i}" for i in range(50)]
    )


def test_stream_parts_are_cut_by_position():
    part = whole(texts([300, 500, 198]), mode="stream")
    parts = split(part)
    assert [len(parts[name].ids) for name in ("train", "valid", "test")] == [900, 50, 51]
    joined = np.concatenate([parts[name].ids for name in ("train", "valid", "test")])
    np.testing.assert_array_equal(joined, part.ids)
    assert np.flatnonzero(part.ids == END).tolist() == [300, 801, 1000]


def test_line_parts_keep_order_without_labels_and_mix_with_them():
    lengths = np.arange(1, 101)
    plain = split(whole(texts(lengths), mode="lines"))
    np.testing.assert_array_equal(plain["train"].lengths, lengths[:90])
    np.testing.assert_array_equal(plain["test"].lengths, lengths[95:])
    labels = ["a"] * 50 + ["b"] * 50
    mixed = split(whole(texts(lengths), mode="lines", labels=labels))
    rows = [
        (int(length), label)
        for part in mixed.values()
        for length, label in zip(part.lengths, part.labels, strict=True)
    ]
    assert sorted(rows) == list(zip(lengths.tolist(), labels, strict=True))
    assert set(mixed["test"].labels) == {"a", "b"}


@pytest.mark.parametrize(("mode", "lengths"), [("stream", [300]), ("lines", [5] * 19)])
def test_too_small_a_corpus(mode, lengths):
    with pytest.raises(TextmillError, match=r"has only .*, at least .* are needed"):
        split(whole(texts(lengths), mode=mode))


def test_encode_counts_and_characters():
    part = Part(np.array([0, 1, 1, END, 2, END], np.int32), None, None, ["a", "b", "c"])
    vocabulary = Vocabulary(level="word", words=["<pad>", "<unk>", "<eos>", "b"], counts=[0] * 4)
    assert part.encode(vocabulary).tolist() == [UNKNOWN, 3, 3, EOS, UNKNOWN, EOS]
    assert part.counts().tolist() == [1, 2, 1]
    assert part.unknown_rate(vocabulary) == 0.5
    assert part.characters("word") == len("a b b\nc\n")
    assert part.tokens == 6
    lines = Part(np.array([0, 1, 1], np.int32), np.array([1, 2]), ["x", "y"], ["a", "b"])
    assert lines.characters("word") == len("a\nb b\n")
    assert lines.ends == part.ends == 2


def test_the_head_of_a_part():
    part = whole(texts([300, 500]), mode="stream")
    assert part.head(400).ids.tolist() == part.ids[:400].tolist()
    lines = whole(texts([3, 4, 5]), mode="lines", labels=["a", "b", "c"])
    head = lines.head(10)
    assert head.ids.tolist() == list(range(7))
    assert (head.lengths.tolist(), head.labels) == ([3, 4], ["a", "b"])
    assert lines.head(1).lengths.tolist() == [3]
