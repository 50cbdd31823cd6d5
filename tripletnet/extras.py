"""Packages that only some uses need: what an extra of the installation brings."""

from __future__ import annotations

from typing import Any

from tripletnet.errors import InputError


def load_tensorboardx() -> Any:
    """Import and return tensorboardX, which writes event files.

    Raises
    ------
    InputError
        If the extra `tensorboard` is not installed; the message tells how to install it.
    """
    try:
        import tensorboardX
    except ImportError as error:
        raise InputError(
            f"--tensorboard needs the package {error.name or 'tensorboardX'}, which is not "
            "installed: pip install 'tripletnet[tensorboard]'"
        ) from None
    return tensorboardX
