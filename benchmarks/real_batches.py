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

from benchmarks.turns import alternate, spread
from tripletnet.commands.learnt_from import DEFAULTS
from tripletnet.data.batches import assemble
from tripletnet.data.cifar10 import load_cifar10
from tripletnet.data.examples import Examples
from tripletnet.data.sampling import UniformSampler
from tripletnet.data.view_set import ViewSet
from tripletnet.losses import AllTriplets, BatchLoss, NTXent, RandomTriplets
from tripletnet.networks import TripletCNN
from tripletnet.training.callbacks import Callback, StepResult
from tripletnet.training.config import TrainingConfig
from tripletnet.training.trainer import Trainer

WARM_UP, STEPS = 3, 10
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
    loss: BatchLoss, examples: Examples, batch: int, source: Optional[Callable[..., Any]] = None
) -> float:
    """Return the images/s of training on real batches, or on those of `source`."""
    # one more step, so that the last one counted has a successor that runs beside it
    altered = ALTERED if examples.supervision == "views" else {}
    images = (WARM_UP + STEPS + 1) * batch
    rate = loss.learning_rate
    config = TrainingConfig(images=images, batch_size=batch, learning_rate=rate, **altered)
    stopwatch = Stopwatch()
    trainer = Trainer(TripletCNN(), loss, examples, config, callbacks=[stopwatch])
    trainer.initialize()
    if source is None:
        trainer.run()
    else:
        with mock.patch("tripletnet.training.trainer.batches", source):
            trainer.run()
    start, end = stopwatch.times[WARM_UP - 1], stopwatch.times[WARM_UP + STEPS - 1]
    return STEPS * trainer.batch_size / (end - start)


def assembling(views: ViewSet, batch: int, batches: int = 50) -> float:
    """Return the images/s at which one thread assembles views, the network standing still."""
    sampler = UniformSampler(len(views), batch // 2)
    augmentation = TrainingConfig(images=1, **ALTERED).augmentation
    start = time.perf_counter()
    for step in range(batches):
        assemble(views, sampler, step, augmentation)
    return batches * batch / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each gets its turn")
    parser.add_argument("--batch", type=int, default=384, help="about how many images a batch has")
    parser.add_argument("--only", choices=("all", "random", "views"), help="one of the three")
    options = parser.parse_args()
    images = load_cifar10(download=False).train
    print(f"{'images/s':16}{'real batches':>24}{'one repeated batch':>24}{'ratio':>24}")
    views = ViewSet(images)
    cases = {
        "all": (AllTriplets(), images),
        "random": (RandomTriplets(), images),
        "views": (NTXent(), views),
    }
    for name in [options.only] if options.only else cases:
        loss, examples = cases[name]
        measured = alternate(
            {
                "real": partial(speed, loss, examples, options.batch),
                "repeated": partial(speed, loss, examples, options.batch, repeated),
            },
            options.rounds,
        )
        ratio = measured["real"] / measured["repeated"]
        print(
            f"{name:16}{spread(measured['real']):>24}"
            f"{spread(measured['repeated']):>24}{spread(ratio, 3):>24}"
        )
    if options.only in (None, "views"):
        alone = assembling(views, options.batch)
        print(f"views, assembled by one thread with nothing else to do: {alone:,.0f} images/s")


if __name__ == "__main__":
    main()
