"""What a matrix of codes and its labels must be, for everything that judges or searches them."""

from __future__ import annotations

import numpy as np

from tripletnet.errors import InputError

#: How many codes tell where all lie, and how many times their variance the square of their mean is
#: where they are far from the origin.
_SAMPLE, _FAR = 1_000, 100.0


def check_codes(codes: np.ndarray, name: str = "codes") -> np.ndarray:
    """Return `codes` as float32 in C order, without a copy if they are so already.

    Parameters
    ----------
    codes : array_like of numbers, shape (N, D)
        One code a row.
    name : str
        What to call them in an error.

    Raises
    ------
    InputError
        If there are none, they are not a matrix of numbers, or one of them is not finite.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.dtype.kind not in "fiu":
        raise InputError(
            f"{name}: expected numbers of shape (N, D), got {codes.dtype} of shape {codes.shape}"
        )
    if 0 in codes.shape:
        raise InputError(f"{name}: there are none (shape {codes.shape}); encode some images first")
    codes = np.ascontiguousarray(codes, dtype=np.float32)
    # one number a row, where isfinite(codes) would be an array of the codes' size
    squares = np.einsum("ij,ij->i", codes, codes)
    if not squares.max() < 1e30:  # true of NaN too
        broken = np.flatnonzero(~(squares < 1e30))
        raise InputError(
            f"{name}: {len(broken)} of {len(codes)} rows hold NaN, infinity or huge numbers, the "
            f"first is row {broken[0]}; encode these images again or leave them out"
        )
    return codes


def of_unit_length(codes: np.ndarray) -> bool:
    """Tell whether all codes, (N, D), are of unit length, to 0.001."""
    return bool(np.all(np.abs(np.einsum("ij,ij->i", codes, codes) - 1) < 2e-3))


def unit_rows(codes: np.ndarray, name: str = "codes") -> np.ndarray:
    """Return `codes`, (N, D), scaled to unit length, as a copy.

    Raises
    ------
    InputError
        If one of them is all zeros, which has no direction.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", codes, codes, dtype=np.float64))
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        raise InputError(
            f"{name}: {len(empty)} of {len(codes)} rows are all zeros, which have no direction to "
            f"take the cosine of, the first is row {empty[0]}; leave them out, or take another "
            "distance"
        )
    return codes / lengths[:, None].astype(np.float32)


def near_origin(codes: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Return matrices of codes, moved together where rounding would blur their distances.

    |a|^2 + |b|^2 - 2 a.b in float32 is off by some 1e-7 (|a|^2 + |b|^2), which is much where codes
    lie far from the origin and close to each other. Their mean is subtracted then, which changes no
    distance. It is that of a sample of `codes` alone.
    """
    sample = codes[:: -(-len(codes) // _SAMPLE)].astype(np.float64)
    mean = sample.mean(axis=0)
    spread = np.square(sample - mean).sum(axis=1).mean()
    if np.square(mean).sum() <= _FAR * spread:
        return [codes, *others]
    return [each - mean.astype(np.float32) for each in (codes, *others)]


def check_labels(labels: np.ndarray, count: int, name: str = "labels") -> np.ndarray:
    """Return `labels` as an array, one integer or string for each of `count` codes.

    Strings of bytes are taken as UTF-8.

    Raises
    ------
    InputError
        If they are neither integers nor strings, or not as many as the codes.
    """
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise InputError(
            f"{name}: expected one for each of the {count} codes, got shape {labels.shape}"
        )
    if labels.dtype.kind == "O":  # as pandas keeps strings
        values = labels.tolist()
        if all(isinstance(value, str) for value in values):
            labels = np.array(values)
    if labels.dtype.kind not in "iuUSb":
        raise InputError(f"{name}: expected integers or strings, got {labels.dtype}")
    if labels.dtype.kind == "S":
        try:
            return np.char.decode(labels, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: not UTF-8 ({error}): give strings") from None
    return labels


def check_classes(labels: np.ndarray, name: str = "labels") -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted classes in `labels` and the index into them of each label.

    Raises
    ------
    InputError
        If all labels are the same.
    """
    classes, index = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"{name}: all are {classes[0]!s}, which leaves nothing to tell apart; "
            "codes of at least two classes are needed"
        )
    return classes, index


def check_widths(codes: np.ndarray, queries: np.ndarray) -> None:
    """Raise InputError unless both matrices have codes of one width."""
    if codes.shape[1] != queries.shape[1]:
        raise InputError(
            f"queries: codes of {queries.shape[1]} numbers cannot be compared with codes of "
            f"{codes.shape[1]}; encode both with the same encoder"
        )


def check_rows(rows: np.ndarray, count: int, name: str) -> np.ndarray:
    """Return `rows` as an array of int64, indices from 0 to below `count`.

    Raises
    ------
    InputError
        If there are none or one of them is no such index.
    """
    rows = np.asarray(rows)
    if rows.ndim != 1 or not len(rows) or rows.dtype.kind not in "iu":
        raise InputError(f"{name}: expected indices, got {rows.dtype} of shape {rows.shape}")
    if rows.min() < 0 or rows.max() >= count:
        raise InputError(f"{name}: indices must be from 0 to {count - 1}")
    return rows.astype(np.int64)
