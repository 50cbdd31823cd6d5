"""The SVM probe beside scikit-learn's LinearSVC at the same C, in turn in one run.

    pip install ".[bench]"
    python -m benchmarks.probe [--C 0.1 1] [--codes 1000 5000 50000] [--rounds 5]
                               [--train FILE --test FILE] [--json FILE]

Without --train and --test the codes are those of patches of CIFAR-10's images, of 1,024 numbers.
LinearSVC solves the primal problem, and the dual, which it takes by default where there are fewer
codes than numbers in one. It has one thread, ours all. The objectives are computed anew from each
solution, in double precision: the worst class's and the sum over the classes, relative to the
primal one's. One round of 50,000 codes takes LinearSVC some two minutes, so that they have
--long-rounds.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

import numpy as np
from sklearn.svm import LinearSVC

from benchmarks.command import positive, run_benchmark
from benchmarks.contest import Contest, Work
from benchmarks.patch_codes import add_code_options, chosen_codes, code_settings
from tripletnet.codes.file import EncodedImages
from tripletnet.errors import InputError
from tripletnet.evaluation import SVMProbe

OURS, PRIMAL, DUAL = "SVMProbe", "LinearSVC, primal", "LinearSVC, dual"
CODES = [1_000, 5_000, 50_000]
LONG = 20_000  # more codes than these take long
LONG_ROUNDS = 1
NOTE = (
    "LinearSVC has one thread; by default it takes the dual where there are fewer codes than "
    "numbers in one, else the primal."
)


def objective(svm: Any, data: EncodedImages) -> np.ndarray:
    """Return liblinear's objective of each class, (K,), in double precision."""
    assert data.labels is not None
    value = 0.5 * ((svm.coef_.astype(float) ** 2).sum(axis=1) + svm.intercept_.astype(float) ** 2)
    for start in range(0, len(data.codes), 5000):
        part = slice(start, start + 5000)
        scores = data.codes[part].astype(float) @ svm.coef_.T + svm.intercept_
        signs = np.where(data.labels[part, None] == svm.classes_, 1, -1)
        value += svm.C * (np.maximum(0, 1 - signs * scores) ** 2).sum(axis=0)
    return value


def first(count: int, data: EncodedImages) -> EncodedImages:
    """Return the first codes of a set, whose order is random."""
    assert data.labels is not None
    if count > len(data):
        raise InputError(f"--codes {count}: there are {len(data):,}: give no more")
    return EncodedImages(data.codes[:count], data.labels[:count])


def prepare(C: float, count: int, options: argparse.Namespace) -> Work:
    """Return both fits, and what compares their solutions."""
    train, test = chosen_codes(options)
    assert train is not None
    train = first(count, train)
    alike = {"C": C, "tol": 1e-4, "intercept_scaling": 1, "max_iter": 10_000}
    svms = {
        OURS: SVMProbe(C=C),
        PRIMAL: LinearSVC(dual=False, **alike),
        DUAL: LinearSVC(dual=True, **alike),
    }

    def seconds(svm: Any) -> float:
        start = time.perf_counter()
        svm.fit(train.codes, train.labels)
        return time.perf_counter() - start

    def figures() -> dict[str, Any]:
        values = {name: objective(svm, train) for name, svm in svms.items()}
        accuracy = {name: svm.score(test.codes, test.labels) for name, svm in svms.items()}
        worst = float((values[OURS] / values[PRIMAL] - 1).max())
        total = float(values[OURS].sum() / values[PRIMAL].sum() - 1)
        return {
            "objective": {name: value.tolist() for name, value in values.items()},
            "accuracy": accuracy,
            "columns": {"test accuracy": {n: f"{100 * a:.2f} %" for n, a in accuracy.items()}},
            "summary": f"Our objective is {total:+.4%}, that of the worst class {worst:+.4%}.",
        }

    return Work({name: partial(seconds, svm) for name, svm in svms.items()}, figures=figures)


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return one contest for each number of codes and each C."""
    found = []
    whose, formerly = code_settings(options)
    note = f"Codes of {whose['codes_of']}. {NOTE}"
    for count in [600] if options.quick else options.codes:
        long = count > LONG
        rounds = {"long_rounds": options.long_rounds} if long else {}
        for C in options.C:
            contest = Contest(
                name=f"probe/{count} C={C:g}",
                title=f"The SVM probe on {count:,} codes, C = {C:g}",
                unit="seconds",
                prepare=partial(prepare, C, count, options),
                reading="time",
                rounds=options.long_rounds if long else None,
                note=f"{note} Fewer rounds, as LinearSVC takes minutes in each." if long else note,
                settings={"codes": count, "C": C, **whose, **rounds},
                formerly={**formerly, **({"long_rounds": LONG_ROUNDS} if long else {})},
            )
            found.append(contest)
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the options of this benchmark."""
    add = parser.add_argument
    add("--C", type=float, nargs="+", default=[0.1], help="default: 0.1")
    add(
        "--codes",
        type=positive,
        nargs="+",
        default=CODES,
        help=f"default: {' '.join(map(str, CODES))}",
    )
    add(
        "--long-rounds",
        type=positive,
        default=LONG_ROUNDS,
        help=f"of more than {LONG:,} codes (default: %(default)s)",
    )
    add_code_options(parser)


if __name__ == "__main__":
    run_benchmark("benchmarks.probe", __doc__, contests, add_options)
