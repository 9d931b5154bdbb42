"""Corpora: plain, wrapped, of Project Gutenberg, binary, with lines of megabytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzzing import Kind
from guard import Broken
from mutate import mutated, write_text

from textmill.model.errors import TextmillError
from textmill.model.text.corpus import CorpusSettings
from textmill.model.text.decoding import clean

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252", "utf-16-le", "utf-7")
# Names that are no encoding of texts, or of one that can do strange things.
_STRANGE = (
    "", "zlib", "hex", "rot13", "idna", "punycode", "undefined", "unicode_escape", "mbcs",
    "x" * 300, "utf-8 ", "../x", "raw_unicode_escape", "uu", "bz2", "base64", "quopri",
    "cp65001", "\ud800",
)  # fmt: skip
_HEADERS = (
    "The Project Gutenberg eBook of X\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n",
    "*** START OF THIS PROJECT GUTENBERG EBOOK X\nOF MANY LINES ***\n\n",
    "***START OF THE PROJECT GUTENBERG EBOOK X***\n\nProduced by A and B\n\n",
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n\n",
)
_FOOTERS = (
    "\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nlicence\n",
    "\n\nEnd of the Project Gutenberg EBook of X\n\n*** END OF THIS PROJECT GUTENBERG EBOOK ***\n",
)


@dataclass
class Case:
    """A corpus.

    Attributes:
        paths: the files. settings: how they are read.
        texts: what has to come of them; None if that is not known.
    """

    paths: list[Path]
    settings: dict
    texts: list[str] | None


def _plain_text(random: Random, *, controls: bool) -> str:
    """A text of one line without what reading changes."""
    text = clean(write_text(random))
    if not controls:
        text = "".join(" " if c.isspace() else c for c in text if c >= " " and c != "\x7f")
    return " ".join(text.split()) or "word"


def _wrapped(random: Random, text: str) -> str:
    return "".join("\n" if c == " " and random.random() < 0.3 else c for c in text)


def _book(random: Random, texts: list[str], *, mode: str, unwrap: bool) -> str:
    if mode == "lines" or not unwrap:
        return "\n".join(texts) + random.choice(("", "\n"))
    parts = (_wrapped(random, text) for text in texts)
    return random.choice(("\n\n", "\n \n", "\n\n\n\n")).join(parts) + random.choice(("", "\n"))


class Corpora(Kind):
    """Texts to train on."""

    name = "corpora"

    def make(self, random: Random, folder: Path) -> Case:
        mode, unwrap = random.choice(("stream", "lines")), random.random() < 0.7
        controls = random.random() < 0.1  # it may count as binary then
        texts = [_plain_text(random, controls=controls) for _ in range(random.randint(1, 25))]
        text = _book(random, texts, mode=mode, unwrap=unwrap)
        encoding = random.choice(ENCODINGS)
        known = None if controls else texts
        if random.random() < 0.25 and mode == "stream" and unwrap:
            text = random.choice(_HEADERS) + text + random.choice(_FOOTERS)
        if random.random() < 0.2:
            text = text.replace("\n", random.choice(("\r\n", "\r", "\u2028")))
        try:
            raw = text.encode(encoding)
        except UnicodeEncodeError:
            encoding, raw = "utf-8", text.encode()
        self_told = encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")
        settings = {"mode": mode, "unwrap": unwrap}
        if not self_told or random.random() < 0.2:
            settings["encoding"] = encoding
        how = random.random()
        if how < 0.02:
            raw, known = _huge(random, raw), None
        elif how < 0.1:
            raw, known = random.randbytes(random.randint(0, 5000)), None
        elif how < 0.6:
            raw, known = mutated(random, raw), None
        if random.random() < 0.06:
            settings["encoding"], known = random.choice(_STRANGE), None
        path = folder / "book.txt"
        path.write_bytes(raw)
        return Case([path], settings, known)

    def check(self, case: Case) -> str:
        paths = tuple(map(str, case.paths))
        try:
            corpus = CorpusSettings(paths=paths, **case.settings).read()
        except TextmillError as error:
            if case.texts is not None:
                raise Broken(f"a whole corpus was refused | {error}") from error
            raise
        raw = case.paths[0].read_bytes()
        source = corpus.sources[0]
        if (source.bytes, source.sha256) != (len(raw), hashlib.sha256(raw).hexdigest()):
            raise Broken("the source is not the file")
        if any("\n" in text or "\r" in text or "\x00" in text for text in corpus.texts):
            raise Broken("a text holds a line end, or NUL")
        if corpus.notes:  # a book smaller than its header stays as it is
            return "kept whole"
        if case.texts is not None and corpus.texts != case.texts:
            raise Broken(f"other texts | {corpus.texts!r:.300} instead of {case.texts!r:.300}")
        return "read"


def _huge(random: Random, raw: bytes) -> bytes:
    """Megabytes without a line end, or of the same marks again and again."""
    part = random.choice((
        b"x", b"word ", b" ", b"\n", b"\n ", b"\n\t", b"\r", b"\x0c",
        b"*** START OF THE PROJECT GUTENBERG ",
        b"*END*THE SMALL PRINT! *END", b"*** END OF THE PROJECT GUTENBERG\n", b"Produced ",
        b"\xe2\x80\x8b",
        b"\n*** START OF THE PROJECT GUTENBERG X ***\n*** END OF THE PROJECT GUTENBERG X ***",
        b"*** END OF THE PROJECT GUTENBERG\n*** START OF THE PROJECT GUTENBERG EBOOK ***\n",
        b"Produced by\n\n", b"End of Project Gutenberg\n", b"\n*END*THE SMALL PRINT!*END*",
    ))  # fmt: skip
    return raw + part * (random.choice((100_000, 500_000, 2_000_000)) // len(part))
