"""The lab in other languages: the catalogue is whole, and what is shown is found in it."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import lab_solution
import pytest
from lab_here import run_checks
from rich.console import Console
from test_lab_check import WRONG

from lab import check, grade, language, messages
from lab.checks import EXERCISES
from lab.checks.expect import NotStarted, Wrong
from lab.language import Catalogue, placeholders, read, say, speak
from lab.notebook import making as notebook
from lab.sandbox.run import FAILED, NOT_STARTED, PASSED, Result
from lab.starter import starter
from lab.tables import Grade, as_csv, as_html, as_moodle
from textmill.model.errors import TextmillError

LAB = language.LAB
SOURCES = [Path(file).name for file in messages.NOTEBOOKS]
OTHERS = [name for name in language.languages() if name != language.ENGLISH]


@pytest.fixture(scope="module")
def sources():
    return messages.all_messages()


# -- the catalogue ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OTHERS)
def test_every_message_of_the_sources_is_translated(name, sources):
    """`python -m lab.language` brings the catalogue up to date and says what is missing."""
    entries = {entry.msgid: entry for entry in read(name)}
    assert not sorted(set(sources) - set(entries)), "the sources have new messages"
    for message in sources:
        entry = entries[message]
        assert entry.translated(), message
        assert not entry.fuzzy, message
        assert not entry.obsolete, message
        assert placeholders(entry.msgstr) == placeholders(message), message
        for edge in (r"\A\s*", r"\n*\Z"):
            assert re.search(edge, entry.msgstr)[0] == re.search(edge, message)[0], message
    assert not sorted(set(entries) - set(sources)), "the sources no longer have these"


def test_bulgarian_is_written_in_cyrillic():
    for entry in read("bg"):
        code = entry.msgid.startswith("keras.Model") or entry.msgid.endswith(" min")
        assert re.search("[а-я]", entry.msgstr) or code or entry.msgstr[-4:] == "LSTM", entry.msgid


def test_terms_of_the_lesson():
    """A character is no mark, a prompt is no hint, a notebook is one of Jupyter's."""
    for entry in read("bg"):
        said, told = entry.msgid.lower(), entry.msgstr.lower()
        assert "бележник" not in told
        if re.search(r"\bprompt\b", said):
            assert re.search(r"подсказващ|prompt", told), entry.msgid
        if re.search(r"\bcharacters?\b", said):
            assert "символ" in told, entry.msgid
        if re.search(r"\bhints?\b", said) and "hint}" not in said:
            assert "подсказк" in told, entry.msgid


def test_messages_are_found_by_rule():
    found = [message for message, _ in messages.strings(ast.parse('''
def f(name, n):
    """Not a docstring."""
    if name == "not compared":
        hint = "look at it"
    hint += f"; once more {n:.2f}"
    show("x", expected="changed", received="none", other="single")
    raise Wrong(f"{name}: " + "what it returns" + hint, re.compile("no regular expression"))
'''))]  # fmt: skip
    assert found == [
        "look at it", "{hint}; once more {n:.2f}", "changed", "none",
        "{name}: what it returns{hint}",
    ]  # fmt: skip


def test_new_and_old_messages_are_told_to_the_translator(tmp_path, monkeypatch, capsys, sources):
    monkeypatch.setattr(messages, "all_messages", lambda: sources)
    monkeypatch.setattr(language, "LAB", tmp_path)
    head = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    (tmp_path / "de.po").write_text(
        head + 'msgid "passed"\nmsgstr "bestanden"\n\nmsgid "of old"\nmsgstr "alt"\n', "utf-8"
    )
    for name in ("exercises.py", "exercises.de.py"):
        (tmp_path / name).write_text('"""Counts how often each token is in the text."""\n')
    assert language.main([]) == 1
    said = capsys.readouterr().out
    assert re.search(r"de: \d+ messages, \d+ to be translated, 1 gone", said)
    kept = {entry.msgid: entry for entry in read("de")}
    assert (kept["passed"].msgstr, kept["passed"].obsolete) == ("bestanden", False)
    assert (kept["of old"].msgstr, kept["of old"].obsolete) == ("alt", True)
    assert kept["failed"].msgstr == ""
    (tmp_path / "fr.po").touch()  # a new language
    language.main(["--drop"])
    assert "of old" not in {entry.msgid for entry in read("de")}
    assert len(read("fr")) == len(read("de"))
    assert read("fr").metadata["Language"] == "fr"
    assert (tmp_path / "exercises.fr.py").read_text() == (tmp_path / "exercises.py").read_text()


# -- what is shown ---------------------------------------------------------------------------------

TOLD = Catalogue(
    {
        "no value": "няма стойност",
        "{what}: {n:.1f} words": "{n:.1f} думи: {what}",
        "{what}: {rest}, not {other}": "{what}: не {other}, а {rest}",
        "{hint}; once more": "{hint}; още веднъж",
        "two {{}} braces": "две скоби {{}}",
        "{a!r} and {a!r}": "{a!r} и {a!r}",
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no value", "няма стойност"),
        ("no value: 2.5 words", "2.5 думи: няма стойност"),
        ("f: three words", "f: three words"),  # no number
        ("f: 1, not no value", "f: не няма стойност, а 1"),
        ("no value; once more", "няма стойност; още веднъж"),
        ("two {} braces", "две скоби {}"),
        ("1 and 2", "1 и 2"),
        ("TypeError: no value", "TypeError: няма стойност"),
        ("what nobody says", "what nobody says"),
        ("", ""),
    ],
)
def test_a_text_is_told_with_its_values(text, expected):
    assert TOLD.say(text) == expected


