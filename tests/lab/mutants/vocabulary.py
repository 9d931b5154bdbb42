"""Mutants of exercise 1: vocabulary and ids."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import KEPT, changed, nothing
from mutants.mutant import Variants

make_vocabulary = Variants("1", "make_vocabulary")
encode = Variants("1", "encode")
ALL = [make_vocabulary, encode]


def _vocabulary(
    order: str, *, kept: str = "counts[w] >= min_count", front: str = "[UNKNOWN, *{}]"
) -> str:
    ordered = front.format(order)
    return f"""
        def make_vocabulary(tokens, min_count):
            counts = Counter(tokens)
            kept = [w for w in counts if {kept}]
            return {ordered}
    """


_ORDER = "sorted(kept, key=lambda w: (-counts[w], w))"
_TIES = r"alphabetical"
_FREQUENT = r"most frequent|frequen"
_KEPT = r"min_count"
wrong = make_vocabulary.wrong
wrong("pass", nothing("make_vocabulary"), "def make_vocabulary(tokens, min_count):\n    pass\n")
wrong("more-often-than", r"min_count|exactly", _vocabulary(_ORDER, kept="counts[w] > min_count"))
wrong("one-less-is-enough", _KEPT, _vocabulary(_ORDER, kept="counts[w] >= min_count - 1"))
wrong("all-kept", _KEPT, _vocabulary(_ORDER, kept="True"))
wrong("twice-always", _KEPT, _vocabulary(_ORDER, kept="counts[w] >= 2"))
wrong(
    "exactly-that-often", r"min_count|at least", _vocabulary(_ORDER, kept="counts[w] == min_count")
)
wrong("rare-ones", r"min_count|at least", _vocabulary(_ORDER, kept="counts[w] <= min_count"))
wrong("min-count-many", r"min_count", _vocabulary(f"{_ORDER}[:min_count]", kept="True"))
wrong("no-unk", r"<unk>", _vocabulary(_ORDER, front="{}"))
wrong("unk-last", r"<unk>|first", _vocabulary(_ORDER, front="[*{}, UNKNOWN]"))
wrong("unk-twice", r"<unk>|once|twice", _vocabulary(_ORDER, front="[UNKNOWN, UNKNOWN, *{}]"))
wrong("other-unk", r"<unk>", _vocabulary(_ORDER, front="['<UNK>', *{}]"))
wrong(
    "unk-counts",
    r"<unk>|twice|once",
    """
    def make_vocabulary(tokens, min_count):
        counts = Counter(tokens)
        kept = [w for w in counts if counts[w] >= min_count]
        rare = [w for w in counts if counts[w] < min_count]
        return [UNKNOWN, *sorted(kept, key=lambda w: (-counts[w], w))] + [UNKNOWN] * (len(rare) > 0)
""",
)
wrong("ties-as-first-seen", _TIES, _vocabulary("sorted(kept, key=lambda w: -counts[w])"))
wrong("ties-as-last-seen", _TIES, _vocabulary("sorted(kept[::-1], key=lambda w: -counts[w])"))
wrong(
    "ties-backwards", _TIES, _vocabulary("sorted(kept, key=lambda w: (counts[w], w), reverse=True)")
)
wrong("ties-by-length", _TIES, _vocabulary("sorted(kept, key=lambda w: (-counts[w], len(w), w))"))
wrong(
    "ties-by-last-letter", _TIES, _vocabulary("sorted(kept, key=lambda w: (-counts[w], w[::-1]))")
)
wrong("ties-by-first-letter", _TIES, _vocabulary("sorted(kept, key=lambda w: (-counts[w], w[0]))"))
wrong(
    "ties-by-hash",
    _TIES,
    _vocabulary("sorted(kept, key=lambda w: (-counts[w], sum(map(ord, w)), w))"),
)
wrong(
    "ties-of-the-rarest-only",
    _TIES,
    _vocabulary("sorted(kept, key=lambda w: (-counts[w], w if counts[w] == min_count else ''))"),
)
wrong(
    "ties-without-case",
    r"alphabetical|capital|case|sorted",
    _vocabulary("sorted(kept, key=lambda w: (-counts[w], w.lower()))"),
)
wrong("alphabetical", _FREQUENT, _vocabulary("sorted(kept)"))
wrong("rarest-first", _FREQUENT, _vocabulary("sorted(kept, key=lambda w: (counts[w], w))"))
wrong("as-first-seen", _FREQUENT, _vocabulary("kept"))
wrong("backwards", _FREQUENT, _vocabulary(f"{_ORDER}[::-1]"))
wrong(
    "pairs",
    r"token|list of|word|count",
    _vocabulary(_ORDER, front="[(UNKNOWN, 0), *((w, counts[w]) for w in {})]"),
)
wrong(
    "a-dictionary",
    r"list",
    """
    def make_vocabulary(tokens, min_count):
        counts = Counter(tokens)
        kept = sorted((w for w in counts if counts[w] >= min_count), key=lambda w: (-counts[w], w))
        return {w: i for i, w in enumerate([UNKNOWN, *kept])}
