"""Exercise 4: the model's shapes and state, what it learns, and its loss."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from lab.checks.counting import shares, three_tables
from lab.checks.expect import Random, Wrong, affine, close, equal, kind, numbers, true
from lab.checks.layers import said

_NAME = "build_model"


def build_model(ex: Any, random: Random) -> None:
    """Checks the model before it is trained, then what it learns with a right loss."""
    size, embedding, units = int(random.integers(20, 28)), 5, int(random.integers(9, 13))
    model = _Model(ex.build_model(size, embedding, units), size, units)
    for shape in ((3, 9), (1, 1), (4, 2)):
        model.shapes(random, shape)
    _reads_words(model, random)
    _is_lstm(model, random)
    _sees_no_future(model, random)
    _is_affine(model, random)
    _keeps_its_state(model, random)
    _learns(ex, random, model)


class _Model:
    """The student's model, with the outputs that it has to have."""

    def __init__(self, network: Any, size: int, units: int):
        true(
            f"{_NAME}: what it returns",
            hasattr(network, "run"),
            expected="a keras.Model or a torch.nn.Module",
            received=kind(network),
            hint=f"return {said('keras')['model']}, or {said('torch')['model']}",
        )
        self.said = said(network.handle.library)
        true(
            f"{_NAME}: what it returns",
            "Sequential" not in network.handle.bases,
            expected="a model with three inputs and three outputs",
            received="a Sequential, which has one of each",
            hint=f"{self.said['model']}, with layers called on tensors",
        )
        self.network, self.size, self.units = network, size, units

    def __call__(self, ids: Any, h: Any, c: Any) -> list[np.ndarray]:
        """Gives logits, h and c."""
        try:
            outputs = self.network.run(np.asarray(ids, np.int32), *self._floats(h, c))
        except Wrong as wrong:
            wrong.what = f"{_NAME}: {self.said['called']}"
            if " in line " not in wrong.hint:
                wrong.hint = f"{self.said['model']}: three inputs, in this order"
            elif re.findall("Expected hidden|hx and cx", wrong.received):  # as PyTorch says it
                wrong.hint += "; nn.LSTM has batch_first=True, and its own states are [1, B, units]"
            raise
        true(
            f"{_NAME}: outputs",
            len(outputs) == 3,
            expected="[logits, h, c]",
            received=f"{len(outputs)} output(s)",
            hint=f"three outputs: {self.said['model']}; {self.said['end']}",
        )
        return list(outputs)

    @staticmethod
    def _floats(*states: Any) -> list[np.ndarray]:
        return [np.asarray(each, np.float32) for each in states]

    def states(self, random: Random, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Draws h and c."""
        h = random.uniform(-0.9, 0.9, (rows, self.units))
        return h, random.normal(size=(rows, self.units)) * 1.5

    def shapes(self, random: Random, shape: tuple[int, int]) -> None:
        """Expects logits for each word, and the same again without dropout."""
        ids = random.integers(0, self.size, shape)
        h, c = self.states(random, shape[0])
        outputs = self(ids, h, c)
        equal(
            f"{_NAME}: shapes of logits, h and c for ids {list(shape)}",
            [each.shape for each in outputs],
            [(*shape, self.size), (shape[0], self.units), (shape[0], self.units)],
            f"the outputs are [logits, h, c]: {self.said['shapes']}",
        )
        true(
            f"{_NAME}: the same ids again",
            all(
                np.allclose(a, b, atol=1e-6) for a, b in zip(outputs, self(ids, h, c), strict=True)
            ),
            expected="the same outputs",
            received="other outputs",
            hint=f"dropout is for training only: {self.said['again']}",
        )


def _is_lstm(model: _Model, random: Random) -> None:
    """Expects c' = f c + i g with 0 < f < 1, and h' = o tanh(c') with 0 < o < 1."""
    rows = 8
    ids = random.integers(1, model.size, (rows, 1))
    (h, c), (h2, c2) = model.states(random, rows), model.states(random, rows)

    def cell(h: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
        return model(ids, h, c)[1:]

    after_h, after_c = cell(h, c)
    what = f"{_NAME}: h and c after a word"
    hint = f"is it an LSTM? It is {model.said['lstm']}"
    begin = model.said["begin"]
    true(
        what,
        not np.allclose(after_c, c, atol=1e-6),
        expected="a new c",
        received="the c given",
        hint=f"c comes out as it went in. A GRU has no c: take an LSTM, {model.said['end']}",
    )
    if np.allclose(after_c, after_h) or not after_c.any():
        hint = (
            "c comes out as h, or as zeros: give out both states of an LSTM, "
            f"{model.said['end']}. A GRU has no c"
        )
    elif _gated(after_c, after_h) and not _gated(after_h, after_c):
        hint = f"h and c are exchanged: {model.said['outputs']}"
    true(
        what,
        _gated(after_h, after_c),
        expected="|h| <= tanh |c|, with the same sign, as in an LSTM",
        received="others",
        hint=hint,
    )
    mean = cell(h, (c + c2) / 2)[1]
    other = cell(h, c2)[1]
    kept = (other - after_c) / (c2 - c)
    right = np.allclose(mean, (after_c + other) / 2, atol=1e-4) and bool(
        ((kept > -1e-3) & (kept < 1.001)).all()
    )
    if np.allclose(after_c, other, atol=1e-6):
        right = False
        hint = f"the c given has no effect: {begin}"
        if np.allclose(cell(h2, c)[1], after_c, atol=1e-6):
            hint = f"the state given has no effect: {begin}"
    elif not right:
        hint = f"h and c are exchanged on their way in: {begin}"
    true(f"{_NAME}: c after a word, with two c before", right,
         expected="the part of the old c that the forget gate keeps", received="another c",
         hint=hint)  # fmt: skip
    true(f"{_NAME}: c after a word, with two h before",
         not np.allclose(cell(h2, c)[1], after_c, atol=1e-6), expected="two", received="the same",
         hint=f"the h given has no effect: {begin}")  # fmt: skip


def _gated(h: np.ndarray, c: np.ndarray) -> bool:
    return bool((np.abs(h) <= np.tanh(np.abs(c)) + 1e-5).all() and (h * c >= -1e-6).all())


def _is_affine(model: _Model, random: Random) -> None:
    """Expects logits that are an affine map of the LSTM's output, which is h."""
    rows = 6 * model.units
    h, c = model.states(random, rows)
    one = np.full((rows, 1), int(random.integers(1, model.size)))
    wanted, off = _bend(model, one, h, c * 2)
    affine(_NAME, wanted)
    hint = (
        f"{model.said['logits']}, on the output of the one LSTM; of a second one nobody would keep "
        "the state"
    )
    if np.allclose(np.exp(wanted).sum(axis=1), 1, atol=1e-3):
        hint = "that is log softmax: the loss and the sampler make it, so leave it out"
    elif np.abs(wanted).max() <= 1:
        hint += ". Is there a tanh?"
    true(
        f"{_NAME}: logits",
        bool(np.abs(off).max() <= 1e-3 * np.abs(wanted).max()),
        expected="an affine map of the LSTM's output h",
        received="a bent one",
        hint=hint,
    )
    wanted, off = _bend(model, random.integers(0, model.size, (rows, 1)), h, c * 2)
    true(
        f"{_NAME}: logits after other words",
        bool(np.abs(off).max() <= 1e-3 * np.abs(wanted).max()),
        expected="the same map of the LSTM's output h",
        received="another one for each word",
        hint="the logits, for the next word, are a map of the LSTM's output alone: the word that "
        "is read reaches them through the LSTM only",
    )


def _bend(
    model: _Model, ids: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gives the logits after a word, and how far they are from an affine map of h, both [B, V]."""
    logits, after_h, _ = model(ids, h, c)
    known = np.concatenate([after_h, np.ones((len(h), 1))], axis=1)
    wanted = logits[:, 0].astype(np.float64)
    return wanted, wanted - known @ np.linalg.lstsq(known, wanted, rcond=None)[0]


def _reads_words(model: _Model, random: Random) -> None:
    """Expects that each word, `<unk>` too, changes the state, and as a name, not as a number."""
    size = model.size
    zeros = np.zeros((size, model.units))
    ids = np.arange(size)[:, None]
    h = model(ids, zeros, zeros)[1].astype(np.float64)
    apart = np.linalg.norm(h[:, None] - h[None], axis=-1)
    mean = apart.sum() / (size * (size - 1))
    alike = np.argwhere(np.triu(apart < 1e-8, 1))
    true(
        f"{_NAME}: h after each of the words",
        not len(alike) or bool(mean < 1e-8),  # all alike, as in a table of zeros, can be trained
        expected="another h for each",
        received=f"the same h for the ids {alike[:1].tolist()}",
        hint="each word has a row of its own in the table: Embedding(V, embedding), V the size",
    )
    near = np.mean([apart[i, i + 1] for i in range(size - 1)])
    true(
        f"{_NAME}: h after each of the words",
        bool(near >= 0.5 * mean),  # all alike, as a table of zeros is, may still be trained
        expected="words 3 and 4 are as different as words 3 and 20",
        received="the closer two ids, the closer h",
        hint="the ids are fed as numbers: an id is only a name, so Embedding(V, ...) comes first",
    )
    before = int(random.integers(1, size))
    start = model.states(random, size)
    words = np.concatenate([np.full((size, 1), before), ids], axis=1)
    moved = np.abs(model(words, *start)[1] - model(words[:, :1], *start)[1]).max(axis=1)
    still = np.flatnonzero(moved < 1e-7)
    mask = f"id 0 is a word here, not padding: {model.said['mask']}"
    found = model.network.masks()
    true(f"{_NAME}: layers that make a mask", not found, expected="none", received=found, hint=mask)
    true(
        f"{_NAME}: h after one more word",
        not len(still),
        expected="another h for each word",
        received=f"the same h for id {still[:1]}",
        hint=mask
        if len(still) < size
        else f"the state that comes out is not that after the last word: {model.said['end']}",
    )


def _sees_no_future(model: _Model, random: Random) -> None:
    """Expects that a logit says nothing of the words to come."""
    ids = random.integers(0, model.size, (3, 9))
    start = model.states(random, 3)
    logits = model(ids, *start)[0]
    other = ids.copy()
    other[:, -1] = (ids[:, -1] + 1 + random.integers(0, model.size - 1, 3)) % model.size
    true(
        f"{_NAME}: logits before a word that was changed",
        np.allclose(model(other, *start)[0][:, :-1], logits[:, :-1], atol=1e-5),
        expected="unchanged",
        received="changed",
        hint="the network sees the words to come: no Bidirectional layer here",
    )


def _keeps_its_state(model: _Model, random: Random) -> None:
    """Expects the same in two halves as in one."""
    ids = random.integers(0, model.size, (3, 9))
    start = model.states(random, 3)
    logits = model(ids, *start)[0]
    cut = int(random.integers(2, 7))
    middle = model(ids[:, :cut], *start)[1:]
    what = f"{_NAME}: the second half after the state of the first, against the whole"
    second = model(ids[:, cut:], *middle)[0]
    hint = f"{model.said['begin']}, and return the state after the last word"
    if second.shape == logits[:, cut:].shape and np.allclose(second[:, 1:], logits[:, cut + 1 :]):
        hint = (
            "only the first word's logits are others: those after each word come from the LSTM's "
            "output at that word, so do not shift them"
        )
    close(what, second, logits[:, cut:], hint, atol=1e-4)
    one = model(ids[1:2], *(each[1:2] for each in start))[0]
    hint = "the rows of a batch are texts of their own: nothing of one reaches another"
    close(f"{_NAME}: a row alone, against the row in a batch", one[0], logits[1], hint, atol=1e-4)


def _learns(ex: Any, random: Random, other: _Model) -> None:
    """Trains on a text that a trigram cannot know: a word depends on one that is further back."""
    names = random.permutation(np.arange(1, 9))
    size, units = 9, 32

    def text(sentences: int) -> np.ndarray:
        found: list[int] = []
        for which in random.integers(0, 2, sentences):
            found += [0 + int(which), 2, 3, 4, 5 + int(which), 7]
        return names[found]

    learn = text(500)
    rows = learn[: len(learn) // 10 * 10].reshape(10, -1)
    count = (rows.shape[1] - 1) // 12
    inputs = rows[:, : count * 12].reshape(10, count, 12).swapaxes(0, 1).astype(np.int32)
    targets = rows[:, 1 : count * 12 + 1].reshape(10, count, 12).swapaxes(0, 1).astype(np.int32)
    test = np.array([text(5) for _ in range(20)])
    begin = 6  # the first sentence is only read: training seldom begins without a state
    tables, weights = three_tables(learn.tolist()), (0.01, 0.01, 0.01, 0.97)
    trigram = [
        np.dot(weights, shares(tables, row[i - 2 : i].tolist(), int(row[i]), size))
        for row in test for i in range(begin, test.shape[1])
    ]  # fmt: skip
    baseline = float(np.exp(-np.mean(np.log(trigram))))
    for _ in range(2):  # an unlucky start is not the student's fault
        model = _Model(ex.build_model(size, 16, units), size, units)
        hint = (
            "do the words reach the LSTM, and its state from word to word? Is all of it trained?"
            f"{model.said['trained']}"
        )
        true(
            f"{_NAME}: the model of another call",
            model.network.handle.number != other.network.handle.number,
            expected="another model",
            received="the same one",
            hint="make the model within the function: keep nothing from earlier calls",
        )
        try:
            model.network.train(inputs, targets, units=units, epochs=20, rate=1e-2)
        except Wrong as wrong:
            wrong.what = f"{_NAME}: training the model"
            if " in line " not in wrong.hint:
                wrong.hint = hint
            raise
        found = _perplexity(model, test, begin)
        if found < 0.98 * baseline:
            break
    if found > size:
        hint = "worse than a guess: the logits after a word are for the next one, not for itself"
    true(
        f"{_NAME}: perplexity after training on a text with a memory of four words",
        found < 0.98 * baseline,
        expected=f"below the trigram's, {baseline:.3f}",
        received=f"{found:.3f}",
        hint=hint,
    )


def _perplexity(model: _Model, rows: np.ndarray, begin: int) -> float:
    """Feeds word by word: the word to be predicted leaves here after its probability came back."""
    h = c = np.zeros((len(rows), model.units), np.float32)
    nats = []
    for t in range(rows.shape[1] - 1):
        logits, h, c = model(rows[:, t : t + 1], h, c)
        if t + 1 >= begin:
            nats.append(_nats(logits[:, 0], rows[:, t + 1]))
    return float(np.exp(np.mean(nats)))


def _nats(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-log softmax(logits)[target], in float64."""
    z = np.asarray(logits, np.float64)
    z = z - z.max(axis=-1, keepdims=True)
    picked = np.take_along_axis(z, targets[..., None].astype(np.int64), -1)[..., 0]
    return np.asarray(np.log(np.exp(z).sum(axis=-1)) - picked)


def loss(ex: Any, random: Random) -> None:
    """Checks the value and the gradient, for ordinary logits and for large ones."""
    for shape, scale in (((2, 5, 7), 3.0), ((1, 1, 4), 1.0), ((3, 2, 5), 300.0), ((4, 3, 6), 2e4)):
        logits = (random.normal(size=shape) * scale).astype(np.float32)
        targets = random.integers(0, shape[-1], shape[:-1]).astype(np.int32)
        targets[0, 0] = 0  # `<unk>` counts, too
        nats = _nats(logits, targets)
        try:
            received, gradient, library = ex.differentiate("loss", logits, targets)
        except Wrong as wrong:
            if "target size" in wrong.received:  # as PyTorch says it
                wrong.hint += f"; {said('torch')['loss']}"
            raise
        found = numbers(received)
        what = "loss" if scale < 10 else f"loss of logits up to {np.abs(logits).max():.0f}"
        hint = _hint(found, nats, logits, targets, said(library))
        close(what, received, nats.mean(), hint, atol=1e-5)
        z = logits.astype(np.float64)
        p = np.exp(z - z.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        slope = (p - np.eye(shape[-1])[targets]) / targets.size
        true(
            f"{what}: its gradient by the logits",
            gradient is not None,
            expected="a gradient",
            received="none",
            hint=f"compute with {said(library)['gradient']}: training needs the gradient",
        )
        hint = "is every step of it differentiable, without a clip or a stop_gradient?"
        if part := _part(numbers(gradient), slope):
            hint = f"it is {part:.3g} times the right one: keep nothing from earlier calls"
            if abs(part - 1) < 0.01:
                hint = (
                    "it is nearly the right one: clip nothing, and add no small number to p; "
                    f"{said(library)['log_softmax']}"
                )
        close(f"{what}: its gradient by the logits", gradient, slope, hint, atol=1e-5)


def _part(found: np.ndarray, right: np.ndarray) -> float:
    """Gives the number that makes the one of the other; 0 if there is none."""
    if found.shape != right.shape or not right.any():
        return 0.0
    part = float((found * right).sum() / (right**2).sum())
    return part if np.allclose(found, part * right, rtol=1e-3, atol=1e-5) else 0.0


def _hint(
    found: np.ndarray,
    nats: np.ndarray,
    logits: np.ndarray,
    targets: np.ndarray,
    words: dict[str, str],
) -> str:
    mean = float(nats.mean())
    if found.shape:
        return "a scalar: the mean over all words"
    if nats.shape[1] > 1 and np.isclose(found, _nats(logits[:, :-1], targets[:, 1:]).mean()):
        return "targets are shifted already: targets[b, t] belongs to logits[b, t]"
    some = [nats[:, 0], nats[:, -1], nats[0], nats[-1], nats[targets != 0]]
    if any(np.isclose(found, each.mean(), rtol=1e-4) for each in some if each.size):
        return "that is the mean of some: all words count, of all rows and steps, `<unk>` (0), too"
    for wrong, hint in (
        (nats.sum(), "that is the sum: take the mean"),
        (nats.sum(axis=-1).mean(), "that is the sum over each row: take the mean over all words"),
        (mean / np.log(2), "that is in bits: take the natural logarithm"),
        (-mean, "the sign: the mean of -log p, so that a smaller loss is a better one"),
        (np.exp(min(mean, 700.0)), "that is the perplexity: leave out exp"),
        (np.exp(-nats).mean(), "that is the mean of p: take -log of it"),
    ):
        if np.isclose(found, wrong, rtol=1e-4) and not np.isclose(wrong, mean):
            return hint
    if np.abs(logits).max() > 100:
        return (
            f"softmax and log one after the other overflow, or give log(0): {words['log_softmax']}"
        )
    return f"the mean of -log softmax(logits)[target]; {words['loss']}"
