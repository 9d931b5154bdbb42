"""The table of mutants: that it is sound, and that the checks see some of them as they have to."""
# ruff: noqa: E501

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest
from mutants import __main__ as command
from mutants.behaviour import PROBES, observe
from mutants.mutant import Mutant, Variants, solution
from mutants.operators import SAME, candidates
from mutants.score import blamed, fault, line, score, table
from mutants.table import Verdict, judge, mutants, needs_tensorflow

from lab import exercises
from lab.checks import EXERCISES
from lab.sandbox.run import Result

TABLE = {mutant.id: mutant for mutant in mutants()}

# What was once passed though wrong, failed though right, or got a hint of another fault; ids with *
# stand for several.
KNOWN = {
    "an underscore within words": "tokenize/underscore-*",
    "a decimal as one token": "tokenize/decimal-as-one tokenize/thousands-as-one tokenize/numbers-as-one",
    "letters of one script": "tokenize/latin-* tokenize/*cyrillic-only tokenize/russian-range tokenize/ascii-digits-only",
    "apostrophes at a word's edge": "tokenize/apostrophe-at-*",
    "one apostrophe only": "tokenize/one-apostrophe-only tokenize/one-letter-after-apostrophe",
    "hyphens within words": "tokenize/hyphen-within-words tokenize/dash-within-words",
    "ties in another order": "make_vocabulary/ties-*",
    "marks only peeled off": "tokenize/peeled-* tokenize/one-mark-peeled",
    "fixed answers": "perplexity/fixed-* tokenize/known-texts-only tokenize/the-example count_ngrams/the-example find_cycle/the-example tune_weights/fixed",
    "a median": "perplexity/median*",
    "a product that underflows": "perplexity/product-underflows perplexity/math-prod",
    "weights without the order below": "tune_weights/unseen-*",
    "a lookup that changes the table": "ngram_distribution/lookup-* ngram_distribution/table-* tune_weights/lookup-*",
    "input and target exchanged": "loss/*exchanged* build_model/input-for-target make_windows/swapped build_model/backwards-both-ways",
    "ids as numbers": "build_model/ids-as-*",
    "a GRU": "build_model/gru-* build_from_vector/gru build_translator/gru",
    "dropout that stays on": "build_model/*stays-on build_classifier/dropout-stays-on",
    "a mask": "build_model/mask*",
    "a loss that overflows": "loss/overflow loss/clipped",
    "a loss that underflows": "loss/underflow loss/small-number-added",
    "a loss without a gradient": "loss/number loss/numpy loss/gradient-stopped loss/logits-without-gradient loss/made-a-tensor-again",
    "temperature 0": "sample/zero-*",
    "greedy at low temperatures": "sample/greedy-* sample/always-greedy",
    "a draw that falls off the end": "sample/*off-the-end*",
    "logits changed in place": "sample/changes-logits sample/*-in-place",
    "a prompt that is changed": "generate_by_rerunning/changes-the-prompt* generate_with_state/changes-the-prompt",
    "a window of fifty": "generate_by_rerunning/window-* generate_with_state/last-fifty-words",
    "one wrong sampler in both": "generate_*/own-sampler-*",
    "copies as substrings": "copied_share/substring* copied_share/digits-joined distinct/digits-joined repetition/digits-joined",
    "softmax over one class": "build_classifier/softmax-over-one-class",
    "a vector added to the output only": "build_from_vector/added-* build_from_vector/joined-after-the-lstm",
    "words to come": "build_from_vector/bidirectional build_from_vector/backwards build_model/bidirectional build_translator/decoder-bidirectional",
    "a decoder with half the state": "build_translator/h-* build_translator/c-*",
    "right: a class of their own": "build_model/subclass* build_from_vector/subclass build_translator/subclass",
    "right: scipy": "sample/scipy-* sample/logsumexp perplexity/scipy-gmean tune_weights/minimize",
    "hint: tokens without the sign": "tokenize/no-sign tokenize/sign-*",
    "hint: tokens in lower case": "tokenize/lower-case tokenize/first-letter-lower tokenize/casefold",
    "hint: nothing returned": "*/pass",
    "hint: a sequential model": "build_model/sequential",
    "hint: an activation on the logits": "build_model/tanh build_model/relu build_model/sigmoid build_model/elu build_model/log-softmax",
    "hint: the temperature ignored in 7": "generate_*/temperature-one",
    "hint: kept between calls": "*/*kept-between-calls",
    "hint: a negated loss": "loss/negated",
    "hint: a bit more temperature": "sample/temperature-a-bit-more sample/temperature-a-tenth-more",
    "hint: the first word that differs": "count_words/lower-case count_words/one-too-many count_ngrams/one-too-many",
}  # fmt: skip


