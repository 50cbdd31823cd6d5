"""Write triplets of a folder's classes as a file, by deep ranking's sampling."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from functools import partial
from pathlib import Path

from tripletnet.command import add_seed, parse_share
from tripletnet.errors import InputError

PARTS = ("train", "validation", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("data", metavar="DATA", type=Path, help="a folder with one folder of images a class")
    add("--out", metavar="FILE", type=Path, required=True, help="CSV: anchor,same,diff")
    add(
        "--positives",
        type=int,
        default=1,
        help="images of its class for each image, at most (default: %(default)s)",
    )
    add(
        "--negatives",
        type=int,
        default=1,
        help="images of other classes for each of these (default: %(default)s)",
    )
    add(
        "--part",
        choices=PARTS,
        help="a part of the images only, split by their content as train splits them "
        "(default: all images)",
    )
    add("--validation", type=parse_share, default=0.1, help="share of that part (default: 0.1)")
    add("--test", type=parse_share, default=0.1, help="share of that part (default: 0.1)")
    add("--size", type=int, default=64, help="decode them as train will (default: %(default)s)")
    add("--fit", default="crop", help="crop, letterbox or stretch (default: crop)")
    add_seed(parser)
    add("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> None:
    """Write the file, row by row."""
    import numpy as np

    from tripletnet.data.deep_ranking import deep_ranking_triplets
    from tripletnet.data.folder import load_folder
    from tripletnet.files import atomic_path
    from tripletnet.progress import stage_bars

    if not args.data.is_dir():
        raise InputError(
            f"{args.data}: no such folder; triplets name files: give a folder of images"
        )
    with stage_bars(args.quiet) as progress:
        data = load_folder(
            args.data,
            size=args.size,
            fit=args.fit,
            validation=args.validation,
            test=args.test,
            seed=args.seed,
            progress=partial(progress, "decoding"),
        )
        for notice in data.notices():
            print(f"tripletnet: {notice}", file=sys.stderr)
        splits = data.splits
        parts = [
            images
            for name, images in zip(PARTS, (splits.train, splits.validation, splits.test))
            if images is not None and args.part in (None, name)
        ]
        labels = np.concatenate([images.labels for images in parts] or [np.empty(0, np.int64)])
        # as train reads them: relative to the file
        folder = os.path.relpath(args.data.resolve(), args.out.parent.resolve())
        paths = [f"{folder}/{path}" for images in parts for path in images.paths or ()]
        triplets = deep_ranking_triplets(labels, args.positives, args.negatives, args.seed)
        rows = 0
        with (
            atomic_path(args.out) as scratch,
            scratch.open("w", encoding="utf-8", newline="") as file,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["anchor", "same", "diff"])
            for image, some in enumerate(triplets, 1):
                table.writerows([paths[place] for place in row] for row in some.tolist())
                rows += len(some)
                if image % 1000 == 0 or image == len(paths):
                    progress("sampling", image, len(paths))
    print(f"{rows:,} triplets of {len(paths):,} images: {args.out}")
