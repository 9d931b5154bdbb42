"""The generator beside its limit and beside other ways to write the same number of words.

    python benchmarks/generation.py [--rounds 3] [--parts limit ...]

Everything runs in this one process with one thread, in turns, so ratios compare like with like.
`reference`: vocabulary 33,278, embedding and hidden 650, 2 layers; `small`: 5,000, 256, 1 layer;
random weights, float32, output biases by Zipf's law. The dense limit is the best rate of large
float32 matrix products, measured beside, over 2 flop for each weight of LSTM and dense output.
Memory is the process's at its peak, TensorFlow included. The adaptive output has a benchmark of its
own (adaptive.py), as it needs word frequencies. PyTorch is measured where it is installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from table import print_table

from textmill.model.generation.generator import Generator
from textmill.model.network.directory import SavedModel, weight_shapes
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings, NetworkSettings
from textmill.model.tensorflow_setup import use_one_thread
from textmill.model.text.vocabulary import RESERVED, Vocabulary
from textmill.pipeline.command.bench import flop_of_a_word, matrix_peak, random_prompts, timed

REFERENCE = NetworkSettings(vocabulary=33_278, embedding=650, hidden=650, layers=2)
PARTS = ["limit", "rivals", "filters", "prompts"]
SMALL = NetworkSettings(vocabulary=5_000, embedding=256, hidden=256, layers=1)


def make(network: NetworkSettings, *, end: float = -20.0) -> SavedModel:
    """A model of random weights whose texts end with a logit of `end` at each word."""
    random = np.random.default_rng(0)
    arrays = {
        name: random.uniform(-0.05, 0.05, shape).astype(np.float32)
        for name, shape in weight_shapes(network).items()
    }
    arrays["output_bias"] -= np.log(np.arange(2, network.vocabulary + 2, dtype=np.float32))
    arrays["output_bias"][2] = end
    words = [*RESERVED, *(f"w{i}" for i in range(network.vocabulary - len(RESERVED)))]
    counts = range(network.vocabulary, 0, -1)
    vocabulary = Vocabulary(level="word", words=words, counts=list(counts))
    return SavedModel(network, vocabulary, "stream", (), arrays, {})


def peak_memory() -> str:
    """The most resident memory of this process since the last call; Linux keeps it."""
    with open("/proc/self/status", encoding="ascii") as file:
        kib = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # starts anew, see proc(5)
    return f"peak {kib / 2**20:.1f} GiB"


def rate(generator: Generator, texts: int, **wanted: object) -> float:
    """Words a second of texts of 40 words after empty prompts."""
    settings = GenerationSettings(**{"max_words": 40, "min_words": 40, **wanted})  # type: ignore[arg-type]
    words, seconds, _ = timed(generator, [Prompt(str(i), "") for i in range(texts)], settings)
    return words / seconds


def against_limit(network: NetworkSettings, rounds: int) -> list[tuple[str, str]]:
    """Words a second at several numbers of slots, each beside the peak measured around it."""
    rows, flop, model = [], flop_of_a_word(network), make(network)
    for slots in (64, 128, 256):
        peak_memory()
        generator, shares, rates = Generator(model, slots=slots), [], []
        for _ in range(rounds):
            peak = matrix_peak(seconds=0.5)
            rates.append(rate(generator, 2 * slots if network is REFERENCE else 4 * slots))
            peak = max(peak, matrix_peak(seconds=0.5))
            shares.append(rates[-1] * flop / peak)
        name = "reference" if network is REFERENCE else "small"
        rows.append(
            (
                f"{name}, dense output, {slots} slots",
                f"{median(rates):,.0f} words/s, {median(shares):.2f} of the dense limit; "
                + peak_memory(),
            )
        )
    return rows


def lesson_loop(words: int) -> Callable[[], int]:
    """One prompt at a time, the whole prefix again at each word, as lessons have it."""
    import keras
    import tensorflow as tf

    net = keras.Sequential(
        [
            keras.layers.Embedding(SMALL.vocabulary, SMALL.embedding),
            keras.layers.LSTM(SMALL.hidden),
            keras.layers.Dense(SMALL.vocabulary),
        ]
    )

    def run() -> int:
        ids = [5]
        for _ in range(words):
            logits = net.predict(np.array([ids]), verbose=0)
            ids.append(int(tf.random.categorical(logits / 0.8, 1)[0, 0]))
        return words

    return run


def keras_steps(steps: int) -> Callable[[], int]:
    """A stateful Keras network called from Python for each word of 256 texts."""
    import keras
    import tensorflow as tf

    net = keras.Sequential(
        [
            keras.layers.Input(batch_shape=(256, 1)),
            keras.layers.Embedding(REFERENCE.vocabulary, REFERENCE.embedding),
            *(
                keras.layers.LSTM(REFERENCE.hidden, stateful=True, return_sequences=True)
                for _ in range(REFERENCE.layers)
            ),
            keras.layers.Dense(REFERENCE.vocabulary),
        ]
    )

    def run() -> int:
        ids = tf.fill([256, 1], 5)
        for _ in range(steps):
            ids = tf.random.categorical(net(ids)[:, 0] / 0.8, 1)
        ids.numpy()
        return 256 * steps

    return run


def torch_loop(steps: int) -> Callable[[], int] | None:
    """A batched PyTorch loop with multinomial, where torch is installed."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    embedding = torch.nn.Embedding(REFERENCE.vocabulary, REFERENCE.embedding)
    lstm = torch.nn.LSTM(REFERENCE.embedding, REFERENCE.hidden, REFERENCE.layers)
    dense = torch.nn.Linear(REFERENCE.hidden, REFERENCE.vocabulary)

    @torch.no_grad()
    def run() -> int:
        ids, state = torch.full((1, 64), 5), None
        for _ in range(steps):
            out, state = lstm(embedding(ids), state)
            ids = torch.multinomial((dense(out[0]) / 0.8).softmax(-1), 1).T
        return 64 * steps

    return run


