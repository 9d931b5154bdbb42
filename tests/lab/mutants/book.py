"""Mutants of exercise 0: counts and coverage."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import FIRST_OTHER, KEPT, changed, nothing
from mutants.mutant import Variants, twice

count_words = Variants("0", "count_words")
coverage = Variants("0", "coverage")
ALL = [count_words, coverage]


def _counter(expression: str) -> str:
    return f"def count_words(tokens):\n    return {expression}\n"


def _share(expression: str) -> str:
    return (
        f"def coverage(counts, size):\n    total = sum(counts.values())\n    return {expression}\n"
    )


_EACH = r"every token|each token|each time|all tokens|token"

wrong = count_words.wrong
wrong("pass", nothing("count_words"), "def count_words(tokens):\n    pass\n")
wrong("lower-case", r"\bcase\b", _counter("Counter(t.lower() for t in tokens)"), shown=FIRST_OTHER)
wrong("upper-case", r"\bcase\b", _counter("Counter(t.upper() for t in tokens)"))
wrong("different-tokens-only", r"each time|how often|every time", _counter("Counter(set(tokens))"))
wrong("without-punctuation", r"punctuation", _counter("Counter(t for t in tokens if t.isalnum())"))
wrong(
    "marks-taken-off",
    r"punctuation|as it (is|stands)",
    _counter("Counter(t.strip('.,') for t in tokens)"),
)
wrong("letters-not-tokens", r"token", _counter("Counter(''.join(tokens))"))
wrong("first-left-out", r"first|every token|each token|each time", _counter("Counter(tokens[1:])"))
wrong("last-left-out", r"last|every token|each token|each time", _counter("Counter(tokens[:-1])"))
wrong(
    "seen-once-left-out",
    r"once|every token|each token",
    _counter("Counter({t: c for t, c in Counter(tokens).items() if c > 1})"),
)
wrong(
    "most-frequent-only",
    r"every token|each token|all",
    _counter("Counter(dict(Counter(tokens).most_common(10)))"),
)
wrong(
    "one-too-many",
    r"each time|how often|too (many|high|large|much)|one more",
    _counter("Counter({t: c + 1 for t, c in Counter(tokens).items()})"),
    shown=FIRST_OTHER,
)
wrong("number-of-tokens", r"Counter|how often each|each token|dictionary", _counter("len(tokens)"))
wrong("pairs", r"Counter|dict", _counter("Counter(tokens).most_common()"))
wrong(
    "shares",
    r"count|how often|number|each time",
    _counter("Counter({t: c / len(tokens) for t, c in Counter(tokens).items()})"),
)
wrong(
    "neighbours-once",
    r"each time|every time|every token|how often",
    _counter("Counter(t for i, t in enumerate(tokens) if i == 0 or tokens[i - 1] != t)"),
)
wrong(
    "kept-between-calls",
    KEPT,
    """
    _seen = Counter()

    def count_words(tokens):
        _seen.update(tokens)
        return _seen.copy()
""",
)

wrong(
    "takes-the-tokens-away",
    changed("token"),
    """
    def count_words(tokens):
        counts = Counter()
        while tokens:
            counts[tokens.pop()] += 1
        return counts
""",
)
wrong(
    "sorts-the-tokens",
    changed("token"),
    """
    def count_words(tokens):
        tokens.sort()
        return Counter(tokens)
""",
)

right = count_words.right
right(
    "loop",
    """
    def count_words(tokens):
        counts = Counter()
        for token in tokens:
            counts[token] += 1
        return counts
""",
)
right(
    "get",
    """
    def count_words(tokens):
        counts = {}
        for token in tokens:
            counts[token] = counts.get(token, 0) + 1
        return Counter(counts)
""",
)
right(
    "sorted-groups",
    """
    from itertools import groupby

    def count_words(tokens):
        return Counter({token: len(list(group)) for token, group in groupby(sorted(tokens))})
""",
)
right(
    "numpy-unique",
    """
    def count_words(tokens):
        words, counts = np.unique(np.array(tokens, dtype=object), return_counts=True)
        return Counter(dict(zip(words.tolist(), counts.tolist())))
""",
)
right(
    "reduce",
    """
    from functools import reduce

    def count_words(tokens):
        def add(counts, token):
            counts.update([token])
            return counts

        return reduce(add, tokens, Counter())
