"""Mutants of exercise 2: n-grams and their mixture."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import FIRST_OTHER, KEPT, changed, nothing
from mutants.mutant import Variants, twice

count_ngrams = Variants("2", "count_ngrams")
ngram_distribution = Variants("2", "ngram_distribution")
ALL = [count_ngrams, ngram_distribution]


def _count(
    key: str, word: str, *, places: str = "range(len(ids) - n + 1)", add: str = "+= 1"
) -> str:
    return f"""
        def count_ngrams(ids, n):
            table = defaultdict(Counter)
            ids = [int(i) for i in ids]
            for i in {places}:
                table[{key}][{word}] {add}
            return dict(table)
    """


_KEY, _WORD = "tuple(ids[i : i + n - 1])", "ids[i + n - 1]"
_BEFORE = r"n - 1|before"
wrong = count_ngrams.wrong
wrong("pass", nothing("count_ngrams"), "def count_ngrams(ids, n):\n    pass\n")
wrong("last-left-out", r"last", _count(_KEY, _WORD, places="range(len(ids) - n)"))
wrong(
    "first-left-out", r"first|every|begin", _count(_KEY, _WORD, places="range(1, len(ids) - n + 1)")
)
wrong(
    "around-the-end",
    r"end|last|first|too (many|often)|more than",
    _count(
        "tuple(ids[(i + j) % len(ids)] for j in range(n - 1))",
        "ids[(i + n - 1) % len(ids)]",
        places="range(len(ids))",
    ),
)
wrong("key-of-n-words", _BEFORE, _count("tuple(ids[i : i + n])", _WORD))
wrong(
    "key-of-n-words-and-the-next",
    _BEFORE,
    _count("tuple(ids[i : i + n])", "ids[i + n]", places="range(len(ids) - n)"),
)
wrong("key-after-the-word", _BEFORE + "|follow", _count("tuple(ids[i + 1 : i + n])", "ids[i]"))
wrong("key-backwards", _BEFORE + "|order", _count("tuple(ids[i : i + n - 1][::-1])", _WORD))
wrong("key-sorted", _BEFORE + "|order", _count("tuple(sorted(ids[i : i + n - 1]))", _WORD))
wrong("key-as-text", r"tuple|key", _count("' '.join(map(str, ids[i : i + n - 1]))", _WORD))
wrong(
    "key-is-a-number",
    r"tuple|key",
    _count("ids[i] if n == 2 else tuple(ids[i : i + n - 1])", _WORD),
)
wrong("key-is-a-list", r"tuple|list|hash", _count("ids[i : i + n - 1]", _WORD))
wrong(
    "one-gram-key-is-the-word",
    r"\(\)|n = 1|before|n - 1",
    _count("tuple(ids[i : i + max(n - 1, 1)])", _WORD),
)
wrong("one-gram-key-is-none", r"\(\)|n = 1|key", _count("tuple(ids[i : i + n - 1]) or None", _WORD))
wrong(
    "one-gram-empty",
    r"\(\)|n = 1|key",
    _count(_KEY, _WORD, places="range(len(ids) - n + 1) if n > 1 else []"),
)
wrong(
    "always-pairs",
    r"n - 1|before|n = ",
    """
    def count_ngrams(ids, n):
        table = defaultdict(Counter)
        for i in range(len(ids) - 1):
            table[(int(ids[i]),)][int(ids[i + 1])] += 1
        return dict(table)
""",
)
wrong(
    "last-word-of-the-key-only",
    _BEFORE,
    _count("tuple(ids[i + n - 2 : i + n - 1]) if n > 1 else ()", _WORD),
)
wrong(
    "first-word-of-the-key-only", _BEFORE, _count("tuple(ids[i : i + 1]) if n > 1 else ()", _WORD)
)
wrong(
    "without-overlap",
    r"every|each|overlap",
    _count(_KEY, _WORD, places="range(0, len(ids) - n + 1, n)"),
)
wrong("once-each", r"how often|count", _count(_KEY, _WORD, add="= 1"))
wrong(
    "one-too-many",
    r"how often|count|once",
    _count(_KEY, _WORD, add="= table[" + _KEY + "].get(" + _WORD + ", 1) + 1"),
    shown=FIRST_OTHER,
)
wrong(
    "doubled-neighbours-once",
    r"how often|every|each|n - 1",
    """
    def count_ngrams(ids, n):
        ids = [int(i) for k, i in enumerate(ids) if k == 0 or i != ids[k - 1]]
        table = defaultdict(Counter)
        for i in range(len(ids) - n + 1):
            table[tuple(ids[i : i + n - 1])][ids[i + n - 1]] += 1
        return dict(table)
