"""Find the pictures of an index that look like some others."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from tripletnet.command import add_device, add_distance, add_precision, add_run
from tripletnet.errors import InputError
from tripletnet.registry import DISTANCES

if TYPE_CHECKING:
    from tripletnet.data.scan import LeftOut
    from tripletnet.retrieval.index import Index
    from tripletnet.retrieval.search_pictures import PictureResult

#: Queries, and neighbours of each, that fit into one picture.
_DRAWN, _NEIGHBOURS = 20, 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("index", metavar="INDEX", type=Path, help="an index, as the command index leaves it")
    add("pictures", metavar="PICTURE", nargs="+", type=Path, help="files or folders to search for")
    add("-k", type=int, default=10, help="the most neighbours of each (default: %(default)s)")
    add(
        "--max-distance",
        metavar="D",
        type=float,
        help="distance up to which pictures look alike; inf for any (default: the "
        "threshold that the run has learnt from its validation images)",
    )
    add_distance(parser)
    add_run(parser)
    add("--plot", metavar="GRID.png", type=Path, help="draw what was found")
    add("--csv", metavar="TABLE.csv", type=Path, help="write a table, a line for each neighbour")
    add("--json", action="store_true", help="print JSON instead of text")
    add_precision(parser)
    add_device(parser)
    add("--quiet", action="store_true", help="say nothing of what was left out")


def run(args: argparse.Namespace) -> None:
    """Search, and show what was found as text, JSON, a table and a picture."""
    from tripletnet.files import finite
    from tripletnet.progress import tell_left_out
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.retrieval.index import Index
    from tripletnet.retrieval.same_encoder import find_run
    from tripletnet.retrieval.search_pictures import search_pictures
    from tripletnet.runtime import device

    for path in (args.plot, args.csv):
        if path is not None and path.is_dir():
            raise InputError(f"{path}: is a folder: name a file to write")
    measure = DISTANCES.choose(args.distance)
    index = Index.load(args.index)
    run_folder = find_run(index.images, args.index, args.run_folder)
    encoder = Encoder.load(run_folder, device(args.device), precision=args.precision)
    known = args.max_distance
    for threshold in (encoder.threshold, index.threshold):
        if known is None and threshold is not None:
            known = measure.from_squared(threshold)
    limit = math.inf if known is None else known
    left_out: list[LeftOut] = []
    results = search_pictures(
        index, encoder, args.pictures, args.k, limit, left_out.append, measure
    )
    if known is None:
        print(
            "tripletnet: the run has no threshold, so the nearest are shown at any distance: give "
            "--max-distance, or, for a run that learnt classes, choose one with the command "
            "evaluate",
            file=sys.stderr,
        )
    drawn: list[PictureResult] = []
    count = 0
    with _table(args.csv) as write_row:
        if args.json:
            head = {"distance": measure.label, "max_distance": finite(limit)}
            print(json.dumps(head)[:-1] + ', "results": [')
        for result in results:
            if write_row is not None:
                write_row(result)
            if args.json:
                print(",\n" * (count > 0) + json.dumps(result.to_json(), ensure_ascii=False))
            elif args.csv is None:
                print(result)
            if args.plot and len(drawn) < _DRAWN:
                drawn.append(result)
            count += 1
        if args.json:
            print("]}")
        if not args.quiet or not count:
            tell_left_out(left_out)
        if not count:  # said here, so that an earlier table stays
            raise InputError(f"{args.pictures[0]}: none of the pictures can be used")
    if args.csv is not None and not args.json:
        print(f"{count:,} pictures searched for: {args.csv}")
    elif not args.json:
        within = "at any distance" if math.isinf(limit) else f"within {limit:.4f}"
        print(f"({measure.label} distances, {within})")
    if args.plot:
        _draw(index, drawn, args.plot, measure.label)
        if count > _DRAWN:
            print(f"tripletnet: {args.plot} shows the first {_DRAWN} of {count}", file=sys.stderr)


@contextlib.contextmanager
def _table(path: Optional[Path]) -> Iterator[Optional[Callable[[PictureResult], None]]]:
    """Give a function that writes the rows of a result; None if no table is wanted."""
    if path is None:
        yield None
        return
    from tripletnet.files import atomic_table

    with atomic_table(path) as file:
        writer = csv.writer(file)
        writer.writerow(["query", "rank", "path", "distance", "class"])

        def write(result: PictureResult) -> None:
            writer.writerows([result.query, "itself", path, 0, ""] for path in result.itself)
            for rank, near in enumerate(result.neighbours, 1):
                writer.writerow([result.query, rank, near.path, f"{near.distance:.6g}", near.label])
            if not result.neighbours:
                writer.writerow([result.query, "none", "", "", ""])

        yield write


def _draw(index: Index, results: list[PictureResult], path: Path, unit: str) -> None:
    from tripletnet.data.decode import ImageError, decode_image
    from tripletnet.plots.contact_sheet import Tile, contact_sheet
    from tripletnet.plots.output import save_figure
    from tripletnet.retrieval.originals import Originals

    originals = Originals(index.images)
    rows, missing = [], 0
    for result in results:
        note = "searched for" if result.neighbours else "nothing looks like it"
        tiles = [Tile(result.pixels, result.query.name, note, keep=True)]
        for near in result.neighbours[:_NEIGHBOURS]:
            try:
                data = originals.read(near.path)
                picture = decode_image(data, size=(160, 160), fit="letterbox")
            except ImageError:
                picture, missing = None, missing + 1
            tiles.append(Tile(picture, near.path, f"{near.distance:.4f}"))
        rows.append(tiles)
    if missing:
        print(
            f"tripletnet: {missing} pictures are not in {originals.root}, or have changed since: "
            "tell the index where they are (index INDEX --root FOLDER), or add them again (--add)",
            file=sys.stderr,
        )
    title = f"what was searched for, and what looks like it ({unit} distance)"
    hidden = [max(0, len(result.neighbours) - _NEIGHBOURS) for result in results]
    save_figure(contact_sheet(rows, title, hidden), path)
