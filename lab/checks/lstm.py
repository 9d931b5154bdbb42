"""Exercise 4: the model's shapes and state, its loss, and what it learns."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.checks.counting import ngram_tables, shares
from lab.checks.expect import Random, affine, close, equal, true


def check(ex: Any, random: Random) -> None:
    """Checks the model before it is trained, then the loss, then what both learn."""
    from keras import ops

    size, embedding, units = 13, 6, 10
    model = ex.build_model(size, embedding, units)
    ids = random.integers(1, size, (3, 9)).astype(np.int32)
    zeros = np.zeros((3, units), np.float32)

    def call(ids: Any, h: Any, c: Any) -> Any:
        found = model([ops.convert_to_tensor(each) for each in (ids, h, c)], training=False)
        outputs = found if isinstance(found, list | tuple) else [found]
        true(
            "build_model: outputs",
            len(outputs) == 3,
            expected="[logits, h, c]",
            received=f"{len(outputs)} output(s)",
            hint="keras.Model([ids, h, c], [logits, h, c]); LSTM(..., return_state=True)",
        )
        return [np.asarray(each) for each in outputs]

    logits, h, c = call(ids, zeros, zeros)
    equal(
        "build_model: shapes of logits, h and c for ids [3, 9]",
        (logits.shape, h.shape, c.shape),
        ((3, 9, size), (3, units), (3, units)),
        "LSTM(units, return_sequences=True, return_state=True), then Dense(V) at every step",
    )
    affine("build_model", logits)
    # It is wrong only if another word changes h and `<unk>` does not.
    longer = [np.concatenate([ids, np.full((3, 1), word, np.int32)], axis=1) for word in (0, 1)]
    moved = [not np.allclose(call(each, zeros, zeros)[1], h, atol=1e-7) for each in longer]
    true(
        "build_model: h after one more word, `<unk>`",
        moved[0] or not moved[1],
        expected="changed",
        received="unchanged",
        hint="id 0 is a word here, not padding: no mask",
    )
    other = ids.copy()
    other[:, -1] = ids[:, -1] % (size - 1) + 1
    same = np.allclose(call(other, zeros, zeros)[0][:, :-1], logits[:, :-1], atol=1e-5)
    true(
        "build_model: logits before a word that was changed",
        same,
        expected="unchanged",
        received="changed",
        hint="the network sees the words to come: no Bidirectional layer here",
    )
    middle = call(ids[:, :4], zeros, zeros)
    close(
        "build_model: the second half after the state of the first, against the whole",
        call(ids[:, 4:], *middle[1:])[0],
        logits[:, 4:],
        "give the LSTM initial_state=[h, c], and return the state after the last word",
        atol=1e-4,
    )
    _loss(ex, random)
    _learns(ex, random)


def _loss(ex: Any, random: Random) -> None:
    logits = random.normal(size=(2, 5, 7)).astype(np.float32) * 3
    targets = random.integers(0, 7, (2, 5)).astype(np.int32)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    nll = -np.log(np.take_along_axis(p, targets[..., None], -1))[..., 0]
    received = np.asarray(ex.loss(logits, targets), np.float64)
    hint = "the mean of -log softmax(logits)[target], natural logarithm"
    if received.shape:
        hint = "a scalar: the mean over all words"
    elif np.isclose(received, nll.sum(), rtol=1e-4):
        hint = "that is the sum: take the mean"
    elif np.isclose(received, nll.mean() / np.log(2), rtol=1e-4):
        hint = "that is in bits: take the natural logarithm"
    else:
        hint += "; Keras needs from_logits=True"
    close("loss", received, nll.mean(), hint, atol=1e-5)


def _learns(ex: Any, random: Random) -> None:
    """Trains on a text that a trigram cannot know: a word depends on one that is further back."""
    from lab.training import probabilities, train

    def text(sentences: int) -> np.ndarray:
        found: list[int] = []
        for kind in random.integers(0, 2, sentences):
            found += [1 + int(kind), 3, 4, 5, 6 + int(kind), 8]
        return np.array(found, np.int32)

    learn, test = text(500), text(60)
    tables = ngram_tables(learn.tolist())
    weights = (0.01, 0.01, 0.01, 0.97)
    trigram = [
        float(np.dot(weights, shares(tables, test[i - 2 : i].tolist(), int(test[i]), 9)))
        for i in range(2, len(test))
    ]
    baseline = float(np.exp(-np.mean(np.log(trigram))))
    length = len(learn) // 10
    rows = learn[: length * 10].reshape(10, length)
    count = (length - 1) // 12
    inputs = rows[:, : count * 12].reshape(10, count, 12).swapaxes(0, 1)
    targets = rows[:, 1 : count * 12 + 1].reshape(10, count, 12).swapaxes(0, 1)
    for _ in range(2):  # an unlucky start is not the student's fault
        model = ex.build_model(9, 16, 32)
        train(model, ex.loss, (inputs, targets), epochs=20, rate=1e-2)
        found = float(np.exp(-np.mean(np.log(probabilities(model, test)[1:]))))
        if found < 0.98 * baseline:
            break
    true(
        "perplexity after training on a text with a memory of four words",
        found < 0.98 * baseline,
        expected=f"below the trigram's, {baseline:.3f}",
        received=f"{found:.3f}",
        hint="the state must reach from word to word: is it an LSTM, over the whole sequence, and "
        "is all of it trained?",
    )
