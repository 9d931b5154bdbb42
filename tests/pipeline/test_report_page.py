"""The report's page: what it shows, what can be browsed, and how it looks in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil

import pytest
from outputs import CORPUS, augmentation, generation, write_output
from pages import EVIL, Tags, across, look, open_browser, pictures, points, unfold

from textmill.model.errors import TextmillError
from textmill.model.pages.svg import MARKERS, Chart, Curve, swatch
from textmill.model.prompt import Generation, Prompt
from textmill.model.text.corpus import CorpusSettings
from textmill.pipeline.augment.table import write_table
from textmill.pipeline.command import cli
from textmill.pipeline.output.formats import Format
from textmill.pipeline.prompts.planning import Rejected
from textmill.pipeline.report.charts import MEASURES
from textmill.pipeline.report.report import report
from textmill.pipeline.report.tally import (
    BROWSED_ALL,
    BROWSED_PROMPTS,
    BROWSED_TEXT,
    Stream,
)


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


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_the_page_s_code_that_uses_the_weights_runs(ending, tmp_path, monkeypatch):
    folder = augmentation(tmp_path / "a", name=f"more.{ending}")
    report(str(folder))
    page = (folder / "report.html").read_text("utf-8")
    (code,) = re.findall(r"<pre>(.*?)</pre>", page, re.S)
    rows = [("a cat", "cats", 1.0), ("a dog", "dogs", 1.0), ('a "red" dog', "dogs", 0.1)]
    monkeypatch.chdir(tmp_path)
    write_table(f"more.{ending}", ("say", "kind", "weight"), rows)
    names: dict = {}
    exec(html.unescape(code), names)
    assert names["linear"].classes_.tolist() == ["cats", "dogs"]
    assert names["network"].count_params() == 2 * (1 + names["words"].shape[1])


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


def test_an_augmentation_of_texts_that_no_model_wrote(tmp_path):
    folder = augmentation(tmp_path / "a")
    shutil.rmtree(folder / "generated")
    about = json.loads((folder / "augment.json").read_text())
    about["settings"] |= {"methods": ["pseudo"], "temperatures": [0.8], "max_copied": None}
    (folder / "augment.json").write_text(json.dumps(about))
    assert not report(str(folder)).notes
    page = (folder / "report.html").read_text("utf-8")
    lead = re.search(r'<p class="asked">(.*?)</p>', page)[1]
    assert "methods <b>pseudo</b>" in lead
    assert "temperature" not in lead
    assert "neural and to linear classifiers" in page


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
