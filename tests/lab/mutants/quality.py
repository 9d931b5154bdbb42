"""Mutants of exercise 8: distinct n-grams, repetition, copied share."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import KEPT, changed, nothing
from mutants.mutant import Variants

distinct = Variants("8", "distinct")
repetition = Variants("8", "repetition")
copied_share = Variants("8", "copied_share")
ALL = [distinct, repetition, copied_share]

_GRAMS = "[tuple(text[i : i + n]) for i in range(len(text) - n + 1)]"


def _distinct(result: str, grams: str = "[g for text in texts for g in _grams(text, n)]") -> str:
    return f"def distinct(texts, n):\n    grams = {grams}\n    return {result}\n"


_SHARE = "len(set(grams)) / len(grams)"
_OVER_ALL = r"over the number|number of all|all n-grams"
wrong = distinct.wrong
wrong("pass", nothing("distinct"), "def distinct(texts, n):\n    pass\n")
wrong(
    "across-texts",
    r"spans two texts",
    _distinct(_SHARE, "_grams([w for text in texts for w in text], n)"),
)
wrong(
    "mean-of-texts",
    r"mean of the texts|once in all|together",
    _distinct(
        "float(np.mean([len(set(_grams(t, n))) / len(_grams(t, n)) for t in texts if len(t) >= n]))"
    ),
)
wrong(
    "different-in-each-text",
    r"once in all|two texts|together|all texts",
    _distinct("sum(len(set(_grams(t, n))) for t in texts) / len(grams)"),
)
wrong("number-only", _OVER_ALL, _distinct("float(len(set(grams)))"))
wrong("upside-down", _OVER_ALL, _distinct("len(grams) / len(set(grams))"))
wrong("repeated-instead", r"different", _distinct("1 - len(set(grams)) / len(grams)"))
wrong(
    "seen-once-only",
    r"different",
    _distinct("sum(c == 1 for c in Counter(grams).values()) / len(grams)"),
)
wrong("over-the-words", _OVER_ALL, _distinct("len(set(grams)) / sum(len(t) for t in texts)"))
wrong("over-the-texts", _OVER_ALL, _distinct("len(set(grams)) / len(texts)"))
wrong(
    "over-the-possible",
    _OVER_ALL,
    _distinct("len(set(grams)) / len({w for t in texts for w in t}) ** n"),
)
wrong(
    "words-only",
    r"n-gram",
    _distinct("len({w for t in texts for w in t}) / sum(len(t) for t in texts)"),
)
wrong(
    "pairs-always",
    r"n-gram|`?n`?\b",
    _distinct(_SHARE, "[g for text in texts for g in _grams(text, 2)]"),
)
wrong(
    "one-more-word",
    r"n-gram",
    _distinct(_SHARE, "[g for text in texts for g in _grams(text, n + 1)]"),
)
wrong(
    "last-gram-left-out",
    r"last|n-gram",
    _distinct(_SHARE, "[g for text in texts for g in _grams(text, n)[:-1]]"),
)
wrong(
    "without-overlap",
    r"n-gram|overlap",
    _distinct(_SHARE, "[g for text in texts for g in _grams(text, n)[::n]]"),
)
wrong(
    "short-ends-too",
    r"n-gram|short|last",
    _distinct(_SHARE, "[tuple(t[i : i + n]) for t in texts for i in range(len(t))]"),
)
wrong(
    "words-in-any-order",
    r"order|n-gram|different",
    _distinct(_SHARE, "[tuple(sorted(g)) for text in texts for g in _grams(text, n)]"),
)
wrong(
    "sets-of-words",
    r"order|n-gram|different",
    _distinct(_SHARE, "[frozenset(g) for text in texts for g in _grams(text, n)]"),
)
wrong(
    "sums-of-words",
    r"order|n-gram|different",
    _distinct(_SHARE, "[sum(g) for text in texts for g in _grams(text, n)]"),
)
wrong(
    "digits-joined",
    r"number|id|digit|different|text|n-gram",
    _distinct(_SHARE, "[''.join(map(str, g)) for text in texts for g in _grams(text, n)]"),
)
wrong("first-text-only", r"all texts", _distinct(_SHARE, "_grams(texts[0], n)"))
wrong("longest-text-only", r"all texts", _distinct(_SHARE, "_grams(max(texts, key=len), n)"))
wrong(
    "short-text-fails",
    r"short|ZeroDivision|no n-gram|empty",
    _distinct(
        "sum(len(set(_grams(t, n))) / len(_grams(t, n)) * len(_grams(t, n)) for t in texts) / len(grams)"
    ),
)
wrong("percent", _OVER_ALL + "|share|divide", _distinct("100 * len(set(grams)) / len(grams)"))
wrong("whole-division", _OVER_ALL + "|share|divide", _distinct("len(set(grams)) // len(grams)"))
wrong(
    "kept-between-calls",
    KEPT,
    """
    _seen = set()

    def distinct(texts, n):
        grams = [g for text in texts for g in _grams(text, n)]
        _seen.update(grams)
        return len(_seen) / len(grams)
