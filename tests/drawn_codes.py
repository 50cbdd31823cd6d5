"""Codes drawn at random, and what losses are checked by on them."""

from __future__ import annotations

import itertools

import numpy as np

from tripletnet.backend import mx
from tripletnet.losses import BatchLoss


def draw_codes(count: int, size: int = 5, seed: int = 0) -> np.ndarray:
    """Return codes of unit length, float64."""
    codes = np.random.default_rng(seed).normal(size=(count, size))
    return codes / np.linalg.norm(codes, axis=1, keepdims=True)


def triplets_of(labels: np.ndarray) -> list[tuple[int, int, int]]:
    """Return every triplet (anchor, same, diff) of a batch."""
    return [
        (i, p, n)
        for i, p, n in itertools.product(range(len(labels)), repeat=3)
        if i != p and labels[i] == labels[p] and labels[i] != labels[n]
    ]


def gradient_of(loss: BatchLoss, codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the gradient of the mean loss with respect to the codes."""
    x = mx.nd.array(codes)
    x.attach_grad()
    with mx.autograd.record():
        value = loss(x, labels).mean()
    value.backward()
    return x.grad.asnumpy()
