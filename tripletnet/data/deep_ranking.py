"""Triplets from classes by the sampling of deep ranking: every image a query."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tripletnet.errors import InputError


def deep_ranking_triplets(
    labels: np.ndarray, positives: int = 1, negatives: int = 1, seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield the triplets of each image in turn.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        The class of each image.
    positives : int
        How many different images of its class each image is paired with, or all where its class
        has fewer.
    negatives : int
        How many different images of other classes each of these pairs is completed with, or all.
    seed : int
        Same seed, same triplets; those of an image depend on the seed and its place alone.

    Yields
    ------
    ndarray of int64, shape (positives * negatives, 3)
        Positions of anchor, same and diff. Images that are alone in their class have none.

    Raises
    ------
    InputError
        If a number is below 1, there are fewer than two classes, or no class has two images.

    References
    ----------
    Wang, Song, Leung, Rosenberg, Wang, Philbin, Chen, Wu (2014), "Learning Fine-grained Image
    Similarity with Deep Ranking", CVPR. The paper draws by relevance scores; its public ports on
    labelled images draw evenly, as here.
    """
    for name, number in (("positives", positives), ("negatives", negatives)):
        if number < 1:
            raise InputError(f"{name} is {number}: give 1 or more")
    order = np.argsort(labels, kind="stable")  # the images of each class, one after the other
    _, members, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        raise InputError(
            "triplets need two classes or more, and two images in one of them: add images"
        )
    starts = np.cumsum(sizes) - sizes
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels))

    def triplets() -> Iterator[np.ndarray]:
        for image in range(len(labels)):
            random = np.random.default_rng((seed, image))
            start, size = starts[members[image]], sizes[members[image]]
            others = int(len(labels) - size)
            drawn = random.choice(size - 1, min(positives, size - 1), replace=False)
            same = start + drawn + (start + drawn >= place[image])  # past the image itself
            rows = np.empty((len(same), min(negatives, others), 3), np.int64)
            rows[..., 0] = image
            rows[..., 1] = order[same][:, None]
            for row in rows:
                diff = random.choice(others, row.shape[0], replace=False)
                row[:, 2] = order[diff + size * (diff >= start)]  # past the image's class
            yield rows.reshape(-1, 3)

    return triplets()
