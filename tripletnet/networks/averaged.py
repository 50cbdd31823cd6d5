"""A convolution and the average pooling behind it, computed in a cheaper order."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx

_PIXELS = 3  # channels of an image


class AveragedConv2D(mx.gluon.nn.Conv2D):
    """A convolution, then the means of 2x2 neighbours, one pixel apart.

    Both are linear, so the means may come first, or be taken of the kernel. Of feature maps they
    come first: the convolution has fewer points to compute, and its activation stands right behind
    it. Of an image's three channels, for which pooling is slow, the kernel takes them: its k x k
    weights are framed by zeros and averaged to (k + 1) x (k + 1). The weights that are learnt and
    stored are those of the convolution as it is described, and so are the results, up to rounding.

    Parameters
    ----------
    channels, kernel_size, in_channels : int
        As of :class:`mxnet.gluon.nn.Conv2D`; neither stride nor padding.

    Notes
    -----
    Shapes: input (N, in_channels, H, W); output (N, channels, H - kernel_size, W - kernel_size).
    """

    def __init__(self, channels: int, kernel_size: int, in_channels: int, **kwargs: Any) -> None:
        super().__init__(channels, kernel_size, in_channels=in_channels, **kwargs)

    def hybrid_forward(self, F: Any, x: Any, weight: Any, bias: Any) -> Any:
        """Return the averaged convolution of `x`."""
        options = dict(self._kwargs)
        mean = {"kernel": (2, 2), "stride": (1, 1), "pool_type": "avg"}
        if self.weight.shape[1] <= _PIXELS:
            weight = F.Pooling(weight, pad=(1, 1), **mean)
            options["kernel"] = tuple(k + 1 for k in options["kernel"])
        else:
            x = F.Pooling(x, **mean)
        return F.Convolution(x, weight, bias, **options)
