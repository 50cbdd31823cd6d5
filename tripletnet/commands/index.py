"""Make an index of pictures to search, add to it, remove from it, or show what it holds."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from tripletnet.command import (
    add_device,
    add_precision,
    add_run,
    add_seed,
    encoder_options,
    parse_size,
)
from tripletnet.errors import InputError

if TYPE_CHECKING:
    from tripletnet.codes.file import EncodedImages
    from tripletnet.retrieval.catalogue import Catalogue
    from tripletnet.retrieval.index import Index


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.usage = (
        "tripletnet index RUN IMAGES... --out INDEX [--memory SIZE]\n"
        "       tripletnet index CODES.npz --out INDEX [--memory SIZE]\n"
        "       tripletnet index INDEX --add IMAGES... | --remove PATH... | --root FOLDER | --info"
    )
    add = parser.add_argument
    add(
        "source",
        metavar="RUN|CODES.npz|INDEX",
        type=Path,
        help="a run folder or a file of codes to make an index of; or an index, to change or show",
    )
    add("images", metavar="IMAGES", nargs="*", type=Path, help="folders and files of pictures")
    add("--out", metavar="INDEX", type=Path, help="the index to make")
    add(
        "--memory",
        metavar="SIZE",
        type=parse_size,
        help="what the index may take in memory, as 500MB or 6GB: if the exact one does not fit, "
        "the most exact kind that does is made (default: half of what is free)",
    )
    add("--kind", help="auto, flat, sq8, hnsw or ivfpq (default: auto)")
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--add", metavar="IMAGES", nargs="+", type=Path, help="add pictures, and those that changed"
    )
    change.add_argument("--remove", metavar="PATH", nargs="+", help="remove pictures or folders")
    change.add_argument(
        "--root", metavar="FOLDER", type=Path, help="note that the pictures lie there now"
    )
    change.add_argument("--info", action="store_true", help="show what the index holds")
    add_run(parser)
    add("--json", action="store_true", help="print JSON instead of text")
    add_seed(parser)
    add_precision(parser)
    add_device(parser)
    add("--quiet", action="store_true", help="no progress bars")
    parser.set_defaults(goes_on=True)


def run(args: argparse.Namespace) -> None:
    """Do what was asked for and show what the index holds then."""
    if args.info or args.add or args.remove or args.root:
        if args.out or args.images:
            raise InputError("index: --out and IMAGES make an index; to change one, name it alone")
        if args.memory is not None or args.kind is not None:
            raise InputError(
                "index: --memory and --kind choose the kind of a new index, and this one has its "
                "own: leave them out, or make it anew"
            )
        if encoder_options(args) and not args.add:
            raise InputError("index: --precision and --device are for pictures: leave them out")
        if args.root and not args.root.is_dir():
            raise InputError(f"{args.root}: no such folder: name the one that the pictures lie in")
        if args.info and args.run_folder is not None:
            raise InputError("index: --info changes nothing: leave out --run")
        _change(args)
        return
    if args.out is None:
        raise InputError("index: name the index to make with --out, or ask for --info, --add, ...")

    from tripletnet.files import check_unicode, only_one
    from tripletnet.progress import stage_bars
    from tripletnet.retrieval.index import Index
    from tripletnet.retrieval.index_plan import check_kind
    from tripletnet.retrieval.index_store import is_unfinished
    from tripletnet.retrieval.partial_codes import PartialCodes

    check_unicode(args.out)
    args.kind = args.kind or "auto"
    check_kind(args.kind)
    with only_one(args.out):
        if args.out.exists() and not is_unfinished(args.out):
            add_to_it = f"add to it (tripletnet index {args.out} --add IMAGES), or "
            is_index = (args.out / "index.json").exists()
            raise InputError(f"{args.out}: exists: {add_to_it * is_index}name another with --out")
        encoded, threshold = _encoded(args)
        with stage_bars(args.quiet) as progress:
            index = Index.build(
                encoded,
                memory=args.memory,
                kind=args.kind,
                threshold=threshold,
                seed=args.seed,
                progress=progress,
            )
        index.save(args.out)
        if args.images:
            PartialCodes.remove(_kept(args.out))
    _show(index, args.json, f"index: {args.out}")


def _change(args: argparse.Namespace) -> None:
    """Add, remove, or note a new place, and save the index; or only show it."""
    from tripletnet.files import check_unicode, only_one
    from tripletnet.retrieval.changes import add_pictures, paths_named
    from tripletnet.retrieval.index import Index
    from tripletnet.retrieval.partial_codes import PartialCodes

    if args.info:
        _show(Index.load(args.source), args.json)
        return
    if args.root:
        check_unicode(args.root.resolve())
    if not (args.source / "index.json").is_file():
        Index.load(args.source)  # says what is wrong
    with only_one(args.source):
        index = Index.load(args.source)
        if args.run_folder is not None:
            _take_run(index, args)
        if args.add:
            encoded = _encode_for(index, args)
            done = str(add_pictures(index, encoded))
        elif args.remove:
            names = paths_named(index, args.remove)
            index.remove(names)
            done = f"{len(names):,} pictures removed"
        else:
            index.images = replace(index.images, root=str(args.root.resolve()))
            done = "the pictures' new place is noted"
        index.save(args.source)
        if args.add:
            PartialCodes.remove(_kept(args.source))
    _show(index, args.json, done)


def _take_run(index: Index, args: argparse.Namespace) -> None:
    """Note where the run of an index lies now."""
    _check_run(args.run_folder, index.images)
    index.images = replace(index.images, run=str(args.run_folder.resolve()))


def _check_run(run: Path, images: Catalogue | EncodedImages) -> None:
    """Refuse a run whose encoder is not that of the images, without loading it."""
    from tripletnet.retrieval.same_encoder import check_same_encoder
    from tripletnet.runs import read_description

    check_same_encoder(images, run, read_description(run).get("fingerprint"))


def _encode_for(index: Index, args: argparse.Namespace) -> EncodedImages:
    """Encode pictures to add, with the encoder that the index is of."""
    from tripletnet.retrieval.same_encoder import find_run

    run = find_run(index.images, args.source, args.run_folder)
    _check_run(run, index.images)
    return _encode(run, args.add, args, _kept(args.source))


def _encoded(args: argparse.Namespace) -> tuple[EncodedImages, Optional[float]]:
    """Return the codes to index and their run's threshold."""
    from tripletnet.codes.file import read_codes
    from tripletnet.retrieval.index_plan import plan_index
    from tripletnet.runs import read_threshold

    if not args.source.exists():
        raise InputError(f"{args.source}: no such run folder or file of codes")
    if not args.source.is_dir():
        if args.images:
            raise InputError(f"{args.source}: to index pictures, name the run folder first")
        given = encoder_options(args)
        if given:
            raise InputError(f"index: {given[0]}: the codes are made already: leave it out")
        encoded = read_codes(args.source, mapped=True)
        if args.run_folder is not None:
            _check_run(args.run_folder, encoded)
            encoded = replace(encoded, run=str(args.run_folder.resolve()))
            return encoded, read_threshold(args.run_folder)
        run = Path(encoded.run) if encoded.run else None
        if run is None or not run.is_dir():
            return encoded, None
        try:
            _check_run(run, encoded)
        except InputError as error:  # it was trained anew since
            print(f"tripletnet: no threshold is taken: {error}", file=sys.stderr)
            return encoded, None
        return encoded, read_threshold(run)
    if args.run_folder is not None:
        raise InputError(f"index: --run: {args.source} is the run: leave it out")
    if not args.images:
        raise InputError(f"index: which pictures are to be indexed with {args.source}? name them")
    # on the disk, so that the codes are not in memory twice and a stopped run can be taken up
    fits = partial(plan_index, memory=args.memory, kind=args.kind)
    encoded = _encode(args.source, args.images, args, _kept(args.out), fits)
    return encoded, read_threshold(args.source)


