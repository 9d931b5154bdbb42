"""Trains on WikiText-2 from saved ids: a long run in pieces, on any Keras backend.

    python benchmarks/wikitext2.py --ids wt2.npz --texts train.txt valid.txt
    python benchmarks/wikitext2.py --ids wt2.npz --minutes 60 --out wt2
    python benchmarks/wikitext2.py --ids wt2.npz --minutes 60 --out wt2 --piece 9 [--resume]

The first makes the ids: words as they stand between spaces, an `<eos>` after each line, blank ones
included, 33,278 words in all. The others train; neither TensorFlow nor the texts are needed there
(KERAS_BACKEND says what is). `--minutes` is the length of the whole run, whose schedule is fixed
at its start; `--piece` ends it early, with a checkpoint, and `--resume` goes on. Perplexity is over
the whole validation file; each validation is written to OUT/metrics.jsonl at once.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from table import print_table

from textmill.model.machine import cores, gpus
from textmill.model.settings import AUTO, PRECISIONS, PRESETS, NetworkSettings, TrainSettings
from textmill.model.text.split import END, Part
from textmill.model.text.vocabulary import EOS, RESERVED, Vocabulary
from textmill.model.training.checkpoint import Checkpoint, about
from textmill.model.training.recipe import Recipe, choose


def make_ids(path: Path, texts: list[str]) -> None:
    """Words, counts and ids of a training and a validation file."""
    parts = [
        [word for line in Path(text).read_text("utf-8").split("\n")[:-1]
         for word in (*line.split(), "<eos>")]
        for text in texts
    ]  # fmt: skip
    counts = Counter(parts[0])
    for word in RESERVED:
        counts.setdefault(word, 0)
    others = sorted((w for w in counts if w not in RESERVED), key=lambda w: (-counts[w], w))
    words = [*RESERVED, *others]
    index = {word: i for i, word in enumerate(words)}
    train, valid = (
        np.array([index.get(word, index["<unk>"]) for word in part], np.int32) for part in parts
    )
    np.savez_compressed(
        path, train=train, valid=valid, words=np.array(words), counts=[counts[w] for w in words]
    )
    print(f"{len(words) - 1:,} words, {len(train):,} ids to train on, {len(valid):,} to validate")


class Report:
    """Prints lines, and metrics into a file."""

    def message(self, text: str) -> None:
        """See `training.fit.Reporter`."""
        print(text, flush=True)

    def progress(self, share: float, *, loss: float, rate: float) -> None:
        """See `training.fit.Reporter`."""

    def validated(self, epoch: float, *, perplexity: float, best: bool) -> None:
        """See `training.fit.Reporter`."""
        self.message(f"epoch {epoch:6.2f}  validation perplexity {perplexity:.2f}")


def train(args: argparse.Namespace) -> None:
    """One piece of a run."""
    started = time.monotonic()
    with np.load(args.ids) as file:
        data = {name: file[name] for name in file.files}
    words = [str(word) for word in data["words"]]
    vocabulary = Vocabulary(level="whitespace", words=words, counts=data["counts"].tolist())
    valid = Part(np.where(data["valid"] == EOS, END, data["valid"]), None, None, words)
    if args.threads and os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    import keras

    from textmill.model.network.adaptive_cuts import choose_output
    from textmill.model.network.likelihood import Evaluator
    from textmill.model.network.lstm import LanguageModel
    from textmill.model.text.dataset import StreamBatches
    from textmill.model.training.fit import fit

    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "checkpoint.safetensors"
    settings = TrainSettings(
        minutes=args.minutes,
        batch=args.batch,
        checkpoint_minutes=5.0,
        patience=1000,
        seed=args.seed,
        dropout=args.dropout,
        learning_rate=args.learning_rate,
        precision=args.precision,
    )
    if args.resume:
        recipe = Recipe(**about(file)["recipe"])
    else:
        recipe = choose(
            args.preset,
            words=len(data["train"]),
            vocabulary=len(words),
            minutes=args.minutes,
            epochs=None,
            cores=args.threads or cores(),
            gpus=gpus(),
        )
        (args.out / "metrics.jsonl").unlink(missing_ok=True)
    recipe = recipe.given(settings)
    sizes = choose_output(
        "auto",
        vocabulary.counts,
        NetworkSettings(
            vocabulary=len(words),
            embedding=recipe.embedding,
            hidden=recipe.hidden,
            layers=recipe.layers,
            dropout=recipe.dropout,
        ),
    )
    print(sizes, recipe, sep="\n", flush=True)
    network = LanguageModel(
        sizes,
        seed=settings.seed,
        weight_drop=recipe.weight_drop,
        word_dropout=recipe.word_dropout,
        precision=args.precision,
    )
    network.build()
    network.assign_output_bias(vocabulary.counts)
    evaluator = Evaluator(network, vocabulary)

    def write(step: int, row: dict[str, float]) -> None:
        with (args.out / "metrics.jsonl").open("a") as metrics:
            metrics.write(json.dumps(row) + "\n")

    if args.piece is not None:  # as Ctrl-C would: the checkpoint is written, then it ends
        timer = threading.Timer(args.piece * 60, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()
    try:
        history = fit(
            network,
            StreamBatches(data["train"], batch=settings.batch, steps=settings.steps,
                          seed=settings.seed),
            lambda: evaluator(valid).perplexity,
            settings,
            started=started,
            report=Report(),
            use_tf_data=keras.backend.backend() == "tensorflow",
            recipe=recipe,
            watch=write,
            checkpoint=Checkpoint(file, json.dumps([sizes.record(), args.minutes, args.seed]),
                                  about={"recipe": vars(recipe)}),
            resume=args.resume,
        )  # fmt: skip
    except KeyboardInterrupt:
        print(f"stopped; {file} is to go on from, with --resume")
        return
    np.savez(args.out / "weights.npz", **network.arrays())  # type: ignore[arg-type]
    seconds = history.seconds
    print_table(
        [
            ("backend", keras.backend.backend()),
            ("stopped", history.stopped),
            ("validation perplexity, best so far", f"{history.best_perplexity:.2f}"),
            ("epochs", f"{history.epochs:.2f}"),
            ("minutes", f"{seconds / 60:.1f}"),
            ("words/s, validations included", f"{history.words / seconds:,.0f}"),
            (
                "share of the time spent waiting for batches",
                f"{history.feed_seconds / seconds:.2%}",
            ),
        ]
    )


def main(argv: list[str] | None = None) -> Any:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ids", type=Path, required=True)
    parser.add_argument("--texts", nargs=2, metavar=("TRAIN", "VALID"), help="make the ids")
    parser.add_argument("--out", type=Path, default=Path("wt2"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--piece", type=float, help="stop after so many minutes, with a checkpoint")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--preset", choices=[AUTO, *PRESETS], default=AUTO)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--dropout", type=float)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--threads", type=int, help="of TensorFlow")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.texts is not None:
        make_ids(args.ids, args.texts)
    else:
        train(args)


if __name__ == "__main__":
    main()
