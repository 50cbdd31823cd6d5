"""Images by their codes, in FAISS: build, add, remove, search, save."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np

from tripletnet.codes import check_codes, check_rows, of_unit_length
from tripletnet.codes.distances import Distance
from tripletnet.codes.file import EncodedImages
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.registry import DISTANCES
from tripletnet.retrieval.catalogue import Catalogue
from tripletnet.retrieval.exclusion import Exclusion
from tripletnet.retrieval.faiss_codes import FaissCodes
from tripletnet.retrieval.index_build import Progress, make_index, tune
from tripletnet.retrieval.index_plan import index_bytes, plan_index
from tripletnet.retrieval.index_store import read_index, write_index
from tripletnet.retrieval.results import SearchResults


class Index:
    """Images to search in by their codes; :meth:`build` or :meth:`load` one.

    Attributes
    ----------
    images : Catalogue
        What is known of the images; row i of it belongs to code i.
    recall : float
        Recall@10 against exact search, measured on a sample when the index was built; 1 for flat.
    threshold : float or None
        The squared distance up to which images count as the same; a search uses it where it is
        asked to.
    unit_length : bool
        Whether all codes are of unit length, as those of the networks here are: then cosine
        distances can be asked for.

    Examples
    --------
    >>> from tripletnet.codes.file import EncodedImages
    >>> codes = np.array([[0, 1], [1, 0], [0.6, 0.8]], dtype=np.float32)
    >>> index = Index.build(EncodedImages(codes, paths=["a.jpg", "b.jpg", "c.jpg"]))
    >>> print(index.search(codes[:1], k=2, exclude=[[0]])[0])
      0.4000  c.jpg
      2.0000  b.jpg
    """

    def __init__(
        self,
        faiss_index: Any,
        images: Catalogue,
        kind: str,
        recall: float,
        threshold: Optional[float] = None,
        places: Optional[np.ndarray] = None,
        unit_length: bool = False,
    ) -> None:
        self._codes = FaissCodes(faiss_index, kind, places)
        self.images = images
        self.recall = recall
        self.threshold = threshold
        self.unit_length = unit_length

    @classmethod
    def build(
        cls,
        images: EncodedImages,
        *,
        memory: Optional[int] = None,
        kind: str = "auto",
        threshold: Optional[float] = None,
        seed: int = 0,
        progress: Optional[Progress] = None,
    ) -> Index:
        """Index encoded images.

        Parameters
        ----------
        images : EncodedImages
            With paths; their codes may be memory-mapped and are then never copied as a whole.
        memory : int, optional
            Bytes for the codes in the index; by default half of what is free.
        kind : {"auto", "flat", "sq8", "hnsw", "ivfpq"}
            ``auto`` is the most exact that fits: see
            :func:`tripletnet.retrieval.index_plan.plan_index`.
        threshold : float, optional
            The squared distance up to which images count as the same.
        seed : int
            The same images and seed give the same index, but for hnsw, whose links depend on
            which thread comes first.
        progress : callable, optional
            Called as ``progress("indexing", done, total)``.

        Raises
        ------
        InputError
            If the codes or what is known of them is not as it should be, nothing fits into the
            memory, or FAISS is missing.
        """
        if threshold is not None and not (0 <= threshold < math.inf):
            raise InputError(f"threshold is {threshold}: give a squared distance, 0 or more")
        codes = check_codes(images.codes)
        catalogue = Catalogue.of(images)
        plan = plan_index(len(codes), codes.shape[1], memory, kind)
        faiss_index = make_index(plan, codes, seed, progress)
        recall = tune(faiss_index, plan.kind, codes, seed)
        unit = of_unit_length(codes)
        return cls(faiss_index, catalogue, plan.kind, recall, threshold, unit_length=unit)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"Index({len(self):,} images, {self.kind}, recall@10 {self.recall:.4f})"

    @property
    def faiss_index(self) -> Any:
        """What lies beneath, a faiss.Index, for what is not offered here."""
        return self._codes.index

    @property
    def kind(self) -> str:
        """One of flat, sq8, hnsw and ivfpq.

        See :func:`tripletnet.retrieval.index_plan.plan_index`.
        """
        return self._codes.kind

    @property
    def code_size(self) -> int:
        """How many numbers a code has."""
        return self._codes.size

    def info(self) -> dict[str, Any]:
        """Return what there is to tell, for JSON: `memory` is the bytes of the codes."""
        return {
            "kind": self.kind,
            "images": len(self),
            "classes": self.images.classes,
            "code_size": self.code_size,
            "memory": index_bytes(self.faiss_index, self.kind),
            "recall": self.recall,
            "threshold": self.threshold,
            "unit_length": self.unit_length,
            "root": self.images.root,
            "run": self.images.run,
            "fingerprint": self.images.fingerprint,
            "precision": self.images.precision,
        }

    def add(
        self, images: EncodedImages, *, replacing: Union[PathLike, Sequence[PathLike]] = ()
    ) -> None:
        """Add images behind those that are there.

        Paths under another root are taken relative to the index's. What the index has learned
        and its `recall` stay as they are: where the images change much, build it anew. FAISS may
        move flat and sq8 to a larger place, which for a moment takes their memory twice.

        Parameters
        ----------
        images : EncodedImages
            With paths.
        replacing : path or sequence of paths
            Images of the index to remove, as :meth:`remove` does.

        Raises
        ------
        InputError
            If the codes are of another encoder or width, a path is there already, or one to replace
            is not. The index is then as it was.
        """
        codes = check_codes(images.codes)
        self._check_width(codes, "codes")
        keep = self._all_but(replacing)
        joined = self.images.take(np.flatnonzero(keep)).joined(Catalogue.of(images))
        self._codes.add(codes)  # first, as the memory may not do
        if not keep.all():
            self._codes.keep(np.concatenate([keep, np.ones(len(codes), bool)]))
        self.images = joined
        self.unit_length &= of_unit_length(codes)

    def remove(self, paths: Union[PathLike, Sequence[PathLike]]) -> None:
        """Remove images; the rows behind them move up.

        hnsw keeps their codes, which no search then finds; the other kinds give their memory to
        the next images.

        Raises
        ------
        InputError
            If a path is not in the index, which is then as it was.
        """
        keep = self._all_but(paths)
        self._codes.keep(keep)
        self.images = self.images.take(np.flatnonzero(keep))

    def _all_but(self, paths: Union[PathLike, Sequence[PathLike]]) -> np.ndarray:
        """Return which rows are left without these paths, (N,) bool."""
        keep = np.ones(len(self), bool)
        keep[self.images.rows_of([paths] if isinstance(paths, (str, Path)) else paths)] = False
        return keep

    def search(
        self,
        queries: np.ndarray,
        k: int = 10,
        *,
        max_distance: Optional[float] = None,
        exclude: Optional[Sequence[Sequence[int]]] = None,
        distance: Union[str, Distance] = "squared",
    ) -> SearchResults:
        """Find the nearest images of each query.

        Parameters
        ----------
        queries : ndarray of float32, shape (Q, D)
            Codes of the index's encoder.
        k : int
            How many neighbours; there are fewer where the index holds or finds fewer.
        max_distance : float, optional
            Images that are further away are not found.
        exclude : sequence of Q sequences of int, optional
            Rows that each query must not find, as its own.
        distance : str or Distance
            What distances are given and taken in: ``squared`` (Euclidean), ``euclidean`` or, for
            codes of unit length, ``cosine``.

        Returns
        -------
        SearchResults
            Distances are those to what the index keeps of a code, which for flat is all of it.

        Raises
        ------
        InputError
            If the queries are not finite codes of the index's width, or another argument is not
            what it should be.

        Notes
        -----
        In a flat index FAISS mostly computes |q|^2 + |c|^2 - 2 q.c in float32, which is
        off by some 1e-7 |c|^2. Where the codes are too near each other for that, or `max_distance`
        too small, the squares of differences are summed instead: several times slower.
        """
        measure = self._measure(distance)
        queries = measure.prepared(check_codes(queries, "queries"), "queries")
        self._check_width(queries, "queries")
        if k < 1:
            raise InputError(f"k: {k} neighbours asked for; use 1 or more")
        if max_distance is not None and not max_distance >= 0:
            raise InputError(f"max_distance is {max_distance}: give a distance, 0 or more")
        banned = None if exclude is None else Exclusion(exclude, len(queries), len(self))
        asked = k if banned is None else k + banned.most
        radius = math.inf if max_distance is None else measure.to_squared(max_distance)
        distances, rows = self._codes.nearest(queries, min(asked, len(self)), radius)
        if banned is not None and banned.most:
            distances, rows = banned.dropped(distances, rows)
        if rows.shape[1] != k:
            distances, rows = _of_width(k, distances, np.inf), _of_width(k, rows, -1)
        if max_distance is not None:
            rows[distances > radius] = -1
        if not (banned is None and max_distance is None and self._codes.finds_all(k)):
            distances[rows < 0] = np.inf
        return SearchResults(measure.from_squared(distances), rows, self.images)

    def _measure(self, distance: Union[str, Distance]) -> Distance:
        measure = DISTANCES.choose(distance)
        if measure.by_direction and not self.unit_length:
            raise InputError(
                f"distance: an index of codes that are not of unit length has no {measure.label} "
                "distances: scale the codes to unit length before it is built"
            )
        return measure

    def within(
        self,
        max_distance: float,
        block: Optional[int] = None,
        distance: Union[str, Distance] = "squared",
        progress: Optional[Callable[[int, int], None]] = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Find the pairs of images of the index that are near each other, block by block.

        Parameters
        ----------
        max_distance : float
            How near. Rounding may leave some 1e-6 |c|^2 even to the squared distance of equal
            codes. Up to 1e-5 |c|^2, or where codes are very near each other, flat takes the
            slower and exact way, as :meth:`search` does.
        block : int, optional
            How many images to search for at once; by default so many that what is found takes
            256 MB at most.
        distance : str or Distance
            What distances are given and taken in, as for :meth:`search`.
        progress : callable, optional
            Called as ``progress(done, N)`` behind each block.

        Yields
        ------
        rows, neighbours : ndarray of int64, shape (P,)
            The two images of each pair. Every pair comes twice, once from either side (in ivfpq,
            which does not visit all, perhaps once); an image is not paired with itself.
        distances : ndarray of float32, shape (P,)
            Between what the index keeps of their codes.

        Raises
        ------
        InputError
            If the distance is negative or not a number.
        """
        if not max_distance >= 0:
            raise InputError(f"max_distance is {max_distance}: give a distance, 0 or more")
        measure = self._measure(distance)
        found = self._codes.within(measure.to_squared(max_distance), block, progress)
        return ((rows, others, measure.from_squared(squared)) for rows, others, squared in found)

    def codes(self, rows: Union[Sequence[int], np.ndarray]) -> np.ndarray:
        """Return what the index keeps of the codes of these rows, (n, D) float32.

        Raises
        ------
        InputError
            If there is no such row.
        """
        return self._codes.read(check_rows(np.asarray(rows), len(self), "rows"))

    def save(self, path: PathLike) -> None:
        """Write the index to a folder; an index that lies there stays whole until this one is.

        Raises
        ------
        InputError
            If `path` is a file.
        """
        arrays = self.images.to_arrays()
        if self._codes.places is not None:
            arrays["places"] = self._codes.places
        self._codes.forget_map()
        write_index(path, self.faiss_index, arrays, self.info())

    @classmethod
    def load(cls, path: PathLike) -> Index:
        """Read an index that :meth:`save` has written.

        Raises
        ------
        InputError
            If it is none, or a file of it is missing or damaged; the message names it.
        """
        faiss_index, arrays, about = read_index(path)
        words = {name: about[name] for name in ("root", "fingerprint", "run")}
        words["precision"] = about.get("precision")  # an index of an earlier version does not tell
        images = Catalogue.from_arrays(arrays, **words)
        places = arrays.get("places")
        if len(images) != (faiss_index.ntotal if places is None else len(places)):
            raise InputError(f"{path}: damaged, its images and codes differ: build it again")
        kind, recall, threshold = (about[name] for name in ("kind", "recall", "threshold"))
        # an index of an earlier version does not tell; what a run's encoder made is
        unit = about.get("unit_length", images.fingerprint is not None)
        return cls(faiss_index, images, kind, recall, threshold, places, unit)

    def _check_width(self, codes: np.ndarray, name: str) -> None:
        if codes.shape[1] != self.code_size:
            raise InputError(
                f"{name}: codes of {codes.shape[1]} numbers, and those of the index have "
                f"{self.code_size}: encode with the run of the index"
            )


def _of_width(width: int, found: np.ndarray, missing: float) -> np.ndarray:
    """Return the first columns of what was found, filled up with `missing`."""
    found = found[:, :width]
    return np.pad(found, ((0, 0), (0, width - found.shape[1])), constant_values=missing)
