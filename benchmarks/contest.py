"""What every benchmark gives: contests, in which tripletnet and its rivals take their turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from benchmarks.results import Result, revision
from benchmarks.sgemm import sgemm_gflops
from benchmarks.turns import alternate

#: What the machine's own matrix product is called among those that take turns.
SGEMM = "sgemm"


@dataclass(frozen=True)
class Work:
    """A contest that is ready to be measured.

    Parameters
    ----------
    slots : mapping of str to callable
        Each call is one turn and returns what it measured, in the contest's unit. The first one is
        what the others are set against.
    left_out : mapping of str to str
        Who was to take part and could not, and why.
    gflop : float, optional
        Thousand million floating-point operations of one unit, for the share of sgemm's speed
        that the first one reaches. For units per second alone.
    figures : callable, optional
        Called after the last turn: what shows that all did the same, or is worth telling beside
        the times, for JSON.
    """

    slots: Mapping[str, Callable[[], float]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    gflop: Optional[float] = None
    figures: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True)
class Contest:
    """One table of the page.

    Parameters
    ----------
    name : str
        Its name among the results, ``BENCHMARK/WHAT``.
    title : str
        What is measured, for people.
    unit : str
        Of what the turns measure.
    prepare : callable
        Loads and builds what is needed. It is called only if the result is not stored yet.
    reading : {"rate", "time", "share"}
        Whether more is faster, or less is; or what the others cost as a share of the first.
    rounds : int, optional
        At most so many rounds, where one takes long.
    note : str
        What the reader has to know of it: limits, and why there are fewer rounds.
    settings : mapping
        What decides the result beside the machine: sizes, and whose data; for JSON.
    formerly : mapping
        Settings that results of older versions lack, as they were then.
    """

    name: str
    title: str
    unit: str
    prepare: Callable[[], Work]
    reading: str = "rate"
    rounds: Optional[int] = None
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    formerly: Mapping[str, Any] = field(default_factory=dict)

    def measure(self, rounds: int) -> Result:
        """Let all take their turns, `rounds` times or as often as the contest allows."""
        commit = revision()  # of the code that is about to be measured
        work = self.prepare()
        slots = dict(work.slots)
        if work.gflop is not None:
            slots[SGEMM] = sgemm_gflops
        turns = min(rounds, self.rounds or rounds)
        measured = {name: found.tolist() for name, found in alternate(slots, turns).items()}
        sgemm = measured.pop(SGEMM, None)
        return Result(
            name=self.name,
            title=self.title,
            unit=self.unit,
            reading=self.reading,
            samples=measured,
            left_out=dict(work.left_out),
            figures=dict(work.figures()),
            note=self.note,
            settings=dict(self.settings),
            gflop=work.gflop,
            sgemm=sgemm,
            revision=commit,
        )
