"""Chooses sizes, rate and regularisation for a corpus and a budget, unless the user gives them.

A budget is counted in passes over the training part: the words that this machine can train on in
the time, divided by the words of the part. More passes mean more dropout. A larger network is
taken if it still gets enough passes. docs/benchmarks.md says what this was tuned on.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from textmill.model.network.adaptive_cuts import AUTO_WORDS
from textmill.model.settings import AUTO, PRESETS, Preset, TrainSettings

# The speed is a rough guess, which is enough: twice the passes raise the dropout by only 0.1.
# Operations a second: of a core in large products, where more than eight cores do not help; of a
# GPU in an LSTM of these sizes.
_CORE, _MOST_CORES, _GPU = 6e10, 8, 8e12
_OPERATIONS = 6  # for each weight and word: a multiply-add forwards, two backwards
_FREQUENT = 2_000  # an adaptive output costs about as much as a dense one of this many words
_MINUTES = 15.0  # the budget that sizes are chosen for, if none is given
_LEAST_WORDS = {"large": 1_000_000, "medium": 500_000}  # words of the training part
_LEAST_PASSES = 6.0  # passes that a larger network needs
_RATE, _RATE_UNITS = 4e-3, 256  # AdamW's peak rate; divided by the root of units / 256 above 256


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What `choose` decides; the fields are those of `NetworkSettings` and `TrainSettings`."""

    embedding: int
    hidden: int
    layers: int
    dropout: float
    weight_drop: float
    word_dropout: float
    activation_penalty: float
    slowness_penalty: float
    learning_rate: float

    def given(self, train: TrainSettings) -> Recipe:
        """Gives this recipe with the values that the settings give."""
        named = {name: getattr(train, name, None) for name in asdict(self)}
        return replace(self, **{name: v for name, v in named.items() if v is not None})


# No regularisation, for networks made by hand.
PLAIN = Recipe(
    embedding=0,
    hidden=0,
    layers=0,
    dropout=0.0,
    weight_drop=0.0,
    word_dropout=0.0,
    activation_penalty=0.0,
    slowness_penalty=0.0,
    learning_rate=_RATE,
)


def choose(
    preset: str | Preset,
    *,
    words: int,
    vocabulary: int,
    minutes: float | None,
    epochs: int | None,
    cores: int,
    gpus: int,
    source_words: int = 0,
    attention: bool = False,
) -> Recipe:
    """Chooses a recipe.

    Args:
        preset: sizes, or their name in `PRESETS`, or `auto`.
        words: number of words in the training part.
        vocabulary: number of entries of the vocabulary.
        minutes: the budget in minutes, if any.
        epochs: the budget in passes, if any; with both, the smaller one counts.
        cores: number of the machine's cores.
        gpus: number of the machine's GPUs.
        source_words: number of words in the training part's sources, if there are some.
        attention: whether each step looks at all of the source.
    """

    def passes(size: Preset) -> float:
        output = (vocabulary if vocabulary < AUTO_WORDS else _FREQUENT) * size.embedding
        speed = _GPU if gpus else _CORE * min(cores, _MOST_CORES)
        encoder = _lstm_weights(size) * source_words / max(words, 1)
        looking = 3 * size.hidden**2 if attention else 0
        speed /= _OPERATIONS * (_weights(size) + output + encoder + looking)
        by_time = (_MINUTES if minutes is None else minutes) * 60 * speed / max(words, 1)
        return by_time if epochs is None else min(by_time, epochs)

    if preset == AUTO:
        fitting = (
            PRESETS[name]
            for name, least in _LEAST_WORDS.items()
            if words >= least and passes(PRESETS[name]) >= _LEAST_PASSES
        )
        size = next(fitting, PRESETS["small"])
    else:
        size = preset if isinstance(preset, Preset) else PRESETS[preset]
    expected = float(epochs) if minutes is None and epochs is not None else passes(size)
    share = min(max(0.05 + 0.1 * math.log2(max(expected, 1.0)), 0.1), 0.65)
    penalty = round(min(expected / 20, 1.0), 2)
    return Recipe(
        embedding=size.embedding,
        hidden=size.hidden,
        layers=size.layers,
        dropout=round(share, 2),
        weight_drop=round(share / 2, 2),
        word_dropout=round(share / 6, 2),
        activation_penalty=penalty,
        slowness_penalty=penalty,
        learning_rate=round(_RATE * min(1.0, _RATE_UNITS / size.hidden) ** 0.5, 5),
    )


def _weights(size: Preset) -> int:
    """Counts the weights of the LSTM layers and the projection."""
    projection = size.hidden * size.embedding if size.hidden != size.embedding else 0
    return _lstm_weights(size) + projection


def _lstm_weights(size: Preset) -> int:
    inputs = [size.embedding] + [size.hidden] * (size.layers - 1)
    return sum(4 * size.hidden * (width + size.hidden) for width in inputs)
