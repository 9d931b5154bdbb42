"""Frozen settings objects; they check their values and are saved with what was made from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from textmill.model.errors import SettingError

LEVELS = ("word", "char", "whitespace")
MODES = ("stream", "lines")
OUTPUTS = ("auto", "dense", "adaptive")
MOST_TAILS = 4
PRECISIONS = ("float32", "bfloat16")
EXPORTS = ("keras", "saved-model", "onnx")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_int(field: str, value: Any, low: int, high: int | None = None) -> None:
    """Raises a `SettingError` unless the value is a whole number within the bounds."""
    if not _is_int(value) or value < low or (high is not None and value > high):
        allowed = f"a whole number of at least {low}"
        if high is not None:
            allowed = f"a whole number from {low} to {high}"
        raise SettingError(field, allowed, value)


def check_float(field: str, value: Any, allowed: str, accept: Callable[[float], bool]) -> None:
    """Refuses what is not a finite number or not accepted; `allowed` is for the message."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Whole numbers can be larger than any float.
    if not number or abs(value) > 1e300 or math.isnan(value) or not accept(value):
        raise SettingError(field, allowed, value)


def check_choice(field: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuses a value that is not one of the choices."""
    if value not in choices:
        raise SettingError(field, "one of " + ", ".join(choices), value)


def check_bool(field: str, value: Any) -> None:
    """Refuses a value that is neither true nor false."""
    if not isinstance(value, bool):
        raise SettingError(field, "true or false", value)


# What `check_float` allows: in words, and as a test.
_Range = tuple[str, Callable[[float], bool]]
POSITIVE: _Range = ("a number above 0", lambda x: x > 0)
NOT_NEGATIVE: _Range = ("a number of at least 0", lambda x: x >= 0)
SHARE: _Range = ("a number in [0, 1]", lambda x: 0 <= x <= 1)
PART: _Range = ("a number in [0, 1)", lambda x: 0 <= x < 1)


@dataclass(frozen=True, kw_only=True)
class VocabularySettings:
    """How text becomes tokens and which tokens get an id.

    Attributes:
        level: `word` (words and punctuation, reversible by joiner marks), `char`, or
            `whitespace` (what stands between spaces is a token; for tokenised corpora).
        min_count: a token seen less often in the training part becomes `<unk>`;
            None means 2 at word level and 1 at the others.
        max_size: largest number of entries, reserved ones included; the rarest are left out.
    """

    level: str = "word"
    min_count: int | None = None
    max_size: int = 50_000

    def __post_init__(self) -> None:
        check_choice("level", self.level, LEVELS)
        if self.min_count is None:
            object.__setattr__(self, "min_count", 2 if self.level == "word" else 1)
        check_int("min_count", self.min_count, 1)
        check_int("max_size", self.max_size, 4)


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Sizes of the network.

    Attributes:
        vocabulary: V, number of entries of the vocabulary.
        embedding: D, width of the embedding, which is also the output matrix (tied).
        hidden: H, units of each LSTM layer; if H != D, a projection leads back to D.
        layers: number of LSTM layers, 1 to 3.
        dropout: share of features dropped after the embedding, between layers and before the
            output; the same features are dropped at every time step.
        context: C, width of the vector that sets the initial state and is added at every step:
            an entry for each label, then the numbers of a row; 0 for a model without either.
        numbers: how many of these entries are numbers.
        source: number of entries of the vocabulary of sources, which an encoder of as many layers
            and units reads; 0 for none.
        attention: whether each step looks at all of the source.
        cutoffs: the first id of each tail cluster of an adaptive output, rising; empty for a dense
            output. The ids below the first cut-off are the head.
        tail_widths: width of each cluster's projection, one for each cut-off.
    """

    vocabulary: int
    embedding: int = 256
    hidden: int = 256
    layers: int = 1
    dropout: float = 0.5
    context: int = 0
    numbers: int = 0
    source: int = 0
    attention: bool = False
    cutoffs: tuple[int, ...] = ()
    tail_widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_int("vocabulary", self.vocabulary, 4)
        check_int("embedding", self.embedding, 1)
        check_int("hidden", self.hidden, 1)
        check_int("layers", self.layers, 1, 3)
        check_float("dropout", self.dropout, *PART)
        check_int("context", self.context, 0)
        check_int("numbers", self.numbers, 0, self.context)
        check_int("source", self.source, 0)
        check_bool("attention", self.attention)
        if 0 < self.source < 4:
            raise SettingError("source", "0 or at least 4", self.source)
        if self.attention and not self.source:
            raise SettingError("attention", "false without a source", self.attention)
        for field in ("cutoffs", "tail_widths"):  # lists, if they come from JSON
            object.__setattr__(self, field, tuple(getattr(self, field)))
        bounds = (2, *self.cutoffs, self.vocabulary)  # the reserved ids belong to the head
        if not all(map(_is_int, bounds)) or any(a >= b for a, b in pairwise(bounds)):
            raise SettingError("cutoffs", "rising ids above the reserved ones", self.cutoffs)
        if len(self.cutoffs) > MOST_TAILS:
            raise SettingError("cutoffs", f"at most {MOST_TAILS}", self.cutoffs)
        if len(self.tail_widths) != len(self.cutoffs):
            raise SettingError("tail_widths", "as many as cutoffs", self.tail_widths)
        for width in self.tail_widths:
            check_int("tail_widths", width, 1)

    @property
    def tails(self) -> tuple[tuple[int, int, int], ...]:
        """First id, last id + 1 and width of each tail cluster; empty for a dense output."""
        ends = (*self.cutoffs, self.vocabulary)[1:]
        return tuple(zip(self.cutoffs, ends, self.tail_widths, strict=True))

    @property
    def labels(self) -> int:
        """Number of labels."""
        return self.context - self.numbers

    def record(self) -> dict[str, Any]:
        """Gives the fields for JSON, without those of parts that the network does not have."""
        fields = asdict(self)
        for field in ("numbers", "source", "attention"):
            if not fields[field]:
                del fields[field]
        for field in ("cutoffs", "tail_widths"):
            fields[field] = list(fields[field])
            if not fields[field]:
                del fields[field]
        return fields


@dataclass(frozen=True)
class Preset:
    """Sizes of a network that have a name."""

    embedding: int
    hidden: int
    layers: int


PRESETS = {
    "tiny": Preset(64, 64, 1),
    "mini": Preset(128, 128, 1),
    "small": Preset(256, 256, 1),
    "medium": Preset(256, 512, 1),
    "large": Preset(400, 1024, 2),
}
AUTO = "auto"
SCHEDULES = ("cosine", "linear", "constant")
_RATES = {
    "minutes": POSITIVE,
    "learning_rate": POSITIVE,
    "weight_decay": NOT_NEGATIVE,
    "clip": POSITIVE,
    "enough": NOT_NEGATIVE,
    "dropout": PART,
    "weight_drop": PART,
    "word_dropout": PART,
    "activation_penalty": NOT_NEGATIVE,
    "slowness_penalty": NOT_NEGATIVE,
    "checkpoint_minutes": NOT_NEGATIVE,
}


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How the network is trained.

    Attributes:
        mode: `stream` (one long text, state carried from window to window) or `lines`
            (each line is a sequence of its own).
        minutes: time from reading the corpus to the last validation; None for no limit. The first
            seconds measure the speed and fix the number of words to train on, so the training
            takes longer if the machine gets slower. The test part is measured after this time.
        epochs: largest number of passes over the training part; None means 40, or no limit if
            `minutes` is given.
        batch: B, parallel streams or lines.
        steps: T, time steps of a window (`stream` mode).
        learning_rate: peak rate of AdamW, reached after a warm-up. Here and below, None means that
            `training.recipe` chooses.
        schedule: how the rate falls to a hundredth of its peak, `cosine` or `linear`; `constant`
            keeps it at the peak.
        dropout: see `NetworkSettings`.
        weight_decay: AdamW's decoupled decay.
        clip: gradients are scaled so that their global norm is at most this.
        patience: stop after this number of validations without a better perplexity.
        enough: stop once the validation perplexity is at most this.
        enough_every: steps between two looks whether it is; None looks at validations only.
        weight_drop: see `network.lstm.LanguageModel`.
        word_dropout: see `network.lstm.LanguageModel`.
        activation_penalty: see `training.trainee.Trainee`.
        slowness_penalty: see `training.trainee.Trainee`.
        precision: precision of matrix products, see `network.lstm.LanguageModel`.
        average: whether running means of the weights are validated and kept.
        checkpoint_minutes: minutes between two checkpoints.
        seed: seeds initial weights, dropout and the order of lines.
    """

    mode: str = "stream"
    minutes: float | None = None
    epochs: int | None = None
    batch: int = 32
    steps: int = 32
    learning_rate: float | None = None
    schedule: str = "cosine"
    weight_decay: float = 0.05
    clip: float = 0.5
    patience: int = 10
    enough: float = 0.0
    enough_every: int | None = None
    dropout: float | None = None
    weight_drop: float | None = None
    word_dropout: float | None = None
    activation_penalty: float | None = None
    slowness_penalty: float | None = None
    average: bool = True
    precision: str = "float32"
    checkpoint_minutes: float = 3.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_choice("precision", self.precision, PRECISIONS)
        for name, allowed in _RATES.items():
            value = getattr(self, name)
            if value is not None or getattr(type(self), name) is not None:
                check_float(name, value, *allowed)
        if self.epochs is not None:
            check_int("epochs", self.epochs, 1)
        elif self.minutes is None:
            object.__setattr__(self, "epochs", 40)
        for name in ("batch", "steps", "patience"):
            check_int(name, getattr(self, name), 1)
        if self.enough_every is not None:
            check_int("enough_every", self.enough_every, 1)
        check_bool("average", self.average)
        check_int("seed", self.seed, 0, 2**32 - 1)


# Settings of a whole run: a row of a prompt file cannot override them.
RUN_WIDE = (
    "repetition_penalty", "no_repeat_ngram", "ban", "unknown", "echo", "seed", "precision", "beams",
    "length_penalty", "state_noise",
)  # fmt: skip
_MOST_TEXTS = 100_000
_MOST_BEAMS = 32
TEMPERATURES = "0 (greedy) or a number from 0.001 to 1000"
# Fields of several values, which may be given as one or in any sequence, and what one must be.
_SEVERAL = {"temperatures": TEMPERATURES, "stop": "a word", "ban": "a word"}


def _plain(value: Any) -> Any:
    """A number or an array of NumPy, or a series of pandas, as Python's own."""
    return value.tolist() if hasattr(value, "tolist") else value


def sequence(field: str, value: Any, allowed: str) -> tuple[Any, ...]:
    """A value, or several in a list, a tuple or an array, as a tuple.

    Raises:
        SettingError: it is a collection without an order, or a mapping.
    """
    value = _plain(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(map(_plain, value))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        raise SettingError(field, f"{allowed}, or several in a list", value)
    return (value,)


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """What is drawn for each prompt.

    The logits are changed in this order: banned and never-drawn words, `min_words`,
    `repetition_penalty`, `no_repeat_ngram`, temperature, `top_k`, `top_p`, `min_p`. Words are
    entries of the vocabulary; `<unk>` stands for many words and so is never a repetition.

    Attributes:
        samples: number of texts for each prompt and temperature.
        temperatures: any sequence of temperatures, by which the logits are divided; 0 always takes
            the most probable word, the lowest id on ties. With several, a prompt gets `samples`
            texts at each, and the numbers of the samples go on from one to the next.
        top_k: keep only the k most probable words (and all that tie with the k-th); 0 is off.
        top_p: keep only the smallest set of most probable words that holds this share; 1 is off.
        min_p: keep only words whose probability is at least this share of the most probable
            word's; 0 is off.
        min_words: before this number of words, neither the end of the text nor a stop word is
            drawn.
        max_words: a text ends after this number of words (`finish` is then `length`).
        repetition_penalty: if a word is already in the prompt or the text, its logit is divided by
            this if positive, else multiplied (CTRL, Keskar et al. 2019); 1 is off.
        no_repeat_ngram: a sequence of this number of words is not repeated from the prompt or the
            text; 0 is off. `<eos>` is never blocked, a stop word is a word like any other. If no
            word would be left to draw, the rule is not applied.
        stop: a text ends before any of these words (`finish` is then `stop`).
        ban: words that are never drawn, in all their forms, even if they are stop words.
        label: the label of every text, for a model trained with labels.
        unknown: whether `<unk>` may be drawn.
        echo: whether each text begins with its prompt.
        seed: the run's seed; 0 is a seed like any other.
        precision: precision of matrix products: `float32`, or `bfloat16`, which is faster if the
            processor supports it; its texts differ and are those of a slightly worse model
            (docs/benchmarks.md).
        beams: if above 0, nothing is drawn: a beam search keeps this number of beginnings, and the
            `samples` best texts are given, the most probable first (see `generation.beams`).
        length_penalty: how much beam search makes up for the length of texts (Wu et al. 2016); 0
            compares their probabilities as they are, so that short texts win.
        state_noise: standard deviation of normal noise that is added to the state each text starts
            from, h and c of all layers; 0 is off.

    Examples:
        >>> settings = textmill.GenerationSettings(samples=2, temperatures=(0.7, 1.0))
        >>> settings.texts
        4
    """

    samples: int = 1
    temperatures: tuple[float, ...] = (1.0,)
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    min_words: int = 0
    max_words: int = 50
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    stop: tuple[str, ...] = ()
    ban: tuple[str, ...] = ()
    label: str | None = None
    unknown: bool = False
    echo: bool = False
    seed: int = 0
    precision: str = "float32"
    beams: int = 0
    length_penalty: float = 0.6
    state_noise: float = 0.0

    def __post_init__(self) -> None:
        check_int("samples", self.samples, 1, _MOST_TEXTS)
        for field, allowed in _SEVERAL.items():
            object.__setattr__(self, field, sequence(field, getattr(self, field), allowed))
        if not self.temperatures:
            raise SettingError("temperatures", f"{TEMPERATURES}, or several in a list", ())
        for value in self.temperatures:
            check_float("temperature", value, TEMPERATURES, lambda x: x == 0 or 1e-3 <= x <= 1e3)
        check_int("top_k", self.top_k, 0, 2**31 - 1)
        check_float("top_p", self.top_p, "a number in (0, 1]", lambda x: 0 < x <= 1)
        check_float("min_p", self.min_p, *SHARE)
        check_int("max_words", self.max_words, 1, 100_000)
        check_int("min_words", self.min_words, 0)
        if self.min_words > self.max_words:
            raise SettingError("min_words", "at most max_words", self.min_words)
        if self.texts > _MOST_TEXTS:
            allowed = f"so many that a prompt has at most {_MOST_TEXTS} texts"
            raise SettingError("samples", allowed, self.samples)
        penalty, allowed = self.repetition_penalty, "a number from 1 (off) to 10"
        check_float("repetition_penalty", penalty, allowed, lambda x: 1 <= x <= 10)
        check_int("no_repeat_ngram", self.no_repeat_ngram, 0, 100)
        for field, words in (("stop", self.stop), ("ban", self.ban)):
            for word in words:
                if not isinstance(word, str) or not word.strip():
                    raise SettingError(field, "words that are not empty, in a list", word)
        if self.label is not None and not isinstance(self.label, str):
            raise SettingError("label", "a text", self.label)
        check_bool("unknown", self.unknown)
        check_bool("echo", self.echo)
        check_int("seed", self.seed, 0, 2**64 - 1)
        if self.precision not in PRECISIONS:
            raise SettingError("precision", " or ".join(PRECISIONS), self.precision)
        check_int("beams", self.beams, 0, _MOST_BEAMS)
        check_float("length_penalty", self.length_penalty, "a number from 0 to 10",
                    lambda x: 0 <= x <= 10)  # fmt: skip
        check_float("state_noise", self.state_noise, "a number from 0 to 100",
                    lambda x: 0 <= x <= 100)  # fmt: skip
        if self.beams:
            self._check_beams()

    def _check_beams(self) -> None:
        """Refuses what has no meaning where nothing is drawn."""
        usual = {
            "temperatures": (1.0,),
            "top_k": 0,
            "top_p": 1,
            "min_p": 0,
            "repetition_penalty": 1,
            "state_noise": 0,
        }
        for field, value in usual.items():
            if getattr(self, field) != value:
                name = "temperature" if field == "temperatures" else field
                raise SettingError(
                    name, "left out with beams, as beam search draws nothing", getattr(self, field)
                )
        if self.samples > self.beams:
            raise SettingError("samples", f"at most beams, {self.beams}", self.samples)

    def record(self) -> dict[str, Any]:
        """Gives the fields for JSON, without those of beam search and noise if they are off."""
        fields = asdict(self)
        if not self.beams:
            del fields["beams"], fields["length_penalty"]
        if not self.state_noise:
            del fields["state_noise"]
        return fields

    def within(self, run: GenerationSettings) -> GenerationSettings:
        """Gives these settings with the fields in `RUN_WIDE` taken from the run."""
        return replace(self, **{name: getattr(run, name) for name in RUN_WIDE})

    @property
    def texts(self) -> int:
        """Number of texts for each prompt."""
        return self.samples * len(self.temperatures)

    def temperature_of(self, sample: int) -> float:
        """Gives the temperature of a sample; samples count from 1 through all temperatures."""
        return self.temperatures[(sample - 1) // self.samples]
