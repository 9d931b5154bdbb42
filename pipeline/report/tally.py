"""What a report keeps of texts that stream by: counts of all, and a fixed sample.

A sample is the items whose names hash lowest, so it is the same in any order, and memory does not
grow with the run.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from textmill.pipeline.augment.folder import REAL, Row
from textmill.pipeline.report import figures
from textmill.pipeline.report.metrics import Words, plain_words

SAMPLE = 2_000  # texts of a group whose words are looked at
MOST_GROUPS = 24  # temperatures, origins or reasons; what comes after them is put together
SHOWN = 3  # prompts for each label and temperature, rows for each label and origin
MOST_LABELS = 24  # with samples
_EXAMPLES = 2  # for each reason
_MOST_CHARACTERS = 4_000  # of a sampled text

# To browse: so many prompts, texts of each (at a temperature, at all of them), rows of each origin,
# label and result, characters of a text and of all texts.
BROWSED_PROMPTS = 200
_BROWSED_AT_TEMPERATURE, _BROWSED_OF_PROMPT = 4, 24
_BROWSED_ROWS = 10
_BROWSED_KINDS = 400
BROWSED_TEXT, BROWSED_ALL = 1_000, 1_000_000

T = TypeVar("T")


class Lowest(Generic[T]):
    """Keeps the `size` values whose names hash lowest; of equal names the first."""

    def __init__(self, size: int):
        self.size = size
        self._heap: list[tuple[int, str]] = []  # the highest hash first
        self._held: dict[str, T] = {}

    def wants(self, name: str) -> bool:
        """Whether `add` would take a value of that name."""
        full = len(self._heap) == self.size
        return name not in self._held and not (full and _hash(name) >= -self._heap[0][0])

    def get(self, name: str) -> T | None:
        """The value of that name, if it is held."""
        return self._held.get(name)

    def add(self, name: str, value: T) -> None:
        """Takes a value, or leaves it."""
        if not self.wants(name):
            return
        self._held[name] = value
        heapq.heappush(self._heap, (-_hash(name), name))
        if len(self._heap) > self.size:
            del self._held[heapq.heappop(self._heap)[1]]

    def __iter__(self) -> Iterator[T]:
        """By rising hash."""
        return (self._held[name] for _, name in sorted(self._heap, key=lambda pair: -pair[0]))


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _room(held: Mapping[Any, Any], key: Any, most: int) -> bool:
    """Whether a key is held, or fewer than so many others are."""
    return key in held or len(held) < most


def _nested() -> Any:
    """By label, then by temperature or origin, what is shown of these."""
    return defaultdict(lambda: defaultdict(lambda: Lowest(SHOWN)))


@dataclass
class Group:
    """Texts of one temperature, or of one origin.

    Attributes:
        name: for people.
        temperature: None where texts of several stand together.
        texts: all of them.
        drawn: words that the model drew.
        nats: their log-probability.
        finish: texts by how they ended.
        sample: of (what was drawn, how many words it has with its prompt).
    """

    name: str
    temperature: float | None = None
    texts: int = 0
    drawn: int = 0
    nats: float = 0.0
    finish: Counter[str] = field(default_factory=Counter)
    sample: Lowest[tuple[str, int]] = field(default_factory=lambda: Lowest(SAMPLE))

    def add(self, name: str, text: str, *, whole: str) -> None:
        """Counts a text; `whole` has its prompt, too."""
        self.texts += 1
        if self.sample.wants(name):
            self.sample.add(name, (text[:_MOST_CHARACTERS], len(plain_words(whole))))

    def drew(self, words: int, *, finish: str, logprob: float) -> None:
        """Counts what a text was drawn with; `logprob` is the mean over its words and its end."""
        count = words + (finish != "length")  # a text that was cut has no drawn end
        self.finish[finish] += 1
        self.drawn += count
        self.nats += count * logprob

    @property
    def perplexity(self) -> float | None:
        """Of what was drawn, under the model itself."""
        return math.exp(min(-self.nats / self.drawn, 700.0)) if self.drawn else None

    @property
    def cut(self) -> float | None:
        """The share of the texts that ended at the limit of words."""
        return self.finish["length"] / self.finish.total() if self.finish else None


@dataclass
class _Prompt:
    """A prompt to browse.

    Attributes:
        texts: by temperature.
    """

    prompt: str
    label: str | None
    texts: dict[float | None, list[figures.BrowsedText]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, temperature: float | None, text: figures.BrowsedText) -> None:
        """Takes a text while there is room."""
        full = sum(map(len, self.texts.values())) >= _BROWSED_OF_PROMPT
        if not full and len(self.texts[temperature]) < _BROWSED_AT_TEMPERATURE:
            self.texts[temperature].append(text)

    def told(self) -> figures.BrowsedPrompt:
        """What the page shows."""
        ordered = [text for key in sorted(self.texts, key=_order) for text in self.texts[key]]
        return figures.BrowsedPrompt(prompt=self.prompt, label=self.label, texts=tuple(ordered))


_Drawn = tuple[str, str, str]  # a prompt's name, the prompt, what was drawn after it


class Stream:
    """What is kept of the records of a run."""

    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self._groups: dict[float | None, Group] = {}
        self._shown: dict[str | None, dict[float | None, Lowest[_Drawn]]] = _nested()
        self._browsed: Lowest[_Prompt] = Lowest(BROWSED_PROMPTS)

    def add(self, row: Mapping[str, Any], *, echo: bool) -> None:
        """Takes a record; with `echo` its text begins with its prompt."""
        prompt, text = row.get("prompt", ""), row["text"]
        whole = text if echo else prompt + text
        drawn = text.removeprefix(prompt) if echo else text
        temperature = row.get("temperature")
        if not _room(self._groups, temperature, MOST_GROUPS + 1):
            temperature = None
        if temperature not in self._groups:
            self._groups[temperature] = Group(_name(temperature), temperature)
        group = self._groups[temperature]
        group.add(row["id"], drawn, whole=whole)
        if "logprob" in row:
            group.drew(row["words"], finish=row["finish"], logprob=row["logprob"])
        label = row.get("label")
        if label is not None:
            known = _room(self.labels, label, 10 * MOST_LABELS)
            self.labels[label if known else "other labels"] += 1
        # By the prompt's hash, so that the same prompts show at all temperatures.
        name = row["id"].rpartition("#")[0]
        self._browsed.add(name, _Prompt(browsed(prompt), label))
        entry = self._browsed.get(name)
        if entry is not None:
            text = figures.BrowsedText(
                text=browsed(drawn),
                temperature=None if row.get("temperature") is None else _name(row["temperature"]),
                words=row.get("words"),
                finish=row.get("finish"),
            )
            entry.add(row.get("temperature"), text)
        if _room(self._shown, label, MOST_LABELS):
            shown = (name, prompt, drawn[:_MOST_CHARACTERS])
            self._shown[label][temperature].add(name, shown)

    def groups(self) -> list[Group]:
        """By temperature; texts that tell none are one group."""
        if set(self._groups) == {None}:
            self._groups[None].name = "all"
        return [self._groups[temperature] for temperature in sorted(self._groups, key=_order)]

    def samples(self) -> tuple[figures.PromptsOfLabel, ...]:
        """Texts side by side: for each label its prompts, for each of these its temperatures."""
        labels = sorted(self._shown, key=lambda label: label or "")
        return tuple(
            figures.PromptsOfLabel(label=label, prompts=_by_prompt(self._shown[label]))
            for label in labels
        )

    def browse(self) -> tuple[figures.BrowsedPrompt, ...]:
        """Prompts with their texts; fewer where these are long."""
        kept: list[figures.BrowsedPrompt] = []
        left = BROWSED_ALL
        for prompt in self._browsed:
            one = prompt.told()
            left -= len(one.prompt) + sum(len(text.text) for text in one.texts)
            if left < 0:
                break
            kept.append(one)
        return tuple(kept)


def browsed(text: str) -> str:
    """A text as the page shows it."""
    return text if len(text) <= BROWSED_TEXT else f"{text[:BROWSED_TEXT]}…"


def _by_prompt(shown: Mapping[float | None, Iterable[_Drawn]]) -> tuple[figures.PromptSamples, ...]:
    found: dict[str, tuple[str, list[figures.Sample]]] = {}
    for temperature in sorted(shown, key=_order):
        of = "" if temperature is None else f"temperature {_name(temperature)}"
        for name, prompt, text in shown[temperature]:
            _, texts = found.setdefault(name, (prompt, []))
            texts.append(figures.Sample(of=of, text=text))
    return tuple(figures.PromptSamples(prompt=p, texts=tuple(texts)) for p, texts in found.values())


def _order(temperature: float | None) -> tuple[bool, float]:
    return temperature is None, temperature or 0.0


def _name(temperature: float | None) -> str:
    return "other" if temperature is None else repr(temperature).removesuffix(".0")


class Table:
    """What is kept of the rows of an augmented table."""

    def __init__(self) -> None:
        self.real: list[Words] = []
        self._labels: dict[str, Counter[str]] = defaultdict(Counter)
        self._added: dict[str, Group] = {}
        self._shown: dict[str, dict[str, Lowest[str]]] = _nested()

    def add(self, number: int, row: Row) -> None:
        """Takes the row of that number."""
        if row.origin == REAL:
            self.real.append(plain_words(row.text))
        else:
            origin = row.origin or "generated"
            if not _room(self._added, origin, MOST_GROUPS):
                origin = "other"
            if origin not in self._added:
                self._added[origin] = Group(f"kept, {origin}")
            self._added[origin].add(f"{number}", row.text, whole=row.text)
        self._labels[row.label][row.origin] += 1
        if _room(self._shown, row.label, MOST_LABELS):
            origins = self._shown[row.label]
            if _room(origins, row.origin, MOST_GROUPS):
                origins[row.origin].add(f"{number}", row.text)

    def groups(self) -> list[Group]:
        """What was added, by origin."""
        return sorted(self._added.values(), key=lambda group: group.name)

    def labels(self) -> dict[str, dict[str, int]]:
        """Rows of each label by origin."""
        return {label: dict(self._labels[label]) for label in sorted(self._labels)}

    def samples(self) -> tuple[figures.OriginsOfLabel, ...]:
        """For each label the real rows first, then what was added."""
        return tuple(
            figures.OriginsOfLabel(label=label, columns=_by_origin(self._shown[label]))
            for label in sorted(self._shown)
        )


class Rows:
    """Rows of an augmentation to browse: some of each origin, label and result."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str], Lowest[figures.BrowsedRow]] = {}

    def add(self, number: int, row: Row) -> None:
        """Takes a row of the table, or a candidate that was not added."""
        result = row.reason or (REAL if row.origin == REAL else "added")
        kind = (row.origin, row.label, result)
        if not _room(self._rows, kind, _BROWSED_KINDS):
            return
        held = self._rows.setdefault(kind, Lowest(_BROWSED_ROWS))
        if held.wants(f"{number}"):
            held.add(
                f"{number}",
                figures.BrowsedRow(
                    text=browsed(row.text), label=row.label, origin=row.origin, result=result
                ),
            )

    def browse(self) -> tuple[figures.BrowsedRow, ...]:
        """What was added, then what was not, then real rows; fewer where these are long."""
        order = sorted(self._rows, key=lambda kind: (kind[0] == REAL, kind[2] != "added", kind))
        kept: list[figures.BrowsedRow] = []
        left = BROWSED_ALL
        for row in (row for kind in order for row in self._rows[kind]):
            left -= len(row.text)
            if left < 0:
                break
            kept.append(row)
        return tuple(kept)


def _by_origin(shown: Mapping[str, Iterable[str]]) -> tuple[tuple[figures.Sample, ...], ...]:
    origins = sorted(shown, key=lambda origin: (origin != REAL, origin))
    return tuple(tuple(figures.Sample(of=o, text=text) for text in shown[o]) for o in origins)


class Rejections:
    """Rejected rows by reason, and some of each."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self.counts = Counter(counts)
        self._examples: dict[str, Lowest[figures.RejectedText]] = defaultdict(
            lambda: Lowest(_EXAMPLES)
        )

    def add(self, number: int, row: Row) -> None:
        """Takes the candidate of that number."""
        reason = row.reason or "no reason"
        self.counts[reason] += 1
        if _room(self._examples, reason, MOST_GROUPS):
            self._examples[reason].add(
                f"{number}", figures.RejectedText(text=row.text, label=row.label)
            )

    def reasons(self) -> tuple[figures.RejectedReason, ...]:
        """The most frequent first."""
        return tuple(
            figures.RejectedReason(reason=reason, count=n, examples=tuple(self._examples[reason]))
            for reason, n in sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        )
