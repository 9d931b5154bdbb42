"""The command line: a parser of all commands, and settings of what was parsed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from textmill.pipeline.api.options import settings_from
from textmill.pipeline.command.adder import Adder
from textmill.pipeline.command.options import TAKES
from textmill.pipeline.command.parsing import ORDER, Parser

Settings = TypeVar("Settings")
Run = Callable[[argparse.Namespace], int]


def parser(commands: Mapping[str, Run]) -> Parser:
    """The command line's parser; `args.run` is the function that does the work.

    Args:
        commands: a function for each command by name.
    """
    top = Parser(
        prog="textmill",
        usage="textmill COMMAND [arguments and options]",
        description="Trains an LSTM language model on any text and writes text with it in bulk.",
        epilog="'textmill help COMMAND' shows what a command takes. To begin: textmill demo",
    )
    top.add_argument("--version", action=_Version, help="show textmill's version and those of what "
                     "it is built on")  # fmt: skip
    top.add_argument(
        "--print-completion", action=_Completion, choices=("bash", "zsh", "tcsh"), metavar="SHELL",
        help="print a script that completes commands and options in bash, zsh or tcsh",
    )  # fmt: skip
    subparsers = top.add_subparsers(
        title="commands", metavar="COMMAND", parser_class=Parser, prog="textmill"
    )
    for name, run in commands.items():
        about = TAKES[name]
        command = subparsers.add_parser(
            name,
            help=about.summary,
            description=f"{about.summary[0].upper()}{about.summary[1:]}.",
            usage=f"textmill {name} {about.usage}",
        )
        command.set_defaults(run=run)
        about.add_options(Adder(command, about.kinds))
        lists = any(action.nargs == "+" for action in command.options().values())
        said = (ORDER if lists else "", about.more, f"Example: {about.example}")
        command.epilog = "\n".join(filter(None, said))
    wanted = subparsers.add_parser(
        "help", help="show what a command takes", usage="textmill help [COMMAND]"
    )
    wanted.add_argument("command", nargs="?", metavar="COMMAND", choices=list(commands))
    wanted.set_defaults(run=lambda args: _help(top, args.command))
    for command in subparsers.choices.values():
        command.others = subparsers.choices
    top.set_defaults(run=lambda args: _help(top, None))
    return top


def settings_of(kind: type[Settings], args: argparse.Namespace, **given: Any) -> Settings:
    """Makes settings from the parsed options that have the names of their fields.

    A field without an option, or whose option was left out, keeps its default.

    Args:
        kind: a dataclass.
        given: fields that follow from more than one option.

    Raises:
        SettingError: a value is not allowed.
    """
    asked = {name: value for name, value in vars(args).items() if value is not None}
    return settings_from(kind, asked, **given)


def _help(top: Parser, name: str | None) -> int:
    """Prints the help of a command, or of all together."""
    (commands,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    (commands.choices[name] if name else top).print_help()
    return 0


class _Version(argparse.Action):
    """Prints versions, without loading what they are of."""

    def __init__(self, **kwargs: Any):
        super().__init__(**{**kwargs, "nargs": 0})

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        lines = []
        for name in ("textmill", "tensorflow", "tensorflow-text", "keras", "apache-beam"):
            try:
                lines.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                lines.append(f"{name} is not installed")
        print("\n".join([*lines, f"Python {platform.python_version()}"]))
        parser.exit()


class _Completion(argparse.Action):
    """Prints a shell's script of completion."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: object, values: Any, *_: object
    ) -> None:
        import shtab

        print(shtab.complete(parser, shell=values))
        parser.exit()
