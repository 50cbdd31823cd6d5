"""The index beside FAISS called directly on what lies beneath it, in turn in one run.

    pip install ".[bench]"
    python -m benchmarks.search_index --run RUN [--codes 10000] [--memory 6GB 2GB 500MB]
        [--batch 1024] [--rounds 25] [--data FOLDER] [--work FOLDER] [--json FILE]

The codes are those of CIFAR-10's images: of the test images up to 10,000, and above of the 50,000
training images, as often as it takes, each time with a little noise and of unit length again, in
a memory-mapped file (4 GB for a million codes of 1,024 numbers). The queries are the test images'
codes, with noise. They stay in --work, where a later call finds them, so that one with --rounds 0
makes them and those after it do nothing but measure. An index is built for each --memory, of the
kind that fits.

Recall@10 is that of the queries, against exact search. Queries/s are measured one at a time and
many at once (1,024 take minutes in sq8 of a million codes: --batch 64). A ratio above 1 means that
ours is faster. Building is measured once.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from benchmarks.command import positive
from benchmarks.memory import held
from benchmarks.turns import alternate, spread
from tripletnet.codes.file import EncodedImages
from tripletnet.command import CommandParser, parse_size, run_command
from tripletnet.data import load_cifar10
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.files import write_json
from tripletnet.processor import usable_cores
from tripletnet.retrieval.index import Index
from tripletnet.retrieval.index_store import load_faiss
from tripletnet.runs import load_run, read_description
from tripletnet.runtime import versions

OURS, FAISS = "tripletnet", "FAISS directly"
NOISE = 0.1  # length of the noise beside the code's own, 1
BATCH, K, RECALL_QUERIES, BLOCK = 1024, 10, 200, 16_384
QUERIES = 10_000  # the test images
SLOT_SECONDS = 0.2  # short, so that what else a machine does falls on both alike


def noisy(codes: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return unit codes a little beside these."""
    noise = random.standard_normal(codes.shape, np.float32)
    noise *= NOISE / codes.shape[1] ** 0.5
    noise += codes
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return noise


def repeated(codes: np.ndarray, count: int, file: Path) -> None:
    """Write `count` codes, each of these with noise in turn."""
    random = np.random.default_rng(0)
    mapped = np.lib.format.open_memmap(file, "w+", np.float32, (count, codes.shape[1]))
    for start in range(0, count, BLOCK):
        rows = np.arange(start, min(start + BLOCK, count))
        mapped[rows[0] : rows[-1] + 1] = noisy(codes[rows % len(codes)], random)
    mapped.flush()


def prepare(run: Path, count: int, data: Optional[str], folder: Path) -> list[np.ndarray]:
    """Return codes, queries, and the rows nearest to the first queries, made if not there."""
    made_by = read_description(run)["fingerprint"][:12]
    files = [folder / f"{made_by}-{count}-{name}.npy" for name in ("codes", "queries", "exact")]
    if not files[-1].exists():
        encoder, _ = load_run(run)
        splits = load_cifar10(data)
        test = encode(encoder, splits.test)
        queries = noisy(test, np.random.default_rng(1))
        if count <= len(test):
            np.save(files[0], test[:count])
        else:
            repeated(encode(encoder, splits.train), count, files[0])
        np.save(files[1], queries)
        exact = exact_neighbours(np.load(files[0], mmap_mode="r"), queries[:RECALL_QUERIES])
        np.save(files[2], exact)
    return [np.load(files[0], mmap_mode="r"), *map(np.load, files[1:])]


