"""Fixtures: one thread for TensorFlow, a folder for stray files, a small trained model."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from silent import Silent

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

TEXT = "\n\n".join(
    f"The {a} cat sat on the {b} mat, and the {c} dog said: “Stop {d}!”"
    for a in ("old", "red", "small", "quick")
    for b in ("green", "old", "wet", "soft")
    for c in ("lazy", "red", "big", "old")
    for d in ("it", "that", "him", "now")
)


def pytest_configure(config):
    # A busy machine is no fault of an example's.
    hypothesis.settings.register_profile(
        "no clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("no clock")
    # A command that a shell puts in the background, with `&`, ignores Ctrl-C, and so would all that
    # the tests start.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Beam leaves files in the temporary folder.
    folder = tempfile.mkdtemp(prefix="textmill-tests-")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    # The processes of a run are told the place of the one that starts them.
    os.environ.setdefault("TEXTMILL_TEST_MODELS", folder)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_unconfigure(config):
    import shutil

    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)


# Name, what the command told, whether the bytes are the same, how a fault ended: a line each, as
# tests in several processes write them.
ENGINES = "engines.jsonl"


@pytest.fixture(scope="session")
def told_of_engine() -> Callable[..., None]:
    """Adds a row to the table that `make test-cluster` prints at its end."""

    def tell(name: str, told: dict | None, same: bool, fault: str) -> None:
        with open(Path(os.environ["TEXTMILL_TEST_MODELS"]) / ENGINES, "a") as file:
            file.write(json.dumps([name, told, same, fault]) + "\n")

    return tell


# The command, its kills, whether it ended with the same bytes: a line a trial.
KILLS = "kills.jsonl"


@pytest.fixture(scope="session")
def told_of_kills() -> Callable[..., None]:
    """Adds a trial to the table that `make fault-test` prints at its end."""

    def tell(kind: str, kills: list[str], same: bool) -> None:
        with open(Path(os.environ["TEXTMILL_TEST_MODELS"]) / KILLS, "a") as file:
            file.write(json.dumps([kind, kills, same]) + "\n")

    return tell


def _kills_table(trials: list[tuple[str, list[str], bool]]) -> Iterator[str]:
    """Rows of how often each command was killed, by which signal, and how often all went well."""
    signals = ("SIGKILL to the launcher", "SIGKILL to a child", "SIGTERM", "SIGINT")
    yield f"| killed | kills | {' | '.join(signals)} | at an event | trials | same bytes |"
    yield "|---" * (6 + len(signals) - 1) + "|"
    for kind in [*sorted({kind for kind, *_ in trials}), "all"]:
        own = [trial for trial in trials if kind in (trial[0], "all")]
        kills = [kill for _, told, _ in own for kill in told]
        well = sum(len(told) for _, told, same in own if same)
        counts = [sum(kill.startswith(name) for kill in kills) for name in signals]
        events = sum(" at " in kill.partition(":")[0] for kill in kills)
        cells = [kind, len(kills), *counts, events, len(own), f"{well} of {len(kills)}"]
        yield f"| {' | '.join(map(str, cells))} |"


def pytest_terminal_summary(terminalreporter):
    say = terminalreporter.write_line
    trials = Path(os.environ["TEXTMILL_TEST_MODELS"]) / KILLS
    if trials.exists():
        for row in _kills_table([json.loads(line) for line in trials.read_text().splitlines()]):
            say(row)
    rows = Path(os.environ["TEXTMILL_TEST_MODELS"]) / ENGINES
    if rows.exists():
        say("\n| engine | seconds | words/s | models loaded | same bytes | faults |")
        say("|---|---|---|---|---|---|")
        for name, told, same, fault in map(json.loads, rows.read_text().splitlines()):
            seconds, rate, loaded = ("", "", "") if told is None else (
                told["seconds"], f"{told['words/s, start included']:,}",
                told.get("models loaded", "?"),
            )  # fmt: skip
            say(f"| {name} | {seconds} | {rate} | {loaded} | {'yes' if same else 'NO'} | {fault} |")
    if terminalreporter.config.getoption("markexpr") == "fault":
        counts = {name: len(terminalreporter.getreports(name)) for name in ("passed", "failed")}
        say(f"{counts['passed']} passed, {counts['failed']} failed")


@pytest.fixture(autouse=True)
def no_last_resort(request, monkeypatch):
    """A fault that `main` tells of as one, because nobody thought of it, fails the test."""
    if request.node.get_closest_marker("last_resort") is not None:
        return
    from textmill.pipeline.command import cli

    def fail(error, arguments):
        raise AssertionError(f"textmill {arguments} ended in an unforeseen error") from error

    monkeypatch.setattr(cli, "unforeseen", fail)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Sets one thread, which equal bits need, before TensorFlow starts."""
    from textmill.model.tensorflow_setup import use_one_thread

    use_one_thread()


