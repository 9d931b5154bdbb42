"""Decides which candidates for an augmented table are kept, and why the others are not.

Tokenisers differ in what they take for a word, and the limits hold for all of them. So copied runs
and similarity are measured on runs of letters and digits, on these and punctuation marks, and on
what stands between spaces; the largest figure counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from textmill.model.settings import NOT_NEGATIVE, SHARE, check_float, check_int
from textmill.pipeline.augment.edits import Candidate
from textmill.pipeline.augment.folder import NOT_NEEDED

Words = tuple[str, ...]

# Origins of texts that people wrote, edited or not; filters for a model's faults ignore these.
BY_PEOPLE = ("swap", "delete", "aeda", "masked", "pseudo")
_PERMUTATIONS = 64  # permutations of a MinHash
_JACCARD_ROWS = 500  # candidates that are compared with all real rows at a time
# The longest copied run that is allowed, in words and in characters.
_COPIED = {"word": 7, "char": 24}
_LETTERS, _MARKS = re.compile(r"\w+"), re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """Thresholds of the filters.

    Attributes:
        min_confidence: the classifier's probability of the label asked for.
        max_copied: longest run of words (characters at `char` level) that is also in one real row;
            None means 7 words, or 24 characters.
        max_copied_share: share of a text's words that such a run may have.
        max_similarity: Jaccard similarity of word sets to any real row and to rows kept before.
        max_loops: share of a text's words that repeat earlier words, see `loops`.
        length_slack: share by which a text may be shorter than the label's shortest real row, or
            longer than its longest.
        max_perplexity: perplexity of the drawn words, divided by the candidates' median.
        max_unseen: share of pairs of neighbouring words that are in no real row.
    """

    min_confidence: float = 0.0
    max_copied: int | None = None
    max_copied_share: float = 0.6
    max_similarity: float = 0.79
    max_loops: float = 0.05
    length_slack: float = 0.25
    max_perplexity: float = 3.0
    max_unseen: float = 0.9

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name == "max_copied":
                if value is not None:
                    check_int(name, value, 1)
            elif name in ("length_slack", "max_perplexity"):
                check_float(name, value, *NOT_NEGATIVE)
            else:
                check_float(name, value, *SHARE)

    def copied(self, level: str) -> int:
        """Gives the longest copied run that is allowed."""
        return _COPIED[level] if self.max_copied is None else self.max_copied


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What was measured of a candidate; for the other fields see `FilterSettings`.

    Attributes:
        predicted: the classifier's label.
        confidence: the classifier's probability of the label asked for.
        words: number of words.
        duplicate: whether it equals a real row.
        perplexity: perplexity of the words that the language model wrote, if any.
        probabilities: the classifier's probability of each label.
    """

    predicted: str
    confidence: float
    words: int
    duplicate: bool
    copied: int
    copied_share: float
    similarity: float
    loops: float
    unseen: float
    perplexity: float | None
    probabilities: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Gives the columns of an augmented table, and of rejected candidates."""
        fields = asdict(self)
        del fields["duplicate"], fields["probabilities"]
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in fields.items()}


# -- words -----------------------------------------------------------------------------------------


def cuts(level: str) -> tuple[Callable[[str], Words], ...]:
    """Gives the functions that cut a text into words, or into characters at `char` level."""
    if level == "char":
        return (lambda text: tuple("".join(text.casefold().split())),)
    return (
        lambda text: tuple(_LETTERS.findall(text.casefold())),
        lambda text: tuple(_MARKS.findall(text.casefold())),
        lambda text: tuple(text.casefold().split()),
    )


def longest_runs(texts: Sequence[Words], rows: Sequence[Words]) -> np.ndarray:
    """Gives the length of the longest run of words that each text shares with one row, int64.

    Each run of n words has a number, made from that of its first n - 1 words and its last word. So
    runs are looked up, not compared, and only runs that are on both sides are made longer.
    """
    names: dict[str, int] = {}
    found = np.zeros(len(texts), np.int64)
    sides = []
    for side in (texts, rows):
        flat = [names.setdefault(word, len(names)) for words in side for word in words]
        lengths = np.array([len(words) for words in side], np.int64)
        ids, ends = np.array(flat, np.int64), np.repeat(np.cumsum(lengths), lengths)
        sides.append((ids, ends, np.arange(len(ids)), ids))
    owner = np.repeat(np.arange(len(texts)), [len(words) for words in texts])
    n = 1
    while True:
        (ids, ends, at, runs), (row_ids, row_ends, row_at, row_runs) = sides
        both, row_both = np.isin(runs, row_runs), np.isin(row_runs, runs)
        at, runs, row_at, row_runs = at[both], runs[both], row_at[row_both], row_runs[row_both]
        if not len(at):
            return found
        found[owner[at]] = n
        sides, grown = [], []
        for own, end, place, run in ((ids, ends, at, runs), (row_ids, row_ends, row_at, row_runs)):
            more = place + n < end[place]
            place, run = place[more], run[more]
            grown.append(run * len(names) + own[place + n])
            sides.append((own, end, place, run))
        numbers = np.unique(np.concatenate(grown), return_inverse=True)[1]
        halves = np.split(numbers, [len(grown[0])])
        sides = [(*side[:3], half) for side, half in zip(sides, halves, strict=True)]
        n += 1


def largest_jaccard(texts: Sequence[Words], rows: Sequence[Words]) -> np.ndarray:
    """Gives the largest Jaccard similarity of each text's word set to that of a row, float64."""
    from sklearn.preprocessing import MultiLabelBinarizer

    sets = MultiLabelBinarizer(sparse_output=True).fit_transform([*texts, *rows])
    sizes, row_sizes = np.split(np.diff(sets.indptr), [len(texts)])
    words, of_rows = sets[: len(texts)], sets[len(texts) :].T.tocsr()
    found = np.zeros(len(texts))
    for start in range(0, len(texts), _JACCARD_ROWS):
        shared = (words[start : start + _JACCARD_ROWS] @ of_rows).tocoo()
        union = sizes[start + shared.row] + row_sizes[shared.col] - shared.data
        np.maximum.at(found, start + shared.row, shared.data / union)
    return found


