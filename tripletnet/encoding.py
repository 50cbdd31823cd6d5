"""Images to codes, batch by batch."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.networks.base import normalize_rows


def usual_batch_size(height: int, width: int) -> int:
    """Return how many images of a size, in pixels, go through a network at once by default."""
    return max(1, min(384, 384 * 64 * 64 // (height * width)))


def encode(
    network: Callable[[Any], Any],
    images: ImageSet,
    batch_size: Optional[int] = None,
    device: Optional[mx.Context] = None,
    mirror: Optional[bool] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> np.ndarray:
    """Return the network's output for each image.

    Parameters
    ----------
    network : callable
        Takes an NDArray (n, 3, H, W) uint8 and gives an NDArray (n, D): an encoder, or a
        classifier's `features`.
    images : ImageSet
        What to encode.
    batch_size : int, optional
        How many images go through the network at once; default: 384, fewer where they have more
        than 64 x 64 pixels.
    device : mxnet.Context
        Where the network runs.
    mirror : bool, optional
        Take the mean of the outputs for each image and for its mirror image; means of codes of
        unit length are scaled to it. Default: what the network says, if it says so, or not.
    progress : callable, optional
        Called as ``progress(done, total)`` with numbers of images.

    Returns
    -------
    ndarray of float32, shape (N, D), C-contiguous
        In the order of `images`.

    Raises
    ------
    InputError
        If `images` are no ImageSet, `network` cannot be called or `batch_size` is below 1.
    """
    if not isinstance(images, ImageSet):
        raise InputError(
            f"images: expected an ImageSet, got {type(images).__name__}: Encoder.encode takes "
            "files and arrays"
        )
    if not callable(network):
        raise InputError(
            f"network: expected what takes images, got {type(network).__name__}: an Encoder has "
            "encode for itself"
        )
    if batch_size is not None and batch_size < 1:
        raise InputError(f"batch_size is {batch_size}: give 1 or more")
    if mirror is None:
        mirror = getattr(network, "mirror", False)
    if batch_size is None:
        batch_size = usual_batch_size(*images.image_shape)
    codes: Optional[np.ndarray] = None
    waiting: Optional[tuple[np.ndarray, Any]] = None

    def collect(indices: np.ndarray, output: Any) -> None:
        nonlocal codes
        if codes is None:
            codes = np.empty((len(images), output.shape[1]), dtype=np.float32)
        codes[indices] = output.asnumpy()[: len(indices)]
        if progress is not None:
            progress(int(indices[-1]) + 1, len(images))

    for start in range(0, len(images), batch_size):
        indices = np.arange(start, min(start + batch_size, len(images)))
        # a short last batch is filled up, so that the network keeps its one shape
        filled = np.resize(indices, min(batch_size, len(images)))
        pixels = np.ascontiguousarray(images.take(filled).transpose(0, 3, 1, 2))
        x = mx.nd.array(pixels, dtype="uint8", ctx=device or mx.cpu())
        output = network(x)
        if mirror:
            output = _mean(output, network(x.flip(axis=3)), getattr(network, "gives_codes", False))
        if waiting is not None:
            collect(*waiting)
        waiting = (indices, output)
    if waiting is not None:
        collect(*waiting)
    return np.empty((0, 0), dtype=np.float32) if codes is None else codes


def _mean(outputs: Any, mirrored: Any, codes: bool) -> Any:
    """Return the mean of two batches of outputs, of unit length again if they are codes."""
    mean = (outputs + mirrored) / 2
    return normalize_rows(mx.nd, mean) if codes else mean
