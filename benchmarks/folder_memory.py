"""Seconds and own memory of loading the first N images of a folder, at first and again.

    python -m benchmarks.folder_memory FOLDER [N ...] [--size 32]

Own memory is anonymous memory (RssAnon): what the mapped cache occupies can be dropped by the
system at any time and does not count. Each N runs in a process of its own, on a folder of links.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.command import positive, run_child
from benchmarks.memory import held
from tripletnet.command import CommandParser, run_command
from tripletnet.data.folder import load_folder
from tripletnet.data.scan import scan_folder


def megabytes() -> float:
    """Return the memory of this process without the files that it has mapped."""
    return held("RssAnon") / 1e6


class Peak:
    """The highest own memory while a block runs."""

    def __enter__(self) -> Peak:
        self.highest = self.start = megabytes()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while not self.done.wait(0.01):
            self.highest = max(self.highest, megabytes())

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()


def measure(folder: Path, count: int, size: int) -> None:
    listing = scan_folder(folder)
    # spread over the classes
    chosen = listing.files[:: max(1, len(listing.files) // count)][:count]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "data")
        for name in chosen:
            link = root / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(listing.root.resolve() / name)
        del listing, chosen
        for when in ("first", "later"):
            start, start_cpu = time.perf_counter(), time.process_time()
            with Peak() as peak:
                data = load_folder(root, size=size, cache=Path(scratch, "cache"))
            seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
            kept = megabytes() - peak.start
            print(
                f"{count:>8} images, {when}: {seconds:6.2f} s ({cpu:.2f} s of processors), "
                f"peak {peak.highest:6.1f} MB "
                f"(+{peak.highest - peak.start:.1f}), kept +{kept:.1f}",
                flush=True,
            )
            del data


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.folder_memory", description=__doc__.splitlines()[0]
    )
    add = options.add_argument
    add("folder", type=Path)
    add("counts", type=positive, nargs="*", default=[10_000, 50_000])
    add("--size", type=positive, default=32, help="height and width of the result")
    return options


def main(options: argparse.Namespace) -> None:
    if len(options.counts) == 1:
        measure(options.folder, options.counts[0], options.size)
        return
    for count in options.counts:
        this = [sys.executable, "-m", "benchmarks.folder_memory", str(options.folder), str(count)]
        print(run_child([*this, "--size", str(options.size)]), end="", flush=True)


if __name__ == "__main__":
    run_command(main, parser())
