"""How cost grows: images/s and memory of training and encoding by batch, code and image size.

    python -m benchmarks.growth [--networks article residual] [--rounds 5] [--json FILE]

Each size is measured in a process of its own, so that its peak memory is its own, and stored as it
comes. Sizes that do not vary are batches of 384, codes of 1,024 numbers and images of 32 pixels;
where the image's size does, batches are of 48.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from functools import partial
from typing import NamedTuple

from benchmarks.command import how_it_ended, run_benchmark
from benchmarks.contest import Contest, Work

OURS = "tripletnet"
KINDS = ("train", "encode")


class Cell(NamedTuple):
    """One size."""

    network: str
    kind: str
    batch: int = 384
    code_size: int = 1024
    image_size: int = 32


#: What varies along each axis of the plots, and with it, what else differs.
BATCHES, CODE_SIZES = (12, 48, 192, 384, 768), (64, 256, 1024, 4096)
#: The dense layer of the article's network grows with the image: 237 million weights at 96 pixels.
IMAGE_SIZES = {"article": (32, 48, 64, 96)}
ANY_IMAGE_SIZES = (32, 64, 128, 224)
IMAGE_BATCH = 48
QUICK_CODE_SIZE = 16


def axes(network: str, kind: str, quick: bool = False) -> dict[str, list[Cell]]:
    """Return the cells along each axis, by what varies."""
    if quick:
        return {"batch": [Cell(network, kind, batch, QUICK_CODE_SIZE) for batch in (12, 24)]}
    images = IMAGE_SIZES.get(network, ANY_IMAGE_SIZES)
    return {
        "batch": [Cell(network, kind, batch=batch) for batch in BATCHES],
        "code_size": [Cell(network, kind, code_size=size) for size in CODE_SIZES],
        "image_size": [Cell(network, kind, IMAGE_BATCH, image_size=size) for size in images],
    }


def name_of(cell: Cell) -> str:
    """Return a cell's name among the results."""
    network, kind, batch, code, image = cell
    return f"growth/{network} {kind} batch {batch} code {code} image {image}"


def prepare(cell: Cell, turns: int) -> Work:
    """Measure a cell in a process of its own."""
    network, kind, *sizes = cell
    command = [sys.executable, "-m", "benchmarks.growth_cell", kind, network]
    command += [*map(str, sizes), str(turns)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name_of(cell)}: {how_it_ended(done.returncode)}")
    found = json.loads(done.stdout.splitlines()[-1])
    peak = found["peak_megabytes"]
    figures = {"peak_megabytes": peak, "summary": f"Peak memory {peak:,} MB."}
    return Work({OURS: iter(found["images_per_second"]).__next__}, figures=lambda: figures)


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest a cell; those of two axes once."""
    cells = dict.fromkeys(
        cell
        for network in options.networks
        for kind in KINDS
        for axis in axes(network, kind, options.quick).values()
        for cell in axis
    )
    return [
        Contest(
            name=name_of(cell),
            title=name_of(cell).partition("/")[2],
            unit="images/s",
            prepare=partial(prepare, cell, options.rounds),
            settings=cell._asdict(),
        )
        for cell in cells
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this benchmark."""
    names = ["article", "residual"]
    parser.add_argument("--networks", nargs="+", default=names, metavar="NAME")


if __name__ == "__main__":
    run_benchmark("benchmarks.growth", __doc__, contests, add_options)
