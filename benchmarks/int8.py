"""Encoding in int8 beside our own fp32 and what PyTorch, ONNX Runtime and OpenVINO do best.

    pip install ".[bench]"
    python -m benchmarks.int8 [--network article] [--batch 384] [--rounds 5]

From uint8 pixels to codes of unit length in NumPy, over one batch again and again; all have the
same weights. Whatever is in int8 is calibrated on that batch. The networks have random weights,
which the speed does not depend on; how near the codes of a trained run come to those of fp32 is
what `tripletnet quantize RUN` tells. The network is any of `tripletnet.registry.NETWORKS`; one
without a twin in `benchmarks/twins.py` is measured without rivals.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np

from benchmarks.command import run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.encoders import check_same_codes, our_encode, our_network, rival_encoders
from benchmarks.encoding import speed
from benchmarks.multiply_adds import multiply_adds
from benchmarks.training_step import add_options
from tripletnet.int8.calibration import Calibration
from tripletnet.int8.making import make_int8

INT8, FP32 = "tripletnet int8", "tripletnet fp32"
# of PyTorch the layout that suits it best
RIVALS = ("channels_last", "ONNX Runtime", "OpenVINO")


def prepare(name: str, batch: int) -> Work:
    """Return our encoders and the rivals', after a check that their codes agree."""
    network = our_network(name)
    side = network.image_size
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)
    made = make_int8(network, name, Calibration(pixels.transpose(0, 2, 3, 1)))
    if made.quantised is None:
        raise SystemExit(f"{name}: {made.refusal}")
    rivals, left_out = rival_encoders(name, network, pixels, RIVALS)
    ours = {FP32: our_encode(network), INT8: our_encode(made.quantised.block())}
    cosines = check_same_codes({**ours, **rivals}, pixels)
    encoders = {INT8: ours[INT8], FP32: ours[FP32], **rivals}
    shown = {rival: f"{cosine:.4f}" for rival, cosine in cosines.items()}
    return Work(
        slots={rival: partial(speed, encode, pixels) for rival, encode in encoders.items()},
        left_out=left_out,
        gflop=2 * multiply_adds(network) / 1e9,
        figures=lambda: {"lowest_cosine": cosines, "columns": {"lowest cosine": shown}},
    )


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest a network."""
    batch = 24 if options.quick else options.batch
    return [
        Contest(
            name=f"int8/{name}",
            title=f"Encoding in int8 by the network `{name}`, batches of {batch}",
            unit="images/s",
            prepare=partial(prepare, name, batch),
            settings={"network": name, "batch": batch},
        )
        for name in options.network
    ]


if __name__ == "__main__":
    run_benchmark("benchmarks.int8", __doc__, contests, add_options)
