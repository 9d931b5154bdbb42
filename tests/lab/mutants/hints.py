"""What an apt hint says of mistakes that any function may have."""

from __future__ import annotations

KEPT = (
    r"between (the |two )?calls|(earlier|previous|first|last|every|each|second) call|call(ed)? "
    r"(before|again|twice)|a second time|keeps? .*from call|starts? (anew|afresh)|global"
)


def nothing(function: str) -> str:
    """A body of `pass`: the message names the function, and says that it returns nothing."""
    return rf"(?s)(?=.*\b{function}\b)(?=.*(None|\breturn\b|nothing))"


def changed(what: str) -> str:
    """An argument that is changed: the message says so, of it or of all that is given."""
    return rf"(?s)(?=.*(chang|modif|copy))(?=.*({what}|given|argument))"


# Of two large dictionaries the first word that differs is shown, not all of them.
FIRST_OTHER = r"^(?!(?:.*:){9})"
