"""Training on real batches, beside the same network fed by Gluon's and by PyTorch's DataLoader.

    pip install ".[bench]"
    export TRIPLETNET_DATA=FOLDER
    python -m benchmarks.epoch [--network article] [--batch 384] [--batches 12] [--rounds 5]

CIFAR-10 from memory: random triplets are drawn, flipped and shifted, and learnt from. Ours does so
by `tripletnet.training.Trainer` in one process; the DataLoaders have a worker process for each
thread, which stay from turn to turn, and each image is altered by the same few lines of NumPy. All
get the same triplets. The first batches of a turn do not count. In fp32 and, where the processor
has units for it, in bf16. PyTorch runs its network on channels_last, compiled and not, fed by one
and the same DataLoader.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Callable

import numpy as np

from benchmarks.command import positive, run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.encoders import our_network
from benchmarks.loaders import gluon_loader, torch_loader
from benchmarks.multiply_adds import training_multiply_adds
from benchmarks.real_batches import WARM_UP, speed
from benchmarks.rivals import make_all, threads
from benchmarks.trainers import Step, of_triplets, our_step, precisions, rival_steps
from tripletnet.data.augment import Augmentation
from tripletnet.data.cifar10 import load_cifar10
from tripletnet.data.images import ImageSet
from tripletnet.losses import RandomTriplets
from tripletnet.training import TrainingConfig
from tripletnet.training.supervision import make_sampler

SHIFT = Augmentation().shift


class AlteredImages:
    """What a user of a DataLoader writes: one image at an index, flipped and shifted by chance."""

    def __init__(self, images: ImageSet) -> None:
        self.pixels = images.take(np.arange(len(images)))
        self.random = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> np.ndarray:
        image = self.pixels[index]
        if self.random.integers(2):
            image = image[:, ::-1]
        down, right = self.random.integers(0, 2 * SHIFT + 1, 2)
        height, width = image.shape[:2]
        framed = np.pad(image, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
        image = framed[down : down + height, right : right + width]
        return np.ascontiguousarray(image.transpose(2, 0, 1))


def learn(
    step: Step, batches: Iterable[Any], numpy: Callable[[Any], np.ndarray], count: int
) -> float:
    """Return the images/s of learning from `count` batches, without those before and behind them.

    Those behind are not learnt from: they are made while the last ones that count are.
    """
    moments = []
    wait: Callable[[], float] = float
    for number, batch in enumerate(batches):
        if number in (WARM_UP, WARM_UP + count):
            wait()
            moments.append(time.perf_counter())
        if number < WARM_UP + count:
            wait = step(numpy(batch))
    start, end = moments
    return count * len(batch) / (end - start)


def prepare(name: str, precision: str, batch: int, batches: int, quick: bool) -> Work:
    """Return training by each."""
    images = noise() if quick else load_cifar10(download=False).train
    network = our_network(name)
    side = network.image_size
    pixels = np.zeros((batch, 3, side, side), dtype=np.uint8)
    config = TrainingConfig(images=1, batch_size=batch)
    sampler = make_sampler(RandomTriplets(), images, config)
    made_ahead = 2 * threads()  # by either DataLoader
    order = [sampler.indices(step).tolist() for step in range(WARM_UP + batches + made_ahead)]
    # workers begin before the threads of the rivals do, which a fork does not take along
    fed = {"batch_sampler": order}
    gluons = gluon_loader(AlteredImages(images), threads(), **fed)
    made, missing = make_all(
        {"PyTorch": partial(torch_loader, AlteredImages(images), threads(), **fed)}
    )
    for loader in made.values():
        iter(loader)
    rivals, left_out = rival_steps(
        name, network, pixels, (f"{precision}, channels_last", f"{precision}, compiled")
    )
    slots: dict[str, Callable[[], float]] = {
        f"tripletnet {precision}": partial(
            speed,
            RandomTriplets(),
            images,
            batch,
            network=name,
            steps=batches,
            precision=precision,
        ),
        f"MXNet {precision}, Gluon's DataLoader": partial(
            learn, our_step(network, precision), gluons, lambda batch: batch.asnumpy(), batches
        ),
    }
    for rival, step in rivals.items():
        if made:
            slots[f"{rival}, its DataLoader"] = partial(
                learn, step, made["PyTorch"], lambda batch: batch.numpy(), batches
            )
    return Work(slots, {**missing, **left_out}, 2 * training_multiply_adds(network) / 1e9)


def noise() -> ImageSet:
    """Return a few images of nothing."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    return ImageSet("noise", pixels, np.arange(200) % 10, [str(c) for c in range(10)])


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest a precision."""
    batch, batches = (24, 2) if options.quick else (of_triplets(options.batch), options.batches)
    return [
        Contest(
            name=f"epoch/{options.network}-{precision}",
            title=f"Real batches of {batch} for the network `{options.network}` in {precision}",
            unit="images/s",
            prepare=partial(prepare, options.network, precision, batch, batches, options.quick),
            note=f"A turn is {batches} batches, {batches * batch:,} images, of an epoch's 50,000.",
            settings={
                "network": options.network,
                "precision": precision,
                "batch": batch,
                "batches": batches,
            },
        )
        for precision in precisions()
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this benchmark."""
    parser.add_argument("--network", default="article", metavar="NAME")
    parser.add_argument("--batch", type=positive, default=384, help="images a batch (default: 384)")
    parser.add_argument("--batches", type=positive, default=12, help="of a turn (default: 12)")


if __name__ == "__main__":
    run_benchmark("benchmarks.epoch", __doc__, contests, add_options)
