"""What each exercise is checked for. `lab.check` runs these in a process of their own.

A check makes its inputs from a random generator, so that no answer can be known beforehand, and
raises `Wrong` with what was expected, what was received and a hint. What is expected comes from
brute force or from a property, such as probabilities that add up to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np

Random = np.random.Generator


class Wrong(Exception):
    """An answer that is not right."""

    def __init__(self, what: str, *, expected: Any, received: Any, hint: str):
        super().__init__(what)
        self.what, self.hint = what, hint
        self.expected, self.received = _short(expected), _short(received)


def _short(value: Any) -> str:
    if isinstance(value, str):
        return value if len(value) <= 200 else value[:200] + "…"
    with np.printoptions(precision=4, threshold=20):
        text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def equal(what: str, received: Any, expected: Any, hint: str) -> None:
    """The same value, of whatever kind of sequence."""
    found, wanted = _plain(received), _plain(expected)
    if found != wanted:
        if len(str(wanted)) > 80 and (first := _first(found, wanted)) is not None:
            place, found, wanted = first
            expected, received = f"{wanted!r} at place {place}", f"{found!r} there"
        raise Wrong(what, expected=expected, received=received, hint=hint)


def _first(found: Any, wanted: Any) -> tuple[str, Any, Any] | None:
    """The first place where lists of lists differ, and what stands there; None for other kinds."""
    if not isinstance(found, list) or not isinstance(wanted, list):
        return None
    for i, (a, b) in enumerate(zip_longest(found, wanted, fillvalue="nothing")):
        if a != b:
            place, a, b = _first(a, b) or ("", a, b)
            return f"[{i}]{place}", a, b
    return None


def close(what: str, received: Any, expected: Any, hint: str, *, atol: float = 1e-6) -> None:
    """The same numbers but for rounding."""
    try:
        found = np.asarray(received, np.float64)
    except (TypeError, ValueError):
        found = np.array(math.nan)
    wanted = np.asarray(expected, np.float64)
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-4, atol=atol):
        raise Wrong(what, expected=expected, received=received, hint=hint)


def true(what: str, condition: bool, *, expected: Any, received: Any, hint: str) -> None:
    """What has to hold."""
    if not condition:
        raise Wrong(what, expected=expected, received=received, hint=hint)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if _plain(each)}
    return value


# -- 0. Look at the book ---------------------------------------------------------------------------


def look(ex: Any, random: Random) -> None:
    """Counts and coverage."""
    names = [f"w{i}" for i in range(30)] + ["The", "the", ",", "."]
    p = 1 / np.arange(1, len(names) + 1)
    tokens = [names[i] for i in random.choice(len(names), 500, p=p / p.sum())]
    tokens += ["The", "the", "the", ","]
    counts = ex.count_words(list(tokens))
    lower = sum(token.lower() == "the" for token in tokens)
    if isinstance(counts, dict) and counts.get("the") == lower:
        hint = "`The` and `the` are two tokens: do not change the case"
    else:
        hint = "every token counts, punctuation too, each time it stands there"
    equal("count_words", dict(counts), {t: tokens.count(t) for t in set(tokens)}, hint)
    from collections import Counter

    table = Counter(tokens)
    for size in (1, 5, len(table), len(table) + 10):
        most = sorted(table.values(), reverse=True)[:size]
        received = ex.coverage(table.copy(), size)
        hint = "add up the counts of the most frequent words, over the sum of all counts"
        if size < len(table) and np.isclose(_number(received), size / len(table)):
            hint = "that is the share of the vocabulary: count how much of the text they make up"
        close(f"coverage with size {size}", received, sum(most) / len(tokens), hint)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


# -- 1. Words and back -----------------------------------------------------------------------------


def words(ex: Any, random: Random) -> None:
    """Tokens, text again, vocabulary, ids."""
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
            # Two words side by side would be one.
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
        received=type(found).__name__ + (f" of {found.dtype}" if hasattr(found, "dtype") else ""),
        hint="np.array(..., np.int32)",
    )


# -- 2. The baseline: counting ---------------------------------------------------------------------


def counting(ex: Any, random: Random) -> None:
    """N-grams, their mixture, perplexity, weights."""
    size = 8
    ids = _markov(random, size, 400)
    for n in (1, 2, 3):
        expected: dict[tuple[int, ...], dict[int, int]] = {}
        for i in range(len(ids) - n + 1):
            row = expected.setdefault(tuple(ids[i : i + n - 1]), {})
            row[ids[i + n - 1]] = row.get(ids[i + n - 1], 0) + 1
        received = {tuple(k): dict(v) for k, v in ex.count_ngrams(list(ids), n).items()}
        hint = "the key is the n - 1 words before; do not forget the last n-gram of the text"
        equal(f"count_ngrams with n = {n}", received, expected, hint)
    _mixture(ex, random, size, ids)
    hint = "exp(-mean(log p)): the mean is of logarithms"
    close("perplexity([1/8, 1/8, 1/8])", ex.perplexity([1 / 8] * 3), 8.0, hint)
    close("perplexity([1/2, 1/8])", ex.perplexity([0.5, 0.125]), 4.0, hint)
    _weights(ex, random, size, ids)


def _markov(random: Random, size: int, length: int) -> list[int]:
    """A text in which a word hangs on the two before it; the last word of all is rare."""
    table = random.dirichlet(np.full(size - 1, 0.3), (size, size))
    ids = [0, 1]
    for _ in range(length - 2):
        ids.append(int(random.choice(size - 1, p=table[ids[-2], ids[-1]])))
    return ids


def _tables(ids: Sequence[int]) -> list[Any]:
    from collections import Counter

    tables: list[Any] = []
    for n in (1, 2, 3):
        table: dict[tuple[int, ...], Counter[int]] = {}
        for i in range(len(ids) - n + 1):
            table.setdefault(tuple(ids[i : i + n - 1]), Counter())[ids[i + n - 1]] += 1
        tables.append(table)
    return tables


def _frequency(
    ids: Sequence[int], context: Sequence[int], word: int, size: int, *, below: bool = True
) -> list[float]:
    """1 / V, p1, p2, p3 of one word, by going through the text.

    Args:
        below: whether the order below stands for one that was never seen, or (wrong) 1 / V.
    """
    found = [1 / size]
    for n in (1, 2, 3):
        key = list(context[len(context) - n + 1 :]) if len(context) >= n - 1 else None
        after = [ids[i + n - 1] for i in range(len(ids) - n + 1) if list(ids[i : i + n - 1]) == key]
        found.append(after.count(word) / len(after) if after else found[-1 if below else 0])
    return found


def _mixture(ex: Any, random: Random, size: int, ids: list[int]) -> None:
    tables = _tables(ids)
    weights = random.dirichlet(np.ones(4))
    seen, rare = ids[50:52], [size - 1, size - 1]  # the second stands nowhere
    for name, context in (
        ("a context that was seen", seen),
        ("a context that was never seen", rare),
        ("a context whose last word was seen", [size - 1, ids[5]]),
        ("a context of one word", ids[7:8]),
        ("no context", []),
        ("a longer context than is needed", ids[40:47]),
    ):
        received = ex.ngram_distribution(tables, list(context), tuple(weights), size)
        expected = [
            float(np.dot(weights, _frequency(ids, context, word, size))) for word in range(size)
        ]
        total = float(np.sum(received))
        hint = "pn is over the counts after the last n - 1 words; count them by hand for one word"
        uniform = [
            float(np.dot(weights, _frequency(ids, context, word, size, below=False)))
            for word in range(size)
        ]
        if np.shape(received) == (size,) and np.allclose(received, uniform):
            hint = (
                "where the words before were never seen, pn is p(n-1), the order below, not 1 / V"
            )
        elif total > 1 and not np.isclose(total, 1.0):
            hint = f"they add up to {total:.4f}, not to 1: divide by the sum of the counts"
        elif not np.isclose(total, 1.0):
            hint = (
                f"they add up to {total:.4f}, not to 1: where the words before were never seen, or "
                "are too few, pn is p(n-1)"
            )
        close(f"ngram_distribution after {name}", received, expected, hint)


def _weights(ex: Any, random: Random, size: int, ids: list[int]) -> None:
    train, valid = ids[:280], ids[280:]
    parts = np.array(
        [_frequency(train, valid[i - 2 : i], valid[i], size) for i in range(2, len(valid))]
    )

    def score(weights: Any) -> float:
        return float(np.exp(-np.mean(np.log(parts @ np.asarray(weights, np.float64)))))

    best = np.full(4, 0.25)
    for _ in range(2000):
        best = (best * parts / (parts @ best)[:, None]).mean(axis=0)
    received = ex.tune_weights(_tables(train), list(valid), size)
    true(
        "tune_weights",
        len(received) == 4 and np.isclose(sum(received), 1) and min(received) >= 0,
        expected="four numbers of at least 0 that add up to 1",
        received=received,
        hint="after each round divide by the number of words, so that the shares add up to 1",
    )
    true(
        "tune_weights: perplexity of the validation text",
        score(received) <= 1.005 * score(best),
        expected=f"{score(best):.4f}, with {np.round(best, 3).tolist()}",
        received=f"{score(received):.4f}, with {np.round(received, 3).tolist()}",
        hint="look at the probabilities of the validation text's words, and go on until the "
        "weights no longer change (some 50 rounds)",
    )


# -- 3. Pairs, shifted by one ----------------------------------------------------------------------


def windows(ex: Any, random: Random) -> None:
    """Rows side by side, targets one word on."""
    # W is never B, so that axes in the wrong order show.
    for length, batch, steps in ((97, 3, 5), (41, 2, 4), (int(random.integers(200, 300)), 3, 7)):
        ids = random.permutation(1000)[:length].astype(np.int32)
        name = f"make_windows of {length} words, B = {batch}, T = {steps}"
        inputs, targets = found = ex.make_windows(ids, batch, steps)
        for each in found:
            kind = type(each).__name__ + (f" of {each.dtype}" if hasattr(each, "dtype") else "")
            true(
                f"{name}: inputs and targets",
                kind == "ndarray of int32",
                expected="two arrays, ndarray of int32",
                received=kind,
                hint="slices and reshapes of `ids` are arrays of int32",
            )
        row = length // batch
        count = (row - 1) // steps
        hint = (
            f"a row has {length} // {batch} = {row} words; the last one is only a target, so "
            f"{row - 1} // {steps} windows fit"
        )
        if inputs.shape == (batch, count, steps):
            hint = "these are [B, W, T]: swap the first two axes"
        true(
            f"{name}: shapes",
            inputs.shape == targets.shape == (count, batch, steps),
            expected=(count, batch, steps),
            received=(inputs.shape, targets.shape),
            hint=hint,
        )
        after = dict(pairwise(ids.tolist()))
        expected = np.vectorize(lambda word, after=after: after.get(int(word), -1))(inputs)
        hint = "targets[w, b, t] is the word that stands after inputs[w, b, t] in the text"
        if (targets == inputs).all():
            hint = "the targets are the inputs themselves: shift them by one word"
        equal(f"{name}: targets of the first window", targets[0], expected[0], hint)
        equal(f"{name}: targets", targets, expected, hint)
        rows = ids[: row * batch].reshape(batch, row)[:, : count * steps]
        joined = np.concatenate(list(inputs), axis=1)
        hint = (
            "each row b is a piece of the text of its own, and window w + 1 goes on in it where "
            "window w ended: reshape to [B, N / B] first, then cut along the row"
        )
        equal(f"{name}: the inputs put together, row by row", joined, rows, hint)


# -- 4. The LSTM -----------------------------------------------------------------------------------


def lstm(ex: Any, random: Random) -> None:
    """The model's shapes and state, its loss, and what it learns."""
    from keras import ops

    size, embedding, units = 13, 6, 10
    model = ex.build_model(size, embedding, units)
    ids = random.integers(1, size, (3, 9)).astype(np.int32)
    zeros = np.zeros((3, units), np.float32)

    def call(ids: Any, h: Any, c: Any) -> Any:
        found = model([ops.convert_to_tensor(each) for each in (ids, h, c)], training=False)
        if not isinstance(found, list | tuple) or len(found) != 3:
            raise Wrong(
                "build_model: outputs",
                expected="[logits, h, c]",
                received=f"{len(found) if isinstance(found, list | tuple) else 1} output(s)",
                hint="keras.Model([ids, h, c], [logits, h, c]); LSTM(..., return_state=True)",
            )
        return [np.asarray(each) for each in found]

    logits, h, c = call(ids, zeros, zeros)
    true(
        "build_model: shapes of logits, h and c for ids [3, 9]",
        (logits.shape, h.shape, c.shape) == ((3, 9, size), (3, units), (3, units)),
        expected=((3, 9, size), (3, units), (3, units)),
        received=(logits.shape, h.shape, c.shape),
        hint="LSTM(units, return_sequences=True, return_state=True), then Dense(V) at every step",
    )
    _affine("build_model", logits)
    # Not called unchanged where no word changes it.
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