""",
)
wrong(
    "without-unk",
    r"\b0\b|<unk>|every|each",
    _count(_KEY, _WORD, places="[i for i in range(len(ids) - n + 1) if ids[i + n - 1] != 0]"),
)
wrong(
    "shorter-contexts-too",
    _BEFORE,
    """
    def count_ngrams(ids, n):
        table = defaultdict(Counter)
        ids = [int(i) for i in ids]
        for i in range(len(ids)):
            table[tuple(ids[max(0, i - n + 1) : i])][ids[i]] += 1
        return dict(table)
""",
)
wrong("a-gap", _BEFORE, _count("tuple(ids[max(0, i - 1) : max(0, i - 1) + n - 1])", _WORD))
wrong(
    "lists-of-followers",
    r"Counter|how often|count",
    """
    def count_ngrams(ids, n):
        table = defaultdict(list)
        ids = [int(i) for i in ids]
        for i in range(len(ids) - n + 1):
            table[tuple(ids[i : i + n - 1])].append(ids[i + n - 1])
        return dict(table)
""",
)
wrong(
    "whole-ngrams",
    r"key|before|Counter|n - 1",
    """
    def count_ngrams(ids, n):
        return Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))
""",
)
wrong(
    "shares",
    r"count|how often",
    """
    def count_ngrams(ids, n):
        table = defaultdict(Counter)
        for i in range(len(ids) - n + 1):
            table[tuple(ids[i : i + n - 1])][ids[i + n - 1]] += 1
        return {k: {w: c / sum(row.values()) for w, c in row.items()} for k, row in table.items()}
""",
)
wrong(
    "kept-between-calls",
    KEPT,
    """
    _table = defaultdict(Counter)

    def count_ngrams(ids, n):
        for i in range(len(ids) - n + 1):
            _table[tuple(ids[i : i + n - 1])][ids[i + n - 1]] += 1
        return {key: Counter(row) for key, row in _table.items()}
""",
)
wrong(
    "the-example",
    r"n - 1|before|follow",
    """
    def count_ngrams(ids, n):
        return {(5,): Counter({6: 1, 7: 1}), (6,): Counter({5: 1})}
""",
)

wrong(
    "short-text-fails",
    r"fewer|short|ValueError|no keys|empty",
    """
    def count_ngrams(ids, n):
        table = defaultdict(Counter)
        for row in np.lib.stride_tricks.sliding_window_view(np.asarray(ids), n).tolist():
            table[tuple(row[:-1])][row[-1]] += 1
        return dict(table)
""",
)
wrong(
    "takes-the-ids-away",
    changed("ids|text"),
    """
    def count_ngrams(ids, n):
        table = defaultdict(Counter)
        while len(ids) >= n:
            table[tuple(ids[: n - 1])][ids[n - 1]] += 1
            ids.pop(0)
        return dict(table)
""",
)

right = count_ngrams.right
right(
    "zip",
    """
    def count_ngrams(ids, n):
        table = {}
        for *before, word in zip(*(ids[k:] for k in range(n))):
            table.setdefault(tuple(before), Counter())[word] += 1
        return table
""",
)
right(
    "deque",
    """
    from collections import deque

    def count_ngrams(ids, n):
        table, last = {}, deque(maxlen=n - 1)
        for place, word in enumerate(ids):
            if place >= n - 1:
                table.setdefault(tuple(last), Counter()).update([word])
            last.append(word)
        return table
""",
)
right(
    "sliding-windows",
    """
    def count_ngrams(ids, n):
        table = defaultdict(Counter)
        if len(ids) >= n:
            for row in np.lib.stride_tricks.sliding_window_view(np.asarray(ids), n).tolist():
                table[tuple(row[:-1])][row[-1]] += 1
        return table
