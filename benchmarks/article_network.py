"""Training and encoding speed of the article's network beside PyTorch's, in turn in one run.

    pip install ".[bench]"
    python -m benchmarks.article_network [--rounds 5] [--batch 384] [--json FILE]

Training is the article's: random triplets, the hinge, SGD with momentum 0.9; encoding is a
forward pass. Both start from uint8 pixels and go over one batch again and again. Both speeds are
also set against the machine's own matrix product (sgemm), with the network's multiply-adds
counted by hand.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Callable, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.turns import alternate, spread
from tripletnet.backend import mx  # before torch: it sets the number of threads
from tripletnet.files import write_json
from tripletnet.losses import RandomTriplets
from tripletnet.networks import TripletCNN
from tripletnet.runtime import versions
from tripletnet.training.sgd import MomentumSGD

import torch  # isort: skip

LEARNING_RATE, MARGIN = 0.01, 1.0
OURS, SGEMM = "tripletnet", "sgemm"

# Multiply-adds of one image: (rows x columns) x filters x (kernel x channels) for 28, 25 and 22
# rows and columns, and the dense layer.
FIRST_LAYER = 28 * 28 * 32 * (5 * 5 * 3)
FORWARD = (
    FIRST_LAYER + 25 * 25 * 32 * (3 * 3 * 32) + 22 * 22 * 32 * (3 * 3 * 32) + (21 * 21 * 32) * 1024
)

# What is measured: how many steps a turn, and the multiply-adds of one image. Backward, the
# gradients of the inputs and of the weights cost a forward pass each; the pixels' gradient is not
# needed.
KINDS = {"train": (8, 3 * FORWARD - FIRST_LAYER), "encode": (20, FORWARD)}
WARM_UP = 2
SIZE = 4096  # rows and columns of the matrix product


class Contender(Protocol):
    """An implementation of the network: each method returns when its steps are done."""

    def train(self, steps: int) -> float:
        """Take so many steps of training; return the last loss."""

    def encode(self, steps: int) -> np.ndarray:
        """Encode the batch so many times; return its codes."""


class Ours:
    """The network of this package on MXNet, trained as `Trainer` does it."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.network = TripletCNN()
        self.network.initialize(mx.init.MSRAPrelu())
        self.network.hybridize(static_alloc=True, static_shape=True)
        self._pixels = pixels
        self._loss = RandomTriplets(MARGIN)
        self._optimizer = mx.gluon.Trainer(
            self.network.collect_params(), MomentumSGD(learning_rate=LEARNING_RATE), kvstore=None
        )

    def train(self, steps: int) -> float:
        """Take so many steps of training; return the last loss."""
        for _ in range(steps):
            x = mx.nd.array(self._pixels, dtype="uint8")
            with mx.autograd.record():
                loss = self._loss(self.network(x), None).mean()
            loss.backward()
            self._optimizer.step(1)
        mx.nd.waitall()
        return float(loss.asscalar())

    def encode(self, steps: int) -> np.ndarray:
        """Encode the batch so many times; return its codes."""
        for _ in range(steps):
            codes = self.network(mx.nd.array(self._pixels, dtype="uint8")).asnumpy()
        return codes


class TorchCNN(torch.nn.Module):
    """The same network in PyTorch, with the weights of ours."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, ours: TripletCNN) -> None:
        super().__init__()
        nn = torch.nn
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, 32, 5), nn.AvgPool2d(2, stride=1), nn.ReLU()),
            *(nn.Conv2d(32, 32, 3), nn.AvgPool2d(2, stride=1), nn.ReLU()),
            *(nn.Conv2d(32, 32, 3), nn.AvgPool2d(2, stride=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(21 * 21 * 32, 1024)),
        )
        for theirs, parameter in zip(self.parameters(), ours.layers.collect_params().values()):
            theirs.data = torch.from_numpy(parameter.data().asnumpy())
        self.register_buffer("mean", torch.from_numpy(ours.pixels.mean.data().asnumpy()))
        self.register_buffer("std", torch.from_numpy(ours.pixels.std.data().asnumpy()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the codes of uint8 images, of unit length."""
        code = self.layers((x.float() - self.mean) / self.std).float()
        return code / torch.sqrt((code * code).sum(dim=1, keepdim=True) + 1e-10)