def test_the_name_of_a_student_s_function_stays():
    speak("bg")
    assert say("perplexity: the code raises an error") == "perplexity: кодът предизвиква грешка"
    assert say("perplexity returns None") == "perplexity връща None"
    assert say("perplexity") == "перплексия"


def test_a_student_s_text_stays():
    """What a student's code gives is not taken for a message, whatever is in it."""
    speak("bg")
    for text in (
        "ValueError: could not convert string to float: 'a, with 3'",
        "array([1, 2, 3])", "['a', 'list of words']", "x" * 50_000, "{name}", "a: b: c; d, e" * 40,
    ):  # fmt: skip
        assert say(text) == text


def test_results_are_shown_in_the_language():
    speak("bg")
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115
    wrong = Result(
        "2", FAILED, "count_ngrams with n = 2, 60 words", "3 at place [(1,)]", "4 there",
        "return a list, not a value of type str", "count_ngrams",
    )  # fmt: skip
    for result in (wrong, Result("1", PASSED, function="encode"),
                   Result("1", NOT_STARTED, "encode", function="tokenize")):  # fmt: skip
        check.show(result, console)
    assert console.export_text() == (
        "✗ неуспешно 2  мярката за сравнение: броене: count_ngrams\n"
        "    count_ngrams при n = 2, 60 думи\n"
        "    очаквано   3 на място [(1,)]\n"
        "    получено   там е 4\n"
        "    подсказка  върнете списък (list), а не стойност от тип str\n"
        "✓ успешно 1  думи и обратно: encode\n"
        "· незапочнато 1  думи и обратно: tokenize: encode чака да бъде написана\n"
    )


def test_grades_are_in_the_language():
    speak("bg")
    hint = "do not forget the last n-gram of the text"
    wrong = Result("2", FAILED, "{name}: <b>", "a list", "None", hint, "count_ngrams")
    grades = {"ana": Grade((wrong, Result("3", NOT_STARTED, function="make_windows")))}
    page = as_html(grades)
    assert '<html lang="bg">' in page
    for text in ("Оценки", "предадени работи: 1; 85 точки", "очаквано   списък (list)",
                 "не забравяйте последната n-грама", "незапочнато: make_windows"):  # fmt: skip
        assert text in page
    assert "&lt;b&gt;" in page
    assert as_csv(grades).splitlines()[1] == "ana,неуспешно,незапочнато,0"
    assert "не забравяйте" in as_moodle(grades, [])


def test_the_language_is_that_of_the_option_else_of_the_variable(monkeypatch, capsys):
    assert say("passed") == "passed"
    monkeypatch.setenv(language.VARIABLE, "bg")
    assert say("passed") == "успешно"
    speak("en")
    assert say("passed") == "passed"
    with pytest.raises(SystemExit):
        check.main(["--language", "xx"])
    assert "the lab has no language 'xx'; it has en, bg" in capsys.readouterr().err
    monkeypatch.setenv(language.VARIABLE, "../x")
    with pytest.raises(SystemExit):
        check.main([])
    assert "the lab has no language '../x'" in capsys.readouterr().err
    with pytest.raises(TextmillError, match="no language"):
        speak("../x")


@pytest.mark.lab
def test_whatever_is_wrong_is_told_in_bulgarian(tmp_path):
    speak("bg")
    solution = Path(lab_solution.__file__).read_text("utf-8")
    file, count = tmp_path / "exercises.py", 0
    for exercise, old, new, _ in WRONG:
        file.write_text(solution.replace(old, new), "utf-8")
        with pytest.raises((Wrong, NotStarted)) as raised:
            run_checks(exercise, file)
        if isinstance(raised.value, NotStarted):
            continue
        count += 1
        assert re.search("[а-я]", say(raised.value.hint)) or CODE.match(raised.value.hint)
        for text in (raised.value.what, raised.value.expected, raised.value.received):
            told = re.sub("'[^']*'|`[^`]*`", "", say(text))
            assert not re.search(r"\b(the|and|is|not|with|of|words?)\b", told), told
    assert count > 100


CODE = re.compile(r"np\.array|keras\.Model")


def test_without_polib_the_way_to_get_it_is_told(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "polib", None)
    language.catalogue.cache_clear()
    with pytest.raises(SystemExit):
        check.main(["--language", "bg"])
    assert "needs polib, which is not installed: pip install" in capsys.readouterr().err
    speak("en")
    assert say("passed") == "passed"


def test_titles_are_messages():
    speak("bg")
    assert all(say(exercise.title) != exercise.title for exercise in EXERCISES.values())


# -- the notebook and the exercises ----------------------------------------------------------------


