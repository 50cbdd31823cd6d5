"""What commands show on standard error while they work, and of what they could not use."""

from __future__ import annotations

import contextlib
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


def tell_left_out(left_out: Sequence[LeftOut], path: Optional[Path] = None) -> None:
    """Say on standard error what could not be used, and write all of it to `path`.

    Where everything could be used, an earlier table at `path` is removed.
    """
    from tripletnet.data.scan import describe_left_out, write_left_out

    for line in describe_left_out(left_out):
        print(f"tripletnet: {line}", file=sys.stderr)
    if path is not None:
        write_left_out(left_out, path)
    if path is not None and left_out:
        print(f"tripletnet: all that was left out: {path}", file=sys.stderr)
