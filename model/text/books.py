"""Downloads books of Project Gutenberg by their number, checks them and keeps them."""

from __future__ import annotations

import contextlib
import os
import urllib.error
import urllib.request
from pathlib import Path

from textmill.model.errors import TextmillError
from textmill.model.settings import check_int

ADDRESS = "https://www.gutenberg.org/cache/epub/{number}/pg{number}.txt"
_MOST_NUMBER = 9_999_999
_MOST_BYTES = 50 << 20
_SECONDS = 60


def cache() -> Path:
    """Gives the folder of downloaded books."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "textmill" / "books"


def gutenberg(number: int) -> Path:
    """Gives the file of a book of Project Gutenberg; downloads it if it is not there yet.

    Raises:
        SettingError: the number is not allowed.
        TextmillError: the book cannot be downloaded.
    """
    check_int("gutenberg", number, 1, _MOST_NUMBER)
    file = cache() / f"{number}.txt"
    if file.exists():
        return file
    address = ADDRESS.format(number=number)
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            raw = answer.read(_MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise TextmillError(
                f"Project Gutenberg has no plain text of book {number}; look the number up at "
                "gutenberg.org"
            ) from None
        raise TextmillError(_not_there(address, error, file)) from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise TextmillError(_not_there(address, getattr(error, "reason", error), file)) from None
    if len(raw) > _MOST_BYTES or b"PROJECT GUTENBERG" not in raw.upper():
        raise TextmillError(
            f"{address} is no book of Project Gutenberg's ({len(raw):,} bytes); give another number"
        )
    try:
        _keep(raw, file)
    except OSError as error:
        raise TextmillError(f"cannot write {file}: {error.strerror}") from None
    return file


def _not_there(address: str, reason: object, file: Path) -> str:
    return (
        f"{address} cannot be had ({reason}). Without a network: save that page by hand, with a "
        f"browser elsewhere, and give its path, or put it at {file}"
    )


def _keep(raw: bytes, file: Path) -> None:
    """Writes a file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(raw)
        part.replace(file)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
