"""How fast a folder of pictures becomes codes, beside the network alone on one batch in memory.

    TRIPLETNET_DATA=... python -m benchmarks.encode_files RUN [FOLDER]

Images a second: of the network alone, of a folder whose pictures are decoded for the first time,
and of one whose decoded pictures are in the cache. In turn, so that what else the machine does
falls on all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.command import needs_data, positive
from benchmarks.turns import alternate, spread
from tripletnet.backend import mx
from tripletnet.command import CommandParser, run_command
from tripletnet.retrieval.encoder import Encoder

BATCH = 384


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.encode_files", description=__doc__.splitlines()[0]
    )
    add = options.add_argument
    add("run", type=Path)
    add("folder", type=Path, nargs="?", help="default: CIFAR-10's images as files")
    add("--rounds", type=positive, default=5)
    return options


def main(options: argparse.Namespace) -> None:
    folder = options.folder or needs_data("cifar10-images/train")
    encoder = Encoder.load(options.run)
    side = encoder.image_size
    random = np.random.default_rng(0)
    batch = mx.nd.array(random.integers(0, 256, (BATCH, 3, side, side)), dtype="uint8")

    def network_alone(batches: int = 40) -> float:
        start = time.perf_counter()
        for _ in range(batches):
            codes = encoder.network(batch)
        codes.wait_to_read()
        return batches * BATCH / (time.perf_counter() - start)

    def files(cache: str) -> float:
        os.environ["XDG_CACHE_HOME"] = cache
        start = time.perf_counter()
        encoded, _ = encoder.encode_files([folder])
        return len(encoded) / (time.perf_counter() - start)

    def first_time() -> float:
        with tempfile.TemporaryDirectory() as cache:
            return files(cache)

    with tempfile.TemporaryDirectory() as kept:
        network_alone(3)
        files(kept)
        speeds = alternate(
            {
                "the network alone": network_alone,
                "files, cached": lambda: files(kept),
                "files, first time": first_time,
            },
            options.rounds,
        )
    alone = np.median(speeds["the network alone"])
    for name, values in speeds.items():
        print(
            f"{name:18} {spread(values)} images/s, {np.median(values) / alone:.2f} of the network"
        )
    print(json.dumps({name: values.tolist() for name, values in speeds.items()}))


if __name__ == "__main__":
    run_command(main, parser())
