"""Altered CIFAR-10 test pictures: whose original comes first, by codes and by perceptual hash.

    pip install ".[bench]"
    export TRIPLETNET_DATA=FOLDER
    python -m benchmarks.altered_pictures --run RUN [--run RUN ...] [--strengths severe]

1,000 test pictures are altered in each of the eight ways of `tripletnet.data.alter`, and the
original is looked for among all 10,000. The strengths `severe` are beyond all by which training
with `--positives augment` alters by default. Figures are shares of the 1,000; where the original is
as near as k others, it counts 1 / (k + 1). "untrained" is the network of the first run as it was
before it had seen an image.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
from PIL import Image

from benchmarks.command import positive
from benchmarks.rivals import INSTALL
from tripletnet.backend import mx
from tripletnet.command import CommandParser, add_seed, run_command
from tripletnet.data.alter import ALTERATIONS, MILD
from tripletnet.data.cifar10 import load_cifar10
from tripletnet.data.images import ImageSet
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.files import write_json
from tripletnet.networks import get_network
from tripletnet.runs import load_run, read_description
from tripletnet.runtime import versions

#: Beyond all by which training alters by default.
SEVERE = {
    "crop": 0.35,
    "scale": 0.2,
    "jpeg": 5,
    "brightness": 0.6,
    "hue": 45,
    "rotate": 15,
    "flip": 1,
    "text": 0.35,
}
HARD = {
    **SEVERE,
    "scale": 0.4,
    "jpeg": 25,
    "brightness": 0.4,
    "hue": 30,
    "rotate": 10,
    "text": 0.25,
}
STRENGTHS = {"severe": SEVERE, "hard": HARD, "mild": MILD}

#: Pictures, (N, 32, 32, 3) uint8, to vectors of length 1: the nearer, the more alike.
Describe = Callable[[np.ndarray], np.ndarray]


def as_set(pixels: np.ndarray) -> ImageSet:
    return ImageSet("", pixels, np.zeros(len(pixels), np.int64), ())


def needs_imagehash() -> Any:
    """Return the library of perceptual hashes, or say how to install it."""
    try:
        import imagehash  # of the extra, and --help does without
    except ModuleNotFoundError:
        raise InputError(f"imagehash is not installed: {INSTALL}") from None
    return imagehash


def phash(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return pHash's 64 bits as +-1/8: squared distance is Hamming / 16, exactly."""
    imagehash = needs_imagehash()
    bits = [imagehash.phash(Image.fromarray(image)).hash.ravel() for image in images]
    return (np.array(bits, np.float32) * 2 - 1) / 8


def untrained(run: Path) -> Describe:
    """Return a run's network with the first weights of its seed."""
    described = read_description(run)
    named = described["network"]
    network = get_network(named["name"], **named["arguments"])
    mx.random.seed(described["training"]["seed"])
    network.initialize(mx.init.MSRAPrelu())
    return lambda pixels: encode(network, as_set(pixels))


def trained(run: Path) -> Describe:
    network, _ = load_run(run)
    return lambda pixels: encode(network, as_set(pixels))


def first(codes: np.ndarray, queries: np.ndarray, own: np.ndarray) -> float:
    """Return the share of queries whose own code is the nearest; ties count their fair share."""
    credit = 0.0
    for start in range(0, len(queries), 250):
        products = queries[start : start + 250] @ codes.T
        mine = own[start : start + 250]
        right = products[np.arange(len(mine)), mine][:, None]
        better = (products > right + 1e-6).sum(axis=1)
        ties = (np.abs(products - right) <= 1e-6).sum(axis=1)
        credit += (1 / ties[better == 0]).sum()
    return credit / len(queries)


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.altered_pictures", description=__doc__.splitlines()[0]
    )
    add = options.add_argument
    add("--run", type=Path, action="append", required=True, help="the run folder of an encoder")
    add("--root", type=Path, help="where CIFAR-10 lies (default: TRIPLETNET_DATA)")
    add("--altered", type=positive, default=1000, help="default: %(default)s")
    add("--strengths", choices=STRENGTHS, default="severe", help="default: %(default)s")
    add("--json", type=Path, metavar="FILE", help="also write every figure there")
    add_seed(options)
    return options


def main(options: argparse.Namespace) -> None:
    needs_imagehash()
    pixels = load_cifar10(options.root, download=False).test.pixels
    if options.altered > len(pixels):
        raise InputError(f"--altered {options.altered}: there are {len(pixels):,}: give no more")
    strengths = STRENGTHS[options.strengths]
    random = np.random.default_rng(options.seed)
    own = np.sort(random.choice(len(pixels), options.altered, replace=False))
    altered = {
        name: np.stack([alter(pixels[i], strengths[name], random) for i in own])
        for name, alter in ALTERATIONS.items()
    }
    methods: dict[str, Describe] = {"pHash": phash, "untrained": untrained(options.run[0])}
    methods.update({str(run): trained(run) for run in options.run})
    print(f"{'':40}" + "".join(f"{name:>12}" for name in altered))
    figures = {}
    for method, describe in methods.items():
        codes = describe(pixels)
        row = {name: first(codes, describe(some), own) for name, some in altered.items()}
        figures[method] = row
        print(f"{method:40}" + "".join(f"{value:>12.3f}" for value in row.values()), flush=True)
    if options.json:
        write_json(options.json, {**versions(), "strengths": dict(strengths), "first": figures})


if __name__ == "__main__":
    run_command(main, parser())
