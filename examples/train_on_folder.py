"""Train on a folder of your own images with the Python API, and judge the codes.

    python examples/train_on_folder.py PHOTOS runs/photos

PHOTOS holds one folder of images a class.
"""

from __future__ import annotations

import argparse

import numpy as np

from tripletnet import SVMProbe, TrainingConfig, encode, load_data, nearest, train_run
from tripletnet import retrieval_metrics as metrics_of
from tripletnet.command import CommandParser, run_command
from tripletnet.errors import InputError


def parser() -> CommandParser:
    """Return the command line's options."""
    options = CommandParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("folder", metavar="PHOTOS", help="holds one folder of images a class")
    options.add_argument("out", metavar="RUN", help="the run folder to make")
    options.add_argument("--epochs", type=int, default=30, help="passes over the training images")
    return options


def main(args: argparse.Namespace) -> None:
    """Train an encoder into the run folder, and print how good its codes are."""
    data = load_data(args.folder, size=64)  # decoded once, split into train, validation and test
    for notice in data.notices:
        print(notice)
    train, validation, test = data.splits.train, data.splits.validation, data.splits.test

    if np.bincount(test.labels, minlength=1).max() < 2:  # a tenth of them is for the test
        raise InputError(f"{args.folder}: no class has two images to test on: add images")
    config = TrainingConfig(
        images=args.epochs * len(train), network="residual", loss="supcon", crop=0.6, colour=0.2
    )
    about = {"source": data.recipe}
    run = train_run(train, config, args.out, validation=validation, about=about, split=data.split)

    codes = encode(run.encoder, test)  # (N, 1024) float32, rows of unit length
    probe = SVMProbe().fit(encode(run.encoder, train), train.labels)
    print(f"SVM on the codes of {len(test)} test images: {probe.score(codes, test.labels):.1%}")
    print(f"Recall@1: {metrics_of(codes, test.labels, ks=(1,)).recall_at[1]:.1%}")

    queries = np.arange(min(3, len(test)))
    k = min(3, len(test) - 1)
    distances, found = nearest(codes, codes[queries], k, exclude_self=queries)
    paths = test.paths or []
    for query, row, near in zip(paths, found, distances):
        print(query, "->", ", ".join(f"{paths[i]} ({d:.2f})" for i, d in zip(row, near)))


if __name__ == "__main__":
    run_command(main, parser())
