"""Images a second and peak memory of training or encoding at one size, in a process of its own.

    python -m benchmarks.growth_cell train article 384 1024 32

The arguments are what to do (train or encode), the network, images a batch, numbers a code and
pixels an image. The peak is the process's largest resident memory, Python and MXNet included.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Callable

from benchmarks.encoders import draw_pixels, our_encode, our_network
from benchmarks.trainers import our_step

TURN_SECONDS = 0.3  # at least, and at least one batch


def rates(work: Callable[[], object], batch: int, turns: int) -> list[float]:
    """Return images/s, turn by turn, after a batch that does not count."""
    work()
    found = []
    for _ in range(turns):
        start, batches = time.perf_counter(), 0
        while not batches or time.perf_counter() - start < TURN_SECONDS:
            work()
            batches += 1
        found.append(batches * batch / (time.perf_counter() - start))
    return found


def main(kind: str, name: str, batch: int, code_size: int, image_size: int, turns: int) -> None:
    """Measure and print JSON."""
    network = our_network(name, code_size=code_size, image_size=image_size)
    pixels = draw_pixels(network, batch)
    if kind == "train":
        step = our_step(network)
        found = rates(lambda: step(pixels)(), batch, turns)
    else:
        encode = our_encode(network)
        found = rates(lambda: encode(pixels), batch, turns)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"images_per_second": found, "peak_megabytes": round(peak)}))


if __name__ == "__main__":
    what, which, *sizes = sys.argv[1:]
    main(what, which, *(map(int, [*sizes, "5"][:4])))
