"""Networks in bfloat16 while they learn: half the bytes, and units of the processor's own for them.

Weights, gradients and the optimiser's state stay in float32, and so do the convolution that sees
the pixels, the statistics of batch normalisation, narrow dense layers and the loss. So is every
code that is encoded later: only what computes a step is in bfloat16.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.processor import CPUINFO, has_tiles, processor_has

_BF16 = np.dtype([("bfloat16", np.uint16)])  # how MXNet tells it from uint16
_PIXELS = 3  # channels of an image
_WIDE = 1024  # inputs from which on a dense layer gains more than its casts cost


def has_bf16_units(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether the processor multiplies bfloat16 faster than float32, by `cpuinfo`."""
    if processor_has("amx_bf16", cpuinfo=cpuinfo):  # without them these are slower than in fp32
        return has_tiles(cpuinfo)
    return processor_has("avx512_bf16", cpuinfo=cpuinfo)


def training_precision(asked: str, network: Any, name: str, device: Optional[Any] = None) -> str:
    """Return what a network is to be trained in here, "fp32" or "bf16".

    Parameters
    ----------
    asked : {"fp32", "bf16", "auto"}
        ``auto`` takes bf16 where the network, the device and the processor are made for it.
    network : HybridBlock or its class
        Says whether it `trains_in_bf16`, as an EncoderBlock does.
    name : str
        The network's name, for the error.
    device : mxnet.Context, optional
        Where it runs; default: the CPU.

    Raises
    ------
    InputError
        If bf16 is asked for and cannot be had.
    """
    if asked == "fp32":
        return asked
    obstacle = None
    if device is not None and device.device_type != "cpu":
        obstacle = "training in bf16 is for the CPU"
    elif not getattr(network, "trains_in_bf16", False):
        obstacle = f"network '{name}' does not train in bf16"
    elif not has_bf16_units():
        obstacle = "this processor has no units for bf16 (avx512_bf16 or amx_bf16)"
    if obstacle is None:
        return "bf16"
    if asked == "bf16":
        raise InputError(f"precision bf16: {obstacle}: take fp32 or auto, in a new run")
    return "fp32"


@contextlib.contextmanager
def traced_in(precision: str, network: mx.gluon.Block) -> Iterator[None]:
    """Let `network` compute in `precision`, "fp32" or "bf16", wherever it is traced meanwhile.

    In bf16 convolutions and ReLU turn to bfloat16, what follows them stays in it, and whatever is
    not known to be able to do so gets float32 back.
    """
    if precision == "fp32":
        yield
        return
    with contextlib.ExitStack() as changes:
        for block in dict.fromkeys(_layers(network)):  # a layer may be used twice
            forward = _forward_in_bf16(block)
            if forward is not None:
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


def _forward_in_bf16(block: mx.gluon.Block) -> Optional[Callable[..., Any]]:
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
