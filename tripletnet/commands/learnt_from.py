"""What the command train learns from: its options, and the data that they name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional, Union

from tripletnet.command import parse_share
from tripletnet.errors import InputError

if TYPE_CHECKING:
    from tripletnet.data.examples import LoadedExamples

#: Options that mean something for data with classes alone.
_FOR_CLASSES = ("test", "hold_out_classes", "balance")
#: Those for pictures in files alone, and those of a folder with classes besides.
_FOR_FILES, _FOR_FOLDERS = ("size", "fit", "strict"), ("validation", "test", "hold_out_classes")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Describe what to learn from."""
    add = parser.add_argument
    add(
        "data",
        metavar="DATA",
        nargs="?",
        help="a folder with one folder of images a class, cifar10 or digits; with --triplets or "
        "--pairs the folder that their paths start from (default: the folder of the file)",
    )
    add("--root", type=Path, help="where CIFAR-10 lies (default: TRIPLETNET_DATA, or the cache)")
    without = parser.add_argument_group("similarity without classes")
    kind = without.add_mutually_exclusive_group()
    kind.add_argument(
        "--triplets", type=Path, metavar="FILE", help="CSV: anchor,same,diff, paths of pictures"
    )
    kind.add_argument(
        "--pairs", type=Path, metavar="FILE", help="CSV: a,b,similar, two paths and 1 or 0"
    )
    kind.add_argument(
        "--positives",
        choices=("augment",),
        help="take the same image, altered, for the similar one: DATA is a folder of any pictures, "
        "read with all below it, or cifar10 or digits without its labels",
    )
    without.add_argument(
        "--validation-file",
        type=Path,
        metavar="FILE",
        help="rows like those of --triplets or --pairs to validate on, in place of a share",
    )
    folder = parser.add_argument_group("folders and files")
    folder.add_argument(
        "--size",
        type=int,
        help="pixels a side (default: 64; with deep-ranking 224, with gluoncv:NAME what it wants)",
    )
    folder.add_argument("--fit", help="crop, letterbox or stretch to a square (default: crop)")
    folder.add_argument("--validation", type=parse_share, help="share of the images (default: 0.1)")
    folder.add_argument("--test", type=parse_share, help="share of the images (default: 0.1)")
    folder.add_argument(
        "--hold-out-classes", metavar="A,B|N", help="classes to keep out of training, or how many"
    )
    folder.add_argument(
        "--strict", action="store_true", default=None, help="make the first bad file an error"
    )


def supervision_of(args: argparse.Namespace) -> str:
    """Return what shows what is similar, after looking at whether the options go together."""
    named = next((n for n in ("triplets", "pairs", "positives") if getattr(args, n)), None)
    by_file = named in ("triplets", "pairs")
    if args.data is None and not by_file:
        raise InputError(
            "DATA is missing: give a folder of images, cifar10 or digits, or a file by --triplets "
            "or --pairs"
        )
    if args.validation_file and not by_file:
        raise InputError("--validation-file goes with --triplets or --pairs: leave it out")
    if _has_a_name(args) and not by_file:
        refused = _FOR_FILES if named else (*_FOR_FILES, *_FOR_FOLDERS)
        _refuse(args, refused, "is for folders of images", args.data)
    if by_file or args.data != "cifar10":
        beside = f"--{named}" if by_file else args.data
        _refuse(args, ("root",), "tells where CIFAR-10 lies", beside)
    if named is None:
        return "classes"
    _refuse(args, _FOR_CLASSES, "is for data with classes", f"--{named}")
    return "views" if named == "positives" else named


def _has_a_name(args: argparse.Namespace) -> bool:
    """Return whether DATA is one of the data sets that are called by name."""
    from tripletnet.data.source import NAMED

    return args.data in NAMED


def _refuse(args: argparse.Namespace, options: Sequence[str], what_for: str, beside: str) -> None:
    for option in options:
        if getattr(args, option) is not None:
            name = option.replace("_", "-")
            raise InputError(f"--{name} {what_for} and does not go with {beside}: leave it out")


def kind_of(args: argparse.Namespace) -> str:
    """Return the kind of data that the options name, as in `tripletnet.presets.DEFAULTS`."""
    supervision = supervision_of(args)
    if supervision != "classes":
        return supervision
    return args.data if _has_a_name(args) else "folder"


def load_examples(
    args: argparse.Namespace,
    size: int,
    split: Optional[Mapping[str, str]],
    progress: Callable[[int, int], None],
) -> LoadedExamples:
    """Load what the options name, pictures at `size`, in the `split` of an earlier run if any."""
    supervision = supervision_of(args)
    if supervision == "classes":
        return _load_classes(args, size, split, progress)
    if supervision == "views":
        from tripletnet.data.unlabelled import load_unlabelled

        return load_unlabelled(
            args.data,
            root=args.root,
            size=size,
            fit=args.fit or "crop",
            validation=0.1 if args.validation is None else args.validation,
            seed=args.seed,
            split=split,
            strict=bool(args.strict),
            show_progress=not args.quiet,
            progress=progress,
        )
    from tripletnet.data.judged_file import load_judged

    return load_judged(
        supervision,
        args.triplets or args.pairs,
        args.data,
        validation=args.validation,
        validation_file=args.validation_file,
        seed=args.seed,
        split=split,
        size=size,
        fit=args.fit or "crop",
        strict=bool(args.strict),
        progress=progress,
    )


def _load_classes(
    args: argparse.Namespace,
    size: int,
    split: Optional[Mapping[str, str]],
    progress: Callable[[int, int], None],
) -> LoadedExamples:
    from tripletnet.data import load_data
    from tripletnet.data.examples import LoadedExamples

    shares = {n: getattr(args, n) for n in ("validation", "test") if getattr(args, n) is not None}
    data = load_data(
        args.data,
        root=args.root,
        size=size,
        fit=args.fit or "crop",
        **shares,
        hold_out_classes=parse_classes(args.hold_out_classes),
        seed=args.seed,
        split=split,
        strict=bool(args.strict),
        show_progress=not args.quiet,
        progress=progress,
    )
    return LoadedExamples(
        data.splits.train,
        data.splits.validation,
        data.split,
        data.left_out,
        data.notices,
        data.recipe,
    )


def parse_classes(text: Optional[str]) -> Union[int, list[str], None]:
    """Return a number of classes or their names, as `text` has them."""
    if text is None:
        return None
    if not text.isdecimal():
        names = [name for name in text.split(",") if name]
        if not names:
            raise InputError(
                f"--hold-out-classes '{text}' names no class: give names, or how many, or leave "
                "it out"
            )
        return names
    if int(text) == 0:
        raise InputError(
            "--hold-out-classes 0 holds out none: give 1 or more, or names; '0,' is the class "
            "called 0"
        )
    return int(text)
