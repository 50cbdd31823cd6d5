"""A network of ours and its twins in PyTorch, each as a function that takes one training step.

Random triplets, the hinge, SGD with momentum 0.9, as in the original article; all begin with the
same weights.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

import numpy as np

from benchmarks.encoders import not_compiled, torch_runner
from benchmarks.rivals import TORCH_WAYS, make_all, named, require
from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.losses import RandomTriplets
from tripletnet.networks import EncoderBlock
from tripletnet.training.bf16 import has_bf16_units
from tripletnet.training.sgd import MomentumSGD
from tripletnet.training.tracing import traced_in

#: Takes a batch, (N, 3, H, W) uint8, anchors first, then sames, then diffs. Queues a step or takes
#: it, and returns what gives its loss and waits for it.
Step = Callable[[np.ndarray], Callable[[], float]]

LEARNING_RATE, MARGIN = 0.01, 1.0


def of_triplets(batch: int) -> int:
    """Return how many of the images of `--batch` make whole triplets.

    Raises
    ------
    InputError
        If there is not one.
    """
    if batch < 3:
        raise InputError(f"--batch {batch}: a triplet is three images: give 3 or more")
    return batch - batch % 3


def precisions() -> tuple[str, ...]:
    """Return what this processor trains fast in."""
    return ("fp32", "bf16") if has_bf16_units() else ("fp32",)


def our_step(network: EncoderBlock, precision: str = "fp32") -> Step:
    """Return what trains by MXNet, as `tripletnet.training.Trainer` does it."""
    loss_block = RandomTriplets(MARGIN)
    for parameter in network.collect_params().values():
        parameter.lr_mult = parameter.wd_mult = 1.0  # as the twins have it
    optimizer = mx.gluon.Trainer(
        network.collect_params(), MomentumSGD(learning_rate=LEARNING_RATE), kvstore=None
    )

    def step(pixels: np.ndarray) -> Callable[[], float]:
        x = mx.nd.array(pixels, dtype="uint8")
        with mx.autograd.record():
            with traced_in(precision, network):
                codes = network(x)
            loss = loss_block(codes, None).mean()
        loss.backward()
        optimizer.step(1)

        def wait() -> float:
            mx.nd.waitall()
            return float(loss.asscalar())

        return wait

    return step


def rival_steps(
    name: str, ours: EncoderBlock, pixels: np.ndarray, kinds: tuple[str, ...] = ()
) -> tuple[dict[str, Step], dict[str, str]]:
    """Return PyTorch's ways to train the twin, and why each of the others is left out.

    With `kinds`, only those with one of these words in their names.

    Those that are compiled are compiled here, without a step being counted.
    """
    makers = {way: partial(_torch, name, ours, pixels, **how) for way, how in TORCH_WAYS.items()}
    return make_all(named(makers, kinds))


def _torch(
    name: str,
    ours: EncoderBlock,
    pixels: np.ndarray,
    layout: str = "contiguous_format",
    bf16: bool = False,
    compiled: bool = False,
) -> Step:
    (torch,) = require("torch")
    twin, run = torch_runner(name, ours, layout, compiled)
    twin.train()
    order = getattr(torch, layout)
    optimizer = torch.optim.SGD(twin.parameters(), LEARNING_RATE, momentum=0.9, fused=True)
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16)

    def loss_of(pixels: np.ndarray) -> Any:
        with autocast:
            codes = run(torch.from_numpy(pixels).to(memory_format=order))
            anchor, same, diff = codes.chunk(3)
            d_same = ((anchor - same) ** 2).sum(dim=1)
            d_diff = ((anchor - diff) ** 2).sum(dim=1)
            return torch.relu(MARGIN + d_same - d_diff).mean()

    def step(pixels: np.ndarray) -> Callable[[], float]:
        optimizer.zero_grad()
        loss = loss_of(pixels)
        loss.backward()
        optimizer.step()
        return loss.item

    if compiled:
        state = {key: value.clone() for key, value in twin.state_dict().items()}
        try:
            loss_of(pixels).backward()
        except Exception as error:  # whatever the compiler's absence makes it raise
            raise not_compiled(error) from error
        twin.load_state_dict(state)  # batch normalisation has counted
    return step


def check_same_losses(steps: dict[str, Step], pixels: np.ndarray, number: int = 3) -> float:
    """Take steps with all; return the last loss of the first, ours.

    Raises
    ------
    SystemExit
        If a loss differs from ours by more than rounding explains: a small part of what was
        learnt in these steps, and in bf16, which rounds much of it away, half.
    """
    losses = {name: [step(pixels)() for _ in range(number)] for name, step in steps.items()}
    first, *_, ours = next(iter(losses.values()))
    for name, found in losses.items():
        tolerance = (0.5 if "bf16" in name else 0.05) * abs(first - ours)
        if not abs(found[-1] - ours) < tolerance:
            raise SystemExit(f"{name}: after {number} steps its loss is {found[-1]}, ours {ours}")
    return ours
