"""Choose by name or as an object, from a registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tripletnet.errors import InputError


def choose(what: str, choice: Any, registry: Mapping[str, type[Any]]) -> Any:
    """Return `choice` itself, or what `registry` makes where it is a name.

    Parameters
    ----------
    what : str
        What is chosen, for the error.
    choice : str or object
        A name of the registry, or an object of its kind.
    registry : mapping of str to class
        Classes that can be made without arguments.

    Raises
    ------
    InputError
        If there is no such name; the message lists those that there are.
    """
    if not isinstance(choice, str):
        return choice
    if choice not in registry:
        raise InputError(f"{what} '{choice}' is not known: use one of {', '.join(registry)}")
    return registry[choice]()
