"""How long it takes from nothing to the first code, beside the rivals, and the commands.

    pip install ".[bench]"
    python -m benchmarks.startup [--rounds 5]

Each turn is a new process: Python starts, the library is imported, the article's network is made,
or read from an ONNX file, and one batch of three images is encoded. The files have been read
before, so that all find them in memory. `tripletnet --help`, `import tripletnet` and the shortest
command that encodes, `tripletnet compare` of two pictures, are told beside `python -c pass`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.encoders import export_onnx, our_network
from benchmarks.rivals import make_all, require
from tripletnet.plots import save_picture
from tripletnet.runs import save_run

OURS = """
import numpy as np
from tripletnet.backend import mx
from tripletnet.networks import TripletCNN
network = TripletCNN()
network.initialize(mx.init.MSRAPrelu())
network.hybridize(static_alloc=True, static_shape=True)
network(mx.nd.zeros((3, 3, 32, 32), dtype="uint8")).asnumpy()
"""
TORCH = """
import torch
from torch import nn
layers = []
for channels, kernel in ((3, 5), (32, 3), (32, 3)):
    layers += [nn.Conv2d(channels, 32, kernel), nn.AvgPool2d(2, stride=1), nn.ReLU()]
network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(21 * 21 * 32, 1024))
with torch.inference_mode():
    code = network(torch.zeros((3, 3, 32, 32), dtype=torch.uint8).float())
    nn.functional.normalize(code).numpy()
"""
METRIC_LEARNING = "import pytorch_metric_learning.losses" + TORCH
ONNX_RUNTIME = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
session.run(None, {"pixels": np.zeros((3, 3, 32, 32), np.uint8)})
"""
OPENVINO = """
import sys
import numpy as np
import openvino
model = openvino.Core().compile_model(sys.argv[1], "CPU")
model(np.zeros((3, 3, 32, 32), np.uint8))
"""


def seconds(*arguments: str) -> float:
    """Return how long a Python process takes."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def prepare_first_code() -> Work:
    """Return what encodes for the first time."""
    folder = tempfile.TemporaryDirectory()  # lives until the figures are asked for
    pixels = np.zeros((3, 3, 32, 32), dtype=np.uint8)

    def program(text: str, *packages: str, onnx: bool = False) -> partial[float]:
        require(*packages)
        path = Path(folder.name, "network.onnx")
        if onnx:
            export_onnx("article", our_network("article"), pixels, path)
        return partial(seconds, "-c", text, *[str(path)] * onnx)

    def rival(*arguments: Any, **options: Any) -> partial[float]:
        slot = program(*arguments, **options)
        slot()  # reads the files; a rival that breaks is left out
        return slot

    rivals, left_out = make_all(
        {
            "PyTorch": partial(rival, TORCH, "torch"),
            "PyTorch Metric Learning": partial(
                rival, METRIC_LEARNING, "torch", "pytorch_metric_learning"
            ),
            "ONNX Runtime": partial(rival, ONNX_RUNTIME, "onnxruntime", onnx=True),
            "OpenVINO": partial(rival, OPENVINO, "openvino", onnx=True),
        }
    )
    slots = {"tripletnet": program(OURS), **rivals}
    slots["tripletnet"]()  # reads the files, as making the rivals did
    return Work(slots, left_out, figures=lambda: {"onnx": bool(folder.name)})


def prepare_commands() -> Work:
    """Return the lightest things that a user does."""
    folder = tempfile.TemporaryDirectory()  # lives until the figures are asked for
    run, picture = Path(folder.name, "run"), Path(folder.name, "picture.png")
    save_run(run, our_network("article"), "article")
    save_picture(np.zeros((32, 32, 3), np.uint8), picture)
    compare = ("compare", str(run), str(picture), str(picture))
    slots = {
        "python -c pass": partial(seconds, "-c", "pass"),
        "import tripletnet": partial(seconds, "-c", "import tripletnet"),
        "tripletnet --help": partial(seconds, "-m", "tripletnet", "--help"),
        "tripletnet compare": partial(seconds, "-m", "tripletnet", *compare),
    }
    for slot in slots.values():
        slot()
    return Work(slots, figures=lambda: {"pictures": bool(folder.name)})


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return both contests."""
    code = Contest(
        name="startup/first code",
        title="From nothing to the first code, the article's network",
        unit="seconds",
        prepare=prepare_first_code,
        reading="time",
        note="ONNX Runtime and OpenVINO read a network with weights; the others draw theirs.",
    )
    shown = Contest(
        name="startup/commands",
        title="Starting Python, and the shortest commands",
        unit="seconds",
        prepare=prepare_commands,
        reading="share",
    )
    return [code, shown]


if __name__ == "__main__":
    run_benchmark("benchmarks.startup", __doc__, contests)
