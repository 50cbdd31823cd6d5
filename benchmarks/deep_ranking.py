"""What deep ranking's network learns, and what it costs.

    python -m benchmarks.deep_ranking learn FOLDER [--images 24000]
    python -m benchmarks.deep_ranking overfit FOLDER [--steps 16]
    python -m benchmarks.deep_ranking speed [--sizes 64,224]

`learn` draws triplets of the folder's training part, trains at 64 pixels and tells the share of the
test part's triplets that are ordered right, before and after. `overfit` trains on eight triplets
at 224 pixels until they are learnt by heart. `speed` measures images/s and the peak of the memory,
each in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.command import positive, run_child
from benchmarks.turns import spread
from tripletnet.backend import mx
from tripletnet.command import CommandParser, parse_number, run_command
from tripletnet.data.judged_file import read_judged
from tripletnet.data.triplet_set import TripletSet
from tripletnet.encoding import encode
from tripletnet.evaluation.orderings import ordered_right, triplet_distances
from tripletnet.networks import get_network
from tripletnet.training import Callback, StepResult, Trainer, TrainingConfig
from tripletnet.training.fit import make_encoder, make_loss, settled

NATURAL = {"network": "deep-ranking", "distance": "euclidean", "margin": 1.0, "mining": "random"}
BATCH = 24


def read_triplets(folder: Path, work: Path, part: str, size: int) -> TripletSet:
    """Draw triplets of a part of `folder` as the command does, and read them."""
    file = work / f"{part}.csv"
    command = [sys.executable, "-m", "tripletnet", "triplets", str(folder), "--part", part]
    run_child([*command, "--out", str(file), "--negatives", "2", "--quiet"])
    triplets = read_judged("triplets", file, size=size).train
    assert isinstance(triplets, TripletSet)
    return triplets


def share_right(trainer: Trainer, triplets: TripletSet) -> float:
    """Return the share of triplets that the network orders right."""
    codes = encode(trainer.network, triplets.images, BATCH)
    return ordered_right(*triplet_distances(codes, triplets.rows))


class Told(Callback):
    """Print the mean loss of every so many steps."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._losses: list[float] = []
        self._start = time.perf_counter()

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        self._losses.append(result.loss)
        if result.step % self._every == 0:
            recent = np.mean(self._losses[-self._every :])
            minutes = (time.perf_counter() - self._start) / 60
            print(f"{result.images:7,} images {minutes:6.1f} min  loss {recent:.4f}", flush=True)


def train(triplets: TripletSet, held_out: TripletSet, config: TrainingConfig, every: int) -> None:
    """Train on triplets and tell the share that is ordered right, before and after."""
    loss = make_loss(config, triplets.supervision)
    config = settled(config, loss)
    network = make_encoder(config, triplets)
    trainer = Trainer(network, loss, triplets, config, callbacks=[Told(every)])
    trainer.initialize()
    print(f"ordered right before: {share_right(trainer, held_out):.4f} of {len(held_out):,}")
    trainer.run()
    print(f"ordered right after:  {share_right(trainer, held_out):.4f} of {len(held_out):,}")


def learn(options: argparse.Namespace, work: Path) -> None:
    """Train at 64 pixels on the training part's triplets; judge on the test part's."""
    triplets = read_triplets(options.folder, work, "train", 64)
    held_out = read_triplets(options.folder, work, "test", 64)
    config = TrainingConfig(
        images=options.images,
        batch_size=48,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        flip=False,
        shift=2,
        **NATURAL,
    )
    train(triplets, held_out, config, every=20)


def overfit(options: argparse.Namespace, work: Path) -> None:
    """Train at 224 pixels on eight triplets, all of them in every step, until they are learnt."""
    drawn = read_triplets(options.folder, work, "train", 224)
    chosen = np.zeros(len(drawn), bool)
    chosen[np.linspace(0, len(drawn) - 1, 8).astype(int)] = True
    triplets = drawn.subset(chosen)
    config = TrainingConfig(
        images=options.steps * BATCH,
        batch_size=BATCH,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        weight_decay=0.0,
        flip=False,
        shift=0,
        **NATURAL,
    )
    train(triplets, triplets, config, every=1)


def measure(task: tuple[str, int]) -> tuple[list[float], float]:
    """Return images/s of five turns after a first one, and the peak of the memory in GB."""
    kind, size = task
    network = get_network("deep-ranking", image_size=size)
    network.initialize(mx.init.MSRAPrelu())
    network.hybridize(static_alloc=True, static_shape=True)
    loss = make_loss(TrainingConfig(images=1, **NATURAL), "triplets")
    optimizer = mx.gluon.Trainer(network.collect_params(), "sgd", {"momentum": 0.9}, kvstore=None)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 3, size, size), dtype=np.uint8)
    labels = np.zeros(BATCH, np.int64)  # triplets of a file have none
    steps = max(1, (224 // size) ** 2)
    speeds = []
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(steps):
            x = mx.nd.array(pixels, dtype="uint8")
            if kind == "encoding":
                network(x).wait_to_read()
                continue
            with mx.autograd.record():
                value = loss(network(x), labels).mean()
            value.backward()
            optimizer.step(1)
            mx.nd.waitall()
        speeds.append(BATCH * steps / (time.perf_counter() - start))
    return speeds[1:], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def speed(options: argparse.Namespace) -> None:
    """Print images/s and memory of training and encoding at each size."""
    print(f"batches of {BATCH}{'images/s':>29}{'peak GB':>12}")
    for size in options.sizes:
        for kind in ("training", "encoding"):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                speeds, memory = pool.map(measure, [(kind, size)])[0]
            print(f"{size:4} pixels {kind:12}{spread(np.array(speeds), 1):>24}{memory:9.1f}")


def _sizes(text: str) -> list[int]:
    return [positive(size) for size in text.split(",")]


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.deep_ranking", description=__doc__.splitlines()[0]
    )
    commands = options.add_subparsers(dest="command", required=True)
    for name, length in (("learn", "--images"), ("overfit", "--steps")):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path, help="a folder with one folder of images a class")
        command.add_argument(length, type=positive, default={"learn": 24_000, "overfit": 16}[name])
        command.add_argument("--optimizer", default="adam")
        command.add_argument("--learning-rate", type=parse_number, default=0.0001)
    commands.add_parser("speed").add_argument("--sizes", type=_sizes, default="64,224")
    return options


def main(options: argparse.Namespace) -> None:
    if options.command == "speed":
        speed(options)
        return
    with tempfile.TemporaryDirectory() as work:
        {"learn": learn, "overfit": overfit}[options.command](options, Path(work))


if __name__ == "__main__":
    run_command(main, parser())
