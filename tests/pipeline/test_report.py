"""`textmill report`: its figures against counting by hand, its files, its refusals."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace

import pytest
from outputs import JSONL, TEXTS, augmentation, generation, write_output
from pages import Tags

from textmill.model.errors import SettingError, UsageError
from textmill.model.prompt import Generation, Prompt
from textmill.model.text.corpus import CorpusSettings, built_in_corpus
from textmill.pipeline.command import cli
from textmill.pipeline.files.filesystem import names
from textmill.pipeline.job.manifest import Output
from textmill.pipeline.job.resumable_run import RunDirectory
from textmill.pipeline.job.verify import verify
from textmill.pipeline.output.columns import columns_of
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Rejected
from textmill.pipeline.report.figures import RejectedReason, as_json
from textmill.pipeline.report.metrics import plain_words
from textmill.pipeline.report.report import report
from textmill.pipeline.report.tally import (
    MOST_GROUPS,
    MOST_LABELS,
    SHOWN,
    Lowest,
    Stream,
)


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


def test_on_a_book(tmp_path):
    """Paragraphs of the corpus itself are copies, and the figures show it."""
    lines = built_in_corpus().texts[:200]
    made = [generation(f"p:{i}", 1, text, 1.0) for i, text in enumerate(lines)]
    found = report(str(write_output(tmp_path / "o", made)), corpus=CorpusSettings())
    (group,) = found.groups
    longer = sum(n for text in lines if (n := len(plain_words(text))) >= 8)
    assert group.figures.copied == pytest.approx(longer / sum(len(plain_words(t)) for t in lines))
    assert group.figures.longest_copy == max(len(plain_words(text)) for text in lines)