def exact_neighbours(codes: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the rows of the nearest codes, (Q, K), found block by block."""
    faiss = load_faiss()
    distances = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(codes), BLOCK):
        found = faiss.knn(queries, codes[start : start + BLOCK], K)
        distances = np.hstack([distances, found[0]])
        rows = np.hstack([rows, found[1] + start])
        order = distances.argsort(axis=1)[:, :K]
        distances = np.take_along_axis(distances, order, 1)
        rows = np.take_along_axis(rows, order, 1)
    return rows


def rate(search: Callable[[np.ndarray, int], Any], queries: np.ndarray, batch: int) -> float:
    """Return queries/s over some time, at least one batch."""
    done, start = 0, time.perf_counter()
    while True:
        first = done % (len(queries) - batch + 1)
        search(queries[first : first + batch], K)
        done += batch
        if time.perf_counter() - start > SLOT_SECONDS:
            return done / (time.perf_counter() - start)


def measure(
    codes: np.ndarray,
    queries: np.ndarray,
    exact: np.ndarray,
    memory: int,
    batch_size: int,
    rounds: int,
) -> dict[str, Any]:
    """Build an index, print a table of its figures and return them."""
    before, start = held("RssAnon"), time.perf_counter()
    names = [f"{row}.png" for row in range(len(codes))]
    index = Index.build(EncodedImages(codes, paths=names), memory=memory)
    seconds = time.perf_counter() - start
    found = index.search(queries[: len(exact)], K).rows
    recall = float((found[:, :, None] == exact[:, None]).any(axis=2).mean())
    figures = {
        **index.info(),
        "allowed": memory,
        "build_seconds": seconds,
        "process_grew_by": held("RssAnon") - before,
        "recall_of_queries": recall,
    }
    taken, grown = figures["memory"] / 1e6, figures["process_grew_by"] / 1e6
    print(
        f"\n{len(codes):,} codes in {memory / 1e6:,.0f} MB: {index.kind}, {taken:,.1f} MB (with "
        f"what is known of the images {grown:,.0f} MB), built in {seconds:.1f} s, recall@10 of the "
        f"queries {recall:.4f} (of its own images {index.recall:.4f})"
    )
    print(f"{'queries at once':24}{OURS + ', queries/s':>32}{FAISS:>32}{'ratio':>24}")
    for batch in (1, batch_size):
        searches = {OURS: index.search, FAISS: index.faiss_index.search}
        slots = {name: partial(rate, search, queries, batch) for name, search in searches.items()}
        rates = alternate(slots, rounds)
        digits = 0 if rates[FAISS].min() > 100 else 2
        ratio = float(np.median(rates[OURS]) / np.median(rates[FAISS]))
        print(
            f"{batch:<24,}{spread(rates[OURS], digits):>32}{spread(rates[FAISS], digits):>32}"
            f"{ratio:>24.3f}"
        )
        figures[f"batch {batch}"] = {
            **{name: values.tolist() for name, values in rates.items()},
            "ratio_of_medians": ratio,
        }
    return figures


def _rounds(text: str) -> int:
    return 0 if text == "0" else positive(text)  # with 0 it only makes the codes


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.search_index", description=__doc__.splitlines()[0]
    )
    add = options.add_argument
    add("--run", type=Path, required=True, help="a run folder")
    add("--codes", type=positive, default=10_000, metavar="N", help="default: 10000")
    add(
        "--memory",
        type=parse_size,
        nargs="+",
        default=[parse_size("6GB"), parse_size("2GB"), parse_size("500MB")],
        help="default: 6GB 2GB 500MB",
    )
    add("--batch", type=positive, default=BATCH, help="queries at once (default: %(default)s)")
    add("--rounds", type=_rounds, default=25, help="how often each gets its turn")
    add("--data", metavar="FOLDER", help="where CIFAR-10 lies")
    add("--work", type=Path, metavar="FOLDER", help="keeps the codes")
    add("--json", type=Path, metavar="FILE", help="also write every figure there")
    return options


def main(options: argparse.Namespace) -> None:
    if options.batch > QUERIES:
        raise InputError(f"--batch {options.batch}: there are {QUERIES:,} queries: give no more")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = options.work or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        codes, queries, exact = prepare(options.run, options.codes, options.data, place)
        about = {"cores": usable_cores(), "codes": len(codes), "numbers": codes.shape[1]}
        print(f"{about['cores']} cores, {len(codes):,} codes of {codes.shape[1]:,} numbers")
        for memory in options.memory if options.rounds else []:
            figures[str(memory)] = measure(
                codes, queries, exact, memory, options.batch, options.rounds
            )
            gc.collect()
    if options.json:
        write_json(options.json, {**versions(), **about, "figures": figures})


if __name__ == "__main__":
    run_command(main, parser())
