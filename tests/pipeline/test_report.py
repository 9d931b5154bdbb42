"""`textmill report`: its figures against counting by hand, its page in a browser."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import math
import re
import shutil
import sys
from dataclasses import replace

import pytest
from pages import EVIL, Tags, across, look, open_browser, pictures, points, unfold

from textmill.model.errors import SettingError, TextmillError, UsageError
from textmill.model.pages.svg import MARKERS, Chart, Curve, swatch
from textmill.model.prompt import Generation, Prompt
from textmill.model.text.corpus import CorpusSettings, read_corpus
from textmill.pipeline.command import cli
from textmill.pipeline.files.filesystem import names
from textmill.pipeline.job.manifest import GeneratedShard, Output, write_manifest, write_shard
from textmill.pipeline.job.resumable_run import RunDirectory
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Form, Rejected, Shard
from textmill.pipeline.report.charts import MEASURES
from textmill.pipeline.report.figures import RejectedReason, as_json
from textmill.pipeline.report.metrics import plain_words
from textmill.pipeline.report.report import report
from textmill.pipeline.report.tally import (
    BROWSED_ALL,
    BROWSED_PROMPTS,
    BROWSED_TEXT,
    MOST_GROUPS,
    MOST_LABELS,
    SHOWN,
    Lowest,
    Stream,
)

JSONL = Format()
CORPUS = "The old cat sat on the green mat.\n\nThe red dog ran.\n\nA bird sang to the old cat.\n"
TEXTS = {
    0.5: ["the old cat sat on the green mat again", "the red dog ran ran ran ran ran ran"],
    1.0: ["a new day", "the old cat sat down"],
    1.5: ["", "blue seven “kite”"],
}


def generation(prompt, sample, text, temperature, *, label=None, finish="eos"):
    words = len(text.split())
    return Generation(
        Prompt(prompt, "One day"),
        sample,
        " " + text,
        label,
        temperature,
        words,
        finish,
        -temperature,
    )


def write_output(folder, generations, *, form=JSONL, rejected=(), settings=None, labelled=False):
    """An output as `generate` leaves it, without a model."""
    output = Output(str(folder), form, columns_of({}, labelled=labelled))
    folder.mkdir()
    prompts = list(dict.fromkeys(g.prompt.id for g in generations))
    header = {
        "model": "0123456789abcdef" * 4,
        "settings": json.loads(json.dumps({"echo": False, **(settings or {})})),
        "input": {"delimiter": ","},
        "output": {"name": form.name, "compression": form.compression},
        "prompts": [{"name": "p.txt", "bytes": 9, "rows": len(prompts) + len(rejected)}],
        "columns": [
            {"name": c.name, "kind": c.kind, "source": c.source} for c in output.columns
        ],
        "versions": {"textmill": "0"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(header))
    summaries = []
    halves = (prompts[::2], prompts[1::2])
    for number, half in enumerate(halves):
        mine = [g for g in generations if g.prompt.id in half]
        bad = list(rejected) if number == 0 else []
        shard = Shard(
            number=number, of=2, path="p", name="p", form=Form("text"), columns=(), start=0, end=9,
            first=1, rows=len(half) + len(bad),
        )  # fmt: skip
        done = GeneratedShard(shard, len(half), len(mine), mine, bad, "cpu", "2", 0.5)
        summaries.append(write_shard(done, output))
    write_manifest(summaries, output=output, header=header, rows=len(prompts) + len(rejected))
    return folder


@pytest.fixture
def output(tmp_path):
    made = [
        generation(f"p.txt:{i + 1}", n + 1, texts[i], t, finish="length" if t == 1.5 else "eos")
        for i in range(2)
        for n, (t, texts) in enumerate(TEXTS.items())
    ]
    return write_output(
        tmp_path / "out", made,
        rejected=[
            Rejected("p.txt", 3, "too long", ""),
            Rejected("p.txt", 4, "not valid UTF-8 at byte 3", "x"),
            Rejected("p.txt", 5, "too long", ""),
        ],
    )  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "corpus.txt").write_text(CORPUS)
    return CorpusSettings(paths=(str(tmp_path / "corpus.txt"),))


def test_the_figures_are_those_of_counting_by_hand(output, corpus):
    found = report(str(output), corpus=corpus, copied_words=4)
    assert found.counts == {
        "rows": 5, "prompts": 2, "rejected": 3, "records": 6, "words": 29,
    }  # fmt: skip
    assert found.rejected == (
        RejectedReason(reason="too long", count=2),
        RejectedReason(reason="not valid UTF-8", count=1),
    )
    low, middle, high = found.groups
    assert [g.name for g in found.groups] == ["0.5", "1", "1.5"]
    assert [g.temperature for g in found.groups] == [0.5, 1.0, 1.5]
    assert [g.texts for g in found.groups] == [2, 2, 2]
    assert [g.figures.perplexity for g in found.groups] == pytest.approx(
        [math.exp(0.5), math.exp(1), math.exp(1.5)]
    )
    assert [g.figures.cut for g in found.groups] == [0, 0, 1]
    # Eight words of the first text are the corpus's; of the second "the red dog ran".
    assert low.figures.copied == pytest.approx((8 + 4) / 18)
    assert low.figures.longest_copy == 8
    assert low.figures.texts_with_copies == 1
    assert middle.figures.copied == pytest.approx(4 / 8)
    assert middle.figures.texts_with_copies == 0.5
    assert high.figures.copied == high.figures.longest_copy == 0
    # "ran ran ran ran" three times, of six runs of four words; none in the other text.
    assert low.figures.repetition == pytest.approx((2 / 6) / 2)
    assert [g.figures.mean_length for g in found.groups] == [11, 6, 3.5]  # with "One day"
    assert found.measured.distinct_words == 3
    assert found.real.texts == 3
    assert found.real.words == 8 + 4 + 7
    assert found.real.figures.mean_length == pytest.approx(19 / 3)
    assert found.real.lengths == ((4, 1 / 3), (7, 2 / 3), (8, 1))


def test_perplexity_weighs_every_drawn_word(tmp_path):
    made = [
        Generation(Prompt("a", ""), 1, "x y", None, 1.0, 2, "length", -1.0),
        Generation(Prompt("b", ""), 1, "x", None, 1.0, 1, "eos", -4.0),  # and its end
    ]
    (group,) = report(str(write_output(tmp_path / "o", made))).groups
    assert group.figures.perplexity == pytest.approx(math.exp((2 * 1 + 2 * 4) / 4))


def test_distinct_is_compared_over_equal_numbers_of_words(tmp_path):
    made = [generation("a", 1, "one two three four one two", 0.5), generation("a", 2, "x x", 1.0)]
    low, high = report(str(write_output(tmp_path / "o", made))).groups
    assert low.figures.distinct_1 == 1
    assert high.figures.distinct_1 == 0.5


def test_self_bleu_is_of_equal_numbers_of_texts(tmp_path):
    pytest.importorskip("sacrebleu", reason="needs sacrebleu: pip install 'textmill[report]'")
    made = [generation(f"{i}", 1, "the same four words here", 0.5) for i in range(4)]
    made += [generation("0", 2, "a b c d", 1.0), generation("1", 2, "e f g h", 1.0)]
    found = report(str(write_output(tmp_path / "o", made)))
    assert found.measured.bleu_texts == 2
    assert found.groups[0].figures.self_bleu == pytest.approx(1)
    assert found.groups[1].figures.self_bleu == 0


def test_the_same_prompts_show_at_all_temperatures(tmp_path):
    made = [
        generation(f"p:{i}", n, f"text {i} {t}", t)
        for i in range(40)
        for n, t in enumerate((0.5, 1.0), start=1)
    ]
    found = report(str(write_output(tmp_path / "o", made)))
    (group,) = found.samples
    assert len(group.prompts) == SHOWN
    for prompt in group.prompts:
        assert [text.of for text in prompt.texts] == ["temperature 0.5", "temperature 1"]
        low, high = (text.text.split() for text in prompt.texts)
        assert low[1] == high[1]


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet", "tfrecord"])
def test_every_format_gives_the_same_figures(name, output, tmp_path):
    made = [
        generation(f"p.txt:{i + 1}", n + 1, texts[i], t, finish="length" if t == 1.5 else "eos")
        for i in range(2)
        for n, (t, texts) in enumerate(TEXTS.items())
    ]
    other = write_output(tmp_path / "other", made, form=Format(name=name, compression="gzip"))
    expected, found = report(str(output)), report(str(other))
    assert found.groups == expected.groups
    assert found.samples == expected.samples
    assert found.notes == expected.notes


def test_of_a_text_output_is_said_what_cannot_be_shown(tmp_path):
    made = [generation("a", 1, "one two two", 0.5), generation("b", 1, "x", 1.0)]
    found = report(str(write_output(tmp_path / "o", made, form=Format(name="text"))))
    (group,) = found.groups
    assert (group.name, group.texts, group.figures.perplexity) == ("all", 2, None)
    assert "temperatures" in found.notes[0]
    page = (tmp_path / "o" / "report.html").read_text("utf-8")
    assert "one two two" in page
    assert "The temperatures are not known, so there are no curves." in page


def test_without_the_corpus_is_said_that_copying_was_not_measured(output, capsys):
    found = report(str(output))
    assert found.real is None
    assert all(group.figures.copied is None for group in found.groups)
    page = (output / "report.html").read_text("utf-8")
    assert "neither copied text was measured" in page
    assert "Copied in runs" not in page
    assert cli.main(["report", str(output)]) == 0
    said = capsys.readouterr().out
    assert "neither copied text was measured" in said
    assert "self-BLEU" in said
    assert "copied   " not in said


def test_without_sacrebleu_all_else_is_there(output, corpus, monkeypatch):
    full = report(str(output), corpus=corpus)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    found = report(str(output), corpus=corpus)
    assert "textmill[report]" in "".join(found.notes)
    for group, whole in zip(found.groups, full.groups, strict=True):
        assert group == replace(whole, figures=replace(whole.figures, self_bleu=None))
    assert "Self-BLEU: how alike" not in (output / "report.html").read_text("utf-8")


def test_an_output_without_texts(tmp_path, corpus):
    folder = write_output(tmp_path / "o", [], rejected=[Rejected("p.txt", 1, "empty", "")])
    found = report(str(folder), corpus=corpus)
    assert found.groups == ()
    assert found.measured.texts == 0
    page = (folder / "report.html").read_text("utf-8")
    Tags(page)
    assert "1 rejected, by reason" in page


def test_a_report_is_no_stranger_to_verify_and_comes_again_the_same(output, corpus):
    before = {path.name: path.read_bytes() for path in output.iterdir() if path.is_file()}
    report(str(output), corpus=corpus)
    assert verify(str(output)).problems == []
    first = [(output / f"report.{ending}").read_bytes() for ending in ("html", "json")]
    report(str(output), corpus=corpus)
    assert first == [(output / f"report.{ending}").read_bytes() for ending in ("html", "json")]
    assert (
        before.items() <= {p.name: p.read_bytes() for p in output.iterdir() if p.is_file()}.items()
    )
    (output / "report.txt").write_text("")
    assert verify(str(output)).problems == [f"report.txt in {output} is no file of this run"]


def test_a_resume_leaves_the_report_alone(output):
    """The same holds if something is damaged and will be made again."""
    report(str(output))
    page = (output / "report.html").read_bytes()
    header = json.loads((output / "run.json").read_text())
    place = Output(str(output), JSONL, columns_of({}, labelled=False))
    directory = RunDirectory(place, header, resume=True)
    assert directory.finished
    directory.release(finished=True)
    (output / "shard-00000-of-00002.jsonl").write_bytes(b"")
    directory = RunDirectory(place, header, resume=True)
    assert not directory.finished
    assert "shard-00000-of-00002.jsonl" not in names(str(output))
    directory.release()
    assert (output / "report.html").read_bytes() == page
    assert (output / "report.json").exists()


def test_json_and_another_place(output, tmp_path, capsys):
    assert (
        cli.main(["report", str(output), "--json", "--out", str(tmp_path / "new" / "place")]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((tmp_path / "new" / "place" / "report.json").read_text("utf-8"))
    assert (tmp_path / "new" / "place" / "report.html").exists()
    assert not (output / "report.html").exists()


def test_the_keys_of_the_json_are_these_in_this_order(output, corpus, tmp_path):
    both = ["format", "kind", "name", "asked", "counts", "rejected", "labels", "samples"]
    figures = ["groups", "real", "measured", "notes"]
    diversity = ["distinct_1", "distinct_2", "distinct_3", "self_bleu", "repetition"]
    copies = ["copied", "texts_with_copies", "longest_copy"]
    found = as_json(report(str(output), corpus=corpus))
    assert list(found) == [*both, *figures]
    assert list(found["asked"]) == ["model", "settings", "input", "output", "versions", "prompts"]
    assert list(found["groups"][0]) == [
        "name", "temperature", "texts", "perplexity", "cut", "sampled", "mean_length", *diversity,
        *copies, "lengths", "ranks",
    ]  # fmt: skip
    assert list(found["real"]) == [
        "name", "files", "texts", "words", "figures", "lengths", "ranks",
    ]  # fmt: skip
    assert list(found["real"]["figures"]) == ["sampled", "mean_length", *diversity, *copies]
    found = as_json(report(str(augmentation(tmp_path / "a"))))
    assert list(found) == [*both, "agreement", "check", *figures]
    assert list(found["asked"]) == ["settings", "thresholds", "model"]
    assert found["check"][0]["with"] == 74.3


def test_wrong_use_is_one_line(output, tmp_path, capsys):
    def fails(*words, status):
        assert cli.main(["report", *words]) == status
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    assert "neither manifest.json of generate nor augment.json" in fails(str(tmp_path), status=1)
    assert "--copied-words must be a whole number" in fails(
        str(output), "--copied-words", "0", status=2
    )
    assert "name that with --corpus" in fails(str(output), "--text", "x", status=2)
    assert "no file 'absent.txt'" in fails(str(output), "--corpus", "absent.txt", status=1)
    assert "name its column with --text" in fails(str(output), "--corpus", "a.csv", status=2)
    shard = next(output.glob("shard-*"))
    shard.write_text(shard.read_text("utf-8").replace("day", "week"), encoding="utf-8")
    assert "checksum" in fails(str(output), status=1)
    shard.unlink()
    assert "textmill verify" in fails(str(output), status=1)
    with pytest.raises(SettingError):
        report(str(output), copied_words=0)
    with pytest.raises(UsageError):
        CorpusSettings(paths=("a.tsv",))
    manifest = json.loads((output / "manifest.json").read_text("utf-8"))
    del manifest["columns"]
    (output / "manifest.json").write_text(json.dumps(manifest))
    assert "is damaged" in fails(str(output), status=1)


def test_a_table_can_be_the_corpus(output, tmp_path):
    (tmp_path / "c.csv").write_text('say,n\n"the old cat sat on the green mat",1\nx y,2\n')
    found = report(str(output), corpus=CorpusSettings(paths=(str(tmp_path / "c.csv"),), text="say"))
    assert found.real.texts == 2
    assert found.groups[0].figures.longest_copy == 8


def test_lines_and_paragraphs_are_told_apart(output, tmp_path):
    (tmp_path / "c.txt").write_text("one two\nthree\n\nfour\n")
    for mode, texts in (("lines", 3), ("stream", 2), (None, 2)):
        files = CorpusSettings(paths=(str(tmp_path / "c.txt"),), mode=mode)
        assert report(str(output), corpus=files).real.texts == texts


# -- samples of what streams by --------------------------------------------------------------------


def test_the_lowest_hashes_are_kept_in_any_order():
    names = [f"name {i}" for i in range(500)]
    kept = []
    for order in (names, names[::-1], sorted(names) * 2):
        lowest = Lowest(20)
        for name in order:
            lowest.add(name, name)
        kept.append(list(lowest))
    assert kept[0] == kept[1] == kept[2]
    assert len(kept[0]) == 20
    # As good as chance: of 500 in a row neither the first nor the last only.
    numbers = sorted(int(name.split()[1]) for name in kept[0])
    assert numbers[0] < 150
    assert numbers[-1] > 350


def test_memory_is_bounded_in_temperatures_and_labels():
    stream = Stream()
    for i in range(2_000):
        stream.add(
            {"id": f"{i}#1", "prompt": "", "text": "x", "temperature": i / 7, "label": f"l{i}"},
            echo=False,
        )
    groups = stream.groups()
    assert len(groups) == MOST_GROUPS + 2
    assert groups[-1].name == "other"
    assert sum(group.texts for group in groups) == 2_000
    assert len(stream.samples()) == MOST_LABELS
    assert stream.labels.total() == 2_000
    assert len(stream.labels) == 10 * MOST_LABELS + 1


def test_an_echoed_prompt_is_not_counted_as_drawn():
    stream = Stream()
    stream.add({"id": "a#1", "prompt": "One day", "text": "One day it rained"}, echo=True)
    (group,) = stream.groups()
    assert list(group.sample) == [(" it rained", 4)]


# -- browsing --------------------------------------------------------------------------------------


def many(prompts, *, samples=2, more="", temperatures=(0.5, 1.0)):
    """Records as they stream by."""
    return [
        {
            "id": f"p:{i}#{n}", "prompt": f"prompt {i}", "text": f" text {i} {t} {n}{more}",
            "temperature": t, "words": 3, "finish": "eos", "logprob": -1.0,
        }
        for i in range(prompts)
        for t in temperatures
        for n in range(1, samples + 1)
    ]  # fmt: skip


def streamed(rows):
    stream = Stream()
    for row in rows:
        stream.add(row, echo=False)
    return stream.browse()


def test_some_prompts_can_be_browsed_with_all_their_texts():
    rows = many(BROWSED_PROMPTS + 50)
    found = streamed(rows)
    assert len(found) == len({one.prompt for one in found}) == BROWSED_PROMPTS
    for one in found:
        number = one.prompt.split()[1]
        assert [text.text for text in one.texts] == [
            f" text {number} {t} {n}" for t in (0.5, 1.0) for n in (1, 2)
        ]
        assert [text.temperature for text in one.texts] == ["0.5", "0.5", "1", "1"]
        assert {(text.words, text.finish) for text in one.texts} == {(3, "eos")}
    numbers = [int(one.prompt.split()[1]) for one in found]
    assert numbers != sorted(numbers)
    # Shards come in any order, a shard's records in theirs.
    assert streamed(sorted(rows, key=lambda row: row["id"][::-1])) == found


def test_what_can_be_browsed_is_bounded():
    (one,) = streamed(many(1, samples=60))
    assert [text.temperature for text in one.texts] == ["0.5"] * 4 + ["1"] * 4
    (one,) = streamed(many(1, samples=4, temperatures=[n / 10 for n in range(30)]))
    assert len(one.texts) == 24
    found = streamed(many(BROWSED_PROMPTS, samples=4, more="x" * 1_500))
    assert all(len(text.text) == BROWSED_TEXT + 1 for one in found for text in one.texts)
    assert 100 <= len(found) < BROWSED_PROMPTS
    assert sum(len(text.text) for one in found for text in one.texts) <= BROWSED_ALL


def test_what_an_output_does_not_tell_cannot_be_chosen(tmp_path):
    made = [generation("a", 1, "one two two", 0.5), generation("b", 1, "x", 1.0)]
    report(str(write_output(tmp_path / "o", made, form=Format(name="text"))))
    page = (tmp_path / "o" / "report.html").read_text("utf-8")
    assert "Browse and filter 2 texts of 2 prompts" in page
    assert "<select" not in page


def with_unneeded(folder):
    """The augmentation, with candidates of good quality whose label was full."""
    beside = augmentation(folder)
    rows = [
        {"text": f"fine {i}", "label": "cats", "origin": "generated", "reason": "not needed"}
        for i in range(30)
    ]
    with open(beside / "rejected.jsonl", "a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    about = json.loads((beside / "augment.json").read_text())
    about["counts"]["rejected"]["not needed"] = 30
    (beside / "augment.json").write_text(json.dumps(about))
    return beside


@pytest.mark.parametrize("rows", [True, False])
def test_candidates_that_were_not_needed_are_not_rejected(rows, tmp_path):
    folder = with_unneeded(tmp_path / "a")
    if not rows:
        (folder / "rejected.jsonl").unlink()
    found = report(str(folder))
    assert found.counts["rejected"] == 3
    assert found.counts["not_needed"] == 30
    assert [why.reason for why in found.rejected] == ["copied", "loops"]
    page = (folder / "report.html").read_text("utf-8")
    assert "3 rejected, by reason" in page
    assert "30 more candidates were not needed: the label had all its rows already." in page
    results = [one.result for one in found.browse]
    assert results.count("not needed") == (10 if rows else 0)
    assert results[0] == "added"
    assert results[-1] == "real"
    assert {one.origin for one in found.browse} == {"real", "generated", "swap"}


def test_the_page_names_its_run_and_its_model(output, tmp_path, monkeypatch):
    monkeypatch.chdir(output)
    report(".", out=str(tmp_path / "r"))
    page = (tmp_path / "r" / "report.html").read_text("utf-8")
    assert "<h1>Texts generated in out</h1>" in page
    assert "Model <b>0123456789ab</b> · prompts of <b>p.txt</b>" in page
    found = report(str(augmentation(tmp_path / "a")))
    page = (tmp_path / "a" / "more.csv.augment" / "report.html").read_text("utf-8")
    assert "<h1>Rows added in more.csv</h1>" in page
    assert "Model <b>0123456789ab</b>" in page
    assert (found.name, found.asked["model"]) == ("more.csv", "0123456789abcdef" * 4)


def test_one_temperature_has_no_curves(tmp_path):
    report(str(write_output(tmp_path / "o", [generation("a", 1, "one two", 0.5)])))
    page = (tmp_path / "o" / "report.html").read_text("utf-8")
    assert "Only one temperature was used, so there are no curves." in page
    assert "<h2>Figures</h2>" in page


# -- the page --------------------------------------------------------------------------------------


def evil_output(folder):
    made = [
        Generation(Prompt(f"{EVIL}:{i}", EVIL), n, EVIL * 3, EVIL, t, 5, "eos", -1.0)
        for i in range(2)
        for n, t in enumerate((0.5, 1.0), start=1)
    ]
    return write_output(
        folder, made, labelled=True, settings={"stop": [EVIL], "label": EVIL},
        rejected=[Rejected(EVIL, 3, EVIL, EVIL)],
    )  # fmt: skip


def augmentation(folder, *, evil="", name="more.csv"):
    """What `augment` leaves: a table and the folder beside it."""
    folder.mkdir()
    rows = [
        {"say": f"the old cat sat on mat {i}{evil}", "kind": "cats", "origin": "real"}
        for i in range(3)
    ]
    rows += [
        {"say": f"a red dog ran far {i}{evil}", "kind": f"dogs{evil}", "origin": "real"}
        for i in range(3)
    ]
    rows += [
        {"say": f"the old cat sat on a dog {i}{evil}", "kind": "cats", "origin": "generated"}
        for i in range(4)
    ]
    rows += [{"say": "far a dog red ran", "kind": f"dogs{evil}", "origin": f"swap{evil}"}]
    table = folder / name
    if name.endswith(".jsonl"):
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name.endswith(".parquet"):
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    else:
        with open(table, "w", newline="") as file:
            kind = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if name.endswith("tsv") else {}
            writer = csv.DictWriter(file, list(rows[0]), **kind)
            writer.writeheader()
            writer.writerows(rows)
    beside = folder / f"{name}.augment"
    beside.mkdir()
    rejected = [
        {"text": text, "label": "cats", "origin": "generated", "reason": reason}
        for text, reason in (
            (f"loop loop loop{evil}", f"loops{evil}"),
            ("the old cat", "copied"),
            ("the old cat sat", "copied"),
        )
    ]
    (beside / "rejected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rejected))
    about = {
        "settings": {"text": "say", "label": "kind", "out": str(table), "seed": 0, "more": evil},
        "counts": {
            "real": 6, "candidates": 8, "kept": 5, "rejected": {"copied": 2, f"loops{evil}": 1},
        },
        "agreement": {"labels": ["cats", f"dogs{evil}"], "matrix": [[3, 1], [0, 4]]},
        "check": [
            {"classifier": f"logistic{evil}", "without": 71.2, "with": 74.3, "gain": 3.1,
             "low": -1.0, "high": 7.2, "verdict": f"not certain{evil}"},
        ],
    }  # fmt: skip
    (beside / "augment.json").write_text(json.dumps(about))
    made = [
        generation(f"g:{i}", n, "the old cat sat", t, label="cats")
        for i in range(2)
        for n, t in ((1, 0.5), (2, 1.0))
    ]
    write_output(beside / "generated", made, labelled=True)
    return beside


@pytest.mark.parametrize("name", ["more.csv", "more.tsv", "more.jsonl", "more.parquet"])
def test_an_augmentation_is_shown_beside_its_real_rows(name, tmp_path, capsys):
    folder = augmentation(tmp_path / "a", name=name)
    found = report(str(folder), copied_words=5)
    assert found.kind == "augment"
    assert found.counts == {"real": 6, "candidates": 8, "kept": 5, "rejected": 3, "not_needed": 0}
    assert [(row.reason, row.count) for row in found.rejected] == [
        ("copied", 2),
        ("loops", 1),
    ]
    assert {one.text for one in found.rejected[0].examples} == {
        "the old cat",
        "the old cat sat",
    }
    assert found.labels == {"cats": {"real": 3, "generated": 4}, "dogs": {"real": 3, "swap": 1}}
    assert [g.name for g in found.groups] == [
        "candidates, 0.5",
        "candidates, 1",
        "kept, generated",
        "kept, swap",
    ]
    kept = found.groups[2]
    assert kept.texts == 4
    assert kept.figures.copied == pytest.approx(5 / 8)
    assert found.real.texts == 6
    cats, dogs = found.samples
    assert [column[0].of for column in cats.columns] == ["real", "generated"]
    assert [column[0].of for column in dogs.columns] == ["real", "swap"]
    page = (folder / "report.html").read_text("utf-8")
    assert "87.5% agree" in page
    assert "Does it help?" in page
    assert "+3.1 points" in page
    assert "not certain" in page
    assert cli.main(["report", str(folder)]) == 0
    assert "kept, swap" in capsys.readouterr().out


def test_a_text_column_called_origin(tmp_path):
    folder = augmentation(tmp_path / "a")
    table = tmp_path / "a" / "more.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(["origin,kind,augment_origin", *lines[1:]]) + "\n")
    about = json.loads((folder / "augment.json").read_text())
    about["settings"]["text"] = "origin"
    (folder / "augment.json").write_text(json.dumps(about))
    found = report(str(folder))
    assert found.real.texts == 6
    assert found.labels["cats"] == {"real": 3, "generated": 4}


def test_an_augmentation_without_candidates_and_check(tmp_path):
    folder = augmentation(tmp_path / "a")
    shutil.rmtree(folder / "generated")
    (folder / "rejected.jsonl").unlink()
    about = json.loads((folder / "augment.json").read_text())
    del about["check"], about["agreement"]
    (folder / "augment.json").write_text(json.dumps(about))
    found = report(str(folder))
    assert "candidates as they were generated are gone" in found.notes[0]
    assert [(row.reason, row.count) for row in found.rejected] == [
        ("copied", 2),
        ("loops", 1),
    ]
    page = (folder / "report.html").read_text("utf-8")
    Tags(page)
    assert "Does it help?" not in page
    assert "Do the labels agree?" not in page


def test_a_damaged_augmentation_is_one_line(tmp_path):
    folder = augmentation(tmp_path / "a")
    table = tmp_path / "a" / "more.csv"
    table.write_text(table.read_text().replace("origin", "source", 1))
    with pytest.raises(TextmillError, match="no column named 'origin'"):
        report(str(folder))
    about = json.loads((folder / "augment.json").read_text())
    table.write_text(table.read_text().replace("source", "origin", 1))
    for damage in ({"check": [{"gain": 1}]}, {"agreement": {"labels": ["cats"], "matrix": []}}):
        (folder / "augment.json").write_text(json.dumps({**about, **damage}))
        with pytest.raises(TextmillError, match=r"augment\.json is damaged"):
            report(str(folder))
    table.unlink()
    with pytest.raises(TextmillError, match=r"more\.csv, the table that goes with"):
        report(str(folder))
    (folder / "augment.json").write_text('{"settings": {}}')
    with pytest.raises(TextmillError, match=r"augment\.json is damaged"):
        report(str(folder))


def test_all_text_is_escaped(tmp_path):
    for folder in (evil_output(tmp_path / "o"), augmentation(tmp_path / "a", evil=EVIL)):
        report(str(folder))
        page = (folder / "report.html").read_text("utf-8")
        tags = Tags(page)
        assert "img" not in {tag for tag, _ in tags.seen}
        assert [tag for tag, _ in tags.seen].count("script") == 1  # the page's own
        assert page.count("<b>old") == 0
        assert EVIL not in page
        assert "".join(tags.texts).count(EVIL) >= 10
        pictures(page)


def test_the_page_needs_nothing_but_itself(output, corpus):
    report(str(output), corpus=corpus)
    page = (output / "report.html").read_text("utf-8")
    for _, attributes in Tags(page).seen:
        assert not {"src", "href", "srcset", "data", "style"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"https?://|url\(|@import", page)
    assert "default-src 'none'; style-src 'sha256-" in page
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'" in page
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page


def test_pictures_have_names_captions_and_tables(output, corpus):
    report(str(output), corpus=corpus)
    page = (output / "report.html").read_text("utf-8")
    svgs = [svg for svg in pictures(page) if svg.get("role") == "img"]
    assert len(svgs) == page.count("<figcaption>") == 8
    for svg in svgs:
        title, desc = svg.get("aria-labelledby").split()
        assert svg.find("title").get("id") == title
        assert svg.find("desc").get("id") == desc
        assert len(svg.find("desc").text) > 20
    idents = re.findall(r' id="([^"]*)"', page)
    assert len(idents) == len(set(idents))
    cells = Tags(page).cells
    for told in ("1.65", "66.7%", "4.48"):  # perplexities and copied share are in the table
        assert told in cells


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("copied", 0.0251, "2.5%"),
        ("self_bleu", 1, "100.0%"),
        ("distinct_1", 0.5, "0.500"),
        ("perplexity", 31.26, "31.3"),
        ("perplexity", 1059.2, "1,059"),
        ("perplexity", 99.96, "100"),
        ("perplexity", 12.0, "12.0"),
        ("longest_copy", 1059, "1,059"),
        ("longest_copy", 0, "0"),
        ("copied", None, "–"),
    ],
)
def test_figures_for_people(key, value, told):
    (measure,) = [measure for measure in MEASURES if measure.ident == key]
    assert measure.told(value) == told


def test_a_curve_goes_through_its_figures():
    chart = Chart(
        ident="x", name="n", over="o", said="s", from_zero=True,
        curves=[Curve(name="a", style="s0", points=[(0.0, 1.0), (1.0, 3.0), None, (2.0, 2.0)])],
    )  # fmt: skip
    (svg,) = pictures(chart.svg())
    (x0, y0), (x1, y1), (x2, y2) = points(svg, "s0")
    assert x2 - x1 == pytest.approx(x1 - x0)
    assert (y0 - y1) == pytest.approx(2 * (y0 - y2), abs=0.2)
    bottom = 300 - 44
    assert (bottom - y1) == pytest.approx(3 * (bottom - y0), abs=0.3)
    assert len(list(svg.iter("polyline"))) == 2


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.37, 1.0, 12345.0])
def test_axes_from_zero_end_at_a_round_number(value):
    curve = Curve(name="a", style="s0", points=[(1.0, value)])
    (svg,) = pictures(
        Chart(ident="x", name="n", over="o", said="s", from_zero=True, curves=[curve]).svg()
    )
    ((_, y),) = points(svg, "s0")
    assert 12 <= y <= 256
    labels = [t.text for t in svg.iter("text") if t.get("text-anchor") == "end"]
    assert labels[0] == "0"
    assert 2 <= len(labels) <= 12


@pytest.mark.parametrize("marker", [*MARKERS, None])
def test_every_marker_is_drawn(marker):
    curve = Curve(name="<a>", style="s0", points=[(1.0, 1.0), (2.0, 3.0)], marker=marker)
    (svg,) = pictures(Chart(ident="x", name="n", over="o", said="s", curves=[curve]).svg())
    marks = [e for e in svg.iter() if e.tag in ("circle", "path")]
    assert len(marks) == (0 if marker is None else 2)
    assert all(e.find("title").text.startswith("<a> ") for e in marks)
    (key,) = pictures(swatch("s0", marker))
    assert key.get("aria-hidden") == "true"


@pytest.fixture
def browser():
    with open_browser() as found:
        yield found


def test_in_a_browser(browser, tmp_path):
    wide = [
        generation(f"p:{i}", n, "Donaudampfschifffahrtsgesellschaft" * 4, t / 10)
        for i in range(2)
        for n, t in enumerate(range(1, 13), start=1)
    ]
    (tmp_path / "c.txt").write_text(CORPUS)
    folders = (
        evil_output(tmp_path / "o"),
        augmentation(tmp_path / "a", evil=EVIL),
        write_output(tmp_path / "w", wide),
    )
    for folder in folders:
        report(str(folder), corpus=CorpusSettings(paths=(str(tmp_path / "c.txt"),)))
        for width in (360, 390, 1180):
            for scheme in ("light", "dark"):
                look(browser, folder / "report.html", width=width, scheme=scheme)
                unfold(browser)
                assert across(browser) <= width, (folder.name, width)
                assert browser.execute_script("return document.scripts.length") == 1
    assert browser.get_log("browser") == []
    asked = re.findall(r'"url":"((?:https?|wss?|ftp|file|data):[^"]*)"', json.dumps(
        [json.loads(line["message"]) for line in browser.get_log("performance")]
    ).replace(": ", ":"))  # fmt: skip
    asked = [url for url in asked if url != "data:,"]  # the empty page at the start
    assert asked
    assert all(url.endswith("/report.html") for url in asked)


def choose(browser, name, value):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element(By.NAME, name)).select_by_visible_text(value)


def seen(browser):
    """The texts that can be seen, and what is said of them."""
    return browser.execute_script(
        "const there = [...document.querySelectorAll('.cell p')].filter(p => p.checkVisibility());"
        "return [there.map(p => p.textContent), document.querySelector('.found').textContent]"
    )


def test_texts_are_browsed_and_filtered_in_a_browser(browser, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    made = [
        generation(f"p:{i}", n, f"text {i} {t}", t, label=EVIL if i % 2 else "b  b",
                   finish="length" if i < 3 else "eos")
        for i in range(12)
        for n, t in ((1, 0.5), (2, 1.0))
    ]  # fmt: skip
    folder = write_output(tmp_path / "o", made, labelled=True)
    report(str(folder))
    look(browser, folder / "report.html", width=390)
    assert seen(browser)[0] == []
    # By keys alone: open the fold, go to the fields.
    summary = browser.find_element(By.XPATH, "//summary[starts-with(., 'Browse')]")
    summary.send_keys(Keys.ENTER)
    assert summary.text == "Browse and filter 24 texts of 12 prompts"
    texts, said = seen(browser)
    assert (len(texts), said) == (10, "24 texts found, page 1 of 3.")
    summary.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys("TEXT 1")
    assert sorted(seen(browser)[0]) == [
        f"text {i} {t}" for i in (1, 10, 11) for t in (0.5, 1.0)
    ]  # fmt: skip
    choose(browser, "temperature", "0.5")
    assert sorted(seen(browser)[0]) == ["text 1 0.5", "text 10 0.5", "text 11 0.5"]
    choose(browser, "label", EVIL)
    assert sorted(seen(browser)[0]) == ["text 1 0.5", "text 11 0.5"]
    choose(browser, "finish", "cut at the limit")
    assert seen(browser) == [["text 1 0.5"], "1 text found, page 1 of 1."]
    browser.find_element(By.NAME, "words").send_keys("x")
    assert seen(browser) == [[], "No text fits. Choose less, or other words."]
    browser.find_element(By.CSS_SELECTOR, "[type=reset]").click()
    wait = "return document.querySelector('.found').textContent.startsWith('24')"
    assert any(browser.execute_script(wait) for _ in range(100))
    pages = [seen(browser)[0]]
    back, on = browser.find_elements(By.CSS_SELECTOR, "nav button")
    for _ in range(3):  # once more than there are pages
        on.send_keys(Keys.ENTER)
        assert browser.switch_to.active_element == on
        pages.append(seen(browser)[0])
    assert pages[2] == pages[3]
    assert on.get_attribute("aria-disabled") == "true"
    assert len({text for page in pages for text in page}) == 24
    back.send_keys(Keys.SPACE)
    assert seen(browser)[0] == pages[1]
    for field in browser.find_elements(By.CSS_SELECTOR, ".browse input, .browse select"):
        assert field.accessible_name
    assert across(browser) <= 390
    assert browser.get_log("browser") == []


def test_rows_of_an_augmentation_are_filtered_in_a_browser(browser, tmp_path):
    folder = with_unneeded(tmp_path / "a")
    report(str(folder))
    look(browser, folder / "report.html", width=390)
    unfold(browser)
    assert seen(browser)[1] == "24 texts found, page 1 of 2."
    choose(browser, "reason", "copied")
    assert sorted(seen(browser)[0]) == ["the old cat", "the old cat sat"]
    choose(browser, "reason", "added")
    choose(browser, "origin", "swap")
    choose(browser, "label", "dogs")
    assert seen(browser)[0] == ["far a dog red ran"]


def test_without_a_script_all_texts_are_there(browser, tmp_path):
    made = [generation(f"p:{i}", 1, f"text {i}", 0.5) for i in range(30)]
    folder = write_output(tmp_path / "o", made)
    report(str(folder))
    page = (folder / "report.html").read_text("utf-8")
    (folder / "report.html").write_text(re.sub(r"<script>.*?</script>", "", page, flags=re.S))
    look(browser, folder / "report.html", width=390)
    unfold(browser)
    texts, said = seen(browser)
    assert (len(texts), said) == (30, "")
    shown = "return document.querySelector('.browse form').checkVisibility()"
    assert not browser.execute_script(shown)


def test_on_a_book(shared, tmp_path):
    """Paragraphs of the corpus itself are copies, and the figures show it."""
    lines = read_corpus([str(shared / "books" / "alice.txt")], mode="stream").texts[:200]
    made = [generation(f"p:{i}", 1, text, 1.0) for i, text in enumerate(lines)]
    files = CorpusSettings(paths=(str(shared / "books" / "alice.txt"),))
    found = report(str(write_output(tmp_path / "o", made)), corpus=files)
    (group,) = found.groups
    longer = sum(n for text in lines if (n := len(plain_words(text))) >= 8)
    assert group.figures.copied == pytest.approx(longer / sum(len(plain_words(t)) for t in lines))
    assert group.figures.longest_copy == max(len(plain_words(text)) for text in lines)
