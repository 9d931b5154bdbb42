"""Sizes, rate and regularisation for a corpus and a budget, where the user names none.

What a run can afford is counted in passes over its training part: the words that this machine
trains on in the budget, over those there are. The more passes, the more is dropped; a larger
network is taken where it still gets passes enough. docs/benchmarks.md tells what it was tuned on.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from textmill.model.network.adaptive_cuts import AUTO_WORDS
from textmill.model.settings import AUTO, PRESETS, Preset, TrainSettings

# The rule guesses speed, and need not guess well: twice the passes drop a tenth more. A core does
# so many operations a second in large products, and more than eight cores do not help; a GPU does
# so many in an LSTM of these sizes.
_CORE, _MOST_CORES, _GPU = 6e10, 8, 8e12
_OPERATIONS = 6  # for each weight and word: a multiply-add forwards, two backwards
_FREQUENT = 2_000  # an adaptive output costs about what a dense one of so many words does
_MINUTES = 15.0  # for which sizes are chosen where no budget is given
_LEAST_WORDS = {"large": 1_000_000, "medium": 500_000}  # of the training part
_LEAST_PASSES = 6.0  # a larger network needs so many
_RATE, _RATE_UNITS = 4e-3, 256  # peak rate of AdamW, lower by the root for more units


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
        """This recipe, with the values that the settings name."""
        named = {name: getattr(train, name, None) for name in asdict(self)}
        return replace(self, **{name: v for name, v in named.items() if v is not None})


# No regularisation: for networks made by hand.
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
) -> Recipe:
    """A recipe.

    Args:
        preset: sizes, or their name in `PRESETS`, or `auto`.
        words: of the training part.
        minutes, epochs: the budget; with both, what is less.
        cores, gpus: of the machine.
    """

    def passes(size: Preset) -> float:
        output = (vocabulary if vocabulary < AUTO_WORDS else _FREQUENT) * size.embedding
        speed = _GPU if gpus else _CORE * min(cores, _MOST_CORES)
        speed /= _OPERATIONS * (_weights(size) + output)
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
    """Of the LSTM layers and the projection."""
    inputs = [size.embedding] + [size.hidden] * (size.layers - 1)
    lstms = sum(4 * size.hidden * (width + size.hidden) for width in inputs)
    return lstms + (size.hidden * size.embedding if size.hidden != size.embedding else 0)
