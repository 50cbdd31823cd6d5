"""What was measured, in a JSON file that grows with each contest."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.files import read_json, write_json
from tripletnet.processor import processor_name
from tripletnet.runtime import threads, versions

RIVALS = (
    "torch",
    "pytorch-metric-learning",
    "faiss-cpu",
    "onnx",
    "onnxruntime",
    "openvino",
    "nncf",
)


@dataclass(frozen=True)
class Result:
    """A contest and what its turns measured. See :class:`benchmarks.contest.Contest`.

    Parameters
    ----------
    samples : mapping of str to list of float
        What each measured, round by round, in `unit`; the first is what the others are set
        against.
    sgemm : list of float, optional
        The speed of the machine's matrix product in the same rounds, in GFLOP/s.
    """

    name: str
    title: str
    unit: str
    reading: str
    samples: Mapping[str, list[float]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    gflop: Optional[float] = None
    sgemm: Optional[list[float]] = None

    @property
    def benchmark(self) -> str:
        """The benchmark that the contest belongs to."""
        return benchmark_of(self.name)

    @property
    def first(self) -> str:
        """Who the others are set against."""
        return next(iter(self.samples))

    def values(self, name: str) -> np.ndarray:
        """Return what one measured, (rounds,)."""
        return np.array(self.samples[name], dtype=float)

    def ratios(self, name: str) -> np.ndarray:
        """Return round by round how many times as fast as `name` the first one is, (rounds,).

        Where the contest reads as shares: what `name` costs as a share of the first one.
        """
        first, other = self.values(self.first), self.values(name)
        return first / other if self.reading == "rate" else other / first

    def sgemm_share(self, name: Optional[str] = None) -> Optional[np.ndarray]:
        """Return the share of the matrix product's speed that one reaches, (rounds,)."""
        if self.gflop is None or self.sgemm is None:
            return None
        return self.values(name or self.first) * self.gflop / np.array(self.sgemm, dtype=float)


def benchmark_of(contest: str) -> str:
    """Return the benchmark that a contest belongs to, by its name."""
    return contest.partition("/")[0]


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the versions."""
    return {"processor": processor_name(), "system": f"{platform.system()} {platform.machine()}"}


def all_versions() -> dict[str, Optional[str]]:
    """Return the versions of what is measured; None for what is not installed."""
    found = dict(versions())
    for package in RIVALS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def origin() -> dict[str, Any]:
    """Return what figures that are measured here and now depend on."""
    return {"machine": machine(), "versions": all_versions()}


class Store:
    """The results in a file: those that are there are not measured again.

    Parameters
    ----------
    path : Path
        A JSON file; made with the first result.
    settings : mapping
        What all results in it share: rounds, whether quick, threads.

    Raises
    ------
    InputError
        If the file holds results of other settings.

    Notes
    -----
    Benchmarks of one file may be measured on different machines, each told with its own; within a
    benchmark all are of one.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self._content: dict[str, Any] = {
            "settings": dict(settings),
            "origins": {},
            "results": {},
            "finished": [],
            "failed": {},
        }
        if path.exists():
            self._content = read_json(path)
            stored = self._content.get("settings")
            if stored != dict(settings):
                raise InputError(
                    f"{path}: its results are of {stored}, not {dict(settings)}: give the same "
                    "options or another file"
                )

    @property
    def content(self) -> Mapping[str, Any]:
        """All that is stored."""
        return self._content

    @property
    def results(self) -> list[Result]:
        """All results, in the order in which they were measured."""
        return [Result(**fields) for fields in self._content["results"].values()]

    def __contains__(self, name: str) -> bool:
        return name in self._content["results"]

    def add(self, result: Result) -> None:
        """Store one more result at once."""
        self._content["origins"].setdefault(result.benchmark, origin())
        self._content["results"][result.name] = asdict(result)
        write_json(self.path, self._content)

    def check_origin(self, contest: str) -> None:
        """Raise InputError if other contests of its benchmark were measured elsewhere."""
        benchmark = benchmark_of(contest)
        stored, here = self._content["origins"].get(benchmark), origin()
        if stored is None or stored == here:
            return
        there = {**stored["machine"], **stored["versions"]}
        ours = {**here["machine"], **here["versions"]}
        differ = [name for name in {**there, **ours} if there.get(name) != ours.get(name)]
        told = ", ".join(f"{name} {there.get(name)}, here {ours.get(name)}" for name in differ)
        raise InputError(
            f"{self.path}: a part of {benchmark} was measured elsewhere ({told}): go on there, or "
            "give another file"
        )

    def is_finished(self, benchmark: str) -> bool:
        """Return whether all of a benchmark's results are there."""
        return benchmark in self._content["finished"]

    def finish(self, benchmark: str) -> None:
        """Note that all of a benchmark's results are there."""
        self._content["failed"].pop(benchmark, None)
        self._content["finished"].append(benchmark)
        write_json(self.path, self._content)

    def fail(self, benchmark: str, reason: str) -> None:
        """Note why a benchmark could not be finished."""
        self._content["failed"][benchmark] = reason
        write_json(self.path, self._content)


def common_settings(rounds: int, quick: bool) -> dict[str, Any]:
    """Return what all results of one file share."""
    return {"rounds": rounds, "quick": quick, "threads": threads()}
