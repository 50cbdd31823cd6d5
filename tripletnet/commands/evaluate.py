"""Judge a run, or codes from anywhere, in a report that says whether to trust them."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tripletnet.command import (
    add_device,
    add_distance,
    add_precision,
    add_seed,
    encoder_options,
)
from tripletnet.errors import InputError
from tripletnet.registry import DISTANCES
from tripletnet.run_files import HISTORY, VALIDATION

if TYPE_CHECKING:
    from tripletnet.evaluation.judgement import Judgement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("judged", metavar="RUN|CODES.npz", type=Path, help="a run folder, or a file of codes")
    add(
        "data",
        metavar="DATA",
        nargs="?",
        help="for a run: a folder with one folder of images a class, cifar10 or digits (default: "
        "what it was trained on, where that has a name); for codes, triplets and pairs: where "
        "their paths start (default of codes: what their file tells)",
    )
    rows = parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--triplets",
        type=Path,
        metavar="FILE",
        help="tell instead how many of the triplets of this CSV file a run orders right",
    )
    rows.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE",
        help="tell instead how well a run tells the similar pairs of this CSV file from the others",
    )
    add("--out", metavar="REPORT", type=Path, help="the folder for the report")
    add("--root", type=Path, help="where CIFAR-10 lies (default: TRIPLETNET_DATA, or the cache)")
    add("--control", action="store_true", help="train the same layers as a classifier beside it")
    wish = parser.add_mutually_exclusive_group()
    wish.add_argument(
        "--fpr-target",
        dest="false_positive_rate_target",
        metavar="SHARE",
        type=float,
        help="choose the threshold for this false-positive rate (default: what the run's own was "
        "chosen for, or a false-positive rate of 0.01)",
    )
    for target in ("precision", "recall"):
        wish.add_argument(
            f"--{target}-target",
            dest=f"{target}_target",
            metavar="SHARE",
            type=float,
            help=f"choose it for this {target}",
        )
    add_distance(parser)
    add("--json", action="store_true", help="print the content of report.json")
    add_seed(parser)
    add_precision(parser)
    add_device(parser)
    add("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> None:
    """Judge, write the report, and print the verdict."""
    if args.triplets or args.pairs:
        _judge_rows(args)
        return
    if args.out is None:
        raise InputError("--out is missing: give the folder for the report")
    if args.out.exists() and not args.out.is_dir():
        raise InputError(f"{args.out}: is a file: give a folder for the report")
    from tripletnet.files import check_unicode, write_json

    check_unicode(args.judged)
    wish = _wish(args)
    if args.judged.is_dir():
        judgement, extras = _judge_run(args, wish)
    else:
        judgement, extras = _judge_codes(args, wish)

    from tripletnet.evaluation.report import write_report
    from tripletnet.evaluation.verdict import verdict

    figures = {**judgement.to_json(), **extras.pop("figures", {})}
    missing = extras.pop("missing", ())
    write_report(args.out / "report.html", judgement, seed=args.seed, **extras)
    if missing:
        print(
            f"tripletnet: {len(missing)} pictures cannot be shown, {min(missing)} for one: give "
            "the folder of the pictures as DATA",
            file=sys.stderr,
        )
    write_json(args.out / "report.json", figures)
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))
        return
    words = verdict(judgement)
    print(f"{judgement.dataset}. {words.headline}")
    for line in (*words.reasons, *words.cautions, *judgement.notes[:10]):
        print(f"- {line}")
    print(f"report: {args.out / 'report.html'}")


def _judge_rows(args: argparse.Namespace) -> None:
    """Judge a run on a file of triplets or pairs, and print how well it does."""
    from tripletnet.files import write_json
    from tripletnet.judging.rows import judge_rows
    from tripletnet.progress import stage_bars
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.runtime import device

    # distances of unit codes rank alike, so that the figure is the same for all of them
    if args.control or args.root or args.distance != "squared" or "target" in _wish(args):
        raise InputError(
            "--control, --root, --distance and the targets of a threshold are for classes, and do "
            "not go with --triplets or --pairs: leave them out"
        )
    kind = "triplets" if args.triplets else "pairs"
    file = args.triplets or args.pairs
    encoder = Encoder.load(args.judged, device(args.device), precision=args.precision)
    with stage_bars(args.quiet) as progress:
        decoding = partial(progress, "decoding")
        judgement = judge_rows(encoder, kind, file, args.data, progress=decoding)
    for notice in judgement.notices:
        print(f"tripletnet: {notice}", file=sys.stderr)
    if args.out is not None:
        write_json(args.out / "report.json", judgement.to_json())
    print(json.dumps(judgement.to_json(), ensure_ascii=False) if args.json else judgement)


def _wish(args: argparse.Namespace) -> dict[str, Any]:
    """Return the distance and what the threshold is to be chosen for, as arguments for `judge`."""
    from tripletnet.evaluation.threshold import TARGETS, check_target

    distance = DISTANCES.choose(args.distance)
    for target in TARGETS:
        value = getattr(args, f"{target}_target")
        if value is not None:
            check_target(target, value)
            return {"distance": distance, "target": target, "value": value}
    return {"distance": distance}


def _judge_codes(
    args: argparse.Namespace, wish: dict[str, Any]
) -> tuple[Judgement, dict[str, Any]]:
    """Judge a file of codes; return also where the pictures will be noted that are not there."""
    from tripletnet.judging.codes import judge_codes

    given = [*["--control"] * args.control, *encoder_options(args), *["--root"] * bool(args.root)]
    if given:
        raise InputError(f"{given[0]}: a file of codes has no encoder: give a run folder")
    missing: set[Path] = set()
    judgement = judge_codes(args.judged, args.data, seed=args.seed, missing=missing, **wish)
    return judgement, {"missing": missing}


def _judge_run(args: argparse.Namespace, wish: dict[str, Any]) -> tuple[Judgement, dict[str, Any]]:
    """Judge a run; return also what the report is to tell of it."""
    from tripletnet.judging import judge_run, load_run_data
    from tripletnet.progress import stage_bars
    from tripletnet.runs import read_description
    from tripletnet.runtime import device

    rows = {
        "history": _rows(args.judged / HISTORY),
        "validation": _rows(args.judged / VALIDATION),
    }
    with stage_bars(args.quiet) as progress:
        data = load_run_data(
            args.judged,
            args.data,
            root=args.root,
            seed=args.seed,
            show_progress=not args.quiet,
            progress=partial(progress, "decoding"),
        )
        judgement = judge_run(
            args.judged,
            data,
            control=args.control,
            seed=args.seed,
            device=device(args.device),
            precision=args.precision,
            quiet=args.quiet,
            progress=progress,
            **wish,
        )
    description = read_description(args.judged)
    training, images = description["training"], description["images_seen"]
    about = [
        f"run {args.judged}",
        f"{training['network']} network, {training['loss']} loss ({training['mining']})",
        f"{images:,} training images seen",
    ]
    figures = {name: training[name] for name in ("network", "loss", "mining")}
    return judgement, {
        "about": about,
        **rows,
        "figures": {**figures, "images": images},
    }


def _rows(path: Path) -> list[dict[str, float]]:
    """Return the rows of a history; none where there is no such file."""
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [{name: float(value) for name, value in row.items()} for row in rows]
    except (TypeError, ValueError, csv.Error):
        raise InputError(f"{path}: a row is damaged: take that row out") from None
