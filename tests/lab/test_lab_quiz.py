"""The quiz: its questions, the terminal, the page."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pytest

from lab.quiz import LANGUAGES, PARTS, questions, score
from lab.quiz.__main__ import PAGE, html, main

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


def test_score():
    asked = questions("before", "en")
    places = ["abcd".index(key) for key in answers("before", "en", True)]
    assert score(asked, places) == 10
    places[0] = (places[0] + 1) % 4
    assert score(asked, places) == 9


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


@pytest.mark.skipif(
    shutil.which("chromium") is None or shutil.which("chromedriver") is None,
    reason="needs a browser: apt-get install chromium chromium-driver",
)
def test_in_a_browser():
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.get(Path(PAGE).as_uri())
        browser.find_element(By.ID, "after").click()
        browser.find_element(By.ID, "bg").click()
        asked = questions("after", "bg")
        for number, key in enumerate(answers("after", "bg", True)):
            browser.find_element(By.ID, f"q{number}-{'abcd'.index(key)}").click()
        text = browser.find_element(By.TAG_NAME, "body").text
        assert "10 верни от 10" in text
        for q in asked:
            assert next(c.why for c in q.choices if c.right) in text
        browser.find_element(By.ID, "en").click()
        assert "10 right of 10" in browser.find_element(By.ID, "score").text
        assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
