"""The command line that all benchmarks with contests share: python -m benchmarks.NAME."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, Optional

from threadpoolctl import threadpool_limits

from benchmarks.contest import Contest
from benchmarks.page import as_text
from benchmarks.results import Store, common_settings
from tripletnet.command import CommandParser, run_command
from tripletnet.errors import InputError
from tripletnet.runtime import threads

Contests = Callable[[argparse.Namespace], Sequence[Contest]]


def benchmark_parser(module: str, doc: str) -> CommandParser:
    """Describe the options that all share."""
    parser = CommandParser(f"python -m {module}", description=doc.strip().splitlines()[0])
    add_common(parser)
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="store each result there as it comes; what is there already is not measured again",
    )
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """Describe --rounds and --quick."""
    parser.add_argument(
        "--rounds", type=_positive, default=5, help="how often each gets its turn (default: 5)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing"
    )


def run_benchmark(
    module: str,
    doc: str,
    contests: Contests,
    add_options: Optional[Callable[[argparse.ArgumentParser], object]] = None,
) -> None:
    """Parse the command line, let the contests take place, print each and store it.

    Parameters
    ----------
    module : str
        ``benchmarks.NAME``.
    doc : str
        The module's docstring.
    contests : callable
        From options to contests; nothing is to be loaded before a contest's `prepare`.
    add_options : callable, optional
        Describes the benchmark's own options.
    """

    def main(options: argparse.Namespace) -> None:
        settings = common_settings(options.rounds, options.quick)
        store = Store(options.json, settings) if options.json else None
        # NumPy's BLAS is loaded by now and has taken all processors, cores or not
        threadpool_limits(threads(), user_api="blas")
        for contest in contests(options):
            if store is not None:
                if contest.name in store:
                    store.check_settings(contest.name, contest.settings)
                    print(f"{contest.name}: stored already", file=sys.stderr, flush=True)
                    continue
                store.check_origin(contest.name)
            began = time.perf_counter()
            result = contest.measure(options.rounds)
            if store is not None:
                store.add(result)
            print(as_text(result), flush=True)
            taken = time.perf_counter() - began
            print(f"{contest.name}: {taken:.0f} s", file=sys.stderr, flush=True)

    parser = benchmark_parser(module, doc)
    if add_options is not None:
        add_options(parser)
    run_command(main, parser)


def needs_data(path: Path) -> Path:
    """Return `path` if it exists; else say what to set."""
    if not path.exists():
        raise InputError(f"{path}: not there: set TRIPLETNET_DATA to the folder that holds it")
    return path


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of rounds: give 1 or more")
    return int(text)
