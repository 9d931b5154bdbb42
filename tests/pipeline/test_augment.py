"""`textmill augment`: real rows stay, added rows pass the filters, bad tables are refused."""

from __future__ import annotations

import csv
import json
import math
import random
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

import textmill.pipeline.augment.augment
import textmill.pipeline.augment.candidates
from textmill.model.errors import SettingError, TextmillError, UsageError
from textmill.model.network.directory import save_model
from textmill.model.text.labelled_tables import read_cells
from textmill.pipeline.augment.augment import augment
from textmill.pipeline.augment.candidates import _training
from textmill.pipeline.augment.filters import FilterSettings, jaccard
from textmill.pipeline.augment.settings import AugmentSettings
from textmill.pipeline.augment.table import read_labelled, write_table
from textmill.pipeline.command.cli import main

CATS = "cat kitten purrs sleeps whiskers paw tail milk sofa window warm soft"
DOGS = "dog puppy barks runs bone leash park ball fetch loud wet fast"
WORDS = {"cats": CATS.split(), "dogs": DOGS.split()}


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def text_of(label, rng, words=6):
    return "the " + " ".join(rng.sample(WORDS[label], words))


def rows_of(counts, seed=0):
    rng = random.Random(seed)
    return [(text_of(label, rng), label) for label, n in counts.items() for _ in range(n)]


@pytest.fixture
def quick(monkeypatch, make_model):
    """Trains no network and lets none write; the texts are words of the label instead.

    Gives the calls: what was asked of training and generation.
    """
    calls = []

    def train(out, *, corpus, vocabulary, train, preset, report, resume, init_from):
        labels = ()
        if corpus.labels is None:
            rows = Path(corpus.paths[0]).read_text("utf-8").splitlines()
        else:
            rows = lines_of(corpus.paths[0])
            labels = sorted({row["label"] for row in rows})
        start = () if init_from is None else (Path(init_from).name,)
        calls.append(("train", Path(out).name, len(rows), *start))
        model = make_model(["a"], labels=labels, mode="lines")
        model.training["metrics"] = {"stopped": "epochs"}
        save_model(out, model, card="")
        return model

    def write(model_dir, *, prompts, out, settings, **_):
        rows = lines_of(prompts[0])
        calls.append(("generate", len(rows), sum(row["samples"] for row in rows)))
        Path(out).mkdir()
        rng = random.Random(settings.seed)
        with open(Path(out, "shard-00000-of-00001.jsonl"), "w", encoding="utf-8") as file:
            for row in rows:
                for _ in range(row["samples"]):
                    more = " ".join(rng.sample(WORDS.get(row["label"], WORDS["cats"]), 5))
                    record = {
                        "text": f"{row['prompt']} {more}", "label": row["label"], "finish": "eos",
                        "logprob": -2.0, "source": row["source"],
                    }  # fmt: skip
                    file.write(json.dumps(record) + "\n")

    monkeypatch.setattr(textmill.pipeline.augment.candidates, "train_model", train)
    monkeypatch.setattr(textmill.pipeline.augment.candidates, "generate", write)
    return calls


def table(path, rows, columns=("text", "label")):
    write_table(str(path), columns, rows)
    return str(path)


