"""Prompt files: every row in one shard, as a prompt or with a reason."""

from __future__ import annotations

import bz2
import hashlib
import io
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textmill.model.errors import SettingError, TextmillError
from textmill.model.settings import GenerationSettings
from textmill.model.text.corpus import read_table
from textmill.pipeline.prompts import planning as prompts
from textmill.pipeline.prompts import reading as inputs
from textmill.pipeline.prompts import rows as rows_module
from textmill.pipeline.prompts.planning import plan, read_shard
from textmill.pipeline.prompts.reading import AS_USUAL, MOST_BYTES, InputSettings
from textmill.pipeline.prompts.rows import own_names

SETTINGS = GenerationSettings(max_words=10)


def rows_of(planned, reading=AS_USUAL):
    loaded = [read_shard(shard, SETTINGS, reading) for shard in planned.shards]
    good = [(p.id, p.text) for shard in loaded for p in shard.prompts]
    bad = [(r.file, r.line, r.reason, r.raw) for shard in loaded for r in shard.rejected]
    return good, bad


def written(tmp_path, content: bytes, name="p.txt", reading=AS_USUAL, **wanted):
    (tmp_path / name).write_bytes(content)
    return plan([str(tmp_path / name)], GenerationSettings(**{"max_words": 10, **wanted}), reading)


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


def loaded_rows(tmp_path, content, name):
    planned = written(tmp_path, content, name)
    good, bad = {}, {}
    for shard in planned.shards:
        loaded = read_shard(shard, SETTINGS)
        good |= {line: p for (_, line), p in zip(loaded.places, loaded.prompts, strict=True)}
        bad |= {row.line: row.reason for row in loaded.rejected}
    assert sorted([*good, *bad]) == list(range(1, planned.rows + 1))
    return good, bad


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


@pytest.mark.parametrize("name", ["p.txt", "p.jsonl", "p.csv"])
def test_ten_megabytes_in_one_line(tmp_path, name):
    rows = {"p.txt": b"a", "p.jsonl": b'{"prompt": "a"}', "p.csv": b"a"}[name]
    head = b"prompt\n" if name == "p.csv" else b""
    content = head + rows + b"\n" + b"x" * 10_000_000 + b"\n" + rows + b"\n"
    good, bad = loaded_rows(tmp_path, content, name)
    assert (list(good), bad) == ([1, 3], {2: "longer than 65,536 bytes"})


def compress(data: bytes, ending: str) -> bytes:
    import bz2
    import gzip

    import zstandard

    half = len(data) // 2
    if ending == ".zst":  # two frames
        make = zstandard.ZstdCompressor().compress
        return make(data[:half]) + make(data[half:])
    make = {".gz": gzip.compress, ".bz2": bz2.compress}[ending]
    return make(data[:half]) + make(data[half:])


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


# -- encodings -------------------------------------------------------------------------------------

WORDS = ["Grüße an alle", "naïve café", "plain", "Žluťoučký kůň", "日本語の文"]


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-be-mark"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding, ending):
    text = "\r\n".join(WORDS * 400)
    data = text.encode(encoding.removesuffix("-be-mark"))
    if encoding == "utf-16-be-mark":
        data = b"\xfe\xff" + text.encode("utf-16-be")
    planned = written(tmp_path, compress(data, ending) if ending else data, f"p.txt{ending}")
    assert len(planned.shards) > 10
    good, bad = rows_of(planned)
    assert ([text for _, text in good], bad) == (WORDS * 400, [])


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "shift-jis", "utf8"])
@pytest.mark.parametrize("name", ["p.txt", "p.jsonl", "p.csv", "p.tsv"])
def test_a_named_encoding(tmp_path, encoding, name):
    rows = [w for w in WORDS if w == w.encode(encoding, "replace").decode(encoding)] * 200
    objects = [json.dumps({"prompt": row}, ensure_ascii=False) for row in rows]
    lines = {"p.txt": rows, "p.jsonl": objects}.get(name, ["prompt", *rows])
    reading = InputSettings(encoding=encoding)
    planned = written(tmp_path, "\n".join(lines).encode(encoding), name, reading)
    good, bad = rows_of(planned, reading)
    assert ([text for _, text in good], bad) == (rows, [])
    assert [id for id, _ in good] == [f"{name}:{i}" for i in range(1, len(rows) + 1)]


def test_what_is_not_valid_in_its_encoding_costs_its_row_only(tmp_path):
    reading = InputSettings(encoding="shift-jis")
    content = "前\n".encode("shift-jis") + b"bad \x81\x00 \xff\n" + "後".encode("shift-jis")
    good, bad = rows_of(written(tmp_path, content, reading=reading), reading)
    assert good == [("p.txt:1", "前"), ("p.txt:3", "後")]
    assert bad[0][1:3] == (2, "not valid shift-jis; --encoding says what a file is")
    # An odd byte at the end of UTF-16.
    good, bad = rows_of(written(tmp_path, "one\ntwo".encode("utf-16") + b"x"))
    assert (good, bad[0][2]) == (
        [("p.txt:1", "one")], "not valid utf-16; --encoding says what a file is",
    )  # fmt: skip


