"""What mining and the loss cost: beside a training step, and beside PyTorch Metric Learning.

    pip install ".[bench]"
    python -m benchmarks.mining [--rounds 5] [--batch 384] [--json FILE]

First each miner as a share of a training step of the article's network: a step is forward, triplet
hinge over random triplets, backward and SGD with momentum on one batch of uint8 pixels; a miner
starts from the batch's codes of 1,024 numbers and ends with its triplets. Then miner, loss and the
gradient of the codes together, beside the same miner and loss of PyTorch Metric Learning.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any, Callable

import numpy as np

from benchmarks.command import positive, run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.encoders import draw_pixels, our_network
from benchmarks.metric_learning import RIVALS, rival_loss
from benchmarks.rivals import make_all
from benchmarks.trainers import of_triplets, our_step
from tripletnet.backend import mx
from tripletnet.losses import SquaredEuclidean, get_loss
from tripletnet.losses.mining import MINERS, Miner

CLASSES, STEP = 10, "training step"
STEPS, MININGS, LOSSES = 3, 10, 5  # a turn
OURS, RIVAL = "tripletnet", "PyTorch Metric Learning"


def milliseconds(work: Callable[[], object], times: int) -> float:
    """Return the time of one call, after one that does not count."""
    work()
    start = time.perf_counter()
    for _ in range(times):
        work()
    return 1000 * (time.perf_counter() - start) / times


def codes_and_labels(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return codes of unit length, somewhat nearer to those of their class, and the classes."""
    random = np.random.default_rng(0)
    labels = np.arange(batch) % CLASSES
    codes = random.normal(size=(batch, 1024)) + 0.5 * random.normal(size=(CLASSES, 1024))[labels]
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return codes.astype(np.float32), labels


def prepare_shares(batch: int) -> Work:
    """Return a training step and all miners."""
    network = our_network("article")
    step, pixels = our_step(network), draw_pixels(network, batch)
    array, labels = codes_and_labels(batch)
    codes, random = mx.nd.array(array), np.random.default_rng(0)
    distance = SquaredEuclidean()

    def mine(miner: Miner) -> float:
        work = partial(miner.mine, codes, labels, distance, random)
        return milliseconds(work, MININGS)

    slots: dict[str, Callable[[], float]] = {
        STEP: partial(milliseconds, lambda: step(pixels)(), STEPS)
    }
    slots.update((name, partial(mine, kind())) for name, kind in MINERS.items())
    return Work(slots)


def our_loss(
    loss: str, mining: str, options: dict[str, Any], codes: np.ndarray, labels: np.ndarray
) -> Callable[[], tuple[float, np.ndarray]]:
    """Return what mines, and gives the loss of codes and its gradient."""
    function = get_loss(loss, mining, **options)
    function.bind(CLASSES)
    function.initialize()
    function.random = np.random.default_rng(0)
    x = mx.nd.array(codes)
    x.attach_grad()

    def run() -> tuple[float, np.ndarray]:
        with mx.autograd.record():
            value = function(x, labels).mean()
        value.backward()
        return float(value.asscalar()), x.grad.asnumpy()

    return run


def sideways(gradient: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return a gradient without its part along the codes, which their normalisation cancels."""
    return gradient - (gradient * codes).sum(axis=1, keepdims=True) * codes


def prepare_loss(loss: str, mining: str, options: dict[str, Any], batch: int) -> Work:
    """Return our loss and theirs, after a check that value and gradient agree."""
    codes, labels = codes_and_labels(batch)
    works = {OURS: our_loss(loss, mining, options, codes, labels)}
    rivals, left_out = make_all({RIVAL: lambda: rival_loss(loss, mining, options, codes, labels)})
    works.update(rivals)
    found = {name: work() for name, work in works.items()}
    ours, our_gradient = found[OURS]
    by_chance = mining == "distance-weighted"  # draws its triplets
    for name, (value, gradient) in found.items():
        apart = sideways(gradient - our_gradient, codes)
        off = max(abs(value - ours), float(np.abs(apart).max() / np.abs(our_gradient).max()))
        if not (abs(value / ours - 1) < 0.05 if by_chance else off < 1e-3):
            raise SystemExit(f"{name}: loss {value}, ours {ours}; the larger difference is {off}")
    return Work(
        {name: partial(milliseconds, work, LOSSES) for name, work in works.items()},
        left_out,
        figures=lambda: {"loss": {name: value for name, (value, _) in found.items()}},
    )


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return the share of a step, and one contest for each loss and miner that both have."""
    batch = 24 if options.quick else of_triplets(options.batch)
    settings = {"batch": batch, "classes": CLASSES, "code_size": 1024}
    shares = Contest(
        name="mining/step",
        title=f"Miners beside a training step of the article's network, batches of {batch}",
        unit="milliseconds",
        prepare=partial(prepare_shares, batch),
        reading="share",
        settings=settings,
    )
    pairs = [
        Contest(
            name=f"mining/{loss} {mining}",
            title=f"Loss `{loss}`, mining `{mining}`, and the codes' gradient, batches of {batch}",
            unit="milliseconds",
            prepare=partial(prepare_loss, loss, mining, arguments, batch),
            reading="time",
            settings=settings,
        )
        for loss, mining, arguments in RIVALS
    ]
    return [shares, *pairs]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this benchmark."""
    parser.add_argument("--batch", type=positive, default=384, help="images a batch (default: 384)")


if __name__ == "__main__":
    run_benchmark("benchmarks.mining", __doc__, contests, add_options)