@pytest.fixture(autouse=True, scope="session")
def one_generator_a_model() -> Iterator[None]:
    """Runs inside this process share a generator, as a worker's shards do: compiling is slow."""
    from unittest.mock import patch

    from sharing import generator_of

    with (
        patch("textmill.pipeline.job.handler.Generator", generator_of),
        patch("textmill.model.generation.generator.Generator", generator_of),  # sample, masked
    ):
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Books and corpora that are not part of the project."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared data folder {SHARED} is absent")
    return SHARED


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Path:
    """A small text with structure enough to learn."""
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """A model trained on the text of `book`."""
    from sharing import trained_once

    from textmill.model.settings import TrainSettings, VocabularySettings
    from textmill.model.text.corpus import CorpusSettings
    from textmill.model.training.train import train_model

    def train(folder: Path) -> None:
        (folder / "book.txt").write_text(TEXT, encoding="utf-8")
        train_model(
            str(folder / "book"),
            corpus=CorpusSettings(paths=(str(folder / "book.txt"),)),
            vocabulary=VocabularySettings(),
            preset="tiny",
            train=TrainSettings(epochs=8, batch=8, steps=16),
            report=Silent(),
        )

    return trained_once("book", train) / "book"


@pytest.fixture(scope="session")
def labelled_dir() -> Path:
    """A model of two labels whose texts share no word."""
    from sharing import trained_once

    from textmill.model.settings import TrainSettings, VocabularySettings
    from textmill.model.text.corpus import CorpusSettings
    from textmill.model.training.train import train_model

    rows = [f"cats\tthe cat {verb} {times}" for verb in ("purrs", "sleeps") for times in range(40)]
    rows += [f"dogs\ta dog {verb} {times}" for verb in ("barks", "runs") for times in range(40)]

    def train(folder: Path) -> None:
        (folder / "rows.tsv").write_text("\n".join(rows) + "\n")
        train_model(
            str(folder / "model"),
            corpus=CorpusSettings(paths=(str(folder / "rows.tsv"),), text="2", labels="1"),
            vocabulary=VocabularySettings(),
            preset="tiny",
            train=TrainSettings(mode="lines", epochs=12, batch=8, patience=12),
            report=Silent(),
        )

    return trained_once("labelled", train) / "model"


@pytest.fixture(scope="session")
def make_model():
    """Makes a saved model of random or given weights."""
    from textmill.model.network.directory import SavedModel, weight_shapes
    from textmill.model.settings import NetworkSettings
    from textmill.model.text.vocabulary import RESERVED, Vocabulary

    def make(
        words, *, seed=0, arrays=None, labels=(), columns=(), numbers=0, source=(), scale=0.5,
        mode="stream", longest_source=6, **sizes,
    ):  # fmt: skip
        network = NetworkSettings(
            vocabulary=len(words) + 3, context=len(labels) + numbers, numbers=numbers,
            source=len(source) + 3 if source else 0,
            **{"embedding": 8, "hidden": 8, **sizes},
        )  # fmt: skip
        random = np.random.default_rng(seed)
        weights = {
            name: random.normal(scale=scale, size=shape).astype(np.float32)
            for name, shape in weight_shapes(network).items()
        }
        if numbers:
            weights["context_deviation"] = np.abs(weights["context_deviation"]) + np.float32(0.1)
        weights.update(arrays or {})
        vocabulary = Vocabulary(
            level="word", words=[*RESERVED, *words], counts=range(len(words) + 3, 0, -1)
        )
        of_source = None
        if source:
            of_source = Vocabulary(
                level="word", words=[*RESERVED, *source], counts=range(len(source) + 3, 0, -1)
            )
        return SavedModel(
            network, vocabulary, mode, tuple(labels), weights, {"corpus": {}}, tuple(columns),
            of_source, longest_source if source else 0,
        )  # fmt: skip

    return make
