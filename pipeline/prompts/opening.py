"""Opens prompt files for their bytes: decompresses them and turns their encoding into UTF-8."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import zlib
from collections.abc import Callable
from typing import BinaryIO

from textmill.model.errors import TextmillError
from textmill.model.text.decoding import encoding_of_mark, is_utf8
from textmill.pipeline.files.filesystem import open_read

BLOCK = 1 << 20
COMPRESSIONS = (".gz", ".bz2", ".zst")


class Input:
    """A prompt file opened for reading; its name's ending says how it is decompressed.

    Args:
        path: the file.
        start: offset of the first byte to read, in what the file gives.
        encoding: what `encoding_of` found; the bytes that are read are UTF-8, and where the file
            is not valid in its encoding, they are not valid UTF-8.

    Attributes:
        position: offset of the next byte.

    Raises:
        TextmillError: it cannot be read, or is not what its ending says.
    """

    def __init__(self, path: str, *, start: int = 0, encoding: str | None = None):
        self._path, self.position = path, 0
        self._raw = open_read(path)
        self._file = _decompressed(path, self._raw)
        if not self._raw.seekable():
            raise TextmillError(f"{path} is no file that can be read twice; save it as one first")
        if encoding is not None:
            self._file = io.BufferedReader(_AsUtf8(self._file, encoding), BLOCK)
        elif self._file is self._raw:
            self._raw.seek(start)
            self.position = start
        while self.position < start and self.read(min(BLOCK, start - self.position)):
            pass

    def __enter__(self) -> Input:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def read(self, size: int) -> bytes:
        """Reads up to `size` bytes; none at the end of the file."""
        return self._advance(lambda: self._file.read(size))

    def line(self, limit: int) -> bytes:
        """Reads up to and including the next newline, at most `limit` bytes."""
        return self._advance(lambda: self._file.readline(limit))

    def _advance(self, get: Callable[[], bytes]) -> bytes:
        try:
            data = get()
        except (OSError, EOFError, zlib.error, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise TextmillError(f"cannot read {self._path}: {reason}") from None
        self.position += len(data)
        return data


def encoding_of(path: str, given: str | None) -> str | None:
    """Finds a file's encoding: that of its byte-order mark, else what was given.

    Returns:
        The codec's name; None if the bytes are UTF-8 as they are.
    """
    with Input(path) as file:
        found = encoding_of_mark(file.read(4)) or given
    return None if found is None or is_utf8(found) else found


def _decompressed(path: str, raw: BinaryIO) -> BinaryIO:
    if path.lower().endswith(".gz"):
        return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]
    if path.lower().endswith(".bz2"):
        return io.BufferedReader(_Bz2(raw), BLOCK)
    if path.lower().endswith(".zst"):
        import pyarrow

        # The zstandard package does not notice that a file is cut off.
        return io.BufferedReader(pyarrow.CompressedInputStream(raw, "zstd"), BLOCK)
    return raw


class _Bz2(io.RawIOBase):
    """The content of a .bz2, to its very last byte.

    `bz2.BZ2File` takes all that stands behind a stream and is no stream itself for rubbish, so that
    a damaged second stream would be lost without a word.
    """

    def __init__(self, raw: BinaryIO):
        self._raw, self._stream = raw, bz2.BZ2Decompressor()
        self._fresh = True  # whether the stream has had no byte yet

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b""
        while not data:
            if self._stream.eof:
                rest, self._fresh = self._stream.unused_data, True
                self._stream = bz2.BZ2Decompressor()
            else:
                rest = b""
            if not rest and self._stream.needs_input:
                rest = self._raw.read(BLOCK)
                if not rest and self._fresh:
                    return 0
                if not rest:
                    raise EOFError("it is cut off")
            self._fresh &= not rest
            data = self._stream.decompress(rest, len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _AsUtf8(io.RawIOBase):
    """The UTF-8 of a file in another encoding.

    What is not valid in that encoding becomes a byte sequence that is not valid UTF-8 either, so
    that the row it stands in is rejected and no other.
    """

    def __init__(self, file: BinaryIO, encoding: str):
        self._file, self._ahead = file, b""
        self._decoder = codecs.getincrementaldecoder(encoding)(_KEEP_WRONG)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ahead:
            block = self._file.read(BLOCK)
            text = self._decoder.decode(block, final=not block)
            self._ahead = text.encode("utf-8", "surrogatepass")
            if not block and not self._ahead:
                return 0
        size = min(len(buffer), len(self._ahead))
        buffer[:size], self._ahead = self._ahead[:size], self._ahead[size:]
        return size


def _half_a_pair(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udc80", error.end


_KEEP_WRONG = "textmill-keep-wrong"
codecs.register_error(_KEEP_WRONG, _half_a_pair)
