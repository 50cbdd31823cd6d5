"""Find pictures that an index holds twice, as copies or nearly; nothing is deleted."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from tripletnet.command import add_device, add_run, add_seed
from tripletnet.errors import InputError

if TYPE_CHECKING:
    from tripletnet.plots.contact_sheet import Tile
    from tripletnet.retrieval.duplicate_threshold import DuplicateThreshold
    from tripletnet.retrieval.index import Index

#: What the contact sheet shows: groups, members of each, pixels a side.
_GROUPS, _MEMBERS, _SIDE = 30, 8, 160
_NAMED = 5  # how many missing pictures are named
_PRECISION = 0.95


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("index", metavar="INDEX", type=Path, help="as index leaves it")
    add(
        "--max-distance",
        metavar="D",
        type=float,
        help="how far a picture may be from the centre of its group, squared Euclidean (default: "
        "calibrated on pictures of the index, altered)",
    )
    add(
        "--precision",
        metavar="SHARE",
        type=float,
        help=f"calibrate for so much of what is found to be right (default: {_PRECISION})",
    )
    add_run(parser)
    add("--keep", choices=["best"], help="name the largest, then sharpest picture of each group")
    add("--out", metavar="FOLDER", type=Path, help="write groups.csv and sheet.png there")
    add("--json", action="store_true", help="print everything as JSON")
    add_seed(parser)
    add_device(parser)
    add("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> None:
    """Find the groups, print them, and write the table and the contact sheet."""
    from tripletnet.progress import stage_bars
    from tripletnet.retrieval.duplicates import find_duplicates
    from tripletnet.retrieval.index import Index

    if args.max_distance is not None:
        _refuse_calibration(args)
    index = Index.load(args.index)
    threshold = _calibrate(args, index) if args.max_distance is None else None
    limit = args.max_distance if threshold is None else threshold.distance
    with stage_bars(args.quiet) as progress:
        found = find_duplicates(index, limit, progress=partial(progress, "comparing"))
    rows = list(found.rows())
    root = Path(index.images.root or "")
    if args.keep or args.out:
        _look_at(rows, index)
    if args.keep:
        _mark_best(rows, root)
    if args.out:
        _write(args.out, rows, root, f"{args.index.name}: {found.summary}")
    if args.json:
        from tripletnet.files import finite

        told = {
            "pictures": len(index),
            "max_distance": finite(found.max_distance),
            "calibration": None if threshold is None else threshold.to_json(),
            "exact": found.count("exact"),
            "near": found.count("near"),
            "members": rows,
        }
        print(json.dumps(told, ensure_ascii=False))
        return
    print(found)
    if args.keep:
        _tell_best(rows)
    if threshold is not None:
        print(threshold)
    if args.out:
        sheet = f", {args.out / 'sheet.png'}" if rows else ""
        print(f"to look through: {args.out / 'groups.csv'}{sheet}")


def _refuse_calibration(args: argparse.Namespace) -> None:
    """Raise InputError for an option of the calibration, which --max-distance replaces."""
    given = {"precision": args.precision, "run": args.run_folder}
    if args.device != "cpu":
        given["device"] = args.device
    for name, value in given.items():
        if value is not None:
            raise InputError(
                f"--{name} is for the calibration, in whose place --max-distance is: leave one out"
            )


def _calibrate(args: argparse.Namespace, index: Index) -> DuplicateThreshold:
    """Return the distance that suits the pictures of the index."""
    from tripletnet.progress import stage_bars
    from tripletnet.retrieval.calibrate_duplicates import calibrate_duplicates
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.retrieval.same_encoder import find_run
    from tripletnet.runtime import device

    run = find_run(index.images, args.index, args.run_folder, ", or give --max-distance")
    with stage_bars(args.quiet) as progress:
        return calibrate_duplicates(
            index,
            Encoder.load(run, device(args.device)),
            precision=_PRECISION if args.precision is None else args.precision,
            seed=args.seed,
            progress=partial(progress, "calibrating"),
        )


def _look_at(rows: list[dict[str, Any]], index: Index) -> None:
    """Add to each row the picture's width, height and sharpness; None where it is not there."""
    from tripletnet.data.decode import ImageError, decode_image
    from tripletnet.processor import usable_cores
    from tripletnet.retrieval.keep import sharpness
    from tripletnet.retrieval.originals import Originals

    originals = Originals(index.images)

    def measure(row: dict[str, Any]) -> Optional[str]:
        row.update(width=None, height=None, sharpness=None)
        try:
            picture = decode_image(originals.read(row["path"]))
        except ImageError as error:
            return f"{originals.root / row['path']}: {error.reason}"
        height, width = picture.shape[:2]
        row.update(width=width, height=height, sharpness=round(sharpness(picture), 2))
        return None

    with ThreadPoolExecutor(usable_cores()) as pool:
        missing = [reason for reason in pool.map(measure, rows) if reason is not None]
    for reason in missing[:_NAMED]:
        print(f"tripletnet: {reason}", file=sys.stderr)
    if len(missing) > _NAMED:
        print(f"tripletnet: and {len(missing) - _NAMED:,} more", file=sys.stderr)


