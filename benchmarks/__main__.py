"""Measure tripletnet beside its rivals, all benchmarks or some, and write docs/benchmarks.md.

    pip install ".[bench]"
    export TRIPLETNET_DATA=FOLDER
    python -m benchmarks --out docs/benchmarks.json --page docs/benchmarks.md

Each benchmark runs in a process of its own and stores each result as it comes, so that the same
command goes on where it was stopped. Where all results are stored, of whatever arguments, only the
page is written. With --again, what --only names is measured anew, with the arguments of today's
registry; what was stored of it is kept until that is done.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

from benchmarks.command import add_common, how_it_ended
from benchmarks.page import check_marks, mark, origins, processor, put_between, results_of
from benchmarks.registry import BENCHMARKS
from benchmarks.results import Store, common_settings
from tripletnet.command import CommandParser, run_command
from tripletnet.errors import InputError


def command_of(name: str, store: Store) -> list[str]:
    """Return a benchmark's module and its arguments: those of what is stored, or the registry's."""
    stored = store.arguments_of(name)
    return [f"benchmarks.{name}", *(BENCHMARKS[name].arguments if stored is None else stored)]


def run(name: str, args: argparse.Namespace) -> str:
    """Run one benchmark in a process of its own; return why it failed, or nothing."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *BENCHMARKS[name].arguments]
    command += ["--rounds", str(args.rounds), "--json", str(args.out)]
    command += ["--quick"] * args.quick
    began = time.perf_counter()
    print(f"\n== {name}", file=sys.stderr, flush=True)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        last = ""
        for line in process.stderr:
            sys.stderr.write(line)
            last = line.strip() or last
    print(f"== {name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    if process.returncode in (130, -2):
        raise KeyboardInterrupt
    if not process.returncode:
        return ""
    told = f": {last[:300]}" if process.returncode > 0 else ""  # killed, it had no last word
    return how_it_ended(process.returncode) + told


def write_page(page: Path, names: list[str], store: Store) -> None:
    """Put the results of the benchmarks called `names`, and the plot of all, on the page."""
    from benchmarks.ratio_plot import draw_ratios

    results = store.results
    for name in names:
        if not results_of(name, results):
            if name in store.content["failed"]:  # rather than leave figures of another file
                put_between(page, mark(name), f"Not measured: {store.content['failed'][name]}.")
            continue
        module, _, function = BENCHMARKS[name].section.partition(":")
        write = getattr(import_module(module), function)
        command = " ".join(["python -m", *command_of(name, store)])
        text = write(name, results, command, page)
        put_between(page, mark(name), f"{processor(name, store.content)}\n{text}")
    image = draw_ratios(results, page.parent / "images" / f"{page.stem}.png")
    shown = f"![How many times as fast](images/{image.name})\n\n" if image else ""
    put_between(page, mark("overview"), shown + origins(store.content))


def parser() -> CommandParser:
    """Describe the options."""
    options = CommandParser(
        "python -m benchmarks", description=__doc__.splitlines()[0], allow_abbrev=False
    )
    add = options.add_argument
    names = ", ".join(BENCHMARKS)
    add("--out", type=Path, required=True, metavar="FILE.json", help="where results are stored")
    add("--page", type=Path, metavar="FILE.md", help="put the tables and plots between its marks")
    add("--only", nargs="+", choices=list(BENCHMARKS), metavar="NAME", help=f"some of {names}")
    add("--again", action="store_true", help="measure those of --only anew")
    add_common(options)
    # what Ctrl-C leaves behind is taken up by the same command
    options.set_defaults(goes_on=True)
    return options


def main(args: argparse.Namespace) -> int:
    """Run what is missing; write the page; return 1 if a benchmark failed."""
    names = args.only or list(BENCHMARKS)
    if args.page is not None:  # before half an hour of measuring, not after it
        check_marks(args.page, [mark(name) for name in ["overview", *names]])
    if args.again and not args.only:
        raise InputError("--again: name what is to be measured anew: --only NAME")
    settings = common_settings(args.rounds, args.quick)
    if args.again:
        for name in names:
            Store(args.out, settings).set_aside(name)
        # after Ctrl-C the command that goes on is not to set aside what was measured until then
        sys.argv = [word for word in sys.argv if word != "--again"]
    failed = False
    for name in names:
        stored = Store(args.out, settings).arguments_of(name)
        if stored is not None:
            other = stored != list(BENCHMARKS[name].arguments)
            told = f", of {' '.join(stored) or 'no arguments'}: --again measures today's" * other
            print(f"{name}: stored already{told}", file=sys.stderr)
            continue
        reason = run(name, args)
        store = Store(args.out, settings)  # as the benchmark left it
        failed |= bool(reason)
        if not reason:
            store.finish(name, BENCHMARKS[name].arguments)
        elif store.put_back(name):
            print(f"{name}: {reason}: its former results stay", file=sys.stderr)
        else:
            store.fail(name, reason)
    if args.page is not None:
        write_page(args.page, names, Store(args.out, settings))
    return int(failed)


if __name__ == "__main__":
    run_command(main, parser())
