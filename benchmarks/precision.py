"""What products in low precision change: speed and perplexity. For equal bits see bit_equality.py.

    python benchmarks/precision.py MODEL TEXT [--words 20000] [--rounds 3]

One process, one thread. Perplexity is the generator's own network's, over the last words of the
file as it is.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np
import tensorflow as tf
from table import print_table

from textmill.model.generation.compiled_loop import Graph
from textmill.model.generation.generator import MANY_SLOTS, SLOTS, Generator
from textmill.model.network.directory import SavedModel, load_model
from textmill.model.settings import PRECISIONS, GenerationSettings
from textmill.model.tensorflow_setup import use_one_thread
from textmill.pipeline.command.bench import flop_of_a_word, matrix_peak, random_prompts, timed


def perplexity(model: SavedModel, ids: np.ndarray, precision: str) -> float:
    """Perplexity of `SLOTS` parts of the text side by side, without their first words."""
    graph = Graph(model, SLOTS, precision)
    columns = ids[: len(ids) // SLOTS * SLOTS].reshape(SLOTS, -1).astype(np.int32)
    on = tf.fill([SLOTS], True)

    @tf.function
    def step(word, following, h, c):
        x, h, c = graph.step(word, h, c, on)
        logits = graph.sampler.logits(graph.sampler.products(x))
        log_p = tf.gather(logits, following, batch_dims=1) - tf.reduce_logsumexp(logits, axis=1)
        return -tf.reduce_sum(tf.cast(log_p, tf.float64)), h, c

    h = c = [tf.zeros([SLOTS, graph.hidden])] * graph.layers
    nats = 0.0
    for i in range(columns.shape[1] - 1):
        lost, h, c = step(columns[:, i], columns[:, i + 1], h, c)
        nats += float(lost)
    return float(np.exp(nats / (SLOTS * (columns.shape[1] - 1))))


def rows_of(model: SavedModel, ids: np.ndarray, rounds: int) -> list[tuple[str, str]]:
    flop, prompts = flop_of_a_word(model.network), random_prompts(model, 4 * MANY_SLOTS)
    rows = []
    for slots in (SLOTS, MANY_SLOTS):
        generator = Generator(model, slots=slots)
        rates: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        for _ in range(rounds):
            for precision in PRECISIONS:
                settings = GenerationSettings(max_words=40, min_words=40, precision=precision)
                words, seconds, _ = timed(generator, prompts, settings)
                rates[precision].append(words / seconds)
        limit = matrix_peak() / flop
        for precision, found in rates.items():
            figure = f"{median(found):,.0f} words/s, {median(found) / limit:.2f} of the dense limit"
            rows.append((f"{precision}, {slots} slots", figure))
    for precision in PRECISIONS:
        rows.append((f"perplexity, {precision}", f"{perplexity(model, ids, precision):.3f}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    use_one_thread()
    model = load_model(args.model)
    with open(args.text, encoding="utf-8") as file:
        ids = model.vocabulary.encode([file.read()])[0][-args.words :]
    print_table(rows_of(model, ids, args.rounds))


if __name__ == "__main__":
    main()
