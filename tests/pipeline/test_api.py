"""`import textmill`: lazy, typed, the same bytes as the commands, and clear about what is wrong."""

from __future__ import annotations

import contextlib
import doctest
import inspect
import json
import pickle
import subprocess
import sys
import typing
from dataclasses import fields

import pandas
import pyarrow
import pytest
from sharing import generator_of

import textmill
from textmill.model.settings import GenerationSettings, TrainSettings, VocabularySettings
from textmill.model.text.corpus import CorpusSettings
from textmill.pipeline.api import bulk, options
from textmill.pipeline.api.inputs import like, prompts_from, rows_from
from textmill.pipeline.augment.filters import FilterSettings
from textmill.pipeline.augment.settings import AugmentSettings
from textmill.pipeline.command.cli import main
from textmill.pipeline.engines.launch import Launch


@pytest.fixture(scope="module")
def model(model_dir):
    """In this process: the tests' is on one thread already."""
    found = textmill.load(model_dir, own_process=False)
    found._work()._generator = generator_of(found.saved)
    return found


def test_import_loads_nothing():
    code = (
        "import sys, textmill; heavy = {'numpy', 'tensorflow', 'keras', 'apache_beam', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), sorted({*textmill.__all__} - {*dir(textmill)}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["[]", "[]"]


def test_every_name_is_there_and_documented():
    assert set(textmill.__all__) == set(textmill._PLACES)
    for name in textmill.__all__:
        assert inspect.getdoc(getattr(textmill, name)), name
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        textmill.lod  # noqa: B018


def test_options_are_the_fields_of_the_settings():
    def names(*kinds, without=()):
        return {field.name for kind in kinds for field in fields(kind)} - set(without)

    train = names(
        CorpusSettings, VocabularySettings, TrainSettings,
        without=("paths", "labels", "minutes", "epochs"),
    )  # fmt: skip
    assert set(options.TrainOptions.__annotations__) == train | {"label"}
    drawn = names(GenerationSettings, without=("temperatures",)) | {"temperature"}
    assert set(options.GenerationOptions.__annotations__) == drawn
    own = names(AugmentSettings, FilterSettings, without=("text", "label", "temperatures"))
    assert set(options.AugmentOptions.__annotations__) == own | {"temperature"}


@pytest.fixture
def examples(model_dir, tmp_path, monkeypatch):
    """A folder with a model `alice`, as the docstrings have it."""
    (tmp_path / "alice").symlink_to(model_dir)
    monkeypatch.chdir(tmp_path)


def test_the_examples_of_the_docstrings_run(examples, monkeypatch):
    """In this process: a process for each model would take some seconds."""
    from textmill.model.generation.writer import Writer

    works: dict[str, Writer] = {}

    def work(self):
        if self.fingerprint not in works:
            works[self.fingerprint] = Writer(self.saved)
        return works[self.fingerprint]

    monkeypatch.setattr(textmill.Model, "_work", work)
    monkeypatch.setattr(bulk, "Launch", lambda **_: Launch(runner_flags=("--runner=FnApiRunner",)))
    finder, ran = doctest.DocTestFinder(recurse=True), 0
    # Some look at the output that the example of `generate` makes.
    for name in sorted(textmill.__all__, key=lambda name: name in ("verify", "report")):
        assert ">>> " in inspect.getdoc(getattr(textmill, name)), name
        for test in finder.find(getattr(textmill, name), name, globs={"textmill": textmill}):
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            told: list[str] = []
            runner.run(test, out=told.append)
            assert runner.failures == 0, "".join(told)
            ran += runner.tries
    assert ran >= 20


def test_texts_are_those_of_the_command(model, model_dir, capsys):
    prompts = ["The old", "a red cat"]
    assert main(["sample", str(model_dir), *prompts, "-n", "2", "--seed", "3", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [g.record() for g in model.generate(prompts, samples=2, seed=3)]
    assert [{k: row[k] for k in told[0]} for row in found] == told


def test_prompts_of_any_kind(model):
    import datasets

    texts = ["The old", "a red cat"]
    rows = [{"prompt": text, "n": i} for i, text in enumerate(texts)]
    expected = [g.text for g in model.generate(texts, max_words=9)]
    frame = pandas.DataFrame(rows)
    kinds = [rows, frame, datasets.Dataset.from_list(rows), iter(rows), (t for t in texts)]
    kinds += [[textmill.Prompt(id=text, text=text) for text in texts]]
    for kind in kinds:
        assert [g.text for g in model.generate(kind, max_words=9)] == expected
    assert [g.prompt.extra for g in model.generate(frame)] == [{"n": 0}, {"n": 1}]
    renamed = frame.rename(columns={"prompt": "headline"})
    assert [g.text for g in model.generate(renamed, column="headline", max_words=9)] == expected
    assert [g.text for g in model.generate(rows[0], max_words=9)] == expected[:1]
    assert model.generate([]) == []


def test_ids_of_prompts():
    def ids(data):
        return [p.id for p in prompts_from(data, GenerationSettings(), column="prompt")]

    assert ids(["a", "b", "a", "a"]) == ["a", "b", "a (2)", "a (3)"]
    assert ids([{"prompt": "a", "id": 7}, {"prompt": "a"}]) == ["7", "a"]
    assert ids([{"prompt": "a", "id": None}, {"prompt": "a" * 900}]) == ["a", "a" * 900]


def test_rows_have_settings_of_their_own(model):
    rows = [{"prompt": "The", "max_words": 2, "samples": 2}, {"prompt": "The", "temperature": 0}]
    found = model.generate(rows, max_words=30, min_words=1)
    assert [g.sample for g in found] == [1, 2, 1]
    assert found[0].words <= 2
    assert found[2].temperature == 0


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda m: m.generate("a", temprature=1), "UsageError", "did you mean 'temperature'"),
        (lambda m: m.generate("a", temperature=-1), "SettingError", "temperature must be 0 "),
        (lambda m: m.generate("a", stop=["zzz"]), "SettingError", "stop must be a word of the"),
        (lambda m: m.generate("a", label="x"), "SettingError", "label must be left out"),
        (lambda m: m.generate(5), "UsageError", "prompts must be a text, .* Received: int"),
        (lambda m: m.generate([5]), "UsageError", "prompts must be a text, .* Received: int"),
        (lambda m: m.generate({"promt": "a"}), "UsageError", "no field 'prompt'. Found: promt"),
        (lambda m: m.generate([{"prompt": " "}]), "UsageError", "row 1 is no prompt: empty"),
        (lambda m: m.generate([{"prompt": "a", "top_p": 3}]), "UsageError", "top_p must be"),
        (lambda m: m.stream("a", samples=2), "SettingError", "samples must be 1"),
        (lambda m: m.score([5]), "UsageError", "texts must be texts. Received: int"),
        (lambda m: m.score("a", label="x"), "SettingError", "label must be left out"),
        (lambda m: m.next_words("a", k=0), "SettingError", "k must be a whole number"),
        (lambda m: m.next_words(5), "UsageError", "text must be a text"),
        (lambda m: textmill.load("/none"), "TextmillError", "there is no model directory"),
        (lambda m: textmill.train("/none", out="o"), "TextmillError", "there is no file '/none'"),
        (lambda m: textmill.train("x", out="o", epoch=1), "UsageError", "did you mean 'epochs'"),
        (lambda m: textmill.augment(5, text="a", label="b"), "UsageError", "data must be a data "),
        (lambda m: textmill.augment("x.csv", text="a", label="b"), "UsageError", "out must be "),
        (
            lambda m: textmill.augment([{"a": 1}], text="a", label="b"),
            "UsageError",
            "no column named 'b'. Found: a",
        ),
        (lambda m: textmill.generate("m", prompts=5, out="o"), "UsageError", "prompts must be pr"),
        (
            lambda m: textmill.generate("m", prompts="p", out="o", n=1),
            "UsageError",
            "no option 'n'",
        ),
        (lambda m: textmill.verify("/none"), "TextmillError", "/none"),
        (lambda m: textmill.report("/none"), "TextmillError", "/none"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(model, tmp_path, monkeypatch, call, error, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(textmill.TextmillError, match=said) as caught:
        call(model)
    assert type(caught.value).__name__ == error
    assert "\n" not in str(caught.value)


def test_the_bulk_job_takes_rows_and_goes_on(model_dir, tmp_path):
    flags = ["--runner=FnApiRunner"]
    rows = pandas.DataFrame({"prompt": ["The old", "", "The red"], "n": [1, 2, 3]})
    out = tmp_path / "out"

    def run(prompts, **more):
        return textmill.generate(
            model_dir, prompts=prompts, out=out, runner_flags=flags, quiet=True, max_words=5, **more
        )

    counts = run(rows).manifest["counts"]
    assert (counts["rows"], counts["prompts"], counts["rejected"]) == (3, 2, 1)
    assert textmill.verify(str(out)).problems == []
    assert run(rows, resume=True).manifest["counts"] == counts
    with pytest.raises(textmill.TextmillError, match="holds other prompts"):
        run(rows[:2], resume=True)
    files = tmp_path / "p.txt"
    files.write_text("The old\n", encoding="utf-8")
    other = textmill.generate(
        model_dir, prompts=files, out=tmp_path / "o", runner_flags=flags, quiet=True
    )
    assert other.manifest["counts"]["records"] == 1


def rows_of(count):
    return [
        {"id": i, "text": f"the {kind} number {i} is here", "kind": kind}
        for i in range(count)
        for kind in ("cat", "dog")
    ]


@pytest.mark.parametrize("kind", ["rows", "pandas", "datasets"])
def test_augment_gives_the_same_kind_back(tmp_path, kind):
    import datasets

    rows = rows_of(12)
    data = {
        "rows": lambda: rows,
        "pandas": lambda: pandas.DataFrame(rows),
        "datasets": lambda: datasets.Dataset.from_list(rows),
    }[kind]()
    found = textmill.augment(
        data, text="text", label="kind", methods=["swap"], per_example=1, quiet=True
    )
    assert type(found) is type(data)
    back = rows_from(found)
    assert [{k: row[k] for k in rows[0]} for row in back[: len(rows)]] == rows
    assert {row["origin"] for row in back[len(rows) :]} == {"swap"}
    assert len(back) > len(rows)


def test_augment_of_a_file_and_names_that_are_taken(tmp_path):
    rows = [{**row, "origin": "mine"} for row in rows_of(12)]
    out = tmp_path / "more.jsonl"
    found = textmill.augment(
        rows, text="text", label="kind", out=out, methods=["swap"], per_example=1, quiet=True
    )
    assert {row["origin"] for row in found[: len(rows)]} == {"mine"}
    assert found[-1]["augment_origin"] == "swap"
    assert out.exists()
    with pytest.raises(textmill.UsageError, match=r"must end in \.jsonl"):
        textmill.augment(rows, text="text", label="kind", out="x.csv")
    again = textmill.augment(
        out, text="text", label="kind", out=tmp_path / "b.csv", methods=["swap"], quiet=True
    )
    assert again == str(tmp_path / "b.csv")


def test_like_of_every_kind():
    rows = [{"a": 1}, {"a": 2}]
    for data in (rows, pandas.DataFrame(rows), pyarrow.Table.from_pylist(rows)):
        assert rows_from(like(data, rows_from(data))) == rows
    for nothing in ("x", 5, {"a": 1}, ["a"], []):
        assert rows_from(nothing) is None


def test_a_model_can_be_pickled_and_closed(model):
    again = pickle.loads(pickle.dumps(model))
    assert again.fingerprint == model.fingerprint
    with contextlib.closing(again):
        assert "words" in repr(again)


AFTER_OTHER_WORK = """
import json, sys
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(4)
tf.matmul(tf.ones((9, 9)), tf.ones((9, 9)))
import textmill
from textmill.pipeline.augment.edits import AUGMENTERS
with textmill.load(sys.argv[1]) as model:
    texts = [g.text for g in model.generate(["The old", "a red"], seed=4)]
rows = AUGMENTERS["masked"](["The old cat sat"], ["x"], {"x": 3}, seed=1, model_dir=sys.argv[1])
try:
    textmill.load(sys.argv[1], own_process=False).generate("The")
    said = ""
except textmill.TextmillError as error:
    said = str(error)
print(json.dumps([texts, [row.text for row in rows], said]))
"""


@pytest.mark.walk
def test_the_same_bytes_after_other_work_in_the_process(model, model_dir):
    from textmill.pipeline.augment.edits import AUGMENTERS

    out = subprocess.run(
        [sys.executable, "-c", AFTER_OTHER_WORK, str(model_dir)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    texts, rows, said = json.loads(out.stdout.splitlines()[-1])
    assert texts == [g.text for g in model.generate(["The old", "a red"], seed=4)]
    assert "generate in a process of its own" in said
    asked = ["The old cat sat"], ["x"], {"x": 3}
    found = AUGMENTERS["masked"](*asked, seed=1, model_dir=str(model_dir))
    assert rows == [row.text for row in found]


def test_training_takes_what_the_command_takes(tmp_path):
    hints = typing.get_type_hints(options.TrainOptions)
    assert set(hints) == set(options.TrainOptions.__annotations__)
    texts = [{"text": f"the {a} cat saw {b} dogs"} for a in "abcd" for b in "efghijkl"] * 2
    found = textmill.train(
        texts, text="text", out=tmp_path / "m", preset="tiny", epochs=1, quiet=True
    )
    assert found.metrics["epochs"] == 1
    assert found.saved.mode == "lines"
