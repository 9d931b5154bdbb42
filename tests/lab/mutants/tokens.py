"""Mutants of exercise 1: tokens, and back to text."""
# ruff: noqa: E501

from __future__ import annotations

from mutants.hints import KEPT, changed, nothing
from mutants.mutant import Variants

tokenize = Variants("1", "tokenize")
detokenize = Variants("1", "detokenize")
ALL = [tokenize, detokenize]


def _pattern(pattern: str, *, mark: str = '("■" if match.start() == end else "")') -> str:
    """A tokenizer by a regular expression."""
    return f"""
        def tokenize(text):
            tokens, end = [], None
            for match in re.finditer({pattern!r}, text):
                tokens.append({mark} + match.group())
                end = match.end()
            return tokens
    """


def _after(change: str) -> str:
    """A tokenizer that does something to right tokens."""
    return f"""
        def _right(text):
            tokens, end = [], None
            for match in _TOKEN.finditer(text):
                tokens.append(("■" if match.start() == end else "") + match.group())
                end = match.end()
            return tokens

        def tokenize(text):
            tokens = _right(text)
            return {change}
    """


def _before(change: str) -> str:
    """A tokenizer that does something to the text first."""
    return _after("tokens").replace(
        "_right(text)\n            return", f"_right({change})\n            return"
    )


_W = r"[^\W_]"
_REST = r"|[^\w\s]|_"
_APOSTROPHE = r"apostrophe"
_MARK = r"punctuation mark|each mark|mark"
_SCRIPT = r"script"
_SIGN = r"■"
_SPACE = r"white space"