""",
)

wrong("no-ngrams-fail", r"no n-grams|ZeroDivision|short|\b0\b", _distinct(_SHARE))
wrong("no-ngrams-are-one", r"no n-grams|\b0\b", _distinct(f"{_SHARE} if grams else 1.0"))
wrong(
    "joins-the-texts",
    changed("text"),
    """
    def distinct(texts, n):
        grams = [gram for text in texts for gram in _grams(text, n)]
        for text in texts[1:]:
            texts[0].extend(text)
        return len(set(grams)) / len(grams) if grams else 0.0
""",
)

right = distinct.right
right(
    "counter",
    """
    def distinct(texts, n):
        counts = Counter()
        for text in texts:
            counts.update(zip(*(list(text)[k:] for k in range(n))))
        return len(counts) / max(counts.total(), 1)
""",
)
right(
    "sliding-windows",
    """
    def distinct(texts, n):
        rows = [
            np.lib.stride_tricks.sliding_window_view(np.asarray(text), n) for text in texts if len(text) >= n
        ]
        if not rows:
            return 0.0
        rows = np.concatenate(rows)
        return float(len(np.unique(rows, axis=0)) / len(rows))
""",
)
right(
    "loop",
    """
    def distinct(texts, n):
        seen, number = set(), 0
        for text in texts:
            for end in range(n, len(text) + 1):
                seen.add(tuple(text[end - n : end]))
                number += 1
        return len(seen) / number if number else 0
""",
)
right(
    "joined-with-commas",
    _distinct(
        f"{_SHARE} if grams else 0.0",
        "[','.join(map(str, g)) for text in texts for g in _grams(text, n)]",
    ),
)
right(
    "sorted-neighbours",
    """
    def distinct(texts, n):
        grams = sorted(g for text in texts for g in _grams(list(text), n))
        same = sum(a == b for a, b in zip(grams, grams[1:]))
        return (len(grams) - same) / len(grams) if grams else 0.0