""",
)
wrong(
    "lower-case",
    r"\bcase\b|as (it|they)|tokens",
    """
    def make_vocabulary(tokens, min_count):
        counts = Counter(t.lower() for t in tokens)
        kept = [w for w in counts if counts[w] >= min_count]
        return [UNKNOWN, *sorted(kept, key=lambda w: (-counts[w], w))]
""",
)
wrong(
    "sign-taken-off",
    r"■|as (it|they)|token",
    """
    def make_vocabulary(tokens, min_count):
        counts = Counter(t.removeprefix("■") for t in tokens)
        kept = [w for w in counts if counts[w] >= min_count]
        return [UNKNOWN, *sorted(kept, key=lambda w: (-counts[w], w))]
""",
)
wrong(
    "without-punctuation",
    r"punctuation|every token|min_count|tokens",
    _vocabulary(_ORDER, kept="counts[w] >= min_count and w[-1].isalnum()"),
)
wrong("ten-at-most", r"min_count|all|every", _vocabulary(f"{_ORDER}[:10]"))
wrong(
    "kept-between-calls",
    KEPT,
    """
    _counts = Counter()

    def make_vocabulary(tokens, min_count):
        _counts.update(tokens)
        kept = [w for w in _counts if _counts[w] >= min_count]
        return [UNKNOWN, *sorted(kept, key=lambda w: (-_counts[w], w))]
""",
)

wrong(
    "sorts-the-tokens",
    changed("token"),
    """
    def make_vocabulary(tokens, min_count):
        tokens.sort()
        counts = Counter(tokens)
        return [UNKNOWN] + [w for w, n in counts.most_common() if n >= min_count]
""",
)

right = make_vocabulary.right
right(
    "two-sorts",
    """
    def make_vocabulary(tokens, min_count):
        counts = Counter(tokens)
        words = sorted(counts)
        words.sort(key=counts.get, reverse=True)
        return [UNKNOWN] + [word for word in words if counts[word] >= min_count]
""",
)
right(
    "heap",
    """
    import heapq

    def make_vocabulary(tokens, min_count):
        heap = [(-n, word) for word, n in Counter(tokens).items() if n >= min_count]
        heapq.heapify(heap)
        found = [UNKNOWN]
        while heap:
            found.append(heapq.heappop(heap)[1])
        return found
""",
)
right(
    "groups-by-count",
    """
    def make_vocabulary(tokens, min_count):
        groups = defaultdict(list)
        for word, n in Counter(tokens).items():
            groups[n].append(word)
        found = [UNKNOWN]
        for n in sorted(groups, reverse=True):
            if n >= min_count:
                found += sorted(groups[n])
        return found
""",
)
right(
    "numpy",
    """
    def make_vocabulary(tokens, min_count):
        words, counts = np.unique(np.array(tokens), return_counts=True)
        order = np.lexsort((words, -counts))
        return [UNKNOWN] + [str(words[i]) for i in order if counts[i] >= min_count]
