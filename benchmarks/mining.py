"""What each miner costs, as a share of a training step of the article's network.

    python -m benchmarks.mining [--rounds 5] [--batch 384] [--json FILE]

A step is forward, triplet hinge over random triplets, backward and SGD with momentum on one batch
of uint8 pixels. A miner starts from the batch's codes of 1,024 numbers and ends with its triplets:
what a step waits for because of it. All take their turns, round after round.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Callable

import numpy as np

from benchmarks.turns import alternate, spread
from tripletnet.backend import mx
from tripletnet.files import write_json
from tripletnet.losses import RandomTriplets, SquaredEuclidean
from tripletnet.losses.mining import MINERS, Miner
from tripletnet.networks import TripletCNN
from tripletnet.runtime import versions
from tripletnet.training.sgd import MomentumSGD

CLASSES, STEP = 10, "training step"
STEPS, MININGS = 3, 10  # a turn


def training(batch: int) -> Callable[[], float]:
    """Return what takes steps of training and tells the seconds of one."""
    network = TripletCNN()
    network.initialize(mx.init.MSRAPrelu())
    network.hybridize(static_alloc=True, static_shape=True)
    loss = RandomTriplets()
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, 32, 32), dtype=np.uint8)
    labels = np.zeros(batch, dtype=np.int64)
    optimizer = mx.gluon.Trainer(
        network.collect_params(), MomentumSGD(learning_rate=0.01), kvstore=None
    )

    def turn(steps: int = STEPS) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            with mx.autograd.record():
                value = loss(network(mx.nd.array(pixels, dtype="uint8")), labels).mean()
            value.backward()
            optimizer.step(1)
        mx.nd.waitall()
        return (time.perf_counter() - start) / steps

    turn(1)
    return turn


def mining(miner: Miner, batch: int) -> Callable[[], float]:
    """Return what mines from one batch of codes and tells the seconds of one time."""
    random = np.random.default_rng(0)
    codes = random.normal(size=(batch, 1024))
    codes = mx.nd.array(codes / np.linalg.norm(codes, axis=1, keepdims=True))
    labels = np.arange(batch) % CLASSES
    distance = SquaredEuclidean()

    def turn(times: int = MININGS) -> float:
        start = time.perf_counter()
        for _ in range(times):
            miner.mine(codes, labels, distance, random)
        return (time.perf_counter() - start) / times

    turn(1)
    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each gets its turn")
    parser.add_argument("--batch", type=int, default=384, help="images a batch")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    options = parser.parse_args()
    if options.batch % 3:
        parser.error(f"--batch is {options.batch}: give a multiple of 3")

    slots = {STEP: training(options.batch)}
    slots.update((name, mining(kind(), options.batch)) for name, kind in MINERS.items())
    measured = alternate(slots, options.rounds)
    print(f"batches of {options.batch}, {CLASSES} classes, {options.rounds} rounds")
    print(f"{'':20}{'milliseconds':>26}{'% of a step':>26}")
    for name, seconds in measured.items():
        share = 100 * seconds / measured[STEP]
        print(f"{name:20}{spread(1000 * seconds, 2):>26}{spread(share, 2):>26}")
    if options.json:
        figures = {name: seconds.tolist() for name, seconds in measured.items()}
        write_json(options.json, {**versions(), "batch": options.batch, "seconds": figures})


if __name__ == "__main__":
    main()
