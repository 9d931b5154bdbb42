"""Prompt files: every row in one shard, as a prompt or with a reason."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_files import SETTINGS, compress, loaded_rows, rows_of, written

from textmill.model.errors import TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.prompts import planning as prompts
from textmill.pipeline.prompts import reading as inputs
from textmill.pipeline.prompts.planning import plan
from textmill.pipeline.prompts.reading import MOST_BYTES


def test_rows_and_reasons(tmp_path):
    long = b"x" * (MOST_BYTES + 1)
    content = (
        b"\xef\xbb\xbffirst\r\n\nbad \xff byte\n \xe3\x80\x80\t\n"
        + long
        + b"\nfits "
        + (b"y" * (MOST_BYTES - 5))
        + b"\nlast, without end"
    )
    planned = written(tmp_path, content)
    good, bad = rows_of(planned)
    assert [id for id, _ in good] == ["p.txt:1", "p.txt:6", "p.txt:7"]
    assert good[0][1] == "first"
    assert good[2][1] == "last, without end"
    assert [(line, reason) for _, line, reason, _ in bad] == [
        (2, "empty"),
        (3, "not valid UTF-8 at byte 4; --encoding says what a file is"),
        (4, "empty"),
        (5, "longer than 65,536 bytes"),
    ]
    assert bad[1][3] == "bad \\xff byte"
    assert len(bad[3][3]) == 1000
    assert planned.rows == 7
    assert planned.files[0].sha256 == hashlib.sha256(content).hexdigest()


def test_line_ends(tmp_path):
    assert rows_of(written(tmp_path, b"a\nb\n"))[0] == [("p.txt:1", "a"), ("p.txt:2", "b")]
    assert rows_of(written(tmp_path, b"a\nb"))[0] == [("p.txt:1", "a"), ("p.txt:2", "b")]
    # Only \n ends a row: what other tools take for a line end stays text.
    text = "a\u2028b\x0bc\rd"
    assert rows_of(written(tmp_path, text.encode()))[0] == [("p.txt:1", text)]


def test_raw_text_is_kept(tmp_path):
    text = "  e\u0301 \u200bzero \u202eright to left\t<script>=cmd()\"'"
    assert rows_of(written(tmp_path, text.encode() + b"\n"))[0] == [("p.txt:1", text)]


def test_names_hang_on_the_common_root(tmp_path):
    for name in ("b/two.txt", "a/one.txt", "a/empty.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("" if "empty" in name else "x\ny\n")
    planned = plan([str(tmp_path / "*" / "*.txt")], SETTINGS)
    assert [file.name for file in planned.files] == ["a/empty.txt", "a/one.txt", "b/two.txt"]
    assert [id for id, _ in rows_of(planned)[0]] == [
        "a/one.txt:1", "a/one.txt:2", "b/two.txt:1", "b/two.txt:2"
    ]  # fmt: skip


def test_nothing_to_read(tmp_path):
    with pytest.raises(TextmillError, match="no prompts"):
        written(tmp_path, b"")
    with pytest.raises(TextmillError, match="no file matches"):
        plan([str(tmp_path / "*.csv")], SETTINGS)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=12).map(lambda t: t.replace("\n", " ").encode()),
            st.binary(max_size=9).map(lambda b: b.replace(b"\n", b" ")),
        ),
        min_size=1,
        max_size=60,
    ),
    st.booleans(),
    st.integers(1, 400),
    st.integers(1, 40),
)
def test_every_row_is_somewhere_once(tmp_path_factory, rows, ended, max_words, marks):
    folder = tmp_path_factory.mktemp("rows")
    content = b"\n".join(rows) + (b"\n" if ended else b"")
    count = content.count(b"\n") + (not ended and rows[-1] != b"")
    (folder / "p.txt").write_bytes(content)
    if count == 0:
        return
    places = [(prompts, "MOST_MARKS"), (prompts, "LEAST_MARKS"), (prompts, "_LEAST_WORDS")]
    places.append((inputs, "BLOCK"))
    before = [getattr(*place) for place in places]
    # Small limits make a small file cross them all.
    for place, value in zip(places, (marks, 1, 1, 7), strict=True):
        setattr(*place, value)
    try:
        planned = plan([str(folder / "p.txt")], GenerationSettings(max_words=max_words))
        good, bad = rows_of(planned)
    finally:
        for place, value in zip(places, before, strict=True):
            setattr(*place, value)
    assert planned.rows == count == len(good) + len(bad)
    lines = sorted([int(id.split(":")[1]) for id, _ in good] + [line for _, line, _, _ in bad])
    assert lines == list(range(1, count + 1))
    for id, text in good:
        raw = rows[int(id.split(":")[1]) - 1].removesuffix(b"\r")
        assert text.encode() == (raw.removeprefix(b"\xef\xbb\xbf") if id == "p.txt:1" else raw)
    edges = [(shard.start, shard.end) for shard in planned.shards]
    assert edges[0][0] == 0
    assert edges[-1][1] == len(content)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))


@pytest.mark.parametrize(
    ("rows", "settings", "shards"),
    [
        (20_000, {"max_words": 12}, 40),
        (100, {"max_words": 10}, 1),
        (100, {"max_words": 500}, 50),
        (1_000_000, {"max_words": 12, "samples": 5}, 301),
        (30, {"max_words": 100_000}, 30),
    ],
)
def test_number_of_shards(tmp_path, rows, settings, shards):
    planned = written(tmp_path, b"p\n" * rows, **settings)
    assert len(planned.shards) == shards
    assert sum(shard.rows for shard in planned.shards) == rows


def test_a_file_that_changed_is_told(tmp_path):
    planned = written(tmp_path, b"a\nb\nc\n")
    (tmp_path / "p.txt").write_bytes(b"a\nbbbc")
    with pytest.raises(TextmillError, match=r"p\.txt changed while it was read"):
        rows_of(planned)
    (tmp_path / "p.txt").unlink()
    with pytest.raises(TextmillError, match=r"cannot read .*p\.txt"):
        rows_of(planned)


# -- formats ---------------------------------------------------------------------------------------

JSON_ROWS = {
    '{"prompt": "a"}': None,
    '{"prompt": "b", "id": "x", "samples": 3, "temperature": [0, 1.5], "top_k": 5, "top_p": 0.5,'
    ' "min_p": 0.1, "max_words": 7, "stop": ["."], "label": "l", "more": {"k": [1]}}': None,
    '{"prompt": "c", "id": 7, "temperature": 0.5, "stop": "!", "top_k": null}': None,
    "": "empty",
    "[1]": "not a JSON object",
    "{": "not valid JSON",
    '{"text": "a"}': "no field 'prompt'. Found: 'text'",
    '{"prompt": 3}': "prompt must be a text. Received: 3",
    '{"prompt": " "}': "empty",
    '{"prompt": "a", "temperature": "hot"}': "temperature must be 0 (greedy)",
    '{"prompt": "a", "temperature": -1}': "temperature must be 0 (greedy)",
    '{"prompt": "a", "samples": 0}': "samples must be a whole number from 1 to 100000",
    '{"prompt": "a", "samples": 10000000}': "samples must be a whole number from 1 to 100000",
    '{"prompt": "a", "samples": "2"}': "samples must be a whole number",
    '{"prompt": "a", "stop": [["x"]]}': "stop must be words",
    '{"prompt": "a", "id": ""}': "id must be a text of 1 to 500",
    '{"prompt": "cut \\ud83d"}': "half a surrogate pair",
    "[" * 9999: "not valid JSON",
}


def test_json_lines(tmp_path):
    good, bad = loaded_rows(tmp_path, "\n".join(JSON_ROWS).encode() + b"\n\xff\n", "p.jsonl")
    assert [prompt.text for prompt in good.values()] == ["a", "b", "c"]
    assert (good[1].id, good[1].settings, good[1].extra) == ("p.jsonl:1", None, {})
    assert good[2].id == "x"
    assert good[2].extra == {"more": {"k": [1]}}
    assert good[2].settings == GenerationSettings(
        samples=3, temperatures=(0, 1.5), top_k=5, top_p=0.5, min_p=0.1, max_words=7,
        stop=(".",), label="l",
    )  # fmt: skip
    assert (good[3].id, good[3].settings.temperatures, good[3].settings.stop) == (
        "7",
        (0.5,),
        ("!",),
    )
    for line, (_, reason) in enumerate(JSON_ROWS.items(), start=1):
        assert (reason is None) == (line in good)
        assert reason is None or bad[line].startswith(reason), bad[line]
    assert bad[len(JSON_ROWS) + 1] == "not valid UTF-8 at byte 0; --encoding says what a file is"


def test_csv(tmp_path):
    content = (
        "\ufeffid,prompt,temperature,note\r\n"
        '1,"two\nlines, and ""quotes""",0.5,=cmd()\r\n'
        "\r\n"
        ",plain,,\n"
        "x,hot,warm,\n"
        "x,too,few\n"
        '3,5" pipe,1,<script>\n'
        '2,"never closed,1,\n'
        ",,1,\n"
        f"4,{'y' * MOST_BYTES},1,\n"
        "5,last,1,end"
    )
    good, bad = loaded_rows(tmp_path, content.encode(), "p.csv")
    assert {line: (p.id, p.text) for line, p in good.items()} == {
        1: ("1", 'two\nlines, and "quotes"'),
        2: ("p.csv:2", "plain"),
        5: ("3", '5" pipe'),
        9: ("5", "last"),
    }
    assert good[1].extra == {"note": "=cmd()"}
    assert good[1].settings.temperatures == (0.5,)
    assert good[2].settings is None
    assert bad == {
        3: "temperature must be a number. Received: 'warm'",
        4: "wrong number of columns: 3 instead of 4",
        6: "a quote is not closed",
        7: "empty",
        8: "longer than 65,536 bytes",
    }
    tsv, _ = loaded_rows(tmp_path, b'prompt\tn\na, b\t1\n"open\t"2"\n', "p.tsv")
    assert (tsv[1].text, tsv[1].extra) == ("a, b", {"n": "1"})
    assert (tsv[2].text, tsv[2].extra) == ('"open', {"n": '"2"'})