""",
)
right(
    "count-whole-first",
    """
    def count_ngrams(ids, n):
        ids, table = list(ids), {}
        whole = Counter(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))
        for gram, count in whole.items():
            table.setdefault(gram[:-1], Counter())[gram[-1]] = count
        return table
""",
)
right(
    "sorted-groups",
    """
    from itertools import groupby

    def count_ngrams(ids, n):
        ids = list(ids)
        grams = sorted(tuple(ids[i : i + n]) for i in range(len(ids) - n + 1))
        return {
            key: Counter(gram[-1] for gram in group) for key, group in groupby(grams, lambda g: g[:-1])
        }
""",
)
right(
    "a-class-of-its-own",
    """
    class Table(dict):
        def __missing__(self, key):
            self[key] = Counter()
            return self[key]

    def count_ngrams(ids, n):
        table = Table()
        for end in range(n, len(ids) + 1):
            table[tuple(ids[end - n : end - 1])][ids[end - 1]] += 1
        return table
""",
)

_PARTS = """
        import numpy as np

        def _mixture_parts(tables, context, size):
            parts = [np.full(size, 1 / size)]
            context = tuple(int(i) for i in context)
            for n, table in enumerate(tables, start=1):
                key = {key}
                found = {found}
                if not found:
                    parts.append({unseen})
                    continue
                p = np.zeros(size)
                p[list(found)] = list(found.values())
                parts.append({share})
            return np.array(parts)

        def ngram_distribution(tables, context, weights, size):
            parts = _mixture_parts(tables, context, size)
            return {mixed}
