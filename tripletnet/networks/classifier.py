"""The control: the same layers trained end to end as a classifier."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx
from tripletnet.networks.base import EncoderBlock


class Classifier(mx.gluon.HybridBlock):
    """An encoder's layers, then ReLU and a dense layer to the classes; no unit length.

    Parameters
    ----------
    encoder : EncoderBlock
        Gives the layers up to and including the code's dense layer. They are shared, not copied:
        give it an encoder of its own.
    classes : int
        The number of classes.

    Notes
    -----
    Shapes: input (N, 3, H, W), uint8 or float, 0..255; output (N, classes), scores before the
    softmax.
    """

    def __init__(self, encoder: EncoderBlock, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.encoder = encoder
            self.output = mx.gluon.nn.Dense(classes, in_units=encoder.code_size)

    @property
    def mirror(self) -> bool:
        """Whether an image's outputs are the mean of its own and those of its mirror image."""
        return self.encoder.mirror

    def features(self, x: Any) -> Any:
        """Return what the last layer sees: the code after ReLU, (N, code_size)."""
        return self.encoder.embed(x).relu()

    def forward(self, x: Any, *args: Any) -> Any:
        """Return the scores of images, after a check of their shape."""
        self.encoder.check_images(x)
        return super().forward(x, *args)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return a score for each class."""
        return self.output(self.features(x))
