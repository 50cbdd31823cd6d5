"""Which of two encoders is faster on this processor."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.encoding import usual_batch_size
from tripletnet.errors import InputError
from tripletnet.files import cache_folder, read_json, write_json
from tripletnet.processor import has_tiles, processor_name

_ROUNDS, _SECONDS = 5, 2.0


@dataclass(frozen=True)
class Speeds:
    """How fast two encoders are here, images a second."""

    fp32: float
    int8: float

    @property
    def ratio(self) -> float:
        """How many times as fast as fp32 int8 is."""
        return self.int8 / self.fp32

    def to_json(self) -> dict[str, float]:
        """Return them for JSON."""
        return asdict(self)


def speeds_here(
    name: str,
    networks: Sequence[Callable[[Any], Any]],
    side: int,
    *,
    timer: Callable[[], float] = time.perf_counter,
    anew: bool = False,
) -> Speeds:
    """Return how fast an encoder is in fp32 and in int8, measured once a processor.

    What was measured is kept in the user's cache, by the processor and whether this process has its
    tiles, the number of threads, MXNet's version and the encoder.

    Parameters
    ----------
    name : str
        Tells the encoder in int8 from others.
    networks : sequence of callable
        The networks, fp32 and int8.
    side : int
        Height and width of the images, in pixels.
    timer : callable
        Tells the time in seconds.
    anew : bool
        Measure also what was measured before.
    """
    about = {
        "encoder": name,
        "processor": processor_name(),
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "mxnet": mx.__version__,
        "tiles": str(has_tiles()),
    }
    key = hashlib.sha256(repr(sorted(about.items())).encode()).hexdigest()
    path = cache_folder() / "speeds" / f"{key[:32]}.json"
    known = None if anew else _known(path)
    if known is None:
        known = measure_speeds(networks, side, timer)
        with contextlib.suppress(OSError):  # without a cache it is measured each time
            write_json(path, {**about, **known.to_json()})
    return known


def _known(path: Path) -> Optional[Speeds]:
    try:
        stored = read_json(path)
        speeds = Speeds(float(stored["fp32"]), float(stored["int8"]))
    except (InputError, OSError, KeyError, TypeError, ValueError):
        return None
    return speeds if speeds.fp32 > 0 and speeds.int8 > 0 else None


def measure_speeds(
    networks: Sequence[Callable[[Any], Any]],
    side: int,
    timer: Callable[[], float] = time.perf_counter,
) -> Speeds:
    """Encode a batch by two networks, fp32 and int8, in turn, and return their best speeds."""
    count = usual_batch_size(side, side)
    batch = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    took: list[list[float]] = [[] for _ in networks]
    begin = timer()
    for turn in range(_ROUNDS + 1):
        for network, seconds in zip(networks, took):
            start = timer()
            network(mx.nd.array(batch, dtype="uint8")).asnumpy()
            if turn:  # the first time, weights are laid out
                seconds.append(timer() - start)
        if turn and timer() - begin > _SECONDS:
            break
    fp32, int8 = (count / max(min(seconds), 1e-9) for seconds in took)
    return Speeds(fp32, int8)
