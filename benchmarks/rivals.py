"""Which rivals can be measured here, and why the others are left out."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Callable, TypeVar

Made = TypeVar("Made")

INSTALL = 'pip install ".[bench]"'


class LeftOut(Exception):
    """A rival that cannot be measured here; the message says why."""


def require(*packages: str) -> list[Any]:
    """Import packages that only rivals need and return them.

    Raises
    ------
    LeftOut
        If one is not installed, with how to install it, or is broken.
    """
    modules = []
    for package in packages:
        try:
            modules.append(importlib.import_module(package))
        except ModuleNotFoundError as error:
            missing = error.name or package
            raise LeftOut(f"{missing} is not installed: {INSTALL}") from None
        except ImportError as error:
            raise LeftOut(f"{package} cannot be imported ({error})") from None
    return modules


def make_all(
    makers: Mapping[str, Callable[[], Made]],
) -> tuple[dict[str, Made], dict[str, str]]:
    """Make those rivals that can be made; return them, and why each of the others is left out.

    One that breaks is left out as well: the others' figures are not to be lost for it. Ours is no
    rival: it is not to be made here, as it may not break unnoticed.

    Those with bf16 in their names are left out where the processor has no units for it: they take
    twenty times as long as in fp32, and nobody would run them so.
    """
    from tripletnet.training.bf16 import has_bf16_units

    made: dict[str, Made] = {}
    left_out: dict[str, str] = {}
    for name, make in makers.items():
        if "bf16" in name and not has_bf16_units():
            left_out[name] = "this processor has no units for bf16"
            continue
        try:
            made[name] = make()
        except LeftOut as reason:
            left_out[name] = str(reason)
        except Exception as error:  # whatever another library raises
            said = (str(error).strip().splitlines() or ["no message"])[0]
            left_out[name] = f"it does not work here ({type(error).__name__}: {said[:200]})"
    return made, left_out


def named(makers: Mapping[str, Made], kinds: tuple[str, ...]) -> dict[str, Made]:
    """Return those with one of the words `kinds` in their names; without any words, all."""
    return {
        name: make
        for name, make in makers.items()
        if not kinds or any(kind in name for kind in kinds)
    }


#: PyTorch's ways to run a network, by the arguments that tell them apart.
TORCH_WAYS: dict[str, dict[str, Any]] = {
    "PyTorch fp32": {},
    "PyTorch fp32, channels_last": {"layout": "channels_last"},
    "PyTorch bf16, channels_last": {"layout": "channels_last", "bf16": True},
    "PyTorch fp32, compiled": {"layout": "channels_last", "compiled": True},
    "PyTorch bf16, compiled": {"layout": "channels_last", "bf16": True, "compiled": True},
}


def threads() -> int:
    """Return how many threads MXNet was given, and so every rival is."""
    from tripletnet import processor
    from tripletnet.backend import mx  # noqa: F401  # sets the number where nobody has

    return processor.threads()