"""


def _mixture(
    *,
    key: str = "context[len(context) - (n - 1) :] if len(context) >= n - 1 else None",
    found: str = "table.get(key)",
    unseen: str = "parts[-1]",
    share: str = "p / p.sum()",
    mixed: str = "np.asarray(weights) @ parts",
) -> str:
    return _PARTS.format(key=key, found=found, unseen=unseen, share=share, mixed=mixed)


_LOWER = r"p\(n-1\)|order below"
_SUM = r"add up|sum"
_LAST = r"last n - 1|last (two )?words?"
wrong = ngram_distribution.wrong
wrong(
    "pass",
    nothing("ngram_distribution"),
    "def ngram_distribution(tables, context, weights, size):\n    pass\n",
)
wrong("unseen-is-zero", _LOWER, _mixture(unseen="np.zeros(size)"))
wrong("unseen-is-uniform", _LOWER, _mixture(unseen="parts[0]"))
wrong("unseen-is-one-word", _LOWER, _mixture(unseen="parts[1] if n > 1 else parts[0]"))
wrong(
    "unseen-left-out-then-divided",
    _LOWER,
    _mixture(
        unseen="np.zeros(size)",
        mixed="np.asarray(weights) @ parts / (np.asarray(weights) @ parts).sum()",
    ),
)
wrong(
    "too-short-is-zero", _LOWER, _mixture(unseen="parts[-1] if key is not None else np.zeros(size)")
)
wrong(
    "too-short-is-uniform",
    _LOWER + "|too (short|few)",
    _mixture(unseen="parts[-1] if key is not None else parts[0]"),
)
wrong(
    "too-short-fails",
    r"short|KeyError|IndexError|no context|empty",
    _mixture(key="tuple(context[-k] for k in range(n - 1, 0, -1))"),
)
wrong(
    "unseen-fails",
    r"KeyError|never seen|unseen",
    _mixture(found="table[key] if key is not None else None"),
)
wrong(
    "short-context-filled-with-unk",
    _LOWER + "|too (short|few)",
    _mixture(key="((0, 0) + context)[len(context) + 2 - (n - 1) :]"),
)
wrong(
    "first-words-of-the-context",
    _LAST,
    _mixture(key="context[: n - 1] if len(context) >= n - 1 else None"),
)
wrong(
    "context-backwards",
    _LAST + "|order",
    _mixture(key="context[::-1][: n - 1] if len(context) >= n - 1 else None"),
)
wrong(
    "one-word-too-many",
    _LAST,
    _mixture(key="context[len(context) - n :] if len(context) >= n else None"),
)
wrong(
    "one-word-too-few",
    _LAST,
    _mixture(key="context[len(context) - max(n - 2, 0) :] if len(context) >= n - 1 else None"),
)
wrong(
    "long-context-is-unseen",
    r"any number|longer|last n - 1|last (two )?words?",
    _mixture(
        key="context[len(context) - (n - 1) :] if len(context) >= n - 1 and len(context) <= 2 else None"
    ),
)
wrong("counts-not-divided", _SUM, _mixture(share="p"))
wrong("divided-by-the-largest", _SUM, _mixture(share="p / p.max()"))
wrong("divided-by-v", _SUM, _mixture(share="p / size"))
wrong("divided-by-the-number-of-words", _SUM, _mixture(share="p / np.count_nonzero(p)"))
wrong("add-one", r"relative|count|smooth|divide", _mixture(share="(p + 1) / (p + 1).sum()"))
wrong(
    "softmax-of-counts",
    r"relative|count|divide|softmax",
    _mixture(share="np.exp(p - p.max()) / np.exp(p - p.max()).sum()"),
)
wrong("square-roots", r"relative|count|divide", _mixture(share="np.sqrt(p) / np.sqrt(p).sum()"))
wrong("seen-or-not", r"relative|count|how often", _mixture(share="(p > 0) / (p > 0).sum()"))
wrong("weights-backwards", r"weight", _mixture(mixed="np.asarray(weights)[::-1] @ parts"))
wrong("weights-one-off", r"weight", _mixture(mixed="np.roll(np.asarray(weights), 1) @ parts"))
wrong("weights-not-used", r"weight", _mixture(mixed="parts.mean(axis=0)"))
wrong(
    "weights-squared",
    r"weight|add up",
    _mixture(mixed="np.square(weights) / np.square(weights).sum() @ parts"),
)
wrong("highest-order-only", r"weight|mixture|orders", _mixture(mixed="parts[-1]"))
wrong(
    "largest-of-all-orders",
    r"add up|mixture|sum",
    _mixture(mixed="(np.asarray(weights)[:, None] * parts).max(axis=0)"),
)
wrong(
    "geometric-mean",
    r"mixture|sum|add|weight",
    _mixture(mixed="np.prod(np.maximum(parts, 1e-12) ** np.asarray(weights)[:, None], axis=0)"),
)
wrong(
    "without-one-over-v",
    r"weights\[0\]|1 / V|add up",
    _mixture(mixed="np.asarray(weights)[1:] @ parts[1:]"),
)
wrong(
    "weight-not-over-v",
    r"weights\[0\]|1 / V|add up",
    _mixture(mixed="np.asarray(weights)[1:] @ parts[1:] + weights[0]"),
)
wrong(
    "one-over-v-less-one",
    r"1 / V|add up",
    _mixture(mixed="np.asarray(weights)[1:] @ parts[1:] + weights[0] / (size - 1)"),
)
wrong(
    "without-unk",
    r"\b0\b|<unk>|add up|every word|relative|count",
    _mixture(mixed="(np.asarray(weights) @ parts) * (np.arange(size) > 0)"),
)
wrong(
    "one-word-short",
    r"\[V\]|shape|size|each word",
    _mixture(mixed="(np.asarray(weights) @ parts)[:-1]"),
)
wrong(
    "logarithms",
    r"add up|log|probabilit|relative",
    _mixture(mixed="np.log(np.asarray(weights) @ parts)"),
)
wrong("float32", r"float64", _mixture(mixed="(np.asarray(weights) @ parts).astype(np.float32)"))
wrong(
    "float16",
    r"float64|exact|relative|count",
    _mixture(mixed="(np.asarray(weights) @ parts).astype(np.float16)"),
)
wrong(
    "a-dictionary",
    r"array|\[V\]|float64",
    _mixture(mixed="dict(enumerate(np.asarray(weights) @ parts))"),
)
wrong(
    "lookup-adds-to-the-table", changed("table"), _mixture(found="table.setdefault(key, Counter())")
)
wrong(
    "lookup-adds-the-order-below",
    changed("table"),
    _mixture(found="table.setdefault(key, Counter(dict(enumerate(parts[-1]))))"),
)
wrong(
    "counts-become-shares",
    changed("table"),
    """
    def ngram_distribution(tables, context, weights, size):
        context, total = tuple(context), np.full(size, weights[0] / size)
        p = np.full(size, 1 / size)
        for n, table in enumerate(tables, start=1):
            row = table.get(context[len(context) - n + 1 :]) if len(context) >= n - 1 else None
            if row:
                most = sum(row.values())
                for word in row:
                    row[word] /= most
                p = np.array([row.get(word, 0.0) for word in range(size)])
            total = total + weights[n] * p
        return total
