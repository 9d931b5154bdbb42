"""The quiz: its questions, the terminal, the page."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from pages import open_browser

from lab.quiz import LANGUAGES, PARTS, compare, questions, read_again, score, topics
from lab.quiz import __main__ as quiz
from lab.quiz.__main__ import PAGE, html, main
from lab.quiz.answers import Answers
from textmill.model.errors import TextmillError

LAB = Path(__file__).resolve().parents[2] / "lab"


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The file of answers, in place of the user's own."""
    monkeypatch.setattr(quiz, "ANSWERS", tmp_path / "answers.json")
    return tmp_path / "answers.json"


EACH = [(part, language) for part in PARTS for language in LANGUAGES]


@pytest.mark.parametrize(("part", "language"), EACH)
def test_ten_questions_with_one_right_answer_and_a_word_on_each(part, language):
    asked = questions(part, language)
    assert len(asked) == 10
    assert len({q.text for q in asked}) == 10
    for q in asked:
        assert len(q.choices) == len({c.text for c in q.choices}) == 4
        assert sum(c.right for c in q.choices) == 1
        assert len({c.why for c in q.choices}) == 4
        for text in (q.text, *(t for c in q.choices for t in (c.text, c.why))):
            assert text.strip() == text
            assert text
        if language == "bg":
            assert re.search("[а-я]", q.text)


def test_languages_have_the_same_order_and_the_right_one_moves():
    for part in PARTS:
        both = [questions(part, language) for language in LANGUAGES]
        places = [[[c.right for c in q.choices].index(True) for q in each] for each in both]
        assert places[0] == places[1]
        assert len(set(places[0])) >= 3
    assert questions("before", "en", seed=1) != questions("before", "en", seed=0)


def answers(part, language, right, seed=0):
    return [
        next("abcd"[i] for i, c in enumerate(q.choices) if c.right is right)
        for q in questions(part, language, seed=seed)
    ]


@pytest.mark.parametrize(("part", "language"), EACH)
@pytest.mark.parametrize("right", [True, False])
def test_the_terminal(part, language, right, monkeypatch, capsys):
    keys = answers(part, language, right)
    monkeypatch.setattr("sys.stdin", io.StringIO("x\n\n" + "\n".join(keys) + "\n"))
    assert main([part, "--language", language]) == 0
    out = capsys.readouterr().out
    said = {"en": "right: {} of 10", "bg": "верни: {} от 10"}[language]
    assert said.format(10 if right else 0) in out
    assert out.count({"en": "a, b, c or d", "bg": "a, b, c или d"}[language]) == 2
    for q, key in zip(questions(part, language), keys, strict=True):
        assert q.choices["abcd".index(key)].why in out
        assert next(c.why for c in q.choices if c.right) in out  # told after a wrong one, too


def test_cyrillic_keys_and_an_end_of_input(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("б\nВ\n"))
    assert main(["after", "--language", "bg"]) == 130
    assert "спряно" in capsys.readouterr().out


def test_names_and_topics():
    names = [q.name for part in PARTS for q in questions(part, "en")]
    assert len(set(names)) == len(names) == 20
    for part in PARTS:
        assert {q.topic for q in questions(part, "en")} <= set(topics("en"))
        for q in questions(part, "bg", seed=5):
            assert [c.right for c in q.choices] == [c.key == 0 for c in q.choices]
            assert sorted(c.key for c in q.choices) == [0, 1, 2, 3]
    for language, readme in (("en", "README.md"), ("bg", "README.bg.md")):
        theory = re.split("\n## (?:Theory|Теория)\n", (LAB / readme).read_text("utf-8"))[1]
        heads = re.findall(r"^### (.*)$", theory, flags=re.MULTILINE)
        assert list(topics(language).values()) == heads


def type_in(keys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(keys) + "\n"))


def test_the_first_answer_counts_and_both_parts_are_compared(kept, monkeypatch, capsys):
    wrong, right = answers("before", "en", False), answers("before", "en", True)
    type_in([*wrong[:4], ""], monkeypatch)
    assert main(["before"]) == 130  # stopped; four wrong answers are given all the same
    type_in(right, monkeypatch)
    assert main(["before"]) == 0
    out = capsys.readouterr().out
    assert "right: 10 of 10" in out
    assert "Your first answers count: 6 of 10 were right." in out
    assert "Read again" not in out
    type_in(answers("before", "bg", False, seed=3), monkeypatch)
    assert main(["before", "--language", "bg", "--seed", "3"]) == 0
    assert "Важат първите ви отговори: 6 от 10 бяха верни." in capsys.readouterr().out
    after = [*answers("after", "en", True)[:9], answers("after", "en", False)[9]]
    type_in(after, monkeypatch)
    assert main(["after"]) == 0
    out = capsys.readouterr().out
    assert "before 6 of 10, after 9 of 10: +3" in out
    assert "Your first answers" not in out
    first, last = questions("before", "en")[0], questions("after", "en")[9]
    assert f"✗ before 1: {first.text}" in out
    assert f"✗ after 10: {last.text}" in out
    assert out.count("✗ before") == 4
    # Of shapes only the first part asks; of the state the second part was all right.
    again = out.partition("Read again in lab/README.md:\n")[2].splitlines()
    assert [line.strip() for line in again] == [topics("en")["shapes"], topics("en")["temperature"]]
    assert json.loads(kept.read_text())["version"] == 1
    assert main(["--forget"]) == 0
    assert not kept.exists()
    assert main(["--forget"]) == 0


