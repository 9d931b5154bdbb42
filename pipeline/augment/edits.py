"""Makes labelled rows by editing real ones, as baselines and in addition to generated ones.

A row's variants are numbered. A variant depends only on (seed, method, text, label, number), not
on other rows. A variant that equals its row or an earlier variant is skipped.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from textmill.model.errors import UsageError
from textmill.pipeline.augment.classifiers import UNSPACED

ALPHA = 0.1  # share of words that EDA swaps or deletes; its authors' choice for small sets
MASKED = 0.15  # share of words that the model draws again
MARKS = (".", ";", "?", ":", "!", ",")  # AEDA's punctuation marks
_TRIES = 10  # numbers tried for each wanted variant
_LETTER = re.compile(r"\w")
_UNSPACED = re.compile(rf"[{UNSPACED}]")
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:['’][^\W{UNSPACED}]+)*")


@dataclass(frozen=True)
class Candidate:
    """A row that may be added.

    Attributes:
        text: the row's text.
        label: the row's label.
        origin: the method that made it.
        source: index of the real row that it came from, if any.
        perplexity: perplexity of the words that the language model wrote, if any.
        unfinished: whether it was cut at the limit of words.
    """

    text: str
    label: str
    origin: str
    source: int | None
    perplexity: float | None = None
    unfinished: bool = False


@dataclass(frozen=True)
class _Variant:
    """A variant of a row that will be made; `number` counts from 0."""

    text: str
    label: str
    number: int


# Takes a seed and a model directory, which only some need; gives a function that makes variants.
_Maker = Callable[[int, str | None], Callable[[list[_Variant]], list[str]]]


def _augmented(
    origin: str,
    maker: _Maker,
    texts: Sequence[str],
    labels: Sequence[str],
    count_per_label: Mapping[str, int],
    *,
    seed: int,
    model_dir: str | None = None,
) -> list[Candidate]:
    """Makes the wanted number of variants, equally many from each different row of a label.

    There are fewer if rows do not allow more; the words of a row of one word cannot be swapped.
    """
    make = maker(seed, model_dir)
    sources: dict[str, dict[str, int]] = {}
    for i, (text, label) in enumerate(zip(texts, labels, strict=True)):
        sources.setdefault(label, {}).setdefault(text, i)
    wanted: dict[tuple[str, str], int] = {}
    for label, count in count_per_label.items():
        rows = list(sources.get(label, ()))
        if count and not rows:
            raise UsageError(f"there is no row of the label {label!r} to make others from")
        for i, text in enumerate(rows):
            wanted[label, text] = count // len(rows) + (i < count % len(rows))
    found: dict[tuple[str, str], dict[str, None]] = {key: {} for key in wanted}
    tried = dict.fromkeys(wanted, 0)
    while True:
        asked = []
        for (label, text), count in wanted.items():
            missing = min(count - len(found[label, text]), _TRIES * count - tried[label, text])
            first = tried[label, text]
            asked += [_Variant(text, label, first + k) for k in range(missing)]
            tried[label, text] += max(missing, 0)
        if not asked:
            break
        for variant, made in zip(asked, make(asked), strict=True):
            if made != variant.text:
                found[variant.label, variant.text][made] = None
    return [
        Candidate(made, label, origin, sources[label][text])
        for (label, text), variants in found.items()
        for made in variants
    ]


def _random(seed: int, origin: str, variant: _Variant) -> np.random.Generator:
    key = f"{seed}\n{origin}\n{variant.number}\n{variant.label}\n{variant.text}"
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def _pieces(text: str) -> tuple[list[str], str]:
    """Cuts a text into words, or into characters in scripts without spaces; gives the separator."""
    letters = len(_LETTER.findall(text))
    if 2 * len(_UNSPACED.findall(text)) > letters:
        return [c for c in text if not c.isspace()], ""
    return text.split(), " "


def _edited(
    origin: str, edit: Callable[[list[str], np.random.Generator], list[str]]
) -> Callable[..., list[Candidate]]:
    """Makes an augmenter that changes the words of a row."""

    def edited(seed: int, variant: _Variant) -> str:
        words, between = _pieces(variant.text)
        return between.join(edit(words, _random(seed, origin, variant)) if words else words)

    def maker(seed: int, model_dir: str | None) -> Callable[[list[_Variant]], list[str]]:
        return lambda variants: [edited(seed, variant) for variant in variants]

    return functools.partial(_augmented, origin, maker)


def swapped(words: list[str], random: np.random.Generator) -> list[str]:
    """Swaps pairs of words, `ALPHA` times their number, at least one (EDA, Wei and Zou 2019)."""
    found = list(words)
    for _ in range(max(1, int(ALPHA * len(words))) if len(words) > 1 else 0):
        i, j = random.choice(len(found), 2, replace=False)
        found[i], found[j] = found[j], found[i]
    return found


def thinned(words: list[str], random: np.random.Generator) -> list[str]:
    """Deletes each word with probability `ALPHA`, but never all words (EDA, Wei and Zou 2019)."""
    kept = random.random(len(words)) >= ALPHA
    if not kept.any():
        kept[random.integers(len(words))] = True
    return [word for word, stays in zip(words, kept, strict=True) if stays]


def punctuated(words: list[str], random: np.random.Generator) -> list[str]:
    """Puts marks before words, from one to a third of their number (AEDA, Karimi et al. 2021)."""
    count = random.integers(1, max(1, len(words) // 3) + 1)
    places = set(random.choice(len(words), count, replace=False).tolist())
    found = []
    for i, word in enumerate(words):
        found += [MARKS[random.integers(len(MARKS))], word] if i in places else [word]
    return found


def _masked(seed: int, model_dir: str | None) -> Callable[[list[_Variant]], list[str]]:
    """Lets the model draw some words again (contextual augmentation, Kobayashi 2018).

    Each word is drawn again with probability `MASKED`, at least one, from the model's distribution
    given the row's own words before it, and the label if the model has labels. The generator draws
    one word, exactly, and neither `<unk>` nor the end.

    Raises:
        UsageError: there is no model, or it does not know a label.
    """
    from textmill.model.generation.own_process import WriterProcess
    from textmill.model.network.directory import load_model
    from textmill.model.prompt import Prompt
    from textmill.model.settings import GenerationSettings

    if model_dir is None:
        raise UsageError("masked replacement needs a trained model; textmill train makes one")
    model = load_model(model_dir)
    # Training has run in this process, with several threads: texts would have other bits here.
    writer, run = WriterProcess(model), GenerationSettings(seed=seed)
    units = re.compile(r"\S") if model.vocabulary.level == "char" else _WORD

    def make(variants: list[_Variant]) -> list[str]:
        spans: list[list[tuple[int, int]]] = []
        prompts = []
        for variant in variants:
            words = [match.span() for match in units.finditer(variant.text)]
            random = _random(seed, "masked", variant)
            chosen = random.random(len(words)) < MASKED
            if len(words) and not chosen.any():
                chosen[random.integers(len(words))] = True
            spans.append([span for span, yes in zip(words, chosen, strict=True) if yes])
            label = variant.label if model.labels else None
            one = GenerationSettings(min_words=1, max_words=1, label=label)
            for begin, _ in spans[-1]:
                name = f"masked\n{variant.number}\n{begin}\n{label}\n{variant.text}"
                prompts.append(Prompt(id=name, text=variant.text[:begin], settings=one))
        drawn = (generation.text for generation in writer.generate(prompts, run))
        made = []
        for variant, places in zip(variants, spans, strict=True):
            pieces, at = [], 0
            for begin, end in places:
                pieces += [variant.text[at:begin], next(drawn)]
                at = end
            made.append("".join([*pieces, variant.text[at:]]))
        return made

    return make


# Each takes (texts, labels, number of variants for each label) and the keyword arguments seed and
# model_dir, which only some need. It gives candidates in the order of the labels and rows.
AUGMENTERS: dict[str, Callable[..., list[Candidate]]] = {
    "swap": _edited("swap", swapped),
    "delete": _edited("delete", thinned),
    "aeda": _edited("aeda", punctuated),
    "masked": functools.partial(_augmented, "masked", _masked),
}
