"""Training: it learns, keeps its budget, stops early, leaves a complete directory."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import signal
import time

import numpy as np
import pytest
from silent import Silent

from textmill.model.errors import SettingError, TextmillError
from textmill.model.network.directory import load_model
from textmill.model.network.lstm import LanguageModel
from textmill.model.settings import NetworkSettings, TrainSettings, VocabularySettings
from textmill.model.text.corpus import CorpusSettings
from textmill.model.text.dataset import StreamBatches
from textmill.model.training import fit as fit_module
from textmill.model.training.checkpoint import Checkpoint
from textmill.model.training.fit import _rate, fit
from textmill.model.training.train import train_model

IDS = np.tile(np.arange(3, 11), 200).astype(np.int32)


def small_network(**sizes) -> LanguageModel:
    net = LanguageModel(
        NetworkSettings(vocabulary=11, **{"embedding": 8, "hidden": 8, "dropout": 0.0, **sizes})
    )
    net.build()
    return net


def run(validate, silent, *, net=None, started=None, **settings):
    net = net or small_network()
    feeder = StreamBatches(IDS, batch=4, steps=10, seed=0)
    return net, fit(
        net,
        feeder,
        validate,
        TrainSettings(**settings),
        started=time.monotonic() if started is None else started,
        report=silent,
        use_tf_data=True,
    )


def test_it_learns(model_dir):
    metrics = load_model(model_dir).training["metrics"]
    history = load_model(model_dir).training["history"]
    assert metrics["test_perplexity"] < 6 < history[0]["valid_perplexity"]
    assert metrics["valid_perplexity"] == min(row["valid_perplexity"] for row in history)


def test_the_same_seed_gives_the_same_model(book, tmp_path, silent):
    fingerprints = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        model = train_model(
            str(tmp_path / name),
            corpus=CorpusSettings(paths=(str(book),)),
            vocabulary=VocabularySettings(),
            preset="tiny",
            train=TrainSettings(epochs=1, batch=8, steps=16, seed=seed),
            report=silent,
        )
        fingerprints.append(model.fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def test_it_ends_where_the_perplexity_is_enough(silent):
    results = iter([9.0, 5.1, 5.0, 1.0])
    _, history = run(lambda: next(results), silent, epochs=4, enough=5.0)
    assert history.stopped == "enough"
    assert len(history.validations) == 3


def test_a_look_every_so_many_steps_finds_it_sooner(silent):
    looks = []

    def validate():
        looks.append(0)
        return 9.0 if len(looks) < 3 else 4.0

    _, history = run(validate, silent, epochs=4, enough=5.0, enough_every=2)
    assert history.stopped == "enough"
    assert [row["step"] for row in history.validations] == [6]
    assert len(looks) == 4  # after 2, 4 and 6 steps, and the validation that ends it
    with pytest.raises(SettingError, match="enough_every must be"):
        TrainSettings(enough_every=0)


def test_best_weights_are_kept_and_patience_ends_it(silent):
    results = iter([9.0, 5.0, 7.0, 8.0, 6.0])
    states = []
    net = small_network()

    def validate():
        states.append(net.arrays())
        return next(results)

    _, history = run(validate, silent, net=net, epochs=40, patience=3)
    assert history.stopped == "patience"
    assert len(history.validations) == 5
    for name, array in net.arrays().items():
        np.testing.assert_array_equal(array, states[1][name])


class Clock:
    """A clock that moves on only by 10 ms at each reading, and by what a test adds."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(fit_module, "time", self)

    def monotonic(self):
        self.now += 0.01
        return self.now


def test_minutes_are_kept(silent, monkeypatch):
    clock = Clock(monkeypatch)
    _, history = run(lambda: 1.0, silent, minutes=0.1, started=0.0, patience=10**6)
    assert history.stopped == "minutes"
    assert re.fullmatch(
        r"in 0\.1 minutes this machine trains on about [\d,]+ words, .* epochs", silent.messages[-1]
    )
    assert 4 < history.seconds < 6.5
    # A budget that is over when training starts still gives one step and one validation.
    _, history = run(lambda: 1.0, silent, minutes=0.001, started=clock.now - 1)
    assert len(history.validations) == 1


def test_the_length_is_told_as_it_will_be(silent, monkeypatch):
    Clock(monkeypatch)
    # What ends a run first is what is told, not the minutes that it will not take.
    _, history = run(lambda: 1.0, silent, minutes=3, epochs=5, started=0.0, patience=10**6)
    told = re.fullmatch(
        r"([\d,]+) words in all, 5\.0 epochs, about (\d+) s here: the limit of epochs comes "
        r"before that of 3 minutes",
        silent.messages[-1],
    )
    assert int(told[1].replace(",", "")) == history.words
    assert int(told[2]) < 60


