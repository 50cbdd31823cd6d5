"""Retrieval metrics beside PyTorch Metric Learning's AccuracyCalculator, in turn in one run.

    pip install ".[bench]"
    python -m benchmarks.retrieval_metrics [--codes test train] [--rounds 5] [--json FILE]

Ours always judges whole rankings. The calculator judges the first R of each, which its mAP stops
at too, and with `--whole` whole rankings, which needs some 65 bytes for each pair of codes: 7 GB
for 10,000. The figures that both give must agree to 1e-6. One round of the 50,000 training codes
takes some minutes and 16 GB.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

from benchmarks.patch_codes import add_code_options, chosen_codes
from benchmarks.turns import alternate, spread
from tripletnet.codes_file import EncodedImages
from tripletnet.evaluation import retrieval_metrics
from tripletnet.files import write_json
from tripletnet.runtime import usable_cores, versions

OURS, FIRST_R, WHOLE = "tripletnet", "calculator, first R", "calculator, whole ranking"
# their names for our figures
NAMES = {
    "precision_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "map_at_r": "mean_average_precision_at_r",
    "map": "mean_average_precision",
}


def ours(data: EncodedImages) -> dict[str, float]:
    assert data.labels is not None
    figures = retrieval_metrics(data.codes, data.labels).as_dict()
    return {name: figures[name] for name in NAMES}


def theirs(data: EncodedImages, whole: bool) -> dict[str, float]:
    calculator = AccuracyCalculator(
        include=tuple(NAMES.values()),
        k=None if whole else "max_bin_count",
        device=torch.device("cpu"),
    )
    figures = calculator.get_accuracy(torch.from_numpy(data.codes), torch.from_numpy(data.labels))
    # cut at R it is another figure than ours
    return {ours: figures[name] for ours, name in NAMES.items() if whole or ours != "map"}


def compare(data: EncodedImages, rounds: int, whole: bool) -> dict[str, Any]:
    """Let all judge the codes in turn, print a table and return its figures."""
    contenders: dict[str, Callable[[], dict[str, float]]] = {
        OURS: lambda: ours(data),
        FIRST_R: lambda: theirs(data, whole=False),
    }
    if whole:
        contenders[WHOLE] = lambda: theirs(data, whole=True)
    figures: dict[str, Mapping[str, float]] = {}
    peaks: dict[str, float] = {}

    def slot(name: str) -> Callable[[], float]:
        def seconds() -> float:
            start = time.perf_counter()
            figures[name] = contenders[name]()
            taken = time.perf_counter() - start
            # of the process so far: they come in the order of their needs
            peaks.setdefault(name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
            return taken

        return seconds

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    measured = alternate({name: slot(name) for name in contenders}, rounds)

    print(f"\n{len(data.codes):<26,}{'seconds':>26}{'ours is times as fast':>26}{'peak GB':>10}")
    for name, seconds in measured.items():
        ratio = spread(seconds / measured[OURS], 1)
        print(f"{name:26}{spread(seconds, 2):>26}{ratio:>26}{peaks[name] - before:>10.2f}")
    print("  ".join(f"{name} {value:.6f}" for name, value in figures[OURS].items()))
    for name, found in figures.items():
        off = max(abs(found[figure] - figures[OURS][figure]) for figure in found)
        if off > 1e-6:
            raise SystemExit(f"{name} is {off:.2g} off: it measures something else")
    return {
        "seconds": {name: seconds.tolist() for name, seconds in measured.items()},
        "peak_gigabytes": {name: peak - before for name, peak in peaks.items()},
        "figures": figures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--codes", nargs="+", choices=["test", "train"], default=["test"], help="default: test"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each gets its turn")
    parser.add_argument("--whole", action="store_true", help="the calculator's whole ranking too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    add_code_options(parser)
    options = parser.parse_args()
    torch.set_num_threads(usable_cores())
    train, test = chosen_codes(options)
    print(f"{usable_cores()} cores, codes of {test.codes.shape[1]:,} numbers")
    parts = {"train": train, "test": test}
    figures = {part: compare(parts[part], options.rounds, options.whole) for part in options.codes}
    if options.json:
        write_json(options.json, {**versions(), "cores": usable_cores(), **figures})


if __name__ == "__main__":
    main()