class Torch:
    """The same network and training in PyTorch."""

    def __init__(
        self,
        ours: TripletCNN,
        pixels: np.ndarray,
        layout: torch.memory_format = torch.contiguous_format,
        bf16: bool = False,
    ) -> None:
        self._network = TorchCNN(ours).to(memory_format=layout)  # type: ignore[call-overload]
        self._pixels = torch.from_numpy(pixels).to(memory_format=layout)
        self._optimizer = torch.optim.SGD(
            self._network.parameters(), LEARNING_RATE, momentum=0.9, fused=True
        )
        self._autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16)

    def train(self, steps: int) -> float:
        """Take so many steps of training; return the last loss."""
        for _ in range(steps):
            self._optimizer.zero_grad()
            with self._autocast:
                anchor, same, diff = self._network(self._pixels).chunk(3)
                d_same = ((anchor - same) ** 2).sum(dim=1)
                d_diff = ((anchor - diff) ** 2).sum(dim=1)
                loss = torch.relu(MARGIN + d_same - d_diff).mean()
            loss.backward()
            self._optimizer.step()
        return loss.item()

    def encode(self, steps: int) -> np.ndarray:
        """Encode the batch so many times; return its codes."""
        with torch.inference_mode(), self._autocast:
            for _ in range(steps):
                codes = self._network(self._pixels).numpy()
        return codes


def check_that_all_do_the_same(contenders: Mapping[str, Contender]) -> None:
    """Raise SystemExit if, from the same weights, losses or codes differ beyond rounding."""
    steps = 3
    loss = {name: contender.train(steps) for name, contender in contenders.items()}
    codes = {name: contender.encode(1) for name, contender in contenders.items()}
    for name in contenders:
        tolerance = 0.01 if "bf16" in name else 1e-5
        off = max(abs(loss[name] - loss[OURS]), float(np.abs(codes[name] - codes[OURS]).max()))
        if not off < tolerance:
            raise SystemExit(f"after {steps} steps, {name} is {off} off: it does something else")


def speed(work: Callable[[int], object], steps: int) -> float:
    """Return how many steps a second it does, after some that do not count."""
    work(WARM_UP)
    start = time.perf_counter()
    work(steps)
    return steps / (time.perf_counter() - start)


def multiply(steps: int) -> None:
    """Multiply two square matrices of float32 so many times."""
    matrix = np.ones((SIZE, SIZE), dtype=np.float32)
    for _ in range(steps):
        matrix @ matrix


def compare(
    contenders: Mapping[str, Contender], kind: str, rounds: int, batch: int
) -> dict[str, list[float]]:
    """Measure all contenders and the matrix product in turn, print a table and return it."""
    steps, multiply_adds = KINDS[kind]

    def slot(contender: Contender) -> Callable[[], float]:
        return lambda: batch * speed(getattr(contender, kind), steps)

    slots = {name: slot(contender) for name, contender in contenders.items()}
    slots[SGEMM] = lambda: 2 * SIZE**3 / 1e9 * speed(multiply, 2)
    measured = alternate(slots, rounds)

    print(f"\n{kind:26}{'images/s':>24}{'tripletnet is times as fast':>32}")
    for name in contenders:
        ratio = measured[OURS] / measured[name]
        print(f"{name:26}{spread(measured[name]):>24}{spread(ratio, 2):>32}")
    share = measured[OURS] * 2 * multiply_adds / 1e9 / measured[SGEMM]
    print(
        f"{SGEMM:26}{spread(measured[SGEMM]):>24}  of which tripletnet reaches {spread(share, 2)}"
    )
    return {name: values.tolist() for name, values in measured.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each gets its turn")
    parser.add_argument("--batch", type=int, default=384, help="images a batch, three a triplet")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    options = parser.parse_args()
    if options.batch % 3:
        parser.error(f"--batch is {options.batch}: give a multiple of 3")

    threads = int(os.environ["OMP_NUM_THREADS"])
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    pixels = np.random.default_rng(0).integers(0, 256, (options.batch, 3, 32, 32), dtype=np.uint8)
    ours = Ours(pixels)
    contenders: dict[str, Contender] = {
        OURS: ours,
        "torch fp32": Torch(ours.network, pixels),
        "torch fp32 channels_last": Torch(ours.network, pixels, torch.channels_last),
        "torch bf16 channels_last": Torch(ours.network, pixels, torch.channels_last, bf16=True),
    }
    check_that_all_do_the_same(contenders)

    about = {"threads": threads, "batch": options.batch, "torch": torch.__version__}
    print(f"{threads} threads, batches of {options.batch}, {options.rounds} rounds")
    figures = {k: compare(contenders, k, options.rounds, options.batch) for k in KINDS}
    if options.json:
        write_json(options.json, {**versions(), **about, **figures})


if __name__ == "__main__":
    main()
