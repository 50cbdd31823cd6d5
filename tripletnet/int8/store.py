"""The encoder in int8 as it lies in a run folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.files import PathLike, atomic_path, read_json, write_json
from tripletnet.int8.agreement import Agreement
from tripletnet.int8.quantizing import Quantised
from tripletnet.runs import INT8, INT8_PARAMETERS

FORMAT = 2


@dataclass(frozen=True)
class Int8:
    """The encoder of a run in int8, or why there is none.

    Attributes
    ----------
    fingerprint : str
        Of the encoder in fp32 that it was made of.
    quantised : Quantised or None
        None: MXNet cannot quantise the network.
    agreement : Agreement or None
        How near its codes are to those of fp32.
    refusal : str
        Why it cannot.
    digest : str
        The SHA-256 of its parameters' file; empty if it is not stored.
    """

    fingerprint: str
    quantised: Optional[Quantised] = None
    agreement: Optional[Agreement] = None
    refusal: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """What tells it from others."""
        return self.digest or f"of {self.fingerprint}"


def remove_int8(folder: PathLike) -> None:
    """Remove what a run folder holds of an encoder in int8, the description first."""
    for name in (INT8, INT8_PARAMETERS):
        (Path(folder) / name).unlink(missing_ok=True)


def save_int8(folder: PathLike, int8: Int8) -> Int8:
    """Write the encoder in int8 into a run folder; return it with the digest of its file.

    The description names the parameters by their SHA-256 and is written last.
    """
    folder = Path(folder)
    remove_int8(folder)
    content: dict[str, Any] = {"format": FORMAT, "fingerprint": int8.fingerprint}
    digest = ""
    if int8.quantised is None or int8.agreement is None:
        content["refusal"] = int8.refusal
    else:
        with atomic_path(folder / INT8_PARAMETERS) as scratch:
            mx.nd.save(str(scratch), int8.quantised.parameters)
            digest = hashlib.sha256(scratch.read_bytes()).hexdigest()
        content["agreement"] = int8.agreement.to_json()
        content["parameters"] = digest
        content["mirror"] = int8.quantised.mirror
        content["static_shape"] = int8.quantised.static_shape
        content["narrow"] = int8.quantised.narrow
        content["graph"] = json.loads(int8.quantised.graph)
    write_json(folder / INT8, content)
    return Int8(int8.fingerprint, int8.quantised, int8.agreement, int8.refusal, digest)


def load_int8(folder: PathLike, fingerprint: str) -> Optional[Int8]:
    """Read the encoder in int8 of a run folder; None if it has none.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    fingerprint : str
        Of the encoder in fp32 that it has to be of.

    Raises
    ------
    InputError
        If it is damaged, of another format, or of other weights.
    """
    folder = Path(folder)
    path = folder / INT8
    if not path.exists():
        return None
    stored = read_json(path)
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise InputError(f"{path}: is none of format {FORMAT}")
    if stored.get("fingerprint") != fingerprint:
        raise InputError(f"{path}: is of other weights than {folder / 'encoder.params'}")
    if "refusal" in stored:
        return Int8(fingerprint, refusal=str(stored["refusal"]))
    try:
        data = (folder / INT8_PARAMETERS).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / INT8_PARAMETERS}: {error.strerror}") from None
    try:
        if hashlib.sha256(data).hexdigest() != stored["parameters"]:
            raise InputError(f"{folder / INT8_PARAMETERS}: damaged")
        parameters = mx.nd.load_frombuffer(data)
        choices = {name: bool(stored[name]) for name in ("mirror", "static_shape", "narrow")}
        quantised = Quantised(json.dumps(stored["graph"]), parameters, **choices)
        measured = Agreement(**stored["agreement"])
    except (KeyError, TypeError, mx.MXNetError):
        raise InputError(f"{path}: damaged") from None
    return Int8(fingerprint, quantised, measured, digest=stored["parameters"])
