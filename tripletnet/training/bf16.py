"""Whether a network trains in bfloat16 here: half the bytes, and units of the processor's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from tripletnet.errors import InputError
from tripletnet.processor import CPUINFO, has_tiles, processor_has


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
