"""Any data set by what the user calls it: ``cifar10``, ``digits`` or a folder of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional, Union

from tripletnet.data.cifar10 import load_cifar10
from tripletnet.data.digits import load_digits
from tripletnet.data.folder import load_folder
from tripletnet.data.images import ImageSet, Splits
from tripletnet.data.scan import LeftOut
from tripletnet.errors import InputError
from tripletnet.files import PathLike

NAMED = ("cifar10", "digits")


def refuse_root_beside(name: str, root: Optional[PathLike]) -> None:
    """Raise InputError if `root` is given for another data set than CIFAR-10."""
    if root is not None and name != "cifar10":
        raise InputError(
            f"root tells where CIFAR-10 lies and does not go with {name}: leave it out"
        )


@dataclass(frozen=True)
class LoadedData:
    """A data set, and what a run has to remember of how it was loaded.

    Attributes
    ----------
    splits : Splits
        The images of the classes to learn.
    held_out : ImageSet, optional
        The images of the classes that were kept out.
    unseen : ImageSet, optional
        Images that a stored split does not know.
    split : dict of str to str, optional
        The part of each image by its content hash, where the folder was split.
    left_out : sequence of LeftOut
        Files that are not used, and why.
    notices : sequence of str
        What the user should know, a line each.
    recipe : dict
        How it was made, for JSON: ``kind``, and for folders ``size``, ``fit`` and what the split
        was asked to be.
    """

    splits: Splits
    held_out: Optional[ImageSet] = None
    unseen: Optional[ImageSet] = None
    split: Optional[dict[str, str]] = None
    left_out: Sequence[LeftOut] = ()
    notices: Sequence[str] = ()
    recipe: dict[str, Any] = field(default_factory=dict)


def load_data(
    name: str,
    *,
    root: Optional[PathLike] = None,
    size: int = 64,
    fit: str = "crop",
    validation: float = 0.1,
    test: float = 0.1,
    hold_out_classes: Union[int, Sequence[str], None] = None,
    seed: int = 0,
    split: Optional[Mapping[str, str]] = None,
    strict: bool = False,
    show_progress: bool = False,
    progress: Optional[Callable[[int, int], None]] = None,
) -> LoadedData:
    """Load the data set that the user calls `name`.

    Parameters
    ----------
    name : str
        ``cifar10``, ``digits`` or the path of a folder.
    root : str or Path, optional
        Where CIFAR-10 lies.
    size, fit, validation, test, hold_out_classes, seed, split, strict, progress
        For folders: see :func:`tripletnet.data.folder.load_folder`.
    show_progress : bool
        Show a bar while CIFAR-10 is downloaded.

    Raises
    ------
    InputError
        If there is no such data set, or it is damaged; if `root` is given for another one than
        CIFAR-10.
    """
    refuse_root_beside(name, root)
    if name == "cifar10":
        return LoadedData(load_cifar10(root, progress=show_progress), recipe={"kind": name})
    if name == "digits":
        return LoadedData(load_digits(), recipe={"kind": name})
    if not Path(name).is_dir():
        raise InputError(
            f"DATA '{name}' is neither a folder nor one of {', '.join(NAMED)}: give the folder "
            "that holds one folder of images a class"
        )
    data = load_folder(
        name,
        size=size,
        fit=fit,
        validation=validation,
        test=test,
        hold_out_classes=hold_out_classes,
        seed=seed,
        split=split,
        strict=strict,
        progress=progress,
    )
    return LoadedData(
        data.splits,
        data.held_out,
        data.unseen,
        data.split,
        data.left_out,
        data.notices(),
        {
            "kind": "folder",
            "size": size,
            "fit": fit,
            "validation": validation,
            "test": test,
            "hold_out_classes": hold_out_classes,
        },
    )
