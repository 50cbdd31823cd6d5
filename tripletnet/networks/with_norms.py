"""An encoder as training sees it: its codes, and how long they were before they were scaled."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx
from tripletnet.networks.base import EncoderBlock, row_norms


class WithNorms(mx.gluon.HybridBlock):
    """The codes of an encoder together with their lengths before they were scaled.

    The encoder itself keeps its one output: what is encoded, saved and exported knows no norms.

    Parameters
    ----------
    encoder : EncoderBlock
        Gives the layers. They are shared, not copied.

    Notes
    -----
    Shapes: input (N, 3, H, W), uint8 or float, 0..255; outputs (N, code_size) float32, the very
    codes that the encoder gives, and (N, 1) float32, through which no gradient passes.
    """

    def __init__(self, encoder: EncoderBlock, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.encoder = encoder

    def forward(self, x: Any, *args: Any) -> Any:
        """Return codes and norms of images, after a check of their shape."""
        self.encoder.check_images(x)
        return super().forward(x, *args)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return codes of unit length and their norms before."""
        embedded = self.encoder.embed(x)
        norms = row_norms(F, embedded)
        return F.broadcast_div(embedded, norms), F.BlockGrad(norms)
