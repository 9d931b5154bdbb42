"""What `--init-from` gains: a small labelled set, begun from a model of more text of its kind.

    python benchmarks/init_from.py TABLE [--text text] [--labels label] [--rows 100] [--seeds 3]

The table is shuffled. A quarter is held out; of the others `--rows` rows are the labelled set, and
the texts of the rest, without their labels, train the model to begin from. Then three networks are
judged on the held-out quarter, over one and the same vocabulary, so that their perplexities can be
compared: the first model with its words extended and no training, training from random weights,
and training from the first model's.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean

import numpy as np
from table import print_table

from textmill.model.network.directory import SavedModel, load_model, save_model
from textmill.model.network.likelihood import Evaluator
from textmill.model.network.lstm import LanguageModel
from textmill.model.settings import TrainSettings, VocabularySettings
from textmill.model.text.corpus import CorpusSettings, read_table
from textmill.model.text.split import tokenized_part
from textmill.model.training.train import train_model
from textmill.pipeline.api.console import TrainingReport


def held_out_perplexity(model: SavedModel, table: Path) -> float:
    """Measures rows whose label the model knows, which are all rows except in very small sets."""
    network = LanguageModel(model.network)
    network.build()
    network.assign_arrays(model.arrays)
    corpus = read_table([str(table)], text="text", label="label" if model.labels else None)
    part = tokenized_part(corpus, level=model.vocabulary.level, mode="lines")
    return Evaluator(network, model.vocabulary, model.labels)(part).perplexity


def random_weights(model: SavedModel, seed: int) -> SavedModel:
    """The same model, untrained."""
    network = LanguageModel(model.network, seed=seed)
    network.build()
    network.assign_output_bias(model.vocabulary.counts)
    return replace(model, arrays=network.arrays())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table")
    parser.add_argument("--text", default="text", help="column, by name or number")
    parser.add_argument("--labels", default="label", help="column, by name or number")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", type=float, nargs="*", default=[None], metavar="X")
    args = parser.parse_args()
    found = read_table([args.table], text=args.text, label=args.labels, encoding=None)
    rows = list(zip(found.labels, found.texts, strict=True))
    np.random.default_rng(0).shuffle(rows)
    held, rows = rows[: len(rows) // 4], rows[len(rows) // 4 :]
    lines = {"labelled": rows[: args.rows], "rest": rows[args.rows :], "held": held}
    table = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, some in lines.items():
            with open(place / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("label", "text"), *some])

        def train(out, corpus, *, labelled, seed, min_count=2, init_from=None, rate=None, **more):
            labels = "label" if labelled else None
            return train_model(
                str(place / out),
                corpus=CorpusSettings(
                    paths=(str(place / corpus),), mode="lines", text="text", labels=labels
                ),
                vocabulary=VocabularySettings(min_count=min_count),
                train=TrainSettings(mode="lines", seed=seed, learning_rate=rate, **more),
                init_from=init_from and str(place / init_from),
                report=TrainingReport(quiet=True),
            )

        train("base", "rest.csv", labelled=False, seed=0, epochs=10)
        for rate in args.rates:
            scores: dict[str, list[float]] = {"no training": [], "random": [], "init": []}
            epochs = []
            for seed in range(args.seeds):
                tag = f"{seed}-{rate}"
                tuned = train(
                    f"init-{tag}", "labelled.csv", labelled=True, seed=seed, init_from="base",
                    rate=rate,
                )  # fmt: skip
                epochs.append(tuned.training["metrics"]["epochs"])
                scores["init"].append(held_out_perplexity(tuned, place / "held.csv"))
                base = load_model(place / "base")
                words = len(base.vocabulary)
                # The extended vocabulary, for the others too.
                untrained = random_weights(tuned, seed)
                save_model(place / f"random-{tag}", untrained, card="")
                scratch = train(
                    f"scratch-{tag}", "labelled.csv", labelled=True, seed=seed,
                    init_from=f"random-{tag}", rate=4e-3,
                )  # fmt: skip
                scores["random"].append(held_out_perplexity(scratch, place / "held.csv"))
                scores["no training"].append(held_out_perplexity(base, place / "held.csv"))
            note = "" if rate is None else f", rate {rate:g}"
            table += [
                (f"the first model, {words:,} words, its own vocabulary{note}",
                 f"{mean(scores['no training']):.1f}"),
                (f"from random weights{note}", f"{mean(scores['random']):.1f}"),
                (f"from the first model{note}, {mean(epochs):.0f} epochs",
                 f"{mean(scores['init']):.1f}"),
            ]  # fmt: skip
    print_table([(f"{what}: held-out perplexity", figure) for what, figure in table])


if __name__ == "__main__":
    main()
