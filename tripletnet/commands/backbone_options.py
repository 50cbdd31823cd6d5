"""The options about a network's backbone: where its weights come from, when it learns."""

from __future__ import annotations

import argparse
from typing import Union


def add_backbone_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options, for deep-ranking and gluoncv:NAME."""
    group = parser.add_argument_group("backbone", "of deep-ranking (its VGG16) and gluoncv:NAME")
    first = group.add_mutually_exclusive_group()
    first.add_argument(
        "--pretrained",
        action="store_true",
        default=None,
        help="start from the weights of GluonCV's model store",
    )
    first.add_argument(
        "--weights", metavar="FILE", help="start from the weights of that model in a .params file"
    )
    group.add_argument(
        "--freeze-backbone",
        nargs="?",
        const="always",
        type=parse_freezing,
        metavar="E",
        help="let the backbone learn nothing, or nothing in the first E epochs",
    )
    group.add_argument(
        "--backbone-learning-rate",
        type=float,
        metavar="RATE",
        help="the backbone's highest learning rate (default: --learning-rate)",
    )


def parse_freezing(text: str) -> Union[str, float]:
    """Return "always" or a number of epochs."""
    try:
        return text if text == "always" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no number of epochs: give one, or always"
        ) from None
