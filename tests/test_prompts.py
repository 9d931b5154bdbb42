"""Prompt files: every row in one shard, as a prompt or with a reason."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import TextmillError
from model.settings import GenerationSettings
from pipeline import prompts
from pipeline.prompts import MOST_BYTES, plan, read_shard

SETTINGS = GenerationSettings(max_words=10)


def rows_of(planned):
    loaded = [read_shard(shard) for shard in planned.shards]
    good = [(p.id, p.text) for shard in loaded for p in shard.prompts]
    bad = [(r.file, r.line, r.reason, r.raw) for shard in loaded for r in shard.rejected]
    return good, bad


def written(tmp_path, content: bytes, name="p.txt", **wanted):
    (tmp_path / name).write_bytes(content)
    return plan([str(tmp_path / name)], GenerationSettings(**{"max_words": 10, **wanted}))


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
        (3, "not valid UTF-8 at byte 4"),
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
    names = ("_MOST_MARKS", "_LEAST_MARKS", "_BLOCK", "_LEAST_WORDS")
    before = [getattr(prompts, name) for name in names]
    # Small limits make a small file cross them all.
    for name, value in zip(names, (marks, 1, 7, 1), strict=True):
        setattr(prompts, name, value)
    try:
        planned = plan([str(folder / "p.txt")], GenerationSettings(max_words=max_words))
        good, bad = rows_of(planned)
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(prompts, name, value)
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
        (1_000_000, {"max_words": 12, "samples": 5}, 300),
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
