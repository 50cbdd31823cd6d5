"""How long one search takes from command to answer, and where the time goes.

    python -m benchmarks.search_time INDEX PICTURE

The command is run as a user runs it, and beside it a process that takes the same steps and reads
the clock between them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from benchmarks.command import positive, run_child
from tripletnet.command import CommandParser, run_command

STEPS = """
import json, sys, time
from pathlib import Path
marks = [("start", time.perf_counter())]
mark = lambda name: marks.append((name, time.perf_counter()))
import numpy; mark("import NumPy")
import cv2; mark("import OpenCV")
import faiss; mark("import FAISS")
from tripletnet.backend import mx; mark("import MXNet")
from tripletnet.retrieval.encoder import Encoder
from tripletnet.retrieval.index import Index
from tripletnet.retrieval.search_pictures import search_pictures; mark("import tripletnet")
index = Index.load(Path(sys.argv[1])); mark("read the index")
encoder = Encoder.load(index.images.run); mark("read the encoder")
encoder.encode([sys.argv[2]]); mark("decode and encode (first)")
list(search_pictures(index, encoder, [sys.argv[2]])); mark("decode, encode, search (again)")
print(json.dumps({b[0]: b[1] - a[1] for a, b in zip(marks, marks[1:])}))
"""


def parser() -> CommandParser:
    options = CommandParser("python -m benchmarks.search_time", description=__doc__.splitlines()[0])
    options.add_argument("index", type=Path)
    options.add_argument("picture", type=Path)
    options.add_argument("--rounds", type=positive, default=5)
    return options


def main(options: argparse.Namespace) -> None:
    names = [str(options.index), str(options.picture)]
    totals, steps = [], []
    for _ in range(options.rounds):
        start = time.perf_counter()
        run_child([sys.executable, "-m", "tripletnet", "search", *names])
        totals.append(time.perf_counter() - start)
        steps.append(json.loads(run_child([sys.executable, "-c", STEPS, *names])))
    median = {name: statistics.median(step[name] for step in steps) for name in steps[0]}
    whole = statistics.median(totals)
    print(f"{whole:7.3f} s  the whole command ({min(totals):.3f} to {max(totals):.3f})")
    for name, seconds in median.items():
        print(f"{seconds:7.3f} s  {name}")
    print(json.dumps({"command": whole, "steps": median}))


if __name__ == "__main__":
    run_command(main, parser())
