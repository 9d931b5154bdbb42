"""Words trained on a second: textmill, Keras as it comes, and PyTorch where it is installed.

    python benchmarks/training.py [--repeats 12] [--rows 0 1 2]

Three networks with random words, all with dropout, clipping and AdamW, the ways in turns, in one
process with two threads. The dense output's softmax is over the whole vocabulary in all of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from table import print_table

from model.quiet import load_tensorflow

# Vocabulary, units, layers, batch, steps.
ROWS = [(5_000, 256, 1, 32, 32), (10_000, 400, 2, 32, 35), (33_278, 650, 2, 20, 35)]
THREADS, RATE, CLIP = 2, 1e-3, 0.5

Step = Callable[[np.ndarray, np.ndarray], Any]  # trains on ids and targets [B, T]


def textmill(words: int, units: int, layers: int, batch: int, *, plain: bool = False) -> Step:
    """Training steps of `model.network`, or without `model.fast`."""
    import keras

    from model.fit import _optimizer
    from model.network import LanguageModel, Trainee
    from model.settings import NetworkSettings, TrainSettings

    network = LanguageModel(
        NetworkSettings(vocabulary=words, embedding=units, hidden=units, layers=layers)
    )
    optimizer = _optimizer(TrainSettings(learning_rate=RATE, clip=CLIP))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    # PyTorch's optimisers load it if they can, and its copy of LLVM clashes with TensorFlow's.
    sys.modules["triton"] = None  # type: ignore[assignment]
    load_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    print_table(line for row in args.rows for line in speeds(ROWS[row], args.repeats))


if __name__ == "__main__":
    main()
