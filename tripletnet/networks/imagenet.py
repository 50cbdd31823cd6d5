"""The pixels' normalisation that weights learnt on ImageNet expect, on the 0..255 scale."""

from __future__ import annotations

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
