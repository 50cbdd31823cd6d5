"""The command line that all benchmarks with contests share: python -m benchmarks.NAME."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable, Optional

from threadpoolctl import threadpool_limits

from benchmarks.contest import Contest
from benchmarks.page import as_text
from benchmarks.results import Store, common_settings
from tripletnet.command import CommandParser, run_command
from tripletnet.errors import InputError
from tripletnet.processor import threads

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
        "--rounds", type=positive, default=5, help="how often each gets its turn (default: 5)"
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
                    store.check_settings(contest.name, contest.settings, contest.formerly)
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


def needs_data(name: str) -> Path:
    """Return the path of what is called `name` in TRIPLETNET_DATA; else say what to set."""
    named = os.environ.get("TRIPLETNET_DATA")
    if not named:
        raise InputError(f"{name}: set TRIPLETNET_DATA to the folder that holds it")
    path = Path(named, name)
    if not path.exists():
        raise InputError(f"{path}: not there: set TRIPLETNET_DATA to the folder that holds it")
    return path


def positive(text: str) -> int:
    """Return the number of an option that takes 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1 on")
    return int(text)


def how_it_ended(status: int) -> str:
    """Return what the status of a process means."""
    if status >= 0:
        return f"status {status}"
    return f"killed by signal {-status}" + " (out of memory?)" * (status == -9)


def check_ended(status: int, said: str) -> None:
    """Raise what a process of ours ended with, by its status and its standard error.

    Raises
    ------
    InputError
        If the user's input was at fault.
    RuntimeError
        If it failed otherwise.
    """
    if not status:
        return
    lines = said.strip().splitlines() if status > 0 else []  # killed, it had no last word
    reason = lines[-1] if lines else how_it_ended(status)
    raise (InputError if status == 2 else RuntimeError)(reason.replace("tripletnet: error: ", ""))


def run_child(command: Sequence[str], env: Optional[Mapping[str, str]] = None) -> str:
    """Run a process and return what it printed; its error becomes ours, see `check_ended`."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    check_ended(done.returncode, done.stderr)
    return done.stdout
