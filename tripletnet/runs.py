"""The run folder: what training leaves behind and every later command takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.files import (
    PathLike,
    atomic_path,
    check_unicode,
    only_one,
    read_json,
    write_json,
)
from tripletnet.networks import EncoderBlock, get_network
from tripletnet.networks.fingerprint import fingerprint
from tripletnet.run_files import DESCRIPTION, PARAMETERS, THRESHOLD, WRITTEN
from tripletnet.runtime import versions

FORMAT = 1


def check_name(folder: PathLike) -> None:
    """Raise InputError if the name of a run folder is not valid UTF-8."""
    check_unicode(folder)  # MXNet takes no other
    check_unicode(Path(folder).resolve())  # codes tell where their run lies


def going_on(folder: PathLike, resume: bool) -> bool:
    """Return whether training in a folder goes on with the run there; else it is to start one.

    Raises
    ------
    InputError
        If a new run would replace a run, or what somebody else keeps there.
    """
    folder = Path(folder)
    check_name(folder)
    if not (folder / DESCRIPTION).exists():
        found = next((path for pattern in WRITTEN for path in folder.glob(pattern)), None)
        if found is not None:
            raise InputError(
                f"{found}: a run in {folder} would write over it: take another --out, or move it"
            )
        return False
    if resume:
        return True
    if not read_description(folder).get("finished"):
        raise InputError(
            f"{folder}: holds an unfinished run: add --resume to go on with it, or take another "
            "--out"
        )
    raise InputError(
        f"{folder}: holds a finished run: take another --out, or remove it; --resume with more "
        "images lengthens it"
    )


@contextlib.contextmanager
def only_trainer(folder: PathLike) -> Iterator[None]:
    """Keep other trainings out of a run folder while the block runs.

    Raises
    ------
    InputError
        If there is one already.
    """
    try:
        with only_one(Path(folder) / DESCRIPTION):
            yield
    finally:
        with contextlib.suppress(OSError):  # but where nothing came to be
            Path(folder).rmdir()


def save_run(folder: PathLike, encoder: EncoderBlock, network: str, **description: Any) -> None:
    """Write an encoder and all that is needed to use it into a run folder.

    Parameters
    ----------
    folder : str or Path
        The run folder; made if missing.
    encoder : EncoderBlock
        The trained network.
    network : str
        The name that the network goes by in the registry.
    **description
        What else ``run.json`` is to tell: the data set, its classes, the configuration.
    """
    folder = Path(folder)
    save_parameters(encoder, folder / PARAMETERS)
    network_of = {"name": network, "arguments": encoder.arguments}
    write_description(
        folder, {"network": network_of, "fingerprint": fingerprint(encoder), **description}
    )


def save_parameters(network: mx.gluon.Block, path: PathLike) -> None:
    """Write the parameters of a network, whole or not at all.

    Raises
    ------
    RuntimeError
        If they cannot be written.
    """
    with atomic_path(path) as scratch:
        try:
            network.save_parameters(str(scratch))
        except mx.MXNetError:
            raise RuntimeError(f"{path}: cannot be written: is the disk full?") from None


def write_description(folder: PathLike, description: dict[str, Any]) -> None:
    """Write ``run.json``, with the format's number and the versions of the libraries."""
    write_json(
        Path(folder) / DESCRIPTION, {"format": FORMAT, **description, "versions": versions()}
    )


def read_description(folder: PathLike) -> dict[str, Any]:
    """Return what the ``run.json`` of a run folder tells.

    Raises
    ------
    InputError
        If the folder is no run folder, its ``run.json`` is damaged or of another format, or its
        name is not valid UTF-8.
    """
    check_name(folder)
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise InputError(
            f"{folder}: not a run folder, it has no {DESCRIPTION}: give the --out of a training run"
        )
    description = read_json(path)
    known = description.get("format") if isinstance(description, dict) else None
    if known != FORMAT:
        raise InputError(
            f"{path}: its format is {known}, and this version reads {FORMAT}: take the version "
            "that wrote it"
        )
    return description


def load_run(
    folder: PathLike, device: Optional[mx.Context] = None
) -> tuple[EncoderBlock, dict[str, Any]]:
    """Return the encoder of a run folder and what its ``run.json`` tells.

    Raises
    ------
    InputError
        If the folder is no run folder, its files are damaged, or the parameters are not those that
        the description was written for.
    """
    folder = Path(folder)
    description = read_description(folder)
    if description.get("fingerprint") is None:
        raise InputError(
            f"{folder}: this run was stopped before it had an encoder: go on with it by --resume"
        )
    named = description["network"]
    encoder = get_network(named["name"], **named["arguments"])
    path = folder / PARAMETERS
    try:
        encoder.load_parameters(str(path), ctx=device or mx.cpu())
    except (mx.MXNetError, AssertionError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else "unreadable"
        raise InputError(f"{path}: the encoder cannot be read ({reason}): train again") from None
    if fingerprint(encoder) != description["fingerprint"]:
        raise InputError(
            f"{path}: the parameters are not those that {DESCRIPTION} was written for: "
            "take both files from one run"
        )
    encoder.hybridize(static_alloc=True, static_shape=True)
    return encoder, description


def read_threshold(folder: PathLike) -> Optional[float]:
    """Return the squared distance up to which two images count as the same.

    None if it was not chosen for the weights that the run has.

    Raises
    ------
    InputError
        If the file that tells it is damaged.
    """
    stored = _stored_threshold(folder)
    return None if stored is None else float(stored["distance"])


def read_threshold_target(folder: PathLike) -> Optional[tuple[str, float]]:
    """Return what the run's threshold was chosen for and its value; None if that is not told.

    Raises
    ------
    InputError
        If the file that tells it is damaged.
    """
    stored = _stored_threshold(folder) or {}
    target, value = stored.get("target"), stored.get("value")
    if not isinstance(target, str) or not isinstance(value, (int, float)):
        return None
    return target, float(value)


def write_threshold(folder: PathLike, threshold: Mapping[str, Any], weights: str) -> None:
    """Make a threshold a run's own, with the fingerprint of the weights that it was chosen for.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    write_json(Path(folder) / THRESHOLD, {**threshold, "fingerprint": weights})


def _stored_threshold(folder: PathLike) -> Optional[dict[str, Any]]:
    path = Path(folder) / THRESHOLD
    if not path.exists():
        return None
    stored = read_json(path)
    if not isinstance(stored, dict) or not isinstance(stored.get("distance"), (int, float)):
        raise InputError(f"{path}: tells no distance: remove it, and evaluate the run again")
    if "fingerprint" in stored and stored["fingerprint"] != read_description(folder).get(
        "fingerprint"
    ):
        return None  # training has written other weights since
    return stored
