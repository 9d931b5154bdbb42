"""Prompt files of every format, compression and encoding; what was written has to come back."""

from __future__ import annotations

import bz2
import contextlib
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import Kind
from guard import Broken, refused
from mutate import ODD, json_bytes, mutated, mutated_json, write_text

from textmill.model.errors import TextmillError
from textmill.model.settings import GenerationSettings
from textmill.pipeline.prompts import planning, reading
from textmill.pipeline.prompts.planning import plan, read_shard
from textmill.pipeline.prompts.reading import MOST_BYTES, InputSettings
from textmill.pipeline.prompts.rows import _BLANK, reason_class

SETTINGS = GenerationSettings(max_words=10)
# Rows as they come back: id and text of a prompt, or the reason why the row is rejected.
Found = dict[tuple[str, int], tuple[str, str] | str]


@dataclass
class Row:
    """A row as it is written.

    Attributes:
        text: its prompt. id: its own id, if it has one.
        more: other fields.
        bad: whether it has to be rejected. open: whether both are right.
    """

    text: str
    id: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    bad: bool = False
    open: bool = False


@dataclass
class Case:
    """A prompt file.

    Attributes:
        path: the file. reading: how it is read.
        rows: what has to come of it; None if that is not known.
        sure: whether it has to be read; otherwise it may be refused as a whole.
        original: the packed bytes before they were damaged; None if they were not.
        limits: small limits, so that a small file crosses them.
    """

    path: Path
    reading: InputSettings
    rows: list[Row] | None
    sure: bool
    original: bytes | None
    limits: tuple[int, int, int]


# -- rows ------------------------------------------------------------------------------------------


def _row(random: Random) -> Row:
    text = write_text(random)
    if random.random() < 0.01:
        text = "y" * (MOST_BYTES + random.choice((-1, 0, 1, 5000)))
    row = Row(text)
    if random.random() < 0.3:
        row.id = write_text(random, 8) or "i"
    if random.random() < 0.3:
        row.more["note"] = write_text(random, 12)
    return row


def _judge(row: Row) -> None:
    """Says whether a row has to be rejected."""
    size = len(row.text.encode())
    row.bad = row.bad or not row.text.strip(_BLANK) or size > MOST_BYTES
    row.open = row.open or (size > MOST_BYTES - 200 and size <= MOST_BYTES)
    if row.id is not None and not 0 < len(row.id) <= 500:
        row.bad = True


def _as_text(random: Random, rows: list[Row]) -> str:
    for row in rows:
        row.text, row.id, row.more = row.text.replace("\n", " "), None, {}
    if random.random() < 0.2:
        text, end = "\r\n".join(row.text for row in rows), random.choice(("", "\r\n"))
    else:
        text, end = "\n".join(row.text for row in rows), random.choice(("", "\n"))
        for row in rows if end else rows[:-1]:
            row.text = row.text.removesuffix("\r")
    if not end:
        if rows[-1].text == "":
            rows.pop()
        else:
            rows[-1].text = rows[-1].text.removesuffix("\r")
    return text + end


def _as_jsonl(random: Random, rows: list[Row]) -> str:
    lines = []
    for row in rows:
        value = {"prompt": row.text, **row.more}
        if row.id is not None:
            value["id"] = row.id
        if random.random() < 0.1:
            value["samples"] = random.choice((1, 3))
        lines.append(json.dumps(value, ensure_ascii=random.random() < 0.5))
        # A long line is rejected whatever it holds.
        row.open = len(lines[-1].encode()) > MOST_BYTES and len(row.text.encode()) <= MOST_BYTES
        if random.random() < 0.05:
            lines[-1] = random.choice(("[]", "{", "1", "", '{"text": "a"}', "{}", '{"prompt": 3}'))
            row.bad = True
    # These would be no file of rows: one object over several lines, or no prompt in any object.
    if lines[0] == "{":
        lines[0] = "1"
    if '{"prompt"' not in "".join(lines):
        lines = ["1" if line == '{"text": "a"}' or line == "{}" else line for line in lines]
    end = random.choice(("\n", "\r\n", ""))
    if not end and not lines[-1]:
        end = "\n"
    return (end or "\n").join(lines) + end


def _columns(random: Random, rows: list[Row]) -> list[str]:
    columns = ["prompt"]
    if random.random() < 0.5:
        columns.append("id")
    if random.random() < 0.5:
        columns.append("note")
    random.shuffle(columns)
    for row in rows:
        if "id" not in columns or (row.id is not None and not row.id.strip()):
            row.id = None
        row.more = {"note": row.more.get("note", "")} if "note" in columns else {}
    return columns


