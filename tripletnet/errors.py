"""The one exception for mistakes that a user can put right."""

from __future__ import annotations


class InputError(ValueError):
    """The user's input is at fault.

    The message is one line that says what is wrong, where, and what to do about it. The command
    line prints it without a traceback and exits with status 2.
    """
