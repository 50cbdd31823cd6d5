"""Which encoder of a run encodes: the one in fp32, or the one in int8."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.files import PathLike, only_one
from tripletnet.int8.calibration import Calibration, load_calibration
from tripletnet.int8.making import make_int8
from tripletnet.int8.quantizing import QuantisedBlock, sums_in_32_bits
from tripletnet.int8.speeds import speeds_here
from tripletnet.int8.store import Int8, load_int8, save_int8
from tripletnet.networks import EncoderBlock
from tripletnet.registry import ENCODING_PRECISIONS
from tripletnet.run_files import CALIBRATION, INT8
from tripletnet.runs import load_run


@dataclass(frozen=True)
class RunEncoder:
    """The encoder of a run, in the precision that was asked for.

    Attributes
    ----------
    network : EncoderBlock
        The trained network in fp32.
    encode : callable
        What encodes: NDArray (n, 3, H, W) uint8 -> (n, D) float32.
    precision : {"fp32", "int8"}
        Which of them it is.
    description : dict
        What ``run.json`` tells.
    """

    network: EncoderBlock
    encode: Callable[[Any], Any]
    precision: str
    description: dict[str, Any]


def load_encoder(
    run: PathLike,
    precision: str = "fp32",
    device: Optional[mx.Context] = None,
    *,
    timer: Callable[[], float] = time.perf_counter,
) -> RunEncoder:
    """Load the encoder of a run folder in the precision that is asked for.

    The encoder in int8 is made and stored the first time that it is wanted, of the images that
    training left for it.

    Parameters
    ----------
    run : str or Path
        The run folder.
    precision : {"fp32", "int8", "auto"}
        ``auto`` takes int8 where its codes agree with those of fp32 and it is faster on this
        processor, and else warns once why it does not.
    device : mxnet.Context, optional
        Where the network runs; int8 is for the CPU.
    timer : callable
        Tells the time in seconds, for ``auto``.

    Raises
    ------
    InputError
        If the folder is no run folder, or int8 is asked for and cannot be had.
    """
    if precision not in ENCODING_PRECISIONS:
        raise InputError(
            f"precision '{precision}' is not known: use {', '.join(ENCODING_PRECISIONS)}"
        )
    network, description = load_run(run, device)
    fp32 = RunEncoder(network, network, "fp32", description)
    if precision == "fp32":
        return fp32
    try:
        if device is not None and device.device_type != "cpu":
            raise InputError(f"{run}: int8 is for the CPU: use --device cpu or --precision fp32")
        int8 = int8_of(run, network, description["fingerprint"])
        block = int8_block(run, int8)
    except InputError as error:
        if precision == "int8":
            raise
        return _stay(fp32, str(error))
    assert int8.agreement is not None
    if precision == "int8":
        if int8.agreement.objection:
            warnings.warn(f"{run}: int8: {int8.agreement.objection}", stacklevel=2)
        return RunEncoder(network, block, "int8", description)
    if int8.agreement.objection:
        return _stay(fp32, f"{run}: int8: {int8.agreement.objection}")
    networks = (network, block)
    speeds = speeds_here(block.digest, networks, network.image_size, timer=timer)
    if not speeds.ratio > 1:
        return _stay(fp32, f"{run}: int8 is {speeds.ratio:.2f} times as fast as fp32 here")
    return RunEncoder(network, block, "int8", description)


def int8_of(
    run: PathLike,
    network: EncoderBlock,
    fingerprint: str,
    calibration: Optional[Calibration] = None,
) -> Int8:
    """Return the encoder of a run in int8; make it if need be.

    Parameters
    ----------
    run : str or Path
        The run folder.
    network : EncoderBlock
        Its encoder in fp32, on the CPU.
    fingerprint : str
        Of `network`.
    calibration : Calibration, optional
        Make it anew, of these images.

    Raises
    ------
    InputError
        If there is none, or it cannot be used, and there are no images to make it of; or another
        command stores one, where `calibration` is given.
    OSError
        If it cannot be stored, where `calibration` is given.
    """
    images = calibration
    if images is None:
        stored, trouble = _stored(run, fingerprint)
        if stored is not None and not trouble:
            return stored
        try:
            images = load_calibration(run, network.image_size)
        except InputError as error:
            trouble = str(error)
        if images is None:
            if stored is not None and (stored.narrow or stored.quantised is None):
                return stored  # another might be better, but this one is right
            why = trouble or f"{run}: has no encoder in int8 and no {CALIBRATION}"
            raise InputError(f"{why}: make one: tripletnet quantize {run} IMAGES")
        if trouble:
            warnings.warn(f"{trouble}: made anew", stacklevel=3)
    int8 = make_int8(network, fingerprint, images)
    try:
        with only_one(Path(run) / INT8):
            if calibration is None:  # else somebody asked for this one
                stored, trouble = _stored(run, fingerprint)
                if stored is not None and not trouble:
                    return stored
            save_int8(run, int8)
    except (InputError, OSError) as error:
        if calibration is not None:
            raise
        if isinstance(error, OSError):  # else one is stored at this moment, taken the next time
            why = f"({error.strerror}), and is made again each time"
            warnings.warn(f"{run}: the encoder in int8 cannot be stored {why}", stacklevel=3)
    return int8


def _stored(run: PathLike, fingerprint: str) -> tuple[Optional[Int8], str]:
    """Return the encoder in int8 that a run holds, if any, and why it is to be made anew here."""
    try:
        stored = load_int8(run, fingerprint)
    except InputError as error:
        return None, str(error)
    if stored is None or stored.narrow != sums_in_32_bits():
        return stored, ""
    if stored.narrow and stored.agreement is not None and not stored.agreement.objection:
        return stored, ""  # right on every processor, and near enough to fp32
    which = "without" if stored.narrow else "with"
    return stored, f"{run}: its int8 was made for processors {which} VNNI, unlike this one"


def int8_block(run: PathLike, int8: Int8) -> QuantisedBlock:
    """Return the encoder in int8, ready to encode.

    Raises
    ------
    InputError
        If what is stored cannot be used, or MXNet cannot quantise the network.
    """
    if int8.quantised is None:
        raise InputError(f"{run}: {int8.refusal}: use --precision fp32")
    try:
        return int8.quantised.block()
    except (mx.MXNetError, KeyError, AssertionError) as error:
        raise InputError(
            f"{Path(run)}: the encoder in int8 cannot be read ({type(error).__name__}): make it "
            f"anew: tripletnet quantize {run}"
        ) from None


def _stay(fp32: RunEncoder, reason: str) -> RunEncoder:
    warnings.warn(f"{reason}; encoding in fp32", stacklevel=3)
    return fp32
