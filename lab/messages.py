"""Finds the messages of the lab in its sources, and writes sources in another language.

Texts of code are found by rule, so that who writes a hint need not think of languages: a text that
has words with spaces between them, or that says what is expected, received, to be done or drawn.
"""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

LAB = Path(__file__).resolve().parent
EXERCISES = "lab/exercises.py"
NOTEBOOKS = [f"lab/{path.name}" for path in sorted(LAB.glob("word_level_lab*.py"))]
_OWN = (
    "assignment", "books", "check", "grade", "leaderboard", "play", "starter", "tables",
    "notebook/drawing", "notebook/inside", "notebook/plan", "notebook/torch_layers",
    "notebook/training", "sandbox/contest", "sandbox/jail", "sandbox/networks",
    "sandbox/run", "sandbox/torch_networks",
)  # fmt: skip
_BOOKS = ["model/text/decoding.py", "model/text/books.py"]
# Files whose texts are shown while they run.
SPEAKING = [
    *(f"lab/checks/{path.name}" for path in sorted((LAB / "checks").glob("*.py"))),
    *(f"lab/{name}.py" for name in _OWN),
    *_BOOKS,
]
_COLUMNS = 100

# Also single words are shown if they are given or set by these names, or to these functions ...
_SHOWN = {"expected", "received", "hint", "title", "label", "xlabel", "ylabel"}
_SHOWN_CALLS = {"say", "print", "enumerate", "_exercise"}
# ... and these never: options of commands, which argparse shows in English, and code.
_HIDDEN = {"help", "description", "prog", "metavar", "family", "style", "encoding", "textcoords"}
_HIDDEN_CALLS = {"compile", "findall", "startswith", "endswith", "split", "get", "index"}
# What looks like a message, but is the name of a column, a part of a page, or a text to test with.
_NONE = re.compile(
    r"<(?!unk)|# In a hosted|Open in |\s*:root|\{STYLE|Mr\. |None$|textmill lab"
    r"|\s*(- )?name: |from lab|Python 3$|(first|last) name$|Feedback comments|SIS |\s+Points"
)
# A word as it stands in a sentence, not in code.
_WORD = re.compile(r"(?<![\w.`\[/<\\-])(?<!\w\()[A-Z]?[a-z]{2,}(?![\w.(`\[/=-])")


class Spot(NamedTuple):
    """A message in a source.

    Attributes:
        message: the message.
        begin: place of its first character.
        end: the place after its last.
        written: gives the code of a translation.
    """

    message: str
    begin: int
    end: int
    written: Callable[[str], str]


# -- strings ---------------------------------------------------------------------------------------


