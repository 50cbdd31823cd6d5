"""Every loss with every mining that goes with it, on CIFAR-10: the table of docs/losses.md.

    python -m benchmarks.losses --out docs/losses.json --table docs/losses.md
    python -m benchmarks.losses --out docs/losses.json --table docs/losses.md --time

The first command fills the table's cells: each choice takes one of three learning rates, by the
MAP@R of 5,000 training images that are held out from a short run, then trains the article's network
anew on all training images. What is finished is stored at once, and the same command goes on where
it was stopped. The second one measures what a step of each choice takes, all of them in turn, which
needs a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import positive
from benchmarks.page import check_marks, put_between
from benchmarks.real_batches import Stopwatch
from benchmarks.results import check_same_origin, origin
from benchmarks.turns import alternate
from tripletnet.command import CommandParser, add_seed, run_command
from tripletnet.data.cifar10 import load_cifar10
from tripletnet.data.images import ImageSet, Splits
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.evaluation import SVMProbe, retrieval_metrics
from tripletnet.files import finite, read_json, write_json
from tripletnet.runtime import versions
from tripletnet.training import Trainer, TrainingConfig, TrainingError
from tripletnet.training.fit import fit_encoder, make_encoder, make_loss

#: Loss, mining and further choices of each row.
ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("triplet", "all", {}),
    ("triplet", "random", {}),
    ("triplet", "random-in-batch", {}),
    ("triplet", "semi-hard", {}),
    ("triplet", "batch-hard", {}),
    ("triplet", "batch-hard", {"soft_margin": True}),
    ("triplet", "distance-weighted", {}),
    ("margin", "distance-weighted", {}),
    ("margin", "semi-hard", {}),
    ("margin", "all", {}),
    ("contrastive", "all", {}),
    ("multi-similarity", "all", {}),
    ("supcon", "all", {}),
    ("prototypical", "all", {}),
    ("nt-xent", "all", {}),
]
RATES = (0.025, 0.1, 0.4)  # around 0.1, the default of all losses
# the hardest triplets of a batch lead a young network into one point unless its steps are short
SHORT_STEPS = (0.001, 0.004, 0.016)
HELD_OUT = 5_000
EDGE = " \\*"
START = "<!-- made by benchmarks/losses.py -->"
SKIPPED_STEPS, TIMED_STEPS = 4, 8  # a turn of --time


def name_of(loss: str, mining: str, further: dict[str, Any]) -> str:
    """Return what --only calls a row."""
    return "-".join([loss, mining, *(option.replace("_", "-") for option in further)])


NAMES = {name_of(*row): row for row in ROWS}


def rates_of(name: str) -> tuple[float, ...]:
    """Return the learning rates that a row tries."""
    _, mining, _ = NAMES[name]
    return SHORT_STEPS if mining == "batch-hard" else RATES


def config_of(name: str, images: int, rate: float, seed: int) -> TrainingConfig:
    """Return the configuration of a row."""
    loss, mining, further = NAMES[name]
    return TrainingConfig(
        images, loss=loss, mining=mining, learning_rate=rate, seed=seed, **further
    )


def hold_out(images: ImageSet, number: int, seed: int) -> tuple[ImageSet, ImageSet]:
    """Return `images` without `number` of them, as many of each class, and these."""
    order = np.random.default_rng(seed).permutation(len(images))
    order = order[np.argsort(images.labels[order], kind="stable")]
    held = order.reshape(len(images.classes), -1)[:, : number // len(images.classes)].ravel()
    return images.subset(np.setdiff1d(order, held)), images.subset(np.sort(held))


def score_rate(train: ImageSet, held: ImageSet, config: TrainingConfig) -> float:
    """Return MAP@R of the held-out images after a short run; NaN if it diverged."""
    try:
        codes = encode(fit_encoder(train, config, quiet=True), held)
    except TrainingError:
        return math.nan
    return retrieval_metrics(codes, held.labels).map_at_r if np.isfinite(codes).all() else math.nan


def score_rates(
    name: str, train: ImageSet, cell: dict[str, Any], images: int, seed: int
) -> Iterator[None]:
    """Score the learning rates that `cell` lacks, one at a time."""
    learn, held = hold_out(train, HELD_OUT, seed)
    scores = cell.setdefault("rates", {})
    for rate in rates_of(name):
        if str(rate) not in scores:
            began = time.perf_counter()
            score = score_rate(learn, held, config_of(name, images, rate, seed))
            scores[str(rate)] = finite(score)
            tell(f"{name}: rate {rate}: MAP@R {score:.4f}", began)
            yield


def scores_of(cell: dict[str, Any]) -> dict[str, float]:
    """Return the scores of the rates with which training did not diverge."""
    return {rate: score for rate, score in cell["rates"].items() if score is not None}


def best_rate(cell: dict[str, Any]) -> tuple[str, bool]:
    """Return the rate of the highest score, and whether it is the lowest or the highest tried."""
    scores = scores_of(cell)
    best = max(scores, key=lambda rate: scores[rate])
    tried = sorted(cell["rates"], key=float)
    return best, best in (tried[0], tried[-1])


def score_row(splits: Splits, config: TrainingConfig) -> dict[str, float]:
    """Train on all training images; return the figures of the test images."""
    encoder = fit_encoder(splits.train, config, quiet=True)
    train, test = (encode(encoder, part) for part in (splits.train, splits.test))
    metrics = retrieval_metrics(test, splits.test.labels)
    probe = SVMProbe(random_state=config.seed).fit(train, splits.train.labels)
    return {
        "probe": float(probe.score(test, splits.test.labels)),
        "precision_at_1": metrics.precision_at[1],
        "map_at_r": metrics.map_at_r,
    }


def fill(name: str, splits: Splits, cells: dict[str, Any], args: argparse.Namespace) -> bool:
    """Fill the cells of a row, storing each as it is finished; tell whether all are filled."""
    cell = cells["rows"].setdefault(name, {})
    for _ in score_rates(name, splits.train, cell, args.rate_images, args.seed):
        write_json(args.out, cells)
    while "probe" not in cell:
        if not scores_of(cell):
            print(f"{name}: training diverged with each learning rate", file=sys.stderr)
            return False
        rate, _ = best_rate(cell)
        began = time.perf_counter()
        try:
            cell.update(score_row(splits, config_of(name, args.images, float(rate), args.seed)))
        except TrainingError:
            cell["rates"][rate] = None  # the next best one's turn
        write_json(args.out, cells)
        tell(f"{name}: {cell}", began)
    return True


def tell(text: str, began: float) -> None:
    """Print what was done, and how long it took."""
    print(f"{text} ({time.perf_counter() - began:.0f} s)", file=sys.stderr, flush=True)


def seconds_of_an_image(name: str, images: ImageSet, seed: int) -> float:
    """Return the median time of a step of training, batches included, over its images."""
    config = config_of(name, 10**9, rates_of(name)[0], seed)
    watch = Stopwatch()
    trainer = Trainer(
        make_encoder(config, images), make_loss(config), images, config, callbacks=[watch]
    )
    trainer.steps = SKIPPED_STEPS + TIMED_STEPS
    trainer.initialize()
    trainer.run()
    return float(np.median(np.diff(watch.times)[SKIPPED_STEPS - 1 :])) / trainer.batch_size


def measure_time(names: list[str], train: ImageSet, cells: dict[str, Any], args: Any) -> None:
    """Measure all rows in turn and store the seconds that their runs take."""
    measured = alternate(
        {name: partial(seconds_of_an_image, name, train, args.seed) for name in names},
        args.rounds,
    )
    for name, seconds in measured.items():
        row = cells["rows"].setdefault(name, {})
        row["seconds_of_an_image"] = seconds.tolist()
        row["seconds"] = float(np.median(seconds)) * args.images
    write_json(args.out, cells)


def table(cells: dict[str, Any]) -> str:
    """Return the Markdown table of the rows that are filled."""
    lines = [
        "| loss | mining | learning rate | SVM probe | P@1 | MAP@R | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (loss, mining, further) in NAMES.items():
        cell = cells["rows"].get(name, {})
        if "probe" not in cell:
            continue
        rate, edge = best_rate(cell)
        options = "".join(f", `--{option.replace('_', '-')}`" for option in further)
        figures = [f"{cell[f]:.1%}" for f in ("probe", "precision_at_1", "map_at_r")]
        seconds = f"{cell['seconds']:.0f}" if "seconds" in cell else ""
        row = [f"`{loss}`", f"`{mining}`{options}", rate + EDGE * edge, *figures, seconds]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def here() -> dict[str, Any]:
    """Return what cells that are filled here and now depend on; no rival takes part."""
    return {**origin(), "versions": dict(versions())}


def stored(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the cells that `path` holds, or none; they must be of the same settings."""
    if not path.exists():
        return {"settings": settings, **here(), "rows": {}}
    cells: dict[str, Any] = read_json(path)
    if not isinstance(cells, dict) or not cells.keys() >= {"settings", "versions", "rows"}:
        raise InputError(f"{path}: is no file of this command's cells: give another")
    if cells["settings"] != settings:
        raise InputError(
            f"{path}: its cells are of {cells['settings']}, not {settings}: give the same options "
            "or another file"
        )
    return cells