def paired(
    ours: Callable[[], float], theirs: Callable[[], int], rounds: int
) -> tuple[float, float]:
    """Medians of our words a second and of another's, measured in turns."""
    theirs()  # whatever it does only once
    mine, other = [], []
    for _ in range(rounds):
        mine.append(ours())
        started = time.perf_counter()
        words = theirs()
        other.append(words / (time.perf_counter() - started))
    return median(mine), median(other)


def rivals(rounds: int) -> list[tuple[str, str]]:
    """Other ways to write, each in turns with the generator on the same network."""
    small, reference = Generator(make(SMALL), slots=256), Generator(make(REFERENCE), slots=256)
    rows = []
    for name, ours, theirs in (
        ("the lesson's loop (small, 40 words)", lambda: rate(small, 512), lesson_loop(40)),
        (
            "stateful Keras steps, batch 256 (reference)",
            lambda: rate(reference, 256),
            keras_steps(4),
        ),
        (
            "PyTorch with multinomial, batch 64 (reference)",
            lambda: rate(reference, 256),
            torch_loop(4),
        ),
    ):
        if theirs is None:
            rows.append((f"against {name}", "not measured: torch is not installed"))
            continue
        peak_memory()
        mine, other = paired(ours, theirs, rounds)
        figure = f"{mine:,.0f} to {other:,.0f} words/s: {mine / other:,.1f} times"
        rows.append((f"against {name}", f"{figure}; {peak_memory()}, both models"))
    return rows


def filters(rounds: int) -> list[tuple[str, str]]:
    """Time of filtered draws over that of plain ones."""
    rows = []
    for name, network in (("small", SMALL), ("reference", REFERENCE)):
        generator, texts = Generator(make(network), slots=256), 256 if network is REFERENCE else 512
        kinds: dict[str, dict[str, object]] = {
            "plain": {}, "top-k 50": {"top_k": 50}, "top-p 0.9": {"top_p": 0.9},
            "min-p 0.05": {"min_p": 0.05},
        }  # fmt: skip
        rates: dict[str, list[float]] = {kind: [] for kind in kinds}
        peak_memory()
        for _ in range(rounds):
            for kind, wanted in kinds.items():
                rates[kind].append(rate(generator, texts, **wanted))
        plain, peak = median(rates["plain"]), peak_memory()
        for kind in list(kinds)[1:]:
            figure = f"{plain / median(rates[kind]):.2f} times; {peak}"
            rows.append((f"time of {kind} over plain ({name})", figure))
    return rows


def prompts_and_lengths() -> list[tuple[str, str]]:
    """Reading once for many samples, and slots that do not wait for each other."""
    model = make(SMALL)
    generator, words = Generator(model), [f"w{i}" for i in range(20)]
    texts = {f"{i}": " ".join(np.random.default_rng(i).permutation(words)) for i in range(1024)}
    once = [Prompt(name, text) for name, text in texts.items()][:64]
    again = [Prompt(f"{p.id}/{i}", f"{p.text} w{i}") for p in once for i in range(16)]
    spent = []
    for prompts, samples in ((once, 16), (again, 1)):
        settings = GenerationSettings(samples=samples, max_words=5, min_words=5)
        _, _, times = timed(generator, prompts, settings)
        spent.append(times.tokenise + times.read)
    natural = Generator(make(SMALL, end=0.3))
    settings = GenerationSettings(min_words=3, max_words=20)
    drawn, _, times = timed(natural, random_prompts(natural.model, 4096), settings)
    peak = peak_memory()
    return [
        (
            "time of prompts: 16 samples of 64 prompts, against 1,024 prompts",
            f"{spent[1] / spent[0]:.1f} times less; {peak}",
        ),
        (
            f"useful slot steps, 4,096 texts of 3 to 20 words ({drawn / 4096:.1f} on average)",
            f"{times.words / times.slot_steps:.3f}",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args()
    use_one_thread()
    rows = [("matrix-product peak, one thread", f"{matrix_peak() / 1e9:.0f} GFLOP/s")]
    if "limit" in args.parts:
        for network in (REFERENCE, SMALL):
            rows += against_limit(network, args.rounds)
    if "rivals" in args.parts:
        rows += rivals(args.rounds)
    if "filters" in args.parts:
        rows += filters(args.rounds)
    if "prompts" in args.parts:
        rows += prompts_and_lengths()
    print_table(rows)


if __name__ == "__main__":
    main()
