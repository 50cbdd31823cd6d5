"""Training and encoding speed of the article's network beside its rivals, in turn in one run.

    pip install ".[bench]"
    python -m benchmarks.article_network [--rounds 5] [--batch 384] [--json FILE]

Both `benchmarks.training_step` and `benchmarks.encoding`, for that network.
"""

from __future__ import annotations

import argparse

from benchmarks import encoding, training_step
from benchmarks.command import run_benchmark
from benchmarks.contest import Contest


def contests(options: argparse.Namespace) -> list[Contest]:
    """Return the contests of both."""
    return [*training_step.contests(options), *encoding.contests(options)]


if __name__ == "__main__":
    run_benchmark("benchmarks.article_network", __doc__, contests, training_step.add_options)
