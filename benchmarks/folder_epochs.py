"""Seconds of an epoch on a folder of images, at first and later, beside images in memory.

    TRIPLETNET_DATA=FOLDER python -m benchmarks.folder_epochs [--rounds 1] [--network article]

The folder is `cifar10-images` (50,000 training files), the images in memory are CIFAR-10's own
format. Each epoch runs in a process of its own, in turn: loading, then training on as many images
as there are. The first epoch decodes into an empty cache, the later ones read it. Own memory is
the most anonymous memory (RssAnon) of the process, the network's included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time

from benchmarks.command import needs_data, positive, run_child
from benchmarks.folder_memory import Peak
from tripletnet.command import CommandParser, run_command

KINDS = ("in memory", "folder, first", "folder, later")


def epoch(kind: str, network: str) -> dict[str, float]:
    """Load and train; return the seconds of both and the peak of own memory in MB."""
    from tripletnet import TrainingConfig, fit_encoder, load_cifar10
    from tripletnet.data.folder import load_folder

    with Peak() as memory:
        start = time.perf_counter()
        if kind == "in memory":
            images = load_cifar10(download=False).train
        else:
            folder = needs_data("cifar10-images/train")
            images = load_folder(folder, size=32, validation=0, test=0).splits.train
        loaded = time.perf_counter()
        config = TrainingConfig(images=len(images), network=network)
        fit_encoder(images, config, quiet=True)
        ended = time.perf_counter()
    return {"load": loaded - start, "train": ended - loaded, "memory": memory.highest}


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.folder_epochs", description=__doc__.splitlines()[0]
    )
    options.add_argument("--rounds", type=positive, default=1)
    options.add_argument("--network", default="article")
    options.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    return options


def main(options: argparse.Namespace) -> None:
    if options.kind:
        print(json.dumps(epoch(options.kind, options.network)))
        return
    needs_data("cifar10-images/train")  # before an epoch without it
    figures: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for kind in KINDS:
                command = [sys.executable, "-m", "benchmarks.folder_epochs", "--kind", kind]
                told = run_child(
                    [*command, "--network", options.network],
                    env={**os.environ, "XDG_CACHE_HOME": cache},
                )
                figures[kind].append(json.loads(told.splitlines()[-1]))
    for kind, rows in figures.items():
        load, train, memory = (
            statistics.median(row[name] for row in rows) for name in ("load", "train", "memory")
        )
        print(
            f"{kind:14} loading {load:6.1f} s, training {train:6.1f} s, epoch {load + train:6.1f} "
            f"s, own memory {memory:,.0f} MB"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    run_command(main, parser())
