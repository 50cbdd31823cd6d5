"""The multi-scale network of deep ranking."""

from __future__ import annotations

from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.networks.base import EncoderBlock, normalize_rows
from tripletnet.networks.imagenet import IMAGENET_MEAN, IMAGENET_STD
from tripletnet.networks.shapes import settle_shapes
from tripletnet.networks.zoo import make_classifier

_DROPOUT = 0.6
_DENSE = 4096


class DeepRanking(EncoderBlock):
    """VGG16 for what an image shows, beside two shallow paths for how it looks.

    Three paths see the same image: GluonCV's VGG16 without its dense layers, global average
    pooling and two dense layers of 4096 with ReLU and dropout of 0.6; a convolution 8x8 of 96
    filters with stride 16 and max pooling 3x3 with stride 4; a convolution 8x8 of 96 filters with
    stride 32 and max pooling 7x7 with stride 2. Each is flattened and scaled to unit length, and a
    dense layer joins them.

    Parameters
    ----------
    code_size : int, optional
        How many numbers a code has; 4096 by default.
    image_size : int
        Height and width of the images, in pixels; 224 by default, at least 32, where the five
        poolings of VGG16 leave a single point.

    Notes
    -----
    Shapes: input (N, 3, image_size, image_size), uint8 or float, 0..255; output (N, code_size)
    float32, each row of unit length. For images of s pixels, with divisions rounded down, the
    shallow paths' convolutions give a = (s - 8) / 16 + 1 and b = (s - 8) / 32 + 1 points a side,
    and their poolings, padded by 1 and 3, (a - 1) / 4 + 1 and (b - 1) / 2 + 1: 4 and 4 at 224
    pixels, 1 and 1 at 64 and at 32. The last dense layer has code_size weights for each of
    4096 + 96 * (4 * 4 + 4 * 4) = 7168 numbers at 224 pixels, 63 million weights in all with VGG16.

    The natural loss is the hinge on Euclidean distances with a gap of 1: `triplet` with distance
    `euclidean` and margin 1.

    References
    ----------
    Wang et al. (2014), "Learning Fine-grained Image Similarity with Deep Ranking", CVPR.
    """

    smallest_image = 32
    natural_code_size = 4096
    photo_size = 224
    backbone_model = "vgg16"

    def __init__(
        self, code_size: Optional[int] = None, image_size: int = photo_size, **kwargs: Any
    ) -> None:
        super().__init__(code_size, image_size, IMAGENET_MEAN, IMAGENET_STD, **kwargs)

    def make_layers(self) -> mx.gluon.HybridBlock:
        """Return the three paths and the dense layer that joins them."""
        layers = _Paths(self.code_size)
        settle_shapes(layers, (1, 3, self.image_size, self.image_size))
        return layers

    def backbone(self) -> dict[str, mx.gluon.Parameter]:
        """Return the parameters of VGG16's convolutions."""
        trunk = self.layers.trunk._collect_params_with_prefix()
        return {f"features.{name}": parameter for name, parameter in trunk.items()}


class _Paths(mx.gluon.HybridBlock):
    """Normalised pixels to the code before it is scaled to unit length."""

    def __init__(self, code_size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        nn = mx.gluon.nn
        with self.name_scope():
            self.trunk = nn.HybridSequential()
            with self.trunk.name_scope():
                for layer in make_classifier("vgg16").features:
                    if isinstance(layer, nn.Dense):
                        break
                    self.trunk.add(layer)
            self.deep = nn.HybridSequential()
            self.deep.add(nn.GlobalAvgPool2D(), nn.Flatten())
            for _ in range(2):
                self.deep.add(nn.Dense(_DENSE, activation="relu"), nn.Dropout(_DROPOUT))
            self.middle = _shallow(stride=16, pool=nn.MaxPool2D(3, strides=4, padding=1))
            self.coarse = _shallow(stride=32, pool=nn.MaxPool2D(7, strides=2, padding=3))
            self.join = nn.Dense(code_size)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        paths = (self.deep(self.trunk(x)), self.middle(x), self.coarse(x))
        return self.join(F.concat(*(normalize_rows(F, path) for path in paths), dim=1))


def _shallow(stride: int, pool: mx.gluon.HybridBlock) -> mx.gluon.HybridBlock:
    """Return one large convolution, a pooling and what flattens it."""
    path = mx.gluon.nn.HybridSequential()
    path.add(mx.gluon.nn.Conv2D(96, 8, strides=stride), pool, mx.gluon.nn.Flatten())
    return path
