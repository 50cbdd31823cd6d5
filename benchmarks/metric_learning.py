"""Losses and miners of PyTorch Metric Learning that are the same as ours.

Its semi-hard miner takes every diff between the same and the margin, where ours takes the nearest,
as FaceNet has it: there is no such miner to compare.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from benchmarks.rivals import LeftOut, require, threads

#: Loss, mining and our options of what both have.
RIVALS: list[tuple[str, str, dict[str, Any]]] = [
    ("triplet", "all", {}),
    ("triplet", "batch-hard", {}),
    ("triplet", "distance-weighted", {}),
    ("multi-similarity", "all", {}),
    ("supcon", "all", {"temperature": 0.1}),
]


def rival_loss(
    loss: str, mining: str, options: dict[str, Any], codes: np.ndarray, labels: np.ndarray
) -> Callable[[], tuple[float, np.ndarray]]:
    """Return what mines, and gives the loss of codes and its gradient.

    Raises
    ------
    LeftOut
        If PyTorch Metric Learning is not installed, or fails on these codes.
    """
    torch, _ = require("torch", "pytorch_metric_learning")
    torch.set_num_threads(threads())
    function, miner = _made(loss, mining, options)
    x = torch.from_numpy(codes).requires_grad_()
    classes = torch.from_numpy(labels)

    def run() -> tuple[float, np.ndarray]:
        x.grad = None
        mined = miner(x, classes) if miner is not None else None
        value = function(x, classes, mined)
        value.backward()
        return value.item(), x.grad.numpy()

    try:
        run()
    except RuntimeError as error:
        raise LeftOut(f"fails on these codes ({str(error).splitlines()[0][:100]})") from error
    return run


def _made(loss: str, mining: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return their loss, and their miner or None for all of a batch."""
    from pytorch_metric_learning import distances, losses, miners, reducers

    squared = distances.LpDistance(normalize_embeddings=False, p=2, power=2)
    if loss == "triplet":
        # as ours: over the active ones of all triplets, over all of those that are mined
        reducer = reducers.AvgNonZeroReducer() if mining == "all" else reducers.MeanReducer()
        function = losses.TripletMarginLoss(margin=1.0, distance=squared, reducer=reducer)
    elif loss == "multi-similarity":  # whose pairs ours always mines, as its paper has it
        return losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner(epsilon=0.1)
    else:
        function = losses.SupConLoss(**options)
    chosen = {
        "all": lambda: None,
        "batch-hard": lambda: miners.BatchHardMiner(distance=squared),
        "distance-weighted": miners.DistanceWeightedMiner,
    }
    return function, chosen[mining]()
