"""`textmill demo`: train, generate and report on the text every Python carries."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np

from textmill.model.network.directory import check_free
from textmill.model.settings import GenerationSettings, TrainSettings, VocabularySettings
from textmill.model.text.corpus import CorpusSettings, built_in_corpus
from textmill.model.training.train import train_model
from textmill.pipeline.api.console import TrainingReport, generation_progress, say, stdout, table
from textmill.pipeline.engines.launch import Launch
from textmill.pipeline.files.filesystem import make_directory
from textmill.pipeline.job.generate import generate

_PROMPTS = 200
_PROMPT_WORDS = 3
_SHOWN = 6


def demo(out: str, *, minutes: float, launch: Launch, quiet: bool) -> None:
    """Trains on the language reference, continues beginnings from its unseen end, shows both.

    Raises:
        TextmillError: `out` cannot be written.
    """
    started = time.monotonic()
    folder = _free_place(out)
    make_directory(folder)
    with TrainingReport(quiet=quiet).running() as report:
        report.message(f"everything goes to {folder}")
        model = train_model(
            str(folder / "model"),
            corpus=CorpusSettings(),
            vocabulary=VocabularySettings(),
            train=TrainSettings(minutes=minutes),
            report=report,
        )
    prompts = folder / "prompts.txt"
    prompts.write_text("".join(f"{line}\n" for line in _beginnings()), encoding="utf-8")
    with generation_progress(quiet=quiet) as progress:
        outcome = generate(
            str(folder / "model"),
            prompts=[str(prompts)],
            out=str(folder / "generated"),
            settings=GenerationSettings(temperatures=(0.5, 0.8), samples=2, max_words=40),
            launch=launch,
            progress=progress,
        )
    _show(folder / "generated")
    metrics, counts = model.training["metrics"], outcome.manifest["counts"]
    rows = {
        "corpus": f"{metrics['train_words']:,} words to train on, Python's language reference",
        "vocabulary": f"{metrics['vocabulary']:,}",
        "perplexity, last 5 %": metrics["test_perplexity"],
        "training": f"{metrics['seconds']} s, {metrics['words_a_second']:,} words/s",
        "samples": f"{counts['records']:,} for {counts['prompts']:,} prompts",
        "generation": f"{outcome.seconds:.1f} s with start, "
        f"{counts['words'] / outcome.seconds:,.0f} words/s",
        "model": folder / "model",
        "generated": folder / "generated",
        "all in all": f"{time.monotonic() - started:.0f} s",
    }
    table("demo", rows.items())


def _free_place(out: str) -> Path:
    """`out`, or `out-2`, `out-3` where that is taken: a second demo must not fail on the first."""
    place, number = Path(out), 1
    while place.exists() and (not place.is_dir() or os.listdir(place)):
        number += 1
        place = Path(f"{out}-{number}")
    check_free(place)
    return place


def _beginnings() -> list[str]:
    """First words of paragraphs that training does not see, each beginning once."""
    texts = built_in_corpus().texts
    # The last tenth is held out by words; by characters that is not quite the same place.
    lengths = np.cumsum([len(text) for text in texts])
    unseen = texts[int(np.searchsorted(lengths, 0.92 * lengths[-1])) :]
    beginnings = dict.fromkeys(" ".join(text.split()[:_PROMPT_WORDS]) for text in unseen)
    return list(beginnings)[:_PROMPTS]


def _show(generated: Path) -> None:
    """A sample of records; text from the model goes out unmarked."""
    console = stdout()
    console.print("\nSamples (prompt | continuation):")
    first = sorted(generated.glob("shard-*"))[0].read_text("utf-8").splitlines()
    for line in first[: 4 * _SHOWN : 2]:
        row = json.loads(line)
        text = f"T={row['temperature']}  {row['prompt']} |{row['text']}"
        say(console, text)
    console.print()