""",
)


def _repetition(result: str) -> str:
    return f"def repetition(text, n):\n    grams = _grams(text, n)\n    return {result}\n"


_FIRST = r"first time|before"
wrong = repetition.wrong
wrong("pass", nothing("repetition"), "def repetition(text, n):\n    pass\n")
wrong("distinct-instead", _FIRST, _repetition("len(set(grams)) / len(grams)"))
wrong(
    "all-that-repeat",
    _FIRST,
    _repetition("sum(c for c in Counter(grams).values() if c > 1) / len(grams)"),
)
wrong(
    "kinds-that-repeat",
    _FIRST,
    _repetition("sum(c > 1 for c in Counter(grams).values()) / len(Counter(grams))"),
)
wrong(
    "kinds-over-all",
    _FIRST + "|each time",
    _repetition("sum(c > 1 for c in Counter(grams).values()) / len(grams)"),
)
wrong("number-only", r"share|over|divide", _repetition("float(len(grams) - len(set(grams)))"))
wrong(
    "over-the-words",
    r"share|n-grams|over",
    _repetition("(len(grams) - len(set(grams))) / len(text)"),
)
wrong(
    "over-the-different",
    r"share|n-grams|over",
    _repetition("(len(grams) - len(set(grams))) / len(set(grams))"),
)
wrong(
    "over-all-but-the-first",
    r"share|n-grams|over|all",
    _repetition("(len(grams) - len(set(grams))) / max(len(grams) - 1, 1)"),
)
wrong(
    "neighbours-only",
    r"before",
    _repetition("sum(a == b for a, b in zip(grams, grams[1:])) / len(grams)"),
)
wrong(
    "within-ten",
    r"before",
    _repetition("sum(g in grams[max(0, i - 5) : i] for i, g in enumerate(grams)) / len(grams)"),
)
wrong(
    "apart-only",
    r"before|overlap",
    _repetition("sum(g in grams[: max(0, i - n + 1)] for i, g in enumerate(grams)) / len(grams)"),
)
wrong(
    "coming-again",
    r"before|first time",
    _repetition("sum(g in grams[i:] for i, g in enumerate(grams)) / len(grams)"),
)
wrong("words-only", r"n-gram", _repetition("1 - len(set(text)) / len(text)"))
wrong(
    "pairs-always",
    r"n-gram",
    "def repetition(text, n):\n    grams = _grams(text, 2)\n    return 1 - len(set(grams)) / len(grams)\n",
)
wrong(
    "words-in-any-order",
    r"order|n-gram|before",
    _repetition("1 - len({tuple(sorted(g)) for g in grams}) / len(grams)"),
)
wrong(
    "most-frequent",
    r"before|all|every",
    _repetition("(max(Counter(grams).values()) - 1) / len(grams)"),
)
wrong(
    "last-left-out",
    r"last|n-gram|before",
    _repetition("1 - len(set(grams[:-1])) / max(len(grams[:-1]), 1)"),
)
wrong(
    "without-overlap",
    r"n-gram|overlap|before",
    _repetition("1 - len(set(grams[::n])) / len(grams[::n])"),
)
wrong(
    "digits-joined",
    r"number|id|digit|text|n-gram|before",
    _repetition("1 - len({''.join(map(str, g)) for g in grams}) / len(grams)"),
)
wrong(
    "kept-between-calls",
    KEPT,
    """
    _seen = set()

    def repetition(text, n):
        again = 0
        for gram in _grams(text, n):
            again += gram in _seen
            _seen.add(gram)
        return again / (len(text) - n + 1)
""",
)

wrong(
    "no-ngrams-fail",
    r"no n-grams|ZeroDivision|short|\b0\b",
    _repetition("1 - len(set(grams)) / len(grams)"),
)
wrong(
    "no-ngrams-are-one",
    r"no n-grams|\b0\b",
    _repetition("1 - len(set(grams)) / max(len(grams), 1)"),
)
wrong(
    "sorts-the-text",
    changed("text"),
    """
    def repetition(text, n):
        grams = _grams(text, n)
        text.sort()
        return 1 - len(set(grams)) / len(grams) if grams else 0.0
""",
)

right = repetition.right
right(
    "loop",
    """
    def repetition(text, n):
        text, seen, again, number = list(text), set(), 0, 0
        for i in range(len(text) - n + 1):
            gram = tuple(text[i : i + n])
            again += gram in seen
            seen.add(gram)
            number += 1
        return again / max(number, 1)
""",
)
right(
    "list-before",
    _repetition("sum(g in grams[:i] for i, g in enumerate(grams)) / max(len(grams), 1)"),
)
right("counter", _repetition("sum(c - 1 for c in Counter(grams).values()) / (len(grams) or 1)"))
right(
    "numpy",
    """
    def repetition(text, n):
        if len(text) < n:
            return 0.0
        rows = np.lib.stride_tricks.sliding_window_view(np.asarray(text), n)
        return 1 - len(np.unique(rows, axis=0)) / len(rows)
""",
)
right(
    "mean-of-marks",
    _repetition(
        "float(np.mean([grams.index(g) < i for i, g in enumerate(grams)])) if grams else 0.0"
    ),
)

_COPIED = """
        def copied_share(text, book, n):
            known = {known}
            marks = [False] * len(text)
            for i in {places}:
                if {hit}:
                    {mark}
            return {result}
