"""Any text in, clean paragraphs or lines out."""

from __future__ import annotations

import hashlib
import os

import pytest

from textmill.model.errors import TextmillError, UsageError
from textmill.model.text.corpus import (
    CorpusSettings,
    built_in_corpus,
    find_files,
    read_corpus,
    read_table,
    unwrap_paragraphs,
)
from textmill.model.text.decoding import clean, decode
from textmill.model.text.labelled_tables import refuse_tables
from textmill.pipeline.files import filesystem

BOOK = "Chapter I\n\nIt was a dark night.\nIt rained.\n\nThe end of it."


def test_utf8_with_and_without_bom():
    assert decode(b"\xef\xbb\xbfna\xc3\xafve", path="x") == "naïve"
    assert decode(b"na\xc3\xafve", path="x") == "naïve"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_wide_encodings_by_their_bom(encoding):
    assert decode("Ünï 猫".encode(encoding), path="x") == "Ünï 猫"


def test_named_encoding():
    assert decode("Käfer".encode("latin-1"), path="x", encoding="latin-1") == "Käfer"


def test_invalid_bytes_name_file_offset_and_option():
    with pytest.raises(TextmillError, match=r"book.txt is not valid utf-8 at byte 3.*--encoding"):
        decode(b"abc\xe4def", path="book.txt")


_OLD = "Имало едно време един старец, който живеел в къща край морето и гледал вълните."


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (_OLD, "cp1251"), (_OLD, "koi8-r"), (_OLD, "cp866"), (_OLD, "iso8859-5"),
        ("A book in Bulgarian.\n" + 9 * _OLD, "cp1251"),
        ("Все счастливые семьи похожи друг на друга, каждая несчастлива по-своему.", "koi8-r"),
        ("Süße Füße laufen über die Straße; Käfer fliegen in die Höhe.", "latin-1"),
        ("Un garçon à l’école, élevé près d’où naît le fleuve".replace("’", "'"), "latin-1"),
    ],
)  # fmt: skip
def test_text_that_is_not_utf8_names_the_encoding_that_it_looks_like(text, encoding):
    raw = text.encode(encoding)
    with pytest.raises(TextmillError, match=f"such as --encoding {encoding}$"):
        decode(raw, path="book.txt")
    assert decode(raw, path="book.txt", encoding=encoding) == text


def test_greek_is_not_taken_for_cyrillic():
    raw = "Μια φορά κι έναν καιρό ήταν ένας γέρος που ζούσε σε ένα σπίτι".encode("cp1253")
    with pytest.raises(TextmillError, match="--encoding latin-1"):
        decode(raw, path="x")


@pytest.mark.parametrize("name", ["no-such-code", "hex", "base64"])
def test_unknown_encoding(name):
    with pytest.raises(UsageError, match="encoding must be the name of a text encoding"):
        decode(b"616263", path="x", encoding=name)


@pytest.mark.parametrize(
    "raw",
    [bytes(range(256)) * 9, b"\x89PNG\r\n\x1a\n" + bytes(99), "text".encode("utf-16-le") * 99],
)
def test_binary_files_are_refused(raw):
    with pytest.raises(TextmillError, match=r"binary|not valid utf-8"):
        decode(raw, path="x.bin")


def test_clean():
    assert clean("a\r\nb\rc\fd\x00\ufeff\u200be\vf") == "a\nb\nc\n\nde\nf"
    assert clean("می\u200cخواهم 👩\u200d💻") == "می\u200cخواهم 👩\u200d💻"


def test_unwrap():
    assert unwrap_paragraphs(BOOK) == [
        "Chapter I", "It was a dark night. It rained.", "The end of it."
    ]  # fmt: skip


