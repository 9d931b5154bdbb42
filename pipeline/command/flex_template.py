"""A Flex Template's parameters as arguments of `textmill generate`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from textmill.model.errors import UsageError
from textmill.pipeline.command import cli
from textmill.pipeline.command.command_line import parser
from textmill.pipeline.command.commands import COMMANDS
from textmill.pipeline.command.exit_status import fail

# Of generate's options those that make no sense in a template.
_NOT_HERE = {"help", "workers", "quiet", "json", "no_wait"}


def main(parameters: Sequence[str]) -> int:
    """Describes the job to the template's launcher, which starts it; returns the exit status."""
    try:
        return cli.main(arguments(parameters))
    except UsageError as error:
        return fail(str(error), error.status)


def options() -> dict[str, argparse.Action]:
    """Options of `generate` that a template has as parameters, by the parameter's name."""
    top = parser(COMMANDS)
    commands = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    actions = commands.choices["generate"]._actions
    # By an option's long form with underscores, as Google wants them.
    names = [(action.option_strings or [action.dest])[-1] for action in actions]
    named = {n.lstrip("-").replace("-", "_"): a for n, a in zip(names, actions, strict=True)}
    return {name: action for name, action in named.items() if name not in _NOT_HERE}


def arguments(parameters: Sequence[str]) -> list[str]:
    """The command's arguments.

    Options that take several values have them in one parameter, parted by spaces and quoted as in
    a shell. Switches are `true` or `false`. What is no option of `generate` is Beam's.

    Args:
        parameters: `--name=value` each, as the launcher gives them.

    Raises:
        UsageError: a switch is neither true nor false, or a quote is open.
    """
    known = options()
    model: list[str] = []
    own: list[str] = []
    beam: list[str] = []
    for parameter in parameters:
        name, _, value = parameter.removeprefix("--").partition("=")
        action = known.get(name)
        if action is None:
            beam.append(f"--{parameter.removeprefix('--')}")
        elif value:  # one left empty in a form is not given
            (own if action.option_strings else model).extend(_words(action, value))
    if not any(word.startswith("--dataflow") for word in own):
        own.append("--dataflow=cpu")
    return ["generate", *model, *own, "--no-wait", "--", *beam]


def _words(action: argparse.Action, value: str) -> list[str]:
    if not action.option_strings:
        return [value]
    option = action.option_strings[-1]
    if action.nargs == 0:
        if value.lower() not in ("true", "false"):
            raise UsageError(f"{action.dest} must be true or false. Received: {value}")
        return [option] if value.lower() == "true" else []
    many = isinstance(action, argparse._AppendAction)
    if not many and action.nargs != "+":
        return [f"{option}={value}"]
    try:
        values = shlex.split(value)
    except ValueError as error:
        raise UsageError(f"{action.dest}: {error}. Received: {value}") from None
    return [f"{option}={word}" for word in values] if many else [option, *values]
