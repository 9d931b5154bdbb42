"""What a mutant does on inputs that the exercise allows, without the lab's checks.

It shows that a wrong mutant differs from the solution where the text leaves no choice, that a right
one does not, and that no two wrong ones are the same. Exercises that need TensorFlow are left out.
"""

from __future__ import annotations

import copy
import math
import signal
import types
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

SECONDS = 10.0  # of the processor, for one mutant, which may never end
_ALMOST_ONE = math.nextafter(1.0, 0.0)  # the largest number that `uniform` may be

Observed = Iterator[Any]


def observe(source: str, function: str, *, seed: int = 0) -> list[Any]:
    """Runs a function of a file on many inputs.

    Args:
        source: the file.
        function: a function of an exercise that needs no TensorFlow.
        seed: seed of the inputs.

    Returns:
        What was seen for each input, in a form that can be compared and printed.
    """
    found: list[Any] = []

    def late(number: int, frame: Any) -> None:
        raise TimeoutError

    module = types.ModuleType("exercises")
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with np.errstate(all="ignore"):
            exec(compile(source, f"<{function}>", "exec"), module.__dict__)
            for each in PROBES[function](getattr(module, function), np.random.default_rng(seed)):
                found.append(each)
    except TimeoutError:
        found.append("never ends")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return found


def canonical(value: Any) -> Any:
    """Gives a form in which values are the same if they differ by rounding only."""
    if isinstance(value, np.ndarray):
        return ("array", str(value.dtype), value.shape, canonical(value.tolist()))
    if isinstance(value, np.generic):
        return canonical(value.item())
    if isinstance(value, list | tuple):
        return [canonical(each) for each in value]
    if isinstance(value, dict):
        return {repr(canonical(k)): canonical(v) for k, v in sorted(value.items(), key=repr)}
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return f"{value:.5g}"
    return value if isinstance(value, int | str | None) else type(value).__name__


