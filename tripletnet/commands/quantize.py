"""Make the encoder of a run in int8, and tell how fast and how exact it is here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tripletnet.int8.calibration import Calibration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("run_folder", metavar="RUN", type=Path, help="a run folder, as train leaves it")
    add(
        "images",
        metavar="IMAGES",
        nargs="*",
        type=Path,
        help="folders and files of pictures like those to encode, to calibrate on (default: those "
        "that training left in the run)",
    )
    add("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> None:
    """Make it, measure it, and say whether --precision auto takes it."""
    from tripletnet.errors import InputError
    from tripletnet.int8.calibration import load_calibration
    from tripletnet.int8.precision import int8_block, int8_of
    from tripletnet.int8.speeds import speeds_here
    from tripletnet.runs import load_run

    network, description = load_run(args.run_folder)
    if args.images:
        fit = description.get("source", {}).get("fit", "crop")
        calibration = _pictures(args.images, network.image_size, fit)
    else:
        stored = load_calibration(args.run_folder, network.image_size)
        if stored is None:
            raise InputError(
                f"{args.run_folder}: has no images to calibrate on: name some: tripletnet quantize "
                f"{args.run_folder} IMAGES"
            )
        calibration = stored
    int8 = int8_of(args.run_folder, network, description["fingerprint"], calibration)
    block = int8_block(args.run_folder, int8)
    speeds = speeds_here(block.digest, (network, block), network.image_size, anew=True)
    agreement = int8.agreement
    assert agreement is not None
    objection = agreement.objection
    if not objection and not speeds.ratio > 1:
        objection = "it is not faster on this processor"
    if args.json:
        told = {**agreement.to_json(), "images_per_second": speeds.to_json()}
        print(json.dumps({**told, "auto": "fp32" if objection else "int8", "why": objection}))
        return
    print(f"encoder in int8: {args.run_folder}")
    print(
        f"  cosine to the codes of fp32: {agreement.cosine:.5f} on average, "
        f"{agreement.least_cosine:.5f} at least ({agreement.images:,} images)"
    )
    if agreement.map_at_r_fp32 is not None and agreement.map_at_r_int8 is not None:
        print(
            f"  MAP@R on them: {agreement.map_at_r_int8:.2%}, and {agreement.map_at_r_fp32:.2%} of "
            "fp32"
        )
    print(
        f"  on this processor: {speeds.int8:,.0f} images/s, {speeds.ratio:.2f} times as fast as "
        f"fp32 ({speeds.fp32:,.0f})"
    )
    print("--precision auto takes " + (f"fp32: {objection}" if objection else "int8"))


def _pictures(paths: list[Path], side: int, fit: str) -> Calibration:
    """Return pictures of some folders and files as images to calibrate on."""
    import numpy as np

    from tripletnet.data.decode import ImageError, decode_image
    from tripletnet.data.pictures import list_pictures
    from tripletnet.data.scan import LeftOut
    from tripletnet.errors import InputError
    from tripletnet.int8.calibration import Calibration, calibration_size, evenly
    from tripletnet.progress import tell_left_out

    listing = list_pictures(paths)
    names = np.array(listing.labels)
    pixels, labels, left_out = [], [], list(listing.left_out)
    for row in evenly(names, calibration_size(side)):
        path = listing.root / listing.files[row]
        try:
            pixels.append(decode_image(path, size=(side, side), fit=fit))
            labels.append(names[row])
        except ImageError as error:
            left_out.append(LeftOut(str(path), error.reason))
    if not pixels:
        example = f"{left_out[-1].path}: {left_out[-1].reason}"
        raise InputError(f"{paths[0]}: none of the pictures can be used; one of them is {example}")
    tell_left_out(left_out)
    classes, index = np.unique(labels, return_inverse=True)
    known = len(classes) > 1 and "" not in classes
    return Calibration(np.stack(pixels), index.astype(np.int64) if known else None)
