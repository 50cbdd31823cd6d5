"""What every network shares: raw pixels in, a code of unit length out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.errors import InputError

# Keeps the gradient of the normalisation finite where all numbers of a code are 0.
_TINY = 1e-10


def row_norms(F: Any, x: Any) -> Any:
    """Return the Euclidean length of each row of `x`, (N, D), as (N, 1): sqrt(sum(x^2) + 1e-10)."""
    return F.sqrt(F.sum(x * x, axis=1, keepdims=True) + _TINY)


def normalize_rows(F: Any, x: Any) -> Any:
    """Scale each row of `x`, (N, D), to unit Euclidean length: x / row_norms(x)."""
    return F.L2Normalization(x, mode="instance", eps=_TINY)


class Pixels(mx.gluon.HybridBlock):
    """Raw pixels to the scale that a network was made for: (x - mean) / std by channel.

    Parameters
    ----------
    mean, std : sequence of 3 floats
        For red, green and blue, on the 0..255 scale.

    Notes
    -----
    Shapes: input (N, 3, H, W), uint8 or float, 0..255; output the same shape, float32.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.mean = self.params.get_constant("mean", mx.nd.array(mean).reshape((1, 3, 1, 1)))
            self.std = self.params.get_constant("std", mx.nd.array(std).reshape((1, 3, 1, 1)))

    def hybrid_forward(self, F: Any, x: Any, mean: Any, std: Any) -> Any:
        """Return (x - mean) / std."""
        return F.broadcast_div(F.broadcast_sub(F.cast(x, "float32"), mean), std)


class EncoderBlock(mx.gluon.HybridBlock):
    """A network that turns images into codes; the base of all encoders.

    A subclass returns its layers, the last of which is the dense layer whose outputs are the code,
    from :meth:`make_layers`.

    Parameters
    ----------
    code_size : int, optional
        How many numbers a code has; default: the network's own.
    image_size : int
        Height and width of the images, in pixels.
    mean, std : sequence of 3 floats
        The pixels' normalisation, on the 0..255 scale.
    mirror : bool
        Encode an image as the sum of its code and that of its mirror image, scaled to unit length:
        :func:`tripletnet.encoding.encode` does that, training does not.
    rectify : bool
        Pass the dense layer's outputs through ReLU before they are scaled: for training with a
        projection head, see :class:`tripletnet.networks.WithNorms`.

    Notes
    -----
    Shapes: input (N, 3, image_size, image_size), uint8 or float, 0..255; output (N, code_size)
    float32, each row of unit length.
    """

    #: Rows of unit length are what it gives.
    gives_codes = True
    #: The smallest height and width that the layers can take, in pixels.
    smallest_image = 1
    #: How many numbers a code has where nobody says.
    natural_code_size = 1024
    #: Height and width that folders of photos are brought to where nobody says, in pixels.
    photo_size = 64
    #: How many training examples :meth:`take_in` is to be shown; most networks need none.
    takes_in = 0
    #: Whether training may compute it in bfloat16, see :mod:`tripletnet.training.tracing`.
    trains_in_bf16 = False
    #: The highest learning rate of SGD for a batch of 192 when a softmax trains the layers.
    softmax_learning_rate = 0.02
    #: The same where Muon moves the convolutions; None: no other.
    softmax_learning_rate_beside_muon: Optional[float] = None
    #: The model of GluonCV's zoo whose weights fit the backbone; None: there is no backbone.
    backbone_model: Optional[str] = None

    def __init__(
        self,
        code_size: Optional[int] = None,
        image_size: int = 32,
        mean: Sequence[float] = (125.3, 123.0, 113.9),
        std: Sequence[float] = (63.0, 62.1, 66.7),
        mirror: bool = False,
        rectify: bool = False,
        **kwargs: Any,
    ) -> None:
        if code_size is None:
            code_size = self.natural_code_size
        if code_size < 1:
            raise InputError(f"code_size is {code_size}: give 1 or more")
        if image_size < self.smallest_image:
            raise InputError(
                f"image_size is {image_size}: {type(self).__name__} needs images of at least "
                f"{self.smallest_image} x {self.smallest_image} pixels"
            )
        super().__init__(**kwargs)
        self.code_size = code_size
        self.image_size = image_size
        self.mirror = mirror
        self.rectify = rectify
        with self.name_scope():
            self.pixels = Pixels(mean, std)
            self.layers = self.make_layers()

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that make this network anew, for JSON."""
        own = {"code_size": self.code_size, "image_size": self.image_size}
        options = {"mirror": self.mirror, "rectify": self.rectify}
        return {**own, **{name: True for name, chosen in options.items() if chosen}}

    def make_layers(self) -> mx.gluon.HybridBlock:
        """Return the layers from normalised pixels up to and including the code's dense layer."""
        raise NotImplementedError

    def take_in(self, pixels: np.ndarray) -> None:
        """Look at training images, (N, H, W, 3) uint8, before the first step: see `takes_in`."""

    def backbone(self) -> dict[str, mx.gluon.Parameter]:
        """Return the parameters that `backbone_model` has, too, by its names for them."""
        return {}

    def embed(self, x: Any) -> Any:
        """Return the outputs of the dense layer, (N, code_size)."""
        return self.layers(self.pixels(x))

    def unscaled(self, F: Any, x: Any) -> Any:
        """Return the code before it is scaled to unit length, (N, code_size)."""
        embedded = self.embed(x)
        return F.relu(embedded) if self.rectify else embedded

    def check_images(self, *batches: Any) -> None:
        """Raise InputError if a batch is not of this network's shape (symbols have none)."""
        expected = (3, self.image_size, self.image_size)
        for x in batches:
            if isinstance(x, mx.nd.NDArray) and x.shape[1:] != expected:
                raise InputError(
                    f"images have shape {x.shape}: this network takes "
                    f"(N, 3, {self.image_size}, {self.image_size})"
                )

    def forward(self, x: Any, *args: Any) -> Any:
        """Return the codes of images, after a check of their shape."""
        self.check_images(x)
        return super().forward(x, *args)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return codes of unit length."""
        return normalize_rows(F, self.unscaled(F, x))