@pytest.mark.parametrize(("cost", "most"), [(0.2, 8), (1.0, 3), (3.0, 2)])
def test_slow_validation_does_not_eat_the_budget(silent, monkeypatch, cost, most):
    clock = Clock(monkeypatch)

    def validate():
        clock.now += cost
        return 1.0

    _, history = run(validate, silent, minutes=0.15, started=clock.now)
    assert 1 <= len(history.validations) <= most


def test_weights_that_are_no_numbers_are_not_kept(silent):
    results = itertools.chain([9.0], itertools.repeat(math.nan))
    _, history = run(lambda: next(results), silent, epochs=40)
    assert history.stopped == "diverged"
    assert history.best_perplexity == 9.0
    assert len(history.validations) == 1
    assert history.restarts == 5


def test_divergence_is_told(silent):
    with pytest.raises(TextmillError, match=r"training diverged.*--learning-rate"):
        run(lambda: 1.0, silent, epochs=2, learning_rate=1e38, clip=1e30)


def test_interruption_keeps_the_best(silent):
    calls = []

    def validate():
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 10.0 - len(calls)

    _, history = run(validate, silent, epochs=40)
    assert history.stopped == "interrupted"
    assert history.best_perplexity == 8.0


class Killed(Exception):
    pass


REGULAR = {
    "epochs": 4, "weight_drop": 0.3, "word_dropout": 0.2, "activation_penalty": 2.0,
    "slowness_penalty": 1.0, "checkpoint_minutes": 0.0,
}  # fmt: skip


def regular_run(silent, path, *, dies_at=None, resume=False, started=None, **settings):
    """A run of all parts that writes a checkpoint at each step.

    Args:
        dies_at: the step after which it is killed; "fixed": as soon as its length is.

    """
    wanted = TrainSettings(**{**REGULAR, **settings})
    net = LanguageModel(
        NetworkSettings(vocabulary=11, embedding=8, hidden=12, layers=2, dropout=0.3),
        seed=1, weight_drop=wanted.weight_drop, word_dropout=wanted.word_dropout,
    )  # fmt: skip
    net.build()
    random = np.random.default_rng(0)
    feeder = StreamBatches(random.integers(3, 11, 900).astype(np.int32), batch=4, steps=16, seed=0)

    class Saved(Checkpoint):
        def save(self, state):
            super().save(state)
            place = state[1]["place"]
            if place["step"] == dies_at or (dies_at == "fixed" and place["total"] is not None):
                raise Killed

    def validate():
        return float(np.exp(np.mean(np.abs(net.arrays()["lstm_0_recurrent"]))))

    history = fit(
        net, feeder, validate, wanted, report=silent, use_tf_data=True,
        started=time.monotonic() if started is None else started,
        checkpoint=Saved(path, "a run"), resume=resume, watch=lambda step, row: [{"step": step}],
    )  # fmt: skip
    return net.arrays(), history


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    """Weights and history of a run that nothing stops."""
    return regular_run(Silent(), tmp_path_factory.mktemp("alone") / "a.safetensors")


@pytest.mark.parametrize("dies_at", [pytest.param(1, marks=pytest.mark.long), 27])
def test_a_resumed_run_is_bit_equal(left_alone, silent, tmp_path, dies_at):
    expected, whole_history = left_alone
    with pytest.raises(Killed):
        regular_run(silent, tmp_path / "b.safetensors", dies_at=dies_at)
    found, history = regular_run(silent, tmp_path / "b.safetensors", resume=True)
    assert history.words == whole_history.words
    assert [row["valid_perplexity"] for row in history.validations] == [
        row["valid_perplexity"] for row in whole_history.validations
    ]
    assert history.samples == whole_history.samples
    assert len(history.samples) == 4
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.long
def test_minutes_are_fixed_before_a_run_is_resumed(silent, tmp_path, monkeypatch):
    path, budget = tmp_path / "a.safetensors", {"minutes": 0.1, "epochs": None, "patience": 10**6}
    clock = Clock(monkeypatch)
    with pytest.raises(Killed):
        regular_run(silent, path, dies_at="fixed", started=clock.now, **budget)
    _, record = Checkpoint(path, "a run").load()
    _, history = regular_run(silent, path, resume=True, started=clock.now, **budget)
    window = 24 * 4
    assert record["place"]["total"] <= history.words < record["place"]["total"] + window


