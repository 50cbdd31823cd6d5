"""Tell how alike two pictures are, by a run's encoder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tripletnet.command import add_device, add_distance, add_precision
from tripletnet.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("run_folder", metavar="RUN", type=Path, help="a run folder, as train leaves it")
    add("first", metavar="A", type=Path, help="a picture")
    add("second", metavar="B", type=Path, help="another picture")
    add(
        "--max-distance",
        metavar="D",
        type=float,
        help="distance up to which they count as the same (default: the run's threshold)",
    )
    add_distance(parser)
    add("--check", action="store_true", help="exit with status 1 if they are different")
    add("--json", action="store_true", help="print JSON instead of text")
    add_precision(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Print distance, threshold and verdict; return the exit status."""
    from tripletnet.retrieval.compare import compare
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.runtime import device

    encoder = Encoder.load(args.run_folder, device(args.device), precision=args.precision)
    result = compare(encoder, args.first, args.second, args.max_distance, args.distance)
    if args.check and result.same is None:
        raise InputError(
            f"{args.run_folder}: has no threshold to check by: give --max-distance, or, for a run "
            "that learnt classes, choose one with the command evaluate"
        )
    print(json.dumps(result.to_json()) if args.json else result)
    return int(args.check and not result.same)
