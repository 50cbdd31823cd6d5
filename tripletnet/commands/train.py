"""Train an encoder on images into a run folder."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from tripletnet.errors import InputError

# Images seen by default where neither --images, --epochs nor --minutes is given.
DEFAULT_IMAGES = {"cifar10": 450_000, "digits": 80_000}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("data", metavar="DATA", help="cifar10 or digits")
    add("--out", type=Path, required=True, help="the run folder")
    add("--root", type=Path, help="where CIFAR-10 lies (default: TRIPLETNET_DATA, or the cache)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--images", type=int, help="train on so many images, repeats counted")
    length.add_argument("--epochs", type=float, help="the same, as passes over the training images")
    length.add_argument("--minutes", type=float, help="train for about so long")
    add("--network", default="article", help="the encoder (default: %(default)s)")
    add("--code-size", type=int, default=1024, help="numbers in a code (default: %(default)s)")
    add("--loss", default="triplet", help="triplet or supcon (default: %(default)s)")
    add("--mining", default="all", help="all triplets of a batch, or random ones")
    add("--margin", type=float, default=1.0, help="of the triplet hinge (default: %(default)s)")
    add("--temperature", type=float, default=0.1, help="of supcon (default: %(default)s)")
    add("--batch-size", type=int, default=384, help="images a step (default: %(default)s)")
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
    add("--crop", type=float, default=1.0, help="cut out at least this share (default: all)")
    add("--colour", type=float, default=0.0, help="change colours by up to this share")
    add("--resume", action="store_true", help="go on with the run in --out that was stopped")
    add("--seed", type=int, default=0, help="decides all that is random (default: %(default)s)")
    add("--device", default="cpu", help="cpu, gpu or gpu:N (the GPU is untested)")
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Train and say where the run lies."""
    from tripletnet.data import load_cifar10, load_digits

    if args.data == "cifar10":
        images = load_cifar10(args.root, progress=not args.quiet).train
    elif args.data == "digits":
        images = load_digits().train
    else:
        raise InputError(f"DATA '{args.data}' is not known: use cifar10 or digits")

    from tripletnet.runtime import device
    from tripletnet.training import TrainingConfig, train_run

    given: dict[str, Any] = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(TrainingConfig)
        if getattr(args, field.name, None) is not None
    }
    mirrors = args.data != "digits"  # a mirrored digit is another sign
    given = {"flip": mirrors, "shift": 4 if mirrors else 2, **given}
    if args.epochs is not None:
        given["images"] = round(args.epochs * len(images))
    given.setdefault("images", DEFAULT_IMAGES[args.data])
    trained = train_run(
        images,
        TrainingConfig(**given),
        args.out,
        minutes=args.minutes,
        resume=args.resume,
        device=device(args.device),
        quiet=args.quiet,
    )
    print(f"{trained.description['images_seen']:,} images seen; run folder: {trained.folder}")