def _of_string(node: ast.expr, sums: bool) -> str | None:
    """Gives the message of a string, an f-string or a sum with one; None if it is something else.

    A value stands in it as its own code, in braces.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _escaped(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_part, node.values))
    if sums and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [(side, _of_string(side, sums)) for side in (node.left, node.right)]
        if any(told is not None for _, told in sides):
            return "".join(_value(side) if told is None else told for side, told in sides)
    return None


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _value(node: ast.expr, how: str = "") -> str:
    return "{" + ast.unparse(node) + how + "}"


def _part(node: ast.expr) -> str:
    """Writes a part of an f-string as it is in a message."""
    if isinstance(node, ast.FormattedValue):
        how = "" if node.conversion < 0 else f"!{chr(node.conversion)}"
        spec = node.format_spec
        how += ":" + "".join(map(_part, spec.values)) if isinstance(spec, ast.JoinedStr) else ""
        return _value(node.value, how)
    assert isinstance(node, ast.Constant)
    return _escaped(str(node.value))


def strings(
    tree: ast.AST, *, sums: bool = True, alone: bool = False
) -> Iterator[tuple[str, ast.AST]]:
    """Gives the messages in code's strings, each with its node.

    Args:
        tree: the code.
        sums: a sum is one message, and what is added to a variable begins with its value.
        alone: single words are messages, too.
    """
    if isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Constant):
        return  # a docstring
    if isinstance(tree, ast.Compare):
        return  # compared, not shown
    if isinstance(tree, ast.Attribute) and isinstance(tree.value, ast.Constant):
        return  # the method of a string
    if isinstance(tree, ast.Subscript):
        yield from strings(tree.value, sums=sums)
        return
    if isinstance(tree, ast.Call):
        name = ast.unparse(tree.func)
        if name.split(".")[-1] in _HIDDEN_CALLS:
            yield from strings(tree.func, sums=sums)
            return
        alone = name in _SHOWN_CALLS
    elif isinstance(tree, ast.keyword):
        if tree.arg in _HIDDEN:
            return
        alone = tree.arg in _SHOWN
    elif isinstance(tree, ast.Assign):
        alone = ast.unparse(tree.targets[0]) in _SHOWN
    elif not isinstance(tree, ast.expr):
        alone = False
    value, before = tree, ""
    if sums and isinstance(tree, ast.AugAssign) and isinstance(tree.op, ast.Add):
        value, before = tree.value, _value(tree.target)
    message = _of_string(value, sums) if isinstance(value, ast.expr) else None
    if message is None:
        for child in ast.iter_child_nodes(tree):
            yield from strings(child, sums=sums, alone=alone)
        return
    if _is_message(message, alone):
        yield before + message, tree
    if sums:  # places of what stands in an f-string are not known before Python 3.12
        for inner in _values(value):
            yield from strings(inner, sums=sums, alone=alone)


def _is_message(message: str, alone: bool) -> bool:
    from lab.language import pieces

    text = "\0".join(piece.text for piece in pieces(message) if not piece.placeholder)
    if _NONE.match(message):
        return False
    return bool(_WORD.search(text)) and (alone or " " in text.strip("\n"))


def _values(node: ast.AST) -> Iterator[ast.expr]:
    """Gives the values in an f-string or a sum."""
    if isinstance(node, ast.FormattedValue):
        yield node.value
    elif isinstance(node, ast.JoinedStr | ast.BinOp):
        for child in ast.iter_child_nodes(node):
            yield from _values(child)
    elif isinstance(node, ast.expr) and not isinstance(node, ast.Constant):
        yield node


# -- sources that are written in other languages, too ----------------------------------------------


def of_cell(cell: Any) -> list[Spot]:
    """Finds the messages of a notebook's cell."""
    return _of_code(cell.source) if cell.cell_type == "code" else _paragraphs(cell.source)


def _of_code(code: str) -> list[Spot]:
    """Finds the messages of code: comments, and strings that are shown."""
    found = _comments(code)
    for message, node in strings(ast.parse(code), sums=False):
        begin, end = _place(node, code)
        write = _f_string if isinstance(node, ast.JoinedStr) else _plain
        found.append(Spot(message, begin, end, write))
    return sorted(found, key=lambda spot: spot.begin)


def of_exercises(code: str) -> list[Spot]:
    """Finds the messages of the exercises: docstrings and comments."""
    found = _comments(code)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.Module) and (text := ast.get_docstring(node)):
            first = node.body[0]
            begin, end = _place(first, code)
            found.append(Spot(text, begin, end, _docstring(" " * first.col_offset)))
    return sorted(found, key=lambda spot: spot.begin)


def _paragraphs(markdown: str) -> list[Spot]:
    return [
        Spot(match[0], match.start(), match.end(), str)
        for match in re.finditer(r"\S.*?(?=\n\s*\n|\Z)", markdown.rstrip(), re.DOTALL)
        if not match[0].startswith("<!--")  # it stands for cells of another notebook
    ]


