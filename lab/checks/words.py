"""Exercise 1: tokens, back to text, vocabulary, ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lab.checks.expect import Random, array, equal, plain, true

_SCRIPTS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "éüßñøçàÀÖ",
    "абвгдежзийклмнопрстуфхцчшщъьюяАБВ",
    "αβγδεζηθλπφψω",
    "אבגדהוזחט",
    "जगतनमरल",
    "日本語文字",
)
_DIGITS = ("0123456789", "٠١٢٣٤٥٦٧٨٩")
_MARKS = '.,;:!?()[]{}"“”„«»—–-/*&%$€#@+=<>~|☺¿'


def reference(text: str) -> list[str]:
    """Gives the right tokens, character by character."""
    found: list[str] = []
    place, end = 0, -1
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        begin, place = place, place + 1
        while text[begin].isalnum() and place < len(text):
            inside = text[place] in "'’" and text[place + 1 : place + 2].isalnum()
            if not (text[place].isalnum() or inside):
                break
            place += 1
        found.append(("■" if begin == end else "") + text[begin:place])
        end = place
    return found


def tokenize(ex: Any, random: Random) -> None:
    """Checks texts that show one rule each, then texts with all of them."""
    for text, hint in _cases(random):
        received, expected = ex.tokenize(text), reference(text)
        if plain(received) != expected:
            hint = _mistake(text, plain(received)) or hint
        equal(f"tokenize({text!r})", received, expected, hint)


def _word(random: Random, scripts: tuple[str, ...] = _SCRIPTS[:2]) -> str:
    letters = scripts[int(random.integers(len(scripts)))]
    return "".join(random.choice(list(letters), int(random.integers(1, 6))))


_EACH_MARK = "each punctuation mark is a token of its own, with a ■ if no white space is before it"
_SCRIPT = "words have letters and digits of any script, not only a-z"
_GLUED = "marks are tokens, and what follows without white space has the ■, also a word"
_INSIDE = "an apostrophe between two letters or digits belongs to the word, ' and ’ alike"
_EDGE = "an apostrophe at a word's edge, or beside another one, is a mark of its own"
_NUMBER = "only letters, digits and apostrophes make a word: 1.5 is three tokens"
_UNDERSCORE = "an underscore is neither letter nor digit, so it is a mark (\\w has it, too)"
_HYPHEN = "a hyphen is a mark: well-known is three tokens"
_SPACE = "white space, of whatever kind and length, only parts tokens"
_ALONE = "each mark is a token of its own, also where several follow each other"
_INNER = "a mark inside a piece without spaces is a token, too: a dash, a hyphen, a slash, a point"
_TITLE = "a point is a mark, also after a title or an abbreviation"


def _cases(random: Random) -> Iterator[tuple[str, str]]:
    """Gives texts, each with the rule that it shows."""

    def some(scripts: tuple[str, ...] = _SCRIPTS[:2]) -> str:
        return _word(random, scripts)

    def mark(marks: str = _MARKS) -> str:
        return str(random.choice(list(marks)))

    for _ in range(2):
        for hint, text in (
            (_EACH_MARK, f"{some()}, {some()} {some()}."),
            (_INSIDE, f"{some()}'{some()} {some()}"),
            (_GLUED, f"({some()}) {some()}—{some()}"),
            (_SCRIPT, f"{some(_SCRIPTS[2:])} {some(_SCRIPTS[2:])}! {some(_SCRIPTS[2:])}"),
            (_SCRIPT, f"{some()}{some(_DIGITS)} {some(_DIGITS)} {some(_DIGITS)}{some()}"),
            (_SPACE, f"{some()}  {some()}\n {some()}\t\n\n{some()}\u00a0{some()}, {some()}"),
            (_INSIDE, f"{some()}’{some()} {some(_SCRIPTS)}'{some(_SCRIPTS)}"),
            (_ALONE, f"{some()}... {some()}?! {some()}{mark() * 4}"),
            (_UNDERSCORE, f"{some()}_{some()} _{some()}_ {some()}__"),
            (_NUMBER, f"{some(_DIGITS[:1])}.{some(_DIGITS[:1])} {some(_DIGITS)}.{some(_DIGITS)}"),
            (_EDGE, f"'{some()} {some()}' {some()}"),
            (_EDGE, f"{some()}''{some()} {some()}'’{some()} ’{some()}’"),
            (_INSIDE, f"{some()}'{some()}’{some()}'{some()} {some(_DIGITS)}'{some()}"),
            (_HYPHEN, f"{some()}-{some()} {some()}-{some()}-{some()}"),
            (_TITLE, f"Mr. {some()}, Mrs. and Dr. {some()} etc. St. e.g. {some()}, a.m. U.S.A."),
            (_ALONE, f"{some()}--{some()} {some()} -- {some()}{mark()}{mark()}{some()} {mark()}"),
        ):
            yield text, hint
    marks = random.permutation(list(_MARKS)).tolist()
    for some_marks in (marks[: len(marks) // 2], marks[len(marks) // 2 :]):
        yield " ".join(f"{some()}{each}{some()}" for each in some_marks), _INNER
        digits = _DIGITS[:1]
        yield " ".join(f"{some(digits)}{each}{some(digits)}" for each in some_marks), _NUMBER
        yield " ".join(f"{some()} {each}{each}" for each in some_marks), _ALONE
    yield "", "an empty text has no tokens: []"
    for _ in range(10):
        yield (
            _any_text(random),
            "the hints of the first lines of this exercise's text hold together",
        )


def _any_text(random: Random) -> str:
    """Draws a text with everything in it, and no white space at its ends."""
    pieces = []
    for _ in range(14):
        kinds = (
            _word(random, _SCRIPTS),
            _word(random, _DIGITS),
            str(random.choice(list(_MARKS))),
            str(random.choice(list("'’_"))),
        )
        pieces.append(kinds[int(random.choice(4, p=[0.5, 0.1, 0.25, 0.15]))])
        pieces.append(str(random.choice(["", " ", "  ", "\n"], p=[0.45, 0.45, 0.05, 0.05])))
    return "".join(pieces).strip()


def _regex(pattern: str, glue: str = "■") -> Callable[[str], list[str]]:
    """Makes a tokenizer that takes what a pattern matches."""

    def tokens(text: str) -> list[str]:
        found, end = [], -1
        for match in re.finditer(pattern, text):
            found.append((glue if match.start() == end else "") + match.group())
            end = match.end()
        return found

    return tokens


def _peeled(text: str) -> list[str]:
    """Splits at spaces, and takes marks off the ends only."""
    found = []
    for part in text.split():
        match = re.fullmatch(r"([^\w]*)(.*?)([^\w]*)", part)
        assert match is not None
        pieces = [*match[1], *([match[2]] if match[2] else []), *match[3]]
        found += ["■" * (i > 0) + piece for i, piece in enumerate(pieces)]
    return found


_MARK = r"[^\w\s]|_"
_MISTAKES: tuple[tuple[str, Callable[[str], list[str]]], ...] = (
    (
        "the tokens are right, but one that has no white space before it begins with a ■",
        lambda text: [token.removeprefix("■") for token in reference(text)],
    ),
    ("white space is no token", lambda text: [text]),
    ("a word, in letters of any script, is one token, not each of its letters", _regex(r"\S")),
    ("a capital within a word begins no other word: McGee is one token",
     _regex(rf"[A-Z]?[^\W_A-Z]+(?:['’][^\W_]+)*|[A-Z]|{_MARK}")),
    (_SCRIPT, _regex(r"[А-Яа-яЁё0-9]+(?:['’][А-Яа-яЁё0-9]+)*|\S")),
    (_GLUED, lambda text: [t[t[0] == "■" and t[1].isalnum() :] for t in reference(text)]),
    ("the ■ stands before a token without white space before it, not after one",
     lambda text: [t.removeprefix("■") + "■" * (n[:1] == "■")
                   for t, n in zip(reference(text), [*reference(text)[1:], ""], strict=True)]),
    ("the first token of a text has no ■", lambda text: [
        ("■" if i == 0 else "") + token for i, token in enumerate(reference(text))]),
    ("an underscore is a mark: do not drop it", _regex(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]")),
    ("the marks are tokens, too: do not drop them", _regex(r"[^\W_]+(?:['’][^\W_]+)*")),
    (_UNDERSCORE, _regex(rf"\w+(?:['’]\w+)*|{_MARK}")),
    (_NUMBER, _regex(rf"\d+(?:[.,]\d+)+|[^\W_]+(?:['’][^\W_]+)*|{_MARK}")),
    (_SCRIPT, _regex(r"[A-Za-z0-9]+(?:['’][A-Za-z0-9]+)*|[^A-Za-z0-9\s]")),
    (_SCRIPT, _regex(r"[A-Za-z]+(?:['’][A-Za-z]+)*|[^A-Za-z\s]")),
    (_SCRIPT, _regex(rf"[A-Za-z0-9]+(?:['’][A-Za-z0-9]+)*|{_MARK}")),
    ("a word may have letters and digits: a1 is one token",
     _regex(rf"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|{_MARK}")),
    (_EDGE, _regex(rf"(?:[^\W_]|['’])+|{_MARK}")),
    (_EDGE, _regex(rf"[^\W_](?:[^\W_]|['’])*|{_MARK}")),
    (_EDGE, _regex(rf"(?:[^\W_]|['’])*[^\W_]|{_MARK}")),
    ("a word may have several apostrophes: rock'n'roll is one token",
     _regex(rf"[^\W_]+(?:['’][^\W_]+)?|{_MARK}")),
    ("an apostrophe within a word belongs to it, the curly one (’), too",
     _regex(rf"[^\W_]+(?:'[^\W_]+)*|{_MARK}")),
    ("an apostrophe within a word belongs to it, the straight one ('), too",
     _regex(rf"[^\W_]+(?:’[^\W_]+)*|{_MARK}")),
    ("an apostrophe within a word belongs to it", _regex(rf"[^\W_]+|{_MARK}")),
    (_HYPHEN, _regex(rf"[^\W_]+(?:['’-][^\W_]+)*|{_MARK}")),
    (_ALONE, _regex(r"[^\W_]+(?:['’][^\W_]+)*|(?:[^\w\s]|_)+")),
    ("split at spaces, marks are still part of words: punctuation marks are tokens",
     lambda text: text.split()),
    (_INNER, _peeled),
    (_INNER,
     lambda text: [t.removeprefix("■") for t in _peeled(text)]),
)  # fmt: skip


def _mistake(text: str, received: Any) -> str:
    """Gives the hint of a mistake that leads to just these tokens; else an empty string."""
    right = reference(text)
    if _strings(received) and received:
        if [t.lower() for t in received] == [t.lower() for t in right]:
            return "`The` and `the` are two words: do not change the case"
        if sorted(received) == sorted(right):
            return "the tokens stand in the order of the text"
        if received == right[:-1]:
            return "the last token is lost: every one counts, also at the end of the text"
        if received == list(dict.fromkeys(right)):
            return (
                "every token stands in the list each time that it is in the text, each mark of a "
                "run, too"
            )
    bare = [t.removeprefix("■") for t in received] if _strings(received) else []
    for hint, wrong in _MISTAKES:
        if received == wrong(text):
            return hint
    for hint, wrong in _MISTAKES:  # several mistakes at a time
        if bare and bare == [t.removeprefix("■") for t in wrong(text)]:
            return hint
    lost = [t for t in right if t not in received] if bare else []
    words = [t.removeprefix("■") for t in lost]
    if (
        received == [t for t in right if t not in lost]
        and "".join(words).isalpha()
        and words[0].isascii()
    ):
        return f"every word is a token, also a short one: {words[0]!r} is lost"
    return ""


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def detokenize(ex: Any, random: Random) -> None:
    """Checks the way back, also from the middle of a text."""
    hint = "no tokens, an empty text: '', without a space at its beginning or end"
    equal("detokenize([])", ex.detokenize([]), "", hint)
    for i in range(12):
        text = " ".join(_any_text(random).split())
        tokens = reference(text)
        if i % 3 == 2:  # as a generated text may begin
            tokens = tokens[2:]
            text = ("".join(t[1:] if t[0] == "■" else " " + t for t in tokens)).removeprefix(" ")
        received = ex.detokenize(tokens)
        hint = "a token with ■ follows directly, without it; the others after one space"
        if isinstance(received, str) and "■" in received:
            hint = "the ■ says that no space comes before: it is not part of the text"
        elif isinstance(received, str) and received.strip() == text:
            hint = "no space before the first token, and none after the last"
        elif received == " ".join(t.removeprefix("■") for t in tokens):
            hint = "no space before a token with ■"
        equal("detokenize(tokens)", received, text, hint)


def make_vocabulary(ex: Any, random: Random) -> None:
    """Checks order, ties, and which tokens are kept."""
    for _ in range(4):
        names = sorted({_word(random, (*_SCRIPTS[:4], *_DIGITS)) for _ in range(30)} | {"■,", "—"})
        counts = random.integers(1, 5, len(names))
        tokens = [name for name, n in zip(names, counts, strict=True) for _ in range(int(n))]
        tokens = [tokens[i] for i in random.permutation(len(tokens))]
        least = int(random.integers(1, 4))
        count = Counter(tokens)
        kept = [token for token in count if count[token] >= least]
        expected = ["<unk>", *sorted(kept, key=lambda token: (-count[token], token))]
        received = ex.make_vocabulary(tokens, least)
        found = plain(received)
        hint = "the most frequent first; those equally frequent in the order of `sorted`"
        if _strings(found):
            if found[:1] != ["<unk>"]:
                hint = "`<unk>` comes first: its id is 0"
            elif len(set(found)) < len(found):
                hint = "each token is in the vocabulary once"
            elif not set(found) <= {"<unk>", *tokens}:
                hint = "tokens stay as they are: with their case, with the ■"
            elif set(found) != set(expected):
                hint = "kept is what is seen at least `min_count` times: exactly so often is enough"
            elif [count[t] for t in found[1:]] == [count[t] for t in expected[1:]]:
                hint = (
                    "tokens that are equally frequent are in alphabetical order, that of `sorted`"
                )
        equal(f"make_vocabulary with min_count {least}", received, expected, hint)


def encode(ex: Any, random: Random) -> None:
    """Checks ids, of known and of unknown tokens, and their type."""
    for _ in range(3):
        names = list(dict.fromkeys(_word(random, _SCRIPTS) for _ in range(20)))
        names = ["■,", "Ab", *names, "ab", ","]  # the last ones are unknown
        vocabulary = ["<unk>", *names[:-5]]
        text = [names[i] for i in random.integers(0, len(names), 30)] + [names[-1], names[0]]
        wanted = [vocabulary.index(token) if token in vocabulary else 0 for token in text]
        found = ex.encode(text, vocabulary)
        hint = "the id of a token, as it is, is its place in the vocabulary; 0 if it has none"
        if plain(found) == [max(0, i - 1) for i in wanted]:
            hint = "`<unk>` has the id 0, so the token after it has the id 1"
        equal("encode", found, wanted, hint)
        array("encode: what it returns", found, "int32", "np.array(..., np.int32)")
    found = ex.encode([], vocabulary)
    true(
        "encode of no tokens",
        isinstance(found, np.ndarray) and found.shape == (0,),
        expected="an array of no ids",
        received=found,
        hint="np.array([], np.int32)",
    )
