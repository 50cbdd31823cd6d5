"""The network of the original article."""

from __future__ import annotations

from tripletnet.backend import mx
from tripletnet.networks.averaged import AveragedConv2D
from tripletnet.networks.base import EncoderBlock


class TripletCNN(EncoderBlock):
    """Three convolutions and a dense layer, as in the original shared-weight triplet network.

    Convolutions of 5x5, 3x3 and 3x3 with 32 filters and no padding, each followed by 2x2 average
    pooling with stride 1 and ReLU; then a dense layer on all that is left of the image.

    Parameters
    ----------
    code_size : int
        How many numbers a code has.
    image_size : int
        Height and width of the images, in pixels; at least 12. The dense layer has
        (image_size - 11)^2 * 32 * code_size weights: 14 million at 32 pixels and 1024 numbers,
        but 92 million at 64 pixels.

    Notes
    -----
    Shapes: input (N, 3, image_size, image_size), uint8 or float, 0..255; output (N, code_size)
    float32, each row of unit length. It has no batch normalisation and no dropout, so that
    encoding three batches and encoding their concatenation are the same.
    """

    smallest_image = 12
    trains_in_bf16 = True

    def make_layers(self) -> mx.gluon.HybridBlock:
        """Return convolutions with their poolings, ReLUs and the dense layer."""
        nn = mx.gluon.nn
        layers = nn.HybridSequential()
        channels = 3
        # stored weights are found by their layer's place in the article's list, pooling counted
        for place, kernel in ((0, 5), (3, 3), (6, 3)):
            layers.register_child(AveragedConv2D(32, kernel, channels), str(place))
            layers.register_child(nn.Activation("relu"), str(place + 2))
            channels = 32
        left = self.image_size - 11
        layers.register_child(nn.Flatten(), "9")
        layers.register_child(nn.Dense(self.code_size, in_units=left * left * 32), "10")
        return layers
