"""The encoder of a run, ready to use: pictures in, codes out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np

from tripletnet.backend import mx
from tripletnet.codes.file import EncodedImages
from tripletnet.data.cache import cached_images
from tripletnet.data.decode import decode_image
from tripletnet.data.images import ImageSet
from tripletnet.data.pictures import list_pictures
from tripletnet.data.resize import resize_image
from tripletnet.data.scan import LeftOut
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.int8.precision import load_encoder
from tripletnet.int8.quantizing import QuantisedBlock
from tripletnet.networks import EncoderBlock
from tripletnet.processor import usable_cores
from tripletnet.retrieval.partial_codes import PartialCodes
from tripletnet.runs import read_threshold

#: Pictures that are decoded, encoded and stored together.
_BLOCK = 3072

#: MXNet traces a network when it is first called, and no two at once.
_ONE_AT_A_TIME = threading.Lock()


class Encoder:
    """The encoder of a run folder.

    Parameters
    ----------
    network : EncoderBlock
        The trained network.
    run : str or Path
        The run folder that it came from.
    fingerprint : str
        Tells its codes from those of others.
    fit : {"crop", "letterbox", "stretch"}
        How pictures are brought to the network's size.
    threshold : float, optional
        The squared distance up to which two images count as the same.
    device : mxnet.Context, optional
        Where the network runs.
    quantised : QuantisedBlock, optional
        The same in int8: encodes in place of `network`.

    Examples
    --------
    >>> encoder = Encoder.load("runs/photos")  # doctest: +SKIP
    >>> encoder.encode(["a.jpg", "b.png"]).shape  # doctest: +SKIP
    (2, 1024)
    """

    def __init__(
        self,
        network: EncoderBlock,
        run: PathLike,
        fingerprint: str,
        fit: str = "crop",
        threshold: Optional[float] = None,
        device: Optional[mx.Context] = None,
        quantised: Optional[QuantisedBlock] = None,
    ) -> None:
        self.network = network
        self.run = Path(run)
        self.fingerprint = fingerprint
        self.fit = fit
        self.threshold = threshold
        self.device = device
        self._quantised = quantised

    @classmethod
    def load(
        cls, run: PathLike, device: Optional[mx.Context] = None, *, precision: str = "fp32"
    ) -> Encoder:
        """Load the encoder of a run folder.

        Parameters
        ----------
        run : str or Path
            The run folder.
        device : mxnet.Context, optional
            Where the network runs.
        precision : {"fp32", "int8", "auto"}
            See :func:`tripletnet.int8.precision.load_encoder`.

        Raises
        ------
        InputError
            If the folder is no run folder, or damaged, or cannot encode in that precision.
        """
        loaded = load_encoder(run, precision, device)
        description = loaded.description
        return cls(
            loaded.network,
            run,
            description["fingerprint"],
            description.get("source", {}).get("fit", "crop"),
            read_threshold(run),
            device,
            loaded.encode if isinstance(loaded.encode, QuantisedBlock) else None,
        )

    def __repr__(self) -> str:
        side = self.image_size
        return (
            f"Encoder({str(self.run)!r}: {type(self.network).__name__}, images of {side} x {side}, "
            f"codes of {self.code_size} numbers, {self.precision})"
        )

    @property
    def precision(self) -> str:
        """In which numbers it computes: ``fp32`` or ``int8``."""
        return "fp32" if self._quantised is None else "int8"

    @property
    def image_size(self) -> int:
        """Height and width that pictures are brought to, in pixels."""
        return self.network.image_size

    @property
    def code_size(self) -> int:
        """How many numbers a code has."""
        return self.network.code_size

    def encode(
        self, images: Union[np.ndarray, ImageSet, PathLike, Sequence[PathLike]]
    ) -> np.ndarray:
        """Return the code of each image.

        Parameters
        ----------
        images : path, sequence of paths, ndarray or ImageSet
            Files; or an array of uint8, RGB, (N, H, W, 3) or one image (H, W, 3), of any size.

        Returns
        -------
        ndarray of float32, shape (N, D)
            Rows of unit length.

        Raises
        ------
        InputError
            If an image cannot be used; a file is named. To leave such files out, see
            :meth:`encode_files`.
        """
        if isinstance(images, (str, Path)):
            images = [images]
        if isinstance(images, ImageSet):
            return self._encode(images.take, len(images))
        size = (self.image_size, self.image_size)
        if isinstance(images, np.ndarray):
            images = images[None] if images.ndim == 3 else images
            if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
                raise InputError(
                    f"images: expected uint8 of shape (N, H, W, 3), got {images.dtype} of shape "
                    f"{images.shape}"
                )
            if len(images) and not images.size:
                raise InputError(f"images: of shape {images.shape} they have no pixels")
            prepare: Callable[[Any], np.ndarray] = partial(resize_image, size=size, fit=self.fit)
        else:
            images = _as_paths(images)
            prepare = partial(decode_image, size=size, fit=self.fit)
        some = images
        with ThreadPoolExecutor(usable_cores()) as pool:

            def take(rows: np.ndarray) -> np.ndarray:
                return np.stack(list(pool.map(prepare, [some[row] for row in rows])))

            return self._encode(take, len(images))

    def _encode(self, take: Callable[[np.ndarray], np.ndarray], count: int) -> np.ndarray:
        codes = np.empty((count, self.code_size), np.float32)
        for rows in _blocks(0, count):
            codes[rows] = self._encode_block(take(rows))
        return codes

    def _encode_block(self, pixels: np.ndarray) -> np.ndarray:
        labels = np.zeros(len(pixels), np.int64)
        network = self._quantised or self.network
        with _ONE_AT_A_TIME:
            return encode(network, ImageSet("", pixels, labels, [""]), device=self.device)

    def encode_files(
        self,
        paths: Union[PathLike, Sequence[PathLike]],
        *,
        keep: Optional[PathLike] = None,
        progress: Optional[Callable[[str, int, int], None]] = None,
        check: Optional[Callable[[int, int], object]] = None,
    ) -> tuple[EncodedImages, list[LeftOut]]:
        """Encode folders of pictures, with all that lies below them, and files.

        The decoded pictures are kept in the user's cache, like those of training.

        Parameters
        ----------
        paths : path, or sequence of paths
            What to encode.
        keep : str or Path, optional
            A folder for the codes that are made, so that the work can be taken up again after a
            stop; the codes are then memory-mapped from there. Remove it once they are stored.
        progress : callable, optional
            Called as ``progress("decoding" or "encoding", done, total)``.
        check : callable, optional
            Called as ``check(N, D)`` before the first picture is encoded; an error that it raises
            spares the work.

        Returns
        -------
        EncodedImages
            Labels are the names of the folders that the pictures are sorted into; None if they
            are in none.
        list of LeftOut
            What could not be used, and why.

        Raises
        ------
        InputError
            If a path does not exist or nothing can be used.
        """
        listing = list_pictures([paths] if isinstance(paths, (str, Path)) else paths)
        found = cached_images(
            listing.root,
            listing.files,
            listing.stamps,
            size=(self.image_size, self.image_size),
            fit=self.fit,
            keep_others=not listing.whole,
            progress=None if progress is None else partial(progress, "decoding"),
        )
        left_out = listing.left_out + [
            LeftOut(listing.files[position], reason)
            for position, reason in sorted(found.failures.items())
        ]
        usable = np.flatnonzero(found.rows >= 0)
        if not len(usable):
            raise InputError(
                f"{listing.root}: none of {len(listing.files)} pictures can be used; the first is "
                f"{left_out[-1].path}: {left_out[-1].reason}"
            )
        digests = [found.hashes[position] for position in usable]
        shape = (len(usable), self.code_size)
        if check is not None:
            check(*shape)
        made_by = [self.fingerprint]
        if self._quantised is not None:  # one fingerprint has many encoders in int8
            made_by.append(self._quantised.digest)
        with PartialCodes(keep, shape, [*made_by, *digests]) as partial_codes:
            for rows in _blocks(partial_codes.done, len(usable)):
                pixels = found.pixels[found.rows[usable[rows]]]
                partial_codes.add(self._encode_block(pixels))
                if progress is not None:
                    progress("encoding", partial_codes.done, len(usable))
        labels = [listing.labels[position] for position in usable]
        encoded = EncodedImages(
            partial_codes.codes,
            np.array(labels) if any(labels) else None,
            [listing.files[position] for position in usable],
            self.fingerprint,
            str(listing.root),
            digests,
            found.sizes[usable],
            str(self.run.resolve()),
            self.precision,
        )
        return encoded, left_out


def _as_paths(images: Any) -> list[PathLike]:
    """Return a list of paths; raise InputError for what is none."""
    paths = list(images) if isinstance(images, Iterable) else [images]
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise InputError(
                f"images: expected paths, or one array of uint8 (N, H, W, 3), got "
                f"{type(path).__name__}"
            )
    return paths


def _blocks(first: int, count: int) -> Iterator[np.ndarray]:
    for start in range(first, count, _BLOCK):
        yield np.arange(start, min(start + _BLOCK, count))
