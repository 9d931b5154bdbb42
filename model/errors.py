"""Errors that say in one line what was received, what is allowed and what to do."""

from __future__ import annotations


class TextmillError(Exception):
    """Something failed that the message explains; the command prints it and exits with `status`."""

    status = 1


class UsageError(TextmillError):
    """An option or argument is not of the allowed form (exit status 2)."""

    status = 2


class SettingError(UsageError):
    """A setting holds a value outside its range.

    Args:
        field: the name of the dataclass field, which is the option's name with underscores.
        allowed: what the field must be, to be read after "must be".
        received: the value that came.
    """

    def __init__(self, field: str, allowed: str, received: object):
        self.field, self.allowed, self.received = field, allowed, received
        super().__init__(f"{field} must be {allowed}. Received: {received!r}")

    def __reduce__(self):
        # Workers pickle their errors, and the default rebuilds one from its message alone.
        return type(self), (self.field, self.allowed, self.received)
