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

from benchmarks.command import run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.encoders import (
    check_same_codes,
    draw_pixels,
    our_encode,
    our_network,
    rival_encoders,
)
from benchmarks.encoding import contests_of, turns
from benchmarks.training_step import add_options
from tripletnet.int8.calibration import Calibration
from tripletnet.int8.making import make_int8

INT8, FP32 = "tripletnet int8", "tripletnet fp32"
# of PyTorch the layout that suits it best, and compiled
KINDS = ("channels_last", "compiled", "ONNX Runtime", "OpenVINO")


def prepare(name: str, batch: int) -> Work:
    """Return our encoders and the rivals', after a check that their codes agree."""
    network = our_network(name)
    pixels = draw_pixels(network, batch)
    made = make_int8(network, name, Calibration(pixels.transpose(0, 2, 3, 1)))
    if made.quantised is None:
        raise SystemExit(f"{name}: {made.refusal}")
    rivals, left_out = rival_encoders(name, network, pixels, KINDS)
    ours = {FP32: our_encode(network), INT8: our_encode(made.quantised.block())}
    cosines = check_same_codes({**ours, **rivals}, pixels)
    encoders = {INT8: ours[INT8], FP32: ours[FP32], **rivals}
    return turns(network, encoders, cosines, pixels, left_out)


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest a network."""
    return contests_of("int8", "Encoding in int8", prepare, options)


if __name__ == "__main__":
    run_benchmark("benchmarks.int8", __doc__, contests, add_options)
