"""What training chooses by itself: named configurations, and what suits each kind of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from tripletnet.errors import InputError
from tripletnet.registry import LOSS_PARAMETERS

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
        "temperature": 0.15,
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

#: What differs from TrainingConfig's own choices by the kind of data.
DEFAULTS: dict[str, dict[str, Any]] = {
    "cifar10": PRESETS["article"],
    # a mirrored digit is another sign
    "digits": {"images": 80_000, "flip": False, "shift": 2},
    "folder": {"network": "residual", "loss": "supcon", "crop": 0.6, "colour": 0.2},
    "triplets": {"network": "residual", "mining": "random", "crop": 0.6, "colour": 0.2},
    "pairs": {"network": "residual", "loss": "contrastive", "crop": 0.6, "colour": 0.2},
    "views": {
        "network": "residual",
        "loss": "nt-xent",
        # each view is told from all others of the batch: the more, the finer
        "batch_size": 768,
        "temperature": 0.05,
        "crop": 0.5,
        "rotate": 8.0,
        "colour": 0.4,
        "hue": 30.0,
        "text": 0.3,
        "shrink": 0.25,
        "jpeg": 10,
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


def choose(kind: str, named: Optional[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choices of training: what is given, else the preset's, else those of the data.

    Parameters that a preset or the data chose for a loss or an optimiser fall away where another
    one is given.

    Parameters
    ----------
    kind : str
        A key of `DEFAULTS`.
    named : str, optional
        The name of a preset.
    given : mapping
        Choices of the user; None where there is none.
    """
    own = {name: choice for name, choice in given.items() if choice is not None}
    usual = _over(DEFAULTS[kind], {} if named is None else preset(named))
    choices = _over(usual, own)
    if not choices.get("flip", True) and "mirror" not in own:
        choices.pop("mirror", None)  # a preset's, but a mirrored image is another one here
    return choices


def _over(usual: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return `own` choices over `usual` ones."""
    # what was chosen for one loss or optimiser says nothing of another
    made_for = {"loss": LOSS_PARAMETERS, "optimizer": ("learning_rate", "muon_rate")}
    void: set[str] = set()
    for name, parameters in made_for.items():
        if name in own and own[name] != usual.get(name):
            void.update(parameters)
    return {**{key: choice for key, choice in usual.items() if key not in void}, **own}
