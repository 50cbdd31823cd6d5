"""Make the encoder of a run in int8: calibrate, try, and compare its codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.int8.agreement import Agreement, agreement
from tripletnet.int8.calibration import Calibration
from tripletnet.int8.quantizing import (
    Quantised,
    last_line,
    quantised_versions,
    sums_in_32_bits,
)
from tripletnet.int8.store import Int8
from tripletnet.networks import EncoderBlock


def make_int8(network: EncoderBlock, fingerprint: str, calibration: Calibration) -> Int8:
    """Return a trained encoder in int8, or why it cannot be made.

    Of the ways to calibrate that work, one whose codes agree with those of fp32 is taken, if there
    is any, and of several the one with the higher mean cosine.

    Parameters
    ----------
    network : EncoderBlock
        The encoder, on the CPU.
    fingerprint : str
        Of `network`.
    calibration : Calibration
        Images to calibrate on, and to compare the codes on.
    """
    images = calibration.image_set()
    codes = encode(network, images)
    best: Optional[tuple[Quantised, Agreement]] = None
    narrow, refusal = not sums_in_32_bits(), ""
    versions = quantised_versions(network, calibration.pixels, narrow)
    while True:
        try:
            quantised = next(versions, None)
            if quantised is None:
                break
            quantised, tried = _run(quantised, images)
        except InputError as error:
            refusal = refusal or str(error)
        except mx.MXNetError as error:
            reason = f"MXNet cannot run this network once it is quantised ({last_line(error)})"
            refusal = refusal or reason
        else:
            measured = agreement(codes, tried, calibration.labels)
            if best is None or _rank(measured) > _rank(best[1]):
                best = quantised, measured
    if best is None:
        return Int8(fingerprint, narrow, refusal=refusal)
    return Int8(fingerprint, narrow, *best)


def _rank(measured: Agreement) -> tuple[bool, float]:
    return not measured.objection, measured.cosine


def _run(quantised: Quantised, images: ImageSet) -> tuple[Quantised, np.ndarray]:
    """Return codes, and what gave them: as it is, or without counting on one shape if it has to.

    Raises
    ------
    InputError
        If it gives other codes the second time, or of an image alone.
    mxnet.MXNetError
        If it cannot run.
    """
    try:
        return quantised, _steady_codes(quantised, images)
    except (mx.MXNetError, InputError):
        quantised = replace(quantised, static_shape=False)
        return quantised, _steady_codes(quantised, images)


def _steady_codes(quantised: Quantised, images: ImageSet) -> np.ndarray:
    block = quantised.block()
    codes = encode(block, images)
    again = encode(block, images)
    few = encode(block, images.subset(np.arange(min(3, len(images)))), batch_size=1)
    if not (np.array_equal(codes, again) and np.allclose(few, codes[: len(few)], atol=1e-4)):
        raise InputError("MXNet quantises this network, and then it gives no steady codes")
    return codes
