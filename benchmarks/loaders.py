"""The DataLoaders of Gluon and PyTorch: what a user would feed a network with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.rivals import require


def gluon_loader(dataset: Any, workers: int, **batches: Any) -> Iterable[Any]:
    """Return Gluon's DataLoader, with `workers` processes that stay."""
    from tripletnet.backend import mx

    loader: Iterable[Any] = mx.gluon.data.DataLoader(dataset, num_workers=workers, **batches)
    return loader


def torch_loader(dataset: Any, workers: int, **batches: Any) -> Iterable[Any]:
    """Return PyTorch's DataLoader, with `workers` processes that stay and begin when it is used."""
    (data,) = require("torch.utils.data")
    loader: Iterable[Any] = data.DataLoader(
        dataset,
        num_workers=workers,
        persistent_workers=True,
        multiprocessing_context="fork",
        **batches,
    )
    return loader
