"""Train on a folder of your own images with the Python API, and judge the codes.

    python examples/train_on_folder.py PHOTOS runs/photos

PHOTOS holds one folder of images a class.
"""

from __future__ import annotations

import sys

import numpy as np

from tripletnet import SVMProbe, TrainingConfig, encode, load_data, nearest, train_run
from tripletnet import retrieval_metrics as metrics_of


def main(folder: str, out: str, epochs: int = 30) -> None:
    """Train an encoder into the run folder `out`, and print how good its codes are."""
    data = load_data(folder, size=64)  # decoded once, split into train, validation and test
    for notice in data.notices:
        print(notice)
    train, validation, test = data.splits.train, data.splits.validation, data.splits.test

    config = TrainingConfig(
        images=epochs * len(train), network="residual", loss="supcon", crop=0.6, colour=0.2
    )
    about = {"source": data.recipe}
    run = train_run(train, config, out, validation=validation, about=about, split=data.split)

    codes = encode(run.encoder, test)  # (N, 1024) float32, rows of unit length
    probe = SVMProbe().fit(encode(run.encoder, train), train.labels)
    print(f"SVM on the codes of {len(test)} test images: {probe.score(codes, test.labels):.1%}")
    print(f"Recall@1: {metrics_of(codes, test.labels).recall_at[1]:.1%}")

    distances, found = nearest(codes, codes[:3], k=3, exclude_self=np.arange(3))
    paths = test.paths or []
    for query, row, near in zip(paths, found, distances):
        print(query, "->", ", ".join(f"{paths[i]} ({d:.2f})" for i, d in zip(row, near)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
