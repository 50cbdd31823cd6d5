"""Turn pictures into codes, a file of them."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tripletnet.command import add_device, add_precision


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("run_folder", metavar="RUN", type=Path, help="a run folder, as train leaves it")
    add(
        "images",
        metavar="IMAGES",
        nargs="+",
        type=Path,
        help="folders, with all that is below, and files",
    )
    add("--out", metavar="CODES.npz", type=Path, required=True, help="the file of codes to write")
    add_precision(parser)
    add_device(parser)
    add("--quiet", action="store_true", help="no progress bars")
    parser.set_defaults(goes_on=True)


def run(args: argparse.Namespace) -> None:
    """Encode, write the codes, and say how many there are; a stopped run is taken up again."""
    from tripletnet.codes.file import write_codes
    from tripletnet.errors import InputError
    from tripletnet.files import only_one
    from tripletnet.progress import stage_bars, tell_left_out
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.retrieval.partial_codes import PartialCodes
    from tripletnet.runtime import device

    if args.out.is_dir():
        raise InputError(f"{args.out}: is a folder: --out names the file of codes")
    encoder = Encoder.load(args.run_folder, device(args.device), precision=args.precision)
    keep = args.out.with_name(f"{args.out.name}.part")
    start = time.monotonic()
    with only_one(args.out):
        with stage_bars(args.quiet) as progress:
            encoded, left_out = encoder.encode_files(args.images, keep=keep, progress=progress)
        write_codes(args.out, encoded)
        PartialCodes.remove(keep)
    tell_left_out(left_out, args.out.with_name(f"{args.out.name}.left_out.tsv"))
    seconds = time.monotonic() - start
    print(f"{len(encoded):,} pictures encoded in {seconds:,.1f} s: {args.out}")