def jaccard(a: Words, b: Words) -> float:
    """Gives the Jaccard similarity of two word sets; 0 for two empty ones."""
    one, other = set(a), set(b)
    return len(one & other) / max(len(one | other), 1)


def loops(words: Words) -> float:
    """Gives the share of words that repeat earlier words.

    A word counts if it ends a repeated sequence (the second `a b` of `a b a b`), or a run of three
    words that is earlier in the text.
    """
    seen: set[Words] = set()
    count = 0
    for end in range(1, len(words) + 1):
        longest = end // 2
        turn = any(
            words[end - size : end] == words[end - 2 * size : end - size]
            for size in range(1, longest + 1)
        )
        run = words[end - 3 : end]
        count += turn or (end >= 3 and run in seen)
        seen.add(run)
    return count / max(len(words), 1)


# -- scores ----------------------------------------------------------------------------------------


def score(
    candidates: Sequence[Candidate],
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    fitted: Iterable[tuple[Any, Any]],
    level: str,
    known: Sequence[str] = (),
) -> list[Scores]:
    """Measures candidates against the real rows.

    Args:
        candidates: the candidates.
        texts: texts of the real rows.
        labels: labels of the real rows.
        fitted: classifiers and the rows that each has not seen, from `judge.judges`. The classifier
            that has not seen a candidate's source judges it; without a source, all do.
        level: `word` or `char`.
        known: other texts that must not be added.
    """
    written = [candidate.text for candidate in candidates]
    runs, shares, similar = (np.zeros(len(written)) for _ in range(3))
    for cut in cuts(level):
        words, rows = [cut(text) for text in written], [cut(text) for text in texts]
        own = longest_runs(words, rows)
        runs = np.maximum(runs, own)
        shares = np.maximum(shares, own / np.maximum([len(w) for w in words], 1))
        similar = np.maximum(similar, largest_jaccard(words, rows))
    first = cuts(level)[0]
    # With a million texts, hashes take less memory than words.
    real = {hash(first(text)) for text in (*texts, *known)}
    pairs = {pair for text in texts for pair in _pairs(first(text))}
    names, p = judged(candidates, list(fitted))
    found = []
    for i, candidate in enumerate(candidates):
        cut_text = first(candidate.text)
        near = _pairs(cut_text)
        by_label = dict(zip(names, p[i].tolist(), strict=True))
        found.append(
            Scores(
                predicted=names[p[i].argmax()],
                confidence=by_label[candidate.label],
                words=len(cut_text),
                duplicate=hash(cut_text) in real,
                copied=int(runs[i]),
                copied_share=float(shares[i]),
                similarity=float(similar[i]),
                loops=loops(cut_text),
                unseen=sum(pair not in pairs for pair in near) / max(len(near), 1),
                perplexity=candidate.perplexity,
                probabilities=by_label,
            )
        )
    return found


def _pairs(words: Words) -> list[Words]:
    return [words[i : i + 2] for i in range(len(words) - 1)]


def judged(
    candidates: Sequence[Candidate], fitted: Sequence[tuple[Any, Any]]
) -> tuple[list[str], np.ndarray]:
    """Gives the names of the labels, and the classifiers' probabilities of them, float64 [N, L].

    A classifier that has never seen the label asked for, which has one row, does not judge.
    """
    names = sorted({name for classifier, _ in fitted for name in classifier.labels})
    column = {name: i for i, name in enumerate(names)}
    known = np.array([[name in c.labels for name in names] for c, _ in fitted])
    asked = np.array([column[c.label] for c in candidates], np.int64)
    fold: dict[int | None, int] = {
        row: i for i, (_, held_out) in enumerate(fitted) for row in held_out
    }
    own = np.array([fold.get(c.source, -1) for c in candidates], np.int64)
    total, judges = np.zeros((len(candidates), len(names))), np.zeros(len(candidates))
    for i, (classifier, _) in enumerate(fitted):
        alone = (own < 0) | ~known[own, asked]
        mine = np.flatnonzero(((own == i) | alone) & known[i, asked]).tolist()
        if len(mine):
            columns = [column[name] for name in classifier.labels]
            found = classifier.probabilities([candidates[j].text for j in mine])
            total[np.array(mine)[:, None], columns] += found
            judges[mine] += 1
    total /= np.maximum(judges, 1)[:, None]
    return names, total


