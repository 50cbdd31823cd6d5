"""The one exception for mistakes that a user can put right."""

from __future__ import annotations

from collections.abc import Sequence


class InputError(ValueError):
    """The user's input is at fault.

    The message is one line that says what is wrong, where, and what to do about it. The command
    line prints it without a traceback and exits with status 2.
    """


def some_of(names: Sequence[str], limit: int = 10) -> str:
    """Return the first of some names for a message, and how many more there are.

    Examples
    --------
    >>> some_of(["cat", "dog", "horse"], 2)
    'cat, dog and 1 more'
    """
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