wrong = tokenize.wrong
wrong("pass", nothing("tokenize"), "def tokenize(text):\n    pass\n")
# What belongs to a word.
wrong("underscore-in-words", r"underscore|_", _pattern(r"\w+(?:['’]\w+)*|[^\w\s]"))
wrong(
    "underscore-lost",
    r"underscore|_|every (mark|character)|lost|missing",
    _pattern(rf"{_W}+(?:['’]{_W}+)*|[^\w\s]"),
)
wrong("underscore-joins", r"underscore|_", _pattern(rf"{_W}+(?:['’_]{_W}+)*{_REST}"))
wrong(
    "decimal-as-one",
    r"1\.5|decimal|number|digits|punctuation",
    _pattern(rf"[0-9]+\.[0-9]+|{_W}+(?:['’]{_W}+)*{_REST}"),
)
wrong(
    "thousands-as-one",
    r"decimal|number|digits|comma|punctuation",
    _pattern(rf"[0-9]+(?:,[0-9]+)+|{_W}+(?:['’]{_W}+)*{_REST}"),
)
wrong(
    "numbers-as-one",
    r"decimal|number|digits|punctuation",
    _pattern(rf"[0-9]+(?:[.,:/][0-9]+)*|{_W}+(?:['’]{_W}+)*{_REST}"),
)
wrong(
    "times-as-one",
    r"number|digits|mark",
    _pattern(rf"[0-9]+(?::[0-9]+)+|{_W}+(?:['’]{_W}+)*{_REST}"),
)
wrong("latin-only", _SCRIPT, _pattern(r"[A-Za-z0-9]+(?:['’][A-Za-z0-9]+)*|[^A-Za-z0-9\s]"))
wrong(
    "latin-1-only",
    _SCRIPT,
    _pattern(r"[A-Za-zÀ-ÖØ-öø-ÿ0-9]+(?:['’][A-Za-zÀ-ÖØ-öø-ÿ0-9]+)*|[^A-Za-zÀ-ÖØ-öø-ÿ0-9\s]"),
)
wrong(
    "latin-and-cyrillic-only",
    _SCRIPT,
    _pattern(
        r"[A-Za-zÀ-ÖØ-öø-ɏЀ-ӿ0-9]+(?:['’][A-Za-zÀ-ÖØ-öø-ɏЀ-ӿ0-9]+)*|[^A-Za-zÀ-ÖØ-öø-ɏЀ-ӿ0-9\s]"
    ),
)
wrong("cyrillic-only", _SCRIPT, _pattern(r"[Ѐ-ӿ0-9]+(?:['’][Ѐ-ӿ0-9]+)*|[^Ѐ-ӿ0-9\s]"))
wrong(
    "russian-range",
    _SCRIPT,
    _pattern(
        r"[A-Za-zÀ-ÖØ-öø-ÿА-Яа-я0-9]+(?:['’][A-Za-zÀ-ÖØ-öø-ÿА-Яа-я0-9]+)*|[^A-Za-zÀ-ÖØ-öø-ÿА-Яа-я0-9\s]"
    ),
)
wrong("other-scripts-lost", _SCRIPT, _pattern(r"[A-Za-z0-9]+(?:['’][A-Za-z0-9]+)*|[^\w\s]|_"))
wrong(
    "ascii-digits-only",
    r"digit|script",
    _pattern(r"(?:(?!\d)[^\W_]|[0-9])+(?:['’](?:(?!\d)[^\W_]|[0-9])+)*|[^\s]"),
)
wrong("without-digits", r"digit|number|lost", _pattern(r"[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]|_"))
wrong("each-digit-alone", r"digit", _pattern(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d|[^\w\s]|_"))
wrong("digits-apart-from-letters", r"digit", _pattern(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+|[^\w\s]|_"))
wrong(
    "camel-case-apart",
    r"letter|word|capital|case",
    _pattern(rf"[A-Z]?(?:(?![A-Z]){_W})+(?:['’]{_W}+)*|{_W}{_REST}"),
)
# Apostrophes.
wrong("apostrophe-at-the-edges", _APOSTROPHE, _pattern(r"(?:[^\W_]|['’])+|[^\w\s]|_"))
wrong("apostrophe-at-the-end", _APOSTROPHE, _pattern(rf"{_W}+(?:['’]{_W}+)*['’]?{_REST}"))
wrong("apostrophe-at-the-beginning", _APOSTROPHE, _pattern(rf"['’]?{_W}+(?:['’]{_W}+)*{_REST}"))
wrong("one-apostrophe-only", _APOSTROPHE, _pattern(rf"{_W}+(?:['’]{_W}+)?{_REST}"))
wrong("no-apostrophe", _APOSTROPHE, _pattern(rf"{_W}+{_REST}"))
wrong("straight-apostrophe-only", r"curly|’", _pattern(rf"{_W}+(?:'{_W}+)*{_REST}"))
wrong("curly-apostrophe-only", r"straight|'|apostrophe", _pattern(rf"{_W}+(?:’{_W}+)*{_REST}"))
wrong(
    "apostrophe-between-letters-of-english",
    _APOSTROPHE + "|" + _SCRIPT,
    _pattern(rf"{_W}+(?:(?<=[A-Za-z])['’](?=[A-Za-z]){_W}+)*{_REST}"),
)
wrong("contractions-apart", _APOSTROPHE, _pattern(rf"{_W}+|['’](?:t|s|re|ve|ll|d|m)\b{_REST}"))
wrong("one-letter-after-apostrophe", _APOSTROPHE, _pattern(rf"{_W}+(?:['’]{_W}\b)*{_REST}"))
wrong("apostrophe-made-straight", r"curly|’|apostrophe", _before("text.replace('’', chr(39))"))
wrong(
    "apostrophe-dropped",
    _APOSTROPHE,
    _after("[t.replace(chr(39), '').replace('’', '') or t for t in tokens]"),
)
# Punctuation marks.
wrong(
    "hyphen-within-words",
    r"hyphen|punctuation|marks inside",
    _pattern(rf"{_W}+(?:['’-]{_W}+)*{_REST}"),
)
wrong(
    "dash-within-words",
    r"dash|hyphen|punctuation|marks inside",
    _pattern(rf"{_W}+(?:['’–—]{_W}+)*{_REST}"),
)
wrong(
    "point-within-words",
    r"abbreviation|punctuation|1\.5|point|mark",
    _pattern(rf"{_W}+(?:['’.]{_W}+)*{_REST}"),
)
wrong("at-and-slash-within-words", r"punctuation|mark", _pattern(rf"{_W}+(?:['’@/]{_W}+)*{_REST}"))
wrong(
    "titles-with-their-point",
    r"punctuation|mark",
    _pattern(rf"(?:Mr|Mrs|Dr|St)\.|{_W}+(?:['’]{_W}+)*{_REST}"),
)
wrong(
    "peeled-off-the-ends",
    r"within|inside|between|middle|white space",
    """
    def tokenize(text):
        tokens = []
        for chunk in text.split():
            word, before, after = chunk, [], []
            while word and not word[0].isalnum():
                before.append(word[0])
                word = word[1:]
            while word and not word[-1].isalnum():
                after.insert(0, word[-1])
                word = word[:-1]
            for i, part in enumerate([*before, *([word] if word else []), *after]):
                tokens.append(("■" if i else "") + part)
        return tokens
""",
)
wrong(
    "peeled-off-the-end-only",
    r"before|begin|white space|within|mark",
    """
    def tokenize(text):
        tokens = []
        for chunk in text.split():
            match = re.match(r"(.*?)([^\\w]*)$", chunk)
            parts = ([match[1]] if match[1] else []) + list(match[2])
            tokens += [("■" if i else "") + part for i, part in enumerate(parts)]
        return tokens
""",
)
wrong(
    "one-mark-peeled",
    r"mark",
    """
    def tokenize(text):
        tokens = []
        for chunk in text.split():
            if len(chunk) > 1 and not chunk[-1].isalnum():
                tokens += [chunk[:-1], "■" + chunk[-1]]
            else:
                tokens.append(chunk)
        return tokens
""",
)
wrong("split-on-spaces", _MARK, "def tokenize(text):\n    return text.split()\n")
wrong(
    "marks-in-a-run-as-one",
    r"each (punctuation )?mark|in a row|several marks|follow each other|three",
    _pattern(rf"{_W}+(?:['’]{_W}+)*|[^\w\s]+|_"),
)
wrong(
    "ellipsis-as-one",
    r"each (punctuation )?mark|in a row|several marks|follow each other|three",
    _pattern(rf"\.\.\.|{_W}+(?:['’]{_W}+)*{_REST}"),
)
wrong(
    "same-marks-as-one",
    r"each (punctuation )?mark|in a row|several marks|follow each other|three",
    _pattern(rf"{_W}+(?:['’]{_W}+)*|([^\w\s])\1*|_"),
)
wrong(
    "question-with-exclamation-as-one",
    r"each (punctuation )?mark|in a row|several marks|follow each other",
    _pattern(rf"[?!]+|{_W}+(?:['’]{_W}+)*{_REST}"),
)
wrong(
    "double-dash-as-one",
    r"each (punctuation )?mark|in a row|several marks|follow each other",
    _pattern(rf"--|{_W}+(?:['’]{_W}+)*{_REST}"),
)
wrong(
    "run-of-marks-once",
    r"each (punctuation )?mark|in a row|several marks|follow each other|every mark|three",
    _before(r"re.sub(r'([^\w\s])\1+', r'\1', text)"),
)
wrong("marks-lost", _MARK, _pattern(rf"{_W}+(?:['’]{_W}+)*"))
wrong("ascii-marks-only", r"mark", _pattern(rf"{_W}+(?:['’]{_W}+)*|[!-/:-@\[-`{{-~]"))
wrong("sentence-marks-only", r"mark", _pattern(rf"{_W}+(?:['’]{_W}+)*|[.,;:!?]"))
wrong("quotes-lost", r"mark|quot", _before("re.sub('[\"“”„«»]', '', text)"))
wrong("brackets-lost", r"mark|bracket", _before(r"re.sub(r'[()\[\]]', ' ', text)"))
wrong("dash-lost", r"mark|dash", _before("text.replace('—', ' ')"))
# White space.
wrong(
    "single-space-only",
    _SPACE,
    """
    def tokenize(text):
        tokens = []
        for chunk in text.split(" "):
            parts = re.findall(r"[^\\W_]+(?:['’][^\\W_]+)*|[^\\w\\s]|_|\\n", chunk)
            tokens += [("■" if i else "") + part for i, part in enumerate(parts)]
        return tokens
""",
)
wrong("line-breaks-as-tokens", _SPACE, _pattern(rf"{_W}+(?:['’]{_W}+)*{_REST}|\n"))
wrong(
    "line-break-is-no-white-space",
    _SPACE,
    _pattern(
        rf"{_W}+(?:['’]{_W}+)*{_REST}",
        mark='("" if match.start() == 0 or text[match.start() - 1] == " " else "■")',
    ),
)
wrong(
    "tab-is-no-white-space",
    _SPACE,
    _pattern(
        rf"{_W}+(?:['’]{_W}+)*{_REST}",
        mark='("" if match.start() == 0 or text[match.start() - 1] in " \\n" else "■")',
    ),
)
wrong("spaces-as-tokens", _SPACE, _pattern(rf"{_W}+(?:['’]{_W}+)*|\s+{_REST}"))
wrong("first-line-only", r"line|white space", _before("text.split('\\n')[0]"))
# The sign.
wrong("no-sign", _SIGN, _after("[t.removeprefix('■') for t in tokens]"))
wrong(
    "sign-on-marks-only",
    r"word",
    _after("[t[1:] if t[0] == '■' and t[1].isalnum() else t for t in tokens]"),
)
wrong(
    "sign-on-words-only",
    r"mark|■",
    _after("[t[1:] if t[0] == '■' and not t[1].isalnum() else t for t in tokens]"),
)
wrong(
    "sign-on-every-mark",
    r"white space|■",
    _pattern(rf"{_W}+(?:['’]{_W}+)*{_REST}", mark='("" if match.group()[0].isalnum() else "■")'),
)
wrong(
    "sign-where-there-is-a-space",
    r"no white space|■",
    _after("[t[1:] if t[0] == '■' else '■' + t if i else t for i, t in enumerate(tokens)]"),
)
wrong(
    "sign-on-the-first",
    r"first|begin|■",
    _after("['■' + t if i == 0 else t for i, t in enumerate(tokens)]"),
)
wrong(
    "sign-at-the-end",
    r"leading|before|■",
    _after("[t[1:] + '■' if t[0] == '■' else t for t in tokens]"),
)
wrong(
    "sign-on-the-token-before",
    r"leading|before|■",
    _after(
        "[t.removeprefix('■') + ('■' if n[0] == '■' else '') for t, n in zip(tokens, [*tokens[1:], ' '])]"
    ),
)
wrong(
    "sign-as-a-token",
    r"leading|■",
    _after("[p for t in tokens for p in (['■', t[1:]] if t[0] == '■' else [t])]"),
)
wrong("other-sign", r"■", _after("[t.replace('■', '##') for t in tokens]"))
wrong("sign-and-space", r"■", _after("[t.replace('■', '■ ') for t in tokens]"))
# The tokens as a whole.
wrong("lower-case", r"\bcase\b", _after("[t.lower() for t in tokens]"))
wrong(
    "first-letter-lower",
    r"\bcase\b",
    _after("[t.lower() if i == 0 else t for i, t in enumerate(tokens)]"),
)
wrong("casefold", r"\bcase\b|ß|script", _before("text.casefold()"))
wrong(
    "without-accents",
    _SCRIPT + r"|accent|letter",
    """
    import unicodedata

    def tokenize(text):
        plain = unicodedata.normalize("NFD", text)
        text = "".join(c for c in plain if not unicodedata.combining(c))
        tokens, end = [], None
        for match in _TOKEN.finditer(text):
            tokens.append(("■" if match.start() == end else "") + match.group())
            end = match.end()
        return tokens
""",
)
wrong(
    "letters",
    r"word",
    """
    def tokenize(text):
        return [("■" if i and text[i - 1].strip() else "") + c for i, c in enumerate(text) if c.strip()]
""",
)
wrong("last-left-out", r"last|lost|every|end", _after("tokens[:-1]"))
wrong("one-text", r"list", _after("' '.join(tokens)"))
wrong("one-letter-tokens-lost", r"word|every|lost", _after("[t for t in tokens if len(t) > 1]"))
wrong(
    "end-kept-between-calls",
    KEPT,
    """
    _tokens = []

    def tokenize(text):
        end = None
        for match in _TOKEN.finditer(text):
            _tokens.append(("■" if match.start() == end else "") + match.group())
            end = match.end()
        return list(_tokens)
""",
)
wrong(
    "the-example",
    r"punctuation|tokenize|word|text",
    """
    def tokenize(text):
        return ["Stop", "■,", "she", "said", "■."]
""",
)
wrong(
    "known-texts-only",
    _MARK,
    """
    _KNOWN = {
        "": [],
        "Stop, she said.": ["Stop", "■,", "she", "said", "■."],
        "don't": ["don't"],
        "rock'n'roll": ["rock'n'roll"],
        "...": [".", "■.", "■."],
        "well-known": ["well", "■-", "■known"],
        "1.5": ["1", "■.", "■5"],
        "snake_case": ["snake", "■_", "■case"],
    }

    def tokenize(text):
        return _KNOWN.get(text, text.split())
""",
)

right = tokenize.right
right(
    "one-by-one",
    """
    def tokenize(text):
        tokens, i, n = [], 0, len(text)
        while i < n:
            if text[i].isspace():
                i += 1
                continue
            begin = i
            if text[i].isalnum():
                while i < n and (
                    text[i].isalnum()
                    or (text[i] in "'’" and i + 1 < n and text[i + 1].isalnum())
                ):
                    i += 1
            else:
                i += 1
            follows = begin > 0 and not text[begin - 1].isspace()
            tokens.append(("■" if follows else "") + text[begin:i])
        return tokens
""",
)
right(
    "chunk-by-chunk",
    """
    def tokenize(text):
        tokens = []
        for chunk in text.split():
            parts = re.findall(r"(?:(?!_)\\w)+(?:['’](?:(?!_)\\w)+)*|\\W|_", chunk)
            tokens += [part if i == 0 else "■" + part for i, part in enumerate(parts)]
        return tokens
""",
)
right(
    "look-behind",
    """
    def tokenize(text):
        found = re.finditer(r"(?:[^\\W_]|(?<=[^\\W_])['’](?=[^\\W_]))+|\\S", text)
        return [
            ("■" if m.start() and not text[m.start() - 1].isspace() else "") + m.group() for m in found
        ]
""",
)
right(
    "spaces-as-groups",
    """
    def tokenize(text):
        found = re.findall(r"(\\s*)([^\\W_]+(?:['’][^\\W_]+)*|\\S)", text)
        return [word if space or i == 0 else "■" + word for i, (space, word) in enumerate(found)]
""",
)
right(
    "generator",
    """
    def _tokens(text):
        end = -1
        for match in _TOKEN.finditer(text):
            yield match.group() if match.start() != end else f"■{match.group()}"
            end = match.end()

    def tokenize(text):
        return list(_tokens(text))
""",
)
right(
    "split-and-merge",
    """
    def tokenize(text):
        tokens = []
        for chunk in text.split():
            parts = [p for p in re.split(r"([\\W_])", chunk) if p]
            i = 0
            while i + 2 < len(parts):
                if parts[i][0].isalnum() and parts[i + 1] in "'’" and parts[i + 2][0].isalnum():
                    parts[i : i + 3] = ["".join(parts[i : i + 3])]
                else:
                    i += 1
            tokens += parts[:1] + ["■" + part for part in parts[1:]]
        return tokens
""",
)
right(
    "scanner",
    """
    _scanner = re.Scanner([
        (r"\\s+", lambda scanner, found: " "),
        (r"[^\\W_]+(?:['’][^\\W_]+)*", lambda scanner, found: found),
        (r".", lambda scanner, found: found),
    ], re.UNICODE)

    def tokenize(text):
        found, _ = _scanner.scan(text)
        pairs = zip([" ", *found], found)
        return [token if before == " " else "■" + token for before, token in pairs if token != " "]
""",
)
right(
    "spaces-around",
    """
    def tokenize(text):
        text = re.sub(r"\\s+", " ", text)
        spaced = re.sub(r"(?<=[^ ])(?=(?![^\\W_])[^ ])|(?<=(?![^\\W_])[^ ])(?=[^\\W_])", " ■", text)
        # An apostrophe between letters was cut on both sides.
        spaced = re.sub(r"(?<=[^\\W_]) ■(['’]) ■(?=[^\\W_])", r"\\1", spaced)
        return spaced.split()
""",
)
right(
    "unicode-categories",
    """
    import unicodedata
    from itertools import groupby

    def _kind(c):
        if c.isspace():
            return "space"
        return "word" if unicodedata.category(c)[0] in "LN" else c

    def tokenize(text):
        kinds = [_kind(c) for c in text]
        for i in range(1, len(text) - 1):
            if text[i] in "'’" and kinds[i - 1] == "word" and kinds[i + 1] == "word":
                kinds[i] = "within"
        kinds = ["word" if kind == "within" else kind for kind in kinds]
        tokens, space = [], True
        for (kind, place), group in groupby(
            zip(kinds, text, range(len(text))), key=lambda t: (t[0], -1 if t[0] in ("word", "space") else t[2])
        ):
            found = "".join(c for _, c, _ in group)
            if kind != "space":
                tokens.append(found if space else "■" + found)
            space = kind == "space"
        return tokens
""",
)

_JOIN = "def detokenize(tokens):\n    return {}\n"
wrong = detokenize.wrong
_FOLLOWS = r"■"
wrong("pass", nothing("detokenize"), "def detokenize(tokens):\n    pass\n")
wrong("sign-left", _FOLLOWS, _JOIN.format("' '.join(tokens)"))
wrong("sign-left-space-gone", _FOLLOWS, _JOIN.format("' '.join(tokens).replace(' ■', '■')"))
wrong(
    "sign-gone-space-left",
    r"■|directly|space",
    _JOIN.format("' '.join(t.removeprefix('■') for t in tokens)"),
)
wrong("no-spaces", r"space", _JOIN.format("''.join(t.removeprefix('■') for t in tokens)"))
wrong(
    "space-in-front",
    r"first|begin|leading|front",
    _JOIN.format("''.join(t[1:] if t[0] == '■' else ' ' + t for t in tokens)"),
)
wrong("space-at-the-end", r"last|end", _JOIN.format("' '.join(tokens).replace(' ■', '') + ' '"))
wrong("two-spaces", r"one space|space", _JOIN.format("'  '.join(tokens).replace('  ■', '')"))
wrong("line-breaks", r"one space|space", _JOIN.format("'\\n'.join(tokens).replace('\\n■', '')"))
wrong(
    "no-space-before-any-mark",
    r"■|space",
    _JOIN.format("re.sub(r' (?=[^\\w\\s])', '', ' '.join(t.removeprefix('■') for t in tokens))"),
)
wrong(
    "sentence-marks-only",
    r"■",
    _JOIN.format("re.sub(r' (?=[.,;:!?])', '', ' '.join(t.removeprefix('■') for t in tokens))"),
)
wrong(
    "english-rules",
    r"■",
    _JOIN.format(
        "re.sub(r'(?<=[(“]) | (?=[.,;:!?)”])', '', ' '.join(t.removeprefix('■') for t in tokens))"
    ),
)
wrong(
    "word-after-mark-apart",
    r"■|word",
    _JOIN.format("re.sub(r' ■(?![^\\W_])', '', ' '.join(tokens)).replace('■', '')"),
)
wrong("last-left-out", r"token", _JOIN.format("' '.join(tokens[:-1]).replace(' ■', '')"))
wrong(
    "first-left-out",
    r"token",
    _JOIN.format("' '.join(tokens[1:]).replace(' ■', '')"),
)
wrong("a-list", r"text|string|str", _JOIN.format("' '.join(tokens).replace(' ■', '').split()"))
wrong(
    "lower-case",
    r"\bcase\b|as it is|nothing else|token",
    _JOIN.format("' '.join(tokens).replace(' ■', '').lower()"),
)
wrong(
    "sentence-case",
    r"\bcase\b|as it is|nothing else|token",
    _JOIN.format("' '.join(tokens).replace(' ■', '').capitalize()"),
)
wrong("one-mark-only", r"■|every|each", _JOIN.format("' '.join(tokens).replace(' ■', '', 1)"))
wrong(
    "no-tokens-fail",
    r"empty|no token|without a token|IndexError",
    """
    def detokenize(tokens):
        text = tokens[0].removeprefix("■")
        for token in tokens[1:]:
            text += token[1:] if token.startswith("■") else " " + token
        return text
""",
)
wrong(
    "kept-between-calls",
    KEPT,
    """
    _parts = []

    def detokenize(tokens):
        for token in tokens:
            _parts.append(token[1:] if token.startswith("■") else " " + token)
        return "".join(_parts).removeprefix(" ")
""",
)

wrong(
    "sign-of-the-first-left", r"■|first|begin", _JOIN.format("' '.join(tokens).replace(' ■', '')")
)
wrong(
    "takes-the-tokens-away",
    changed("token"),
    """
    def detokenize(tokens):
        text = ""
        while tokens:
            token = tokens.pop(0)
            text += token[1:] if token.startswith("■") else " " + token
        return text.strip()
""",
)
wrong(
    "changes-the-tokens",
    changed("token"),
    """
    def detokenize(tokens):
        for i, token in enumerate(tokens):
            tokens[i] = token[1:] if token.startswith("■") else " " + token
        return "".join(tokens).strip()
""",
)

right = detokenize.right
right("replace", _JOIN.format("' '.join(['', *tokens]).replace(' ■', '').strip()"))
right("substitute", _JOIN.format("re.sub('(^| )■', '', ' '.join(tokens))"))
right(
    "loop",
    """
    def detokenize(tokens):
        text = ""
        for i, token in enumerate(tokens):
            if token[0] == "■":
                text += token[1:]
            else:
                text += (" " if i else "") + token
        return text
""",
)
right(
    "reduce",
    """
    from functools import reduce

    def detokenize(tokens):
        def add(text, token):
            return text + token[1:] if token.startswith("■") else f"{text} {token}"

        return reduce(add, tokens, "").strip()
""",
)
right(
    "stream",
    """
    import io

    def detokenize(tokens):
        out = io.StringIO()
        for i, token in enumerate(tokens):
            glued = token.startswith("■")
            out.write(token[1:] if glued else " " * (i > 0) + token)
        return out.getvalue()
""",
)
right(
    "groups",
    """
    def detokenize(tokens):
        words = []
        for token in tokens:
            if token.startswith("■"):
                words[-1:] = ["".join(words[-1:]) + token[1:]]
            else:
                words.append(token)
        return " ".join(words)
""",
)
