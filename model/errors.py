"""Errors that say in one line what was received, what is allowed and what to do."""

from __future__ import annotations

from textmill.model.visible import visible


class TextmillError(Exception):
    """An error that its message explains; the command prints it and exits with `status`.

    Args:
        message: one line; what could act on a terminal is shown as an escape.

    Examples:
        >>> try:
        ...     textmill.load("no such model")
        ... except textmill.TextmillError as error:
        ...     print(error)
        there is no model directory 'no such model'; textmill train makes one
    """

    status = 1

    def __init__(self, message: str = ""):
        super().__init__(visible(message))


class UsageError(TextmillError):
    """An option or argument does not have the allowed form (exit status 2).

    Examples:
        >>> try:
        ...     textmill.load("alice").generate("The", temprature=1)
        ... except textmill.UsageError as error:
        ...     print(error)
        generate has no option 'temprature'; did you mean 'temperature'?
    """

    status = 2


class SettingError(UsageError):
    """A setting holds a value outside its range.

    Args:
        field: the name of the dataclass field, which is the option's name with underscores.
        allowed: what the field must be; the message puts it after "must be".
        received: the value that was given; None if there was none.

    Examples:
        >>> try:
        ...     textmill.GenerationSettings(top_p=2)
        ... except textmill.SettingError as error:
        ...     print(error)
        top_p must be a number in (0, 1]. Received: 2
    """

    def __init__(self, field: str, allowed: str, received: object):
        self.field, self.allowed, self.received = field, allowed, received
        super().__init__(self.said(field, shown=repr(received)))

    def said(self, name: str, *, shown: str | None = None) -> str:
        """Gives the message with another name for the setting.

        Args:
            name: the name that the message uses.
            shown: the received value as text; None shows the value itself.
        """
        if self.received is None:
            return f"{name} is missing; it must be {self.allowed}"
        return f"{name} must be {self.allowed}. Received: {shown or self.received}"

    def __reduce__(self):
        # Workers pickle their errors, and the default rebuilds one from its message alone.
        return type(self), (self.field, self.allowed, self.received)