def test_many_open_quotes_cost_no_quadratic_time(tmp_path):
    rows = b"".join(b'"open %d,x\n' % i if i % 2 else b"fine,x\n" for i in range(3001))
    good, bad = loaded_rows(tmp_path, b"prompt,n\n" + rows + b"last,x\n", "p.csv")
    assert len(good) + len(bad) == len({*good, *bad})
    assert good[max(good)].text == "last"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("text,id", r"no column named 'prompt'\. Found: 'text', 'id'; --prompt-column names"),
        ("text", r"no column named 'prompt'\. Found: 'text'; --prompt-column names"),
        ("prompt;id", r"no column named 'prompt'\. Found: 'prompt;id'; --delimiter says what"),
        ("prompt,prompt", "the column 'prompt' stands there twice"),
        ("\xff,prompt", "the header is not valid UTF-8; say what the file is with --encoding"),
        ('"prompt,\nx', "the header is no row of a table: a quote is not closed"),
    ],
)
def test_bad_headers(tmp_path, header, said):
    with pytest.raises(TextmillError, match=rf"p\.csv: {said}"):
        written(tmp_path, header.encode("latin-1") + b"\na,b\n", "p.csv")


def test_a_header_in_cyrillic_names_its_encoding(tmp_path):
    header = "текст,етикет,източник на текста".encode("cp1251")
    with pytest.raises(TextmillError, match=r"--encoding cp1251$"):
        written(tmp_path, header + b"\na,b,c\n", "p.csv")