def augmented(data, out, silent, *, text="text", label="label", filters=None, check=False, **more):
    return augment(
        str(data), out=str(out),
        settings=AugmentSettings(text=text, label=label, **{"candidates": 8, **more}),
        filters=filters or FilterSettings(max_unseen=1.0), report=silent, check=check,
    )  # fmt: skip


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_all_is_accounted_for_and_the_bars_hold(tmp_path, quick, silent):
    rows = rows_of({"cats": 15, "dogs": 25})
    about = augmented(table(tmp_path / "d.csv", rows), tmp_path / "o.csv", silent, per_example=2)
    found = read_csv(tmp_path / "o.csv")
    assert [(r["text"], r["label"]) for r in found[:40]] == rows
    assert {r["origin"] for r in found[:40]} == {"real"}
    kept, counts = found[40:], about["counts"]
    assert {r["origin"] for r in kept} == {"generated"}
    assert Counter(r["label"] for r in kept) == {"cats": 30, "dogs": 50}
    folder = tmp_path / "o.csv.augment"
    rejected = lines_of(folder / "rejected.jsonl")
    assert len(kept) + len(rejected) == counts["candidates"] >= 640
    assert Counter(r["reason"] for r in rejected) == counts["rejected"]
    assert counts["labels"]["dogs"] == {
        "real": 25, "wanted": 50, "kept": 50, "candidates": counts["labels"]["dogs"]["candidates"],
    }  # fmt: skip
    matrix = about["agreement"]["matrix"]
    assert sum(map(sum, matrix)) == counts["candidates"]
    assert json.loads((folder / "augment.json").read_text()) == about
    real = [tuple(text.split()) for text, _ in rows]
    assert {r["source"] for r in found[:40]} == {""}
    for row in kept:
        source = int(row["source"]) - 1
        assert rows[source][1] == row["label"]
        assert row["text"].split()[0] == rows[source][0].split()[0]
        words = tuple(row["text"].split())
        assert words not in real
        assert max(jaccard(words, other) for other in real) < 0.8
        runs = [words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1)]
        copied = [
            run for run in runs if any(f" {' '.join(run)} " in f" {text} " for text, _ in rows)
        ]
        longest = max(map(len, copied), default=0)
        assert longest <= min(7, 0.6 * len(words))
        assert int(row["copied"]) == longest
        assert row["text"].split()[-1] in WORDS[row["label"]]
        assert math.isclose(float(row["perplexity"]), math.exp(2.0), abs_tol=1e-3)
    assert len({row["text"] for row in kept}) == len(kept)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"per_label": 7}, {"cats": 7, "dogs": 7}),
        ({"balance": True}, {"cats": 10}),
        ({"per_example": 1}, {"cats": 10, "dogs": 20}),
        ({}, {"cats": 100, "dogs": 200}),
    ],
)
def test_how_many(tmp_path, quick, silent, asked, expected):
    data = table(tmp_path / "d.jsonl", rows_of({"cats": 10, "dogs": 20}))
    augmented(data, tmp_path / "o.jsonl", silent, **asked)
    rows = lines_of(tmp_path / "o.jsonl")
    assert Counter(row["label"] for row in rows if row["origin"] != "real") == expected


def test_equal_runs_write_equal_bytes_and_another_seed_others(tmp_path, quick, silent):
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        augmented(data, tmp_path / f"{name}.csv", silent, seed=seed)
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b != c


# -- real rows come back as they were --------------------------------------------------------------

ODD = [('He said "no",\nthen\tleft  twice ', "cats"), ("ünï → 日", "dogs"), (" ,,", "cats")]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_odd_cells_come_back(tmp_path, quick, silent, ending):
    rows = [*ODD, *rows_of({"cats": 12, "dogs": 12})]
    data = table(tmp_path / f"d.{ending}", rows, ("words, said", "kind"))
    about = augmented(
        data, tmp_path / f"o.{ending}", silent, text="words, said", label="kind", per_example=1
    )
    again = read_labelled(str(tmp_path / f"o.{ending}"), text="words, said", label="kind")
    assert again.cells[: len(rows)] == rows
    assert about["settings"]["text"] == "words, said"
    assert about["counts"]["kept"] > 0