@cache
def functions() -> set[str]:
    """All functions that the exercises ask for."""
    tree = ast.parse(Path(exercises.__file__).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def like(pattern: str) -> list[Mutant]:
    return [mutant for name, mutant in TABLE.items() if fnmatchcase(name, pattern)]


def test_there_are_enough_and_each_is_another():
    assert len(TABLE) == len(mutants()) >= 250
    assert sum(mutant.right for mutant in TABLE.values()) >= 50
    assert sum(mutant.generated for mutant in TABLE.values()) >= 50
    assert len({mutant.source for mutant in TABLE.values()} | {solution()}) == len(TABLE) + 1


@pytest.mark.parametrize("name", ["README.md", "README.bg.md"])
def test_the_readmes_tell_of_the_table_as_it_is(name):
    """A table that has grown or shrunk has to be run again for the figures there."""
    text = (Path(exercises.__file__).parent / name).read_text("utf-8")
    paragraph = next(each for each in text.split("\n\n") if "`make lab-mutants`" in each)
    told = [int(each.replace(",", "")) for each in re.findall(r"\d[\d,]*", paragraph)]
    right = sum(mutant.right for mutant in TABLE.values())
    assert told[:3] == [len(TABLE), len(TABLE) - right, right]


def test_every_function_has_wrong_and_right_ones():
    for function in functions():
        found = [mutant for mutant in TABLE.values() if mutant.function == function]
        assert sum(mutant.right for mutant in found) >= 3, function
        assert sum(not mutant.right for mutant in found) >= 10, function
        assert {mutant.exercise for mutant in found} <= set(EXERCISES)
    assert {mutant.function for mutant in TABLE.values()} == functions()


def test_each_can_be_compiled_and_asks_for_a_hint():
    for mutant in TABLE.values():
        names = [
            node.name for node in ast.parse(mutant.part).body if isinstance(node, ast.FunctionDef)
        ]
        assert functions() & set(names) == {mutant.function}, mutant.id
        assert bool(mutant.hint) is not mutant.right, mutant.id
        assert re.search(mutant.hint, "") is None or mutant.right, mutant.id  # any hint would do


@pytest.mark.parametrize("what", KNOWN)
def test_what_went_wrong_once_is_there(what):
    for pattern in KNOWN[what].split():
        found = like(pattern)
        assert found, pattern
        assert all(mutant.right is what.startswith("right: ") for mutant in found)


def test_those_with_tensorflow_come_last():
    heavy = [needs_tensorflow(mutant) for mutant in mutants()]
    assert heavy == sorted(heavy)


def test_a_change_has_to_be_there_once():
    with pytest.raises(ValueError, match="is there 0 times"):
        Variants("5", "greedy").wrong("x", "y", ("no such text", ""))


@pytest.mark.lab
@pytest.mark.parametrize("function", PROBES)
def test_wrong_ones_differ_and_right_ones_do_not(function):
    """On inputs that the text allows, without the checks; what operators made is as it is listed."""
    expected, seen, same = observe(solution(), function), {}, set()
    written = [mutant for mutant in TABLE.values() if not mutant.generated]
    for mutant in (*written, *candidates()):
        if mutant.function != function:
            continue
        found = observe(mutant.source, function)
        if mutant.right:
            assert found == expected, mutant.id
            continue
        other = seen.setdefault(repr(found), mutant.id)
        if mutant.generated:
            same |= {mutant.id} if found == expected or other != mutant.id else set()
            continue
        assert found != expected, mutant.id
        assert other == mutant.id
    assert same == {each for each in SAME if each.startswith(f"{function}/")}


@pytest.mark.parametrize(
    "name",
    ["encode/int64", "find_cycle/longest", "repetition/distinct-instead", "copied_share/any-order"],
)
def test_a_wrong_one_differs(name):
    assert observe(TABLE[name].source, TABLE[name].function) != observe(
        solution(), TABLE[name].function
    )


def test_one_that_never_ends_is_told_from_the_others(monkeypatch):
    monkeypatch.setattr("mutants.behaviour.SECONDS", 0.2)
    assert observe(TABLE["find_cycle/never-ends"].source, "find_cycle")[-1] == "never ends"


@pytest.mark.parametrize(
    "name", ["find_cycle/slices", "find_cycle/longest", "distinct/across-texts"]
)
def test_the_checks_see_some_of_them(name):
    verdict = judge(TABLE[name], seconds=600)
    assert verdict.good, verdict.said


def test_the_function_named_is_the_one_that_is_looked_at(monkeypatch):
    def told(*results):
        named = []
        for function, status, what, hint, received in results:
            each = Result("5", status, what, "1", received, hint)
            object.__setattr__(each, "function", function)
            named.append(each)
        monkeypatch.setattr("mutants.table.results", lambda *args, **kwargs: iter(named))
        return judge(TABLE["find_cycle/longest"])

    passed = ("greedy", "passed", "", "", "")
    least = ("find_cycle", "failed", "find_cycle([1, 1])", "the least length counts", "2")
    early = ("find_cycle", "failed", "find_cycle([1, 1])", "it begins earlier", "2")
    assert told(passed, least).good
    assert told(passed, least).others == []
    assert told(("greedy", "failed", "greedy", "the largest", "2"), least).good
    assert told(("greedy", "failed", "greedy", "the largest", "2"), least).others == ["greedy"]
    assert not told(("greedy", "failed", "greedy", "the least", "2"), early).apt
    assert not told(passed, ("find_cycle", "passed", "", "", "")).good
    assert told(passed, ("find_cycle", "failed", "it is", "look", "ValueError: too short")).apt
    assert not told(passed, ("find_cycle", "failed", "it is", "look", "too short")).apt


def verdict(
    *, right: bool = False, passed: bool = False, apt: bool = True, exercise: str = "5"
) -> Verdict:
    said = "" if passed else "what | hint"
    return Verdict("greedy/x", exercise, "greedy", right, 0, passed, apt, said, [])


def test_scores():
    good = [verdict()] * 99 + [verdict(right=True, passed=True)]
    assert score(good).enough
    assert score([*good, verdict(passed=True)]).enough  # 99 of 100
    assert not score([*good, *[verdict(passed=True)] * 2]).enough
    assert not score([*good, *[verdict(apt=False)] * 2]).enough
    assert not score([*good, verdict(right=True)]).enough
    assert table([*good, verdict(passed=True, exercise="6")]).splitlines()[2:] == [
        "| 5 | 99 of 99 | 1 of 1 | 99 of 99 |",
        "| 6 | 0 of 1 | 0 of 0 | 0 of 0 |",
        "| all | 99 of 100 | 1 of 1 | 99 of 99 |",
    ]
    faults = [
        fault(v) for v in (verdict(), verdict(passed=True), verdict(right=True), verdict(apt=False))
    ]
    assert faults == ["", "wrong passed", "right failed", "hint not apt"]
    assert blamed(good) == ""
    other = replace(verdict(), others=["find_cycle"])
    assert blamed([*good, other]) == "Other functions failed, too, with 1: greedy/x (find_cycle)\n"
    assert line(verdict(right=True)) == "greedy/x | 5.greedy | right failed | what | hint"


def test_the_command_goes_on_where_it_ended(monkeypatch, tmp_path, capsys):
    asked: list[str] = []

    def fake(mutant, *, seed, seconds):
        asked.append(mutant.id)
        return Verdict(
            mutant.id,
            mutant.exercise,
            mutant.function,
            mutant.right,
            seed,
            mutant.right,
            True,
            "",
            [],
        )

    monkeypatch.setattr(command, "judge", fake)
    file, report = tmp_path / "results.jsonl", tmp_path / "report.md"
    arguments = [
        "repetition/*",
        "--processes",
        "2",
        "--results",
        str(file),
        "--report",
        str(report),
    ]
    assert command.main(arguments) == 0
    count = len(asked)
    assert count == len(like("repetition/*"))
    lines = file.read_text("utf-8").splitlines()
    assert len(lines) == count
    assert f"| all | {sum(not m.right for m in like('repetition/*'))} of" in report.read_text(
        "utf-8"
    )
    file.write_text("\n".join(lines[:-3]) + "\n" + lines[-1][:40], "utf-8")  # ended within a line
    assert command.main([*arguments, "--seeds", "0"]) == 0
    assert len(asked) == count + 3
    row = json.loads(lines[0])
    file.write_text(json.dumps({**row, "mark": "of other checks"}) + "\n", "utf-8")
    assert command.main(arguments) == 0
    assert len(asked) == 2 * count + 3
    capsys.readouterr()


def test_the_command_tells_what_is_missed(monkeypatch, capsys):
    monkeypatch.setattr(
        command, "judge",
        lambda m, *, seed, seconds: Verdict(m.id, m.exercise, m.function, m.right, seed, True, True, "", []),
    )  # fmt: skip
    assert command.main(["8", "--light", "--processes", "1"]) == 1
    told = capsys.readouterr().out
    assert "copied_share/any-order | 8.copied_share | wrong passed | passed" in told
    assert "distinct/loop |" not in told
    assert command.main(["repetition/l*", "--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "8  wrong  repetition/last-left-out",
        "8  right  repetition/loop",
        "8  right  repetition/list-before",
    ]
    with pytest.raises(SystemExit):
        command.main(["no-such-id"])
    assert "no mutant is called no-such-id" in capsys.readouterr().err
