"""The pictures that an index was made of, as long as they are the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tripletnet.data.decode import ImageError, read_bytes
from tripletnet.retrieval.catalogue import Catalogue


class Originals:
    """The files of an index's pictures.

    Parameters
    ----------
    images : Catalogue
        What the index knows of its pictures.
    """

    def __init__(self, images: Catalogue) -> None:
        self.root = Path(images.root or "")
        self._digests = dict(zip(images.paths, images.digests or ()))

    def read(self, path: str) -> bytes:
        """Return the content of a file, by its path in the index.

        Raises
        ------
        ImageError
            If it cannot be read, or has changed since: then it is another picture than the code's.
        """
        data = read_bytes(self.root / path)
        if self._digests.get(path, "") not in ("", hashlib.sha256(data).hexdigest()):
            raise ImageError("has changed since it was indexed: add it again (index --add)")
        return data
