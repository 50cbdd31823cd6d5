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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.folder_memory import Peak

KINDS = ("in memory", "folder, first", "folder, later")


def epoch(data: Path, kind: str, network: str) -> dict[str, float]:
    """Load and train; return the seconds of both and the peak of own memory in MB."""
    from tripletnet import TrainingConfig, fit_encoder, load_cifar10
    from tripletnet.data.folder import load_folder

    with Peak() as memory:
        start = time.perf_counter()
        if kind == "in memory":
            images = load_cifar10(data).train
        else:
            folder = data / "cifar10-images" / "train"
            images = load_folder(folder, size=32, validation=0, test=0).splits.train
        loaded = time.perf_counter()
        config = TrainingConfig(images=len(images), network=network)
        fit_encoder(images, config, quiet=True)
        ended = time.perf_counter()
    return {"load": loaded - start, "train": ended - loaded, "memory": memory.highest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--network", default="article")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    data = Path(os.environ["TRIPLETNET_DATA"])
    if options.kind:
        print(json.dumps(epoch(data, options.kind, options.network)))
        return
    figures: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for kind in KINDS:
                command = [sys.executable, "-m", "benchmarks.folder_epochs", "--kind", kind]
                done = subprocess.run(
                    [*command, "--network", options.network],
                    env={**os.environ, "XDG_CACHE_HOME": cache},
                    check=True,
                    capture_output=True,
                    text=True,
                )
                figures[kind].append(json.loads(done.stdout.splitlines()[-1]))
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
    main()
