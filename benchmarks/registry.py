"""What `python -m benchmarks` runs: one line a benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """A module of this package that ends in `benchmarks.command.run_benchmark`.

    Parameters
    ----------
    arguments : tuple of str
        Its own options.
    section : str
        What turns its results into the page's section: ``"module:function"``, called as
        ``section(name, results, command, page)`` with the path of the page, beside which is the
        folder of its images.
    """

    arguments: tuple[str, ...] = ()
    section: str = "benchmarks.page:section"


#: Of the presets `article` and `fast`.
NETWORKS = ("article", "whitened-relu")

#: By the names of their modules, in the order in which they run.
BENCHMARKS: dict[str, Benchmark] = {
    "training_step": Benchmark(("--network", *NETWORKS)),
    "epoch": Benchmark(),
    "encoding": Benchmark(("--network", *NETWORKS)),
    "int8": Benchmark(("--network", *NETWORKS)),
    "mining": Benchmark(),
    "decoding": Benchmark(),
    "startup": Benchmark(),
    "retrieval_metrics": Benchmark(),
    "probe": Benchmark(),
    "growth": Benchmark(
        ("--networks", *NETWORKS, "residual"), section="benchmarks.growth_plots:section"
    ),
}
