"""Damaged prompt files lose no row, and what they claim allocates nothing."""

from __future__ import annotations

import bz2
import io

import pytest
from prompt_files import compress, loaded_rows, rows_of, written

from textmill.model.errors import TextmillError
from textmill.model.text.corpus import read_table
from textmill.pipeline.prompts import rows as rows_module


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
