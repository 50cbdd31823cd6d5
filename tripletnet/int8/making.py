"""Make the encoder of a run in int8: calibrate, try, and compare its codes."""

from __future__ import annotations

from typing import Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.int8.agreement import Agreement, agreement
from tripletnet.int8.calibration import Calibration
from tripletnet.int8.quantizing import Quantised, last_line, quantised_versions
from tripletnet.int8.store import Int8
from tripletnet.networks import EncoderBlock
from tripletnet.retrieval.encode import encode


def make_int8(network: EncoderBlock, fingerprint: str, calibration: Calibration) -> Int8:
    """Return a trained encoder in int8, or why it cannot be made.

    Of the ways to calibrate, the one with the higher mean cosine to the codes of fp32 is taken.

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
    try:
        for quantised in quantised_versions(network, calibration.pixels):
            block = quantised.block()
            tried = encode(block, images)
            # a network whose results MXNet cannot hand on fails the second time, or differs
            if not np.array_equal(encode(block, images), tried, equal_nan=True):
                raise InputError("MXNet quantises this network, and then it gives no steady codes")
            measured = agreement(codes, tried, calibration.labels)
            if best is None or measured.cosine > best[1].cosine:
                best = quantised, measured
    except InputError as error:
        return Int8(fingerprint, refusal=str(error))
    except mx.MXNetError as error:
        reason = f"MXNet cannot run this network once it is quantised ({last_line(error)})"
        return Int8(fingerprint, refusal=reason)
    assert best is not None
    return Int8(fingerprint, *best)