def test_labels_that_are_numbers_stay_numbers(tmp_path, quick, silent):
    names = {"cats": 0, "dogs": 1}
    rows = [(text, names[label]) for text, label in rows_of({"cats": 12, "dogs": 12})]
    for ending in ("jsonl", "parquet"):
        data = table(tmp_path / f"d.{ending}", rows)
        augmented(data, tmp_path / f"o.{ending}", silent, filters=FilterSettings(max_unseen=1))
    table_out = pa.parquet.read_table(tmp_path / "o.parquet")
    assert table_out.schema.field("label").type == pa.int64()
    lines = lines_of(tmp_path / "o.jsonl")
    assert {type(line["label"]) for line in lines} == {int}
    assert len(lines) > len(rows)


def test_weights_in_all_kinds_of_tables(tmp_path, quick, silent):
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}))
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        out = tmp_path / f"o.{ending}"
        augmented(data, out, silent, methods=("swap",), per_example=1)
        if ending == "parquet":
            found = pa.parquet.read_table(out).to_pylist()
        elif ending == "jsonl":
            found = lines_of(out)
        else:
            with open(out, encoding="utf-8", newline="") as file:
                found = list(
                    csv.DictReader(file, dialect="excel-tab" if ending == "tsv" else "excel")
                )
        weights = {(row["origin"], float(row["weight"])) for row in found}
        assert weights == {("real", 1.0), ("swap", 0.1)}


def test_probabilities_in_all_kinds_of_tables(tmp_path, quick, silent):
    """They are those of the judges that have not seen the row an edit came from."""
    rows = [*rows_of({"cats": 12, "dogs": 12}), ("no label at all", "")]
    data = table(tmp_path / "d.csv", rows)
    tables = {}
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        out = tmp_path / f"o.{ending}"
        augmented(data, out, silent, methods=("swap",), per_example=1, probabilities=True)
        tables[ending] = [
            [None if cell is None or cell == "" else float(cell) for cell in cells]
            for cells in read_cells(out.read_bytes(), path=str(out), columns=("p_cats", "p_dogs"))
        ]
        confidence = list(
            read_cells(out.read_bytes(), path=str(out), columns=("label", "confidence"))
        )
        for (label, own), (cats, dogs) in zip(confidence[25:], tables[ending][25:], strict=True):
            assert float(own) == {"cats": cats, "dogs": dogs}[label]
            assert cats + dogs == pytest.approx(1, abs=2e-4)
    first = tables["csv"]
    assert first[:25] == [*[[1, 0]] * 12, *[[0, 1]] * 12, [None, None]]
    assert len(first) > 40
    assert first == tables["tsv"] == tables["jsonl"] == tables["parquet"]


def test_the_document_s_code_that_uses_the_weights_runs(tmp_path, quick, silent, monkeypatch):
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}))
    augmented(data, tmp_path / "more.csv", silent, methods=("swap",), per_example=2)
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    (code,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", text, re.S)
        if "sample_weight" in block
    ]
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    assert set(names["linear"].predict(names["vectorizer"].transform(["cat kitten"]))) <= {
        "cats", "dogs",
    }  # fmt: skip
    assert names["network"].predict(names["words"], verbose=0).shape[1] == 2


def test_columns_by_number_and_tabs(tmp_path, quick, silent):
    rows = rows_of({"cats": 12, "dogs": 12})
    (tmp_path / "d.tsv").write_text("".join(f"{label}\t{text}\n" for text, label in rows))
    augmented(tmp_path / "d.tsv", tmp_path / "o.tsv", silent, text="2", label="1")
    lines = (tmp_path / "o.tsv").read_text().splitlines()
    assert lines[0].split("\t")[:3] == ["text", "label", "origin"]
    assert lines[1].split("\t") == [*rows[0], "real", "1.0", "", "", "", "", "", ""]
    table(tmp_path / "q.csv", [("a\tb", "cats"), *rows])
    with pytest.raises(TextmillError, match=r"row 1 has a tab.*name the output \.csv"):
        augmented(tmp_path / "q.csv", tmp_path / "q.tsv", silent)
    assert not (tmp_path / "q.tsv").exists()