def _cells(row: Row, columns: list[str]) -> list[str]:
    return [{"prompt": row.text, "id": row.id or "", **row.more}[name] for name in columns]


def _as_csv(random: Random, rows: list[Row], delimiter: str) -> str:
    columns = _columns(random, rows)
    out = io.StringIO(newline="")
    how = {"delimiter": delimiter, "lineterminator": random.choice(("\r\n", "\n"))}
    how["quoting"] = random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.writer(out, **how)
    writer.writerow(columns)
    for row in rows:
        before = out.tell()
        writer.writerow(_cells(row, columns))
        written = out.getvalue()[before:]
        row.open = len(written.encode()) > MOST_BYTES and len(row.text.encode()) <= MOST_BYTES
        # Python's writer leaves a lone \r without quotes, where its reader ends a record.
        cells = written.removesuffix(how["lineterminator"])
        row.open |= how["quoting"] == csv.QUOTE_MINIMAL and "\r" in cells
        if not cells.strip("\r"):
            rows.clear()  # a blank line is no row
            break
        if len(written.encode()) > MOST_BYTES and "\n" in written.rstrip("\r\n"):
            rows.clear()  # such a record is no row, and each of its lines may be one
            break
    return out.getvalue()


def _as_tsv(random: Random, rows: list[Row]) -> str:
    columns = _columns(random, rows)
    lines = ["\t".join(columns)]
    for row in list(rows):
        cells = [cell.translate({9: " ", 10: " ", 13: " "}) for cell in _cells(row, columns)]
        row.text = cells[columns.index("prompt")]
        if "id" in columns:
            row.id = cells[columns.index("id")]
            row.id = row.id if row.id.strip() else None
        lines.append("\t".join(cells))
        if not lines[-1]:  # a blank line is no row
            rows.remove(row)
        row.open = len(lines[-1].encode()) > MOST_BYTES and len(row.text.encode()) <= MOST_BYTES
    return "\n".join(lines) + random.choice(("\n", ""))


def _parquet(random: Random, rows: list[Row]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    columns: dict[str, Any] = {}
    kind = random.choice((pyarrow.string(), pyarrow.large_string(), pyarrow.binary()))
    columns["prompt"] = pyarrow.array([row.text.encode() if kind == pyarrow.binary() else row.text
                                       for row in rows], kind)  # fmt: skip
    if kind == pyarrow.string() and random.random() < 0.3:
        columns["prompt"] = columns["prompt"].dictionary_encode()
    if random.random() < 0.5:
        columns["id"] = pyarrow.array([row.id for row in rows], pyarrow.string())
    else:
        for row in rows:
            row.id = None
    if random.random() < 0.3:
        columns["list"] = pyarrow.array([[1, None]] * len(rows))
    if random.random() < 0.3:
        columns["samples"] = pyarrow.array([random.choice((1, 2, None)) for _ in rows],
                                           pyarrow.int64())  # fmt: skip
    out = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table(columns), out, row_group_size=random.choice((1, 3, 1000)),
        compression=random.choice(("none", "snappy", "gzip", "zstd")),
    )  # fmt: skip
    return out.getvalue()


# -- files -----------------------------------------------------------------------------------------


def packed(random: Random, data: bytes, ending: str) -> bytes:
    """Compresses bytes, now and then in two parts, one after the other."""
    import zstandard

    cut = random.randint(0, len(data)) if random.random() < 0.4 else len(data)
    parts = [data[:cut], data[cut:]] if cut < len(data) else [data]
    checksum = random.random() < 0.5
    make: dict[str, Callable[[bytes], bytes]] = {
        ".gz": lambda part: gzip.compress(part, mtime=0),
        ".bz2": bz2.compress,
        ".zst": zstandard.ZstdCompressor(write_checksum=checksum).compress,
        "": lambda part: part,
    }
    return b"".join(map(make[ending], parts))


def _unpacked_strictly(data: bytes, ending: str) -> bytes | None:
    """The content of a .gz or .bz2 of which every byte belongs to a whole part; None otherwise."""
    out = []
    while data:
        part = zlib.decompressobj(31) if ending == ".gz" else bz2.BZ2Decompressor()
        try:
            out.append(part.decompress(data))
        except (zlib.error, OSError, ValueError):
            return None
        if not part.eof:
            return None
        data = part.unused_data
    return b"".join(out)


_TAKES_ENCODING = "encoding" in {f.name for f in fields(InputSettings)}


