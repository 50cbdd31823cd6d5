"""Plots as small files, which a repository keeps for good."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from tripletnet.files import atomic_path
from tripletnet.plots.output import figure_png

COLOURS = 48


def save_small(figure: Figure, path: Path, dpi: int = 100) -> None:
    """Write a figure as PNG with few colours, whole or not at all."""
    picture = Image.open(io.BytesIO(figure_png(figure, dpi))).convert("RGB")
    with atomic_path(path) as scratch:
        picture.quantize(COLOURS).save(scratch, format="png", optimize=True)