def _mark_best(rows: list[dict[str, Any]], root: Path) -> None:
    """Add to each row whether to keep the picture."""
    from tripletnet.retrieval.keep import choose_keep

    for _, group in groupby(rows, key=itemgetter("group")):
        members = list(group)
        best = choose_keep(
            [row["path"] for row in members],
            [(row["width"] or 0) * (row["height"] or 0) for row in members],
            [row["sharpness"] for row in members],
            [(root / row["path"]).is_symlink() for row in members],
        )
        for place, row in enumerate(members):
            row["keep"] = "yes" if place == best else "no"


def _tell_best(rows: list[dict[str, Any]]) -> None:
    """Print which picture of each group to keep."""
    from tripletnet.retrieval.duplicates import SHOWN

    kept = [row for row in rows if row["keep"] == "yes"]
    for row in kept[:SHOWN]:
        print(f"group {row['group']}: keep {row['path']}")
    print(
        f"{len(kept):,} to keep, {len(rows) - len(kept):,} others to look through; "
        "nothing was deleted"
    )


def _write(folder: Path, rows: list[dict[str, Any]], root: Path, title: str) -> None:
    """Write groups.csv, and sheet.png where there are groups."""
    from tripletnet.files import atomic_table
    from tripletnet.plots.contact_sheet import contact_sheet
    from tripletnet.plots.output import save_figure

    columns = ["group", "path", "kind", "distance", "width", "height", "sharpness"]
    if rows and "keep" in rows[0]:
        columns.append("keep")
    with atomic_table(folder / "groups.csv") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        table.writerows(rows)
    groups = [list(group) for _, group in groupby(rows, key=itemgetter("group"))]
    if not groups:  # an earlier sheet would not belong to this table
        (folder / "sheet.png").unlink(missing_ok=True)
    else:
        shown = [[_tile(row, root) for row in group[:_MEMBERS]] for group in groups[:_GROUPS]]
        hidden = [max(0, len(group) - _MEMBERS) for group in groups[:_GROUPS]]
        if len(groups) > _GROUPS:
            title = f"{title}; the first {_GROUPS}"
        save_figure(contact_sheet(shown, title, hidden), folder / "sheet.png")


def _tile(row: dict[str, Any], root: Path) -> Tile:
    """Return a member of a group as the contact sheet shows it."""
    from tripletnet.data.decode import decode_image
    from tripletnet.data.resize import resize_image
    from tripletnet.plots.contact_sheet import Tile

    keep = row.get("keep") == "yes"
    note = f"{row['kind']} {row['distance']:.4f}" + (", keep" if keep else "")
    if row["width"] is None:
        return Tile(None, row["path"], note, keep)
    picture = decode_image(root / row["path"])
    scale = min(1.0, _SIDE / max(picture.shape))
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return Tile(resize_image(picture, (height, width), "stretch"), row["path"], note, keep)
