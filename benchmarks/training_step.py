"""Training steps of a network beside its twin in PyTorch, over one batch again and again.

    pip install ".[bench]"
    python -m benchmarks.training_step [--network article] [--batch 384] [--rounds 5]

Random triplets, the hinge, SGD with momentum; from uint8 pixels to new weights, in fp32 and, where
the processor has units for it, in bf16. The network is any of `tripletnet.registry.NETWORKS` that
has a twin in `benchmarks/twins.py`.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np

from benchmarks.command import positive, run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.encoders import draw_pixels, our_network
from benchmarks.multiply_adds import training_multiply_adds
from benchmarks.trainers import (
    Step,
    check_same_losses,
    of_triplets,
    our_step,
    precisions,
    rival_steps,
)

WARM_UP, STEPS = 1, 5  # a turn


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe --network and --batch, which encoding takes, too."""
    parser.add_argument("--network", nargs="+", default=["article"], metavar="NAME")
    parser.add_argument("--batch", type=positive, default=384, help="images a batch (default: 384)")


def speed(step: Step, pixels: np.ndarray) -> float:
    """Return the images/s of some steps, after some that do not count."""
    for _ in range(WARM_UP):
        wait = step(pixels)
    wait()
    start = time.perf_counter()
    for _ in range(STEPS):
        wait = step(pixels)
    wait()
    return STEPS * len(pixels) / (time.perf_counter() - start)


def prepare(name: str, precision: str, batch: int) -> Work:
    """Return our steps and the rivals', after a check that all do the same."""
    network = our_network(name)
    pixels = draw_pixels(network, batch)
    rivals, left_out = rival_steps(name, network, pixels, (precision,))
    steps = {f"tripletnet {precision}": our_step(network, precision), **rivals}
    loss = check_same_losses(steps, pixels)
    return Work(
        slots={rival: partial(speed, step, pixels) for rival, step in steps.items()},
        left_out=left_out,
        gflop=2 * training_multiply_adds(network) / 1e9,
        figures=lambda: {"loss_after_3_steps": loss},
    )


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest for each network and precision."""
    batch = 24 if options.quick else of_triplets(options.batch)
    return [
        Contest(
            name=f"training_step/{name}-{precision}",
            title=f"Training step of the network `{name}` in {precision}, batches of {batch}",
            unit="images/s",
            prepare=partial(prepare, name, precision, batch),
            settings={"network": name, "precision": precision, "batch": batch},
        )
        for name in options.network
        for precision in precisions()
    ]


if __name__ == "__main__":
    run_benchmark("benchmarks.training_step", __doc__, contests, add_options)