""",
)
right(
    "insertion",
    """
    import bisect

    def make_vocabulary(tokens, min_count):
        found = []
        for word, n in Counter(tokens).items():
            if n >= min_count:
                bisect.insort(found, (-n, word))
        return [UNKNOWN, *(word for _, word in found)]
""",
)
right(
    "count-of-list",
    """
    def make_vocabulary(tokens, min_count):
        kept = {word for word in tokens if tokens.count(word) >= min_count}
        return [UNKNOWN] + sorted(sorted(kept), key=tokens.count, reverse=True)
""",
)

_IDS = "ids = {{w: i for i, w in enumerate(vocabulary)}}\n    return {}\n"


def _encode(result: str) -> str:
    return "def encode(tokens, vocabulary):\n    " + _IDS.format(result)


wrong = encode.wrong
_PLACE = r"place in the vocabulary|id"
_ZERO = r"\b0\b"
_INT = r"int32"
wrong("pass", nothing("encode"), "def encode(tokens, vocabulary):\n    pass\n")
wrong(
    "unknown-after-the-end",
    _ZERO,
    _encode("np.array([ids.get(t, len(ids)) for t in tokens], np.int32)"),
)
wrong(
    "unknown-is-minus-one", _ZERO, _encode("np.array([ids.get(t, -1) for t in tokens], np.int32)")
)
wrong("unknown-is-one", _ZERO, _encode("np.array([ids.get(t, 1) for t in tokens], np.int32)"))
wrong("unknown-dropped", _ZERO, _encode("np.array([ids[t] for t in tokens if t in ids], np.int32)"))
wrong(
    "unknown-fails",
    r"\b0\b|not in|KeyError",
    _encode("np.array([ids[t] for t in tokens], np.int32)"),
)
wrong(
    "unknown-as-the-one-before",
    _ZERO,
    """
    def encode(tokens, vocabulary):
        ids, found = {w: i for i, w in enumerate(vocabulary)}, []
        for token in tokens:
            found.append(ids.get(token, found[-1] if found else 0))
        return np.array(found, np.int32)
""",
)
wrong("from-one", _PLACE, _encode("np.array([ids.get(t, -1) + 1 for t in tokens], np.int32)"))
wrong(
    "without-unk",
    _PLACE,
    _encode("np.array([max(ids.get(t, 0) - 1, 0) for t in tokens], np.int32)"),
)
wrong(
    "sorted-vocabulary",
    _PLACE,
    """
    def encode(tokens, vocabulary):
        ids = {w: i for i, w in enumerate(sorted(vocabulary))}
        return np.array([ids.get(t, 0) for t in tokens], np.int32)
""",
)
wrong(
    "places-in-the-text",
    _PLACE,
    """
    def encode(tokens, vocabulary):
        ids = {w: i for i, w in enumerate(tokens)}
        return np.array([ids[t] if t in vocabulary else 0 for t in tokens], np.int32)
""",
)
wrong(
    "own-vocabulary",
    _PLACE,
    """
    def encode(tokens, vocabulary):
        ids = {w: i + 1 for i, w in enumerate(dict.fromkeys(tokens))}
        return np.array([ids[t] if t in vocabulary else 0 for t in tokens], np.int32)
