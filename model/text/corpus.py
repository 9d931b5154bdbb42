"""Any book, corpus or labelled table as clean paragraphs or lines."""

from __future__ import annotations

import codecs
import csv
import glob
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textmill.model.errors import TextmillError, UsageError

# Byte-order marks. UTF-32's little-endian one starts with UTF-16's, so it is looked at first.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Control characters no text holds in number; tab, newlines and form feed are not among them.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_BINARY_SHARE = 0.01

# A title may run over the line's end, hence the dots across lines, and some markers lack the space.
_START = re.compile(
    r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG.{0,500}?\*\*\*[^\n]*$",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_END = re.compile(r"^\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG", re.IGNORECASE | re.MULTILINE)
# The shape of the 1990s: the header is a licence that ends in this line, and there is no footer.
_SMALL_PRINT = re.compile(r"^\*END\b.{0,3}THE SMALL PRINT!.*\*END\*[ \t]*$", re.MULTILINE)
_END_OF_BOOK = re.compile(r"^[ \t]*End of (?:the |this )?Project Gutenberg", re.I | re.MULTILINE)
_CREDITS = re.compile(
    r"(?:Produced|E-?text prepared|(?:This )?e-?(?:text|book) was (?:produced|prepared|created)"
    r"|Transcribed|Scanned|Prepared|Digitized)\b.{0,80}?\bby\b",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Source:
    """A file the corpus was read from: its name without folders, size in bytes, SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Corpus:
    """Clean text in order.

    Attributes:
        texts: paragraphs (`stream`) or lines (`lines`), without line ends.
        sources: the files.
        labels: one label for each text, or None.
        skipped: rows of a table left out because their text or label was empty.
    """

    texts: list[str]
    sources: tuple[Source, ...]
    labels: list[str] | None = None
    skipped: int = 0


def read_corpus(
    paths: Sequence[str],
    *,
    mode: str,
    encoding: str | None = None,
    unwrap: bool = True,
) -> Corpus:
    """Reads plain text files, one after the other.

    Args:
        paths: files or glob patterns.
        mode: `stream` gives paragraphs, `lines` the lines that are not blank.
        encoding: of the files; None means UTF-8, or what a byte-order mark says.
        unwrap: in `stream` mode, join the lines of a paragraph (paragraphs are parted by blank
            lines); otherwise each line is a paragraph, blank ones too.

    Raises:
        TextmillError: a file is missing, no text or not valid in its encoding, or all are empty.
    """
    texts: list[str] = []
    sources = []
    for path in find_files(paths):
        raw = _read_bytes(path)
        sources.append(_source(path, raw))
        text = strip_gutenberg(clean(decode(raw, path=path, encoding=encoding)))
        if mode == "lines":
            texts += [line.strip() for line in text.split("\n") if line.strip()]
        elif unwrap:
            texts += unwrap_paragraphs(text)
        else:
            # A last line end closes the last line: it does not open another one.
            texts += [line.strip() for line in text.removesuffix("\n").split("\n")]
    _refuse_empty(texts, paths)
    return Corpus(texts, tuple(sources))


def read_table(
    paths: Sequence[str],
    *,
    text: str,
    label: str | None = None,
    encoding: str | None = None,
) -> Corpus:
    """Reads tables of text, with labels or without: .csv, .tsv (no quoting) or .jsonl.

    Args:
        text, label: a column's name (the first row is then the header) or its number from 1
            (then there is no header).

    Raises:
        TextmillError: as `read_corpus`, or a column is missing, with file and line.
    """
    texts, labels, sources, skipped = [], [], [], 0
    for path in find_files(paths):
        raw = _read_bytes(path)
        sources.append(_source(path, raw))
        content = decode(raw, path=path, encoding=encoding)
        for row_text, row_label in table_rows(content, path=path, text=text, label=label or text):
            row_text, row_label = " ".join(clean(row_text).split()), row_label.strip()
            if row_text and row_label:
                texts.append(row_text)
                labels.append(row_label)
            else:
                skipped += 1
    _refuse_empty(texts, paths)
    return Corpus(texts, tuple(sources), None if label is None else labels, skipped)


def built_in_corpus() -> Corpus:
    """The text every Python carries: the topics of its language reference, some 65,000 words."""
    from pydoc_data.topics import topics

    pages = [topics[name] for name in sorted(topics)]
    raw = "\n\n".join(pages).encode()
    source = Source("pydoc_data.topics", len(raw), hashlib.sha256(raw).hexdigest())
    texts: list[str] = []
    seen = set()
    for page in pages:
        for paragraph in unwrap_paragraphs(clean(page)):
            # Topics quote one another; underlines, rules and grammar tables are no sentences.
            words = re.findall(r"[^\W\d_]{2,}", paragraph)
            if paragraph not in seen and len(words) * 12 >= len(paragraph) and len(words) >= 5:
                seen.add(paragraph)
                texts.append(paragraph)
    return Corpus(texts, (source,))


def find_files(patterns: Sequence[str]) -> list[str]:
    """Files for paths and glob patterns, in order, each once.

    Raises:
        TextmillError: something named does not exist, or is a folder.
    """
    found: dict[str, str] = {}  # by absolute path: a file may be named in two ways
    for pattern in patterns:
        if os.path.isdir(pattern):
            raise TextmillError(f"{pattern} is a folder; name its files, such as '{pattern}/*.txt'")
        matches = [pattern]
        if not os.path.exists(pattern):
            matches = sorted(p for p in glob.glob(pattern, recursive=True) if os.path.isfile(p))
        if not matches and glob.has_magic(pattern):
            raise TextmillError(f"no file matches '{pattern}'; check the pattern and the folder")
        if not matches:
            raise TextmillError(f"there is no file '{pattern}'; check the path")
        for match in matches:
            found.setdefault(os.path.abspath(match), match)
    return list(found.values())


def decode(raw: bytes, *, path: str, encoding: str | None = None) -> str:
    """Bytes as text: UTF-8 with or without BOM, UTF-16/32 with BOM, or `encoding`.

    Raises:
        TextmillError: the bytes are not valid in that encoding (with the offset), or no text.
        UsageError: there is no encoding of that name.
    """
    if encoding is None:
        used = next((name for bom, name in _BOMS if raw.startswith(bom)), None)
        if used is None:
            used = "utf-8"
            _refuse_binary(raw[: 1 << 20].decode("latin-1"), path)
    else:
        used = encoding
    try:
        text = raw.decode(used)
    except LookupError:
        raise UsageError(
            f"--encoding: there is no text encoding '{encoding}'; try utf-8, latin-1 or cp1252"
        ) from None
    except UnicodeError as error:
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise TextmillError(
            f"{path} is not valid {used}{where}; say what it is with --encoding, such as "
            "--encoding latin-1"
        ) from None
    _refuse_binary(text, path)
    return text


def clean(text: str) -> str:
    """One kind of line end, pages as paragraphs, no NUL, BOM or zero-width space.

    The joiners U+200C and U+200D stay: Persian, Indic scripts and emoji are written with them.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    text = re.sub("[\f\u2029]", "\n\n", text)
    return re.sub("[\x00\ufeff\u200b]", "", text).replace("\v", "\n").replace("\x85", "\n")


def strip_gutenberg(text: str) -> str:
    """The book without Project Gutenberg's header, licence and credits; other text as it is."""
    end = _END.search(text)
    if end is None:
        return _strip_book(text)
    book, rest = _strip_book(text[: end.start()], ended=True), text[end.end() :]
    if _START.search(rest):  # several books in one file
        return f"{book}\n\n{strip_gutenberg(rest)}"
    return book


def _strip_book(text: str, *, ended: bool = False) -> str:
    """A book without what stands before it, and without its closing line."""
    # The licence of the 1990s may follow the START marker or stand in its place.
    starts = [match.end() for match in [_START.search(text)] if match]
    starts += [match.end() for match in _SMALL_PRINT.finditer(text)]
    if not starts and not ended:
        return text
    body = text[max(starts, default=0) :]
    closing = _END_OF_BOOK.search(body, max(0, len(body) - 1000))
    if closing:
        body = body[: closing.start()]
    return _drop_credits(body)


def _drop_credits(body: str) -> str:
    rest = body.lstrip()
    for _ in range(3):
        paragraph, parted, after = rest.partition("\n\n")
        if not parted or not _CREDITS.match(paragraph):
            break
        rest = after.lstrip()
    return rest


def unwrap_paragraphs(text: str) -> list[str]:
    """Paragraphs, parted by blank lines, each on one line with single spaces."""
    paragraphs = (" ".join(block.split()) for block in re.split(r"\n[ \t]*\n", text))
    return [paragraph for paragraph in paragraphs if paragraph]


def table_rows(content: str, *, path: str, text: str, label: str) -> Iterator[tuple[str, str]]:
    if path.endswith((".jsonl", ".ndjson")):
        yield from _json_rows(content, path=path, text=text, label=label)
        return
    if path.endswith(".csv"):
        reader = csv.reader(io.StringIO(content, newline=""))
    elif path.endswith((".tsv", ".tab")):
        reader = csv.reader(
            io.StringIO(content, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE
        )
    else:
        raise TextmillError(f"{path} is no table of a known kind; use .csv, .tsv or .jsonl")
    columns: list[int] | None = None
    if text.isdecimal() and label.isdecimal():
        columns = [int(text) - 1, int(label) - 1]
        if min(columns) < 0:
            raise UsageError("columns are counted from 1. Received: 0")
    try:
        for row in reader:
            if not row:
                continue
            if columns is None:
                columns = [_column(row, name, path) for name in (text, label)]
                continue
            if len(row) <= max(columns):
                raise TextmillError(
                    f"{path}:{reader.line_num} has {len(row)} columns, needs {max(columns) + 1}"
                )
            yield row[columns[0]], row[columns[1]]
    except csv.Error as error:
        raise TextmillError(f"{path}:{reader.line_num} is not valid csv: {error}") from None


def _column(header: list[str], name: str, path: str) -> int:
    if name not in header:
        raise TextmillError(
            f"{path} has no column '{name}'. Columns: {', '.join(header)[:200]}. A file without "
            "a header takes numbers: --text 2 --labels 1"
        )
    return header.index(name)


def _json_rows(content: str, *, path: str, text: str, label: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TextmillError(f"{path}:{number} is not valid JSON: {error}") from None
        if not isinstance(row, dict) or text not in row or label not in row:
            raise TextmillError(f"{path}:{number} has no fields '{text}' and '{label}'")
        yield _cell(row[text]), _cell(row[label])


def _cell(value: object) -> str:
    """A JSON value as text: nothing for null, half a surrogate pair replaced."""
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


def _read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise TextmillError(f"cannot read {path}: {error.strerror}") from None


def _source(path: str, raw: bytes) -> Source:
    return Source(os.path.basename(path), len(raw), hashlib.sha256(raw).hexdigest())


def _refuse_binary(text: str, path: str) -> None:
    controls = len(_CONTROL.findall(text))
    if controls > _BINARY_SHARE * len(text) + 1:
        raise TextmillError(
            f"{path} looks like a binary file ({controls / len(text):.0%} control characters); "
            "give a plain text, or its --encoding if it is one (such as utf-16-le)"
        )


def _refuse_empty(texts: list[str], paths: Sequence[str]) -> None:
    if not any(texts):
        raise TextmillError(f"the corpus is empty: no text in {', '.join(paths)}")
