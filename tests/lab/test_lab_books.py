"""Books: from a file, from the network once, or built in."""

from __future__ import annotations

import io
import re
import urllib.error
from pathlib import Path

import pytest

from lab import books
from textmill.model.errors import TextmillError
from textmill.model.text.books import cache

BOOK = """The Project Gutenberg eBook of Something
*** START OF THE PROJECT GUTENBERG EBOOK SOMETHING ***

„Здравей“,
каза тя.

Ende.
*** END OF THE PROJECT GUTENBERG EBOOK SOMETHING ***
licence
"""


@pytest.fixture
def network(monkeypatch, tmp_path):
    """Answers instead of the network, and records the addresses."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = []

    def answer(raw):
        def urlopen(address, timeout):
            asked.append(address)
            if isinstance(raw, Exception):
                raise raw
            return io.BytesIO(raw)

        monkeypatch.setattr("urllib.request.urlopen", urlopen)
        return asked

    return answer


def test_a_book_is_downloaded_once(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = network(BOOK.encode())
    for name in (11, "11", "gutenberg:11"):
        assert books.read_book(name) == "„Здравей“, каза тя.\nEnde."
    assert asked == ["https://www.gutenberg.org/cache/epub/11/pg11.txt"]
    assert [path.name for path in cache().iterdir()] == ["11.txt"]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (urllib.error.URLError("no route"), "no route"),
        (TimeoutError("timed out"), "give its path"),
        (b"<html>not found</html>", "is no book"),
    ],
)
def test_what_cannot_be_had_is_one_clear_line(network, raw, said, capsys):
    network(raw)
    with pytest.raises(TextmillError, match=said):
        books.read_book(99)
    assert not cache().exists()
    with pytest.raises(SystemExit) as stop:
        books.main(["--gutenberg", "99"])
    assert stop.value.code == 1
    assert said in capsys.readouterr().err


def test_a_file_and_the_built_in_text(tmp_path, capsys):
    file = tmp_path / "book.txt"
    file.write_text("One line\nand its end.\n\nTwo.\n", encoding="utf-8")
    assert books.read_book(file) == "One line and its end.\nTwo."
    assert len(books.read_book().split()) > 40_000
    assert books.main([str(file)]) == 0
    assert "6 words" in capsys.readouterr().out
    with pytest.raises(TextmillError, match="no file"):
        books.read_book(tmp_path / "nothing.txt")


@pytest.mark.parametrize("name", [None, "alice.txt", "verwandlung.txt"])
def test_real_books_go_through_the_first_exercises(request, name):
    import lab_solution as ex

    book = None if name is None else request.getfixturevalue("shared") / "books" / name
    text = books.read_book(book)
    tokens = ex.tokenize(text)
    assert ex.detokenize(tokens) == " ".join(text.split())
    assert len(ex.make_vocabulary(tokens, 2)) > 1_000
    assert not re.search("gutenberg", text[:2_000], flags=re.IGNORECASE)


def test_a_path_may_begin_in_another_folder_and_a_file_be_of_another_encoding(tmp_path, capsys):
    (tmp_path / "buch.txt").write_bytes("Süße Füße.\n".encode("latin-1"))
    with pytest.raises(TextmillError, match="--encoding"):
        books.read_book("buch.txt", folders=[tmp_path])
    assert books.read_book("buch.txt", encoding="latin-1", folders=[tmp_path]) == "Süße Füße."
    with pytest.raises(TextmillError, match=re.escape(f"looked in {Path.cwd()} or {tmp_path}")):
        books.read_book("nothing.txt", folders=[tmp_path])
    assert books.main([str(tmp_path / "buch.txt"), "--encoding", "latin-1"]) == 0
    assert "2 words" in capsys.readouterr().out
