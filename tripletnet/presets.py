"""Named configurations of training: what goes together well."""

from __future__ import annotations

from typing import Any

from tripletnet.errors import InputError

_WHITENED: dict[str, Any] = {"batch_size": 512, "shift": 2, "mirror": True, "precision": "auto"}

#: What each preset chooses of :class:`tripletnet.training.TrainingConfig`; the rest is as usual.
PRESETS: dict[str, dict[str, Any]] = {
    # the original article, at what two cores do in ten minutes
    "article": {
        "network": "article",
        "loss": "triplet",
        "images": 450_000,
        "batch_size": 384,
        "shift": 2,
    },
    # the best codes for ten minutes of two cores
    "fast": {
        "network": "whitened-relu",
        "loss": "prototypical",
        "temperature": 0.2,
        "smoothing": 0.2,
        "images": 300_000,
        "optimizer": "muon",
        "learning_rate": 0.35,
        "schedule": "linear-to-zero",
        "warmup": 0.05,
        **_WHITENED,
    },
    # better ones, for several times as long
    "best": {
        "network": "whitened-wide",
        "loss": "supcon",
        "images": 1_000_000,
        "optimizer": "nesterov",
        "learning_rate": 0.7,
        "schedule": "linear",
        "warmup": 0.25,
        **_WHITENED,
    },
}


def preset(name: str) -> dict[str, Any]:
    """Return the choices of a preset.

    Raises
    ------
    InputError
        If there is none of that name; the message lists those that there are.
    """
    if name not in PRESETS:
        raise InputError(f"preset '{name}' is not known: use one of {', '.join(PRESETS)}")
    return PRESETS[name]
