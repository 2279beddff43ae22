"""Base class of every error that a user can mend."""

from __future__ import annotations

__all__ = ["UserError", "one_line"]


class UserError(Exception):
    """A user's mistake; its text is one line that says what is wrong and what would be right.

    The command line prints it as ``bfimna: error: <text>`` and ends with status 2.
    """


def one_line(error: BaseException) -> str:
    """Return the text of *error* on one line, or its kind when it has no text."""
    return " ".join(str(error).split()) or type(error).__name__