class Prompts(Kind):
    """Prompt files."""

    name = "prompts"

    def make(self, random: Random, folder: Path) -> Case:
        rows = [_row(random) for _ in range(random.choice((1, 2, 5, 20, 60)))]
        form = random.choice(("txt", "jsonl", "csv", "tsv", "parquet"))
        ending = "" if form == "parquet" else random.choice(("", "", ".gz", ".bz2", ".zst"))
        how: dict[str, Any] = {"delimiter": random.choice(",,,;|\t")}
        data, sure = _content(random, rows, form, how)
        whole = True
        damage = random.random()
        if damage < 0.3:
            if form == "jsonl" and random.random() < 0.5:
                data = _odd_lines(random)
            else:
                data = mutated(random, data)
            whole = False
        data = packed(random, data, ending)
        original = None
        if ending and 0.3 <= damage < 0.6:
            original, data = data, mutated(random, data)
        elif form == "parquet" and damage < 0.02:
            data = _footer(random, data)
        path = folder / f"p.{form}{ending}"
        path.write_bytes(data)
        limits = (random.choice((1, 3, 64)), random.choice((1, 20, 200)), random.choice((7, 512)))
        known = rows if whole and original is None else None
        return Case(
            path, InputSettings(**how), known or None, sure and bool(rows), original, limits
        )

    def case(self, random: Random, folder: Path, rows: list[Row], form: str) -> Case:
        """A file of certain rows that nothing is done to, in UTF-8."""
        how: dict[str, Any] = {"delimiter": random.choice(",,,;|\t")}
        data, sure = _content(random, rows, form, how, encodings=("utf-8",))
        path = folder / f"p.{form}"
        path.write_bytes(data)
        return Case(path, InputSettings(**how), rows or None, sure and bool(rows), None, (3, 20, 7))

    def check(self, case: Case) -> str:
        try:
            found = _read(case.path, case.reading)
        except TextmillError as error:
            if case.rows is not None and case.sure:
                raise Broken(f"a whole file was refused | {error}") from error
            refused(error)
            with _small_limits(*case.limits):
                _refused_too(case)
            return "refused"
        with _small_limits(*case.limits):
            try:
                again = _read(case.path, case.reading)
            except TextmillError as error:
                raise Broken(f"read in few shards, refused in many | {error}") from error
        if again != found:
            raise Broken(f"many shards give other rows | {_difference(again, found)}")
        if case.rows is not None:
            _compare(case, found)
            return "came back"
        if case.original is not None and case.path.suffix in (".gz", ".bz2"):
            _compare_packed(case, found)
            return "whole all the same"
        return "read"


_ENCODINGS = ("utf-8",) * 6 + ("utf-8-sig", "utf-16", "latin-1", "cp1251")


def _content(
    random: Random,
    rows: list[Row],
    form: str,
    how: dict[str, Any],
    encodings: Sequence[str] = _ENCODINGS,
) -> tuple[bytes, bool]:
    """Writes rows into a file of a form; tells whether it has to be read. Changes the rows to
    what then has to come back."""
    if form == "parquet":
        data, sure = _parquet(random, rows), True
    else:
        make: dict[str, Callable[[], str]] = {
            "txt": lambda: _as_text(random, rows),
            "jsonl": lambda: _as_jsonl(random, rows),
            "csv": lambda: _as_csv(random, rows, how["delimiter"]),
            "tsv": lambda: _as_tsv(random, rows),
        }
        text = make[form]()
        data, sure = _encoded(text, rows, how, random.choice(encodings), random)
    for row in rows:
        _judge(row)
    if rows and rows[0].text.startswith("\ufeff"):
        rows[0].open = True  # a mark of the order of bytes, or the text's own
    return data, sure


def _encoded(
    text: str, rows: list[Row], how: dict[str, Any], encoding: str, random: Random
) -> tuple[bytes, bool]:
    """Encodes a file; tells whether it has to be read."""
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        encoding, data = "utf-8", text.encode()
    if encoding in ("latin-1", "cp1251"):
        if _TAKES_ENCODING and random.random() < 0.5:
            how["encoding"] = encoding
            return data, True
        for row in rows:  # bytes that are no UTF-8 lose their row, and no other
            row.open = (
                row.open or not "".join([row.text, row.id or "", *row.more.values()]).isascii()
            )
    return data, encoding != "utf-16"


def _odd_lines(random: Random) -> bytes:
    """JSON Lines of which fields are odd."""
    lines = []
    for _ in range(random.randint(1, 12)):
        value = {
            "prompt": write_text(random), "id": "x", "samples": 2, "temperature": [0.5, 1],
            "top_k": 3, "top_p": 0.5, "min_p": 0.1, "min_words": 1, "max_words": 5, "stop": ["a"],
            "label": "x", "more": {"k": [1, None]},
        }  # fmt: skip
        kept = random.sample(sorted(value), random.randint(1, 5))
        some = {name: value[name] for name in (*kept, "prompt")}
        lines.append(json_bytes(mutated_json(random, some, odd=ODD)))
    return b"\n".join(lines) + b"\n"