def test_all_right_is_nothing_to_read_again(monkeypatch, capsys):
    for part in PARTS:
        type_in(answers(part, "bg", True), monkeypatch)
        assert main([part, "--language", "bg"]) == 0
    out = capsys.readouterr().out
    assert "преди 10 от 10, след 10 от 10: +0" in out
    assert out.rstrip().endswith("Всичко беше вярно: няма какво да се чете пак.")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"version": 2, "before": {}, "after": {}}', '{"version": 1, "before": {}}',
     '{"version": 1, "before": {"shape": 4}, "after": {}}',
     '{"version": 1, "before": {"shape": "0"}, "after": {}}'],
)  # fmt: skip
def test_a_damaged_file_of_answers_is_one_line(text, kept, capsys):
    kept.write_text(text)
    assert main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("lab.quiz: error: ")
    assert said.endswith("--forget begins anew\n")
    assert said.count("\n") == 1


def test_answers_of_questions_that_are_no_more_are_left_out(kept):
    kept.write_text('{"version": 1, "before": {"old": 1, "shape": 0}, "after": {}}')
    found = Answers(kept)
    assert found.first["before"] == {"shape": 0}
    found.give("before", "shape", 3)
    found.give("before", "gives", 2)
    assert Answers(kept).first == {"before": {"shape": 0, "gives": 2}, "after": {}}
    with pytest.raises(TextmillError, match="cannot be written"):
        Answers(kept.parent / "none" / "x.json").give("before", "shape", 0)


def test_score_and_comparison():
    assert score({"a": 0, "b": 1, "c": 0}) == 2
    assert compare({"before": {}, "after": {}}, "en") == {}
    found = compare({"before": {"half": 1, "greedy": 2}, "after": {"order": 0, "cold": 0}}, "en")
    assert [(one.part, one.number, one.right) for one in found["temperature"]] == [
        ("before", 6, False), ("after", 1, True), ("after", 10, True),
    ]  # fmt: skip
    assert read_again(found) == ["greedy"]


def test_the_page_is_the_one_that_the_questions_make(tmp_path):
    assert PAGE.read_text("utf-8") == html()
    assert main(["--html", str(tmp_path / "quiz.html")]) == 0
    assert (tmp_path / "quiz.html").read_text("utf-8") == html()
    text = html()
    assert not re.search(r"(src|href|url)\s*[=(]", text)
    assert "http" not in text.replace("http-equiv", "")
    assert "innerHTML" not in text
    (data,) = re.findall(r'type="application/json">(.*?)</script>', text, flags=re.DOTALL)
    assert "<" not in data
    assert len(json.loads(data)["after"]["bg"]) == 10


def test_in_a_browser():
    with open_browser() as browser:
        from selenium.webdriver.common.by import By

        def at(name):
            return browser.find_element(By.ID, name)

        def choose(part, language, right, only=range(10)):
            for number in only:
                key = answers(part, language, right)[number]
                at(f"q{number}-{'abcd'.index(key)}").click()

        browser.get(Path(PAGE).as_uri())
        at("en").click()
        assert not at("compared").is_displayed()
        choose("before", "en", False, range(3))
        assert "0 right of 3 answered" in at("score").text
        choose("before", "en", True)
        assert "7 right of 10 answered" in at("score").text  # the first answer counts
        wrong = questions("before", "en")[0].choices[
            "abcd".index(answers("before", "en", False)[0])
        ]
        assert f"Your first answer, which counts: {wrong.text}" in at("form").text
        browser.get(Path(PAGE).as_uri())  # it goes on with the second part
        at("bg").click()
        assert "0 верни от 0" in at("score").text
        choose("after", "bg", False, [9])
        choose("after", "bg", True)
        text = browser.find_element(By.TAG_NAME, "body").text
        assert "9 верни от 10" in text
        for q in questions("after", "bg"):
            assert next(c.why for c in q.choices if c.right) in text
        at("en").click()
        assert at("gain").text == "Before 7 of 10, after 9 of 10: +2"
        marks = browser.find_elements(By.CSS_SELECTOR, "#compared .mark")
        assert [mark.text for mark in marks].count("✗") == 4
        assert len(marks) == 20
        first = {"before": {}, "after": {}}
        for part, wrongs in (("before", range(3)), ("after", [9])):
            for number, q in enumerate(questions(part, "en")):
                first[part][q.name] = int(number in wrongs)
        expected = [topics("en")[topic] for topic in read_again(compare(first, "en"))]
        found = [item.text for item in browser.find_elements(By.CSS_SELECTOR, "#again li")]
        assert found == expected
        assert len(found) == 2
        browser.execute_script("confirm = () => true")
        at("forget").click()
        assert "0 right of 0 answered" in at("score").text
        assert not at("compared").is_displayed()
        browser.execute_script(
            "localStorage.setItem('textmill.lab.quiz', JSON.stringify("
            "{version: 1, before: {shape: 7, gives: '0', state: 0, __proto__: 1}, after: 3}))"
        )
        browser.get(Path(PAGE).as_uri())
        assert "1 right of 1 answered" in at("score").text
        browser.execute_script("localStorage.setItem('textmill.lab.quiz', '{')")
        browser.get(Path(PAGE).as_uri())
        assert "0 right of 0 answered" in at("score").text
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
