"""How the command train alters its images: the options."""

from __future__ import annotations

import argparse


def add_alteration_options(parser: argparse.ArgumentParser) -> None:
    """Describe how training images are altered."""
    group = parser.add_argument_group(
        "how images are altered",
        "The defaults depend on what is learnt from: see docs/unlabelled.md.",
    )
    add = group.add_argument
    flip = group.add_mutually_exclusive_group()
    flip.add_argument("--flip", action="store_true", default=None, help="mirror half of the images")
    flip.add_argument("--no-flip", dest="flip", action="store_false", help="mirror none")
    add("--shift", type=int, help="move images by up to so many pixels")
    add("--crop", type=float, help="cut out at least this share of an image")
    add("--rotate", type=float, metavar="DEGREES", help="rotate by up to so much")
    add("--colour", type=float, help="change brightness, contrast, saturation by up to this share")
    add("--hue", type=float, metavar="DEGREES", help="turn the hues by up to so much")
    add("--text", type=float, help="write letters over half, up to this share of the height high")
    add("--shrink", type=float, help="shrink half of the images to this share or more, and enlarge")
    add("--mirror", action="store_true", default=None, help="encode images and mirror images, both")
    add("--jpeg", type=int, metavar="QUALITY", help="save half of them as JPEG of this or better")
