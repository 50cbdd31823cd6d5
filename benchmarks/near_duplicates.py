"""Near-duplicates by codes beside perceptual hashes: CIFAR-10 pictures, altered and hidden.

    pip install ".[bench]"
    python -m benchmarks.near_duplicates --run RUN [--pictures 10000] [--altered 1000] [--json FILE]

Some test pictures of `cifar10-images` (below --root or TRIPLETNET_DATA) are altered in eight ways,
more strongly than those by which the distance is calibrated, and hidden among all of them. All
methods look for pairs and group them into the same stars; counted are the pairs in the groups. The
limits marked "best F1" are chosen knowing the truth: what a method could reach, not what it does.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from benchmarks.altered_pictures import needs_imagehash, phash
from benchmarks.command import needs_data, positive
from tripletnet.command import CommandParser, add_seed, parse_number, run_command
from tripletnet.data.alter import ALTERATIONS, MILD, STRONG
from tripletnet.data.decode import decode_image
from tripletnet.data.opencv import cv2
from tripletnet.errors import InputError
from tripletnet.files import write_json
from tripletnet.retrieval.calibrate_duplicates import calibrate_duplicates
from tripletnet.retrieval.duplicates import find_duplicates, stars
from tripletnet.retrieval.encoder import Encoder
from tripletnet.retrieval.index import Index
from tripletnet.runtime import versions

NAMES = list(ALTERATIONS)
HASH_LIMITS = (4, 8, 10)
HASH_SWEEP = np.arange(0, 17, 2)
BLOCK = 2000
MOST_PAIRS = 20_000_000
# squared distances of thumbnails of length 1: correlations of 0.99 to 0.85
THUMBNAIL_SWEEP = 2 - 2 * np.array([0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.9, 0.88, 0.85])

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Hidden:
    """Pictures, and which of them are one picture.

    Attributes
    ----------
    paths : list of Path
        The pictures.
    sources : ndarray of int, shape (N,)
        Which original each one is or was made of.
    ways : ndarray of int, shape (N,)
        How it was altered, an index into `NAMES`; -1 for an original.
    """

    paths: list[Path]
    sources: np.ndarray
    ways: np.ndarray


def hide(pictures: Sequence[Path], altered: int, folder: Path, seed: int) -> Hidden:
    """Copy the pictures to `folder` and lay altered ones of some of them beside them."""
    random = np.random.default_rng(seed)
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(folder / f"{number:05d}.jpg")
        shutil.copyfile(picture, paths[-1])
    chosen = random.choice(len(pictures), altered, replace=False)
    for number in chosen:
        image = decode_image(paths[number])
        for name, alter in ALTERATIONS.items():
            paths.append(folder / f"{number:05d}-{name}.png")
            changed = alter(image, STRONG[name], random)
            cv2.imwrite(str(paths[-1]), cv2.cvtColor(changed, cv2.COLOR_RGB2BGR))
    sources = np.concatenate([np.arange(len(pictures)), np.repeat(chosen, len(NAMES))])
    ways = np.concatenate([np.full(len(pictures), -1), np.tile(np.arange(len(NAMES)), altered)])
    return Hidden(paths, sources, ways)


def near_pairs(
    vectors: np.ndarray, max_distance: float, mirrored: Optional[np.ndarray] = None
) -> Pairs:
    """Return all pairs of unit vectors up to a squared distance; of two ways round the nearer."""
    kept: list[Pairs] = []
    held = 0
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        products = block @ vectors[start:].T
        if mirrored is not None:
            np.maximum(products, block @ mirrored[start:].T, out=products)
        rows, neighbours = np.nonzero(2 - 2 * products <= max_distance + 1e-5)
        later = neighbours > rows
        rows, neighbours = rows[later], neighbours[later]
        distances = np.maximum(2 - 2 * products[rows, neighbours], 0)
        kept.append((rows + start, neighbours + start, distances))
        held += len(rows)
        if held > MOST_PAIRS:
            raise SystemExit(f"more than {MOST_PAIRS:,} pairs within {max_distance}")
    rows, neighbours, distances = (np.concatenate(parts) for parts in zip(*kept))
    return rows, neighbours, distances


def within(pairs: Pairs, limit: float) -> Pairs:
    good = pairs[2] <= limit + 1e-5
    return pairs[0][good], pairs[1][good], pairs[2][good]


def judge(groups: Sequence[Sequence[int]], hidden: Hidden) -> dict[str, Any]:
    """Return precision, recall and F1 of the pairs in the groups, and recall by alteration.

    Precision is over all pairs in the groups; recall over all pairs of one original, the altered
    ones among themselves too; recall by alteration over the pairs of an original and its copy.
    """
    group_of = np.full(len(hidden.paths), -1)
    pairs = right = 0
    for number, members in enumerate(groups):
        group_of[members] = number
        _, counts = np.unique(hidden.sources[members], return_counts=True)
        pairs += len(members) * (len(members) - 1) // 2
        right += int((counts * (counts - 1) // 2).sum())
    _, counts = np.unique(hidden.sources, return_counts=True)
    precision = right / pairs if pairs else 1.0
    recall = right / int((counts * (counts - 1) // 2).sum())
    together = group_of >= 0
    together &= group_of == group_of[hidden.sources]  # an original's number is its row
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if right else 0.0,
        **{name: float(together[hidden.ways == way].mean()) for way, name in enumerate(NAMES)},
    }


def grouped(pairs: Pairs, limit: float, hidden: Hidden) -> dict[str, Any]:
    stars_found = [members for members, _ in stars(*within(pairs, limit))]
    return {"limit": float(limit), **judge(stars_found, hidden)}


def best(pairs: Pairs, limits: np.ndarray, hidden: Hidden) -> dict[str, Any]:
    return max((grouped(pairs, limit, hidden) for limit in limits), key=lambda row: row["f1"])


def thumbnails(images: Sequence[np.ndarray], side: int = 16) -> np.ndarray:
    """Return grey thumbnails as vectors of mean 0 and length 1."""
    grey = [cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY) for image in images]
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in grey]
    vectors = np.array(small, np.float32).reshape(len(small), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def compare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Hide, look, judge; return the figures."""
    where = "cifar10-images/test"
    pictures = needs_data(where) if options.root is None else options.root / where
    test = sorted(pictures.glob("*/*.jpg"))
    count = min(options.pictures, len(test))
    if count < options.altered:
        raise InputError(f"--altered {options.altered}: {pictures} gives {count:,}: give no more")
    random = np.random.default_rng(options.seed)
    chosen = random.choice(len(test), count, replace=False)
    hidden = hide([test[number] for number in chosen], options.altered, folder, options.seed)
    encoder = Encoder.load(options.run)
    encoded, left_out = encoder.encode_files([folder])
    if left_out:
        raise SystemExit(f"left out: {left_out}")
    assert encoded.paths is not None
    place = {path: row for row, path in enumerate(encoded.paths)}
    rows = np.array([place[path.name] for path in hidden.paths])  # where they are in the index
    index = Index.build(encoded)
    threshold = calibrate_duplicates(index, encoder, strengths=MILD, seed=options.seed)
    print(threshold)
    print(f"{threshold.look_alikes} of them have look-alikes in the index, which were passed over")
    number_of = np.argsort(rows)
    found = find_duplicates(index, threshold.distance)
    groups = [number_of[group.members].tolist() for group in found.groups]
    table = {"codes, calibrated": {"limit": threshold.distance, **judge(groups, hidden)}}

    codes = index.codes(rows)
    near = near_pairs(codes, options.widest)
    sweep = np.quantile(near[2], np.linspace(0, 1, 40) ** 3)
    table["codes, best F1"] = best(near, sweep, hidden)

    images = [decode_image(path) for path in hidden.paths]
    small, turned = thumbnails(images), thumbnails([image[:, ::-1] for image in images])
    first, second, _ = near
    alike = np.concatenate(
        [
            np.maximum(
                np.einsum("ij,ij->i", small[a], small[b]),
                np.einsum("ij,ij->i", small[a], turned[b]),
            )
            for a, b in zip(
                np.array_split(first, len(first) // 100_000 + 1),
                np.array_split(second, len(first) // 100_000 + 1),
            )
        ]
    )
    checked = (
        (correlation, grouped(tuple(part[alike >= correlation] for part in near), limit, hidden))
        for correlation in (0.9, 0.93, 0.95, 0.97)
        for limit in (0.05, 0.1, 0.15, 0.2, 0.3)
        if limit <= options.widest
    )
    correlation, figures = max(checked, key=lambda row: row[1]["f1"])
    table[f"codes, then thumbnails {correlation}, best F1"] = figures

    near = near_pairs(small, THUMBNAIL_SWEEP.max(), turned)
    table["thumbnails alone, best F1"] = best(near, THUMBNAIL_SWEEP, hidden)
    near = near_pairs(phash(images), max(HASH_SWEEP.max(), *HASH_LIMITS) / 16)
    for limit in HASH_LIMITS:
        table[f"pHash, {limit} bits"] = grouped(near, limit / 16, hidden)
    table["pHash, best F1"] = best(near, HASH_SWEEP / 16, hidden)
    return {"calibration": threshold.to_json(), "methods": table}


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.near_duplicates", description=__doc__.splitlines()[0]
    )
    add = options.add_argument
    add("--run", type=Path, required=True, help="the run folder of the encoder")
    add("--root", type=Path, help="where cifar10-images lies (default: TRIPLETNET_DATA)")
    add("--pictures", type=positive, default=10_000, help="default: %(default)s")
    add("--altered", type=positive, default=1000, help="how many of them (default: %(default)s)")
    widest = "of the codes' distances (default: %(default)s)"
    add("--widest", type=parse_number, default=0.2, help=widest)
    add("--json", type=Path, metavar="FILE", help="also write every figure there")
    add_seed(options)
    return options


def main(options: argparse.Namespace) -> None:
    needs_imagehash()  # which comes last
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(options, Path(folder))
    columns = ["limit", "precision", "recall", "f1", *NAMES]
    print(f"\n{'':40}" + "".join(f"{name:>11}" for name in columns))
    for name, row in figures["methods"].items():
        print(f"{name:40}" + "".join(f"{row[column]:>11.3f}" for column in columns))
    if options.json:
        write_json(options.json, {**versions(), **figures})


if __name__ == "__main__":
    run_command(main, parser())