def test_a_mark_counts_more_than_the_option(tmp_path):
    reading = InputSettings(encoding="latin-1")
    for encoding in ("utf-16", "utf-8-sig"):
        planned = written(tmp_path, "é\nü".encode(encoding), reading=reading)
        assert [text for _, text in rows_of(planned, reading)[0]] == ["é", "ü"]


def test_a_row_with_a_nul_is_rejected(tmp_path):
    content = "one\ntwo\n".encode("utf-16-le")  # without a mark: as UTF-8 it is full of NULs
    good, bad = rows_of(written(tmp_path, content))
    assert good == []
    assert bad[0][2] == "a NUL character; if the file is UTF-16, say --encoding utf-16-le"
    _, bad = loaded_rows(tmp_path, b'{"prompt": "a\\u0000b"}\n{"prompt": "c"}', "p.jsonl")
    assert bad[1].startswith("a NUL character")


@pytest.mark.parametrize("encoding", ["no-such", "hex", "", 3])
def test_an_encoding_that_is_none(encoding):
    with pytest.raises(SettingError, match="encoding must be the name of a text encoding, such as"):
        InputSettings(encoding=encoding)


# -- which column ----------------------------------------------------------------------------------


def parquet(rows: list[dict]) -> bytes:
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out, row_group_size=3)
    return out.getvalue()