""",
)
wrong("int64", _INT, _encode("np.array([ids.get(t, 0) for t in tokens])"))
wrong("int16", _INT, _encode("np.array([ids.get(t, 0) for t in tokens], np.int16)"))
wrong("float32", _INT, _encode("np.array([ids.get(t, 0) for t in tokens], np.float32)"))
wrong("unsigned", _INT, _encode("np.array([ids.get(t, 0) for t in tokens], np.uint32)"))
wrong("a-list", r"array|int32", _encode("[ids.get(t, 0) for t in tokens]"))
wrong(
    "a-column",
    r"\[N\]|shape|one (axis|dimension)|place",
    _encode("np.array([[ids.get(t, 0)] for t in tokens], np.int32)"),
)
wrong(
    "one-hot",
    r"id|place",
    _encode("np.eye(len(ids), dtype=np.int32)[[ids.get(t, 0) for t in tokens]]"),
)
wrong(
    "lower-case",
    r"\bcase\b|as it is|place",
    _encode("np.array([ids.get(t.lower(), 0) for t in tokens], np.int32)"),
)
wrong(
    "sign-taken-off",
    r"■|as it is|place",
    _encode("np.array([ids.get(t.removeprefix('■'), 0) for t in tokens], np.int32)"),
)
wrong(
    "one-token-less",
    r"every token|each token|last|token",
    _encode("np.array([ids.get(t, 0) for t in tokens[:-1]], np.int32)"),
)
wrong(
    "each-once",
    r"every token|each token|again|twice|token",
    _encode("np.array([ids.get(t, 0) for t in dict.fromkeys(tokens)], np.int32)"),
)
wrong(
    "vocabulary-grows",
    r"\b0\b|vocabulary",
    """
    def encode(tokens, vocabulary):
        ids = {w: i for i, w in enumerate(vocabulary)}
        return np.array([ids.setdefault(t, len(ids)) for t in tokens], np.int32)
""",
)
wrong(
    "vocabulary-kept",
    KEPT,
    """
    _ids = {}

    def encode(tokens, vocabulary):
        if not _ids:
            _ids.update({w: i for i, w in enumerate(vocabulary)})
        return np.array([_ids.get(t, 0) for t in tokens], np.int32)
""",
)

wrong(
    "changes-the-tokens",
    changed("token"),
    """
    def encode(tokens, vocabulary):
        ids = {w: i for i, w in enumerate(vocabulary)}
        for i, token in enumerate(tokens):
            tokens[i] = ids.get(token, 0)
        return np.array(tokens, np.int32)
""",
)
wrong(
    "adds-to-the-vocabulary",
    changed("vocabulary"),
    """
    def encode(tokens, vocabulary):
        known = len(vocabulary)
        for token in tokens:
            if token not in vocabulary:
                vocabulary.append(token)
        places = np.array([vocabulary.index(token) for token in tokens], np.int32).reshape(-1)
        return np.where(places < known, places, 0).astype(np.int32)
""",
)

right = encode.right
right(
    "index",
    """
    def encode(tokens, vocabulary):
        vocabulary = list(vocabulary)
        found = np.zeros(len(tokens), dtype="int32")
        for i, token in enumerate(tokens):
            if token in vocabulary:
                found[i] = vocabulary.index(token)
        return found
""",
)
right(
    "try",
    """
    def encode(tokens, vocabulary):
        found = []
        for token in tokens:
            try:
                found.append(vocabulary.index(token))
            except ValueError:
                found.append(0)
        return np.asarray(found, dtype=np.int32)
""",
)
right(
    "from-iterator",
    """
    def encode(tokens, vocabulary):
        ids = defaultdict(int, zip(vocabulary, range(len(vocabulary))))
        return np.fromiter((ids[t] for t in tokens), np.int32, len(tokens))
""",
)
right(
    "search-sorted",
    """
    def encode(tokens, vocabulary):
        words = np.array(vocabulary)
        order = np.argsort(words)
        tokens = np.array(tokens, dtype=words.dtype if not len(tokens) else None)
        places = np.minimum(np.searchsorted(words, tokens, sorter=order), len(words) - 1)
        found = order[places]
        return np.where(words[found] == tokens, found, 0).astype(np.int32)
""",
)
right(
    "compare-all",
    """
    def encode(tokens, vocabulary):
        if not len(tokens):
            return np.empty(0, np.int32)
        same = np.array(tokens)[:, None] == np.array(vocabulary)[None, :]
        return same.argmax(axis=1).astype("i4")
""",
)
right(
    "frompyfunc",
    """
    def encode(tokens, vocabulary):
        ids = dict(map(reversed, enumerate(vocabulary)))
        return np.array(list(map(lambda token: ids.get(token, ids["<unk>"]), tokens)), dtype=np.int32)
""",
)