"""


def _copied(
    *,
    known: str = "set(_grams(book, n))",
    places: str = "range(len(text) - n + 1)",
    hit: str = "tuple(text[i : i + n]) in known",
    mark: str = "marks[i : i + n] = [True] * n",
    result: str = "sum(marks) / max(len(text), 1)",
) -> str:
    return _COPIED.format(known=known, places=places, hit=hit, mark=mark, result=result)


_WORDS = r"words"
_SUBSTRING = r"substring|text|string|digit|number|11"
wrong = copied_share.wrong
wrong("pass", nothing("copied_share"), "def copied_share(text, book, n):\n    pass\n")
wrong(
    "substrings-with-spaces",
    _SUBSTRING,
    _copied(known="' '.join(map(str, book))", hit="' '.join(map(str, text[i : i + n])) in known"),
)
wrong(
    "substrings-without-spaces",
    _SUBSTRING,
    _copied(known="''.join(map(str, book))", hit="''.join(map(str, text[i : i + n])) in known"),
)
wrong(
    "substring-of-the-beginning-of-a-word",
    _SUBSTRING,
    _copied(
        known="' ' + ' '.join(map(str, book))",
        hit="' ' + ' '.join(map(str, text[i : i + n])) in known",
    ),
)
wrong(
    "digits-joined",
    _SUBSTRING + "|n-gram",
    _copied(
        known="{''.join(map(str, g)) for g in _grams(book, n)}",
        hit="''.join(map(str, text[i : i + n])) in known",
    ),
)
wrong(
    "share-of-ngrams",
    _WORDS,
    _copied(mark="marks[i] = True", result="sum(marks) / max(len(text) - n + 1, 1)"),
)
wrong("first-words-only", r"all n words|mark|words", _copied(mark="marks[i] = True"))
wrong(
    "all-but-the-last",
    r"all n words|mark|words",
    _copied(mark="marks[i : i + max(n - 1, 1)] = [True] * max(n - 1, 1)"),
)
wrong(
    "one-too-many-marked",
    r"all n words|mark|words",
    _copied(mark="marks[i : i + n + 1] = [True] * len(marks[i : i + n + 1])"),
)
wrong(
    "words-counted-twice",
    r"once|marked|share|words",
    _copied(mark="marks[i] += n", result="sum(marks) / len(text)"),
)
wrong("words-of-the-book", r"n-gram", _copied(known="set(book)", hit="text[i] in known"))
wrong(
    "all-words-of-the-gram-known",
    r"n-gram",
    _copied(known="set(book)", hit="set(text[i : i + n]) <= known"),
)
wrong(
    "any-order",
    r"order|n-gram",
    _copied(
        known="{tuple(sorted(g)) for g in _grams(book, n)}",
        hit="tuple(sorted(text[i : i + n])) in known",
    ),
)
wrong("without-overlap", r"every|each|n-gram", _copied(places="range(0, len(text) - n + 1, n)"))
wrong("book-without-overlap", r"every|each|n-gram|book", _copied(known="set(_grams(book, n)[::n])"))
wrong(
    "last-of-the-text-left-out",
    r"last|every|each|n-gram|mark",
    _copied(places="range(len(text) - n)"),
)
wrong(
    "last-of-the-book-left-out",
    r"last|every|each|n-gram|book",
    _copied(known="set(_grams(book[:-1], n))"),
)
wrong(
    "first-of-the-book-left-out",
    r"first|every|each|n-gram|book",
    _copied(known="set(_grams(book[1:], n))"),
)
wrong(
    "once-in-the-book",
    r"in the book|book has|n-gram",
    _copied(known="{g for g, c in Counter(_grams(book, n)).items() if c == 1}"),
)
wrong(
    "often-in-the-book",
    r"in the book|book has|n-gram",
    _copied(known="{g for g, c in Counter(_grams(book, n)).items() if c > 1}"),
)
wrong(
    "begins-in-the-book-only",
    r"in the book|book has|n-gram|book",
    _copied(known="set(_grams(book[: len(text)], n))"),
)
wrong("over-the-book", r"text's words|share|words", _copied(result="sum(marks) / len(book)"))
wrong(
    "share-of-the-book",
    r"text's words|share|words|book",
    """
    def copied_share(text, book, n):
        known, marks = set(_grams(text, n)), [False] * len(book)
        for i in range(len(book) - n + 1):
            if tuple(book[i : i + n]) in known:
                marks[i : i + n] = [True] * n
        return sum(marks) / len(book)