# -- choosing --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which candidates are kept.

    Attributes:
        kept: numbers of the kept candidates, label by label.
        reasons: the reason why each other candidate is rejected, by number.
    """

    kept: list[int]
    reasons: dict[int, str]

    def counts(self) -> dict[str, int]:
        """Counts rejected candidates by reason, the most frequent first."""
        return dict(Counter(self.reasons.values()).most_common())


def choose(
    candidates: Sequence[Candidate],
    scores: Sequence[Scores],
    wanted: Mapping[str, int],
    *,
    lengths: Mapping[str, tuple[int, int]],
    settings: FilterSettings,
    level: str,
    seed: int = 0,
) -> Choice:
    """Keeps for each label the wanted number of candidates that pass, chosen randomly.

    It does not choose those of the highest confidence, which are most alike (docs/benchmarks.md).

    Args:
        candidates: the candidates.
        scores: what was measured of each.
        wanted: number of rows wanted, by label.
        lengths: number of words of the shortest and the longest real row, by label.
        settings: the thresholds.
        level: `word` or `char`.
        seed: seed of the choice.
    """
    written = [s.perplexity for s in scores if s.perplexity is not None]
    median = float(np.median(written)) if written else 1.0
    reasons: dict[int, str] = {}
    passed: dict[str, list[int]] = {label: [] for label in wanted}
    for i, (candidate, own) in enumerate(zip(candidates, scores, strict=True)):
        why = _why_not(candidate, own, lengths, median, settings, level)
        if why is None:
            passed[candidate.label].append(i)
        else:
            reasons[i] = why
    kept: list[int] = []
    random = np.random.default_rng(seed)
    others = _Kept(settings.max_similarity, cuts(level)[0])
    for label, numbers in passed.items():
        left = wanted[label]
        for i in random.permutation(numbers).tolist():
            if not left:
                reasons[i] = NOT_NEEDED
                continue
            by_people = candidates[i].origin in BY_PEOPLE
            why = others.why_not(candidates[i].text, by_people=by_people)
            if why is None:
                kept.append(i)
                left -= 1
            else:
                reasons[i] = why
    return Choice(kept=kept, reasons=reasons)


def _why_not(
    candidate: Candidate,
    own: Scores,
    lengths: Mapping[str, tuple[int, int]],
    median: float,
    settings: FilterSettings,
    level: str,
) -> str | None:
    shortest, longest = lengths[candidate.label]
    slack = settings.length_slack
    by_people = candidate.origin in BY_PEOPLE
    checks = (
        ("unfinished", candidate.unfinished),
        ("empty", not own.words),
        ("copy of a real row", own.duplicate),
        ("copied run", not by_people and own.copied > settings.copied(level)),
        ("copied share", not by_people and own.copied_share > settings.max_copied_share),
        ("similar to a real row", not by_people and own.similarity > settings.max_similarity),
        ("length", not shortest / (1 + slack) <= own.words <= longest * (1 + slack)),
        ("loop", not by_people and own.loops > settings.max_loops),
        ("unseen neighbours", not by_people and own.unseen > settings.max_unseen),
        (
            "perplexity",
            own.perplexity is not None and own.perplexity > settings.max_perplexity * median,
        ),
        ("another label", own.predicted != candidate.label),
        ("low confidence", own.confidence < settings.min_confidence),
    )
    return next((reason for reason, found in checks if found), None)


class _Kept:
    """The rows kept so far; finds duplicates and, by MinHash (Broder 1997), similar rows."""

    def __init__(self, most: float, cut: Callable[[str], Words]):
        from datasketch import MinHashLSH

        self._most, self._cut = most, cut
        self._exact: set[Words] = set()
        self._words: dict[str, Words] = {}
        # It only finds what to compare. Above 0.98 that is one band, which datasketch refuses.
        threshold = min(max(most, 0.1), 0.98)
        self._near = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, weights=(0.2, 0.8))

    def why_not(self, text: str, *, by_people: bool) -> str | None:
        """Gives the reason to reject a text; if there is none, keeps the text."""
        from datasketch import MinHash

        words = self._cut(text)
        if words in self._exact:
            return "copy of a kept row"
        if not by_people:
            hashed = MinHash(num_perm=_PERMUTATIONS, seed=1)
            hashed.update_batch([word.encode() for word in set(words)])
            found = self._near.query(hashed)
            if any(jaccard(words, self._words[name]) > self._most for name in found):
                return "similar to a kept row"
            name = str(len(self._words))
            self._words[name] = words
            self._near.insert(name, hashed)
        self._exact.add(words)
        return None
