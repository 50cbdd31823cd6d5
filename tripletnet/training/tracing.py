"""What a network computes its training steps with, beside what its layers say.

In bfloat16 weights, gradients and the optimiser's state stay in float32, and so do the convolution
that sees the pixels, the statistics of batch normalisation, narrow dense layers and the loss. So is
every code that is encoded later: only what computes a step is in bfloat16.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, Callable, Optional

import numpy as np

from tripletnet.backend import mx

#: Takes the place of a layer's `hybrid_forward`.
Forward = Callable[..., Any]

_BF16 = np.dtype([("bfloat16", np.uint16)])  # how MXNet tells it from uint16
_PIXELS = 3  # channels of an image
_WIDE = 1024  # inputs from which on a dense layer gains more than its casts cost


@contextlib.contextmanager
def traced_in(
    precision: str, network: mx.gluon.Block, device: Optional[mx.Context] = None
) -> Iterator[None]:
    """Let `network` compute in `precision`, "fp32" or "bf16", wherever it is traced meanwhile.

    In bf16 convolutions and ReLU turn to bfloat16, what follows them stays in it, and whatever is
    not known to be able to do so gets float32 back. On the CPU batch normalisation and the ReLU
    behind it are one operation, where oneDNN has its gradient: the same numbers, with fewer ways
    through memory.
    """
    forwards = _joined_with_relu(network, device or mx.cpu())
    if precision == "bf16":
        for block in _layers(network):
            forward = None if block in forwards else _forward_in_bf16(block)
            if forward is not None:
                forwards[block] = forward
    with contextlib.ExitStack() as changes:
        for block, forward in forwards.items():
            block.hybrid_forward = forward
            changes.callback(delattr, block, "hybrid_forward")
        yield


def _layers(block: mx.gluon.Block) -> Iterator[mx.gluon.Block]:
    """Return the blocks that compute; the activation of a convolution is a part of it."""
    if not block._children or isinstance(block, (mx.gluon.nn.Conv2D, mx.gluon.nn.Dense)):
        yield block
        return
    for child in block._children.values():
        yield from _layers(child)


def _blocks(block: mx.gluon.Block) -> Iterator[mx.gluon.Block]:
    """Return a block and all below it, as often as they come."""
    yield block
    for child in block._children.values():
        yield from _blocks(child)


def _joined_with_relu(network: mx.gluon.Block, device: mx.Context) -> dict[Any, Forward]:
    """Return how batch normalisations take up the ReLU behind them, which then does nothing."""
    nn = mx.gluon.nn
    if device.device_type != "cpu" or os.environ.get("MXNET_MKLDNN_ENABLED") == "0":
        return {}  # MXNet has no such operation there
    of_maps = (nn.Conv2D, nn.MaxPool2D, nn.AvgPool2D)
    uses = Counter(_blocks(network))
    joined: dict[Any, Forward] = {}
    for block in uses:
        if type(block) is not nn.HybridSequential:
            continue
        layers = list(block._children.values())
        for place, (before, norm, relu) in enumerate(zip(layers, layers[1:], layers[2:])):
            if not (isinstance(before, of_maps) and type(norm) is nn.BatchNorm):
                continue
            if not _maps_come_of(layers[place + 3 :]):
                continue
            if type(relu) is not nn.Activation or relu._act_type != "relu":
                continue
            if norm._kwargs["axis"] == 1 and uses[norm] == uses[relu] == 1:
                joined[norm] = _norm_and_relu(norm)
                joined[relu] = _nothing
    return joined


def _maps_come_of(layers: list[mx.gluon.Block]) -> bool:
    """Tell whether the first of `layers` is one whose gradient oneDNN's joined operation takes.

    It does not take every one of pooling over the whole map, nor of a sum with that behind it.
    """
    nn = mx.gluon.nn
    if len(layers) > 1 and isinstance(layers[0], nn.MaxPool2D):
        return not isinstance(layers[1], (nn.Flatten, nn.Dense))
    return bool(layers) and isinstance(layers[0], nn.Conv2D)


def _norm_and_relu(norm: mx.gluon.nn.BatchNorm) -> Forward:
    def forward(F: Any, x: Any, **parameters: Any) -> Any:
        names = ("gamma", "beta", "running_mean", "running_var")
        return F.contrib.BatchNormWithReLU(x, *(parameters[n] for n in names), **norm._kwargs)

    return forward


def _nothing(F: Any, x: Any) -> Any:
    return x


def _forward_in_bf16(block: mx.gluon.Block) -> Optional[Forward]:
    """Return what takes the place of a layer's `hybrid_forward`; None: it takes either type."""
    nn = mx.gluon.nn
    plain = block.hybrid_forward
    either = (nn.BatchNorm, nn.GELU, nn.Flatten, nn.AvgPool2D, nn.MaxPool2D)
    if isinstance(block, (*either, nn.GlobalAvgPool2D, nn.GlobalMaxPool2D)):
        return None
    if isinstance(block, nn.Activation) and block._act_type in ("sigmoid", "tanh"):
        return None

    def low(F: Any, *arrays: Any, **parameters: Any) -> Any:
        arrays = tuple(F.amp_cast(array, dtype=_BF16) for array in arrays)
        return plain(F, *arrays, **{k: F.amp_cast(v, dtype=_BF16) for k, v in parameters.items()})

    def low_then_high(F: Any, *arrays: Any, **parameters: Any) -> Any:
        return F.amp_cast(low(F, *arrays, **parameters), dtype="float32")

    def high(F: Any, *arrays: Any, **parameters: Any) -> Any:
        return plain(F, *(F.amp_cast(array, dtype="float32") for array in arrays), **parameters)

    if isinstance(block, nn.Activation) and block._act_type == "relu":
        return low  # the same as if the convolution behind it rounds
    if isinstance(block, nn.Conv2D):
        channels = block.weight.shape[1] * block._kwargs["num_group"]
        return low if channels > _PIXELS else high
    if isinstance(block, nn.Dense) and block.weight.shape[1] >= _WIDE:
        return low_then_high
    return high