@pytest.mark.parametrize("name", ["p.txt", "p.jsonl", "p.csv"])
def test_ten_megabytes_in_one_line(tmp_path, name):
    rows = {"p.txt": b"a", "p.jsonl": b'{"prompt": "a"}', "p.csv": b"a"}[name]
    head = b"prompt\n" if name == "p.csv" else b""
    content = head + rows + b"\n" + b"x" * 10_000_000 + b"\n" + rows + b"\n"
    good, bad = loaded_rows(tmp_path, content, name)
    assert (list(good), bad) == ([1, 3], {2: "longer than 65,536 bytes"})


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".zst"])
def test_compressed_files(tmp_path, ending):
    rows = [f'{{"prompt": "row {i}"}}' for i in range(3000)]
    data = compress("\n".join(rows).encode(), ending)
    planned = written(tmp_path, data, f"p.jsonl{ending}")
    assert len(planned.shards) > 10
    assert planned.files[0].sha256 == hashlib.sha256(data).hexdigest()
    good, bad = rows_of(planned)
    assert [text for _, text in good] == [f"row {i}" for i in range(3000)]
    assert good[0][0] == f"p.jsonl{ending}:1"
    assert bad == []
    for broken in (data[: len(data) // 2 + 20], b"no archive"):
        with pytest.raises(TextmillError, match=r"cannot read .*p\.jsonl"):
            written(tmp_path, broken, f"p.jsonl{ending}")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(['"', "a", ",", "\n", "\r\n", '""', ",\n", 'x"y', "é"]), max_size=50),
    st.sampled_from(["p.csv", "p.jsonl", "p.tsv"]),
    st.integers(1, 9),
)
def test_any_bytes_of_any_format_add_up(tmp_path_factory, pieces, name, most):
    folder = tmp_path_factory.mktemp("odd")
    (folder / name).write_text("prompt\n" + "".join(pieces) + "\nend\n")
    before = prompts._LEAST_WORDS, prompts.MOST_MARKS, prompts.LEAST_MARKS
    prompts._LEAST_WORDS, prompts.MOST_MARKS, prompts.LEAST_MARKS = 1, most, 1
    try:
        planned = plan([str(folder / name)], GenerationSettings(max_words=1))
        good, bad = rows_of(planned)
    finally:
        prompts._LEAST_WORDS, prompts.MOST_MARKS, prompts.LEAST_MARKS = before
    assert len(good) + len(bad) == planned.rows
    assert len({id for id, _ in good}) == len(good)


def test_long_prompts_and_empty_files(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("prompt\n")
    (tmp_path / "p.txt").write_text("word " * 1000 + "\nqzx qzx\n")
    planned = plan([str(tmp_path / "*")], SETTINGS)
    good, bad = rows_of(planned)
    assert [text for _, text in good] == ["word " * 1000, "qzx qzx"]
    assert bad == []
