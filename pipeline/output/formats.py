"""The formats of output files: rows to bytes and back.

Equal rows give equal bytes, because a file holds no time, host or anything else that varies.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from textmill.model.errors import SettingError, TextmillError
from textmill.model.settings import check_choice
from textmill.pipeline.output.columns import Column, as_json

Row = dict[str, Any]


def json_lines(rows: Iterable[Row]) -> bytes:
    """Writes rows as JSON Lines; half a surrogate pair becomes a question mark."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return text.encode("utf-8", "replace")


def json_page(value: Any) -> bytes:
    """Writes JSON for people to read; half a surrogate pair becomes a question mark."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


ENDINGS = {
    "jsonl": ".jsonl",
    "csv": ".csv",
    "parquet": ".parquet",
    "tfrecord": ".tfrecord",
    "text": ".txt",
}
_COMPRESSIONS = {"none": "", "gzip": ".gz", "zstd": ".zst"}
FORMATS, COMPRESSIONS = tuple(ENDINGS), tuple(_COMPRESSIONS)


@dataclass(frozen=True, kw_only=True)
class Format:
    """How rows are written.

    Attributes:
        name: one of `FORMATS`.
        compression: one of `COMPRESSIONS`. In Parquet it compresses the pages, otherwise the whole
            file. None means zstd for Parquet and `none` for the others.
    """

    name: str = "jsonl"
    compression: str | None = None

    def __post_init__(self) -> None:
        check_choice("format", self.name, FORMATS)
        if self.compression is None:
            default = "zstd" if self.name == "parquet" else "none"
            object.__setattr__(self, "compression", default)
        allowed = COMPRESSIONS if self.name != "tfrecord" else ("none", "gzip")
        if self.compression not in allowed:
            raise SettingError(
                "compression", f"one of {', '.join(allowed)} for {self.name}", self.compression
            )

    @property
    def ending(self) -> str:
        """The ending of file names."""
        packed = "" if self.name == "parquet" else _COMPRESSIONS[str(self.compression)]
        return ENDINGS[self.name] + packed

    def encode(self, rows: Sequence[Row], columns: Sequence[Column]) -> bytes:
        """Writes rows as the bytes of a file.

        Args:
            rows: each row has a value or None for every column.
            columns: the columns, in order.
        """
        if self.name == "parquet":
            return _parquet(rows, columns, str(self.compression))
        data = _ENCODE[self.name](rows, columns)
        if self.compression == "gzip":
            return gzip.compress(data, mtime=0)
        if self.compression == "zstd":
            import pyarrow

            codec = pyarrow.Codec("zstd")
            return codec.compress(data, asbytes=True)
        return data

    def decode(self, data: bytes, columns: Sequence[Column]) -> list[Row]:
        """Reads the rows of a file.

        Numbers of a TFRecord are float32; text files give rows of one field, `text`.

        Raises:
            TextmillError: the bytes do not have this format.
        """
        try:
            if self.name == "parquet":
                return _from_parquet(data, columns)
            return _DECODE[self.name](self._unpacked(data), columns)
        except _DAMAGE as error:
            reason = str(error).split("\n")[0]
            raise TextmillError(f"not readable as {self.name}: {reason}") from None

    def _unpacked(self, data: bytes) -> bytes:
        if self.compression == "gzip":
            return gzip.decompress(data)
        if self.compression == "zstd":
            import pyarrow

            return pyarrow.CompressedInputStream(pyarrow.BufferReader(data), "zstd").read()
        return data


_DAMAGE = (
    ValueError, TypeError, KeyError, OSError, EOFError, RecursionError, zlib.error, csv.Error,
)  # fmt: skip


# -- JSON Lines ------------------------------------------------------------------------------------


def _jsonl(rows: Sequence[Row], columns: Sequence[Column]) -> bytes:
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return "".join(lines).encode()


def _from_jsonl(data: bytes, columns: Sequence[Column]) -> list[Row]:
    rows = [json.loads(line) for line in data.split(b"\n")[:-1]]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is not a JSON object")
    return rows


# -- CSV (RFC 4180) --------------------------------------------------------------------------------


def _csv(rows: Sequence[Row], columns: Sequence[Column]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([column.name for column in columns])
    writer.writerows([_cell(row[column.name], column.kind) for column in columns] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return ""
    if kind == "json":
        return as_json(value)
    if kind == "bool":
        return "true" if value else "false"
    return value


def _from_csv(data: bytes, columns: Sequence[Column]) -> list[Row]:
    csv.field_size_limit(2**31 - 1)
    table = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    if next(table, None) != [column.name for column in columns]:
        raise ValueError("the header is not that of the run")
    return [
        {
            column.name: _value(cell, column.kind)
            for column, cell in zip(columns, cells, strict=True)
        }
        for cells in table
    ]


def _value(cell: str, kind: str) -> Any:
    if kind == "text":
        return cell
    if cell == "":
        return None
    if kind == "bool":
        return {"true": True, "false": False}[cell]
    parse: dict[str, Callable[[str], Any]] = {"int": int, "float": float, "json": json.loads}
    return parse[kind](cell)


# -- Parquet ---------------------------------------------------------------------------------------


def _arrow_schema(columns: Sequence[Column]) -> Any:
    import pyarrow

    types = {
        "text": pyarrow.string(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "json": pyarrow.string(),
    }
    return pyarrow.schema([(column.name, types[column.kind]) for column in columns])


def _parquet(rows: Sequence[Row], columns: Sequence[Column], compression: str) -> bytes:
    import pyarrow.parquet

    flat = [
        {column.name: _flat(row[column.name], column.kind) for column in columns} for row in rows
    ]
    table = pyarrow.Table.from_pylist(flat, schema=_arrow_schema(columns))
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, compression=compression)
    return sink.getvalue().to_pybytes()


def _flat(value: Any, kind: str) -> Any:
    return as_json(value) if kind == "json" and value is not None else value


def _from_parquet(data: bytes, columns: Sequence[Column]) -> list[Row]:
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except pyarrow.ArrowException as error:
        raise ValueError(error) from None
    if table.schema.remove_metadata() != _arrow_schema(columns):
        raise ValueError("the schema is not that of the run")
    rows = table.to_pylist()
    for name in (column.name for column in columns if column.kind == "json"):
        for row in rows:
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


# -- TFRecord: TensorFlow's own writer and reader, which work on named files -----------------------


def _tfrecord(rows: Sequence[Row], columns: Sequence[Column]) -> bytes:
    import tensorflow as tf

    with tempfile.NamedTemporaryFile(prefix="textmill-") as scratch:
        with tf.io.TFRecordWriter(scratch.name) as writer:
            for row in rows:
                features = {
                    column.name: _feature(tf.train, row[column.name], column.kind)
                    for column in columns
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString(deterministic=True))
        return scratch.read()


def _feature(train: Any, value: Any, kind: str) -> Any:
    values = [] if value is None else [value]
    if kind in ("int", "bool"):
        return train.Feature(int64_list=train.Int64List(value=map(int, values)))
    if kind == "float":
        return train.Feature(float_list=train.FloatList(value=values))
    texts = (as_json(v) if kind == "json" else v for v in values)
    return train.Feature(bytes_list=train.BytesList(value=[text.encode() for text in texts]))


def _from_tfrecord(data: bytes, columns: Sequence[Column]) -> list[Row]:
    from textmill.model.tensorflow_setup import load_tensorflow

    load_tensorflow()
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    with tempfile.NamedTemporaryFile(prefix="textmill-") as scratch:
        scratch.write(data)
        scratch.flush()
        try:
            raw = [record.numpy() for record in tf.data.TFRecordDataset(scratch.name)]
        except tf.errors.OpError as error:
            raise ValueError(error.message) from None
    try:
        return [_from_example(tf.train.Example.FromString(one), columns) for one in raw]
    except DecodeError as error:
        raise ValueError(error) from None


def _from_example(example: Any, columns: Sequence[Column]) -> Row:
    row: Row = {}
    lists = {"int": "int64_list", "bool": "int64_list", "float": "float_list"}
    parse: dict[str, Callable[[Any], Any]] = {
        "text": bytes.decode, "json": json.loads, "int": int, "float": float, "bool": bool,
    }  # fmt: skip
    for column in columns:
        feature = example.features.feature[column.name]
        values = getattr(feature, lists.get(column.kind, "bytes_list")).value
        row[column.name] = parse[column.kind](values[0]) if values else None
    return row


# -- text: a line for each row ---------------------------------------------------------------------

# Characters that Unicode or readers of text files take for a line end, and the backslash.
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"} | {
    mark: f"\\u{ord(mark):04x}" for mark in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
}


def _text(rows: Sequence[Row], columns: Sequence[Column]) -> bytes:
    """Writes the texts; for rejected rows, which have none, all fields with tabs between."""
    names = [column.name for column in columns]
    shown = ["text"] if "text" in names else names
    escapes = str.maketrans(_ESCAPES)
    lines = ("\t".join(str(row[name]).translate(escapes) for name in shown) + "\n" for row in rows)
    return "".join(lines).encode()


def _from_text(data: bytes, columns: Sequence[Column]) -> list[Row]:
    names = [column.name for column in columns]
    shown = ["text"] if "text" in names else names
    return [
        dict(zip(shown, map(_unescaped, line.split("\t")), strict=True))
        for line in data.decode().split("\n")[:-1]
    ]


def _unescaped(text: str) -> str:
    import re

    marks = {written: mark for mark, written in _ESCAPES.items()}
    return re.sub(r"\\(?:u[0-9a-f]{4}|.)", lambda match: marks[match.group()], text)


_ENCODE = {"jsonl": _jsonl, "csv": _csv, "tfrecord": _tfrecord, "text": _text}
_DECODE = {
    "jsonl": _from_jsonl,
    "csv": _from_csv,
    "tfrecord": _from_tfrecord,
    "text": _from_text,
}
