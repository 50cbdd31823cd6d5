"""Show or clear the images that were decoded before and are kept for later runs."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("--clear", action="store_true", help="remove all of them")


def run(args: argparse.Namespace) -> None:
    """List the caches, or remove them."""
    from tripletnet.data.cache import cache_info, clear_cache

    if args.clear:
        print(f"{clear_cache() / 1e6:,.1f} MB freed")
        return
    entries = cache_info()
    for entry in entries:
        height, width = entry.size
        print(
            f"{entry.images:>9,} images of {width} x {height} ({entry.fit}) "
            f"{entry.bytes / 1e6:>9,.1f} MB  {entry.root}"
        )
    total = sum(entry.bytes for entry in entries)
    print(
        f"{len(entries)} {'cache' if len(entries) == 1 else 'caches'}, {total / 1e6:,.1f} MB; "
        "remove with: tripletnet cache --clear"
    )
