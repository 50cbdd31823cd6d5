"""One encoder, three images: the shared weights of a triplet network."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.networks.base import EncoderBlock


class SiameseTriplet(mx.gluon.HybridBlock):
    """Encode an anchor, a same and a diff image with the same weights.

    Parameters
    ----------
    encoder : EncoderBlock
        The one network that all three pass through.

    Notes
    -----
    Shapes: three inputs (N, 3, H, W), uint8 or float, 0..255, of one type; three outputs
    (N, code_size) float32.

    The three batches go through the encoder as one of 3N images. Where the encoder has batch
    normalisation, its statistics in training are therefore those of all 3N images together.
    """

    def __init__(self, encoder: EncoderBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.encoder = encoder

    def forward(self, anchor: Any, *others: Any) -> Any:
        """Return the three codes, after a check of the images' shapes."""
        self.encoder.check_images(anchor, *others)
        if isinstance(anchor, mx.nd.NDArray):
            kinds = [(images.shape, np.dtype(images.dtype).name) for images in (anchor, *others)]
            if len(set(kinds)) > 1:
                told = ", ".join(f"{kind} {shape}" for shape, kind in kinds)
                raise InputError(
                    f"anchor, same and diff: {told}: give as many images of one type in each"
                )
        return super().forward(anchor, *others)

    def hybrid_forward(self, F: Any, anchor: Any, same: Any, diff: Any) -> Any:
        """Return the codes (anchor, same, diff)."""
        codes = self.encoder(F.concat(anchor, same, diff, dim=0))
        return tuple(F.split(codes, num_outputs=3, axis=0))
