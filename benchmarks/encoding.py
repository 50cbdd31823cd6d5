"""Encoding beside PyTorch, ONNX Runtime and OpenVINO, over one batch again and again.

    pip install ".[bench]"
    python -m benchmarks.encoding [--network article] [--batch 384] [--rounds 5]

From uint8 pixels to codes of unit length in NumPy; all have the same weights, and the lowest cosine
of a code to ours is told. The network is any of `tripletnet.registry.NETWORKS` that has a twin in
`benchmarks/twins.py`. Static int8 is calibrated on the same batch; for our own int8 see
`benchmarks.int8`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from functools import partial
from typing import Callable

import numpy as np

from benchmarks.command import run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.encoders import (
    OURS,
    Encode,
    check_same_codes,
    draw_pixels,
    our_encode,
    our_network,
    rival_encoders,
)
from benchmarks.multiply_adds import multiply_adds
from benchmarks.training_step import add_options
from tripletnet.networks import EncoderBlock

WARM_UP, BATCHES = 1, 9  # a turn


def speed(encode: Encode, pixels: np.ndarray) -> float:
    """Return the images/s of some batches, after some that do not count."""
    for _ in range(WARM_UP):
        encode(pixels)
    start = time.perf_counter()
    for _ in range(BATCHES):
        encode(pixels)
    return BATCHES * len(pixels) / (time.perf_counter() - start)


def prepare(name: str, batch: int) -> Work:
    """Return our encoder and the rivals', after a check that their codes agree."""
    network = our_network(name)
    pixels = draw_pixels(network, batch)
    rivals, left_out = rival_encoders(name, network, pixels)
    encoders = {OURS: our_encode(network), **rivals}
    return turns(network, encoders, check_same_codes(encoders, pixels), pixels, left_out)


def turns(
    network: EncoderBlock,
    encoders: Mapping[str, Encode],
    cosines: Mapping[str, float],
    pixels: np.ndarray,
    left_out: Mapping[str, str],
) -> Work:
    """Return what encoders of one network do in turn; `cosines` are their codes' lowest ones."""
    shown = {rival: f"{cosine:.4f}" for rival, cosine in cosines.items()}
    return Work(
        slots={rival: partial(speed, encode, pixels) for rival, encode in encoders.items()},
        left_out=left_out,
        gflop=2 * multiply_adds(network) / 1e9,
        figures=lambda: {"lowest_cosine": cosines, "columns": {"lowest cosine": shown}},
    )


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest a network."""
    return contests_of("encoding", "Encoding", prepare, options)


def contests_of(
    kind: str, title: str, prepare: Callable[[str, int], Work], options: argparse.Namespace
) -> list[Contest]:
    """Return a contest of one kind for each network of the options."""
    batch = 24 if options.quick else options.batch
    return [
        Contest(
            name=f"{kind}/{name}",
            title=f"{title} by the network `{name}`, batches of {batch}",
            unit="images/s",
            prepare=partial(prepare, name, batch),
            settings={"network": name, "batch": batch},
        )
        for name in options.network
    ]


if __name__ == "__main__":
    run_benchmark("benchmarks.encoding", __doc__, contests, add_options)