def _said(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except TimeoutError:
        raise
    except Exception as error:
        return f"{type(error).__name__}"


def _plain(call: Callable[[], Any]) -> Any:
    return _said(lambda: canonical(call()))


# -- exercises 0 and 1 -----------------------------------------------------------------------------


def _tokens(random: np.random.Generator, count: int) -> list[str]:
    names = [f"w{i}" for i in range(15)] + ["The", "the", ",", ".", "■,", "I", "a", "don't"]
    p = 1 / np.arange(1, len(names) + 1)
    return [names[i] for i in random.choice(len(names), count, p=p / p.sum())]


def _count_words(function: Any, random: np.random.Generator) -> Observed:
    for count in (40, 5, 200, 1):
        tokens = _tokens(random, count)
        given = list(tokens)
        yield _plain(lambda t=given: function(t))
        yield given == tokens


def _coverage(function: Any, random: np.random.Generator) -> Observed:
    for count in (40, 200, 12):
        counts = Counter(_tokens(random, count))
        for size in (1, 2, 3, 5, 0, len(counts), len(counts) + 7):
            given = counts.copy()
            yield _plain(lambda c=given, s=size: float(function(c, s)))
            yield given == counts


TEXTS = [
    "Stop, she said.",
    "don't rock'n'roll, fo'c's'le; l'été d’un “jour”’s end 'tis dogs' ’quoted’ 'quoted'",
    "(well) “Stop!” she said—no… Oh... No?! -- well-known e.g. U.S. Mr. Brown's [1]",
    "a  b\n c\td\u00a0e\u2003f\n\ng,\nh\t.i",
    "snake_case _edge_ 1.5 1,000 12:30 B2 3rd 1865 a_b_1",
    "Какво? Нищо! Füße ÉTÉ Ελλάδα، שלום مرحبا नमते日本 ١٢٣ ಕ Ґедзь ŵ",
    "a@b.c/d €5 50% a&b x+y=z #1 *bold* ~ ^ `code` <unk> $7 o'b’c'd",
    "iPhone camelCase",
    "ab.cd,ef!gh",
    "",
    "x",
]


def _texts(random: np.random.Generator) -> Iterator[str]:
    yield from TEXTS
    pieces = [
        "the",
        "Cat",
        "don't",
        "o’c’d",
        "—",
        ".",
        ",",
        "“",
        "”",
        "!",
        "ой",
        "7",
        "_",
        "-",
        "Ж",
        "'",
    ]
    for _ in range(30):
        text = ""
        for piece, gap in zip(
            random.choice(pieces, 12), random.choice(["", " ", "\n", "  "], 12), strict=True
        ):
            # Apostrophes side by side are left open.
            touching = (
                bool(text)
                and (text[-1].isalnum() or text[-1] in "'’")
                and (piece[0].isalnum() or piece == "'")
            )
            text += (" " if touching else str(gap)) + str(piece)
        yield text.strip()


def _tokenize(function: Any, random: np.random.Generator) -> Observed:
    for text in _texts(random):
        yield _plain(lambda t=text: function(t))


def _detokenize(function: Any, random: np.random.Generator) -> Observed:
    from lab_solution import tokenize

    for text in _texts(random):
        given = tokenize(text)
        yield _plain(lambda t=given: function(t))
        yield "" if given == tokenize(text) else canonical(given)
    yield _plain(lambda: function(["■,", "a", "■."]))
    yield _plain(lambda: function(["■a"]))


def _make_vocabulary(function: Any, random: np.random.Generator) -> Observed:
    names = [f"{a}{b}" for a in "bacd" for b in ("", "a", "zb", "cab")]
    for count, least in ((60, 2), (60, 1), (30, 3), (200, 5), (8, 2)):
        tokens = [str(each) for each in random.choice([*names, ".", "■,"], count)]
        given = list(tokens)
        yield _plain(lambda t=given, m=least: function(t, m))
        yield given == tokens
    for tokens in (["W"] * 3 + ["w"] * 2 + ["x"], ["■a", "a", "■a", "■a", "b", "b"], [*"aBAbaBAb"]):
        yield _plain(lambda t=tokens: function(list(t), 2))


def _encode(function: Any, random: np.random.Generator) -> Observed:
    names = [f"w{i:02}" for i in range(30)]
    for count in (20, 1, 50, 0):
        vocabulary = [
            "<unk>",
            *(str(each) for each in random.permutation(names)[:12]),
            "■a",
            "a",
            "b",
            "The",
        ]
        tokens = [str(each) for each in random.choice([*names, *vocabulary, "the", "■b"], count)]
        given, names_given = list(tokens), list(vocabulary)
        yield _plain(lambda t=given, v=names_given: function(t, v))
        yield [given == tokens, names_given == vocabulary]


# -- exercises 2 and 3 -----------------------------------------------------------------------------


def _ids(random: np.random.Generator, size: int, length: int) -> list[int]:
    """A text in which a word depends on the two before it, and the last id is not used."""
    table = random.dirichlet(np.full(size - 1, 0.3), (size, size))
    ids = [0, 1]
    for _ in range(length - 2):
        ids.append(int(random.choice(size - 1, p=table[ids[-2], ids[-1]])))
    return ids


def _count_ngrams(function: Any, random: np.random.Generator) -> Observed:
    for ids in (_ids(random, 6, 60), [5, 6, 5, 7], [3, 3, 3, 4], [1, 2]):
        for n in (1, 2, 3, 4):
            given = list(ids)
            yield _said(lambda i=given, n=n: _table(function(i, n)))
            yield given == ids


def _table(table: Any) -> Any:
    """Zeros in a row, and empty rows, are the same as nothing."""
    if not isinstance(table, dict):
        return type(table).__name__
    found = {
        repr(canonical(key)) + type(key).__name__: {
            int(w): canonical(c) for w, c in sorted(row.items()) if c
        }
        if isinstance(row, dict)
        else canonical(row)
        for key, row in sorted(table.items(), key=repr)
    }
    return {key: row for key, row in found.items() if row}


def _right_tables(ids: list[int]) -> list[Any]:
    from lab_solution import count_ngrams

    return [count_ngrams(ids, n) for n in (1, 2, 3)]


def _ngram_distribution(function: Any, random: np.random.Generator) -> Observed:
    for size in (8, 6):
        ids = _ids(random, size, 200)
        tables = _right_tables(ids)
        before = copy.deepcopy(tables)
        contexts = [ids[50:52], ids[60:62], [size - 1] * 2, [size - 1, ids[5]],
                    [ids[5], size - 1], ids[7:8], [], ids[40:47], [size - 1, *ids[20:22]],
                    ids[1:3], [size - 1] * 2]  # fmt: skip
        for context in contexts:
            weights = tuple(random.dirichlet(np.ones(4)))
            yield _plain(lambda t=tables, c=context, w=weights, s=size: function(t, list(c), w, s))
            yield "tables as before" if tables == before else "tables changed"


def _perplexity(function: Any, random: np.random.Generator) -> Observed:
    yield _plain(lambda: float(function([0.125, 0.5, 0.125, 0.125])))
    for count in (3, 2, 1, 30, 7, 5000, 400):
        p = random.dirichlet(np.full(5, 0.5), count).max(axis=1).tolist()
        given = list(p)
        yield _plain(lambda p=given: float(function(p)))
        yield given == p
        p = (10 ** -random.uniform(0, 5, count)).tolist()
        yield _plain(lambda p=p: float(function(list(p))))


def _tune_weights(function: Any, random: np.random.Generator) -> Observed:
    from lab_solution import _orders

    for length, cut in ((400, 280), (120, 80), (84, 80), (44, 40), (300, 30)):
        ids = _ids(random, 8, length)
        tables, valid = _right_tables(ids[:cut]), ids[cut:]
        before = copy.deepcopy(tables)
        parts = np.array(
            [_orders(tables, valid[i - 2 : i], 8)[:, valid[i]] for i in range(2, len(valid))]
        )
        best = np.full(4, 0.25)
        for _ in range(1000):
            best = (best * parts / (parts @ best)[:, None]).mean(axis=0)

        def score(found: Any, parts: Any = parts, best: Any = best) -> Any:
            weights = np.asarray(found, np.float64)
            if weights.shape != (4,) or abs(weights.sum() - 1) > 1e-6 or weights.min() < 0:
                return canonical(found)
            loss = -np.log(np.maximum(parts @ weights, 1e-300)).mean() + np.log(parts @ best).mean()
            return "the best" if np.exp(loss) < 1.01 else canonical(weights)

        given = list(valid)
        yield _said(lambda t=tables, v=given, s=score: s(function(t, v, 8)))
        yield "tables as before" if tables == before else "tables changed"
        yield given == valid


def _make_windows(function: Any, random: np.random.Generator) -> Observed:
    for length, batch, steps in (
        (97, 3, 5),
        (41, 2, 4),
        (61, 3, 4),
        (63, 3, 4),
        (60, 3, 4),
        (50, 1, 7),
        (30, 5, 1),
        (300, 4, 3),
    ):
        for kind in (np.int32, np.int64):
            ids = random.permutation(1000)[:length].astype(kind)
            given = ids.copy()
            yield _plain(lambda i=given, b=batch, s=steps: function(i, b, s))
            yield canonical(given) == canonical(ids)


# -- exercises 5 to 8 ------------------------------------------------------------------------------


class Network:
    """A network whose logits depend on all words so far; it records what it reads."""

    def __init__(self, random: np.random.Generator, size: int = 9):
        self.mix = random.normal(size=(size, 6))
        self.turn = np.linalg.qr(random.normal(size=(6, 6)))[0] * 0.98
        self.out = random.normal(size=(6, size)) * 2
        self.read: list[Any] = []

    def step(self, word: int, state: Any) -> tuple[np.ndarray, Any]:
        self.read.append((int(word), None if state is None else canonical(np.asarray(state))))
        before = np.zeros(6) if state is None else state
        h = np.tanh(self.turn @ before + self.mix[int(word)])
        return h @ self.out, h

    def run(self, words: Any) -> np.ndarray:
        self.read.append([int(word) for word in words])
        h, found = np.zeros(6), []
        for word in words:
            h = np.tanh(self.turn @ h + self.mix[int(word)])
            found.append(h @ self.out)
        return np.array(found)


def _greedy(function: Any, random: np.random.Generator) -> Observed:
    for words in (12, 5, 1, 0, 40):
        network, first = Network(random), int(random.integers(9))
        yield _plain(lambda n=network, f=first, w=words: function(n.step, f, w))
        # What is read after the last word makes no difference.
        if words:
            yield canonical(
                network.read[:words] if len(network.read) == words + 1 else network.read
            )


def _find_cycle(function: Any, random: np.random.Generator) -> Observed:
    cases = [
        [1, 2, 3, 4, 3, 4, 3],
        [1, 2, 3],
        [],
        [5],
        [5, 5],
        [1, 1, 1, 1],
        [1, 2, 1, 2, 1],
        [11, 1, 1],
        [1, 11, 11, 1, 11, 11],
    ]
    for _ in range(150):
        head = random.integers(0, 3, int(random.integers(0, 5))).tolist()
        body = random.integers(0, 3, int(random.integers(1, 7))).tolist()
        cases.append(head + (body * 4)[: int(random.integers(1, 4 * len(body) + 1))])
    for case in cases:
        given = list(case)
        yield _plain(lambda c=given: function(c))
        yield "" if given == case else canonical(given)


def _sample(function: Any, random: np.random.Generator) -> Observed:
    inf = -np.inf
    special = [
        np.array([1000.0, 999.0, -1000.0]),
        np.array([-1000.0, 999.0, 1000.0, 998.0]),
        np.array([inf, 0.0, inf, 0.0, inf]),
        np.array([inf, 2.0, 1.0, inf, 0.0, -1.0, inf]),
        np.array([0.0, 0.0, 0.0, 0.0]),
        np.zeros(10),
        np.array([*np.zeros(10), inf]),
        np.array([*np.zeros(49), -1.0, -2.0, -3.0, inf, inf]),
        np.array([*np.linspace(0, -3, 30), inf]),
    ]
    for logits in [*special, *(random.normal(size=12) * 2 for _ in range(6))]:
        for t in (1.0, 1.7, 0.7, 0.4, 0.1, 0.05, 0.01, 3.0, 0.0):
            if t == 0 and (logits == logits.max()).sum() > 1:
                continue  # which of the most probable ones is left open
            uniforms = [0.0, _ALMOST_ONE, 0.5, *random.random(20).tolist()]
            p = np.exp((logits - logits.max()) / (t or 1.0))
            sums = np.cumsum(p / p.sum())
            for u in uniforms:
                close = np.abs(sums[p > 0] - u).min() < 1e-9
                given, kept = logits.copy(), logits.copy()
                word = _plain(lambda g=given, t=t, u=u: function(g, t, u))
                same = "" if np.array_equal(given, kept) else ", logits changed"
                if close and isinstance(word, int) and 0 <= word < len(p) and p[word] > 0 and u:
                    word = "a possible word"  # rounding decides which
                yield f"{word}{same}"


def _generate(function: Any, random: np.random.Generator, name: str) -> Observed:
    for count, words in ((4, 20), (1, 8), (3, 1), (2, 0), (6, 130), (60, 3)):
        for t in (0.0, 3.0, 0.7):
            network = Network(random)
            prompt, uniforms = random.integers(0, 9, count).tolist(), random.random(words).tolist()
            given, left = list(prompt), list(uniforms)
            yield _plain(
                lambda n=network, p=given, t=t, u=left: function(getattr(n, name), p, t, u)
            )
            read, least = network.read, count + words - 1
            if words:
                yield canonical(read[:least] if name == "step" and len(read) == least + 1 else read)
            yield canonical([given, left])


def _distinct(function: Any, random: np.random.Generator) -> Observed:
    cases: list[tuple[list[list[int]], int]] = [
        ([[1, 11, 1], [11, 1, 1], [111, 2]], 2),
        ([[1], [2, 3]], 3),
    ]
    for n in (1, 2, 3):
        for size in (4, 12, 3):
            texts = [(random.integers(0, size, int(k)) * 11 % 113).tolist() for k in (9, 1, 14, 6)]
            cases.append((texts, n))
    for texts, n in cases:
        given = copy.deepcopy(texts)
        yield _plain(lambda t=given, n=n: float(function(t, n)))
        yield given == texts


def _repetition(function: Any, random: np.random.Generator) -> Observed:
    cases: list[tuple[list[int], int]] = [([1, 11, 1, 1, 11, 11, 1], 2), ([1], 2)]
    for n in (1, 2, 3):
        for size, length in ((4, 30), (12, 60), (3, 14), (3, 3)):
            cases.append(((random.integers(0, size, length) * 11 % 113).tolist(), n))
    for text, n in cases:
        given = list(text)
        yield _plain(lambda t=given, n=n: float(function(t, n)))
        yield given == text


def _copied_share(function: Any, random: np.random.Generator) -> Observed:
    cases: list[tuple[list[int], list[int], int]] = [
        ([1, 2], [11, 2], 2), ([1, 2], [11, 23], 2), ([1, 2, 3], [1, 21, 2], 2),
        ([2, 1], [32, 11], 2),
        ([1], [1, 2], 2), ([2, 1], [1, 2, 3], 2), ([7, 8], [7, 8, 9], 2), ([1, 2], [3, 12], 2),
        ([12, 1], [1, 21], 2), ([], [1, 2], 2),
    ]  # fmt: skip
    for n in (1, 2, 3, 4):
        for size in (5, 9, 30):
            book = (random.integers(0, size, 60) * 11 % 113).tolist()
            cases.append((random.integers(0, size, 30).tolist() + book[10:16] + book[-n:], book, n))
    for text, book, n in cases:
        given, read = list(text), list(book)
        yield _plain(lambda t=given, b=read, n=n: float(function(t, b, n)))
        yield [given == text, read == book]


PROBES: dict[str, Callable[[Any, np.random.Generator], Observed]] = {
    "count_words": _count_words,
    "coverage": _coverage,
    "tokenize": _tokenize,
    "detokenize": _detokenize,
    "make_vocabulary": _make_vocabulary,
    "encode": _encode,
    "count_ngrams": _count_ngrams,
    "ngram_distribution": _ngram_distribution,
    "perplexity": _perplexity,
    "tune_weights": _tune_weights,
    "make_windows": _make_windows,
    "greedy": _greedy,
    "find_cycle": _find_cycle,
    "sample": _sample,
    "generate_with_state": lambda f, r: _generate(f, r, "step"),
    "generate_by_rerunning": lambda f, r: _generate(f, r, "run"),
    "distinct": _distinct,
    "repetition": _repetition,
    "copied_share": _copied_share,
}