def test_a_column_named_like_ours(tmp_path, quick, silent):
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}), ("origin", "label"))
    augmented(data, tmp_path / "o.csv", silent, text="origin")
    assert list(read_csv(tmp_path / "o.csv")[0])[:3] == ["origin", "label", "augment_origin"]


def test_rows_without_text_or_label_are_told_and_come_back(tmp_path, quick, silent):
    odd = [(None, "cats"), ("  ", "cats"), ("a b c", None), (5, "cats"), ("a b", ["x"]), ("a", "")]
    rows = [*odd, *rows_of({"cats": 12, "dogs": 12})]
    about = augmented(table(tmp_path / "d.jsonl", rows), tmp_path / "o.jsonl", silent)
    assert about["counts"]["left_out"] == {
        "no text": 1, "an empty text": 1, "no label": 2, "a text that is no text": 1,
        "a label of several values": 1,
    }  # fmt: skip
    lines = lines_of(tmp_path / "o.jsonl")
    assert [(line["text"], line["label"]) for line in lines[: len(rows)]] == rows
    assert sum("does not learn from" in message for message in silent.messages) == 5


# -- tables that are of no use, or hardly ----------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "more", "words"),
    [
        ([("a b", "x")] * 30, {}, "all 30 rows have the label 'x'"),
        ([("a b", f"{i}") for i in range(30)], {}, "30 labels in 30 rows; name the column"),
        ([("a b", "x")], {"text": "words"}, "no column named 'words'. Found: 'text', 'label'"),
        ([("", "x"), ("a", "")], {}, "no row with a text and a label"),
        ([("我喜欢猫和狗", "x"), ("今天天气很好", "y")] * 9, {}, "give --level char"),
        ([("ฉันชอบแมว", "x"), ("วันนี้อากาศดี", "y")] * 9, {}, "without spaces"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_bad_tables(tmp_path, quick, silent, rows, more, words, ending):
    data = table(tmp_path / f"d.{ending}", rows)
    with pytest.raises(TextmillError, match=words):
        augmented(data, tmp_path / "o.csv", silent, **more)
    assert not (tmp_path / "o.csv").exists()
    assert quick == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"per_example": 2, "balance": True}, "give one of"),
        ({"methods": ("magic",)}, "with must be one of generated"),
        ({"per_label": 0}, "per_label must be"),
        ({"minutes": 0}, "minutes must be"),
        ({"temperatures": (-1.0,)}, "temperature must be"),
    ],
)
def test_settings_are_checked(more, words):
    with pytest.raises((SettingError, UsageError), match=words):
        AugmentSettings(text="t", label="l", **more)


def test_characters_of_a_language_without_spaces(tmp_path, quick, silent):
    rng = random.Random(0)
    signs = {"x": "猫喵睡软暖爪尾奶窗", "y": "狗汪跑骨球园快湿响"}
    rows = [("我" + "".join(rng.sample(signs[k], 7)), k) for k in signs for _ in range(15)]
    about = augmented(table(tmp_path / "d.csv", rows), tmp_path / "o.csv", silent, level="char")
    assert about["thresholds"]["max_copied"] == 24
    prompts = (tmp_path / "o.csv.augment" / "prompts.jsonl").read_text().splitlines()
    starts = {json.loads(line)["prompt"] for line in prompts}
    assert {len(start) for start in starts} == {2, 5}  # nine characters would be more than all


def test_a_label_with_one_row(tmp_path, quick, silent):
    rows = [*rows_of({"cats": 12, "dogs": 12}), ("the fish swims in a bowl of glass", "fish")]
    about = augmented(table(tmp_path / "d.csv", rows), tmp_path / "o.csv", silent)
    assert any("fewer than 10 rows" in m and "fish 1" in m for m in silent.messages)
    assert about["counts"]["labels"]["fish"]["candidates"] >= 40


