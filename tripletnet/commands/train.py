"""Train an encoder on images into a run folder."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from tripletnet.command import add_device, add_seed
from tripletnet.registry import DISTANCES, LOSSES, MINERS, NETWORKS

if TYPE_CHECKING:
    from tripletnet.data import ImageSet
    from tripletnet.training import TrainedRun


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add(
        "data", metavar="DATA", help="a folder with one folder of images a class, cifar10 or digits"
    )
    add("--out", type=Path, required=True, help="the run folder")
    add("--root", type=Path, help="where CIFAR-10 lies (default: TRIPLETNET_DATA, or the cache)")
    folder = parser.add_argument_group("folders")
    folder.add_argument("--size", type=int, default=64, help="pixels a side (default: %(default)s)")
    folder.add_argument(
        "--fit", default="crop", help="crop, letterbox or stretch to a square (default: crop)"
    )
    folder.add_argument("--validation", type=float, default=0.1, help="share (default: 0.1)")
    folder.add_argument("--test", type=float, default=0.1, help="share (default: 0.1)")
    folder.add_argument(
        "--hold-out-classes", metavar="A,B|N", help="classes to keep out of training, or how many"
    )
    folder.add_argument("--strict", action="store_true", help="make the first bad file an error")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--images", type=int, help="train on so many images, repeats counted")
    length.add_argument("--epochs", type=float, help="the same, as passes over the training images")
    length.add_argument("--minutes", type=float, help="train for about so long")
    add("--network", help=f"{NETWORKS} (default: residual for folders, else article)")
    add("--code-size", type=int, default=1024, help="numbers in a code (default: %(default)s)")
    add("--loss", help=f"{LOSSES} (default: supcon for folders, else triplet)")
    add(
        "--mining",
        default="all",
        help=f"which triplets of a batch a loss on triplets learns from: {MINERS}; random ones are "
        "drawn from all images (default: %(default)s)",
    )
    add("--distance", help=f"{DISTANCES} (default: the loss's own)")
    add(
        "--margin",
        type=float,
        default=1.0,
        help="of losses that have one, in the distance's unit (default: %(default)s)",
    )
    add(
        "--soft-margin",
        action="store_true",
        default=None,
        help="triplet without a margin: log(1 + exp(same - diff))",
    )
    add(
        "--average",
        help="triplet: over all triplets picked, or the active ones (default: active with mining "
        "all and a margin, else all)",
    )
    add(
        "--temperature",
        type=float,
        default=0.1,
        help="of losses that have one (default: %(default)s)",
    )
    add("--batch-size", type=int, default=192, help="images a step (default: %(default)s)")
    add("--optimizer", default="sgd", help="sgd (with momentum) or adam (default: %(default)s)")
    add("--learning-rate", type=float, help="the highest (default: the loss's own)")
    add("--weight-decay", type=float, default=5e-4, help="L2 penalty (default: %(default)s)")
    add("--warmup", type=float, help="share of the run in which the rate rises (default: 0.05)")
    add("--schedule", default="cosine", help="cosine, cyclic or step (default: %(default)s)")
    add("--balance", default="classes", help="draw classes or images evenly (default: %(default)s)")
    flip = parser.add_mutually_exclusive_group()
    flip.add_argument("--flip", action="store_true", default=None, help="mirror half of the images")
    flip.add_argument("--no-flip", dest="flip", action="store_false", help="mirror none")
    add("--shift", type=int, help="move images by up to so many pixels")
    add("--crop", type=float, help="cut out at least this share of an image")
    add("--colour", type=float, help="change brightness, contrast, saturation by up to this share")
    add("--patience", type=int, help="stop after so many measurements without a better Recall@1")
    add("--init", type=Path, metavar="RUN", help="start from the weights of another run")
    add(
        "--resume", action="store_true", help="go on with the run in --out; more images lengthen it"
    )
    add(
        "--save-minutes", type=float, default=5.0, help="between checkpoints (default: %(default)s)"
    )
    add_seed(parser)
    add_device(parser)
    add("--quiet", action="store_true", help="no progress bar")


#: What differs from TrainingConfig's own choices by the kind of data.
DEFAULTS: dict[str, dict[str, Any]] = {
    "cifar10": {"images": 500_000},
    # a mirrored digit is another sign
    "digits": {"images": 80_000, "flip": False, "shift": 2},
    "folder": {"network": "residual", "loss": "supcon", "crop": 0.6, "colour": 0.2},
}


def run(args: argparse.Namespace) -> None:
    """Train and say where the run lies."""
    from tripletnet.data import load_data
    from tripletnet.data.split import split_from_json, split_to_json
    from tripletnet.files import read_json, write_json
    from tripletnet.progress import stage_bars, write_left_out

    stored_split = args.out / "split.json"
    going_on = args.resume and stored_split.exists()
    with stage_bars(args.quiet) as progress:
        data = load_data(
            args.data,
            root=args.root,
            size=args.size,
            fit=args.fit,
            validation=args.validation,
            test=args.test,
            hold_out_classes=parse_classes(args.hold_out_classes),
            seed=args.seed,
            split=split_from_json(read_json(stored_split)) if going_on else None,
            strict=args.strict,
            show_progress=not args.quiet,
            progress=partial(progress, "decoding"),
        )
    for notice in data.notices:
        print(f"tripletnet: {notice}", file=sys.stderr)
    train, validation = data.splits.train, data.splits.validation
    defaults = {"images": min(30 * len(train), 300_000), **DEFAULTS[data.recipe["kind"]]}

    from tripletnet.runtime import device
    from tripletnet.training import TrainingConfig, train_run

    given = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(TrainingConfig)
        if getattr(args, field.name, None) is not None
    }
    if args.epochs is not None:
        given["images"] = round(args.epochs * len(train))
    config = TrainingConfig(**{**defaults, **given})
    where = device(args.device)

    if data.split is not None and not going_on:
        write_json(stored_split, split_to_json(data.split))
    if data.left_out:
        write_left_out(data.left_out, args.out / "left_out.tsv")
    trained = train_run(
        train,
        config,
        args.out,
        validation=validation,
        patience=args.patience,
        initial=args.init,
        about={"source": data.recipe},
        minutes=args.minutes,
        resume=args.resume,
        device=where,
        checkpoint_minutes=args.save_minutes,
        quiet=args.quiet,
    )
    print(f"{trained.description['images_seen']:,} images seen; run folder: {trained.folder}")
    if validation is not None and len(validation):
        choose_run_threshold(trained, validation, where)


def choose_run_threshold(trained: TrainedRun, validation: ImageSet, where: Any) -> None:
    """Choose on validation images how near two images have to be to count as the same."""
    from tripletnet.evaluation.pairs import pair_distances
    from tripletnet.evaluation.threshold import choose_threshold
    from tripletnet.files import write_json
    from tripletnet.retrieval.encode import encode

    codes = encode(trained.encoder, validation, device=where)
    threshold = choose_threshold(pair_distances(codes, validation.labels))
    write_json(trained.folder / "threshold.json", threshold.to_json())
    print(
        f"two images count as the same up to a squared distance of {threshold.distance:.3f} "
        f"(false-positive rate {threshold.false_positive_rate:.1%}, recall {threshold.recall:.1%} "
        "on validation pairs)"
    )


def parse_classes(text: Optional[str]) -> Union[int, list[str], None]:
    """Return a number of classes or their names, as `text` has them."""
    if text is None:
        return None
    return int(text) if text.isdigit() else [name for name in text.split(",") if name]