""",
)

wrong = coverage.wrong
_MOST = r"most frequent"
_OVER = r"share|sum of all|over the|divide|whole text"
wrong("pass", nothing("coverage"), "def coverage(counts, size):\n    pass\n")
wrong("of-the-vocabulary", r"vocabulary", _share("min(1.0, size / len(counts))"))
wrong("insertion-order", _MOST, _share("sum(list(counts.values())[:size]) / total"))
wrong("least-frequent", _MOST, _share("sum(sorted(counts.values())[:size]) / total"))
wrong("alphabetical", _MOST, _share("sum(counts[w] for w in sorted(counts)[:size]) / total"))
wrong("percent", _OVER, _share("100 * sum(c for _, c in counts.most_common(size)) / total"))
wrong("not-divided", _OVER, _share("sum(c for _, c in counts.most_common(size))"))
wrong("whole-division", _OVER, _share("sum(c for _, c in counts.most_common(size)) // total"))
wrong(
    "over-the-kept",
    r"all|whole text",
    _share("float(size > 0)"),
)
wrong(
    "over-the-vocabulary",
    _OVER,
    _share("sum(c for _, c in counts.most_common(size)) / len(counts)"),
)
wrong(
    "one-too-many",
    r"most frequent|size",
    _share("sum(c for _, c in counts.most_common(size + 1)) / total"),
)
wrong(
    "one-too-few",
    r"most frequent|size",
    _share("sum(c for _, c in counts.most_common(size - 1)) / total"),
)
wrong(
    "ties-all-in",
    r"most frequent|size|equally",
    _share("sum(c for c in counts.values() if c >= counts.most_common(size)[-1][1]) / total"),
)
wrong(
    "ties-all-out",
    r"most frequent|size|equally",
    _share("sum(c for c in counts.values() if c > counts.most_common(size)[-1][1]) / total"),
)
wrong("size-not-used", r"most frequent|size", _share("max(counts.values()) / total"))
wrong(
    "more-than-there-are",
    r"IndexError|larger|size|fewer",
    _share("sum(sorted(counts.values(), reverse=True)[i] for i in range(size)) / total"),
)
wrong(
    "not-covered",
    r"cover|most frequent",
    _share("1 - sum(c for _, c in counts.most_common(size)) / total"),
)
wrong(
    "rounded",
    r"round|exact|share|over the sum",
    _share("round(sum(c for _, c in counts.most_common(size)) / total, 1)"),
)
wrong(
    "letters",
    r"text|count|sum",
    _share(
        "sum(c * len(w) for w, c in counts.most_common(size)) / sum(c * len(w) for w, c in counts.items())"
    ),
)
wrong("kept-between-calls", KEPT, twice("coverage", "result = _kept[0]"))

wrong(
    "no-words-cover-all",
    r"size|\b0\b",
    """
    def coverage(counts, size):
        sums = np.cumsum(sorted(counts.values(), reverse=True))
        return float(sums[min(size, len(sums)) - 1] / sums[-1])
""",
)
wrong(
    "takes-the-counts-away",
    changed("count"),
    """
    def coverage(counts, size):
        total, most = sum(counts.values()), 0
        for _ in range(min(size, len(counts))):
            most += counts.pop(max(counts, key=counts.get))
        return most / total
""",
)
wrong(
    "counts-become-shares",
    changed("count"),
    """
    def coverage(counts, size):
        total = sum(counts.values())
        for word in counts:
            counts[word] /= total
        return sum(share for _, share in counts.most_common(size))
""",
)

right = coverage.right
right("sorted", _share("sum(sorted(counts.values(), reverse=True)[:size]) / total"))
right(
    "heap",
    """
    import heapq

    def coverage(counts, size):
        return sum(heapq.nlargest(size, counts.values())) / sum(counts.values())
""",
)
right(
    "cumulative",
    """
    def coverage(counts, size):
        sums = np.append(0, np.cumsum(np.sort(np.fromiter(counts.values(), np.int64))[::-1]))
        return float(sums[min(size, len(sums) - 1)] / sums[-1])
""",
)
right(
    "fractions",
    """
    from fractions import Fraction

    def coverage(counts, size):
        most = sum(count for _, count in counts.most_common(size))
        return float(Fraction(most, sum(counts.values())))
""",
)
right(
    "one-by-one",
    """
    def coverage(counts, size):
        left, most = dict(counts), 0
        for _ in range(min(size, len(left))):
            best = max(left, key=left.get)
            most += left.pop(best)
        return most / counts.total()
""",
)