def test_checkpoints_of_no_use(silent, tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(TextmillError, match="nothing to resume"):
        Checkpoint(path, "x").load()
    Checkpoint(path, "x").save(({"a": np.ones(3)}, {"b": 1}))
    arrays, record = Checkpoint(path, "x").load()
    assert record == {"b": 1}
    np.testing.assert_array_equal(arrays["a"], np.ones(3))
    with pytest.raises(TextmillError, match="another corpus or other settings"):
        Checkpoint(path, "y").load()
    whole = path.read_bytes()
    for damaged in (whole[:-30], whole[: len(whole) // 2], b"", b"\x02" + bytes(7) + b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(TextmillError, match="damaged"):
            Checkpoint(path, "x").load()
    with pytest.raises(TextmillError, match="cannot write the checkpoint"):
        Checkpoint(path / "file" / "a.safetensors", "x").save(({}, {}))


def test_a_training_that_was_killed_as_it_ended(book, tmp_path, silent, monkeypatch):
    """The model is there, and so are its checkpoint and what an earlier kill has left."""
    from textmill.model.training import train as train_module

    def train(epochs=1, **more):
        return train_model(
            str(tmp_path / "a"),
            corpus=CorpusSettings(paths=(str(book),)),
            vocabulary=VocabularySettings(),
            preset="tiny",
            train=TrainSettings(epochs=epochs, batch=8, steps=16, checkpoint_minutes=0.0),
            report=silent,
            **more,
        )

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "tidy", lambda *_: None)
        made = train()
    (tmp_path / "a.training" / "checkpoint.new").write_text("PK")
    (tmp_path / f".a.{'0' * 32}").mkdir()
    with pytest.raises(TextmillError, match="another corpus or other settings"):
        train(2, resume=True)
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "_fit", lambda *_: 1 / 0)
        assert train(resume=True).fingerprint == made.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    (tmp_path / "a.training").mkdir()
    with pytest.raises(TextmillError, match=r"nothing to resume: .*a is finished"):
        train(resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.walk
def test_an_interrupted_training_is_resumed_into_its_model(book, tmp_path, silent):
    class Interrupting:
        def __getattr__(self, name):
            return getattr(silent, name)

        def validated(self, epoch, **_):
            if epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

    def train(name, report=silent, **more):
        return train_model(
            str(tmp_path / name),
            corpus=CorpusSettings(paths=(str(book),)),
            vocabulary=VocabularySettings(),
            preset="tiny",
            train=TrainSettings(epochs=4, batch=8, steps=16, weight_drop=0.2),
            report=report,
            **more,
        )

    expected = train("whole")
    stopped = train("a", Interrupting())
    assert stopped.training["metrics"]["stopped"] == "interrupted"
    assert stopped.training["metrics"]["epochs"] == 2
    with pytest.raises(TextmillError, match="already exists"):
        train("a")
    (tmp_path / "a").rename(tmp_path / "elsewhere")
    with pytest.raises(TextmillError, match="go on with --resume"):
        train("a")
    (tmp_path / "elsewhere").rename(tmp_path / "a")
    found = train("a", resume=True)
    assert found.fingerprint == expected.fingerprint
    assert len(found.training["history"]) == 4
    assert not (tmp_path / "a.training").exists()
    with pytest.raises(TextmillError, match="nothing to resume"):
        train("a", resume=True)


def test_divergence_goes_on_from_the_last_good_point(silent):
    net, told, steps = small_network(), [], itertools.count()

    class Loud:
        def __getattr__(self, name):
            return getattr(silent, name)

        def message(self, text):
            told.append(text)

        def progress(self, *_, **__):
            if next(steps) == 60:  # weights far astray, as after a step much too large
                noise = np.random.default_rng(0).normal(size=(11, 8)).astype(np.float32)
                net.assign_arrays({**net.arrays(), "embedding": 100 * noise})

    results = iter([9.0, 8.0, 7.0, 6.0])
    _, history = run(lambda: next(results), Loud(), net=net, epochs=4, average=False)
    assert told == ["training diverged at step 61; going on from step 38 with the rate 0.002"]
    assert (history.restarts, history.stopped, len(history.validations)) == (1, "epochs", 4)
    assert history.validations[1]["step"] == 76
    assert history.validations[1]["learning_rate"] < 2e-3 < history.validations[0]["learning_rate"]
    assert history.validations[-1]["train_perplexity"] < 11


@pytest.mark.long
def test_averaged_weights_against_numpy(silent, tmp_path):
    """Running means over about the last tenth of the steps; they are what is judged and kept."""
    net, raw, means, judged = small_network(), {}, {}, []

    class Spy(Checkpoint):
        def save(self, state):
            step = state[1]["place"]["step"]
            raw[step] = net.arrays()["lstm_0_kernel"]
            means[step] = state[0].get("average/lstm_0_kernel")

    def validate():
        judged.append(net.arrays()["lstm_0_kernel"])
        return 9.0 - len(judged)

    settings = TrainSettings(epochs=16, checkpoint_minutes=0.0)
    feeder = StreamBatches(IDS, batch=4, steps=10, seed=0)
    fit(
        net, feeder, validate, settings, started=time.monotonic(), report=silent, use_tf_data=True,
        checkpoint=Spy(tmp_path / "a.safetensors", ""),
    )  # fmt: skip
    expected = raw[20].astype(np.float64)
    for step in range(40, max(raw), 20):
        expected += min(1.0, 20 / (0.1 * step)) * (raw[step] - expected)
        np.testing.assert_allclose(means[step], expected, rtol=1e-5, atol=1e-6)
    assert 20 / (0.1 * step) < 1
    assert np.abs(means[step] - raw[step]).max() > 0
    np.testing.assert_array_equal(judged[-1], net.arrays()["lstm_0_kernel"])
    np.testing.assert_array_equal(judged[-1], means[max(means)])


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_rate_warms_up_and_falls_to_nearly_zero(schedule):
    shares = np.linspace(0, 1, 101)
    rates = [_rate(share, schedule) for share in shares]
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert np.argmax(rates) == 3
    assert rates[0] == 0.05
    assert rates[-1] == pytest.approx(0.01)
    assert all(a >= b for a, b in itertools.pairwise(rates[3:]))
    middle = 0.03 + 0.97 / 4  # a quarter of the way down, where the two differ
    left = 0.75 if schedule == "linear" else (1 + math.cos(math.pi / 4)) / 2
    assert _rate(middle, schedule) == pytest.approx(0.01 + 0.99 * left)


def test_a_constant_rate_only_warms_up():
    assert [_rate(share, "constant") for share in (0.0, 0.03, 0.5, 1.0)] == [0.05, 1, 1, 1]


@pytest.mark.long
def test_the_schedule_is_the_one_that_was_asked_for(silent):
    last = {}
    for schedule in ("cosine", "constant"):
        _, history = run(lambda: 1.0, silent, epochs=4, patience=9, schedule=schedule)
        last[schedule] = history.validations[-1]["learning_rate"]
    assert last["constant"] == 4e-3 > 20 * last["cosine"]


def test_a_corpus_of_less_than_a_batch(book, tmp_path, silent):
    (tmp_path / "short.txt").write_text("word " * 600)
    with pytest.raises(TextmillError, match="one batch of 32 x 32 needs at least"):
        train_model(
            str(tmp_path / "m"),
            corpus=CorpusSettings(paths=(str(tmp_path / "short.txt"),)),
            vocabulary=VocabularySettings(),
            preset="tiny",
            train=TrainSettings(epochs=1),
            report=silent,
        )
    assert not (tmp_path / "m").exists()


def test_tensorboard_logs(book, tmp_path, silent):
    train_model(
        str(tmp_path / "m"),
        corpus=CorpusSettings(paths=(str(book),)),
        vocabulary=VocabularySettings(),
        preset="tiny",
        train=TrainSettings(epochs=1, batch=8, steps=16),
        report=silent,
        tensorboard=str(tmp_path / "logs"),
    )
    (events,) = (tmp_path / "logs").iterdir()
    for tag in (b"valid_perplexity", b"sample/temperature_0.8", b"log2_rank"):
        assert tag in events.read_bytes()


def test_the_page_is_in_the_model_directory(model_dir):
    page = (model_dir / "training.html").read_text("utf-8")
    # Perplexity over epochs and over seconds, and the learning rate.
    points = 3 * len(load_model(model_dir).training["history"])
    assert page.count('<circle class="valid"') == points
    assert f"<h1>How {model_dir.name} was trained</h1>" in page


def test_labels_set_the_texts(labelled_dir):
    model = load_model(labelled_dir)
    assert model.labels == ("cats", "dogs")
    assert model.training["metrics"]["test_perplexity"] < 6
    assert model.training["corpus"]["labels"] == "1"
    assert "paths" not in json.dumps(model.training)


def test_settings_are_checked():
    for bad in ({"minutes": 0}, {"epochs": 0}, {"mode": "x"}, {"seed": -1}, {"learning_rate": "a"}):
        with pytest.raises(SettingError, match="must be"):
            TrainSettings(**bad)
    assert TrainSettings().epochs == 40
    assert TrainSettings(minutes=1).epochs is None


def test_a_doubtful_strip_is_told(tmp_path, silent):
    essay = tmp_path / "essay.txt"
    essay.write_text(
        "I quote a marker here.\n\n" * 40 + "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n"
    )
    with pytest.raises(TextmillError, match="the corpus has only"):
        train_model(
            str(tmp_path / "model"),
            corpus=CorpusSettings(paths=(str(essay),)),
            vocabulary=VocabularySettings(),
            preset="tiny",
            train=TrainSettings(epochs=1),
            report=silent,
        )
    assert any("so nothing is removed" in message for message in silent.messages)
