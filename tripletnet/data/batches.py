"""Assemble batches ahead of the network, in a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Optional

import numpy as np

from tripletnet.data.augment import Augmentation
from tripletnet.data.examples import Examples
from tripletnet.data.sampling import Sampler

#: Batches that are assembled in advance.
AHEAD = 4


def assemble(
    examples: Examples,
    sampler: Sampler,
    step: int,
    augmentation: Optional[Augmentation] = None,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return batch number `step`.

    Returns
    -------
    pixels : ndarray of uint8, shape (n, 3, H, W)
        RGB, 0..255.
    labels : ndarray of int64
        As `examples` give them, for single images the class of each, (n,).
    """
    pixels, labels = examples.draw(sampler.indices(step))
    if augmentation is not None:
        pixels = augmentation(pixels, np.random.default_rng((seed, step, 1)))
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), labels


def batches(
    examples: Examples,
    sampler: Sampler,
    steps: range,
    augmentation: Optional[Augmentation] = None,
    seed: int = 0,
    ahead: int = AHEAD,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches numbered `steps`, up to `ahead` of them assembled in advance.

    An error in the thread is raised here; the thread ends when the iterator is closed.
    """
    ready: queue.Queue[object] = queue.Queue(maxsize=ahead)
    closed = threading.Event()

    def put(item: object) -> bool:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for step in steps:
                if not put(assemble(examples, sampler, step, augmentation, seed)):
                    return
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="tripletnet-batches", daemon=True)
    thread.start()
    try:
        for _ in steps:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item  # type: ignore[misc]
    finally:
        closed.set()
        thread.join()