def test_ten_rows_are_said_several_times(tmp_path, quick, silent):
    augmented(
        table(tmp_path / "d.csv", rows_of({"cats": 5, "dogs": 5})), tmp_path / "o.csv", silent
    )
    assert quick[0] == ("train", "model", 50)


@pytest.mark.parametrize(
    ("rows", "passes", "enough"),
    [(10, 480, 8.0), (40, 120, 8.0), (140, 60, 8.0), (400, 40, 8.0), (900, 30, 8.0), (5000, 30, 0)],
)
def test_fewer_rows_are_passed_over_more_often(rows, passes, enough):
    settings = AugmentSettings(text="t", label="l")
    train = _training(settings, 3.0, rows, often=5)
    assert (5 * train.epochs, train.enough, train.minutes) == (passes, enough, 3.0)
    own = AugmentSettings(text="t", label="l", epochs=10)
    assert 5 * _training(own, 3.0, rows, often=5).epochs == 10


def test_of_very_many_rows_some_are_learned_from(tmp_path, quick, silent, monkeypatch):
    monkeypatch.setattr(textmill.pipeline.augment.augment, "MOST_ROWS", 40)
    rows = rows_of({"cats": 100, "dogs": 300})
    about = augmented(table(tmp_path / "d.csv", rows), tmp_path / "o.csv", silent)
    assert quick[0] == ("train", "model", 200)
    counts = about["counts"]
    assert (counts["real"], counts["learned"], counts["wanted"]) == (400, 40, 400)
    assert {k: v["real"] for k, v in counts["labels"].items()} == {"cats": 10, "dogs": 30}
    found = read_csv(tmp_path / "o.csv")
    assert [(r["text"], r["label"]) for r in found[:400]] == rows
    assert not {r["text"] for r in found[400:]} & {text for text, _ in rows}
    assert any("more than 40 rows, the model learns from 40 of them" in m for m in silent.messages)


def test_fewer_than_wanted_is_told(tmp_path, quick, silent):
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}))
    filters = FilterSettings(max_unseen=0.0)
    about = augmented(data, tmp_path / "o.csv", silent, filters=filters)
    assert about["counts"]["kept"] < about["counts"]["wanted"]
    assert "fewer rows than wanted passed" in silent.messages[-1]
    assert "unseen neighbours" in silent.messages[-1]


# -- other methods, resume, the command ------------------------------------------------------------


def test_methods_are_mixed(tmp_path, quick, silent):
    data = table(tmp_path / "d.csv", rows_of({"cats": 20, "dogs": 20}))
    about = augmented(
        data, tmp_path / "o.csv", silent, methods=("generated", "swap"), per_example=4
    )
    origins = Counter(row["origin"] for row in read_csv(tmp_path / "o.csv"))
    assert origins["real"] == 40
    assert origins["generated"] > 0
    assert origins["swap"] > 0
    assert about["counts"]["candidates"] >= 1280
    augmented(data, tmp_path / "p.csv", silent, methods=("swap",))
    assert [call[0] for call in quick] == ["train", "generate"]  # not for the second


@pytest.mark.long
def test_the_check_makes_all_anew_without_the_held_out_rows(tmp_path, quick, silent):
    rows = rows_of({"cats": 10, "dogs": 10})
    data = table(tmp_path / "d.csv", rows)
    about = augmented(data, tmp_path / "o.csv", silent, check=True)
    names = ["logistic regression on TF-IDF, with weights", "LSTM"]
    assert [gain["classifier"] for gain in about["check"]] == names
    for gain in about["check"]:
        assert gain["low"] <= gain["gain"] <= gain["high"]
        assert gain["with"] - gain["without"] == pytest.approx(gain["gain"], abs=0.02)
        assert any(gain["classifier"] in m and "points" in m for m in silent.messages)
    assert [call[:2] for call in quick if call[0] == "train"] == [("train", "model")] * 6
    seen = Counter()
    for part in range(1, 6):
        folder = tmp_path / "o.csv.augment" / "check" / f"{part}"
        seen.update({line["text"] for line in lines_of(folder / "rows.jsonl")})
    assert seen == {text: 4 for text, _ in rows}  # each is held out once


