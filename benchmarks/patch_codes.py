"""Codes of real CIFAR-10 images that need no trained network: pooled responses to random patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PATCH, STRIDE, FILTERS = 6, 2, 256


def read_cifar10(root: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (N, 32, 32, 3) float32 and labels (N,) int64 of CIFAR-10's binary files."""
    records = np.concatenate(
        [np.fromfile(root / "cifar-10-batches-bin" / name, np.uint8) for name in names]
    ).reshape(-1, 3073)
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return pixels.astype(np.float32), records[:, 0].astype(np.int64)


def _patches(images: np.ndarray) -> np.ndarray:
    """Contrast-normalised patches, (n, rows, columns, PATCH * PATCH * 3) float32."""
    windows = sliding_window_view(images, (PATCH, PATCH), axis=(1, 2))[:, ::STRIDE, ::STRIDE]
    flat = np.ascontiguousarray(windows).reshape(*windows.shape[:3], -1)
    flat -= flat.mean(axis=-1, keepdims=True)
    flat /= np.sqrt((flat**2).mean(axis=-1, keepdims=True) + 10)
    return flat


class PatchEncoder:
    """Images to unit codes: whitened random patches, two-sided ReLU, quadrants, random projection.

    References
    ----------
    Coates, Ng. "The importance of encoding versus training with sparse coding and vector
    quantization." ICML 2011.
    """

    def __init__(self, images: np.ndarray, code_size: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        sample = _patches(images[random.choice(len(images), 2000, replace=False)])
        sample = sample.reshape(-1, sample.shape[-1])
        values, vectors = np.linalg.eigh(np.cov(sample, rowvar=False))
        whitening = (vectors / np.sqrt(values + 0.1)) @ vectors.T
        filters = sample[random.choice(len(sample), FILTERS, replace=False)] @ whitening
        filters /= np.linalg.norm(filters, axis=1, keepdims=True)
        self._bank = (whitening @ filters.T).astype(np.float32)
        pooled = self._pooled(images[:5000])
        self._mean, self._scale = pooled.mean(axis=0), pooled.std(axis=0) + 1e-3
        self._projection = random.standard_normal(
            (pooled.shape[1], code_size), dtype=np.float32
        ) / np.float32(np.sqrt(code_size))

    def _pooled(self, images: np.ndarray) -> np.ndarray:
        response = _patches(images) @ self._bank
        both = np.concatenate([np.maximum(response - 0.5, 0), np.maximum(-response - 0.5, 0)], -1)
        half = both.shape[1] // 2
        quadrants = [both[:, r, c].mean(axis=(1, 2))
                     for r in (slice(half), slice(half, None))
                     for c in (slice(half), slice(half, None))]
        return np.concatenate(quadrants, axis=1)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Return the codes of (N, 32, 32, 3) images, (N, code_size) float32 of unit length."""
        blocks = []
        for start in range(0, len(images), 500):
            pooled = (self._pooled(images[start : start + 500]) - self._mean) / self._scale
            codes = pooled @ self._projection
            blocks.append(codes / np.linalg.norm(codes, axis=1, keepdims=True))
        return np.concatenate(blocks)


def patch_codes(
    root: Path, code_size: int = 1024, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training codes, training labels, test codes and test labels of CIFAR-10."""
    images, labels = read_cifar10(root, [f"data_batch_{i}.bin" for i in range(1, 6)])
    encoder = PatchEncoder(images, code_size, seed)
    test_images, test_labels = read_cifar10(root, ["test_batch.bin"])
    return encoder.encode(images), labels, encoder.encode(test_images), test_labels