def _affine(name: str, logits: np.ndarray) -> None:
    """Logits, not what a softmax or a ReLU makes of them."""
    true(
        f"{name}: logits",
        not np.allclose(logits.sum(-1), 1, atol=1e-3),
        expected="any numbers",
        received="numbers that add up to 1",
        hint="the output is an affine map without a softmax: the loss and the sampler make it one",
    )
    true(
        f"{name}: logits",
        bool((logits < 0).any() or not logits.any()),
        expected="numbers below and above 0",
        received=f"{logits.size} numbers, none below 0",
        hint="the output is an affine map: Dense(V) without an activation, such as ReLU",
    )


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
    """A text that a trigram cannot know: which word comes hangs on one that stands further back."""
    from lab.training import probabilities, train

    def text(sentences: int) -> np.ndarray:
        found: list[int] = []
        for kind in random.integers(0, 2, sentences):
            found += [1 + int(kind), 3, 4, 5, 6 + int(kind), 8]
        return np.array(found, np.int32)

    learn, test = text(500), text(60)
    tables = _tables(learn.tolist())
    weights = (0.01, 0.01, 0.01, 0.97)
    trigram = [
        float(np.dot(weights, _table_share(tables, test[i - 2 : i].tolist(), int(test[i]), 9)))
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


def _table_share(tables: Any, context: list[int], word: int, size: int) -> list[float]:
    found = [1 / size]
    for n, table in enumerate(tables, start=1):
        row = table.get(tuple(context[len(context) - n + 1 :]))
        found.append(row[word] / sum(row.values()) if row else found[-1])
    return found


# -- 5. Greedy -------------------------------------------------------------------------------------


class Walk:
    """A network for tests: logits hang on all words so far, and calls are counted."""

    def __init__(self, random: Random, size: int):
        self.size = size
        self.mix = random.normal(size=(size, 6))
        self.turn = np.linalg.qr(random.normal(size=(6, 6)))[0] * 0.9
        self.out = random.normal(size=(6, size)) * 2
        self.fed: list[int] = []
        self.states: list[Any] = []
        self.reruns: list[list[int]] = []

    def _after(self, word: int, h: np.ndarray | None) -> np.ndarray:
        before = np.zeros(6) if h is None else h
        return np.tanh(self.turn @ before + self.mix[int(word)])

    def step(self, word: int, state: Any) -> tuple[np.ndarray, Any]:
        """As a student gets it."""
        self.fed.append(int(word))
        self.states.append(state)
        h = self._after(word, state)
        return h @ self.out, h

    def run(self, words: Sequence[int]) -> np.ndarray:
        """All words from the beginning."""
        self.reruns.append([int(word) for word in words])
        return self.logits(words)

    def logits(self, words: Sequence[int]) -> np.ndarray:
        """Logits [T, V]; not counted."""
        h, found = None, []
        for word in words:
            h = self._after(word, h)
            found.append(h @ self.out)
        return np.array(found)


def greedy(ex: Any, random: Random) -> None:
    """The most probable words, and the cycle they end in."""
    for _ in range(3):
        walk, first = Walk(random, 9), int(random.integers(9))
        expected = [first]
        for _ in range(12):
            expected.append(int(np.argmax(walk.logits(expected)[-1])))
        received = _ids("greedy", ex.greedy(walk.step, first, 12))
        _fed(walk, [first], received, "greedy")
        hint = "the word of the largest logit, fed to the next step; `first` is not in the list"
        equal("greedy", received, expected[1:], hint)
    equal("greedy of no words", list(ex.greedy(Walk(random, 9).step, 1, 0)), [], "words may be 0")
    cases = [[1, 2, 3, 4, 3, 4, 3], [1, 2, 3], [], [5, 5], [1, 1, 1, 1], [1, 2, 1, 2, 1]]
    for _ in range(60):
        head = random.integers(0, 3, int(random.integers(0, 5))).tolist()
        body = random.integers(0, 3, int(random.integers(1, 5))).tolist()
        cases.append(head + (body * 4)[: int(random.integers(1, 4 * len(body) + 1))])
    for case in cases:
        wanted = _cycle(case)
        found = ex.find_cycle(list(case))
        hint = "try every length, the least first, and go back from the end as far as it repeats"
        if wanted is None and found is not None:
            hint = "two whole rounds are needed: once is no repetition"
        elif found is not None and wanted is not None and found[1] > wanted[1]:
            hint = "a shorter cycle is in the same words: the least length counts"
        elif found is not None and wanted is not None and found[0] > wanted[0]:
            hint = "it begins earlier: the first round may begin within a cycle"
        equal(f"find_cycle({case})", found, wanted, hint)


def _cycle(words: list[int]) -> tuple[int, int] | None:
    for length in range(1, len(words) + 1):
        for start in range(len(words) - 2 * length + 1):
            rest = words[start:]
            if all(a == b for a, b in zip(rest, rest[length:], strict=False)):
                return start, length
    return None


def _ids(name: str, received: Any) -> list[int]:
    """A list of words, or of what NumPy makes of them."""
    plain = _plain(received)
    true(
        f"{name}: what it returns",
        isinstance(plain, list) and all(isinstance(word, int) for word in plain),
        expected="a list of words, which are whole numbers",
        received=received,
        hint="collect the words in a list, and return it",
    )
    return list(plain)


def _fed(walk: Walk, prompt: list[int], drawn: list[int], name: str) -> None:
    """Each word went through once, with the state after the word before it."""
    expected = prompt + drawn[:-1]
    received = walk.fed[: len(expected)] if len(walk.fed) == len(expected) + 1 else walk.fed
    hint = "every word goes through the network once, in order; only the last drawn need not"
    read, which = len(prompt), "first word" if len(prompt) == 1 else "prompt's last word"
    if walk.fed[: read + 1] == prompt + prompt[-1:] and walk.fed != expected:
        hint = f"the {which} went through twice: take the logits of its first step"
    elif len(walk.fed) > len(expected) + 1:
        hint = (
            f"{len(walk.fed)} steps for {len(expected)} words: some words went through again; keep "
            "the state instead"
        )
    equal(f"{name}: words that went through the network", received, expected, hint)
    for i, state in enumerate(walk.states):
        before = walk.states[0] if i == 0 else walk._after(walk.fed[i - 1], walk.states[i - 1])
        right = state is None if i == 0 else state is not None and np.array_equal(state, before)
        true(
            f"{name}: the state given with word {i + 1}",
            bool(right),
            expected="None" if i == 0 else "the state that the step before returned",
            received="None" if state is None else "another state",
            hint="a step returns (logits, state): give that state to the next step",
        )


# -- 6. Temperature --------------------------------------------------------------------------------


def softmax(logits: np.ndarray) -> np.ndarray:
    """In float64."""
    weights = np.exp(np.asarray(logits, np.float64) - np.max(logits))
    return np.asarray(weights / weights.sum())


def _unlikely(counts: np.ndarray, p: np.ndarray) -> bool:
    """Whether a chi-square test of the counts against p gives less than about one in a million.

    Classes are put together until five are expected in each; the bound is Wilson and Hilferty's
    (1931) approximation of the chi-square distribution.
    """
    order = np.argsort(p)
    expected, seen, total, count = [], [], 0.0, 0.0
    for i in order:
        total, count = total + p[i] * counts.sum(), count + counts[i]
        if total >= 5:
            expected.append(total)
            seen.append(count)
            total = count = 0.0
    if expected:
        expected[-1] += total
        seen[-1] += count
    freedom = max(len(expected) - 1, 1)
    statistic = sum((s - e) ** 2 / e for s, e in zip(seen, expected, strict=True))
    bound = freedom * (1 - 2 / (9 * freedom) + 4.75 * math.sqrt(2 / (9 * freedom))) ** 3
    return statistic > bound


def temperature(ex: Any, random: Random) -> None:
    """The sampler against softmax(logits / T)."""
    draws = 3000
    for t in (1.7, 0.4, 1.0):  # the flattest first: it shows the most
        logits = random.normal(size=12) * 1.2
        uniforms = random.random(draws)
        found = np.array([int(ex.sample(logits.copy(), t, u)) for u in uniforms])
        again = np.array([int(ex.sample(logits.copy(), t, u)) for u in uniforms[:50]])
        equal(
            f"sample at T = {t}: the same uniforms again",
            again,
            found[:50],
            "draw nothing of your own: the word follows from `uniform`",
        )
        counts = np.bincount(np.clip(found, 0, 11), minlength=12)
        p = softmax(logits / t)
        hint = "the word is the first at which the sum of the probabilities is above `uniform`"
        if len(set(found.tolist())) == 1:
            hint = "always the same word: the largest logit is taken at temperature 0 only"
        hint = _cause(found, logits, t, uniforms) or hint
        true(
            f"sample at T = {t}: shares of {draws} words (chi-square)",
            not _unlikely(counts, p),
            expected=p,
            received=counts / draws,
            hint=hint,
        )
        order = np.cumsum(p)
        sure = np.abs(order[:, None] - uniforms).min(axis=0) > 1e-6
        expected = np.searchsorted(order, uniforms, side="right")
        equal(
            f"sample at T = {t}: words in order of their ids",
            found[sure][:200],
            expected[sure][:200],
            _cause(found, logits, t, uniforms)
            or "go through the words as they stand, and take the first sum above `uniform`",
        )
    _edges(ex, random)


def _cause(found: np.ndarray, logits: np.ndarray, t: float, uniforms: np.ndarray) -> str:
    """What gives just these words, if it is one of the common mistakes; else an empty string."""
    if t == 1:
        return ""
    p = softmax(logits)
    after = "the temperature comes after the softmax: softmax(logits / T)"
    for mistake, hint in (
        (softmax(logits * t), "the logits are multiplied by T: divide"),
        (p, "the temperature has no effect: softmax(logits / T)"),
        (p / t, after),
        (softmax(p / t), after),
    ):
        words = np.searchsorted(np.cumsum(mistake), uniforms, side="right")
        inside = words < len(p)  # beyond the last sum a program may do whatever it likes
        if np.mean(found[inside] == words[inside]) > 0.99:
            return hint
    return ""


def _edges(ex: Any, random: Random) -> None:
    logits = random.normal(size=9)
    best = int(np.argmax(logits))
    for u in (0.0, 0.5, 0.999999):
        received = int(ex.sample(logits.copy(), 0, u))
        equal("sample at T = 0", received, best, "at temperature 0 the largest logit wins")
    received = int(ex.sample(logits.copy(), 1e-3, 0.5))
    equal("sample at T = 0.001", received, best, "take the largest logit off before exp")
    large = np.array([1000.0, 999.0, -1000.0])
    with np.errstate(all="ignore"):
        both = [int(ex.sample(large.copy(), 1.0, u)) for u in (0.1, 0.9)]
    hint = "exp(1000) is infinite: take the largest logit off all of them first"
    equal("sample with logits of 1,000", both, [0, 1], hint)
    blocked = np.array([-np.inf, 0.0, -np.inf, 0.0, -np.inf])
    for u, wanted in ((0.0, 1), (0.499999, 1), (0.5, 3), (0.9999999, 3)):
        received = int(ex.sample(blocked.copy(), 1.0, u))
        hint = "a word of probability 0 is never drawn: the sum must be above `uniform`, not equal"
        equal(f"sample with logits of -inf and uniform {u}", received, wanted, hint)


# -- 7. State carried, or all words again ----------------------------------------------------------


def _draw(logits: np.ndarray, t: float, uniform: float) -> int:
    if t == 0:
        return int(np.argmax(logits))
    return int(np.searchsorted(np.cumsum(softmax(np.asarray(logits) / t)), uniform, side="right"))


def state(ex: Any, random: Random) -> None:
    """The same text by both ways; each word through the network once, or again and again."""
    ex.sample = _draw  # exercise 6 is judged for itself, and before this one
    for t in (0.0, 3.0):  # hot enough that chance seldom gives the most probable words
        walk = Walk(random, 9)
        prompt = random.integers(0, 9, 4).tolist()
        uniforms = random.random(20).tolist()
        expected = list(prompt)
        for uniform in uniforms:
            expected.append(_draw(walk.logits(expected)[-1], t, uniform))
        drawn = expected[len(prompt) :]
        name = "generate_with_state"
        received = _ids(name, ex.generate_with_state(walk.step, list(prompt), t, list(uniforms)))
        equal(f"{name}: words", len(received), len(drawn), _too_many(received, prompt))
        _fed(walk, prompt, received, name)
        hint = "the logits after the prompt's last word give the first new one"
        equal(name, received, drawn, _not_sampled(walk, prompt, received) if t else hint)
        name = "generate_by_rerunning"
        received = _ids(name, ex.generate_by_rerunning(walk.run, list(prompt), t, list(uniforms)))
        equal(f"{name}: words", len(received), len(drawn), _too_many(received, prompt))
        hint = "the last row of run(prompt + words so far) gives the next word"
        if t and walk.reruns[-1:] == [prompt + received[:-1]]:
            hint = _not_sampled(walk, prompt, received)
        equal(name, received, drawn, hint)
        whole = [expected[: len(prompt) + n] for n in range(len(uniforms))]
        hint = (
            "for each new word all words before it are read, the prompt's too, from the beginning"
        )
        equal("generate_by_rerunning: what was read", walk.reruns, whole, hint)


def _too_many(received: list[int], prompt: list[int]) -> str:
    if received[: len(prompt)] == prompt:
        return "the prompt is not in the list: only the new words are"
    return "one word for each uniform"


def _not_sampled(walk: Walk, prompt: list[int], received: list[int]) -> str:
    """Why the words are others although the network read what it should."""
    best = walk.logits(prompt + received[:-1])[len(prompt) - 1 :].argmax(axis=1)
    if received == best.tolist():
        return "always the most probable word: draw it with `sample`, at the temperature given"
    return "each new word is sample(logits, temperature, uniform), the uniforms in their order"


# -- 8. What is a good text? -----------------------------------------------------------------------


def quality(ex: Any, random: Random) -> None:
    """Distinct n-grams, repetition, copied share."""
    for n in (1, 2, 3):
        texts = [random.integers(0, 4, int(length)).tolist() for length in (9, 1, 14, 6)]
        rows = [[tuple(t[i : i + n]) for i in range(len(t) - n + 1)] for t in texts]
        grams = [gram for row in rows for gram in row]
        received = ex.distinct([list(text) for text in texts], n)
        hint = "different n-grams of all texts together, over the number of all n-grams"
        single = np.mean([len(set(row)) / len(row) for row in rows if row])
        joined = [word for text in texts for word in text]
        across = [tuple(joined[i : i + n]) for i in range(len(joined) - n + 1)]
        if np.isclose(_number(received), single):
            hint = "that is the mean of the texts: an n-gram that two texts have counts once in all"
        elif np.isclose(_number(received), len(set(across)) / len(across)):
            hint = "no n-gram spans two texts"
        close(f"distinct, n = {n}", received, len(set(grams)) / len(grams), hint)
        seen: list[tuple[int, ...]] = []
        again = 0
        for gram in rows[2]:
            again += gram in seen
            seen.append(gram)
        received = ex.repetition(list(texts[2]), n)
        hint = "an n-gram is a repetition if it stood in the text before; its first time is none"
        close(f"repetition, n = {n}", received, again / len(rows[2]), hint)
        book, text = random.integers(0, 5, 60).tolist(), random.integers(0, 5, 30).tolist()
        marks = [False] * len(text)
        for i in range(len(text) - n + 1):
            if any(book[j : j + n] == text[i : i + n] for j in range(len(book) - n + 1)):
                marks[i : i + n] = [True] * n
        received = ex.copied_share(list(text), list(book), n)
        hits = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        known = {tuple(book[j : j + n]) for j in range(len(book) - n + 1)}
        hint = "mark all n words of each n-gram that the book has; the share of marked words"
        if n > 1 and np.isclose(_number(received), np.mean([gram in known for gram in hits])):
            hint = "that is the share of n-grams: count the words that lie in one"
        close(f"copied_share, n = {n}", received, sum(marks) / len(marks), hint)


# -- Tour ------------------------------------------------------------------------------------------


def _fit(model: Any, loss: str, x: Any, y: Any, rounds: int = 150) -> float:
    """The loss after some steps over one batch."""
    import keras

    losses = {
        "binary": keras.losses.BinaryCrossentropy(),
        "words": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    model.compile(optimizer=keras.optimizers.Adam(0.02), loss=losses[loss])
    found = math.inf
    for _ in range(rounds):
        found = float(model.train_on_batch(x, y))
    return found


def _shape(name: str, received: Any, expected: tuple[int, ...], hint: str) -> np.ndarray:
    found = np.asarray(received)
    equal(f"{name}: shape of the output", found.shape, expected, hint)
    return found


def classifier(ex: Any, random: Random) -> None:
    """Many to one."""
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
    nats = _fit(model, "binary", padded, classes)
    true(
        f"{name}: the loss after training on which word came first",
        nats < 0.2,
        expected="below 0.2",
        received=f"{nats:.3f}",
        hint="is all of the row read by the LSTM, and all of it trained?",
    )


def from_vector(ex: Any, random: Random) -> None:
    """One to many."""
    name = "build_from_vector"
    model = ex.build_from_vector(9, 3, 8, 16)
    vectors = np.eye(3, dtype=np.float32)
    lines = random.integers(2, 9, (3, 7)).astype(np.int32)
    lines[:, 0] = 1
    lines[:, 1] = [2, 3, 4]
    out = _shape(name, model([vectors, lines]), (3, 7, 9), "logits at each step: [B, T, V]")
    _affine(name, out)
    true(
        f"{name}: logits after the first word, with three vectors",
        not np.allclose(out[0, 0], out[1, 0], atol=1e-6),
        expected="three different rows",
        received="equal rows",
        hint="two Dense layers make h and c of the vector: initial_state=[h, c]",
    )
    nats = _fit(model, "words", [vectors, lines[:, :-1]], lines[:, 1:])
    true(
        f"{name}: the loss after training on three lines, one for each vector",
        nats < 0.2,
        expected="below 0.2",
        received=f"{nats:.3f}",
        hint="what comes first can only be known from the vector: does it reach the LSTM?",
    )


def translator(ex: Any, random: Random) -> None:
    """Many to many."""
    name = "build_translator"
    model = ex.build_translator(7, 9, 8, 32)
    source = random.integers(1, 7, (24, 3)).astype(np.int32)
    target = np.concatenate([np.ones((24, 1), np.int32), source[:, ::-1] + 2], axis=1)
    feed, wanted = target[:, :-1], target[:, 1:]
    out = _shape(name, model([source, feed]), (24, 3, 9), "logits at each target step: [B, T, V]")
    _affine(name, out)
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
    nats = _fit(model, "words", [source, feed], wanted, rounds=300)
    true(
        f"{name}: the loss after training to read three numbers backwards",
        nats < 0.3,
        expected="below 0.3",
        received=f"{nats:.3f}",
        hint="the encoder has to read all source words, and both LSTMs have to be trained",
    )


Check = Callable[[Any, Random], None]
# Name, check, points, whether it needs Keras.
EXERCISES: dict[str, tuple[str, Check, int, bool]] = {
    "0": ("look at the book", look, 5, False),
    "1": ("words and back", words, 10, False),
    "2": ("the baseline: counting", counting, 15, False),
    "3": ("pairs, shifted by one", windows, 10, False),
    "4": ("the LSTM", lstm, 15, True),
    "5": ("greedy, and its cycle", greedy, 5, False),
    "6": ("temperature", temperature, 10, False),
    "7": ("state carried, or all again", state, 10, False),
    "8": ("what is a good text", quality, 5, False),
    "many-to-one": ("tour: classify", classifier, 0, True),
    "one-to-many": ("tour: from a vector", from_vector, 0, True),
    "many-to-many": ("tour: translate", translator, 0, True),
}
