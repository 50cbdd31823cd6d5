"""Whether the threads of MXNet and of FAISS get into each other's way in one process.

    python -m benchmarks.encode_and_search RUN [--rounds 9]

Seconds of a batch that is encoded, of a batch of codes that is searched for, each over and over
again, and of both in turn as `search` does it. If the threads did not meet, both in turn would
take the sum of the two. There are 10,000 codes of random numbers, and the pictures are noise:
neither changes the work.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Callable

import numpy as np

from benchmarks.command import positive
from benchmarks.turns import alternate, spread
from tripletnet.codes.file import EncodedImages
from tripletnet.command import CommandParser, run_command
from tripletnet.retrieval.encoder import Encoder
from tripletnet.retrieval.index import Index

BATCH, CODES, SLOT_SECONDS = 384, 10_000, 2.0


def seconds(work: Callable[[], object]) -> float:
    """Return the time that some work takes, the mean over two seconds."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SLOT_SECONDS:
        work()
        count += 1
    return (time.perf_counter() - start) / count


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.encode_and_search", description=__doc__.splitlines()[0]
    )
    options.add_argument("run", type=Path)
    options.add_argument("--rounds", type=positive, default=9)
    return options


def main(options: argparse.Namespace) -> None:
    random = np.random.default_rng(0)
    encoder = Encoder.load(options.run)
    side = encoder.image_size
    pictures = random.integers(0, 256, (BATCH, side, side, 3), np.uint8)
    codes = random.standard_normal((CODES, encoder.code_size), np.float32)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    index = Index.build(EncodedImages(codes, paths=[f"{row}.png" for row in range(CODES)]))
    for size in (BATCH, 1):
        some, queries = pictures[:size], codes[:size]
        both = {
            "encode": partial(encoder.encode, some),
            "search": partial(index.search, queries),
            "both in turn": lambda: index.search(encoder.encode(some)),  # noqa: B023
        }
        for work in both.values():
            work()
        times = alternate(
            {name: partial(seconds, work) for name, work in both.items()}, options.rounds
        )
        print(f"{size} at once, milliseconds")
        for name, values in times.items():
            print(f"  {name:14} {spread(1000 * values, 2)}")
        alone = np.median(times["encode"]) + np.median(times["search"])
        print(f"  both in turn take {np.median(times['both in turn']) / alone:.3f} of the sum")
        print(json.dumps({name: values.tolist() for name, values in times.items()}))


if __name__ == "__main__":
    run_command(main, parser())
