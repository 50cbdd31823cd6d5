"""Learn what "similar" means from images, then find, compare and judge by it.

The public names are loaded when they are first used, so that `import tripletnet` imports neither
MXNet nor OpenCV.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "InputError": "tripletnet.errors",
    "ImageSet": "tripletnet.data",
    "PairSet": "tripletnet.data",
    "Splits": "tripletnet.data",
    "TripletSet": "tripletnet.data",
    "ViewSet": "tripletnet.data",
    "load_cifar10": "tripletnet.data",
    "load_data": "tripletnet.data",
    "load_digits": "tripletnet.data",
    "load_judged": "tripletnet.data",
    "load_unlabelled": "tripletnet.data",
    "NETWORKS": "tripletnet.registry",
    "EncoderBlock": "tripletnet.networks",
    "SiameseTriplet": "tripletnet.networks",
    "TripletCNN": "tripletnet.networks",
    "get_network": "tripletnet.networks",
    "LOSSES": "tripletnet.registry",
    "TripletHinge": "tripletnet.losses",
    "get_loss": "tripletnet.losses",
    "triplet_hinge": "tripletnet.losses",
    "TrainingConfig": "tripletnet.training",
    "fit_control": "tripletnet.training",
    "fit_encoder": "tripletnet.training",
    "train_run": "tripletnet.training",
    "load_run": "tripletnet.runs",
    "encode": "tripletnet.encoding",
    "Encoder": "tripletnet.retrieval.encoder",
    "Index": "tripletnet.retrieval.index",
    "nearest": "tripletnet.codes.nearest",
    "SVMProbe": "tripletnet.evaluation",
    "retrieval_metrics": "tripletnet.evaluation",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tripletnet' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
