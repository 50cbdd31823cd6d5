"""Learn codes of CIFAR-10, show the nearest test images, and judge the codes with an SVM.

    python examples/cifar10_retrieval.py
    python examples/cifar10_retrieval.py --preset fast
    python examples/cifar10_retrieval.py --root ~/data/cifar-10-batches-bin --images 100000

Everything is written into a run folder (--out): the encoder, pictures, history.csv, report.json.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Optional

import numpy as np

from tripletnet.codes.nearest import nearest
from tripletnet.command import (
    CommandParser,
    add_tensorboard,
    parse_number,
    run_command,
    tensorboard_folder,
)
from tripletnet.data import Splits, find_cifar10, load_cifar10, load_digits
from tripletnet.data.download import DownloadError
from tripletnet.evaluation import SVMProbe, retrieval_metrics
from tripletnet.files import write_json
from tripletnet.plots import confusion_matrix, retrieval_grid, save_figure
from tripletnet.presets import PRESETS, choose
from tripletnet.progress import stage_bars

NO_CIFAR10 = """\
================================================================================
  CIFAR-10 is not on this machine and cannot be downloaded:
  {reason}
  This run uses the small digits of scikit-learn instead: every figure and picture
  below is of DIGITS, NOT of CIFAR-10. To use CIFAR-10, give --root FOLDER.
================================================================================"""


def parser() -> CommandParser:
    """Return the command line's options."""
    summary, _, _ = (__doc__ or "").partition("\n")
    options = CommandParser(description=summary)
    add = options.add_argument
    add("--dataset", choices=("auto", "cifar10", "digits"), default="auto",
        help="auto: CIFAR-10 where it is on disk or can be downloaded, else digits")  # fmt: skip
    add("--root", type=Path, help="where CIFAR-10 lies: its folder, the folder above, or .tar.gz")
    length = options.add_mutually_exclusive_group()
    length.add_argument("--images", type=int, help="train on so many images, repeats counted")
    length.add_argument(
        "--epochs", type=parse_number, help="the same, as passes over the training set"
    )
    length.add_argument("--minutes", type=parse_number, help="train the encoder for about so long")
    add(
        "--preset",
        help=f"choices that go well together: {', '.join(PRESETS)} (default: article)",
    )
    add("--network", help="the encoder (default: article)")
    add("--loss", help="triplet, supcon, ...: see docs/losses.md (default: triplet)")
    add(
        "--mining",
        help="all triplets of a batch, random (the article's), batch-hard, ... (default: all)",
    )
    add("--learning-rate", type=float, help="default: 0.1")
    add(
        "--precision",
        help="of training: fp32, bf16 or auto (default: fp32; presets fast and best: auto)",
    )
    add(
        "--out",
        type=Path,
        help="the run folder (default: runs/DATASET-PRESET, or runs/DATASET-LOSS-MINING)",
    )
    add("--resume", action="store_true", help="go on with the run in --out that was stopped")
    add("--no-control", action="store_true", help="leave out the CNN trained end to end")
    add_tensorboard(options)
    add("--seed", type=int, default=0)
    add("--device", default="cpu", help="cpu, gpu or gpu:N (the GPU is untested)")
    add("--quiet", action="store_true", help="no progress bars")
    return options


def load(name: str, root: Optional[Path], quiet: bool) -> tuple[str, Splits]:
    """Return the data set to use, by its name and its images."""
    if name == "digits":
        return name, load_digits()
    if name == "cifar10" or root is not None or find_cifar10() is not None:
        return "cifar10", load_cifar10(root, progress=not quiet)
    try:
        return "cifar10", load_cifar10(progress=not quiet)
    except DownloadError as error:
        print(NO_CIFAR10.format(reason=error), file=sys.stderr)
        return "digits", load_digits()


