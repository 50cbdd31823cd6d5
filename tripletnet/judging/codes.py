"""Judge codes from anywhere, of a file with their classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import numpy as np

from tripletnet.codes.file import read_codes
from tripletnet.data.decode import ImageError, decode_image
from tripletnet.errors import InputError
from tripletnet.evaluation.judgement import Judgement, judge
from tripletnet.evaluation.parts import Codes
from tripletnet.files import PathLike

_SIDE = 96  # of the pictures that a report shows, in pixels


def judge_codes(
    file: PathLike,
    pictures: Optional[PathLike] = None,
    *,
    missing: Optional[set[Path]] = None,
    **options: Any,
) -> Judgement:
    """Judge the codes of a file: by an SVM, by what is nearest to each, and by pairs.

    Parameters
    ----------
    file : str or Path
        CODES.npz, with the field `labels`. Codes of the label "" are left out, and counted.
    pictures : str or Path, optional
        Where the pictures' paths start; default: where the file says.
    missing : set of Path, optional
        Takes the pictures that are to be shown and cannot be read.
    **options
        As for :func:`tripletnet.evaluation.judgement.judge`.

    Raises
    ------
    InputError
        If the file is none or has no classes, or there are no pictures where they are to be.
    """
    file = Path(file)
    stored = read_codes(file)
    if stored.labels is None:
        raise InputError(f"{file}: has no field labels: add the class of each code")
    notes = ["Whether the encoder that made these codes has learnt from them is not known."]
    of_a_class = stored.labels != "" if stored.labels.dtype.kind == "U" else slice(None)
    codes, labels = stored.codes[of_a_class], stored.labels[of_a_class]
    if not len(codes):
        raise InputError(f"{file}: no code has a class: add some in the field labels")
    if len(codes) < len(stored):
        left_out = len(stored) - len(codes)
        notes.append(f"{left_out:,} codes are of no known class and were left out.")
    paths = None
    if stored.paths is not None:
        paths = np.array(stored.paths, object)[of_a_class].tolist()
    classes, members = np.unique(labels, return_inverse=True)
    if pictures is not None and (paths is None or not Path(pictures).is_dir()):
        why = "no such folder" if paths else f"{file} has no field paths to look up there"
        raise InputError(f"{pictures}: {why}: leave it out, or give the pictures' folder")

    def shown(indices: np.ndarray) -> list[Optional[np.ndarray]]:
        places = [Path(pictures or stored.root or ".") / (paths or [])[index] for index in indices]
        found = [_picture(place) for place in places]
        if missing is not None:
            missing.update(at for at, picture in zip(places, found) if picture is None)
        return found

    return judge(
        Codes(codes, members, paths, None if paths is None else shown),
        [str(name) for name in classes],
        dataset=file.stem,
        notes=notes,
        **options,
    )


def _picture(path: Path) -> Optional[np.ndarray]:
    """Return the picture at `path`, small; None if there is none."""
    try:
        return decode_image(path, size=(_SIDE, _SIDE), fit="letterbox")
    except ImageError:
        return None
