"""What a report holds, and how it stands in report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from textmill.model.text.corpus import Source
from textmill.pipeline.augment.gain import Gain

FORMAT = 1  # of report.json

Points = tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What an output was made with, as its own files tell it.

    Attributes:
        model: its fingerprint; None of an augmentation.
        settings: by name.
        others: what else is told, by name.
        prompts: names of their files.
    """

    model: str | None = None
    settings: Mapping[str, Any]
    others: Mapping[str, Any]
    prompts: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """All of it by name."""
        if self.model is None:
            return {"settings": self.settings, **self.others}
        of_model = {"model": self.model, "settings": self.settings}
        return {**of_model, **self.others, "prompts": self.prompts}


@dataclass(frozen=True, kw_only=True)
class RejectedText:
    """A candidate that was not kept, and the label asked for."""

    text: str
    label: str


@dataclass(frozen=True, kw_only=True)
class RejectedReason:
    """How many were rejected for one reason, and some of them."""

    reason: str
    count: int
    examples: tuple[RejectedText, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A text to look at, and what it is of: a temperature or an origin."""

    of: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PromptSamples:
    """What was drawn after a prompt."""

    prompt: str
    texts: tuple[Sample, ...]


@dataclass(frozen=True, kw_only=True)
class PromptsOfLabel:
    """Prompts of a label, None of texts without one."""

    label: str | None
    prompts: tuple[PromptSamples, ...]


@dataclass(frozen=True, kw_only=True)
class OriginsOfLabel:
    """Rows of a label, in a column for each origin."""

    label: str
    columns: tuple[tuple[Sample, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The measures of a sample, which `charts.MEASURES` explains; None where there is none.

    Attributes:
        sampled: texts whose words were looked at.
    """

    perplexity: float | None = None
    cut: float | None = None
    sampled: int
    mean_length: float | None
    distinct_1: float | None
    distinct_2: float | None
    distinct_3: float | None
    self_bleu: float | None
    repetition: float | None
    copied: float | None = None
    texts_with_copies: float | None = None
    longest_copy: int | None = None


@dataclass(frozen=True, kw_only=True)
class GroupFigures:
    """Texts of one temperature, or of one origin.

    Attributes:
        name: for people.
        temperature: None where texts of several stand together.
        texts: how many there are.
        figures: of a sample of them.
        lengths: (words, share of the texts that have at most so many).
        ranks: (rank, share of all words) of the words by falling frequency.
    """

    name: str
    temperature: float | None
    texts: int
    figures: Figures
    lengths: Points
    ranks: Points


@dataclass(frozen=True, kw_only=True)
class RealText:
    """Texts that people wrote; see `GroupFigures`.

    Attributes:
        files: that were read for them.
        words: of all texts.
    """

    name: str
    files: tuple[Source, ...]
    texts: int
    words: int
    figures: Figures
    lengths: Points
    ranks: Points


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the figures were taken on.

    Attributes:
        texts: of all groups.
        sampled: of these, those whose words were looked at.
        sample_of_a_group: how many these are at most.
        distinct_words: words of each sample that distinct-n and the ranks are taken over.
        bleu_texts: texts of each sample that self-BLEU is taken over; 0 where it was not measured.
        copied_words: from so many words in a row on a text is a copy.
    """

    texts: int
    sampled: int
    sample_of_a_group: int
    distinct_words: int
    bleu_texts: int
    copied_words: int


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Candidates by the label asked for (rows) and the one that a classifier gives (columns)."""

    labels: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if any(len(line) != len(self.labels) for line in (self.matrix, *self.matrix)):
            raise ValueError("the matrix has no row and column for each label")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found in an output.

    Attributes:
        kind: of the command that made it.
        counts: of rows and texts, by name.
        rejected: the most frequent reason first.
        labels: texts of each label by origin; those of `generate` are of the one called `texts`.
        agreement, check: what an augmentation tells; None where it tells nothing.
        real: None where there are no real texts.
        notes: what was not measured or cannot be shown, for people.
    """

    kind: Literal["generate", "augment"]
    asked: Asked
    counts: Mapping[str, int]
    rejected: tuple[RejectedReason, ...]
    labels: Mapping[str, Mapping[str, int]]
    samples: tuple[PromptsOfLabel, ...] | tuple[OriginsOfLabel, ...]
    agreement: Agreement | None = None
    check: tuple[Gain, ...] | None = None
    groups: tuple[GroupFigures, ...]
    real: RealText | None
    measured: Measured
    notes: tuple[str, ...]


def as_json(found: Report) -> dict[str, Any]:
    """What report.json holds."""
    generated = found.kind == "generate"
    return {
        "format": FORMAT,
        "kind": found.kind,
        "asked": found.asked.plain(),
        "counts": found.counts,
        "rejected": [asdict(reason) for reason in found.rejected],
        "labels": {label: n["texts"] if generated else n for label, n in found.labels.items()},
        "samples": [asdict(group) for group in found.samples],
        **({} if generated else _judged(found)),
        "groups": [_group(group) for group in found.groups],
        "real": None if found.real is None else _real(found.real),
        "measured": asdict(found.measured),
        "notes": found.notes,
    }


def _judged(found: Report) -> dict[str, Any]:
    return {
        "agreement": None if found.agreement is None else asdict(found.agreement),
        "check": None if found.check is None else [gain.record() for gain in found.check],
    }


def _group(group: GroupFigures) -> dict[str, Any]:
    told = {"name": group.name, "temperature": group.temperature, "texts": group.texts}
    return {**told, **asdict(group.figures), "lengths": group.lengths, "ranks": group.ranks}


def _real(real: RealText) -> dict[str, Any]:
    plain = asdict(real)
    del plain["figures"]["perplexity"], plain["figures"]["cut"]  # of drawn texts
    return plain
