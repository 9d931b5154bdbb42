"""The operations of tensorflow-text without its package: the same as with it."""

from __future__ import annotations

import pytest
import tensorflow as tf

from textmill.model.errors import TextmillError
from textmill.model.text import text_ops

TEXTS = ["", " ", "a  b", "cafe\u0301 \u212b", "“Don't stop!”", "日本語 text", "a\tb\n", "x" * 5000]
PATTERNS = [(r"\s+", ""), (r"\s+|\w+", r"\w+"), (r"\p{Han}|[^\p{Han}]", r".|\n")]


def test_the_operations_are_those_of_the_package():
    import tensorflow_text

    texts = tf.constant(TEXTS)
    expected = tensorflow_text.normalize_utf8(texts, "NFC").numpy().tolist()
    assert text_ops.normalize_nfc(texts).numpy().tolist() == expected
    for delimiter, keep in PATTERNS:
        theirs = tensorflow_text.regex_split_with_offsets(texts, delimiter, keep)
        ours = text_ops.regex_split(texts, delimiter, keep)
        for one, other in zip(theirs, ours, strict=True):
            assert one.to_list() == other.to_list()


def test_without_tensorflow_text_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TextmillError, match="not installed; install the tensorflow-text of"):
        text_ops._library("another")
    monkeypatch.undo()
    with pytest.raises(TextmillError, match=r"cannot be loaded: .*another_ops\.so"):
        text_ops._library("another")
