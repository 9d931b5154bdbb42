"""What a report holds, and how it stands in report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from textmill.model.text.corpus import Source
from textmill.pipeline.augment.gain import Gain

FORMAT = 1  # of report.json

Points = tuple[tuple[int, float], ...]


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
class BrowsedText:
    """A text to browse; what its output does not tell is None.

    Attributes:
        text: the text without its prompt, cut if it is long.
        temperature: the temperature as text.
        words: how many words were drawn.
        finish: how the text ended, as in the output.
    """

    text: str
    temperature: str | None = None
    words: int | None = None
    finish: str | None = None


@dataclass(frozen=True, kw_only=True)
class BrowsedPrompt:
    """A prompt to browse and some of its texts, by temperature."""

    prompt: str
    label: str | None
    texts: tuple[BrowsedText, ...]


@dataclass(frozen=True, kw_only=True)
class BrowsedRow:
    """A row to browse, real, added or not.

    Attributes:
        text: the row's text, cut if it is long.
        label: the row's label.
        origin: `real`, or the method that made the row.
        result: `real`, `added`, or why the candidate was not added.
    """

    text: str
    label: str
    origin: str
    result: str


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
    temperature: float | None = None
    texts: int
    figures: Figures
    lengths: Points
    ranks: Points


@dataclass(frozen=True, kw_only=True)
class RealText(GroupFigures):
    """Texts that people wrote.

    Attributes:
        files: that were read for them.
        words: of all texts.
    """

    files: tuple[Source, ...]
    words: int


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
        name: of the run: its directory's, or that of the table with the added rows.
        asked: what the output was made with, as its own files tell it: `settings` and others; of a
            run also `prompts`, names of their files. `model` is the model's fingerprint; an
            augmentation tells it as long as its candidates are there.
        counts: of rows and texts, by name. An augmentation's `rejected` are the candidates that
            did not pass; `not_needed` are those that would have, where the label was full.
        rejected: the most frequent reason first.
        labels: texts of each label by origin; those of `generate` are of the one called `texts`.
        agreement, check: what an augmentation tells; None where it tells nothing.
        real: None where there are no real texts.
        browse: texts for the page to browse; report.json does not hold them.
        notes: what was not measured or cannot be shown, for people.
    """

    kind: Literal["generate", "augment"]
    name: str
    asked: Mapping[str, Any]
    counts: Mapping[str, int]
    rejected: tuple[RejectedReason, ...]
    labels: Mapping[str, Mapping[str, int]]
    samples: tuple[PromptsOfLabel, ...] | tuple[OriginsOfLabel, ...]
    agreement: Agreement | None = None
    check: tuple[Gain, ...] | None = None
    groups: tuple[GroupFigures, ...]
    real: RealText | None
    measured: Measured
    browse: tuple[BrowsedPrompt, ...] | tuple[BrowsedRow, ...] = ()
    notes: tuple[str, ...]


def as_json(found: Report) -> dict[str, Any]:
    """What report.json holds."""
    told = {"format": FORMAT, **asdict(replace(found, browse=()))}
    del told["browse"]
    if found.kind == "generate":
        told["labels"] = {label: n["texts"] for label, n in found.labels.items()}
        del told["agreement"], told["check"]
    elif found.check is not None:
        told["check"] = [gain.record() for gain in found.check]
    told["groups"] = [
        {**_picked(group, "name temperature texts"), **group["figures"],
         **_picked(group, "lengths ranks")}
        for group in told["groups"]
    ]  # fmt: skip
    if found.real is not None:
        told["real"] = _picked(told["real"], "name files texts words figures lengths ranks")
        del told["real"]["figures"]["perplexity"], told["real"]["figures"]["cut"]  # of drawn texts
    return told


def _picked(told: Mapping[str, Any], names: str) -> dict[str, Any]:
    return {name: told[name] for name in names.split()}
