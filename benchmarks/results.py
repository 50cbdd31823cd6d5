"""What was measured, in a JSON file that grows with each contest."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.files import read_json, write_json
from tripletnet.processor import processor_name, threads
from tripletnet.runtime import versions

#: What rivals are installed as.
PACKAGES = (
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
    revision : str, optional
        The commit that was measured, see :func:`revision`.
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
    revision: Optional[str] = None

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
    return {
        "processor": processor_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads(),
    }


def revision() -> Optional[str]:
    """Return the commit that is measured, with "-dirty" if its code was changed; None without git.

    What was measured is stored in the repository as well, and does not count.
    """
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "benchmarks", "tripletnet")
        return git("rev-parse", "--short=7", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def all_versions() -> dict[str, Optional[str]]:
    """Return the versions of what is measured; None for what is not installed."""
    found = dict(versions())
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def origin() -> dict[str, Any]:
    """Return what figures that are measured here and now depend on."""
    return {"machine": machine(), "versions": all_versions(), "revision": revision()}


def check_same_origin(stored: Mapping[str, Any], here: Mapping[str, Any], what: str) -> None:
    """Raise InputError if `what` is stored was measured on another machine or other versions.

    What is not stored of the origin, as older stores lack it, is not compared.
    """
    there = {**stored.get("machine", {}), **stored["versions"]}
    ours = {**here["machine"], **here["versions"]}
    differ = [name for name in there if there[name] != ours.get(name)]
    if differ:
        told = ", ".join(f"{name} {there[name]}, here {ours.get(name)}" for name in differ)
        raise InputError(
            f"{what} was measured elsewhere ({told}): go on there, or give another file"
        )


class Store:
    """The results in a file: those that are there are not measured again.

    Parameters
    ----------
    path : Path
        A JSON file; made with the first result.
    settings : mapping
        What all results in it share: rounds, whether quick.

    Raises
    ------
    InputError
        If the file holds results of other settings.

    Notes
    -----
    Benchmarks of one file may be measured on different machines, each told with its own; within a
    benchmark all are of one. The file is read before it is written, as several commands may add.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self._content: dict[str, Any] = {
            "settings": dict(settings),
            "origins": {},
            "results": {},
            "finished": {},
            "failed": {},
        }
        self._read()
        stored = self._content["settings"]
        if stored != dict(settings):
            raise InputError(
                f"{path}: its results are of {stored}, not {dict(settings)}: give the same options "
                "or another file"
            )

    def _read(self) -> None:
        """Take in what the file holds now; others may have added to it."""
        if not self.path.exists():
            return
        content = read_json(self.path)
        if not isinstance(content, dict) or not content.keys() >= self._content.keys():
            raise InputError(f"{self.path}: is no file of this version's results: give another")
        self._content = content

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
        self._read()
        self._content["origins"].setdefault(result.benchmark, origin())
        self._content["results"][result.name] = asdict(result)
        write_json(self.path, self._content)

    def check_settings(
        self, contest: str, settings: Mapping[str, Any], formerly: Mapping[str, Any]
    ) -> None:
        """Raise InputError if the stored result of a contest is of other settings.

        Those of `formerly` are what a stored result is of that does not tell them.
        """
        stored = {**formerly, **self._content["results"][contest]["settings"]}
        asked = json.loads(json.dumps(dict(settings)))
        if stored != asked:
            raise InputError(
                f"{self.path}: {contest} is there of {stored}, not {asked}: give another file"
            )

    def check_origin(self, contest: str) -> None:
        """Raise InputError if other contests of its benchmark were measured elsewhere."""
        benchmark = benchmark_of(contest)
        stored = self._content["origins"].get(benchmark)
        if stored is not None:
            check_same_origin(stored, origin(), f"{self.path}: a part of {benchmark}")

    def arguments_of(self, benchmark: str) -> Optional[list[str]]:
        """Return the arguments of which all of a benchmark's results are there; None: not all."""
        arguments: Optional[list[str]] = self._content["finished"].get(benchmark)
        return arguments

    def finish(self, benchmark: str, arguments: Sequence[str] = ()) -> None:
        """Note that all of a benchmark's results are there, and drop what was set aside of it."""
        self._read()
        self._content["failed"].pop(benchmark, None)
        self._content["finished"][benchmark] = list(arguments)
        self._take_set_aside(benchmark)
        write_json(self.path, self._content)

    def set_aside(self, benchmark: str) -> None:
        """Set aside all that is stored of a benchmark, so that it is measured again.

        It is kept in the file until the new results are finished. Of a benchmark that is set aside
        already what was measured since is dropped.
        """
        self._read()
        taken = self._take(benchmark)
        if taken["results"]:
            self._content.setdefault("set_aside", {}).setdefault(benchmark, taken)
        write_json(self.path, self._content)

    def put_back(self, benchmark: str) -> bool:
        """Put what was set aside of a benchmark in the place of what is there; was there any?"""
        self._read()
        kept = self._take_set_aside(benchmark)
        if kept is None:
            return False
        self._take(benchmark)
        self._content["results"].update(kept.pop("results"))
        for part, value in kept.items():
            self._content[part][benchmark] = value
        write_json(self.path, self._content)
        return True

    def _take(self, benchmark: str) -> dict[str, Any]:
        """Take out all that is stored of a benchmark."""
        results = self._content["results"]
        names = [name for name in results if benchmark_of(name) == benchmark]
        taken: dict[str, Any] = {"results": {name: results.pop(name) for name in names}}
        for part in ("origins", "finished", "failed"):
            if benchmark in self._content[part]:
                taken[part] = self._content[part].pop(benchmark)
        return taken

    def _take_set_aside(self, benchmark: str) -> Optional[dict[str, Any]]:
        every = self._content.get("set_aside", {})
        kept: Optional[dict[str, Any]] = every.pop(benchmark, None)
        if not every:
            self._content.pop("set_aside", None)
        return kept

    def fail(self, benchmark: str, reason: str) -> None:
        """Note why a benchmark could not be finished."""
        self._read()
        self._content["failed"][benchmark] = reason
        write_json(self.path, self._content)


def common_settings(rounds: int, quick: bool) -> dict[str, Any]:
    """Return what all results of one file share."""
    return {"rounds": rounds, "quick": quick}
