"""The 1,797 handwritten digits that scikit-learn carries: the data set that is always there."""

from __future__ import annotations

import numpy as np

from tripletnet.data.images import ImageSet, Splits
from tripletnet.data.opencv import cv2

CLASSES = tuple("0123456789")


def load_digits() -> Splits:
    """Load scikit-learn's handwritten digits: 1,297 images to train on and 500 to test on.

    Returns
    -------
    Splits
        `train` and `test` with pixels (N, 32, 32, 3) uint8 and the digit as the label. The split
        is stratified and always the same.

    Notes
    -----
    The 8x8 originals have the grey levels 0 to 16. They are scaled to 0 to 255, enlarged to 32x32
    with bilinear interpolation (OpenCV's bit-exact one: the same pixels on every machine), and
    repeated for red, green and blue.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository, 1998.
    """
    # imported here, because it takes a second
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    digits = datasets.load_digits()
    labels = digits.target.astype(np.int64)
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    large = np.stack([cv2.resize(g, (32, 32), interpolation=cv2.INTER_LINEAR_EXACT) for g in grey])
    pixels = np.repeat(large[..., np.newaxis], 3, axis=3)

    def part(rows: np.ndarray) -> ImageSet:
        return ImageSet("digits (scikit-learn)", pixels[rows], labels[rows], CLASSES)

    train, test = train_test_split(
        np.arange(len(labels)), test_size=500, stratify=labels, random_state=0
    )
    return Splits(part(train), part(test))
