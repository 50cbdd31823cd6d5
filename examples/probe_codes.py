"""Judge codes from any source: an .npz with `codes` (N, D) and `labels` (N,).

python examples/probe_codes.py CODES.npz
"""

import argparse

import numpy as np
from sklearn.model_selection import train_test_split

from tripletnet import SVMProbe
from tripletnet.codes.file import read_codes
from tripletnet.command import CommandParser, run_command
from tripletnet.errors import InputError


def main(args: argparse.Namespace) -> None:
    """Fit the SVM on three quarters of the codes, and print how many of the rest it names."""
    stored = read_codes(args.codes)
    codes, labels = stored.codes, stored.labels
    if labels is None:
        raise InputError(f"{args.codes}: holds no labels: store them with the codes")
    try:
        train, test = train_test_split(np.arange(len(codes)), stratify=labels, random_state=0)
    except ValueError as error:  # too few to divide
        raise InputError(f"{args.codes}: {error}") from None
    probe = SVMProbe().fit(codes[train], labels[train])
    print(f"SVM accuracy {probe.score(codes[test], labels[test]):.1%} (C = {probe.C_})")


if __name__ == "__main__":
    options = CommandParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("codes", metavar="CODES.npz", help="`codes` (N, D) and `labels` (N,)")
    run_command(main, options)