COLUMNS = [{"text": f"row {i}", "key": f"k{i}", "prompt": "other", "id": i} for i in range(8)]
FILES = {
    "p.jsonl": "\n".join(map(json.dumps, COLUMNS)).encode(),
    "p.csv": ("text,key,prompt,id\n" + "\n".join(
        f"{row['text']},{row['key']},other,{row['id']}" for row in COLUMNS)).encode(),
    "p.parquet": parquet(COLUMNS),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_prompts_and_ids_of_other_columns(tmp_path, name):
    reading = InputSettings(prompt_column="text", id_column="key")
    planned = written(tmp_path, FILES[name], name, reading)
    loaded = [read_shard(shard, SETTINGS, reading) for shard in planned.shards]
    prompts = [prompt for shard in loaded for prompt in shard.prompts]
    assert [(p.id, p.text) for p in prompts] == [(f"k{i}", f"row {i}") for i in range(8)]
    # Fields that are called so in the file are carried through under other names.
    assert [str(p.extra["input_id"]) for p in prompts] == [str(i) for i in range(8)]
    assert {p.extra["input_prompt"] for p in prompts} == {"other"}
    assert set(planned.carried) == {"input_prompt", "input_id"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("columns", "option"),
    [({"prompt_column": "nope"}, "--prompt-column"), ({"id_column": "nope"}, "--id-column")],
)
def test_a_column_that_is_not_there(tmp_path, name, columns, option):
    found = "'text', 'key', 'prompt', 'id'"
    said = rf"{name}: no column named 'nope'\. Found: {found}; {option} names"
    with pytest.raises(TextmillError, match=said):
        written(tmp_path, FILES[name], name, InputSettings(**columns))


def test_one_object_with_a_prompt_is_enough(tmp_path):
    good, bad = loaded_rows(tmp_path, b'{"text": 1}\n{"prompt": "a"}', "p.jsonl")
    assert (good[2].text, bad) == ("a", {1: "no field 'prompt'. Found: 'text'"})


def test_names_that_are_taken():
    assert own_names(("input_prompt", "text", "prompt"), InputSettings(prompt_column="text")) == {
        "input_prompt": "input_prompt", "text": "prompt", "prompt": "input_input_prompt",
    }  # fmt: skip
    with pytest.raises(SettingError, match="id_column must be another column than the prompts'"):
        InputSettings(prompt_column="a", id_column="a")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_separator_line_of_a_spreadsheet(tmp_path, encoding):
    content = 'sep=;\r\nid;prompt\r\na;one, two\r\nb;"x;y"\r\n'.encode(encoding)
    good, bad = rows_of(written(tmp_path, content, "p.csv"))
    assert (good, bad) == ([("a", "one, two"), ("b", "x;y")], [])
    (tmp_path / "t.csv").write_bytes(content)
    assert read_table([str(tmp_path / "t.csv")], text="prompt").texts == ["one, two", "x;y"]
    (tmp_path / "t.csv").write_bytes(b"sep=;\nid;prompt\na\n")
    with pytest.raises(TextmillError, match=r"t\.csv:3 has 1 columns, needs 2"):
        read_table([str(tmp_path / "t.csv")], text="prompt")


@pytest.mark.parametrize(
    "content",
    [
        '[{"prompt": "a"}, {"prompt": "b"}]',
        '\n[\n  {"prompt": "a"},\n  {"prompt": "b"}\n]\n',
        '[{"prompt": "a"},\n{"prompt": "b"}]',
        '{\n  "prompt": "a"\n}\n',
        "[" + ", ".join(['{"prompt": "a long list in one line"}'] * 4000) + "]",
    ],
)
def test_one_json_value_in_a_jsonl(tmp_path, content):
    with pytest.raises(TextmillError, match=r"p\.jsonl holds one JSON value, not .*jq -c"):
        written(tmp_path, content.encode(), "p.jsonl")


@pytest.mark.parametrize("first", ["[1, 2]", "[]", '["a", {}]', "[oops}", '{"prompt": "a"'])
def test_a_bad_first_line_is_one_bad_row(tmp_path, first):
    _, bad = loaded_rows(tmp_path, f'{first}\n{{"prompt": "b"}}\n'.encode(), "p.jsonl")
    assert list(bad) == [1]


# -- nothing is lost, nothing is allocated by what a file claims -----------------------------------


@pytest.mark.parametrize("ending", [".gz", ".bz2"])
def test_no_damaged_byte_loses_a_row(tmp_path, ending):
    data = "\n".join(f"row {i}" for i in range(600)).encode()
    packed, refused = compress(data, ending), 0
    for at in range(0, len(packed), 7):
        broken = bytearray(packed)
        broken[at] ^= 0xFF
        try:
            planned = written(tmp_path, bytes(broken), f"p.txt{ending}")
        except TextmillError:
            refused += 1
            continue
        assert [text for _, text in rows_of(planned)[0]] == [f"row {i}" for i in range(600)]
    assert refused > len(packed) // 7 * 0.9


def test_a_bz2_is_read_to_its_last_byte(tmp_path):
    streams = [bz2.compress(f"{i}\n".encode() * 1000) for i in range(2)]
    assert written(tmp_path, b"".join(streams), "p.txt.bz2").rows == 2000
    for rest in (b"x" + streams[1][1:], b"rubbish", b"\0", streams[1][:20]):
        with pytest.raises(TextmillError, match=r"cannot read .*p\.txt\.bz2"):
            written(tmp_path, streams[0] + rest, "p.txt.bz2")


def test_numbers_beyond_a_float(tmp_path):
    huge = "1" + "0" * 400
    rows = [f'{{"prompt": "a", "{name}": {huge}}}' for name in rows_module.NUMBERS]
    rows += [f'{{"prompt": "a", "{name}": -{huge}}}' for name in rows_module.NUMBERS]
    rows += [f'{{"prompt": "a", "samples": {huge}, "max_words": 0.5, "temperature": [1, {huge}]}}']
    good, bad = loaded_rows(tmp_path, "\n".join([*rows, '{"prompt": "b"}']).encode(), "p.jsonl")
    assert list(good) == [len(rows) + 1]
    assert all("must be" in reason for reason in bad.values())


def footer(data: bytes, old: int, new: int) -> bytes:
    """Replaces a number of rows in a Parquet footer, wherever it stands."""
    import pyarrow.parquet

    size = int.from_bytes(data[-8:-4], "little")
    meta = data[-8 - size : -8]

    def varint(value):  # zigzag, as Thrift's compact protocol has it
        value, out = value * 2, bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes(out + bytes([value]))

    for at in range(len(meta)):
        if meta.startswith(varint(old), at):
            changed = meta[:at] + varint(new) + meta[at + len(varint(old)) :]
            whole = data[: -8 - size] + changed + len(changed).to_bytes(4, "little") + b"PAR1"
            try:
                if pyarrow.parquet.ParquetFile(io.BytesIO(whole)).metadata.num_rows == new:
                    return whole
            except (pyarrow.ArrowException, OSError):
                continue
    raise AssertionError("no such number")


@pytest.mark.parametrize("told", [10**10, 399, 401, 1])
@pytest.mark.parametrize("extra", [{}, {"samples": 2}])
def test_a_footer_that_tells_other_rows(tmp_path, told, extra):
    import pyarrow.parquet

    out = io.BytesIO()
    table = pyarrow.Table.from_pylist([{"prompt": f"row {i}", **extra} for i in range(400)])
    pyarrow.parquet.write_table(table, out)
    assert written(tmp_path, out.getvalue(), "p.parquet").rows == 400
    with pytest.raises(TextmillError, match=r"p\.parquet"):
        written(tmp_path, footer(out.getvalue(), 400, told), "p.parquet")
    with pytest.raises(TextmillError, match=r"p\.parquet"):
        read_table([str(tmp_path / "p.parquet")], text="prompt")
