"""An encoder as training sees it: what the loss looks at, and how long that was before scaling."""

from __future__ import annotations

from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.networks.base import EncoderBlock, normalize_rows, row_norms


class WithNorms(mx.gluon.HybridBlock):
    """The codes of an encoder, or a projection of them, with their lengths before they were scaled.

    The encoder itself keeps its one output: what is encoded, saved and exported knows neither norms
    nor the projection head.

    Parameters
    ----------
    encoder : EncoderBlock
        Gives the layers. They are shared, not copied.
    projection : int, optional
        A projection head: a dense layer from the code, before it is scaled, to so many numbers,
        which the loss looks at in its place.

    Notes
    -----
    Shapes: input (N, 3, H, W), uint8 or float, 0..255; outputs (N, code_size) float32, the very
    codes that the encoder gives, or (N, projection), and (N, 1) float32, through which no gradient
    passes.

    References
    ----------
    Chen et al. (2020), "A Simple Framework for Contrastive Learning of Visual Representations",
    ICML, for the head.
    """

    def __init__(
        self, encoder: EncoderBlock, projection: Optional[int] = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.encoder = encoder
            self.head = (
                mx.gluon.nn.Dense(projection, in_units=encoder.code_size) if projection else None
            )

    def forward(self, x: Any, *args: Any) -> Any:
        """Return codes and norms of images, after a check of their shape."""
        self.encoder.check_images(x)
        return super().forward(x, *args)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return codes of unit length and their norms before."""
        embedded = self.encoder.unscaled(F, x)
        if self.head is not None:
            embedded = self.head(embedded)
        return normalize_rows(F, embedded), F.BlockGrad(row_norms(F, embedded))
