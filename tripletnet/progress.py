"""What commands show on standard error while they work, and of what they could not use."""

from __future__ import annotations

import contextlib
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from tripletnet.data.scan import LeftOut


@contextlib.contextmanager
def stage_bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows on standard error how far each stage of the work is.

    No bar is shown if `quiet` or if standard error is no terminal.
    """
    from tqdm import tqdm

    with contextlib.ExitStack() as stack:
        bars: dict[str, tqdm] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                silent = quiet or not sys.stderr.isatty()
                bar = tqdm(desc=stage, unit=" pictures", total=total, disable=silent)
                bars[stage] = stack.enter_context(bar)
            bars[stage].update(done - bars[stage].n)

        yield show


def write_left_out(left_out: Sequence[LeftOut], path: Path) -> None:
    """Write a table of the files that could not be used and of the reasons."""
    from tripletnet.files import atomic_table

    with atomic_table(path) as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["path", "reason"])
        table.writerows([item.path, item.reason] for item in left_out)


def tell_left_out(left_out: Sequence[LeftOut], path: Optional[Path] = None) -> None:
    """Say on standard error what could not be used, and write all of it to `path`.

    Where everything could be used, an earlier table at `path` is removed.
    """
    from tripletnet.data.scan import describe_left_out

    for line in describe_left_out(left_out):
        print(f"tripletnet: {line}", file=sys.stderr)
    if path is not None and not left_out:
        path.unlink(missing_ok=True)
    elif path is not None:
        write_left_out(left_out, path)
        print(f"tripletnet: all that was left out: {path}", file=sys.stderr)