""",
)
wrong("table-without-what-was-asked", changed("table"), _mixture(found="table.pop(key, None)"))
wrong(
    "kept-for-each-context",
    KEPT,
    """
    _known = {}

    def ngram_distribution(tables, context, weights, size):
        key = tuple(context)
        if key not in _known:
            _known[key] = np.asarray(weights) @ _orders(tables, context, size)
        return _known[key]
""",
)
wrong(
    "added-up-between-calls", KEPT, twice("ngram_distribution", "result = sum(_kept) / len(_kept)")
)

right = ngram_distribution.right
right(
    "word-by-word",
    """
    def ngram_distribution(tables, context, weights, size):
        context, p, found = tuple(context), [1 / size] * size, [weights[0] / size] * size
        for n in (1, 2, 3):
            before = context[len(context) - n + 1 :] if n > 1 else ()
            row = tables[n - 1].get(before, {}) if len(context) >= n - 1 else {}
            total = sum(row.values())
            if total:
                p = [row.get(word, 0) / total for word in range(size)]
            found = [f + weights[n] * q for f, q in zip(found, p)]
        return np.array(found)
""",
)
right(
    "recursion",
    """
    def ngram_distribution(tables, context, weights, size):
        context = [int(word) for word in context]

        def order(n):
            if n == 0:
                return np.full(size, 1 / size)
            row = tables[n - 1].get(tuple(context[len(context) + 1 - n :])) if n <= len(context) + 1 else None
            if not row:
                return order(n - 1)
            p = np.zeros(size)
            for word, count in row.items():
                p[word] = count
            return p / p.sum()

        return sum(weight * order(n) for n, weight in enumerate(weights))
""",
)
right(
    "bincount",
    """
    def ngram_distribution(tables, context, weights, size):
        last, rows = tuple(context[-2:]), [np.ones(size)]
        keys = [(), last[-1:], last]
        for n, (table, key) in enumerate(zip(tables, keys)):
            row = table[key] if len(key) == n and key in table else {}
            counts = np.bincount(list(row), list(row.values()), minlength=size) if row else rows[-1]
            rows.append(counts)
        rows = np.stack(rows)
        return np.einsum("n,nv->v", np.array(weights), rows / rows.sum(axis=1, keepdims=True))
""",
)
right(
    "weight-moves-down",
    """
    def ngram_distribution(tables, context, weights, size):
        # What has no counts of its own leaves its weight to the order below.
        weights, context = list(weights), tuple(context)
        p = np.zeros(size)
        for n in (3, 2, 1):
            row = tables[n - 1].get(context[-(n - 1) :] if n > 1 else ()) if len(context) > n - 2 else None
            if row:
                total = sum(row.values())
                for word, count in row.items():
                    p[word] += weights[n] * count / total
            else:
                weights[n - 1] += weights[n]
        return p + weights[0] / size
""",
)
right(
    "copies-of-tables",
    """
    import copy

    def ngram_distribution(tables, context, weights, size):
        tables = [defaultdict(Counter, copy.deepcopy(table)) for table in tables]
        parts = [np.ones(size) / size]
        for n in range(3):
            row = tables[n][tuple(context[len(context) - n :])] if len(context) >= n else {}
            total = sum(row.values())
            parts.append(np.array([row[w] / total for w in range(size)]) if total else parts[n])
        return np.dot(weights, parts)
""",
)
right(
    "scipy-sparse",
    """
    from scipy.sparse import csr_array

    def ngram_distribution(tables, context, weights, size):
        context, total = tuple(context), np.zeros(size)
        p = np.full(size, 1 / size)
        for n, weight in enumerate(weights):
            if n and len(context) >= n - 1:
                row = tables[n - 1].get(context[len(context) - n + 1 :])
                if row:
                    words = list(row)
                    counts = csr_array((list(row.values()), ([0] * len(words), words)), (1, size))
                    p = counts.toarray()[0] / counts.sum()
            total += weight * p
        return total
""",
)
