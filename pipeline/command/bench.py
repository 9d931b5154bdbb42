"""`textmill bench`: how fast a model writes on this machine, beside what the machine could do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from textmill.model.errors import SettingError
from textmill.model.generation.generator import Generator, Times
from textmill.model.network.directory import SavedModel, load_model
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings, NetworkSettings
from textmill.model.tensorflow_setup import use_one_thread
from textmill.model.text.vocabulary import RESERVED, Vocabulary

PROMPT_WORDS = 8
PARTS = ("tokenise", "read", "draw", "join")  # of `Times`, in seconds


def flop_of_a_word(network: NetworkSettings) -> int:
    """Floating-point operations of a word with a dense output: 2 for each weight it touches."""
    weights, width = 0, network.embedding
    for _ in range(network.layers):
        weights += (width + network.hidden) * 4 * network.hidden
        width = network.hidden
    if width != network.embedding:
        weights += width * network.embedding
    return 2 * (weights + network.vocabulary * network.embedding)


def matrix_peak(*, seconds: float = 2.0) -> float:
    """The best rate of TensorFlow's float32 products of large square matrices, in flop/s.

    With as many threads as TensorFlow was told to use.
    """
    import tensorflow as tf

    best, until = 0.0, time.perf_counter() + seconds
    for size in (1024, 2048):
        a, b = (tf.random.stateless_normal([size, size], [0, i]) for i in (1, 2))
        tf.matmul(a, b).numpy()
        while best == 0 or time.perf_counter() < until - seconds / 2 * (size == 1024):
            started = time.perf_counter()
            tf.matmul(a, b)[0, 0].numpy()
            best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best


def random_prompts(model: SavedModel, count: int) -> list[Prompt]:
    """Prompts of `PROMPT_WORDS` random words of the vocabulary.

    They have the mean numbers, and sources of half as many random words as the longest had.
    """
    texts = _random_texts(model.vocabulary, count, PROMPT_WORDS, seed=0)
    sources: list[str | None] = [None] * count
    if model.source is not None:
        length = max(1, model.longest_source // 2)
        sources = list(_random_texts(model.source, count, length, seed=1))
    context = model.context.mean.tolist() if model.columns else None
    return [
        Prompt(f"bench:{i}", text, context=context, source=source)
        for i, (text, source) in enumerate(zip(texts, sources, strict=True))
    ]


def _random_texts(vocabulary: Vocabulary, count: int, length: int, *, seed: int) -> list[str]:
    words = [word for word in vocabulary.words[len(RESERVED) :] if word.isalnum()]
    if not words:
        return [""] * count
    chosen = np.random.default_rng(seed).integers(0, len(words), (count, length))
    return [" ".join(words[j] for j in row) for row in chosen]


def timed(
    generator: Generator, prompts: Sequence[Prompt], settings: GenerationSettings
) -> tuple[int, float, Times]:
    """Words drawn, seconds, and where they went; the program is compiled before."""
    list(generator.generate(prompts[:1], settings))
    generator.times = Times()
    started = time.perf_counter()
    words = sum(generation.words for generation in generator.generate(prompts, settings))
    return words, time.perf_counter() - started, generator.times


def bench(model_dir: str, *, slots: Sequence[int], texts: int, words: int) -> dict[str, Any]:
    """Measures a model in one process with one thread.

    Args:
        slots: numbers of texts drawn at a time. texts: of each measurement; 0 means 8 for each
            slot. words: of each text.

    Raises:
        TextmillError: the model or the settings are of no use.
    """
    if any(number < 64 for number in slots):
        raise SettingError("slots", "64 or more, as fewer change the texts", min(slots))
    use_one_thread()
    model = load_model(model_dir)
    label = model.labels[0] if model.labels else None
    peak, flop = matrix_peak(), flop_of_a_word(model.network)
    fixed = GenerationSettings(max_words=words, min_words=words, label=label)
    rows = []
    for number in slots:
        generator = Generator(model, slots=number)
        drawn, seconds, times = timed(generator, random_prompts(model, texts or 8 * number), fixed)
        row = {
            "slots": number,
            "words_a_second": round(drawn / seconds),
            "share_of_limit": round(drawn / seconds * flop / peak, 3),
        }
        spent = {f"{part}_share": round(getattr(times, part) / seconds, 3) for part in PARTS}
        rows.append(row | spent)
    generator = Generator(model)
    count = texts or 32 * generator.slots
    own = GenerationSettings(max_words=words, label=label)
    drawn, seconds, times = timed(generator, random_prompts(model, count), own)
    return {
        "vocabulary": model.network.vocabulary,
        "output": "adaptive" if model.network.tails else "dense",
        "matrix_peak_gflop_a_second": round(peak / 1e9, 1),
        "mflop_a_word_dense": round(flop / 1e6, 2),
        "dense_limit_words_a_second": round(peak / flop),
        "slots": rows,
        "own_lengths": {
            "texts": count,
            "words_a_text": round(drawn / count, 1),
            "words_a_second": round(drawn / seconds),
            "useful_slot_steps": round(times.words / times.slot_steps, 3),
        },
    }
