"""How long one search takes from command to answer, and where the time goes.

    python -m benchmarks.search_time INDEX PICTURE

The command is run as a user runs it, and beside it a process that takes the same steps and reads
the clock between them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    names = [str(options.index), str(options.picture)]
    totals, steps = [], []
    for _ in range(options.rounds):
        start = time.perf_counter()
        command = [sys.executable, "-m", "tripletnet", "search", *names]
        subprocess.run(command, check=True, capture_output=True)
        totals.append(time.perf_counter() - start)
        done = subprocess.run(
            [sys.executable, "-c", STEPS, *names], check=True, capture_output=True, text=True
        )
        steps.append(json.loads(done.stdout))
    median = {name: statistics.median(step[name] for step in steps) for name in steps[0]}
    whole = statistics.median(totals)
    print(f"{whole:7.3f} s  the whole command ({min(totals):.3f} to {max(totals):.3f})")
    for name, seconds in median.items():
        print(f"{seconds:7.3f} s  {name}")
    print(json.dumps({"command": whole, "steps": median}))


if __name__ == "__main__":
    main()
