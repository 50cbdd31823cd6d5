"""Train an encoder on images into a run folder."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tripletnet.command import (
    add_device,
    add_seed,
    add_tensorboard,
    parse_number,
    tensorboard_folder,
)
from tripletnet.commands.altering import add_alteration_options
from tripletnet.commands.backbone_options import add_backbone_options
from tripletnet.commands.learnt_from import (
    add_data_options,
    kind_of,
    load_examples,
    supervision_of,
)
from tripletnet.errors import InputError
from tripletnet.presets import PRESETS, choose
from tripletnet.registry import (
    DISTANCES,
    LOSS_PARAMETERS,
    LOSSES,
    MINERS,
    NETWORKS,
    OPTIMIZERS,
    SCHEDULES,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add_data_options(parser)
    add("--out", type=Path, required=True, help="the run folder")
    add("--preset", help=f"choices that go well together: {', '.join(PRESETS)}")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--images",
        type=int,
        help="train on so many images, repeats counted (default: the preset's or the data set's "
        "own, else 30 passes and at most 300,000)",
    )
    length.add_argument(
        "--epochs", type=parse_number, help="the same, as passes over the training images"
    )
    length.add_argument("--minutes", type=parse_number, help="train for about so long")
    add(
        "--network",
        help=f"{NETWORKS} (default: residual for folders, files and --positives, else article)",
    )
    add("--code-size", type=int, help="numbers in a code (default: 1024; deep-ranking: 4096)")
    add("--projection", type=int, metavar="N", help="train through a projection head of N numbers")
    add(
        "--loss",
        help=f"{LOSSES} (default: supcon for folders, contrastive for --pairs, nt-xent for "
        "--positives, else triplet)",
    )
    add(
        "--mining",
        help=f"which triplets of a batch a loss on triplets learns from: {MINERS}; random ones are "
        "drawn from all images, or are as a file has them (default: all; random for --triplets)",
    )
    add("--distance", help=f"{DISTANCES} (default: the loss's own)")
    add(
        "--margin",
        type=float,
        help="of losses that have one, in the distance's unit (default: 1)",
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
        help="of losses that have one (default: 0.1; 0.05 for --positives)",
    )
    add(
        "--smoothing",
        type=float,
        metavar="SHARE",
        help="of supcon and prototypical: the share of what is wanted that all have alike "
        "(default: 0)",
    )
    add(
        "--batch-size",
        type=int,
        help="images a step (default: 384 for cifar10, 768 for --positives, else 192)",
    )
    add("--optimizer", help=f"{OPTIMIZERS} (default: sgd, which has momentum)")
    add("--learning-rate", type=float, help="the highest (default: 0.1; adam: 0.001)")
    add(
        "--muon-rate",
        type=float,
        metavar="RATE",
        help="the share by which muon moves filters in a step, at the highest (default: 0.12)",
    )
    add("--weight-decay", type=float, help="L2 penalty (default: 0.0005)")
    add("--warmup", type=float, help="share of the run in which the rate rises (default: 0.05)")
    add("--schedule", help=f"how the rate falls then: {SCHEDULES} (default: cosine)")
    add(
        "--precision",
        help="what the network computes in while it learns: fp32, bf16 or auto, which takes bf16 "
        "where the processor has units for it (default: fp32; presets fast and best: auto)",
    )
    add("--balance", help="draw classes or images evenly (default: classes)")
    add_alteration_options(parser)
    add("--patience", type=int, help="stop after so many measurements without a better one")
    add("--init", type=Path, metavar="RUN", help="start from the weights of another run")
    add(
        "--resume", action="store_true", help="go on with the run in --out; more images lengthen it"
    )
    add(
        "--save-minutes",
        type=parse_number,
        default=5.0,
        help="between checkpoints (default: %(default)s)",
    )
    add_backbone_options(parser)
    add_tensorboard(parser)
    add_seed(parser)
    add_device(parser)
    add("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> None:
    """Train and say where the run lies."""
    tensorboard = tensorboard_folder(args.tensorboard, args.out)
    supervision = supervision_of(args)  # before MXNet is loaded, which takes seconds

    from tripletnet.data.split import split_from_json
    from tripletnet.files import read_json
    from tripletnet.progress import stage_bars
    from tripletnet.run_files import SPLIT
    from tripletnet.runs import going_on, read_description
    from tripletnet.runtime import device
    from tripletnet.training import TrainingConfig, check_initial, train_run
    from tripletnet.training.config import finite_images
    from tripletnet.training.fit import make_loss, settled

    fields = dataclasses.fields(TrainingConfig)
    given = {field.name: getattr(args, field.name, None) for field in fields}
    choices = choose(kind_of(args), args.preset, given)
    _refuse_unused(choices, given)
    where = device(args.device)
    # whatever does not go together is refused before anything is decoded
    earlier = read_description(args.out) if going_on(args.out, args.resume) else {}
    if earlier and args.images is None and args.epochs is None:
        choices["images"] = earlier["training"]["images"]
    config = TrainingConfig(**{"images": 1, **choices})
    settled(config, make_loss(config, supervision), where, new=not earlier)
    if args.init is not None and not earlier:
        check_initial(args.init, config)

    stored_split = args.out / SPLIT
    with stage_bars(args.quiet) as progress:
        data = load_examples(
            args,
            NETWORKS.named(config.network).photo_size if args.size is None else args.size,
            split_from_json(read_json(stored_split)) if earlier and stored_split.exists() else None,
            partial(progress, "decoding"),
        )
    for notice in data.notices:
        print(f"tripletnet: {notice}", file=sys.stderr)
    an_epoch = len(data.train) * data.train.images_each
    if args.epochs is not None:
        choices["images"] = round(finite_images(args.epochs * an_epoch))
    elif "images" not in choices:
        choices["images"] = min(30 * an_epoch, 300_000)

    trained = train_run(
        data.train,
        TrainingConfig(**choices),
        args.out,
        validation=data.validation,
        patience=args.patience,
        initial=args.init,
        about={"source": data.recipe},
        split=data.split,
        left_out=data.left_out,
        minutes=args.minutes,
        resume=args.resume,
        device=where,
        checkpoint_minutes=args.save_minutes,
        tensorboard=tensorboard,
        quiet=args.quiet,
    )
    seen = trained.description["images_seen"]
    learnt = seen != earlier.get("images_seen")
    if learnt and seen < trained.description["training"]["images"]:
        print(f"no better on validation {args.patience} times in a row: --patience ends the run")
    print(f"{seen:,} images seen; run folder: {trained.folder}")
    threshold = trained.threshold
    if threshold is not None:
        print(
            f"two images count as the same up to a squared distance of {threshold.distance:.3f} "
            f"(false-positive rate {threshold.false_positive_rate:.2%}, recall "
            f"{threshold.recall:.1%} on validation pairs)"
        )
    elif trained.no_threshold is not None:
        remedy = "search by --max-distance"
        if supervision == "classes":
            remedy += f", or choose one: tripletnet evaluate {args.out} ... --fpr-target RATE"
        print(f"no threshold was chosen: {trained.no_threshold}; {remedy}")


def _refuse_unused(choices: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise InputError if the user gave a parameter that what is chosen does not have."""
    from tripletnet.losses import options_of
    from tripletnet.training.config import TrainingConfig
    from tripletnet.training.optimizers import own_options

    loss = choices.get("loss", TrainingConfig.loss)
    for name in LOSS_PARAMETERS:
        if given[name] is not None and name not in options_of(loss):
            raise InputError(f"--{name}: the loss '{loss}' has none: leave it out")
    if given["margin"] is not None and given["soft_margin"]:
        raise InputError("--margin and --soft-margin, which has none, exclude each other")
    optimizer = choices.get("optimizer", TrainingConfig.optimizer)
    own = own_options(OPTIMIZERS.named(optimizer)).values()
    if given["muon_rate"] is not None and "muon_rate" not in own:
        raise InputError("--muon-rate is for --optimizer muon: add that, or leave it out")
