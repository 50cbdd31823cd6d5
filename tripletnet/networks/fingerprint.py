"""What tells one encoder's codes from another's."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from tripletnet.networks.base import EncoderBlock


def fingerprint(network: EncoderBlock) -> str:
    """Return the SHA-256 of an encoder's float32 parameters and its preprocessing, in hex.

    The pixels' mean and standard deviation are parameters, so they count; so do the kind of
    network and its arguments.
    """
    digest = hashlib.sha256()
    about = {"kind": type(network).__name__, "arguments": network.arguments}
    digest.update(json.dumps(about, sort_keys=True).encode())
    for name, parameter in sorted(network._collect_params_with_prefix().items()):
        values = parameter.data().asnumpy().astype("<f4", copy=False)
        digest.update(f"{name}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