def _kept(out: Path) -> Path:
    from tripletnet.files import absolute

    out = absolute(out)  # the folder that you are in has no name
    return out.with_name(f"{out.name}.part")


def _encode(
    run: Path,
    images: Sequence[Path],
    args: argparse.Namespace,
    keep: Path,
    check: Optional[Callable[[int, int], object]] = None,
) -> EncodedImages:
    from tripletnet.progress import stage_bars, tell_left_out
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.runtime import device

    encoder = Encoder.load(run, device(args.device), precision=args.precision)
    with stage_bars(args.quiet) as progress:
        encoded, left_out = encoder.encode_files(images, keep=keep, progress=progress, check=check)
    tell_left_out(left_out)
    return encoded


def _show(index: Index, as_json: bool, done: str = "") -> None:
    about: dict[str, Any] = index.info()
    if as_json:
        print(json.dumps({**about, "done": done}, ensure_ascii=False))
        return
    if done:
        print(done)
    threshold, recall = about["threshold"], about["recall"]
    told = {
        "kind": f"{about['kind']}, recall@10 {recall:.4f}" + " (exact)" * (about["kind"] == "flat"),
        "pictures": f"{about['images']:,}, codes of {about['code_size']:,} numbers",
        "classes": f"{about['classes']:,}" if about["classes"] else "not known",
        "memory": f"{about['memory'] / 1e6:,.1f} MB",
        "root": about["root"] or "not known",
        "run": about["run"] or "not known",
        "encoder": about["fingerprint"] or "not known",
        "precision": about["precision"] or "not known",
        "threshold": "none" if threshold is None else f"squared distance {threshold:.4f}",
    }
    for name, value in told.items():
        print(f"  {name:9} {value}")
