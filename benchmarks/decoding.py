"""Decoding a folder into the cache, beside OpenCV alone on all cores, in turn in one run.

    python -m benchmarks.decoding FOLDER [--size 64] [--images 2000] [--rounds 5]

OpenCV alone is cv2.imread and cv2.resize, results thrown away, in a pool of as many threads as
there are cores: with one task an image, and with 64 images a task. Ours also tells truncated files,
hashes every file and writes the pixels to the disk. The files are read once before, so that all
find them in memory. Ratios above 1 mean that ours is faster.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import cv2
import numpy as np

from tripletnet.data.cache import cached_images
from tripletnet.data.decode import read_bytes
from tripletnet.data.pictures import list_pictures
from tripletnet.runtime import usable_cores


def opencv_alone(files: list[str], size: int, images_a_task: int) -> None:
    def decode(start: int) -> None:
        for file in files[start : start + images_a_task]:
            cv2.resize(cv2.imread(file), (size, size))

    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(decode, range(0, len(files), images_a_task)):
            pass


def ours(files: list[str], stamps: np.ndarray, size: int) -> None:
    with tempfile.TemporaryDirectory() as cache:
        images = cached_images("/", files, stamps, size=(size, size), fit="stretch", cache=cache)
        assert not images.failures, images.failures


def seconds(run: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds on the clock and of all processors."""
    start, start_cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - start_cpu


def spread(values: np.ndarray, digits: int = 0) -> str:
    return (
        f"{np.median(values):.{digits}f} ({values.min():.{digits}f} to {values.max():.{digits}f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=64, help="height and width of the result")
    parser.add_argument("--images", type=int, help="take so many, at random")
    parser.add_argument("--rounds", type=int, default=5, help="how often each gets its turn")
    options = parser.parse_args()
    listing = list_pictures([options.folder])
    files = [f"{listing.root}/{file}" for file in listing.files]
    if options.images:
        files = np.random.default_rng(0).permutation(files)[: options.images].tolist()
    stamps = np.array([(s.st_size, s.st_mtime_ns) for s in map(Path.stat, map(Path, files))])
    for file in files:
        read_bytes(file)
    cv2.setNumThreads(1)
    contestants = {
        "tripletnet": lambda: ours(files, stamps, options.size),
        "OpenCV, 1 image a task": lambda: opencv_alone(files, options.size, 1),
        "OpenCV, 64 images a task": lambda: opencv_alone(files, options.size, 64),
    }
    # rounds x contestants x (clock, processors)
    taken = np.array(
        [[seconds(run) for run in contestants.values()] for _ in range(options.rounds)]
    )
    print(f"{len(files)} files of {stamps[:, 0].mean() / 1e3:.1f} kB to {options.size} pixels")
    print(f"{'':26}{'images/s':>26}{'ratio':>24}{'processor us/image':>24}{'ratio':>24}")
    for name, (clock, cpu) in zip(contestants, taken.transpose(1, 2, 0)):
        ours_clock, ours_cpu = taken[:, 0].T
        print(
            f"{name:26}{spread(len(files) / clock):>26}{spread(clock / ours_clock, 2):>24}"
            f"{spread(cpu / len(files) * 1e6):>24}{spread(cpu / ours_cpu, 2):>24}"
        )


if __name__ == "__main__":
    main()
