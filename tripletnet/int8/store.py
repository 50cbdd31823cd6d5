"""The encoder in int8 as it lies in a run folder."""

from __future__ import annotations

import errno
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
from tripletnet.run_files import INT8, INT8_PARAMETERS, PARAMETERS

FORMAT = 3


@dataclass(frozen=True)
class Int8:
    """The encoder of a run in int8, or why there is none.

    Attributes
    ----------
    fingerprint : str
        Of the encoder in fp32 that it was made of.
    narrow : bool
        Whether it was made for processors that add two products of 8 bits in 16 bits, see
        :func:`tripletnet.int8.quantizing.sums_in_32_bits`. It is right on the others, too.
    quantised : Quantised or None
        None: MXNet cannot quantise the network.
    agreement : Agreement or None
        How near its codes are to those of fp32.
    refusal : str
        Why it cannot.
    """

    fingerprint: str
    narrow: bool
    quantised: Optional[Quantised] = None
    agreement: Optional[Agreement] = None
    refusal: str = ""


def remove_int8(folder: PathLike) -> None:
    """Remove what a run folder holds of an encoder in int8, the description first."""
    for name in (INT8, INT8_PARAMETERS):
        (Path(folder) / name).unlink(missing_ok=True)


def save_int8(folder: PathLike, int8: Int8) -> None:
    """Write the encoder in int8 into a run folder.

    The description names the parameters by their SHA-256 and is written last.

    Raises
    ------
    OSError
        If it cannot be written. What was there stays if the parameters could not be.
    """
    folder = Path(folder)
    content: dict[str, Any] = {"format": FORMAT, "fingerprint": int8.fingerprint}
    content["narrow"] = int8.narrow
    if int8.quantised is None or int8.agreement is None:
        write_json(folder / INT8, {**content, "refusal": int8.refusal})
        (folder / INT8_PARAMETERS).unlink(missing_ok=True)
        return
    content["agreement"] = int8.agreement.to_json()
    content["parameters"] = _save(int8.quantised.parameters, folder / INT8_PARAMETERS)
    (folder / INT8).unlink(missing_ok=True)  # of what was written over
    content["image_size"] = int8.quantised.image_size
    content["mirror"] = int8.quantised.mirror
    content["static_shape"] = int8.quantised.static_shape
    content["graph"] = json.loads(int8.quantised.graph)
    write_json(folder / INT8, content)


def _save(parameters: dict[str, Any], path: Path) -> str:
    """Write parameters, whole or not at all; return the SHA-256 of the file."""
    with atomic_path(path) as scratch:
        try:
            mx.nd.save(str(scratch), parameters)
            data = scratch.read_bytes()
            mx.nd.load_frombuffer(data)  # saving says nothing if the last bytes have no room
        except mx.MXNetError:
            told = "it could not be written whole: is the disk full?"
            raise OSError(errno.EIO, told, str(path)) from None
    return hashlib.sha256(data).hexdigest()


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
        raise InputError(f"{path}: is of other weights than {folder / PARAMETERS}")
    if "refusal" in stored:
        return Int8(fingerprint, bool(stored.get("narrow")), refusal=str(stored["refusal"]))
    try:
        data = (folder / INT8_PARAMETERS).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / INT8_PARAMETERS}: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != stored.get("parameters"):
        raise InputError(f"{folder / INT8_PARAMETERS}: damaged")
    try:
        parameters = mx.nd.load_frombuffer(data)
        quantised = Quantised(
            json.dumps(stored["graph"]),
            parameters,
            int(stored["image_size"]),
            bool(stored["mirror"]),
            bool(stored["static_shape"]),
        )
        measured = Agreement(**stored["agreement"])
        return Int8(fingerprint, bool(stored["narrow"]), quantised, measured)
    except (KeyError, TypeError, ValueError, mx.MXNetError):
        raise InputError(f"{path}: damaged") from None
