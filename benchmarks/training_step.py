"""Keras's own LSTM layer three ways: as it comes, unrolled, and under XLA.

    python benchmarks/training_step.py [--vocabulary 5000 --hidden 256 --layers 1]

Prints words trained on a second (median over steps, the ways in turns) and each way's ratio to the
layer as it comes, which is what `model/network.py` uses.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np

from model.quiet import load_tensorflow

WAYS = {"as it comes": (False, False), "unrolled": (True, False), "XLA": (False, True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (
        ("vocabulary", 5000), ("hidden", 256), ("layers", 1), ("batch", 32), ("steps", 32),
        ("repeats", 30),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    load_tensorflow()
    import keras

    from model.network import LanguageModel, Trainee
    from model.settings import NetworkSettings
    from pipeline.handler import cpu_kind

    random = np.random.default_rng(0)
    shape = (args.batch, args.steps)
    ids, targets = random.integers(3, args.vocabulary, (2, *shape)).astype(np.int32)
    trainees = {}
    for way, (unroll, xla) in WAYS.items():
        network = LanguageModel(
            NetworkSettings(
                vocabulary=args.vocabulary,
                embedding=args.hidden,
                hidden=args.hidden,
                layers=args.layers,
            )
        )
        for lstm in network.lstms:
            lstm.unroll = unroll
        trainee = Trainee(network, batch=args.batch)
        trainee.compile(
            optimizer=keras.optimizers.AdamW(1e-3, global_clipnorm=0.5),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=xla,
        )
        for _ in range(3):
            trainee.train_on_batch({"ids": ids}, targets)
        trainees[way] = trainee
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(args.repeats):
        for way, trainee in trainees.items():
            started = time.monotonic()
            trainee.train_on_batch({"ids": ids}, targets)
            seconds[way].append(time.monotonic() - started)
    print(f"{cpu_kind()}; V {args.vocabulary}, {args.hidden} x {args.layers}, batch {shape}\n")
    print("| way | words/s | ratio |\n|---|---|---|")
    base = median(seconds["as it comes"])
    for way, found in seconds.items():
        rate = args.batch * args.steps / median(found)
        print(f"| {way} | {rate:,.0f} | {base / median(found):.2f} |")


if __name__ == "__main__":
    main()