def shape(code: str) -> str:
    """Writes code's tree with its strings blanked; f-strings keep their values, in any order."""

    class Blank(ast.NodeTransformer):
        def visit_JoinedStr(self, node):
            values = [each for each in node.values if isinstance(each, ast.FormattedValue)]
            return ast.JoinedStr(sorted(values, key=ast.dump))

        def visit_Constant(self, node):
            return ast.Constant("") if isinstance(node.value, str) else node

    return ast.dump(Blank().visit(ast.parse(code)))


def code_of(told) -> str:
    return "\n".join(cell.source for cell in told.cells if cell.cell_type == "code")


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("source", SOURCES)
def test_the_notebook_is_that_of_its_source_and_has_the_same_code(name, source):
    import nbformat  # three seconds

    file = notebook.file_of(LAB / source, name)
    assert file.read_text("utf-8") == notebook.as_text(LAB / source, language=name)
    own, told = notebook.made(LAB / source), nbformat.read(file, 4)
    assert [cell.cell_type for cell in own.cells] == [cell.cell_type for cell in told.cells]
    assert shape(code_of(own)) == shape(code_of(told))
    assert f'"LAB_LANGUAGE", "{name}"' in code_of(told)
    compile(code_of(told), str(file), "exec")


@pytest.mark.parametrize("source", SOURCES)
def test_no_english_is_left_in_the_bulgarian_notebook(source):
    for cell in notebook.made(LAB / source, language="bg").cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"`[^`]*`|\(.*?\)|```.*```", "", cell.source, flags=re.DOTALL)
            assert not re.search(r"\b(the|and|of|is|are)\b", prose), cell.source
        else:
            for spot in messages.of_cell(cell):
                assert re.search("[а-яА-Я]", spot.message) or spot.message in KEPT, spot.message


KEPT = {"top-k, k = 20", "top-p, p = 0.9"}


@pytest.mark.parametrize("name", OTHERS)
def test_the_exercises_differ_in_words_only(name):
    own, told = (language.exercises(each).read_text("utf-8") for each in ("en", name))
    assert told == language.exercises_in(name, own)

    def code(text: str) -> str:
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.Module) and ast.get_docstring(node):
                node.body = node.body[1:]
        return ast.dump(tree)

    assert code(own) == code(told)
    spots = messages.of_exercises(own)
    assert len(spots) == len(messages.of_exercises(told))
    assert not {spot.message for spot in spots} & {s.message for s in messages.of_exercises(told)}


def test_catalogues_are_not_made_from_a_student_s_exercises(tmp_path, monkeypatch, capsys):
    texts = {name: language.exercises(name).read_text("utf-8") for name in ("en", "bg")}
    catalogue = (language.LAB / "bg.po").read_text("utf-8")
    monkeypatch.setattr(language, "LAB", tmp_path)
    (tmp_path / "bg.po").write_text(catalogue, "utf-8")
    (tmp_path / "exercises.bg.py").write_text(texts["bg"], "utf-8")
    own = tmp_path / "exercises.py"
    filled = texts["en"].replace("raise NotImplementedError", "return Counter(tokens)", 1)
    for text in (texts["bg"], filled):
        own.write_text(text, "utf-8")
        for command in ([], ["exercises", "--language", "en"]):
            speak("en")
            with pytest.raises(SystemExit):
                language.main(command)
            assert "no longer the English file" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            grade.main([str(tmp_path / "course"), "--make", "nbgrader", "--language", "en"])
        assert "no longer the English file" in capsys.readouterr().err
    assert own.read_text("utf-8") == filled
    assert (tmp_path / "bg.po").read_text("utf-8") == catalogue
    assert (tmp_path / "exercises.bg.py").read_text("utf-8") == texts["bg"]
    own.write_text(texts["en"], "utf-8")
    assert starter("en") == texts["en"]


def test_the_exercises_are_taken_but_not_over_a_student_s(tmp_path, monkeypatch, capsys):
    texts = {name: language.exercises(name).read_text("utf-8") for name in ("en", "bg")}
    catalogue = (language.LAB / "bg.po").read_text("utf-8")
    monkeypatch.setattr(language, "LAB", tmp_path)
    (tmp_path / "bg.po").write_text(catalogue, "utf-8")
    own, starter = tmp_path / "exercises.py", tmp_path / "exercises.bg.py"
    starter.write_text(texts["bg"], "utf-8")
    for text in (texts["en"], texts["bg"]):
        own.write_text(text, "utf-8")
        assert language.main(["exercises", "--language", "bg"]) == 0
        assert own.read_text("utf-8") == texts["bg"]
    for changed in (
        texts["en"].replace("raise NotImplementedError", "return Counter(tokens)", 1),
        texts["en"] + "# my own\n",
        texts["bg"].replace("raise NotImplementedError", "return Counter(tokens)", 1),
        texts["en"] + "still being written(\n",
    ):
        own.write_text(changed, "utf-8")
        with pytest.raises(SystemExit):
            language.main(["exercises", "--language", "bg"])
        assert "е променен, затова остава" in capsys.readouterr().err
        assert own.read_text("utf-8") == changed
