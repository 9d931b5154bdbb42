"""How good a model `textmill train --minutes` makes, and how many words a second it trains on.

    python benchmarks/training.py --texts alice.txt:5 sherlock.txt:15 tinyshakespeare.txt:15
    python benchmarks/training.py [--repeats 12] [--rows 0 1 2]

The first trains on each text for so many minutes by the two commands a user would give, and prints
the perplexity on its last 5 % beside the baselines' over the same words.

The second compares textmill, Keras as it comes, and PyTorch where it is installed. Three networks
with random words, all with dropout, clipping and AdamW, the ways in turns, in one process with two
threads. The dense output's softmax is over the whole vocabulary in all of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from table import print_table

from textmill.model.tensorflow_setup import load_tensorflow

# Vocabulary, units, layers, batch, steps.
ROWS = [(5_000, 256, 1, 32, 32), (10_000, 400, 2, 32, 35), (33_278, 650, 2, 20, 35)]
THREADS, RATE, CLIP = 2, 1e-3, 0.5

Step = Callable[[np.ndarray, np.ndarray], Any]  # trains on ids and targets [B, T]


def textmill(words: int, units: int, layers: int, batch: int, *, plain: bool = False) -> Step:
    """Training steps of `network.lstm`, or without `network.cpu_kernels`."""
    import keras

    from textmill.model.network.lstm import LanguageModel
    from textmill.model.settings import NetworkSettings, TrainSettings
    from textmill.model.training.fit import _optimizer
    from textmill.model.training.trainee import Trainee

    network = LanguageModel(
        NetworkSettings(vocabulary=words, embedding=units, hidden=units, layers=layers)
    )
    optimizer = _optimizer(TrainSettings(clip=CLIP), RATE)
    if plain:
        network.fast = None
        optimizer = keras.optimizers.AdamW(RATE, global_clipnorm=CLIP)
    trainee = Trainee(network, batch=batch)
    trainee.compile(optimizer=optimizer, jit_compile=False)

    def step(ids: np.ndarray, targets: np.ndarray) -> Any:
        return trainee.train_on_batch({"ids": ids}, targets, np.ones(ids.shape, np.float32))

    return step


def pytorch(words: int, units: int, layers: int, batch: int) -> Step:
    """Training steps of torch.nn.LSTM with a tied output."""
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)
    embedding, dropout = nn.Embedding(words, units), nn.Dropout(0.5)
    lstm = nn.LSTM(units, units, layers, dropout=0.5 if layers > 1 else 0.0)
    output = nn.Linear(units, words)
    output.weight = embedding.weight
    parts = nn.ModuleList([embedding, lstm, output])
    optimizer = torch.optim.AdamW(parts.parameters(), RATE)
    state = (torch.zeros(layers, batch, units), torch.zeros(layers, batch, units))

    def step(ids: np.ndarray, targets: np.ndarray) -> Any:
        nonlocal state
        optimizer.zero_grad()
        hidden, after = lstm(dropout(embedding(torch.from_numpy(ids.T).long())), state)
        state = tuple(part.detach() for part in after)
        logits = output(dropout(hidden)).view(-1, words)
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(targets.T).long().reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), CLIP)
        optimizer.step()
        return loss.item()

    return step


def speeds(row: tuple[int, int, int, int, int], repeats: int) -> list[tuple[str, str]]:
    """Median words/s of each way, and textmill's ratio to it."""
    words, units, layers, batch, steps = row
    ways = {"textmill": textmill(words, units, layers, batch)}
    ways["Keras as it comes"] = textmill(words, units, layers, batch, plain=True)
    if importlib.util.find_spec("torch"):
        ways["PyTorch"] = pytorch(words, units, layers, batch)
    random = np.random.default_rng(0)
    ids, targets = random.integers(3, words, (2, batch, steps)).astype(np.int32)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for i in range(2 + repeats):
        for way, step in ways.items():
            started = time.perf_counter()
            step(ids, targets)
            if i >= 2:
                seconds[way].append(time.perf_counter() - started)
    own, name = median(seconds["textmill"]), f"{words:,} words, {units} x {layers}"
    found = []
    for way, times in seconds.items():
        rate = f"{batch * steps / median(times):,.0f} words/s"
        ratio = "" if way == "textmill" else f"; textmill {median(times) / own:.2f} times"
        found.append((f"{way}: {name}, batch {batch} x {steps}", rate + ratio))
    return found


def quality(text: str, minutes: float, folder: str) -> Iterator[tuple[str, str]]:
    """Trains and evaluates a model as a user would."""
    model = str(Path(folder) / f"{Path(text).stem}-{minutes:g}")
    command = [sys.executable, "-m", "textmill"]
    budget = ["--minutes", f"{minutes:g}"]
    subprocess.run([*command, "train", text, *budget, "--out", model, "--quiet"], check=True)
    asked = [*command, "evaluate", model, text, "--baselines", "--json"]
    printed = subprocess.run(asked, check=True, stdout=subprocess.PIPE).stdout
    found = json.loads(printed)
    metrics = json.loads((Path(model) / "training.json").read_text())["metrics"]
    ratio = found["perplexity"] / found["kneser_ney_5gram_perplexity"]
    print(f"{text}: {metrics}", file=sys.stderr)
    name = f"{Path(text).name}, {minutes:g} minutes"
    yield f"{name}: test perplexity", f"{found['perplexity']:.2f}"
    yield f"{name}: Kneser-Ney 5-gram", f"{found['kneser_ney_5gram_perplexity']:.2f}"
    yield f"{name}: unigram", f"{found['unigram_perplexity']:.2f}"
    yield f"{name}: textmill / Kneser-Ney", f"{ratio:.3f}"
    yield (
        f"{name}: words to train on, vocabulary",
        (f"{metrics['train_words']:,}, {metrics['vocabulary']:,}"),
    )
    yield f"{name}: epochs, seconds", f"{metrics['epochs']:.1f}, {metrics['seconds']:.0f}"
    yield f"{name}: words/s, validations included", f"{metrics['words_a_second']:,}"
    yield (
        f"{name}: share of the time waiting for tf.data",
        (f"{metrics['share_of_time_waiting_for_data']:.2%}"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--texts", nargs="+", metavar="FILE:MINUTES")
    parser.add_argument("--keep", metavar="DIR", help="where the models go")
    args = parser.parse_args()
    if args.texts:
        with tempfile.TemporaryDirectory() as folder:
            rows = []
            for text in args.texts:
                file, _, minutes = text.rpartition(":")
                rows += quality(file, float(minutes), args.keep or folder)
            print_table(rows)
        return
    # PyTorch's optimisers load it if they can, and its copy of LLVM clashes with TensorFlow's.
    sys.modules["triton"] = None  # type: ignore[assignment]
    load_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    print_table(line for row in args.rows for line in speeds(ROWS[row], args.repeats))


if __name__ == "__main__":
    main()