def test_unlabelled_texts_are_learned_from_first(tmp_path, quick, silent):
    data = table(tmp_path / "d.csv", rows_of({"cats": 10, "dogs": 10}))
    (tmp_path / "more.txt").write_text("one text\n\nanother text\n")
    more = (str(tmp_path / "more.txt"),)
    augmented(data, tmp_path / "o.csv", silent, unlabelled=more, methods=("generated",))
    assert any("leave --with out to get" in message for message in silent.messages)
    assert quick[:2] == [("train", "base", 22), ("train", "model", 100, "base")]
    texts = (tmp_path / "o.csv.augment" / "texts.txt").read_text().splitlines()
    assert texts[:2] == ["one text", "another text"]


def test_unlabelled_texts_get_the_label_of_the_classifiers(tmp_path, quick, silent):
    rng = random.Random(1)
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}))
    truth = {text_of(label, rng): label for label in ("cats", "dogs") * 30}
    more = tmp_path / "more.txt"
    more.write_text("\n".join([*truth, rows_of({"cats": 1})[0][0]]) + "\n")
    about = augmented(
        data, tmp_path / "o.csv", silent, unlabelled=(str(more),), per_example=2,
    )  # fmt: skip
    assert quick == []  # nothing is trained or written
    kept = [row for row in read_csv(tmp_path / "o.csv") if row["origin"] == "pseudo"]
    assert len(kept) == 48
    assert {(row["text"], row["label"]) for row in kept} <= set(truth.items())
    assert about["counts"]["rejected"] == {"not needed": 12, "copy of a real row": 1}
    with pytest.raises(UsageError, match="--unlabelled"):
        AugmentSettings(text="t", label="l", methods=("pseudo",))


def test_rows_that_were_not_needed_are_no_reason_for_too_few(tmp_path, quick, silent):
    rng = random.Random(1)
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}))
    more = tmp_path / "more.txt"
    more.write_text("\n".join({text_of("cats", rng) for _ in range(60)}) + "\n")
    about = augmented(
        data, tmp_path / "o.csv", silent, unlabelled=(str(more),), methods=("pseudo",),
        per_example=1,
    )  # fmt: skip
    assert list(about["counts"]["rejected"]) == ["not needed"]
    assert silent.messages[-1] == (
        "fewer rows than wanted passed the filters: dogs 0 of 12. More texts in --unlabelled give "
        "more rows"
    )


def test_the_command_counts_rows_that_were_not_needed_apart(tmp_path, capsys, monkeypatch):
    counts = {
        "real": 6, "candidates": 9, "wanted": 4, "kept": 4,
        "rejected": {"not needed": 3, "loop": 2},
    }  # fmt: skip
    monkeypatch.setattr(
        "textmill.pipeline.augment.augment.augment",
        lambda *_, **__: {"counts": counts, "seconds": {}},
    )
    words = ["augment", "d.csv", "--text", "text", "--label", "label", "--out", "o.csv", "--quiet"]
    assert main([words[0], str(tmp_path / words[1]), *words[2:]]) == 0
    lines = [re.split(r"\W*│\W*", line)[1:-1] for line in capsys.readouterr().out.splitlines()]
    assert ["not needed", "3"] in lines
    assert ["rejected: loop", "2"] in lines


