"""The command `tripletnet`: one file a command in `tripletnet.commands`, one line here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import NoReturn, Optional

from tripletnet.command import CommandParser, run_command
from tripletnet.commands import (
    cache,
    compare,
    duplicates,
    encode,
    evaluate,
    index,
    quantize,
    search,
    train,
    triplets,
)

COMMANDS = (train, triplets, evaluate, encode, index, search, compare, duplicates, quantize, cache)


def make_parser() -> CommandParser:
    """Return the parser of all commands."""
    parser = CommandParser(
        prog="tripletnet",
        description="Learn what 'similar' means from your own images, then find and judge by it.",
    )
    parser.add_argument(
        "--version", action="version", version=f"tripletnet {metadata.version('tripletnet')}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2]
        summary = (module.__doc__ or "").partition("\n")[0].rstrip(".")
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Optional[Sequence[str]] = None) -> NoReturn:
    """Run the command line and exit with its status."""
    run_command(lambda args: args.run(args), make_parser(), argv)
