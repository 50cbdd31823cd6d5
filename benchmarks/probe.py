"""The SVM probe beside scikit-learn's LinearSVC at the same C, in turn in one run.

    pip install ".[bench]"
    python -m benchmarks.probe [--C 0.1 1] [--rounds 5] [--train FILE --test FILE] [--json FILE]

Without --train and --test the codes are those of patches of CIFAR-10's images, of 1,024 numbers.
The objectives are computed anew from each solution, in double precision: the worst class's and the
sum over the classes, relative to LinearSVC's. One round of 50,000 codes takes some minutes.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
from sklearn.svm import LinearSVC

from benchmarks.patch_codes import add_code_options, chosen_codes
from benchmarks.turns import alternate, spread
from tripletnet.codes_file import EncodedImages
from tripletnet.evaluation import SVMProbe
from tripletnet.files import write_json
from tripletnet.runtime import usable_cores, versions

OURS, RIVAL = "SVMProbe", "LinearSVC"


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


def compare(C: float, train: EncodedImages, test: EncodedImages, rounds: int) -> dict[str, Any]:
    """Fit both in turn, print a table and return its figures."""
    svms = {
        OURS: SVMProbe(C=C),
        RIVAL: LinearSVC(C=C, dual=False, tol=1e-4, intercept_scaling=1, max_iter=10_000),
    }

    def slot(svm: Any) -> Callable[[], float]:
        def seconds() -> float:
            start = time.perf_counter()
            svm.fit(train.codes, train.labels)
            return time.perf_counter() - start

        return seconds

    measured = alternate({name: slot(svm) for name, svm in svms.items()}, rounds)
    values = {name: objective(svm, train) for name, svm in svms.items()}
    accuracy = {name: svm.score(test.codes, test.labels) for name, svm in svms.items()}
    ratio = measured[RIVAL] / measured[OURS]

    print(f"\nC = {C:<22g}{'seconds':>26}{'objective':>16}{'test accuracy':>16}")
    for name in svms:
        print(
            f"{name:26}{spread(measured[name], 2):>26}{values[name].sum():>16.6g}"
            f"{accuracy[name]:>16.4f}"
        )
    excess = values[OURS] / values[RIVAL] - 1
    total = values[OURS].sum() / values[RIVAL].sum() - 1
    print(
        f"{OURS} is {spread(ratio, 1)} times as fast; its objective is {total:+.4%}, "
        f"that of its worst class {excess.max():+.4%}"
    )
    return {
        "seconds": {name: values.tolist() for name, values in measured.items()},
        "ratio": ratio.tolist(),
        "objective": {name: value.tolist() for name, value in values.items()},
        "accuracy": accuracy,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--C", type=float, nargs="+", default=[1.0], help="default: 1")
    parser.add_argument("--rounds", type=int, default=5, help="how often each gets its turn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every figure there")
    add_code_options(parser)
    options = parser.parse_args()
    train, test = chosen_codes(options)
    about = {"cores": usable_cores(), "codes": list(train.codes.shape)}
    print(f"{about['cores']} cores, {len(train.codes):,} codes of {train.codes.shape[1]:,} numbers")
    figures = {f"C={C:g}": compare(C, train, test, options.rounds) for C in options.C}
    if options.json:
        write_json(options.json, {**versions(), **about, **figures})


if __name__ == "__main__":
    main()
