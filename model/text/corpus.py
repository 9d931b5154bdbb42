"""Reads any book, corpus or labelled table as clean paragraphs or lines."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textmill.model.errors import SettingError, TextmillError, UsageError
from textmill.model.settings import AUTO, sequence
from textmill.model.small_files import check_regular
from textmill.model.text.decoding import clean, decode
from textmill.model.text.gutenberg import strip_gutenberg
from textmill.model.text.labelled_tables import read_cells, refuse_tables, table_ending

if TYPE_CHECKING:
    import numpy as np

# As labels: those of fastText's files, `__label__sport the text`, one or several on each line.
FASTTEXT = "fasttext"
_LABEL = "__label__"


@dataclass(frozen=True)
class Source:
    """A file that the corpus was read from: its name without folders, size in bytes, SHA-256."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Corpus:
    """The clean texts of a corpus, in order.

    Attributes:
        texts: paragraphs (`stream`) or lines (`lines`), without line ends.
        sources: the files that were read.
        labels: one label for each text, or None.
        skipped: number of table rows left out because a cell was empty.
        notes: what the user should know of the files, a line each.
        numbers: the numbers of each text's row, float32 [texts, F], or None.
        sources_of_texts: what each text was written from, or None.
    """

    texts: list[str]
    sources: tuple[Source, ...]
    labels: list[str] | None = None
    skipped: int = 0
    notes: tuple[str, ...] = ()
    numbers: np.ndarray | None = None
    sources_of_texts: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """Where the text comes from and how it is read.

    Attributes:
        paths: files or glob patterns, or one of them; none means the built-in text.
        mode: `stream` or `lines`; `auto` means `lines` for tables and `stream` for plain text.
        encoding: encoding of the files; None means UTF-8, or what a byte-order mark says.
        unwrap: whether the lines of a paragraph are joined (`stream` mode).
        text: the column of a table that holds the texts, by name or by number. None means plain
            text, or the column `text` if `labels` is given.
        labels: the column of a table that holds the labels; `fasttext` for files of fastText; None
            means no labels.
        context: the columns of a table that hold the numbers of each row: one with lists of equal
            length, or several with a number each; none for no numbers.
        source: the column of a table that holds the sources of its texts; None for no sources.

    Raises:
        UsageError: a table is given without a column, or in `stream` mode, or a column is named for
            two purposes.
    """

    paths: tuple[str, ...] = ()
    mode: str = AUTO
    encoding: str | None = None
    unwrap: bool = True
    text: str | None = None
    labels: str | None = None
    context: tuple[str, ...] = ()
    source: str | None = None

    def __post_init__(self) -> None:
        context = sequence("context", self.context, "names of columns")
        object.__setattr__(self, "context", context)
        paths = [self.paths] if isinstance(self.paths, str | os.PathLike) else self.paths
        object.__setattr__(self, "paths", tuple(map(os.fspath, paths)))
        columns = self.context or self.source is not None
        columns = columns or (self.labels is not None and not self._is_fasttext)
        if self.text is None and columns:
            object.__setattr__(self, "text", "text")
        named = [self.text, self.labels, self.source, *context]
        for field, names in (("context", context), ("source", (self.source,))):
            for name in names:
                if name is not None and (not isinstance(name, str) or named.count(name) > 1):
                    raise SettingError(field, "columns that hold nothing else, each once", name)
        if self.text is None:
            refuse_tables(self.paths, options="--text, or also --label, --context or --source")
        rows = self.text is not None or self._is_fasttext
        if rows and self.mode == "stream":
            raise UsageError("tables need --mode lines: each row is a text of its own")
        if self.mode == AUTO:
            object.__setattr__(self, "mode", "lines" if rows else "stream")

    @property
    def _is_fasttext(self) -> bool:
        tables = any(table_ending(path) for path in self.paths)
        return self.labels == FASTTEXT and self.text is None and not tables

    def read(self) -> Corpus:
        """Reads the corpus."""
        if not self.paths:
            return built_in_corpus()
        if self.text is not None:
            return read_table(
                self.paths, text=self.text, label=self.labels, context=self.context,
                source=self.source, encoding=self.encoding,
            )  # fmt: skip
        if self._is_fasttext:
            return read_fasttext(self.paths, encoding=self.encoding)
        return read_corpus(self.paths, mode=self.mode, encoding=self.encoding, unwrap=self.unwrap)


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
        mode: `stream` gives paragraphs, `lines` gives the lines that are not blank.
        encoding: encoding of the files; None means UTF-8, or what a byte-order mark says.
        unwrap: in `stream` mode, join the lines of a paragraph (blank lines separate paragraphs);
            otherwise each line is a paragraph, even a blank one.

    Raises:
        TextmillError: a file is missing, is not text, is not valid in its encoding, or all files
            are empty.
    """
    texts: list[str] = []
    sources, notes = [], []
    for path in find_files(paths):
        raw = _read_bytes(path)
        sources.append(_source(path, raw))
        text, note = strip_gutenberg(clean(decode(raw, path=path, encoding=encoding)))
        if note is not None:
            notes.append(f"{path}: {note}")
        _refuse_fasttext(path, text)
        if mode == "lines":
            texts += [line.strip() for line in text.split("\n") if line.strip()]
        elif unwrap:
            texts += unwrap_paragraphs(text)
        else:
            # The last line end closes the last line and does not open another one.
            texts += [line.strip() for line in text.removesuffix("\n").split("\n")]
    _refuse_empty(texts, paths)
    return Corpus(texts, tuple(sources), notes=tuple(notes))


def read_fasttext(paths: Sequence[str], *, encoding: str | None = None) -> Corpus:
    """Reads files as fastText has them: a text a line, with words `__label__NAME` for its labels.

    A line with several labels gives its text once for each.

    Raises:
        TextmillError: as in `read_corpus`.
    """
    texts, labels, sources, skipped = [], [], [], 0
    for path in find_files(paths):
        raw = _read_bytes(path)
        sources.append(_source(path, raw))
        for line in clean(decode(raw, path=path, encoding=encoding)).split("\n"):
            words = line.split()
            own = [word.removeprefix(_LABEL) for word in words if word.startswith(_LABEL)]
            text = " ".join(word for word in words if not word.startswith(_LABEL))
            if text and any(own):
                named = list(dict.fromkeys(filter(None, own)))
                texts += [text] * len(named)
                labels += named
            else:
                skipped += bool(words)
    _refuse_empty(texts, paths)
    return Corpus(texts, tuple(sources), labels, skipped)


def read_table(
    paths: Sequence[str],
    *,
    text: str,
    label: str | None = None,
    context: Sequence[str] = (),
    source: str | None = None,
    encoding: str | None = None,
) -> Corpus:
    """Reads tables of texts, with or without labels, numbers and sources.

    Args:
        text: the column of the texts, as in `read_cells`.
        label: the column of the labels; None means no labels.
        context: the columns of the numbers; see `CorpusSettings`.
        source: the column of the sources; None means no sources.

    Raises:
        TextmillError: as in `read_corpus`, a file is not a table with these columns, or numbers are
            not finite, or not equally many in each row.
    """
    import numpy as np

    texts, labels, sources, skipped = [], [], [], 0
    given: list[str] = []
    columns = (text, *(text if name is None else name for name in (label, source)), *context)
    numbers: list[np.ndarray] = []
    for path in find_files(paths):
        raw = _read_bytes(path)
        sources.append(_source(path, raw))
        rows = read_cells(raw, path=path, columns=columns, encoding=encoding)
        for number, (own_text, own_label, own_source, *cells) in enumerate(rows, start=1):
            own_text, own_source = (
                " ".join(clean(_as_text(cell)).split()) for cell in (own_text, own_source)
            )
            own_label = _as_text(own_label).strip()
            if not (own_text and own_label and own_source) or any(map(_is_blank, cells)):
                skipped += 1
                continue
            texts.append(own_text)
            labels.append(own_label)
            given.append(own_source)
            if context:
                where = f"row {number:,} of {path}: {' '.join(context)}"
                numbers.append(_numbers(cells, where, wanted=len(numbers[0]) if numbers else None))
    _refuse_empty(texts, paths)
    return Corpus(
        texts, tuple(sources), None if label is None else labels, skipped,
        numbers=np.stack(numbers) if context else None,
        sources_of_texts=None if source is None else given,
    )  # fmt: skip


def _numbers(cells: list[Any], where: str, *, wanted: int | None) -> np.ndarray:
    """Reads the numbers of a row, `wanted` many if another row was before.

    Args:
        where: row and columns, for the message.
    """
    from textmill.model.text.row_numbers import numbers_of

    try:
        found = numbers_of(cells, texts=True)
    except ValueError as error:
        raise TextmillError(f"{where} {error}") from None
    if wanted is not None and len(found) != wanted:
        raise TextmillError(f"{where} has {len(found)} numbers, the rows before it {wanted}")
    return found


def built_in_corpus() -> Corpus:
    """Reads the text that comes with Python: topics of its reference, about 65,000 words."""
    from pydoc_data.topics import topics

    pages = [topics[name] for name in sorted(topics)]
    raw = "\n\n".join(pages).encode()
    source = Source("pydoc_data.topics", len(raw), hashlib.sha256(raw).hexdigest())
    texts: list[str] = []
    seen = set()
    for page in pages:
        for paragraph in unwrap_paragraphs(clean(page)):
            # Topics repeat each other; underlines, rules and grammar tables are not sentences.
            words = re.findall(r"[^\W\d_]{2,}", paragraph)
            if paragraph not in seen and len(words) * 12 >= len(paragraph) and len(words) >= 5:
                seen.add(paragraph)
                texts.append(paragraph)
    return Corpus(texts, (source,))


def find_files(patterns: Sequence[str]) -> list[str]:
    """Finds the files for paths and glob patterns, in order, each file once.

    Raises:
        TextmillError: a path does not exist, is a folder, or is no regular file.
    """
    found: dict[str, str] = {}  # by absolute path, because a file may be named in two ways
    for pattern in patterns:
        if os.path.isdir(pattern):
            raise TextmillError(f"{pattern} is a folder; name its files, such as '{pattern}/*.txt'")
        matches = [pattern]
        if os.path.exists(pattern):
            check_regular(pattern)
        else:
            matches = sorted(p for p in glob.glob(pattern, recursive=True) if os.path.isfile(p))
        if not matches and glob.has_magic(pattern):
            raise TextmillError(f"no file matches '{pattern}'; check the pattern and the folder")
        if not matches:
            raise TextmillError(f"there is no file '{pattern}'; check the path")
        for match in matches:
            found.setdefault(os.path.abspath(match), match)
    return list(found.values())


def unwrap_paragraphs(text: str) -> list[str]:
    """Splits text at blank lines into paragraphs, each on one line with single spaces."""
    paragraphs = (" ".join(block.split()) for block in re.split(r"\n[ \t]*\n", text))
    return [paragraph for paragraph in paragraphs if paragraph]


def _as_text(cell: object) -> str:
    """Turns a cell into text: null is empty, half a surrogate pair is replaced."""
    return "" if cell is None else str(cell).encode("utf-8", "replace").decode()


def _is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _refuse_fasttext(path: str, text: str) -> None:
    if _LABEL not in text[: 1 << 16]:
        return
    lines = [line for line in text[: 1 << 16].split("\n") if line.strip()]
    if sum(line.lstrip().startswith(_LABEL) for line in lines) * 2 > len(lines):
        raise UsageError(
            f"{path} holds labels as fastText writes them, such as {lines[0].split()[0][:50]}; "
            "train --label fasttext reads them as labels"
        )


def _read_bytes(path: str) -> bytes:
    check_regular(path)
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise TextmillError(f"cannot read {path}: {error.strerror}") from None


def _source(path: str, raw: bytes) -> Source:
    return Source(os.path.basename(path), len(raw), hashlib.sha256(raw).hexdigest())


def _refuse_empty(texts: list[str], paths: Sequence[str]) -> None:
    if not any(texts):
        raise TextmillError(f"the corpus is empty: no text in {', '.join(paths)}")