def test_modes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\ntwo\r\n\r\nthree\r\n")
    assert read_corpus([str(path)], mode="stream").texts == ["one two", "three"]
    assert read_corpus([str(path)], mode="lines").texts == ["one", "two", "three"]
    unwrapped = read_corpus([str(path)], mode="stream", unwrap=False)
    assert unwrapped.texts == ["one", "two", "", "three"]
    assert unwrapped.sources[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_files_and_patterns(tmp_path):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("x")
    a, b = str(tmp_path / "a.txt"), str(tmp_path / "b.txt")
    assert find_files([b, str(tmp_path / "*.txt")]) == [b, a]
    assert find_files([b, f"{tmp_path}/./b.txt"]) == [b]
    with pytest.raises(TextmillError, match="no file matches"):
        find_files([str(tmp_path / "*.md")])
    with pytest.raises(TextmillError, match="there is no file"):
        find_files([str(tmp_path / "c.txt")])
    with pytest.raises(TextmillError, match="is a folder"):
        find_files([str(tmp_path)])


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe.txt", tmp_path / "zero.txt", "/dev/zero"):
        with pytest.raises(TextmillError, match="is no regular file but a pipe, a device"):
            read_corpus([str(path)], mode="stream")
        for read in (filesystem.read, filesystem.open_read, lambda name: filesystem.find([name])):
            with pytest.raises(TextmillError, match="is no regular file but a pipe, a device"):
                read(str(path))
    with pytest.raises(TextmillError, match="no file matches"):
        find_files([str(tmp_path / "*.txt")])


FASTTEXT = (
    "__label__pos this is good\n\n__label__neg bad __label__ this\n__label__pos\nno label\n"
    "__label__a __label__b __label__a both\n"
)


def test_fasttext(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text(FASTTEXT)
    settings = CorpusSettings(paths=(str(path),), labels="fasttext")
    assert settings.mode == "lines"
    corpus = settings.read()
    assert corpus.texts == ["this is good", "bad this", "both", "both"]
    assert corpus.labels == ["pos", "neg", "a", "b"]
    assert corpus.skipped == 2
    for mode in ("stream", "lines"):
        with pytest.raises(UsageError, match=r"f\.txt holds labels .* --label fasttext"):
            CorpusSettings(paths=(str(path),), mode=mode).read()
    with pytest.raises(UsageError, match="--mode lines"):
        CorpusSettings(paths=(str(path),), labels="fasttext", mode="stream")
    path.write_text("A line of fastText is\n__label__pos good\nwhere __label__ is a mark.\n")
    assert len(read_corpus([str(path)], mode="lines").texts) == 3
    table = tmp_path / "t.csv"  # where it is the name of a column
    table.write_text("text,fasttext\na,x\n")
    assert CorpusSettings(paths=(str(table),), labels="fasttext").read().labels == ["x"]


def test_empty_corpus(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_text(" \n\n\ufeff\n")
    with pytest.raises(TextmillError, match="corpus is empty"):
        read_corpus([str(path)], mode="stream")


TABLES = {
    "a.tsv": ("1", "2", 'x\tShe said "no\ny\t\tskipped? no\n'),
    "b.csv": ("label", "text", 'text,label\n"two\nlines",x\n,x\n"q ""u"" q",y\n'),
    "c.jsonl": (
        "label",
        "text",
        '{"text": "a\u2028b", "label": 3}\n\n{"text": null, "label": 3}\n'
        '{"text": "cut \\ud83d", "label": 4}\n',
    ),
}


def test_tables(tmp_path):
    found = {}
    for name, (label, text, content) in TABLES.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        corpus = read_table([str(tmp_path / name)], text=text, label=label)
        found[name] = (corpus.texts, corpus.labels, corpus.skipped)
    assert found["a.tsv"] == (['She said "no'], ["x"], 1)
    assert found["b.csv"] == (["two lines", 'q "u" q'], ["x", "y"], 1)
    assert found["c.jsonl"] == (["a b", "cut ?"], ["3", "4"], 1)


def test_the_other_endings_of_tables(tmp_path):
    """Each kind has one reader, whatever its name ends in."""
    import pyarrow
    import pyarrow.parquet

    rows = '{"text": "one", "label": "a"}\n{"text": "two"}\n'
    (tmp_path / "a.ndjson").write_text(rows)
    (tmp_path / "b.TAB").write_text("text\tlabel\none\ta\ntwo\t\n")
    table = pyarrow.table({"label": ["a", None], "text": ["one", "two"]})
    pyarrow.parquet.write_table(table, tmp_path / "c.parquet")
    (tmp_path / "d.csv").write_text("text,label\n" + "long " * 40_000 + ",a\n")
    for name in ("a.ndjson", "b.TAB", "c.parquet"):
        corpus = read_table([str(tmp_path / name)], text="text", label="label")
        assert (corpus.texts, corpus.labels, corpus.skipped) == (["one"], ["a"], 1)
        with pytest.raises(UsageError, match=rf"{name} is a table; name its column with --text"):
            refuse_tables([str(tmp_path / name)], options="--text")
    assert len(read_table([str(tmp_path / "d.csv")], text="text").texts[0]) == 199_999
    (tmp_path / "e.parquet").write_bytes(b"PAR1 no more PAR1")
    with pytest.raises(TextmillError, match=r"e\.parquet is not valid Parquet"):
        read_table([str(tmp_path / "e.parquet")], text="text")


def test_a_table_without_labels(tmp_path):
    (tmp_path / "a.csv").write_text("n,text\n,one\n2,two\n")
    corpus = read_table([str(tmp_path / "a.csv")], text="text")
    assert (corpus.texts, corpus.labels) == (["one", "two"], None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,other\na,b\n", "a.csv: no column named 'label'. Found: 'text', 'other'; a"),
        ("a.csv", "text,label,text\na,b,c\n", "a.csv: the column 'text' stands there twice"),
        ("a.csv", "text,label\nonly\n", "a.csv:2 has 1 columns"),
        ("a.jsonl", '{"text": 1}\n', "a.jsonl:1: no column named 'label'. Found: 'text'"),
        ("a.jsonl", "[]\n", "a.jsonl:1 is no JSON object"),
        ("a.jsonl", "{\n", "a.jsonl holds one JSON value, not a JSON object a line"),
        ("a.jsonl", '[\n{"text": 1}]\n', "a.jsonl holds one JSON value"),
        ("a.jsonl", '{"text": 1\n', "a.jsonl:1 is not valid JSON"),
        ("a.jsonl", "[" * 99999 + "\n", "a.jsonl:1 is not valid JSON"),
        ("a.jsonl", "9" * 9999 + "\n", "a.jsonl:1 is not valid JSON"),
        ("a.txt", "x\n", "no table of a known kind"),
    ],
)
def test_bad_tables(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(TextmillError, match=message):
        read_table([str(tmp_path / name)], text="text", label="label")


def test_built_in_text_is_prose():
    corpus = built_in_corpus()
    words = sum(len(text.split()) for text in corpus.texts)
    assert words > 40_000
    assert len(set(corpus.texts)) == len(corpus.texts)


def test_real_latin1(shared):
    path = shared / "books" / "verwandlung_latin1.txt"
    with pytest.raises(TextmillError, match=r"verwandlung_latin1.txt is not valid utf-8 at byte"):
        read_corpus([str(path)], mode="stream")
    utf8 = read_corpus([str(shared / "books" / "verwandlung.txt")], mode="stream").texts
    latin1 = read_corpus([str(path)], mode="stream", encoding="latin-1").texts
    assert "Käfer" in " ".join(utf8) or "Ungeziefer" in " ".join(utf8)
    assert len(latin1) == pytest.approx(len(utf8), rel=0.05)


@pytest.mark.parametrize("raw", [b"", b"PAR1", b"PAR1" + b"\xff" * 8 + b"\x08\0\0\0PAR1"])
def test_a_damaged_parquet_table(tmp_path, raw):
    (tmp_path / "t.parquet").write_bytes(raw)
    with pytest.raises(TextmillError, match=r"t\.parquet is not valid Parquet"):
        read_table([str(tmp_path / "t.parquet")], text="text")


@pytest.mark.parametrize("column", ["9" * 5000, "\u0663", "1.0", "-1"])
def test_a_number_of_no_column(tmp_path, column):
    (tmp_path / "t.csv").write_text("a,b\nc,d\n")
    with pytest.raises(TextmillError, match="no column named"):
        read_table([str(tmp_path / "t.csv")], text=column)
