"""What each part of the training recipe is worth: perplexity with that part left out.

    python benchmarks/ablation.py alice.txt [--epochs 100] [--seeds 2] [--preset small]

Every row trains for all its passes over the text, keeps the weights of its best validation, and is
judged on the last 5 %, which chose nothing. Means over the seeds; a positive difference is what
leaving the part out costs.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from table import print_table

from textmill.model.settings import AUTO, PRESETS, TrainSettings, VocabularySettings
from textmill.model.tensorflow_setup import load_tensorflow
from textmill.model.text.corpus import CorpusSettings
from textmill.model.training.train import train_model
from textmill.pipeline.api.console import TrainingReport

WITHOUT: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "without dropout of features": {"dropout": 0.0},
    "without dropout of recurrent weights": {"weight_drop": 0.0},
    "without dropout of words": {"word_dropout": 0.0},
    "without all three": {"dropout": 0.0, "weight_drop": 0.0, "word_dropout": 0.0},
    "without penalties": {"activation_penalty": 0.0, "slowness_penalty": 0.0},
    "without averaged weights": {"average": False},
    "without averaged weights, constant rate": {"average": False, "schedule": "constant"},
    "with a constant rate": {"schedule": "constant"},
    "with a linear schedule": {"schedule": "linear"},
    "without weight decay": {"weight_decay": 0.0},
    "without clipping": {"clip": 1e9},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--preset", choices=[AUTO, *PRESETS], default=AUTO)
    args = parser.parse_args()
    load_tensorflow()
    scores: dict[str, list[tuple[float, float]]] = {part: [] for part in WITHOUT}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            for i, (part, changed) in enumerate(WITHOUT.items()):
                model = train_model(
                    str(Path(folder) / f"{i}-{seed}"),
                    corpus=CorpusSettings(paths=(args.text,)),
                    vocabulary=VocabularySettings(),
                    train=TrainSettings(
                        epochs=args.epochs, patience=args.epochs, seed=seed, **changed
                    ),
                    preset=args.preset,
                    report=TrainingReport(quiet=True),
                )
                found = model.training["metrics"]
                scores[part].append((found["valid_perplexity"], found["test_perplexity"]))
                print(f"seed {seed}, {part}: {scores[part][-1]}", flush=True)
    full = [mean(column) for column in zip(*scores["the recipe"], strict=True)]
    rows = []
    for part, found in scores.items():
        valid, test = (mean(column) for column in zip(*found, strict=True))
        change = "" if part == "the recipe" else f" ({valid - full[0]:+.1f}, {test - full[1]:+.1f})"
        rows.append((f"{part}: validation and test perplexity", f"{valid:.1f}, {test:.1f}{change}"))
    print_table(rows)


if __name__ == "__main__":
    main()