def test_a_stopped_run_goes_on(tmp_path, quick, silent, monkeypatch):
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}))
    settings = AugmentSettings(text="text", label="label")

    def run(out="o.csv", settings=settings, resume=False):
        return augment(
            data, out=str(tmp_path / out), settings=settings, filters=FilterSettings(),
            report=silent, resume=resume,
        )  # fmt: skip

    with monkeypatch.context() as patch:
        patch.setattr(textmill.pipeline.augment.candidates, "score", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    (tmp_path / "o.csv.augment" / "rejected.jsonl").write_text("of a run that was killed")
    with pytest.raises(TextmillError, match=r"already exists.*--resume"):
        run()
    other = AugmentSettings(text="text", label="label", seed=4)
    with pytest.raises(TextmillError, match="--seed 0, now it is 4"):
        run(settings=other, resume=True)
    # The fake writes its files anew.
    (tmp_path / "o.csv.augment" / "model.training").mkdir()
    for path in (tmp_path / "o.csv.augment" / "generated").iterdir():
        path.unlink()
    (tmp_path / "o.csv.augment" / "generated").rmdir()
    run(resume=True)
    assert [call[0] for call in quick] == ["train", "generate", "generate"]
    assert not (tmp_path / "o.csv.augment" / "model.training").exists()
    run("alone.csv")
    for name in ("o.csv", "o.csv.augment/rejected.jsonl"):
        other_name = name.replace("o.csv", "alone.csv", 1)
        assert (tmp_path / name).read_bytes() == (tmp_path / other_name).read_bytes()
    with pytest.raises(TextmillError, match="already exists"):
        run()
    (tmp_path / "o.csv.augment" / ".attempt-left").write_text("text,lab")
    assert run(resume=True) == json.loads((tmp_path / "o.csv.augment" / "augment.json").read_text())
    assert not list(tmp_path.rglob(".*"))
    with pytest.raises(TextmillError, match="--seed 0, now it is 4"):
        run(settings=other, resume=True)
    table(tmp_path / "d2.csv", rows_of({"cats": 13, "dogs": 12}))
    (tmp_path / "o.csv").unlink()
    with pytest.raises(TextmillError, match="began with another table"):
        augment(
            str(tmp_path / "d2.csv"), out=str(tmp_path / "o.csv"), settings=settings,
            filters=FilterSettings(), report=silent, resume=True,
        )  # fmt: skip


def test_a_run_that_was_killed_as_it_began(tmp_path, quick, silent):
    data = table(tmp_path / "d.csv", rows_of({"cats": 12, "dogs": 12}))
    (tmp_path / "o.csv.augment").mkdir()
    (tmp_path / "o.csv.augment" / ".attempt-left").write_text("{")
    settings = AugmentSettings(text="text", label="label", per_example=1)
    augment(
        data, out=str(tmp_path / "o.csv"), settings=settings, filters=FilterSettings(),
        report=silent, resume=True,
    )  # fmt: skip
    assert not list(tmp_path.rglob(".*"))


def test_the_command_end_to_end(tmp_path, capsys, monkeypatch):
    """A real network and a real Beam run."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "d.csv", rows_of({"cats": 15, "dogs": 15}))
    command = [
        "augment", "d.csv", "--text", "text", "--label", "label", "--out", "o.csv", "--epochs", "8",
        "--candidates", "4", "--per-label", "10", "--max-unseen", "1", "--json", "--quiet",
        "--", "--runner=FnApiRunner",
    ]  # fmt: skip
    assert main(command) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert counts["real"] == 30
    assert counts["candidates"] >= 80
    assert counts["kept"] + sum(counts["rejected"].values()) == counts["candidates"]
    assert (tmp_path / "o.csv.augment" / "generated" / "manifest.json").exists()
    assert len(read_csv(tmp_path / "o.csv")) == 30 + counts["kept"]
    assert main(command) == 1
    assert "o.csv already exists" in capsys.readouterr().err


def test_a_carriage_return_in_a_cell_comes_back(tmp_path):
    rows = [("a\rb", "x"), ("c", "y\r"), ("d\r\n", "z"), ("plain", "x")]
    path = table(tmp_path / "t.csv", rows)
    assert read_labelled(path, text="text", label="label").cells == rows
    assert (tmp_path / "t.csv").read_bytes().endswith(b"\nplain,x\n")
