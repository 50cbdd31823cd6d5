"""A small residual network whose dense layer does not grow with the image."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx
from tripletnet.networks.base import EncoderBlock


class ResidualNet(EncoderBlock):
    """A residual network made for a CPU: the default for folders of photos.

    A 2x2 convolution with stride 2 halves the image; three stages of 64, 128 and 256 filters
    follow. Each is a 3x3 convolution, 2x2 max pooling and a residual block of two 3x3
    convolutions, all with batch normalisation and ReLU. What is left of the image is averaged, so
    that the dense layer has 256 * code_size weights whatever the image's size.

    Parameters
    ----------
    code_size : int
        How many numbers a code has.
    image_size : int
        Height and width of the images, in pixels; at least 16.

    Notes
    -----
    Shapes: input (N, 3, image_size, image_size), uint8 or float, 0..255; output (N, code_size)
    float32, each row of unit length. 29 million multiply-adds for an image of 32 pixels, 114
    million for one of 64. Few wide layers on small maps keep a CPU's matrix units busy, where many
    narrow layers would not. The block is that of He et al. (2016), "Deep Residual Learning for
    Image Recognition", CVPR.
    """

    smallest_image = 16
    trains_in_bf16 = True

    def make_layers(self) -> mx.gluon.HybridBlock:
        """Return stem, stages, global average pooling and the dense layer."""
        nn = mx.gluon.nn
        layers = nn.HybridSequential()
        layers.add(*_convolution(32, 3, kernel=2, stride=2, padding=0))
        channels = 32
        for filters in (64, 128, 256):
            layers.add(*_convolution(filters, channels), nn.MaxPool2D(2), _ResidualBlock(filters))
            channels = filters
        layers.add(nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(self.code_size, in_units=channels))
        return layers


class _ResidualBlock(mx.gluon.HybridBlock):
    """x + two convolutions of x."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = mx.gluon.nn.HybridSequential()
            self.body.add(*_convolution(filters, filters), *_convolution(filters, filters))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return x + self.body(x)


def _convolution(
    filters: int, channels: int, kernel: int = 3, stride: int = 1, padding: int = 1
) -> tuple[mx.gluon.HybridBlock, ...]:
    """Return a convolution with batch normalisation and ReLU."""
    nn = mx.gluon.nn
    return (
        nn.Conv2D(filters, kernel, stride, padding, in_channels=channels, use_bias=False),
        nn.BatchNorm(in_channels=filters),
        nn.Activation("relu"),
    )
