"""Codes of CIFAR-10 images that need no trained network: pooled responses to patches."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Optional

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tripletnet.codes.file import EncodedImages, read_codes, write_codes
from tripletnet.data import load_cifar10
from tripletnet.errors import InputError
from tripletnet.files import PathLike, absolute, cache_folder

PATCH, STRIDE, FILTERS = 6, 2, 256
#: Whose codes they are where nothing else is said.
PATCHES = "patches of CIFAR-10's images"


class PatchEncoder:
    """Images to unit codes: whitened random patches, two-sided ReLU, quadrants, random projection.

    References
    ----------
    Coates, Ng. "The importance of encoding versus training with sparse coding and vector
    quantization." ICML 2011.
    """

    def __init__(self, images: np.ndarray, code_size: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        images = images[random.choice(len(images), 5000, replace=False)]
        sample = _patches(images[:2000])
        sample = sample.reshape(-1, sample.shape[-1])
        values, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
        whitening = (vectors / np.sqrt(values + 0.1)) @ vectors.T
        filters = sample[random.choice(len(sample), FILTERS, replace=False)] @ whitening
        filters /= np.linalg.norm(filters, axis=1, keepdims=True)
        self._bank = (whitening @ filters.T).astype(np.float32)
        pooled = self._pooled(images)
        self._mean, self._scale = pooled.mean(axis=0), pooled.std(axis=0) + 1e-3
        self._projection = random.standard_normal((pooled.shape[1], code_size), dtype=np.float32)

    def _pooled(self, images: np.ndarray) -> np.ndarray:
        """Return the mean response in each quadrant, (N, 4 * 2 * FILTERS)."""
        response = _patches(images) @ self._bank
        response = np.concatenate([response, -response], axis=-1)
        response -= 0.5
        np.maximum(response, 0, out=response)
        n, rows, columns, channels = response.shape
        quadrants = response.reshape(n, 2, rows // 2, 2, columns // 2, channels)
        return quadrants.mean(axis=(2, 4)).reshape(n, -1)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Return the codes of (N, 32, 32, 3) images, (N, code_size) float32 of unit length."""
        blocks = []
        for start in range(0, len(images), 500):
            pooled = (self._pooled(images[start : start + 500]) - self._mean) / self._scale
            codes = pooled @ self._projection
            blocks.append(codes / np.linalg.norm(codes, axis=1, keepdims=True))
        return np.concatenate(blocks)


def _patches(images: np.ndarray) -> np.ndarray:
    """Return contrast-normalised patches, (N, 14, 14, PATCH * PATCH * 3) float32."""
    windows = sliding_window_view(images, (1, PATCH, PATCH, 3))[:, ::STRIDE, ::STRIDE]
    patches = windows.reshape(*windows.shape[:3], -1).astype(np.float32)
    patches -= patches.mean(axis=-1, keepdims=True)
    patches /= np.sqrt((patches**2).mean(axis=-1, keepdims=True) + 10)
    return patches


def patch_codes(
    root: Optional[PathLike] = None, code_size: int = 1024, seed: int = 0
) -> tuple[EncodedImages, EncodedImages]:
    """Return the codes and labels of CIFAR-10's training and test images."""
    splits = load_cifar10(root)
    encoder = PatchEncoder(splits.train.pixels, code_size, seed)
    train, test = (
        EncodedImages(encoder.encode(part.take(np.arange(len(part)))), part.labels)
        for part in (splits.train, splits.test)
    )
    return train, test


def stored_patch_codes(root: Optional[PathLike] = None) -> tuple[EncodedImages, EncodedImages]:
    """Return the same, from files in the user's cache if they have been made before: 250 MB."""
    # another copy of the images has other codes
    copy = f"-{hashlib.sha256(str(absolute(root)).encode()).hexdigest()[:8]}" if root else ""
    folder = cache_folder() / "benchmarks"
    paths = [folder / f"patch-codes-{part}{copy}.npz" for part in ("train", "test")]
    if not all(path.exists() for path in paths):
        for path, codes in zip(paths, patch_codes(root)):
            write_codes(path, codes)
    train, test = (read_codes(path) for path in paths)
    return train, test


def noise_codes(count: int, code_size: int = 64, classes: int = 10) -> EncodedImages:
    """Return codes that need no data: random ones, a little nearer to those of their class."""
    random = np.random.default_rng(count)
    labels = np.arange(count) % classes
    codes = random.normal(size=(count, code_size)) + np.eye(code_size)[labels]
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return EncodedImages(codes.astype(np.float32), labels)


def add_code_options(parser: argparse.ArgumentParser) -> None:
    """Let a benchmark's user choose the codes."""
    parser.add_argument("--train", type=Path, metavar="FILE.npz", help="50,000 codes and labels")
    parser.add_argument("--test", type=Path, metavar="FILE.npz", help="10,000 codes and labels")
    parser.add_argument("--root", type=Path, help="where CIFAR-10 lies, for codes of patches")


def whose_codes(options: argparse.Namespace, both: bool = True) -> str:
    """Return whose codes the options choose, for people and for the settings of a contest.

    Raises
    ------
    InputError
        If --train is given without --test, or, where `both` are needed, the other way round.
    """
    files = [absolute(file) for file in (options.train, options.test) if file is not None]
    if len(files) == 1 and (both or options.test is None):
        lacking, given = ("--train", "--test") if options.train is None else ("--test", "--train")
        raise InputError(f"{given} {files[0]}: give {lacking} as well")
    if options.quick:
        return "noise"
    if files:
        return " and ".join(map(str, files))
    return PATCHES if options.root is None else f"{PATCHES} in {absolute(options.root)}"


def code_settings(
    options: argparse.Namespace, both: bool = True
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the settings that tell whose codes a contest has, and those of older results."""
    whose = whose_codes(options, both)
    return {"codes_of": whose}, {"codes_of": whose if options.quick else PATCHES}


def chosen_codes(
    options: argparse.Namespace,
) -> tuple[Optional[EncodedImages], EncodedImages]:
    """Return the codes of the files named, or those of patches of CIFAR-10's images.

    Those of training are None where --test alone is given.
    """
    if options.quick:
        return noise_codes(600), noise_codes(300)
    if options.test is None:
        return stored_patch_codes(options.root)
    return None if options.train is None else _labelled(options.train), _labelled(options.test)


def _labelled(path: Path) -> EncodedImages:
    codes = read_codes(path)
    if codes.labels is None:
        raise InputError(
            f"{path}: has no labels, by which codes are judged: give codes with labels"
        )
    return codes
