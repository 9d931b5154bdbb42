"""What a report keeps of texts that stream by: counts of all, and a fixed sample.

A sample is the items whose names hash lowest, so it is the same in any order, and memory does not
grow with the run.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from textmill.pipeline.report.metrics import (
    CopyIndex,
    Words,
    distinct,
    plain_words,
    repetition,
    self_bleu,
)

SAMPLE = 2_000  # texts of a group whose words are looked at
BLEU_TEXTS = 500  # of them, with each other
REPETITION = 4  # words in a row
MOST_GROUPS = 24  # temperatures; what comes after them is one group
SHOWN = 3  # prompts for each label and temperature, rows for each label and origin
MOST_LABELS = 24  # with samples
_MOST_CHARACTERS = 4_000  # of a sampled text

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

    def __len__(self) -> int:
        return len(self._heap)


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@dataclass
class Group:
    """Texts of one temperature, or of one origin.

    Attributes:
        name: for people. temperature: None where texts of several stand together.
        texts: all of them. drawn: words that the model drew, and `nats` their log-probability.
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

    def add(self, name: str, text: str, whole: str, row: Mapping[str, Any]) -> None:
        """Counts a text; `row` may tell of `words`, `finish` and `logprob`."""
        self.texts += 1
        if self.sample.wants(name):
            self.sample.add(name, (text[:_MOST_CHARACTERS], len(plain_words(whole))))
        if "logprob" in row:
            # The end was drawn too, except where the text was cut.
            count = row["words"] + (row["finish"] != "length")
            self.finish[row["finish"]] += 1
            self.drawn += count
            self.nats += count * row["logprob"]

    @property
    def perplexity(self) -> float | None:
        """Of what was drawn, under the model itself."""
        return math.exp(min(-self.nats / self.drawn, 700.0)) if self.drawn else None


class Stream:
    """What is kept of the records of a run."""

    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self._groups: dict[float | None, Group] = {}
        self._shown: dict[str | None, dict[float | None, Lowest[dict[str, str]]]] = {}

    def add(self, row: Mapping[str, Any], *, echo: bool) -> None:
        """Takes a record; with `echo` its text begins with its prompt."""
        prompt, text = row.get("prompt", ""), row["text"]
        whole = text if echo else prompt + text
        drawn = text.removeprefix(prompt) if echo else text
        temperature, label = row.get("temperature"), row.get("label")
        if temperature not in self._groups:
            if len(self._groups) > MOST_GROUPS:
                temperature = None
            self._groups.setdefault(temperature, Group(_name(temperature), temperature))
        self._groups[temperature].add(row["id"], drawn, whole, row)
        if label is not None:
            known = label in self.labels or len(self.labels) < 10 * MOST_LABELS
            self.labels[label if known else "other labels"] += 1
        if label not in self._shown:
            if len(self._shown) >= MOST_LABELS:
                return
            self._shown[label] = {}
        # By the prompt's hash, so that the same prompts show at all temperatures.
        name = row["id"].rpartition("#")[0]
        shown = self._shown[label].setdefault(temperature, Lowest(SHOWN))
        if shown.wants(name):
            shown.add(name, {"name": name, "prompt": prompt, "text": drawn[:_MOST_CHARACTERS]})

    def groups(self) -> list[Group]:
        """By temperature; texts that tell none are one group."""
        if set(self._groups) == {None}:
            self._groups[None].name = "all"
        return [self._groups[temperature] for temperature in sorted(self._groups, key=_order)]

    def samples(self) -> list[dict[str, Any]]:
        """Texts side by side: for each label its prompts, for each of these its temperatures."""
        samples = []
        for label in sorted(self._shown, key=lambda label: label or ""):
            prompts: dict[str, dict[str, Any]] = {}
            for temperature in sorted(self._shown[label], key=_order):
                for one in self._shown[label][temperature]:
                    found = {"prompt": one["prompt"], "texts": []}
                    of = "" if temperature is None else f"temperature {_name(temperature)}"
                    prompts.setdefault(one["name"], found)["texts"].append(
                        {"of": of, "text": one["text"]}
                    )
            samples.append({"label": label, "prompts": list(prompts.values())})
        return samples


def _order(temperature: float | None) -> tuple[bool, float]:
    return temperature is None, temperature or 0.0


def _name(temperature: float | None) -> str:
    return "other" if temperature is None else repr(temperature).removesuffix(".0")


class Sampled:
    """The words of a group's sample, and what is measured on them."""

    def __init__(self, texts: Sequence[tuple[str, int]]):
        self.texts: list[Words] = [plain_words(text) for text, _ in texts]
        self.lengths = sorted(length for _, length in texts)

    @property
    def words(self) -> int:
        """Of all texts."""
        return sum(map(len, self.texts))

    def counts(self, words: int) -> Counter[str]:
        """How often each word stands in the first so many."""
        return Counter(word for text in _first(self.texts, words) for word in text)

    def measure(
        self, *, words: int, copies: CopyIndex | None, bleu: bool, bleu_texts: int
    ) -> dict[str, Any]:
        """Diversity, repetition and copying.

        Args:
            words: that distinct-n is taken over, so that groups can be compared; where there are
                fewer, it is None.
            copies: of the corpus, where there is one.
            bleu_texts: that self-BLEU is taken over, in the same way.
        """
        cut = _first(self.texts, words) if words <= self.words else []
        repeated = [r for text in self.texts if (r := repetition(text, REPETITION)) is not None]
        spoken = [text for text in self.texts if text]
        alike = self_bleu(spoken[:bleu_texts]) if bleu and len(spoken) >= bleu_texts else None
        return {
            "sampled": len(self.texts),
            "mean_length": _mean(self.lengths),
            **{f"distinct_{n}": distinct(cut, n) for n in (1, 2, 3)},
            "self_bleu": alike,
            "repetition": _mean(repeated),
            **self._copied(copies),
        }

    def _copied(self, copies: CopyIndex | None) -> dict[str, Any]:
        if copies is None:
            return {"copied": None, "texts_with_copies": None, "longest_copy": None}
        found = [copies.copied(text) for text in self.texts]
        return {
            "copied": sum(n for n, _ in found) / self.words if self.words else None,
            "texts_with_copies": _mean([n > 0 for n, _ in found]),
            "longest_copy": max((longest for _, longest in found), default=0),
        }


def _first(texts: Sequence[Words], words: int) -> list[Words]:
    """The first so many words, in their texts."""
    cut: list[Words] = []
    for text in texts:
        if words <= 0:
            break
        cut.append(text[:words])
        words -= len(text)
    return cut


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
