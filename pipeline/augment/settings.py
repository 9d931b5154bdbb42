"""What is asked of `augment`, checked before any time is spent. Loads nothing heavy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from textmill.model.errors import UsageError
from textmill.model.settings import (
    TEMPERATURES,
    GenerationSettings,
    TrainSettings,
    check_bool,
    check_choice,
    check_int,
    sequence,
)
from textmill.pipeline.augment.edits import AUGMENTERS

GENERATED, PSEUDO, REWRITTEN = "generated", "pseudo", "rewritten"
PER_EXAMPLE = 10


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """What is asked for.

    Attributes:
        text: the column of texts.
        label: the column of labels.
        encoding: encoding of the table, if it is not UTF-8.
        per_example: rows wanted for each real row. Only one of this and the next two is given.
        per_label: rows wanted for each label.
        balance: whether each label shall get as many rows as the largest label has.
        candidates: number of candidates for each wanted row.
        methods: `generated`, `pseudo` (texts of `unlabelled` with the label that classifiers give
            them), `rewritten` (see `augment.rewriting`), or names of `AUGMENTERS`; each makes an
            equal part of the candidates. None given means `pseudo` with `unlabelled`, else
            `generated`, which is what gains most (docs/benchmarks.md).
        temperatures: temperatures of the language model.
        level: the language model's level of tokens.
        minutes: longest time of training.
        epochs: most passes over the rows; None means 30, or more for few rows.
        unlabelled: files of texts of the same kind.
        init_from: a model to begin from.
        folds: number of folds of the classifiers that judge.
        probabilities: whether the table gets the classifiers' probability of each label.
        seed: the run's seed.
    """

    text: str
    label: str
    encoding: str | None = None
    per_example: int | None = None
    per_label: int | None = None
    balance: bool = False
    candidates: int = 4
    methods: tuple[str, ...] = ()
    temperatures: tuple[float, ...] = (0.8,)
    level: str = "word"
    minutes: float = 3.0
    epochs: int | None = None
    unlabelled: tuple[str, ...] = ()
    init_from: str | None = None
    folds: int = 5
    probabilities: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (
            ("temperatures", TEMPERATURES), ("methods", "a way's name"), ("unlabelled", "a path"),
        ):  # fmt: skip
            object.__setattr__(self, name, sequence(name, getattr(self, name), allowed))
        if not self.methods:
            object.__setattr__(self, "methods", (PSEUDO if self.unlabelled else GENERATED,))
        check_bool("probabilities", self.probabilities)
        for name in ("per_example", "per_label", "candidates", "epochs"):
            if getattr(self, name) is not None:
                check_int(name, getattr(self, name), 1)
        given = (self.per_example is not None, self.per_label is not None, self.balance)
        if sum(given) > 1:
            raise UsageError("give one of --per-example, --per-label and --balance")
        for name in self.methods:
            check_choice("with", name, (GENERATED, PSEUDO, REWRITTEN, *AUGMENTERS))
        if PSEUDO in self.methods and not self.unlabelled:
            raise UsageError("--with pseudo takes its texts from --unlabelled, which is not given")
        # These check their values now, before time is spent.
        GenerationSettings(temperatures=self.temperatures, seed=self.seed)
        TrainSettings(minutes=self.minutes, seed=self.seed)

    def wanted(self, labels: Sequence[str]) -> dict[str, int]:
        """Gives the number of rows to add, by label."""
        counts = Counter(labels)
        if self.per_label is not None:
            return dict.fromkeys(sorted(counts), self.per_label)
        if self.balance:
            most = max(counts.values())
            return {label: most - counts[label] for label in sorted(counts)}
        each = PER_EXAMPLE if self.per_example is None else self.per_example
        return {label: counts[label] * each for label in sorted(counts)}
