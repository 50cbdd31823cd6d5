"""Decoding a folder into the cache, beside OpenCV alone and the DataLoaders, in turn in one run.

    python -m benchmarks.decoding [FOLDER] [--size 64] [--images 2000] [--rounds 5]

OpenCV alone is cv2.imread and cv2.resize, results thrown away, in a pool of as many threads as
there are cores: with one task an image, and with 64 images a task. The DataLoaders of Gluon and of
PyTorch do the same in as many worker processes, which are there already, and hand over batches of
256. Ours also tells truncated files, hashes every file and writes the pixels to the disk. A JPEG of
at least twice the wanted size it decodes at a reduced size, where the others decode it whole; how
many there are is told. The files are read once before, so that all find them in memory. Ratios
above 1 mean that ours is faster.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Callable, Optional

import cv2
import numpy as np

from benchmarks.command import needs_data, positive, run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.loaders import gluon_loader, torch_loader
from benchmarks.rivals import make_all
from tripletnet.data.cache import cached_images
from tripletnet.data.decode import decode_image
from tripletnet.data.pictures import list_pictures
from tripletnet.errors import InputError
from tripletnet.files import absolute
from tripletnet.processor import usable_cores

OURS = "tripletnet"
BATCH = 256
FOLDER = "sign-digits"
NOTE = (
    "Ours also hashes every file, tells truncated ones and writes the cache; JPEGs of at least "
    "twice the wanted size it decodes at a reduced size, the others whole."
)


def opencv_alone(files: list[str], size: int, images_a_task: int) -> None:
    """Decode with OpenCV in a pool of threads."""

    def decode(start: int) -> None:
        for file in files[start : start + images_a_task]:
            cv2.resize(cv2.imread(file), (size, size))

    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(decode, range(0, len(files), images_a_task)):
            pass


def ours(files: list[str], stamps: np.ndarray, size: int) -> None:
    """Decode into an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        images = cached_images("/", files, stamps, size=(size, size), fit="stretch", cache=cache)
        assert not images.failures, images.failures


class Pictures:
    """What a user of a DataLoader writes: one picture at an index."""

    def __init__(self, files: list[str], size: int) -> None:
        self.files = files
        self.size = size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> np.ndarray:
        return cv2.resize(cv2.imread(self.files[index]), (self.size, self.size))


def run_through(loader: Iterable[object]) -> None:
    """Take all batches and throw them away."""
    for _ in loader:
        pass


def rate(work: Callable[[], None], images: int) -> float:
    """Return images/s."""
    start = time.perf_counter()
    work()
    return images / (time.perf_counter() - start)


def prepare(folder: Optional[Path], size: int, number: int) -> Work:
    """Return all that decode, the files in memory and the workers begun."""
    listing = list_pictures([needs_data(FOLDER) if folder is None else folder])
    files = [f"{listing.root}/{file}" for file in listing.files]
    if number:
        files = np.random.default_rng(0).permutation(files)[:number].tolist()
    stamps = np.array([(s.st_size, s.st_mtime_ns) for s in map(Path.stat, map(Path, files))])
    large = 0
    for file in files:  # from here on in memory
        decode_image(file)  # what ours cannot read is named here
        pixels = cv2.imread(file)
        if pixels is None:
            raise InputError(f"{file}: OpenCV cannot read it: take it out of the folder")
        large += min(pixels.shape[:2]) >= 2 * size
    cv2.setNumThreads(1)
    pictures = Pictures(files, size)
    loaders, left_out = make_all(
        {
            f"{name}'s DataLoader": partial(loader, pictures, usable_cores(), batch_size=BATCH)
            for name, loader in (("Gluon", gluon_loader), ("PyTorch", torch_loader))
        }
    )
    for loader in loaders.values():
        run_through(loader)  # begins the workers
    works: dict[str, Callable[[], None]] = {
        OURS: lambda: ours(files, stamps, size),
        "OpenCV, 1 image a task": lambda: opencv_alone(files, size, 1),
        "OpenCV, 64 images a task": lambda: opencv_alone(files, size, 64),
        **{name: partial(run_through, loader) for name, loader in loaders.items()},
    }
    said = (
        f"{len(files):,} files of {stamps[:, 0].mean() / 1e3:.1f} kB on average, {large:,} of them "
        f"of at least {2 * size} pixels each way."
    )
    return Work(
        {name: partial(rate, work, len(files)) for name, work in works.items()},
        left_out,
        figures=lambda: {"summary": said},
    )


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return the one contest."""
    folder = None if options.folder is None else absolute(options.folder)
    name = FOLDER if folder is None else folder.name
    number = 64 if options.quick else options.images
    return [
        Contest(
            name=f"decoding/{name}",
            title=f"Decoding the folder {name} to {options.size} pixels",
            unit="images/s",
            prepare=partial(prepare, folder, options.size, number),
            note=NOTE,
            settings={
                "size": options.size,
                "images": number,
                # two folders may have one name
                "folder": FOLDER if folder is None else str(folder),
            },
            formerly={"folder": FOLDER},
        )
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this benchmark."""
    parser.add_argument("folder", type=Path, nargs="?", help="default: the data's sign-digits")
    add = parser.add_argument
    add("--size", type=positive, default=64, help="height and width of the result (default: 64)")
    add("--images", type=positive, help="take so many, at random")


if __name__ == "__main__":
    run_benchmark("benchmarks.decoding", __doc__, contests, add_options)
