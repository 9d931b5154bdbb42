"""A parser that takes arguments in any order, and names the nearest word where one is misspelt."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from textmill.model.visible import visible
from textmill.pipeline.command.exit_status import WRONG_USE

_NUMBER = re.compile(r"-\d+|-\d*\.\d+(?:[eE][-+]?\d+)?|-inf|-nan", re.ASCII)
_NEAR = 0.7  # of `difflib`; a word less like it is no help
_KINDS = {int: "a whole number", float: "a number"}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that someone who wrote `word` probably meant."""
    names = list(known)
    begun = [name for name in names if len(word) > 3 and name.startswith(word)]
    if begun:
        return min(begun, key=len)
    small = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word.lower().replace("_", "-"), small, 1, _NEAR)
    return small[found[0]] if found else None


class _Formatter(argparse.HelpFormatter):
    """Keeps the line ends of what stands before and after the options."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = text.splitlines()
        return "\n".join(super(_Formatter, self)._fill_text(line, width, indent) for line in lines)


class Parser(argparse.ArgumentParser):
    """An argparse parser whose arguments may come in any order.

    argparse gives every word after an option that takes a list to that option, also the model or
    file that was meant, and does not let options stand between arguments. Here the words are
    sorted before argparse sees them, by the rule that `ORDER` tells a person.

    Attributes:
        others: the parsers of all commands, by name, for what is said of an option of another one.
    """

    def __init__(self, **kwargs: Any):
        own = {"allow_abbrev": False, "formatter_class": _Formatter}
        super().__init__(**{**kwargs, **own})
        self._positionals.title = "arguments"
        self.others: Mapping[str, Parser] = {}

    def parse_known_args(self, args=None, namespace=None):
        """See `ArgumentParser`."""
        if args is not None:
            args = self._after_command(args) if self._subparsers else self._sorted(args)
        return super().parse_known_args(args, namespace)

    def options(self) -> dict[str, argparse.Action]:
        """The options that the help shows, by what is written for them."""
        return {
            name: action
            for action in self._actions
            for name in action.option_strings
            if action.help != argparse.SUPPRESS
        }

    def error(self, message: str) -> NoReturn:
        """Ends with one line that names the help of this command."""
        text = message.removeprefix("argument ")
        text = re.sub(r"^(?:-\w/)?(--[\w-]+|[A-Z]+): ", r"\1 ", text)
        missing = "the following arguments are required: "
        if text.startswith(missing):
            names = [name.split("/")[-1] for name in text.removeprefix(missing).split(", ")]
            text = f"{_and(names)} {'is' if len(names) == 1 else 'are'} missing"
        text = re.sub(r"expected (?:at least )?(?:one|1) argument$", "needs a value", text)
        self._refuse(f"{text} (see {self.prog} --help)")

    def _refuse(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: error: {visible(message)}\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = list(map(str, action.choices))
        near = nearest(str(value), names)
        if isinstance(action, argparse._SubParsersAction):
            if near is None:
                self.error(f"there is no command '{value}'; there are {_and(names)}")
            self._refuse(
                f"there is no command '{value}'; did you mean {near}? (see {self.prog} {near} "
                "--help)"
            )
        meant = f"; did you mean {near}?" if near else ""
        allowed = f"must be one of {', '.join(names)}. Received: {value}{meant}"
        raise argparse.ArgumentError(action, allowed)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        kind = _KINDS.get(action.type)  # type: ignore[call-overload]
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            if kind is None:
                raise
            allowed = f"must be {kind}. Received: {arg_string}"
            raise argparse.ArgumentError(action, allowed) from None

    def _after_command(self, words: Sequence[str]) -> Sequence[str]:
        """Refuses an option of a command that stands before its name."""
        for word in words[:1]:
            head = word.partition("=")[0]
            if word.startswith("-") and word != "--" and head not in self._option_string_actions:
                near = nearest(head, self.options())
                meant = f"did you mean {near}?" if near else "a command's options follow its name"
                self.error(f"there is no option {head} before a command; {meant}")
        return words

    # -- the order of the words --------------------------------------------------------------------

    def _sorted(self, words: Sequence[str]) -> list[str]:
        """The words with the options first, each list once and whole, then the arguments."""
        arguments, given = self._cut(words)
        places = [action for action in self._actions if not action.option_strings]
        least = sum(action.nargs in (None, "+") for action in places)
        taken: list[str] = []
        while len(arguments) + len(taken) < least and (giver := _giver(given)) is not None:
            taken.insert(0, giver.values.pop())
        arguments += taken
        room = len(places) if all(action.nargs in (None, "?") for action in places) else None
        if room is not None and len(arguments) > room:
            named = " ".join(str(action.metavar) for action in places) or "no arguments"
            self.error(f"'{arguments[room]}' is one word too many: this takes {named}")
        lists: dict[str, _Given] = {}
        ordered = []
        for option in given:
            if not option.is_list or not option.values:
                ordered += option.written()
            elif option.action.dest in lists:
                lists[option.action.dest].values.extend(option.values)
            else:
                lists[option.action.dest] = option
        for option in lists.values():
            ordered += option.written()
        return [*ordered, "--", *arguments] if arguments else ordered

    def _cut(self, words: Sequence[str]) -> tuple[list[str], list[_Given]]:
        """Parts the arguments from the options, each with the words that it would take."""
        arguments: list[str] = []
        given: list[_Given] = []
        taker: _Given | None = None
        for number, word in enumerate(words):
            if word == "--":
                return [*arguments, *words[number + 1 :]], given
            option = self._option(word)
            if option is not None:
                given.append(option)
                taker = option if option.takes_more else None
            elif taker is not None:
                taker.values.append(word)
                taker = taker if taker.takes_more else None
            else:
                arguments.append(word)
        return arguments, given

    def _option(self, word: str) -> _Given | None:
        """A word as an option, with its value if that is joined to it; None if it is no option."""
        if not word.startswith("-") or word == "-" or _NUMBER.fullmatch(word):
            return None
        head, equals, value = word.partition("=")
        known = self._option_string_actions
        if value == "--":  # argparse would take it for no value
            self.error(f"{head} needs a value; received --")
        if head in known:
            return _Given(known[head], [value] if equals else [], joined=bool(equals))
        short = word[:2]
        if short in known and known[short].nargs != 0:  # -n3
            return _Given(known[short], [word[2:].removeprefix("=")], joined=True)
        if " " not in word:
            self.error(self._unknown(head))
        return None

    def _unknown(self, option: str) -> str:
        said = f"there is no option {option}"
        having = [name for name, other in self.others.items() if option in other.options()]
        if having:
            return f"{said} here, but {_and(having)} {'has' if len(having) == 1 else 'have'} it"
        near = nearest(option, self.options())
        if near is not None:
            return f"{said}; did you mean {near}?"
        takes_text = any(action.dest == "prompt" for action in self._actions)
        return f"{said}; a prompt that begins with - stands after --" if takes_text else said


ORDER = (
    "Options and arguments may come in any order. An option with several values takes all words up "
    "to the next option; if an argument is missing then, it is the last of these words."
)


@dataclass
class _Given:
    """An option as it was written.

    Attributes:
        action: argparse's.
        values: its words.
        joined: whether a value was written in the same word.
    """

    action: argparse.Action
    values: list[str] = field(default_factory=list)
    joined: bool = False

    @property
    def is_list(self) -> bool:
        return self.action.nargs in ("+", "*")

    @property
    def takes_more(self) -> bool:
        """Whether the next word is one of its values."""
        if self.joined or self.action.nargs == 0:
            return False
        return self.is_list or not self.values

    def accepts(self, word: str) -> bool:
        """Whether a word may be one of the values."""
        try:
            value = self.action.type(word) if callable(self.action.type) else word
        except (ValueError, TypeError):
            return False
        return self.action.choices is None or value in self.action.choices

    def written(self) -> list[str]:
        """The words that argparse reads it from."""
        name = self.action.option_strings[-1]
        # A value that begins with - is none for argparse where it stands alone.
        if len(self.values) == 1 and (not self.is_list or self.values[0].startswith("-")):
            return [f"{name}={self.values[0]}"]
        return [name, *self.values]


def _giver(given: Sequence[_Given]) -> _Given | None:
    """The list whose last word is the argument that is missing.

    Before all others one whose last word it cannot take, as no number or name that is allowed.
    From a list of numbers, or of certain names, no other word is taken away.
    """
    spare = [option for option in given if option.is_list and len(option.values) > 1]
    for option in reversed(spare):
        if not option.accepts(option.values[-1]):
            return option
    free = [o for o in spare if o.action.type is None and o.action.choices is None]
    return free[-1] if free else None


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
