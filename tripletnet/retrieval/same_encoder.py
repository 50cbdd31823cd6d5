"""Codes meet only codes of one encoder: where its run lies, and whether another run is that one."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Union

from tripletnet.codes.file import EncodedImages
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.retrieval.catalogue import Catalogue


def find_run(images: Catalogue, place: Path, given: Optional[Path], instead: str = "") -> Path:
    """Return the run folder whose encoder made the codes of the index at `place`.

    Parameters
    ----------
    images : Catalogue
        What that index knows.
    place : Path
        To name it in an error.
    given : Path or None
        The run that the user named; taken as it is.
    instead : str
        What else the user could do, for an error.

    Raises
    ------
    InputError
        If it is not known or not there, and none is given in its stead.
    """
    if given is not None:
        return given
    if images.run is None:
        raise InputError(
            f"{place}: does not know the run of its codes: name it with --run{instead}"
        )
    run = Path(images.run)
    if not run.is_dir():
        raise InputError(
            f"{place}: its run {run} is not there any more: name it with --run{instead}"
        )
    return run


def check_same_encoder(
    images: Union[Catalogue, EncodedImages], run: PathLike, fingerprint: Optional[str]
) -> None:
    """Refuse the encoder of a run unless it made these images' codes, as far as they tell.

    Raises
    ------
    InputError
        If it is another one.
    """
    theirs = images.fingerprint
    if theirs is not None and theirs != fingerprint:
        made_by = "" if images.run is None else f", run {images.run}"
        raise InputError(
            f"{run}: its encoder ({str(fingerprint)[:12]}) is not the one that made the codes "
            f"({theirs[:12]}{made_by}): give that run, or encode the pictures anew"
        )
