"""What is shown acts on nothing: the one function, and the pages that are made with it."""

from __future__ import annotations

import json
import pickle
import re
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from textmill.model.errors import SettingError, TextmillError, UsageError
from textmill.model.pages.escaping import escape
from textmill.model.pages.markdown import yaml_text
from textmill.model.pages.model_card import model_card
from textmill.model.pages.pieces import facts, html_page
from textmill.model.pages.svg import Chart, Curve
from textmill.model.visible import visible

HOSTILE = "\x1b]0;x\x07[red]a[/red]\x00\x7f\x9b\u202e\u2066\udce9\n---\n\"'\\\ufeff\uffff\u2028\r"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("\x00\x07\x08\t\n\r", "\\x00\\x07\\x08\\t\\n\\r"),
        ("\x7f\x80\x9f\xa0", "\\u007f\\u0080\\u009f\xa0"),
        ("\u2029\u202a\u202e\u202f", "\\u2029\\u202a\\u202e\u202f"),
        ("\u2065\u2066\u2069\u206a", "\u2065\\u2066\\u2069\u206a"),
        ("\ud7ff\ud800\udfff\ue000", "\ud7ff\\ud800\\udfff\ue000"),
        ("[red] :smile: é שלום 👩‍🚀 \\n", "[red] :smile: é שלום 👩‍🚀 \\n"),
        (3.5, "3.5"),
    ],
)
def test_what_is_shown_of_a_text(text, shown):
    assert visible(text) == shown


def test_what_may_stay_stays():
    assert visible("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


@given(st.text() | st.text('\x00\x1b\x9b\u202e\ud800\n"\\a'))
def test_a_line_of_json_means_the_same(text):
    line = visible(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(line) == {"text": text}
    assert line.encode().decode().splitlines() == [line]


@given(st.text() | st.text("\x00\x1b\x85\x9b\u202e\ufeff\uffff\ud800\n-: \"'\\#a"))
def test_yaml_gives_the_text_back(text):
    found = yaml.safe_load(f"---\n- name: {yaml_text(text)}\n".encode())
    assert found == [{"name": re.sub("[\ud800-\udfff]", "\ufffd", text)}]


def test_the_card_of_a_model_loads(make_model):
    model = make_model(["a"], labels=(HOSTILE, "b"))
    source = {"name": HOSTILE, "bytes": 1, "sha256": "0"}
    model.training.update(
        corpus={"sources": [source]},
        metrics={"test_perplexity": 2.5},
        init_from={"fingerprint": "f", "corpus": {"sources": [source]}},
    )
    card = model_card(model, name=HOSTILE, recipe="small").encode().decode()
    start, header, rest = re.split("^---\n", card, maxsplit=2, flags=re.MULTILINE)
    assert start == ""
    (index,) = yaml.safe_load(header)["model-index"]
    assert index["name"] == HOSTILE.replace("\udce9", "\ufffd")
    assert index["results"][0]["dataset"]["name"] == index["name"]
    assert rest.replace("\n", "").isprintable()


@given(st.text() | st.text("\x00\x0c\x1b\x9b\ud800<&\"'\n\t"))
def test_pages_and_pictures_are_well_formed(text):
    found = ElementTree.fromstring(f'<p title="{escape(text)}">{escape(text)}</p>')
    # XML makes spaces of line ends and tabs in an attribute.
    assert found.get("title") == re.sub("[\n\t]", " ", visible(text, keep="\n\t"))
    assert (found.text or "") == visible(text, keep="\n\t")


def test_a_picture_and_a_page_of_hostile_names():
    curve = Curve(name=HOSTILE, style="a", points=[(1, 1), (2, 3)])
    svg = Chart(ident="i", name=HOSTILE, over=HOSTILE, curves=[curve], said=HOSTILE).svg()
    assert svg is not None
    assert visible(HOSTILE, keep="\n") in "".join(ElementTree.fromstring(svg).itertext())
    page = html_page(HOSTILE, svg + facts(HOSTILE, {HOSTILE: HOSTILE}), style="")
    page.encode()
    assert visible(page, keep="\n") == page


def test_an_error_is_one_line():
    """However it is shown: by a command, by Python, in a log."""
    for error in (
        TextmillError(f"no {HOSTILE}"),
        UsageError(HOSTILE),
        SettingError("a", HOSTILE, 3),
    ):
        assert str(error).isprintable() or str(error) == visible(error)
        assert len(str(error).splitlines()) == 1
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