def main(args: argparse.Namespace) -> None:
    """Train, show, judge, compare with the control, and write the report."""
    began = time.perf_counter()
    dataset, splits = load(args.dataset, args.root, args.quiet)
    train, test = splits.train, splits.test

    # MXNet takes seconds to import: only now, when the options and the data are known to be good
    from tripletnet.encoding import encode
    from tripletnet.judging import judge_control
    from tripletnet.runs import going_on, read_description
    from tripletnet.runtime import device
    from tripletnet.training import TrainingConfig, train_run
    from tripletnet.training.checkpoint import Checkpoints

    where = device(args.device)
    options = ("network", "loss", "mining", "learning_rate", "precision", "seed")
    given = {name: getattr(args, name) for name in options}
    config = TrainingConfig(**choose(dataset, args.preset, given))
    named = args.preset or f"{config.loss}-{config.mining}"
    out = args.out or Path("runs") / f"{dataset}-{named}"
    tensorboard = tensorboard_folder(args.tensorboard, out)
    images = args.images if args.epochs is None else round(args.epochs * len(train))
    if images is None and going_on(out, args.resume):
        images = read_description(out)["training"]["images"]
    if images is not None:
        config = config.replace(images=images)

    run = train_run(
        train,
        config,
        out,
        about={"source": {"kind": dataset}},
        minutes=args.minutes,
        resume=args.resume,
        device=where,
        tensorboard=tensorboard,
        quiet=args.quiet,
    )
    config = config.replace(images=run.description["training"]["images"])
    with stage_bars(args.quiet) as progress:
        train_codes, test_codes = (
            encode(run.encoder, part, device=where, progress=partial(progress, f"encoding {name}"))
            for name, part in (("train", train), ("test", test))
        )

    draw_neighbours(test_codes, splits, out / "retrieval.png", args.seed)
    metrics = retrieval_metrics(test_codes, test.labels, ks=(1, 10))
    probe = SVMProbe(random_state=args.seed).fit(train_codes, train.labels)
    report: dict[str, Any] = {
        "dataset": splits.name,
        "preset": args.preset,
        "network": config.network,
        "loss": config.loss,
        "mining": config.mining,
        "images": run.description["images_seen"],
        "probe_accuracy": probe.score(test_codes, test.labels),
        "probe_C": probe.C_,
        "precision_at_1": metrics.precision_at[1],
        "precision_at_10": metrics.precision_at[10],
        "r_precision": metrics.r_precision,
        "map_at_r": metrics.map_at_r,
        "map": metrics.map,
    }
    draw_confusion(probe.predict(test_codes), splits, out / "confusion.png")

    if not args.no_control:
        checkpoints = Checkpoints(out / "control")
        if not args.resume:
            checkpoints.keep(0)
        control = judge_control(
            train, test, config, device=where, checkpoints=checkpoints, quiet=args.quiet
        )
        report["control_accuracy"] = control.accuracy
        report["control_probe_accuracy"] = control.probe_accuracy
        checkpoints.keep(0)
    report["seconds"] = round(time.perf_counter() - began, 1)
    write_json(out / "report.json", report)
    print_report(report, out)


def draw_neighbours(codes: np.ndarray, splits: Splits, path: Path, seed: int) -> None:
    """Draw the ten nearest other test images of ten random test images."""
    test = splits.test
    queries = np.random.default_rng(seed).choice(len(test), 10, replace=False)
    distances, found = nearest(codes, codes[queries], 10, exclude_self=queries)
    figure = retrieval_grid(
        test.take(queries),
        test.take(found.ravel()).reshape(*found.shape, *test.image_shape, 3),
        [test.classes[label] for label in test.labels[queries]],
        [[test.classes[label] for label in row] for row in test.labels[found]],
        distances,
        f"{splits.name}: the ten nearest test images of ten random test images",
    )
    save_figure(figure, path)


def draw_confusion(predicted: np.ndarray, splits: Splits, path: Path) -> None:
    """Draw which test classes the probe takes for which."""
    classes = splits.test.classes
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (splits.test.labels, predicted), 1)
    save_figure(confusion_matrix(counts, classes, f"{splits.name}: SVM probe, test images"), path)


def print_report(report: dict[str, Any], out: Path) -> None:
    """Print the figures that a person wants to see."""
    print(f"{report['dataset']}, {report['network']} network, {report['images']:,} images seen")
    label = f"SVM on the codes ({report['loss']}, {report['mining']})"
    print(f"  {label:<33} {report['probe_accuracy']:7.2%}")
    if "control_accuracy" in report:
        print(f"  control: CNN trained end to end   {report['control_accuracy']:7.2%}")
        print(f"  control: SVM on its features      {report['control_probe_accuracy']:7.2%}")
    for key, label in (
        ("precision_at_1", "P@1"),
        ("precision_at_10", "P@10"),
        ("r_precision", "R-precision"),
        ("map_at_r", "MAP@R"),
        ("map", "mAP"),
    ):
        print(f"  {label:<33} {report[key]:7.2%}")
    print(f"  {'seconds':<33} {report['seconds']:7.1f}")
    print(f"pictures and report: {out}")


if __name__ == "__main__":
    run_command(main, parser())
