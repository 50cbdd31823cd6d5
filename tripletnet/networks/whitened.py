"""Networks that learn much from each image: a whitening first layer, then few wide layers."""

from __future__ import annotations

import math
from typing import Any, Union

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tripletnet.backend import mx
from tripletnet.networks.base import EncoderBlock

_BLOCK = 1 << 23  # numbers of patches that exist at one time
_WORK = 2e11  # multiply-adds at the most: fewer images will do where patches are large
_COMPONENTS = 16  # with their negatives 32 filters: processors are fast where 16 divides those
_PATCH = 3  # pixels a side, for images of 32
_FASTER = 16  # than all else learns what batch normalisation adds
_SMALLEST_VARIANCE = 5e-4  # of normalised pixels: below it is noise, which is not to be blown up


class WhitenedNet(EncoderBlock):
    """A convolutional network for small images that learns in few passes over them.

    The first layer is not learnt: its 32 filters of 3x3 are the largest principal components of
    patches of the training images, each scaled to variance 1, and their negatives. Of larger images
    it takes larger patches, image_size / 32 pixels apart, so that what follows costs the same.
    Three groups of 64, 128 and 256 filters follow, each a 3x3 convolution, 2x2 max pooling and a
    second 3x3 convolution, with batch normalisation and GELU after the pooling and at the end. The
    largest value of each filter goes to the dense layer, which thus has 256 * code_size weights
    whatever the image's size. Convolutions begin as identities as far as they can, so that what the
    first layer sees reaches the last one from the start. What batch normalisation adds learns 16
    times as fast as all else.

    Parameters
    ----------
    code_size : int
        How many numbers a code has.
    image_size : int
        Height and width of the images, in pixels; at least 16.

    Notes
    -----
    Shapes: input (N, 3, image_size, image_size), uint8 or float, 0..255; output (N, code_size)
    float32, each row of unit length. 69 million multiply-adds for an image of 32 pixels, and about
    as many for a larger one.

    References
    ----------
    Jordan (2024), "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv:2404.00498, whose
    layers these are, with other widths.
    """

    smallest_image = 16
    trains_in_bf16 = True
    softmax_learning_rate = 0.08
    softmax_learning_rate_beside_muon = 0.216
    takes_in = 5000
    #: Filters of each group.
    widths: tuple[int, ...] = (64, 128, 256)
    #: What stands where GELU is told of: "gelu" or "relu".
    activation = "gelu"

    def make_layers(self) -> mx.gluon.HybridBlock:
        """Return the whitening layer, the groups, the pooling and the dense layer."""
        nn = mx.gluon.nn
        layers = nn.HybridSequential()
        stride = max(1, self.image_size // 32)
        channels = 2 * _COMPONENTS
        patch = _PATCH * stride
        layers.add(nn.Conv2D(channels, patch, stride, in_channels=3, use_bias=False))
        layers.add(self._activation())
        layers[0].weight.grad_req = "null"
        for filters in self.widths:
            layers.add(_convolution(filters, channels), nn.MaxPool2D(2), _norm(filters))
            layers.add(self._activation())
            layers.add(_convolution(filters, filters), _norm(filters), self._activation())
            channels = filters
        layers.add(nn.GlobalMaxPool2D(), nn.Flatten(), nn.Dense(self.code_size, in_units=channels))
        return layers

    def _activation(self) -> mx.gluon.HybridBlock:
        nn = mx.gluon.nn
        return nn.GELU() if self.activation == "gelu" else nn.Activation(self.activation)

    def take_in(self, pixels: np.ndarray) -> None:
        """Set the first layer to whiten patches of `pixels`."""
        mean, std = (p.data().asnumpy().ravel() for p in (self.pixels.mean, self.pixels.std))
        weight = self.layers[0].weight
        patch = weight.shape[2]
        filters = whitening_filters(
            pixels, patch, _COMPONENTS, stride=patch // _PATCH, mean=mean, std=std
        )
        weight.set_data(mx.nd.array(filters))


class WideWhitenedNet(WhitenedNet):
    """:class:`WhitenedNet` with 64, 256 and 256 filters, as in its paper: for longer training.

    Notes
    -----
    122 million multiply-adds for an image of 32 pixels.
    """

    widths = (64, 256, 256)


class RectifiedWhitenedNet(WhitenedNet):
    """:class:`WhitenedNet` with ReLU for GELU, which in int8 is as fast as its convolutions.

    Notes
    -----
    As many multiply-adds. A ReLU is a part of the convolution before it, in 8 bits as well, where
    MXNet computes a GELU by way of float32.
    """

    activation = "relu"


def whitening_filters(
    images: np.ndarray,
    patch: int,
    components: int,
    *,
    stride: int = 1,
    mean: Union[float, np.ndarray] = 0.0,
    std: Union[float, np.ndarray] = 1.0,
) -> np.ndarray:
    """Return filters whose responses to patches of `images` are uncorrelated and of variance 1.

    Parameters
    ----------
    images : ndarray, shape (N, H, W, 3)
        Evenly spaced ones are looked at where patches are so large that all would take long.
    patch : int
        Pixels a side.
    components : int
        How many principal components to take, the largest first.
    stride : int
        Pixels between two patches.
    mean, std : float or ndarray of float, shape (3,)
        Of the colours: what the filters are for is (images - mean) / std.

    Returns
    -------
    ndarray of float32, shape (2 * components, 3, patch, patch)
        The components by falling variance, then their negatives: with both, a one-sided activation
        loses nothing.
    """
    _, height, width, channels = images.shape
    each = ((height - patch) // stride + 1) * ((width - patch) // stride + 1)
    values = channels * patch * patch
    images = images[:: math.ceil(len(images) * each * values**2 / _WORK)]
    block = max(1, _BLOCK // (each * values))  # the patches are many times the images
    products = np.zeros((values, values))
    for start in range(0, len(images), block):
        normalised = (images[start : start + block] - mean) / std
        windows: np.ndarray = sliding_window_view(normalised, (patch, patch), axis=(1, 2))  # type: ignore
        patches = windows[:, ::stride, ::stride].reshape(-1, values).astype(np.float64)
        products += patches.T @ patches
    products /= each * len(images)
    variances, directions = np.linalg.eigh(products)
    filters = (directions / np.sqrt(variances + _SMALLEST_VARIANCE)).T[::-1][:components]
    filters = filters.reshape(-1, channels, patch, patch)
    return np.concatenate([filters, -filters]).astype(np.float32)


class _PartialIdentity(mx.init.Initializer):
    """Filters that pass on as many channels as there are; what is more of them is random."""

    def _init_weight(self, name: str, arr: Any) -> None:
        mx.init.MSRAPrelu()._init_weight(name, arr)
        weight = arr.asnumpy()
        through = np.arange(min(weight.shape[:2]))
        weight[: len(through), : len(through)] = 0
        weight[through, through, weight.shape[2] // 2, weight.shape[3] // 2] = 1
        arr[:] = weight


def _convolution(filters: int, channels: int) -> mx.gluon.HybridBlock:
    return mx.gluon.nn.Conv2D(
        filters,
        3,
        padding=1,
        in_channels=channels,
        use_bias=False,
        weight_initializer=_PartialIdentity(),
    )


def _norm(filters: int) -> mx.gluon.HybridBlock:
    norm = mx.gluon.nn.BatchNorm(in_channels=filters, scale=False, momentum=0.8)
    norm.beta.lr_mult, norm.beta.wd_mult = _FASTER, 1 / _FASTER
    return norm