def translated(source: str, spots: Iterable[Spot], translations: Mapping[str, str]) -> str:
    """Writes a source in another language; a message without a translation stays."""
    found, place = [], 0
    for spot in spots:
        found.append(source[place : spot.begin])
        told = translations.get(spot.message)
        found.append(source[spot.begin : spot.end] if told is None else spot.written(told))
        place = spot.end
    return "".join([*found, source[place:]])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _plain(message: str) -> str:
    """Writes a message as the code of a string."""
    from lab.language import pieces

    return '"' + "".join(_quoted(piece.text) for piece in pieces(message)) + '"'


def _f_string(message: str) -> str:
    """Writes a message as the code of an f-string."""
    from lab.language import pieces

    told = (
        piece.text if piece.placeholder else _quoted(_escaped(piece.text))
        for piece in pieces(message)
    )
    return 'f"' + "".join(told) + '"'


def _place(node: Any, code: str) -> tuple[int, int]:
    """Gives where a node begins and ends; Python counts bytes of a line."""
    lines = code.encode().split(b"\n")

    def place(row: int, column: int) -> int:
        return len(b"\n".join([*lines[: row - 1], lines[row - 1][:column]]).decode())

    return place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)


def _comments(code: str) -> list[Spot]:
    """Finds the comments; those of lines one below the other are one message."""
    groups: list[list[tokenize.TokenInfo]] = []

    def alone(token: tokenize.TokenInfo) -> bool:
        return not token.line[: token.start[1]].strip()

    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type != tokenize.COMMENT:
            continue
        last = groups[-1][-1] if groups else token
        below = (last.start[0] + 1, last.start[1]) == token.start
        if below and alone(token) and alone(last):
            groups[-1].append(token)
        else:
            groups.append([token])
    lines, found = code.split("\n"), []
    for group in groups:
        first, last = group[0], group[-1]
        text = " ".join(token.string.removeprefix("#").strip() for token in group)
        head = re.fullmatch(r"-- (.*?) -+", text)
        if re.search(r"[^\W\d_]{2,}", text):
            begin, end = (
                sum(len(line) + 1 for line in lines[: row - 1]) + column
                for row, column in (first.start, last.end)
            )
            how = _rule if head else _wrapped(first.start[1]) if alone(first) else _short
            found.append(Spot(head[1] if head else text, begin, end, how))
    return found


def _rule(text: str) -> str:
    return f"# -- {text} ".ljust(_COLUMNS, "-")


def _short(text: str) -> str:
    return f"# {text}"


def _docstring(indent: str) -> Callable[[str], str]:
    def written(text: str) -> str:
        # Lists, such as those of arguments, keep their lines.
        told = "\n\n".join(
            each if "\n " in each else textwrap.fill(each, _COLUMNS - len(indent))
            for each in text.split("\n\n")
        )
        last = "\n" if "\n" in told else ""
        return textwrap.indent(f'"""{told}{last}"""', indent).removeprefix(indent)

    return written


def _wrapped(column: int) -> Callable[[str], str]:
    def written(text: str) -> str:
        lines = textwrap.wrap(text, _COLUMNS - column - 2, break_on_hyphens=False)
        return ("\n" + " " * column).join(f"# {line}" for line in lines)

    return written


# -- all of them -----------------------------------------------------------------------------------


def cells(source: Path) -> list[Any]:
    """Gives the cells of a notebook's source."""
    import jupytext

    return list(jupytext.read(source).cells)


def all_messages() -> dict[str, list[str]]:
    """Gives the files of each message, in the order of the sources."""
    found: dict[str, list[str]] = {}

    def add(file: str, message: str) -> None:
        files = found.setdefault(message, [])
        if file not in files:
            files.append(file)

    for file in SPEAKING:
        for message, _ in strings(ast.parse((LAB.parent / file).read_text("utf-8"))):
            add(file, message)
    for spot in of_exercises((LAB.parent / EXERCISES).read_text("utf-8")):
        add(EXERCISES, spot.message)
    for file in NOTEBOOKS:
        for cell in cells(LAB.parent / file):
            for spot in of_cell(cell):
                add(file, spot.message)
    return found
