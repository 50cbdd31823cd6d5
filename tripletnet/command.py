"""What every command line of the project does alike: parse, run, and end with the right status."""

from __future__ import annotations

import argparse
import errno
import io
import math
import re
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, NoReturn, Optional, Union

from tripletnet.errors import InputError
from tripletnet.event_files import refuse_other_event_files
from tripletnet.extras import load_tensorboardx
from tripletnet.registry import DISTANCES, ENCODING_PRECISIONS
from tripletnet.run_files import TENSORBOARD

# what a path that was given can be at fault for
_WRONG_PLACE = {
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.EACCES,
    errno.EROFS,
    errno.ENOSPC,
}

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_seed(text: str) -> int:
    """Return a seed that every generator of random numbers takes."""
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"'{text}' is no seed: give a number from 0 to 2147483647")
    return int(text)


def parse_number(text: str) -> float:
    """Return a number that an option was given, which is neither NaN nor infinite."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{text}' is no number")
    return value


def parse_share(text: str) -> float:
    """Return a share of the images that leaves some to learn from."""
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share: give a number from 0 to below 1")
    return share


def parse_size(text: str) -> int:
    """Return a number of bytes that is given as 500MB, 6 GB or 2g (of 1,000 each)."""
    match = re.fullmatch(r"\s*([\d.]+)\s*([KMGT]?)I?B?\s*", text.upper())
    try:
        if match is None:
            raise ValueError
        return int(float(match[1]) * _UNITS[match[2]])
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"'{text}' is no size: give it as 500MB or 6GB") from None


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Describe the option --seed."""
    text = "decides all that is random (default: %(default)s)"
    parser.add_argument("--seed", type=parse_seed, default=0, help=text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Describe the option --device."""
    text = "cpu, gpu or gpu:N (the GPU is untested)"
    parser.add_argument("--device", default="cpu", help=text)


def encoder_options(args: argparse.Namespace) -> list[str]:
    """Return which options are given that only what encodes can follow: --precision, --device."""
    usual = {"precision": "fp32", "device": "cpu"}
    return [f"--{name}" for name, value in usual.items() if getattr(args, name) != value]


def add_precision(parser: argparse.ArgumentParser) -> None:
    """Describe the option --precision of commands that encode."""
    parser.add_argument(
        "--precision",
        choices=ENCODING_PRECISIONS,
        default="fp32",
        help="the numbers that the encoder computes in; auto: int8 where it is faster on this "
        "processor and its codes agree with those of fp32 (default: %(default)s)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Describe the option --run of the commands that take an index."""
    parser.add_argument(
        "--run",
        dest="run_folder",
        metavar="RUN",
        type=Path,
        help="the run folder of the codes, if it has been moved since",
    )


def add_distance(parser: argparse.ArgumentParser) -> None:
    """Describe the option --distance of commands that measure."""
    text = f"how far two codes are apart: {DISTANCES} (default: %(default)s)"
    parser.add_argument("--distance", default="squared", help=text)


def add_tensorboard(parser: argparse.ArgumentParser) -> None:
    """Describe the option --tensorboard."""
    parser.add_argument(
        "--tensorboard",
        nargs="?",
        type=Path,
        const=True,
        metavar="FOLDER",
        help="write what TensorBoard shows into FOLDER/NAME-OF-THE-RUN (default: into the run "
        "folder)",
    )


def tensorboard_folder(given: Union[Path, bool, None], run: Path) -> Optional[Path]:
    """Return where the option --tensorboard wants the event file of the run in `run`, if at all.

    Raises
    ------
    InputError
        If it is wanted and the extra `tensorboard` is not installed, or another run of that name
        has written there.
    """
    if given is None:
        return None
    load_tensorboardx()
    if not isinstance(given, Path):
        return run / TENSORBOARD
    folder = given / run.resolve().name
    refuse_other_event_files(folder, run)
    return folder


class CommandParser(argparse.ArgumentParser):
    """A parser that refuses bad options in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with status 2."""
        self.exit(2, f"tripletnet: error: {message} (see {self.prog} --help)\n")


def run_command(
    main: Callable[[argparse.Namespace], Any],
    parser: CommandParser,
    argv: Optional[Sequence[str]] = None,
) -> NoReturn:
    """Parse the command line, call `main` with the options, and exit.

    The status is 0, or what `main` returns, when it is done, 2 when the user's input is at fault
    (with one line on standard error), 1 when it failed, and 130 when it was interrupted (with the
    command that goes on, where there is the option ``--resume`` or the parser's default
    ``goes_on``).

    Parameters
    ----------
    main : callable
        Does the work; may raise InputError.
    parser : CommandParser
        Describes the options.
    argv : sequence of str, optional
        The options; default: the process's own.
    """
    warnings.showwarning = _show_warning
    if isinstance(sys.stdout, io.TextIOWrapper):
        # names of files that are not UTF-8: as escapes, which JSON reads too
        sys.stdout.reconfigure(errors="backslashreplace")
    options = sys.argv[1:] if argv is None else argv
    if any(not text or re.fullmatch("--[^=]*=", text) for text in options):
        # as a path it would be the current folder
        parser.error("an argument is empty, as that of a shell's variable that is not set")
    args = parser.parse_args(options)
    try:
        status = main(args)
    except InputError as error:
        sys.exit(_complain(2, str(error)))
    except KeyboardInterrupt:
        if hasattr(args, "resume") or getattr(args, "goes_on", False):
            given = list(sys.argv if argv is None else [parser.prog, *argv])
            again = [] if getattr(args, "resume", True) else ["--resume"]
            if given[0].endswith("__main__.py"):
                given[:1] = ["python", "-m", Path(given[0]).parent.name]
            elif given[0].endswith(".py"):
                given.insert(0, "python")
            command = shlex.join([*given, *again])
            print(f"\ntripletnet: stopped. To go on: {command}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            sys.exit(_complain(1, f"{error}"))
        told = f"{error.filename}: {error.strerror}"
        if error.errno not in _WRONG_PLACE:
            sys.exit(_complain(1, told))
        sys.exit(_complain(2, f"{told}: give another place"))
    except RuntimeError as error:
        sys.exit(_complain(1, f"{error}"))
    sys.exit(status or 0)


def _complain(status: int, message: str) -> int:
    print(f"tripletnet: error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _show_warning(message: Any, category: type[Warning], *place: Any, **where: Any) -> None:
    """Show a warning to a person: what it says, not which line of code said it."""
    print(f"tripletnet: warning: {message}", file=sys.stderr)
