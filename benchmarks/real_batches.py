"""Training speed on real batches of CIFAR-10 against one repeated batch, in turn in one run.

    export TRIPLETNET_DATA=FOLDER
    python -m benchmarks.real_batches [--rounds 5] [--batch 384] [--only views]

Both are the package's own training. Real batches are drawn, flipped and shifted ahead of the
network in the background; the repeated one is ready. 1.00 is where batches cost nothing. "views"
are those of `train --positives augment` with all alterations at their defaults; how many images/s
one thread assembles of them is told, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Callable, Optional
from unittest import mock

import numpy as np

from benchmarks.command import positive, run_benchmark
from benchmarks.contest import Contest, Work
from tripletnet.data.batches import AHEAD, assemble
from tripletnet.data.cifar10 import load_cifar10
from tripletnet.data.examples import Examples
from tripletnet.data.sampling import UniformSampler
from tripletnet.data.view_set import ViewSet
from tripletnet.losses import AllTriplets, BatchLoss, NTXent, RandomTriplets
from tripletnet.networks import get_network
from tripletnet.presets import DEFAULTS
from tripletnet.training.callbacks import Callback, StepResult
from tripletnet.training.config import TrainingConfig
from tripletnet.training.trainer import Trainer

WARM_UP, STEPS = 3, 10
KINDS = {"all": "all triplets", "random": "random triplets", "views": "views, NT-Xent"}
ALTERED = {
    name: value
    for name, value in DEFAULTS["views"].items()
    if name not in ("network", "loss", "batch_size", "temperature")
}


class Stopwatch(Callback):
    """Note when each step was done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        self.times.append(time.perf_counter())


def repeated(
    examples: Examples, sampler: Any, steps: range, *augmentation_and_seed: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the first batch for every step."""
    batch = assemble(examples, sampler, 0, *augmentation_and_seed)
    for _ in steps:
        yield batch


def speed(
    loss: BatchLoss,
    examples: Examples,
    batch: int,
    source: Optional[Callable[..., Any]] = None,
    network: str = "article",
    steps: int = STEPS,
    precision: str = "fp32",
) -> float:
    """Return the images/s of training on real batches, or on those of `source`."""
    # some more steps, so that as many batches are made while those counted run
    altered = ALTERED if examples.supervision == "views" else {}
    images = (WARM_UP + steps + 1 + AHEAD) * batch
    rate = loss.learning_rate
    config = TrainingConfig(
        images=images, batch_size=batch, learning_rate=rate, precision=precision, **altered
    )
    stopwatch = Stopwatch()
    encoder = get_network(network)
    trainer = Trainer(encoder, loss, examples, config, callbacks=[stopwatch])
    trainer.initialize()
    if source is None:
        trainer.run()
    else:
        with mock.patch("tripletnet.training.trainer.batches", source):
            trainer.run()
    start, end = stopwatch.times[WARM_UP - 1], stopwatch.times[WARM_UP + steps - 1]
    return steps * trainer.batch_size / (end - start)


def assembling(views: ViewSet, batch: int, batches: int = 50) -> float:
    """Return the images/s at which one thread assembles views, the network standing still."""
    sampler = UniformSampler(len(views), batch // 2)
    augmentation = TrainingConfig(images=1, **ALTERED).augmentation
    start = time.perf_counter()
    for step in range(batches):
        assemble(views, sampler, step, augmentation)
    return batches * batch / (time.perf_counter() - start)


def prepare(kind: str, batch: int) -> Work:
    """Return training on real batches and on one that is repeated."""
    images = load_cifar10(download=False).train
    examples: Examples = images
    loss: BatchLoss = RandomTriplets() if kind == "random" else AllTriplets()
    said: dict[str, str] = {}
    if kind == "views":
        loss, examples = NTXent(), ViewSet(images)
        alone = assembling(examples, batch)
        said["summary"] = f"One thread with nothing else to do assembles {alone:,.0f} images/s."
    return Work(
        {
            "real batches": partial(speed, loss, examples, batch),
            "one repeated batch": partial(speed, loss, examples, batch, repeated),
        },
        figures=lambda: said,
    )


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest a kind of batch."""
    batch = 24 if options.quick else options.batch
    return [
        Contest(
            name=f"real_batches/{kind}",
            title=f"Training on real batches of {batch}: {what}",
            unit="images/s",
            prepare=partial(prepare, kind, batch),
            settings={"batch": batch},
        )
        for kind, what in KINDS.items()
        if options.only in (None, kind)
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this benchmark."""
    parser.add_argument(
        "--batch", type=positive, default=384, help="about how many images a batch has"
    )
    parser.add_argument("--only", choices=list(KINDS), help="one of the three")


if __name__ == "__main__":
    run_benchmark("benchmarks.real_batches", __doc__, contests, add_options)
