"""What watching a run costs, as a share of a training step of the article's network.

    python -m benchmarks.watching [--rounds 15] [--batch 192]

A step is forward, triplet hinge over all triplets, backward and SGD with momentum on one batch of
uint8 pixels. Watched, its network gives norms as well, and the distances of its pairs and its
active triplets are told after each step. The telling alone, which starts from the batch's codes,
is measured as well: it is less than the noise of steps. All take their turns, round after round.
"""

from __future__ import annotations

import argparse
import time
from typing import Callable

import numpy as np

from benchmarks.command import positive
from benchmarks.turns import alternate, spread
from tripletnet.backend import mx
from tripletnet.command import CommandParser, run_command
from tripletnet.losses import AllTriplets
from tripletnet.losses.batch_statistics import BatchStatistics
from tripletnet.networks import TripletCNN, WithNorms
from tripletnet.training.sgd import MomentumSGD

CLASSES = 10
STEPS, TELLINGS = 4, 20  # a turn


def training(batch: int, watched: bool) -> Callable[[], float]:
    """Return what takes steps of training and tells the seconds of one."""
    encoder = TripletCNN()
    encoder.initialize(mx.init.MSRAPrelu())
    network = WithNorms(encoder) if watched else encoder
    network.hybridize(static_alloc=True, static_shape=True)
    loss = AllTriplets()
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(batch) % CLASSES
    optimizer = mx.gluon.Trainer(
        encoder.collect_params(), MomentumSGD(learning_rate=0.01), kvstore=None
    )

    def turn(steps: int = STEPS) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            with mx.autograd.record():
                outputs = network(mx.nd.array(pixels, dtype="uint8"))
                codes, norms = outputs if watched else (outputs, None)
                value = loss(codes, labels).mean()
            value.backward()
            optimizer.step(1)
            if watched:
                told = BatchStatistics(codes, labels, loss)
                norm = norms.mean()
                told.read()
                norm.asscalar()
        mx.nd.waitall()
        return (time.perf_counter() - start) / steps

    turn(1)
    return turn


def telling(batch: int) -> Callable[[], float]:
    """Return what looks at one batch of codes and tells the seconds of one time."""
    codes = np.random.default_rng(0).normal(size=(batch, 1024))
    codes = mx.nd.array(codes / np.linalg.norm(codes, axis=1, keepdims=True))
    labels, loss = np.arange(batch) % CLASSES, AllTriplets()

    def turn(times: int = TELLINGS) -> float:
        start = time.perf_counter()
        for _ in range(times):
            BatchStatistics(codes, labels, loss).read()
        return (time.perf_counter() - start) / times

    turn(1)
    return turn


def parser() -> CommandParser:
    options = CommandParser("python -m benchmarks.watching", description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=positive, default=15, help="how often each gets its turn")
    options.add_argument("--batch", type=positive, default=192, help="images a batch")
    return options


def main(options: argparse.Namespace) -> None:
    slots = {
        "step": training(options.batch, watched=False),
        "watched step": training(options.batch, watched=True),
        "telling alone": telling(options.batch),
    }
    measured = alternate(slots, options.rounds)
    print(f"batches of {options.batch}, {CLASSES} classes, {options.rounds} rounds")
    print(f"{'':20}{'milliseconds':>26}{'% of a step':>26}")
    for name, seconds in measured.items():
        share = 100 * seconds / measured["step"]
        print(f"{name:20}{spread(1000 * seconds, 2):>26}{spread(share, 2):>26}")


if __name__ == "__main__":
    run_command(main, parser())
