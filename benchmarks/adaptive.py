"""Words a second with an adaptive and a dense output, beside the limit of a dense one.

    python benchmarks/adaptive.py wikitext-2/train.txt [--temperature 0.8] [--slots 64 128 256]

The reference network: the corpus's own vocabulary (33,278 words for WikiText-2), embedding and
hidden 650, 2 layers, float32, random weights, output biases at the log frequencies. One process,
one thread. The dense limit is this machine's float32 matrix-product peak on one thread, measured
beside each row, over 2 flop for each weight of LSTM layers and dense output.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter

import numpy as np

from textmill.model.generation.generator import SLOTS, Generator
from textmill.model.network.adaptive_cuts import choose_output
from textmill.model.network.directory import SavedModel, weight_shapes
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings, NetworkSettings
from textmill.model.tensorflow_setup import use_one_thread
from textmill.model.text.vocabulary import RESERVED, Vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("corpus")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--slots", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    use_one_thread()
    vocabulary = read(args.corpus)
    models = {output: make(vocabulary, output) for output in ("dense", "adaptive")}
    cuts = models["adaptive"].network
    frequent = np.array(vocabulary.counts)
    print(f"vocabulary {len(vocabulary):,}, cut-offs {cuts.cutoffs}, widths {cuts.tail_widths},")
    tail = frequent[cuts.cutoffs[0] :].sum() / frequent.sum()
    print(f"tail mass of the corpus {tail:.3f}, temperature {args.temperature:g},")
    computed, accepted = tails_computed(models["adaptive"], args.temperature)
    print(f"{computed:.2f} tails computed for a word, {accepted:.2f} of them accepted\n")
    print("| output | slots | words/s | peak GFLOP/s | of the dense limit | words in tails |")
    print("|---|---|---|---|---|---|")
    weights = sum(
        int(np.prod(shape))
        for name, shape in weight_shapes(models["dense"].network).items()
        if "bias" not in name
    )
    for slots in args.slots:
        for output, model in models.items():
            runs = [measure(model, slots, args.temperature, cuts) for _ in range(args.repeats)]
            rate, share, top = (statistics.median(column) for column in zip(*runs, strict=True))
            of_limit = rate / (top / (2 * weights))
            print(
                f"| {output} | {slots} | {rate:,.0f} | {top / 1e9:.0f} | {of_limit:.2f} "
                f"| {share:.3f} |",
                flush=True,
            )


def read(path: str) -> Vocabulary:
    """The vocabulary of a tokenised corpus, each line ended by `<eos>`."""
    counts: Counter[str] = Counter()
    lines = 0
    with open(path, encoding="utf-8") as file:
        for line in file:
            counts.update(line.split())
            lines += 1
    unknown = counts.pop("<unk>", 0)
    words = counts.most_common()
    return Vocabulary(
        level="whitespace",
        words=[*RESERVED, *(word for word, _ in words)],
        counts=[0, unknown, lines, *(count for _, count in words)],
    )


def make(vocabulary: Vocabulary, output: str) -> SavedModel:
    """The reference network with random weights and biases at the log frequencies."""
    sizes = NetworkSettings(vocabulary=len(vocabulary), embedding=650, hidden=650, layers=2)
    network = choose_output(output, vocabulary.counts, sizes)
    random = np.random.default_rng(0)
    arrays = {
        name: random.uniform(-0.05, 0.05, shape).astype(np.float32)
        for name, shape in weight_shapes(network).items()
    }
    share = np.array(vocabulary.counts) + 1.0
    share /= share.sum()
    arrays["output_bias"] = np.log(share).astype(np.float32)
    if network.tails:
        mass = [share[first:end].sum() for first, end, _ in network.tails]
        arrays["cluster_bias"] = np.log(mass).astype(np.float32)
    return SavedModel(network, vocabulary, "stream", (), arrays, {})


def measure(
    model: SavedModel, slots: int, temperature: float, cuts: NetworkSettings
) -> tuple[float, float, float]:
    """Words a second, share of words that stand in tails, and the peak in flop a second."""
    settings = GenerationSettings(temperatures=(temperature,), max_words=40, min_words=40)
    generator = Generator(model, slots=slots)
    prompts = [Prompt(str(i), "") for i in range(2 * slots)]
    list(generator.generate(prompts[:slots], settings))  # compiles
    top = peak()
    started = time.perf_counter()
    found = list(generator.generate(prompts, settings))
    seconds = time.perf_counter() - started
    ids = np.concatenate(model.vocabulary.encode([text.text for text in found]))
    share = float((ids >= cuts.cutoffs[0]).mean())
    return sum(text.words for text in found) / seconds, share, max(top, peak())


def tails_computed(model: SavedModel, temperature: float) -> tuple[float, float]:
    """Tails computed for a word, and the share of them that gave the word."""
    import tensorflow as tf

    from textmill.model.generation.adaptive_softmax import AdaptiveSampler, Wishes
    from textmill.model.generation.compiled_loop import Graph

    graph, slots, steps = Graph(model, SLOTS), SLOTS, 50
    sampler = graph.sampler
    assert isinstance(sampler, AdaptiveSampler)
    never = tf.constant([-np.inf] * 2 + [0.0] * (model.network.vocabulary - 2), tf.float32)
    key = tf.cast(tf.range(slots), tf.uint32)

    @tf.function
    def step(i, token, h, c):
        x, h, c = graph.step(token, h, c, tf.fill([slots], True))
        wishes = Wishes(
            temperature=tf.fill([slots], temperature),
            key=(key, key),
            sample=tf.zeros_like(key),
            position=tf.fill([slots], tf.cast(i, tf.uint32)),
            on=tf.fill([slots], True),
        )
        word, _, tails = sampler.draw(tf.transpose(x), never, lambda words: words, wishes)
        return word, h, c, tails

    zeros = [tf.zeros([slots, graph.hidden])] * model.network.layers
    state = tf.zeros([slots], tf.int32), zeros, zeros
    computed = used = 0
    for i in range(steps):
        *state, tails = step(tf.constant(i), *state)
        computed += int(tails.numpy().sum())
        used += int((state[0].numpy() >= model.network.cutoffs[0]).sum())
    return computed / (slots * steps), used / computed


def peak() -> float:
    """The best of square matrix products on the threads that generation uses, flop a second."""
    import tensorflow as tf

    matrix = tf.random.uniform([2048, 2048])
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        seconds.append(time.perf_counter() - started)
    return 2 * 2048**3 / min(seconds)


if __name__ == "__main__":
    main()