def parser() -> CommandParser:
    """Describe the options."""
    options = CommandParser("python -m benchmarks.losses", description=__doc__.splitlines()[0])
    add = options.add_argument
    add("--out", type=Path, required=True, metavar="FILE.json", help="where the cells are stored")
    add("--table", type=Path, metavar="FILE.md", help="also put the table between its marks there")
    add("--only", nargs="+", choices=list(NAMES), metavar="NAME", help="rows: " + ", ".join(NAMES))
    add("--images", type=positive, default=100_000, help="of each row's run (default: %(default)s)")
    rate_help = "of a rate's run (default: %(default)s)"
    add("--rate-images", type=positive, default=15_000, help=rate_help)
    add("--time", action="store_true", help="measure the steps' times; train nothing")
    add("--rounds", type=positive, default=4, help="turns of each row with --time (default: 4)")
    add("--root", type=Path, help="where CIFAR-10 lies (default: TRIPLETNET_DATA, or the cache)")
    add_seed(options)
    return options


def main(args: argparse.Namespace) -> int:
    """Fill what is missing and print the table; return 1 if a row could not be filled."""
    if args.table is not None:  # before hours of training, not after them
        check_marks(args.table, [START])
    settings = {n: getattr(args, n) for n in ("images", "rate_images", "seed")}
    cells = stored(args.out, settings)
    names = args.only or list(NAMES)
    wanted = [name for name in names if args.time or "probe" not in cells["rows"].get(name, {})]
    filled = True
    if wanted:
        check_same_origin(cells, here(), f"{args.out}: a part of the cells")
        splits = load_cifar10(args.root)
        if args.time:
            measure_time(wanted, splits.train, cells, args)
        else:
            filled = all([fill(name, splits, cells, args) for name in wanted])
    text = table(cells)
    print(text)
    if args.table:
        put_between(args.table, START, text)
    return int(not filled)


if __name__ == "__main__":
    run_command(main, parser())
