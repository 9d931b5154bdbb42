"""Maps words to ids and back: one interface for the levels word, char and whitespace."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from textmill.model.errors import TextmillError
from textmill.model.settings import LEVELS, VocabularySettings
from textmill.model.text.tokens import MARK, join, pieces, surface, tokenize

PAD, UNKNOWN, EOS = 0, 1, 2
RESERVED = ("<pad>", "<unk>", "<eos>")
_HEADER = "# textmill vocabulary 1"
_TOKENIZE_BATCH = 512
_COUNT = re.compile(r"0|[1-9][0-9]{0,17}")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class TokenizedTexts:
    """Texts as provisional ids, before a vocabulary is chosen.

    Attributes:
        ids: int32 [tokens], positions in `words`; all texts one after the other.
        lengths: int64 [texts], number of tokens of each text.
        words: the distinct tokens in order of first appearance.
    """

    ids: np.ndarray
    lengths: np.ndarray
    words: list[str]


def tokenize_texts(texts: Sequence[str], level: str) -> TokenizedTexts:
    """Tokenises a corpus with tf.data; memory holds the ids and each distinct word once."""
    known: dict[bytes, int] = {}
    cut = _in_pieces(texts, level)
    rows = [piece for text in cut for piece, _ in text]
    joined = np.array([is_joined for text in cut for _, is_joined in text], bool)
    ids, lengths, done = [], [], 0
    for flat, row_lengths in _token_batches(rows, level):
        flat = flat.astype(object)
        starts = np.cumsum(row_lengths) - row_lengths
        for at in starts[joined[done : done + len(row_lengths)]]:
            flat[at] = MARK.encode() + flat[at]
        distinct, inverse = np.unique(flat, return_inverse=True)
        mapped = np.fromiter((known.setdefault(w, len(known)) for w in distinct), np.int32)
        ids.append(mapped[inverse] if len(flat) else np.zeros(0, np.int32))
        lengths.append(row_lengths)
        done += len(row_lengths)
    owners = np.repeat(np.arange(len(texts)), [len(text) for text in cut])
    of_texts = np.zeros(len(texts), np.int64)
    np.add.at(of_texts, owners, np.concatenate(lengths))
    return TokenizedTexts(
        ids=np.concatenate(ids), lengths=of_texts, words=[word.decode() for word in known]
    )


def _in_pieces(texts: Sequence[str], level: str) -> list[list[tuple[str, bool]]]:
    """Cuts each text into pieces; tells of each whether its first token takes a joiner mark.

    A piece that is joined begins with punctuation, whose mark stands on its left.
    """
    marks = level == "word"
    return [[(piece, joined and marks) for piece, joined in pieces(t, level)] for t in texts]


def _token_batches(texts: Sequence[str], level: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert  # saves a second: it has no Python control flow
    def split(batch: Any) -> Any:
        tokens = tokenize(batch, level)
        return tokens.flat_values, tokens.row_lengths()

    with tf.device("CPU"):
        data = tf.data.Dataset.from_tensor_slices([text.encode() for text in texts])
        data = data.batch(_TOKENIZE_BATCH).map(split, num_parallel_calls=2)
        yield from data.prefetch(2).as_numpy_iterator()


class Vocabulary:
    """Tokens with ids: reserved tokens first, then by falling count, ties by code point.

    Args:
        level: see `VocabularySettings`.
        words: tokens in the order of their ids, the reserved ones first.
        counts: how often each token was seen in the training part.
    """

    def __init__(self, *, level: str, words: Sequence[str], counts: Sequence[int]):
        self.level = level
        self.words = tuple(words)
        self.counts = tuple(int(count) for count in counts)
        # `<eos>` or `<pad>` written in a whitespace corpus is an unknown word, because text from
        # outside must not end a sequence. `<unk>` written there means `<unk>`.
        special = {RESERVED[PAD], RESERVED[EOS]}
        self.ids = {word: i for i, word in enumerate(self.words) if word not in special}

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def build(
        cls,
        words: Sequence[str],
        counts: np.ndarray,
        settings: VocabularySettings,
        *,
        ends: int = 0,
    ) -> Vocabulary:
        """Builds a vocabulary of the most frequent words within the settings' limits.

        Args:
            words: distinct tokens.
            counts: int [words], how often each token was seen in the training part.
            ends: how often `<eos>` was seen there.
        """
        assert settings.min_count is not None
        reserved = set(RESERVED)
        kept = sorted(
            ((-int(c), w) for w, c in zip(words, counts, strict=True)
             if c >= settings.min_count and w not in reserved)
        )[: settings.max_size - len(RESERVED)]  # fmt: skip
        unknown = int(sum(counts)) + sum(c for c, _ in kept)
        return cls(
            level=settings.level,
            words=[*RESERVED, *(w for _, w in kept)],
            counts=[0, unknown, ends, *(-c for c, _ in kept)],
        )

    def lookup(self, words: Iterable[str]) -> np.ndarray:
        """Gives the ids of tokens, int32; `UNKNOWN` for tokens that are not in the vocabulary."""
        return np.fromiter((self.ids.get(word, UNKNOWN) for word in words), np.int32)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Gives the ids of each text, int32."""
        return [self.lookup(tokens) for tokens in self.tokens(texts)]

    def encode_prompts(self, texts: Sequence[str]) -> list[tuple[np.ndarray, bool]]:
        """Gives the ids of texts to be continued, and whether the next token needs no space.

        The text does not show whether a space will follow its last punctuation mark. The form that
        was seen more often in training is taken, which has the lower id.
        """
        out = []
        for text, tokens in zip(texts, self.tokens(texts), strict=True):
            ids = self.lookup(tokens)
            glued = not tokens or self.level == "char" or text[-1:].isspace()
            if tokens and self.level == "word" and not glued:
                joined = self.ids.get(tokens[-1] + MARK, UNKNOWN)
                if joined != UNKNOWN and (ids[-1] == UNKNOWN or joined < ids[-1]):
                    ids[-1], glued = joined, True
            out.append((ids, glued))
        return out

    def decode(self, ids: Iterable[int], *, glued: bool = True) -> str:
        """Gives the text of ids; `glued` as in `text.tokens.join`."""
        return join([self.words[i] for i in ids], self.level, glued=glued)

    def ids_of_surface(self, word: str) -> list[int]:
        """Finds all entries that stand for a word in text, whatever joiner marks they have."""
        if self.level != "word":
            return [self.ids[word]] if word in self.ids else []
        return self._surfaces.get(word, [])

    @cached_property
    def _surfaces(self) -> dict[str, list[int]]:
        surfaces: dict[str, list[int]] = {}
        for word in self.words[len(RESERVED) :]:
            surfaces.setdefault(surface(word), []).append(self.ids[word])
        return surfaces

    def tokens(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Tokens of each text, known or not."""
        for start in range(0, len(texts), _TOKENIZE_BATCH):
            cut = _in_pieces(texts[start : start + _TOKENIZE_BATCH], self.level)
            rows = self._rows([piece for text in cut for piece, _ in text])
            for text in cut:
                whole: list[str] = []
                for (_, joined), row in zip(text, rows, strict=False):
                    whole += [MARK + row[0], *row[1:]] if joined else row
                yield whole

    def _rows(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Tokens of each of many texts, which are short."""
        for start in range(0, len(texts), _TOKENIZE_BATCH):
            batch = [text.encode() for text in texts[start : start + _TOKENIZE_BATCH]]
            for row in _tokenizer(self.level)(batch).to_list():
                yield [token.decode() for token in row]

    # -- the text file ---------------------------------------------------------------------------

    def to_text(self) -> str:
        """Writes one entry on each line, in the order of ids: the token, a tab, its count."""
        rows = (f"{_quote(w)}\t{c}\n" for w, c in zip(self.words, self.counts, strict=True))
        return f"{_HEADER} level={self.level}\n" + "".join(rows)

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str) -> Vocabulary:
        """Reads a file that holds what `to_text` wrote.

        Raises:
            TextmillError: it does not; the message names the line.
        """
        try:
            return cls.from_text(data.decode(), name=name)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise TextmillError(f"{name}:{line} is not valid UTF-8") from None

    @classmethod
    def from_text(cls, text: str, *, name: str) -> Vocabulary:
        """Reads what `to_text` wrote, and nothing that it would write in another way.

        Raises:
            TextmillError: a line does not have that form; the message names the line.
        """
        header, *rows = text.split("\n")
        level = header.removeprefix(_HEADER + " level=")
        if header == level or level not in LEVELS or rows[-1:] != [""]:
            raise TextmillError(f"{name} is no textmill vocabulary, or is cut short")
        words, counts = [], []
        for number, row in enumerate(rows[:-1], start=2):
            quoted, tab, count = row.partition("\t")
            if not tab or not quoted or not _COUNT.fullmatch(count):
                raise TextmillError(
                    f"{name}:{number} is not a token, a tab and a count of at most 18 digits"
                )
            word = _unquote(quoted)
            if _quote(word) != quoted or _SURROGATE.search(word):
                raise TextmillError(f"{name}:{number} holds a token that is not written as it is")
            words.append(word)
            counts.append(int(count))
        if tuple(words[: len(RESERVED)]) != RESERVED or len(set(words)) != len(words):
            raise TextmillError(f"{name} lacks the reserved entries, or holds an entry twice")
        return cls(level=level, words=words, counts=counts)


@cache  # one program in each process serves all vocabularies of a level
def _tokenizer(level: str) -> Any:
    import tensorflow as tf

    spec = tf.TensorSpec([None], tf.string)
    return tf.function(
        lambda texts: tokenize(texts, level), input_signature=[spec], autograph=False
    )


def _quote(word: str) -> str:
    # White space, control characters and format characters would be invisible or end the line.
    def escape(match: re.Match[str]) -> str:
        return f"\\u{{{ord(match[0]):x}}}"

    return re.sub(
        r"[\\\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028-\u202f\u205f\u3000]", escape, word
    )


def _unquote(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = int(match[1], 16)
        return chr(code) if code <= sys.maxunicode else match[0]

    return re.sub(r"\\u\{([0-9a-f]{1,6})\}", character, text)