""",
)
wrong("number-only", r"share", _copied(result="float(sum(marks))"))
wrong(
    "new-instead", r"in the book|book has|copied|mark", _copied(result="1 - sum(marks) / len(text)")
)
wrong(
    "pairs-always",
    r"n-gram|`?n`?\b",
    _copied(
        known="set(_grams(book, 2))",
        hit="tuple(text[i : i + 2]) in known",
        places="range(len(text) - 1)",
        mark="marks[i : i + 2] = [True] * 2",
    ),
)
wrong(
    "longest-copy",
    r"every|each|all|mark",
    _copied(
        result="max((len(run) for run in ''.join('x' if m else ' ' for m in marks).split()), default=0) / len(text)"
    ),
)
wrong(
    "different-words",
    r"each|every|marked|words",
    _copied(result="len({w for w, m in zip(text, marks) if m}) / len(set(text))"),
)
wrong("any-gram-counts-all", r"share|mark|words", _copied(result="float(any(marks))"))
wrong(
    "kept-between-calls",
    KEPT,
    """
    _known = set()

    def copied_share(text, book, n):
        _known.update(_grams(book, n))
        marks = [False] * len(text)
        for i, gram in enumerate(_grams(text, n)):
            if gram in _known:
                marks[i : i + n] = [True] * n
        return sum(marks) / len(text)
""",
)
wrong(
    "first-book-kept",
    KEPT,
    """
    _books = {}

    def copied_share(text, book, n):
        known = _books.setdefault(n, set(_grams(book, n)))
        marks = [False] * len(text)
        for i, gram in enumerate(_grams(text, n)):
            if gram in known:
                marks[i : i + n] = [True] * n
        return sum(marks) / len(text)
""",
)

wrong(
    "no-text-fails",
    r"no n-grams|ZeroDivision|short|empty|\b0\b",
    _copied(result="sum(marks) / len(text)"),
)
wrong(
    "text-joins-the-book",
    changed("book"),
    """
    def copied_share(text, book, n):
        known, marks = set(_grams(book, n)), np.zeros(len(text), bool)
        for i, gram in enumerate(_grams(text, n)):
            marks[i : i + n] |= gram in known
        book.extend(text)
        return float(marks.mean()) if len(text) else 0.0
""",
)
wrong(
    "copies-crossed-out",
    changed("text"),
    """
    def copied_share(text, book, n):
        known, grams = set(_grams(book, n)), _grams(text, n)
        for i, gram in enumerate(grams):
            if gram in known:
                text[i : i + n] = [-1] * n
        return sum(word == -1 for word in text) / len(text) if text else 0.0
""",
)

right = copied_share.right
right(
    "places",
    """
    def copied_share(text, book, n):
        known = {tuple(book[i : i + n]) for i in range(len(book) - n + 1)}
        places = {
            i + k for i in range(len(text) - n + 1) if tuple(text[i : i + n]) in known for k in range(n)
        }
        return len(places) / len(text) if text else 0.0
""",
)
right(
    "word-by-word",
    """
    def copied_share(text, book, n):
        text, grams = list(text), _grams(list(book), n)
        def copied(i):
            starts = range(max(0, i - n + 1), min(i, len(text) - n) + 1)
            return any(tuple(text[s : s + n]) in grams for s in starts)
        return sum(copied(i) for i in range(len(text))) / max(len(text), 1)
""",
)
right(
    "compare-all",
    """
    def copied_share(text, book, n):
        text, book = np.asarray(text), np.asarray(book)
        if len(text) < n or len(book) < n:
            return 0.0
        view = np.lib.stride_tricks.sliding_window_view
        hits = (view(text, n)[:, None] == view(book, n)[None]).all(axis=2).any(axis=1)
        return float(np.mean(np.convolve(hits, np.ones(n)) > 0))
""",
)
right(
    "text-with-ends",
    _copied(
        known="',' + ','.join(map(str, book)) + ','",
        hit="',' + ','.join(map(str, text[i : i + n])) + ',' in known",
        result="sum(marks) / (len(text) or 1)",
    ),
)
right(
    "left-to-right",
    """
    def copied_share(text, book, n):
        known, covered, end = set(zip(*(list(book)[k:] for k in range(n)))), 0, 0
        for i, gram in enumerate(zip(*(list(text)[k:] for k in range(n)))):
            if gram in known:
                covered += i + n - max(end, i)
                end = i + n
        return covered / len(text) if len(text) else 0.0
""",
)
