"""Texts that start from numbers and from a text: how good, and how fast beside plain texts.

    python benchmarks/from_a_vector.py --pairs DIR [--parts translation captions dates speed]

`translation` trains on DIR/train.tsv (columns de and en, lower-cased here) for --minutes and
translates DIR/test2016.tsv: from the encoder's state alone with the most probable word at each
step, and with attention and 5 beams. `captions` and `dates` run the two examples. `speed` draws in
bulk with a random network, in turns with the same one without context or source.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from generation import make
from table import print_table

from textmill.model.generation.generator import Generator
from textmill.model.network.directory import SavedModel
from textmill.model.prompt import Prompt
from textmill.model.settings import GenerationSettings, NetworkSettings
from textmill.model.tensorflow_setup import use_one_thread
from textmill.model.text.vocabulary import Vocabulary
from textmill.pipeline.command.bench import timed

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "textmill"]
PARTS = ["translation", "captions", "dates", "speed"]
SIZES = NetworkSettings(vocabulary=8_000, embedding=256, hidden=256)
NUMBERS, SOURCE, TEXTS = 64, 13, 2048
Row = tuple[str, str]


def told_by(*arguments: str) -> dict[str, Any]:
    """What a command tells as JSON."""
    done = subprocess.run([*COMMAND, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def translation(pairs: Path, minutes: float, folder: Path) -> list[Row]:
    """BLEU of two translators."""
    rows = []
    for name in ("train", "test2016"):
        text = (pairs / f"{name}.tsv").read_text("utf-8").lower()
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
    for name, option, ways in (
        ("state only", [], {"greedy": [], "5 beams": ["--beams", "5"]}),
        ("attention", ["--attention"], {"greedy": [], "5 beams": ["--beams", "5"]}),
    ):
        model = str(folder / name.replace(" ", "-"))
        trained = told_by(
            "train", str(folder / "train.tsv"), "--source", "de", "--text", "en", *option,
            "--minutes", str(minutes), "--out", model, "--json", "--quiet",
        )  # fmt: skip
        figure = f"{trained['test_perplexity']:.2f}, {trained['epochs']:.1f} epochs"
        rows.append((f"German to English, {name}: perplexity", figure))
        for way, flags in ways.items():
            test = str(folder / "test2016.tsv")
            found = told_by(
                "evaluate", model, test, "--references", "--lowercase", "--json", *flags
            )  # fmt: skip
            others = f"chrF {found['chrf']:.1f}, length {found['length_ratio']:.2f}"
            figure = f"{found['bleu']:.1f} ({others})"
            rows.append((f"German to English, {name}, {way}: BLEU", figure))
    return rows


def example(name: str) -> list[Row]:
    """The share of exact texts that an example prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    (exact,) = re.findall(r"^exact: (.+)$", done.stdout, re.MULTILINE)
    return [(f"{name}: exact", exact)]


def like(network: NetworkSettings) -> SavedModel:
    """A model of random weights; equal seeds and names give all of them the same decoder."""
    model = make(network)
    if network.numbers:
        arrays = {**model.arrays, "context_deviation": np.ones(network.numbers, np.float32)}
        model = replace(model, arrays=arrays, columns=("numbers",))
    if network.source:
        words = model.vocabulary.words[: network.source]
        source = Vocabulary(level="word", words=words, counts=range(len(words), 0, -1))
        model = replace(model, source=source, longest_source=SOURCE)
    return model


def speed(rounds: int) -> list[Row]:
    """Words a second with a context or a source over those without, in turns."""
    random = np.random.default_rng(0)
    numbers = random.standard_normal((TEXTS, NUMBERS)).astype(np.float32)
    words = random.integers(0, 4_000, (TEXTS, SOURCE))
    sources = [" ".join(f"w{i}" for i in row) for row in words]
    kinds = {
        "plain": (SIZES, {}),
        "context": (replace(SIZES, context=NUMBERS, numbers=NUMBERS), {"context": numbers}),
        "source": (replace(SIZES, source=5_000), {"source": sources}),
        "source and attention": (
            replace(SIZES, source=5_000, attention=True), {"source": sources}
        ),
    }  # fmt: skip
    generators = {name: Generator(like(network), slots=256) for name, (network, _) in kinds.items()}
    settings = GenerationSettings(max_words=13, min_words=13)
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(rounds + 1):
        for name, (_, starts) in kinds.items():
            prompts = [
                Prompt(f"{i}", "", **{field: values[i] for field, values in starts.items()})
                for i in range(TEXTS)
            ]
            drawn, seconds, _ = timed(generators[name], prompts, settings)
            if turn:  # the first one compiles
                rates[name].append(drawn / seconds)
    plain = median(rates["plain"])
    rows = [("words/s in bulk, plain", f"{plain:,.0f}")]
    for name in list(kinds)[1:]:
        found = median(rates[name])
        rows.append((f"words/s in bulk, {name}", f"{found:,.0f}: {found / plain:.2f} of plain"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=Path, help="folder of train.tsv and test2016.tsv")
    parser.add_argument("--minutes", default=20.0, type=float, help="of a translator's training")
    parser.add_argument("--rounds", default=5, type=int, help="of the speeds")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args()
    rows: list[Row] = []
    if "translation" in args.parts:
        if args.pairs is None:
            parser.error("translation needs --pairs")
        with tempfile.TemporaryDirectory() as folder:
            rows += translation(args.pairs, args.minutes, Path(folder))
    for name in ("captions", "dates"):
        if name in args.parts:
            rows += example(name)
    if "speed" in args.parts:
        use_one_thread()
        rows += speed(args.rounds)
    print_table(rows)


if __name__ == "__main__":
    main()
