"""The tour: many to one, one to many, many to many."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.checks.expect import Random, affine, close, equal, true


def classifier(ex: Any, random: Random) -> None:
    """Checks many to one: which word came first."""
    model = ex.build_classifier(9, 6, 12)
    ids = random.integers(1, 9, (40, 6)).astype(np.int32)
    name = "build_classifier"
    out = _shape(name, model(ids), (40, 1), "one number for each row: LSTM(units), then Dense(1)")
    true(
        name,
        bool(((out >= 0) & (out <= 1)).all()),
        expected="probabilities",
        received=f"numbers from {out.min():.2f} to {out.max():.2f}",
        hint="a sigmoid makes a probability of the last number",
    )
    padded = np.concatenate([ids, np.zeros((40, 3), np.int32)], axis=1)
    hint = "id 0 is padding: Embedding(..., mask_zero=True)"
    close(f"{name}: with padding at the end", model(padded), out, hint, atol=1e-5)
    classes = (ids[:, 0] > 4).astype(np.float32)[:, None]
    what = f"{name}: the loss after training on which word came first"
    hint = "is all of the row read by the LSTM, and all of it trained?"
    _learns(what, model, padded, classes, logits=False, rounds=150, below=0.2, hint=hint)


def from_vector(ex: Any, random: Random) -> None:
    """Checks one to many: a line for each vector."""
    name = "build_from_vector"
    model = ex.build_from_vector(9, 3, 8, 16)
    vectors = np.eye(3, dtype=np.float32)
    lines = random.integers(2, 9, (3, 7)).astype(np.int32)
    lines[:, 0] = 1
    lines[:, 1] = [2, 3, 4]
    out = _shape(name, model([vectors, lines]), (3, 7, 9), "logits at each step: [B, T, V]")
    affine(name, out)
    true(
        f"{name}: logits after the first word, with three vectors",
        not np.allclose(out[0, 0], out[1, 0], atol=1e-6),
        expected="three different rows",
        received="equal rows",
        hint="two Dense layers make h and c of the vector: initial_state=[h, c]",
    )
    what = f"{name}: the loss after training on three lines, one for each vector"
    hint = "what comes first can only be known from the vector: does it reach the LSTM?"
    feed, wanted = [vectors, lines[:, :-1]], lines[:, 1:]
    _learns(what, model, feed, wanted, logits=True, rounds=150, below=0.2, hint=hint)


def translator(ex: Any, random: Random) -> None:
    """Checks many to many: three numbers in reverse order."""
    name = "build_translator"
    model = ex.build_translator(7, 9, 8, 32)
    source = random.integers(1, 7, (24, 3)).astype(np.int32)
    target = np.concatenate([np.ones((24, 1), np.int32), source[:, ::-1] + 2], axis=1)
    feed, wanted = target[:, :-1], target[:, 1:]
    out = _shape(name, model([source, feed]), (24, 3, 9), "logits at each target step: [B, T, V]")
    affine(name, out)
    changed = source.copy()
    changed[:, 0] = changed[:, 0] % 6 + 1
    true(
        f"{name}: logits after another first source word",
        not np.allclose(model([changed, feed]), out, atol=1e-7),
        expected="changed",
        received="unchanged",
        hint="the encoder's last state, [h, c], is the decoder's initial_state",
    )
    later = feed.copy()
    later[:, -1] = later[:, -1] % 8 + 1
    close(
        f"{name}: logits before a target word that was changed",
        np.asarray(model([source, later]))[:, :-1],
        out[:, :-1],
        "the decoder sees the words to come: no Bidirectional layer there",
        atol=1e-5,
    )
    what = f"{name}: the loss after training to read three numbers backwards"
    hint = "the encoder has to read all source words, and both LSTMs have to be trained"
    _learns(what, model, [source, feed], wanted, logits=True, rounds=300, below=0.3, hint=hint)


def _shape(name: str, received: Any, expected: tuple[int, ...], hint: str) -> np.ndarray:
    """Gives the output as an array of the expected shape."""
    found = np.asarray(received)
    equal(f"{name}: shape of the output", found.shape, expected, hint)
    return found


def _learns(
    what: str, model: Any, x: Any, y: Any, *, logits: bool, rounds: int, below: float, hint: str
) -> None:
    """The loss after some steps over one batch, of logits of words or of p of the second class."""
    import keras

    losses = keras.losses
    loss = (
        losses.SparseCategoricalCrossentropy(from_logits=True)
        if logits
        else losses.BinaryCrossentropy()
    )
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=loss)
    for _ in range(rounds):
        nats = float(model.train_on_batch(x, y))
    true(what, nats < below, expected=f"below {below}", received=f"{nats:.3f}", hint=hint)
