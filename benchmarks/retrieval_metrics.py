"""Retrieval metrics beside PyTorch Metric Learning's AccuracyCalculator, in turn in one run.

    pip install ".[bench]"
    python -m benchmarks.retrieval_metrics [--codes 10000 50000] [--rounds 5] [--json FILE]

The calculator is asked for the same figures and nothing else (no clustering). For the mean average
precision of whole rankings it needs some 65 bytes for each pair of codes, 7 GB for 10,000; ours
always judges whole rankings, in blocks of 128 MB. Without that figure the calculator may stop at
the first R of each ranking, which is told, too. Of 50,000 codes only the first 1,000 are queries,
as whole rankings of all would take it 160 GB. The figures that both give must agree to 1e-6. The
codes are those of --test as far as there are as many, else those of --train.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Callable

import numpy as np

from benchmarks.command import positive, run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.memory import forget_peak, held
from benchmarks.patch_codes import add_code_options, chosen_codes, code_settings
from benchmarks.rivals import make_all, require, threads
from tripletnet.codes.file import EncodedImages
from tripletnet.errors import InputError
from tripletnet.evaluation import retrieval_metrics

OURS = "tripletnet"
WHOLE, FIRST_R = "AccuracyCalculator, same figures", "AccuracyCalculator, first R, no mAP"
ALL_QUERIES = 10_000  # more codes than these have fewer queries
BYTES_A_PAIR = 65  # that the calculator needs for whole rankings
# their names for our figures
NAMES = {
    "precision_at_1": "precision_at_1",
    "r_precision": "r_precision",
    "map_at_r": "mean_average_precision_at_r",
    "map": "mean_average_precision",
}
Judge = Callable[[], dict[str, float]]


def ours(data: EncodedImages, queries: int) -> dict[str, float]:
    """Return our figures of the first `queries` codes among all."""
    assert data.labels is not None
    asked = None if queries == len(data) else np.arange(queries)
    figures = retrieval_metrics(data.codes, data.labels, queries=asked).as_dict()
    return {name: figures[name] for name in NAMES}


def calculator(data: EncodedImages, queries: int, whole: bool) -> Judge:
    """Return what computes theirs."""
    torch, module = require("torch", "pytorch_metric_learning.utils.accuracy_calculator")
    require("faiss")
    torch.set_num_threads(threads())
    chosen = {ours: name for ours, name in NAMES.items() if whole or ours != "map"}
    judge = module.AccuracyCalculator(
        include=tuple(chosen.values()),
        k=None if whole else "max_bin_count",
        device=torch.device("cpu"),
    )
    codes, labels = torch.from_numpy(data.codes), torch.from_numpy(data.labels)

    def run() -> dict[str, float]:
        if queries == len(data):
            figures = judge.get_accuracy(codes, labels)
        else:
            figures = judge.get_accuracy(
                codes[:queries], labels[:queries], codes, labels, ref_includes_query=True
            )
        return {ours: figures[name] for ours, name in chosen.items()}

    return run


def prepare(count: int, queries: int, options: argparse.Namespace) -> Work:
    """Return all that judge, and what compares their figures."""
    train, test = chosen_codes(options)
    data = test if train is None or count <= len(test) else train
    assert data.labels is not None
    if count > len(data):
        or_more = ", or --train" if train is None else ""
        raise InputError(f"--codes {count}: there are {len(data):,}: give no more{or_more}")
    data = EncodedImages(data.codes[:count], data.labels[:count])
    makers: dict[str, Callable[[], Judge]] = {
        FIRST_R: lambda: calculator(data, queries, whole=False),
        WHOLE: lambda: calculator(data, queries, whole=True),
    }
    rivals, left_out = make_all(makers)
    judges = {OURS: partial(ours, data, queries), **rivals}
    figures: dict[str, Mapping[str, float]] = {}
    peaks: dict[str, float] = {}

    def seconds(name: str) -> float:
        forget_peak()
        before, start = held("VmRSS"), time.perf_counter()
        figures[name] = judges[name]()
        taken = time.perf_counter() - start
        peaks[name] = max(peaks.get(name, 0.0), (held("VmHWM") - before) / 1e9)
        return taken

    def agreed() -> dict[str, Any]:
        for name, found in figures.items():
            off = max(abs(found[figure] - figures[OURS][figure]) for figure in found)
            if off > 1e-6:
                raise SystemExit(f"{name} is {off:.2g} off: it measures something else")
        told = ", ".join(f"{name} {value:.6f}" for name, value in figures[OURS].items())
        return {
            "figures": figures,
            "peak_gigabytes": peaks,
            "columns": {"memory, GB": {name: f"{peak:.2f}" for name, peak in peaks.items()}},
            "summary": f"All agree to 1e-6: {told}." if len(figures) > 1 else f"{told}.",
        }

    return Work({name: partial(seconds, name) for name in judges}, left_out, figures=agreed)


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest for each number of codes."""
    found = []
    whose, formerly = code_settings(options, both=False)
    for count in [300] if options.quick else options.codes:
        queries = count if count <= ALL_QUERIES else min(count, options.queries)
        some = f", {queries:,} of them queries" if queries < count else ""
        needed = BYTES_A_PAIR * count**2 / 1e9
        contest = Contest(
            name=f"retrieval_metrics/{count}",
            title=f"P@1, R-precision, MAP@R and mAP of {count:,} codes{some}",
            unit="seconds",
            prepare=partial(prepare, count, queries, options),
            reading="time",
            note=f"Codes of {whose['codes_of']}."
            + f" As queries all codes would take the calculator {needed:.0f} GB." * bool(some),
            settings={"codes": count, "queries": queries, **whose},
            formerly=formerly,
        )
        found.append(contest)
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this benchmark."""
    add = parser.add_argument
    add("--codes", type=positive, nargs="+", default=[10_000, 50_000], help="default: 10000 50000")
    add("--queries", type=positive, default=1_000, help="of more than 10,000 codes (default: 1000)")
    add_code_options(parser)


if __name__ == "__main__":
    run_benchmark("benchmarks.retrieval_metrics", __doc__, contests, add_options)
