"""The tour: many to one, one to many, many to many."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.checks.expect import Random, affine, close, equal, kind, true
from lab.checks.temperature import softmax


def build_classifier(ex: Any, random: Random) -> None:
    """Checks many to one: which word came first."""
    name = "build_classifier"
    model = _model(name, ex.build_classifier(9, 6, 12))
    ids = random.integers(1, 9, (40, 6)).astype(np.int32)
    hint = "one number for each row: LSTM(units), then Dense(1)"
    out = _output(name, model, [ids], (40, 1), hint)
    _probabilities(name, out)
    true(name, not np.allclose(out, 1), expected="another p for other words", received="always 1",
         hint="a softmax over one number is always 1: activation='sigmoid'")  # fmt: skip
    padded = np.concatenate([ids, np.zeros((40, 3), np.int32)], axis=1)
    hint = "id 0 is padding: Embedding(..., mask_zero=True)"
    found = _output(name, model, [padded], (40, 1), hint)
    close(f"{name}: with padding at the end", found, out, hint, atol=1e-5)
    classes = (ids[:, 0] > 4).astype(np.float32)[:, None]
    model.fit([padded], classes, logits=False, rounds=150)
    trained = model.run(padded)[0].astype(np.float64)
    _probabilities(f"{name}: after training", trained)
    p = np.clip(trained, 1e-7, 1 - 1e-7)
    nats = -np.mean(classes * np.log(p) + (1 - classes) * np.log(1 - p))
    hint = "is all of the row read by the LSTM, and all of it trained?"
    if np.ptp(p) < 1e-6:
        hint = (
            "the same p for all words, after training, too: do they reach the output (Embedding, "
            "LSTM, Dense(1, activation='sigmoid')), and is all of it trained?"
        )
    _learned(f"{name}: the loss after training on which word came first", nats, 0.2, hint)


def _probabilities(what: str, out: np.ndarray) -> None:
    true(
        what,
        bool(((out >= 0) & (out <= 1)).all()),
        expected="probabilities",
        received=f"numbers from {out.min():.2f} to {out.max():.2f}",
        hint="a sigmoid makes a probability of the last number",
    )


def build_from_vector(ex: Any, random: Random) -> None:
    """Checks one to many: a line for each vector."""
    name = "build_from_vector"
    model = _model(name, ex.build_from_vector(9, 3, 8, 16))
    vectors = np.eye(3, dtype=np.float32)
    lines = random.integers(2, 9, (3, 7)).astype(np.int32)
    lines[:, 0] = 1
    lines[:, 1] = random.permutation([2, 3, 4])
    out = _output(name, model, [vectors, lines], (3, 7, 9), "logits at each step: [B, T, V]")
    affine(name, out)
    hint = "two Dense layers make h and c of the vector: initial_state=[h, c]"
    _sees_no_future(name, model, [vectors, lines], out)
    _is_lstm(name, model.first_states(vectors, lines))
    if not np.allclose(out[0, 0], out[1, 0], atol=1e-6):  # else weights that begin at 0 may be why
        _fades(name, model, random, hint)
    feed, wanted = lines[:, :-1], lines[:, 1:]
    model.fit([vectors, feed], wanted, logits=True, rounds=150)
    what = f"{name}: the loss after training on three lines, one for each vector"
    hint = f"what comes first can only be known from the vector: does it reach the LSTM? {hint}"
    out = model.run(vectors, feed)[0]
    _learned_words(what, out, wanted, 0.2, hint)
    true(
        f"{name}: logits after the first word, with three vectors, after training",
        not np.allclose(out[0, 0], out[1, 0], atol=1e-6),
        expected="three different rows",
        received="equal rows",
        hint=hint,
    )
    _reads_words(name, model, [vectors, feed])


def _fades(name: str, model: Any, random: Random, hint: str) -> None:
    """Expects that what the vector changes fades from word to word, as a state does."""
    vectors = np.eye(3, dtype=np.float32)
    # What a state says fades from word to word; what is added at each step does not.
    long = np.repeat(random.integers(1, 9, (1, 150)), 3, axis=0).astype(np.int32)
    logits = model.run(vectors, long)[0]
    apart = np.abs(logits[0] - logits[1]).max(axis=-1)
    if np.ptp(logits[0] - logits[1], axis=0).max() < 1e-5:
        hint = "the vector is added to the output; it is to make the first state, " + hint
    else:
        hint = "the vector comes in at each step; it is to make the first state only, " + hint
    true(
        f"{name}: what the vector changes after 150 words, against the first",
        bool(apart[-10:].max() < 0.05 * apart[:3].max()),
        expected="it fades, as a state does",
        received=f"{apart[-10:].max():.2g} against {apart[:3].max():.2g}",
        hint=hint,
    )


def build_translator(ex: Any, random: Random) -> None:
    """Checks many to many: three numbers in reverse order."""
    name = "build_translator"
    model = _model(name, ex.build_translator(7, 9, 8, 32))
    source = random.integers(1, 7, (24, 3)).astype(np.int32)
    target = np.concatenate([np.ones((24, 1), np.int32), source[:, ::-1] + 2], axis=1)
    feed, wanted = target[:, :-1], target[:, 1:]
    hint = "logits at each target step: [B, T, V]"
    out = _output(name, model, [source, feed], (24, 3, 9), hint)
    affine(name, out)
    changed = source.copy()
    changed[:, 0] = changed[:, 0] % 6 + 1
    true(
        f"{name}: logits after another first source word",
        not out.any() or not np.allclose(model.run(changed, feed)[0], out, atol=1e-7),
        expected="changed",
        received="unchanged",
        hint="the encoder's last state, [h, c], is the decoder's initial_state",
    )
    _sees_no_future(name, model, [source, feed], out)
    layers = model.first_states(source, feed)
    _is_lstm(name, layers)
    _states(name, layers)
    model.fit([source, feed], wanted, logits=True, rounds=300)
    what = f"{name}: the loss after training to read three numbers backwards"
    hint = "the encoder has to read all source words, and both LSTMs have to be trained"
    _learned_words(what, model.run(source, feed)[0], wanted, 0.3, hint)
    _reads_words(name, model, [source, feed])


def _is_lstm(name: str, layers: list[Any]) -> None:
    """Expects two states of each recurrent layer, as far as they can be seen."""
    true(
        f"{name}: states of its recurrent layers",
        all(len(states) != 1 for layer in layers for states in layer),
        expected="h and c",
        received="one state",
        hint="a GRU or a plain recurrent layer has one state; an LSTM has two, h and c",
    )


def _reads_words(name: str, model: Any, inputs: list[np.ndarray]) -> None:
    """Expects other logits after another word before."""
    other = inputs[1].copy()
    other[:, 1] = other[:, 1] % 8 + 1
    true(
        f"{name}: logits after a word that was changed",
        not np.allclose(*(model.run(inputs[0], ids)[0][:, 1:] for ids in (inputs[1], other))),
        expected="changed",
        received="unchanged",
        hint="the ids are the words before: the LSTM has to read them (teacher forcing)",
    )


def _states(name: str, layers: list[Any]) -> None:
    """Expects that the second LSTM begins with [h, c] of the first, as far as it can be seen."""
    what = f"{name}: the state in which the decoder begins"
    true(what, len(layers) < 2 or bool(layers[-1][0]), expected="h and c of the encoder",
         received="none", hint="the encoder's last state, [h, c], is the decoder's initial_state: "
         "it comes in nowhere else")  # fmt: skip
    ended = [after for _, after in layers[:-1] if len(after) == 2]
    if not ended:
        return
    begins, (h, c) = layers[-1][0], ended[-1]

    def same(i: int, state: np.ndarray) -> bool:
        return i < len(begins) and begins[i].shape == state.shape and np.allclose(begins[i], state)

    hint = ""
    if same(0, c) and same(1, h):
        hint = "h and c are exchanged: initial_state=[h, c]"
    elif same(0, h) and not same(1, c) and (same(1, h) or len(begins) < 2 or not begins[1].any()):
        hint = "the decoder gets only h: initial_state=[h, c]"
    elif same(1, c) and not same(0, h) and (same(0, c) or not begins[0].any()):
        hint = "the decoder gets only c: initial_state=[h, c]"
    true(what, not hint,
         expected="h and c of the encoder", received="others", hint=hint)  # fmt: skip


def _model(name: str, network: Any) -> Any:
    true(
        f"{name}: what it returns",
        hasattr(network, "run") and network.handle.library == "keras",
        expected="a keras.Model",
        received=kind(network),
        hint="return keras.Model(inputs, outputs)",
    )
    return network


def _output(
    name: str, model: Any, inputs: list[np.ndarray], shape: tuple[int, ...], hint: str
) -> np.ndarray:
    """Gives the one output, an array of the expected shape."""
    outputs, again = model.run(*inputs), model.run(*inputs)
    equal(f"{name}: number of outputs", len(outputs), 1, hint)
    equal(f"{name}: shape of the output", outputs[0].shape, shape, hint)
    true(
        f"{name}: the same inputs again",
        np.allclose(outputs[0], again[0], atol=1e-6),
        expected="the same output",
        received="another output",
        hint="dropout is for training only: do not call its layer with training=True",
    )
    return np.asarray(outputs[0])


def _sees_no_future(name: str, model: Any, inputs: list[np.ndarray], out: np.ndarray) -> None:
    later = inputs[1].copy()
    later[:, -1] = later[:, -1] % 8 + 1
    close(
        f"{name}: logits before a target word that was changed",
        model.run(inputs[0], later)[0][:, :-1],
        out[:, :-1],
        "the network sees the words to come: no Bidirectional layer there",
        atol=1e-5,
    )


def _nats(logits: np.ndarray, targets: np.ndarray) -> float:
    """Mean of -log p."""
    p = np.array([[softmax(z)[w] for z, w in zip(*row, strict=True)]
                  for row in zip(logits, targets, strict=True)])  # fmt: skip
    return float(-np.log(np.maximum(p, 1e-12)).mean())


def _learned_words(
    what: str, logits: np.ndarray, wanted: np.ndarray, below: float, hint: str
) -> None:
    if np.abs(logits).max() <= 1:
        hint = "the logits stay between -1 and 1, after training, too: is there an activation?"
    _learned(what, _nats(logits, wanted), below, hint)


def _learned(what: str, nats: float, below: float, hint: str) -> None:
    true(what, nats < below, expected=f"below {below}", received=f"{nats:.3f}", hint=hint)
