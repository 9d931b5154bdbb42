"""Mutants that operators make of the solution: a number, a sign or a statement is another one."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from functools import cache

from mutants.behaviour import PROBES
from mutants.mutant import Mutant, function_source

_EXERCISES = {
    "0": ("count_words", "coverage"),
    "1": ("tokenize", "detokenize", "make_vocabulary", "encode"),
    "2": ("count_ngrams", "ngram_distribution", "perplexity", "tune_weights"),
    "3": ("make_windows",),
    "5": ("greedy", "find_cycle"),
    "6": ("sample",),
    "7": ("generate_with_state", "generate_by_rerunning"),
    "8": ("distinct", "repetition", "copied_share"),
}
_COMPARED: dict[type, type] = {
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_CALCULATED: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}


def _one_more(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)


def _compared(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        yield ast.Compare(node.left, [_COMPARED[type(node.ops[0])]()], node.comparators)


def _calculated(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and type(node.op) in _CALCULATED:
        yield ast.BinOp(node.left, _CALCULATED[type(node.op)](), node.right)


def _swapped(node: ast.AST) -> Iterator[ast.AST]:
    """Arguments, or the two parts of a pair, in the other order."""
    if isinstance(node, ast.Call) and len(node.args) >= 2:
        first, second, *rest = node.args
        yield ast.Call(node.func, [second, first, *rest], node.keywords)
    if isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.ctx, ast.Load):
        yield ast.Tuple(node.elts[::-1], node.ctx)


def _without(node: ast.AST) -> Iterator[ast.AST]:
    """A term, a sign, a bound or a whole statement is left out."""
    if isinstance(node, ast.BinOp):
        yield node.left
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, ast.Slice) and node.lower is not None:
        yield ast.Slice(None, node.upper, node.step)
    if isinstance(node, ast.Slice) and node.upper is not None:
        yield ast.Slice(node.lower, None, node.step)
    if isinstance(node, ast.AugAssign | ast.Expr):
        yield ast.Pass()


def _condition(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        other = copy.copy(node)
        other.test = ast.UnaryOp(ast.Not(), node.test)
        yield other
    if isinstance(node, ast.BoolOp):
        yield from node.values


OPERATORS = {
    "number": _one_more,
    "comparison": _compared,
    "calculation": _calculated,
    "swapped": _swapped,
    "without": _without,
    "condition": _condition,
}

# Same as the solution, or as another mutant, on all inputs of `behaviour`; a test looks whether
# that is so. Some differ where the text leaves the answer open.
_SAME = {
    "coverage": "without-1",
    "tokenize": "condition-1",
    "detokenize": "number-2 without-1",
    "make_vocabulary": "comparison-1 swapped-1 without-1",
    "encode": "number-1 number-2",
    "count_ngrams": (
        "number-2 number-4 calculation-5 without-1 without-2 without-3 without-6 without-8"
    ),
    "perplexity": "without-1",
    "tune_weights": (
        "without-4 number-1 number-3 number-4 number-6 number-7 number-8 number-11 number-12 "
        "swapped-3 swapped-4 without-1 without-3"
    ),
    "make_windows": (
        "number-1 number-2 number-6 number-8 number-10 number-14 calculation-2 calculation-4 "
        "calculation-6 calculation-7 calculation-8 swapped-1 swapped-2 swapped-3 swapped-5 "
        "swapped-6 swapped-8 swapped-9 without-1 without-2 without-3 without-4 without-6 "
        "without-7 without-8 without-9 without-10 without-11 without-12"
    ),
    "find_cycle": (
        "number-1 number-4 number-5 number-6 number-11 number-15 comparison-1 comparison-3 "
        "calculation-2 calculation-3 calculation-4 calculation-6 calculation-7 swapped-1 "
        "swapped-2 without-1 without-2 without-3 without-4 without-5 without-6 without-7 "
        "without-8 without-9 condition-1 condition-2"
    ),
    "sample": "without-1 without-3 number-2 calculation-1 without-2 condition-1",
    "generate_with_state": "number-2 comparison-1 calculation-1 without-2 without-3",
    "generate_by_rerunning": "number-2 without-3",
    "distinct": "swapped-1 without-1",
    "repetition": "swapped-1",
    "copied_share": "swapped-2 swapped-3 swapped-4 without-2 without-4",
}
SAME = frozenset(
    f"{function}/{name}" for function, names in _SAME.items() for name in names.split()
)


class _Change(ast.NodeTransformer):
    """Puts another node in the place of one that is given by its number."""

    def __init__(self, place: int, other: ast.AST):
        self.place, self.other, self.number = place, other, -1

    def visit(self, node: ast.AST) -> ast.AST:
        self.number += 1
        if self.number == self.place:
            return self.other
        return self.generic_visit(node)


def _nodes(tree: ast.AST) -> list[ast.AST]:
    """All nodes, in the order in which `_Change` visits them."""
    found: list[ast.AST] = []

    def visit(node: ast.AST) -> None:
        found.append(node)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def _changed(function: str) -> Iterator[tuple[str, str]]:
    """Name and source of each change of a function."""
    tree = ast.parse(function_source(function))
    plain, seen = ast.unparse(tree), set()
    for name, operator in OPERATORS.items():
        number = 0
        for place, node in enumerate(_nodes(tree)):
            for other in operator(node):
                source = ast.unparse(
                    ast.fix_missing_locations(_Change(place, other).visit(copy.deepcopy(tree)))
                )
                number += 1
                if source != plain and source not in seen:
                    seen.add(source)
                    yield f"{name}-{number}", source


@cache
def candidates() -> tuple[Mutant, ...]:
    """All that the operators make, also what is the same as something else."""
    found = []
    for exercise, functions in _EXERCISES.items():
        for function in functions:
            assert function in PROBES
            for name, source in _changed(function):
                found.append(
                    Mutant(
                        id=f"{function}/{name}",
                        exercise=exercise,
                        function=function,
                        right=False,
                        part=source,
                        hint=rf"\b{function}\b|\bline \d+",
                        generated=True,
                    )
                )
    return tuple(found)


def generated() -> list[Mutant]:
    """The generated mutants that are wrong, and differ from each other."""
    return [mutant for mutant in candidates() if mutant.id not in SAME]
