"""Exercise 1: tokens, back to text, vocabulary, ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.checks.expect import Random, equal, kind, true


def check(ex: Any, random: Random) -> None:
    """Checks texts that show one rule each, then random texts there and back."""
    cases = [
        ("Stop, she said.", ["Stop", "■,", "she", "said", "■."], "punctuation marks are tokens"),
        ("don't", ["don't"], "an apostrophe within a word belongs to it"),
        ("(well)", ["(", "■well", "■)"], "what follows without white space has the ■, also a word"),
        (
            "Какво? Нищо!",
            ["Какво", "■?", "Нищо", "■!"],
            "words have letters of any script, not a-z",
        ),
        ("Füße 1865", ["Füße", "1865"], "words have letters of any script, and digits"),
        ("a  b\n c", ["a", "b", "c"], "white space, however much, only parts tokens"),
        ("don’t", ["don’t"], "an apostrophe within a word belongs to it, the curly one (’), too"),
        (
            "Oh... No?!",
            ["Oh", "■.", "■.", "■.", "No", "■?", "■!"],
            "each punctuation mark is a token of its own, also where several follow each other",
        ),
    ]
    for text, tokens, hint in cases:
        equal(f"tokenize({text!r})", ex.tokenize(text), tokens, hint)
    for _ in range(20):
        pieces = random.choice(["the", "Cat", "don't", "—", ".", ",", "“", "”", "!", "ой", "7"], 12)
        gaps = random.choice(["", " "], 12)
        text = ""
        for piece, gap in zip(pieces, gaps, strict=True):
            # Two neighbouring words would become one.
            between = " " if text and text[-1].isalnum() and piece[0].isalnum() else gap
            text += between + str(piece)
        text = text.strip()
        received = ex.detokenize(ex.tokenize(text))
        hint = "a token with ■ follows directly, without it; the others after one space"
        equal("detokenize(tokenize(text))", received, text, hint)
    _vocabulary(ex, random)


def _vocabulary(ex: Any, random: Random) -> None:
    names = [f"w{i:02}" for i in random.permutation(20)]
    tokens = [str(each) for each in random.choice(names, 60)] + ["b", "a", "b", "a", "once"]
    kept = {token for token in tokens if tokens.count(token) >= 2}
    expected = ["<unk>", *sorted(kept, key=lambda token: (-tokens.count(token), token))]
    received = ex.make_vocabulary(list(tokens), 2)
    first = list(received)[:1]
    if first != ["<unk>"]:
        hint = "`<unk>` comes first: its id is 0"
    elif set(received) != set(expected):
        hint = "kept is what is seen at least `min_count` times: exactly so often is enough"
    else:
        hint = "the most frequent first; those equally frequent in alphabetical order"
    equal("make_vocabulary", received, expected, hint)
    text = ["a", "never", "b", names[0]]
    wanted = [expected.index(token) if token in expected else 0 for token in text]
    found = ex.encode(text, list(expected))
    equal("encode", found, wanted, "a token's id is its place in the vocabulary; 0 if it has none")
    true(
        "encode",
        isinstance(found, np.ndarray) and found.dtype == np.int32,
        expected="an array of int32",
        received=kind(found),
        hint="np.array(..., np.int32)",
    )