def _footer(random: Random, data: bytes) -> bytes:
    """A Parquet file whose footer is damaged, where it says what is where."""
    size = int.from_bytes(data[-8:-4], "little")
    start = len(data) - 8 - size
    footer = mutated(random, data[start:-8])
    return data[:start] + footer + len(footer).to_bytes(4, "little") + data[-4:]


# -- what has to hold ------------------------------------------------------------------------------


@contextlib.contextmanager
def _small_limits(marks: int, words: int, block: int) -> Iterator[None]:
    """Small limits make a small file cross them all."""
    places = [
        (planning, "MOST_MARKS", marks), (planning, "LEAST_MARKS", 1),
        (planning, "_LEAST_WORDS", words), (reading, "BLOCK", block),
    ]  # fmt: skip
    before = [getattr(module, name) for module, name, _ in places]
    try:
        for module, name, value in places:
            setattr(module, name, value)
        yield
    finally:
        for (module, name, _), value in zip(places, before, strict=True):
            setattr(module, name, value)


def _read(path: Path, how: InputSettings) -> Found:
    """Plans a file and reads all its shards, whose rows have to add up."""
    planned = plan([str(path)], SETTINGS, how)
    found: Found = {}
    for shard in planned.shards:
        loaded = read_shard(shard, SETTINGS, how)
        for prompt, place in zip(loaded.prompts, loaded.places, strict=True):
            _add(found, place, (prompt.id, prompt.text))
        for row in loaded.rejected:
            if not row.reason or "\n" in row.reason:
                raise Broken(f"a reason of several lines, or of none: {row.reason!r}")
            _add(found, (row.file, row.line), row.reason)
    if [line for _, line in sorted(found)] != list(range(1, planned.rows + 1)):
        raise Broken(f"{planned.rows} rows were planned, {len(found)} were read | {sorted(found)}")
    return found


def _add(found: Found, place: tuple[str, int], what: tuple[str, str] | str) -> None:
    if place in found:
        raise Broken(f"a row was read twice | {place}")
    found[place] = what


def _refused_too(case: Case) -> None:
    """What is refused in few shards is refused in many."""
    try:
        _read(case.path, case.reading)
    except Exception as error:
        refused(error)
        return
    raise Broken("refused in few shards, read in many")


def _difference(one: Found, other: Found) -> str:
    differ = [at for at in sorted({*one, *other}) if one.get(at) != other.get(at)]
    shown = [(at, one.get(at), other.get(at)) for at in differ[:2]]
    return f"{len(differ)}, such as {shown!r:.400}"


def _compare(case: Case, found: Found) -> None:
    """What was written came back: texts, ids and places."""
    assert case.rows is not None
    if len(found) != len(case.rows):
        raise Broken(f"{len(found)} rows came back of {len(case.rows)}")
    for number, row in enumerate(case.rows, start=1):
        what = found[case.path.name, number]
        wanted = (row.id if row.id is not None else f"{case.path.name}:{number}", row.text)
        if isinstance(what, str):
            if not row.bad and not row.open:
                raise Broken(
                    f"a row was rejected: {reason_class(what)} | {number} {what} {row!r:.200}"
                )
        elif row.bad and not row.open:
            raise Broken(f"a row was not rejected | {number} {row!r:.200}")
        elif what != wanted and not row.open:
            raise Broken(f"a row came back changed | {what!r:.200}, was {wanted!r:.200}")


def _compare_packed(case: Case, found: Found) -> None:
    """A damaged .gz or .bz2 that is read gives the rows that were packed, never fewer."""
    assert case.original is not None
    ending = case.path.suffix
    content = _unpacked_strictly(case.path.read_bytes(), ending)
    if content is None:  # such as zeros after the end, which harm nothing
        content = _unpacked_strictly(case.original, ending)
    assert content is not None
    beside = case.path.parent / "plain" / case.path.with_suffix("").name
    beside.parent.mkdir(exist_ok=True)
    beside.write_bytes(content)
    plain = {(f"{name}{ending}", line): what if isinstance(what, str) else
             (what[0].replace(f"{name}:", f"{name}{ending}:"), what[1])
             for (name, line), what in _read(beside, case.reading).items()}  # fmt: skip
    if len(plain) > len(found):
        raise Broken(f"{len(found)} rows instead of {len(plain)} came out of a damaged {ending}")
    if plain != found:
        raise Broken(f"a damaged {ending} gives other rows | {_difference(found, plain)}")
