"""What memory this process holds, as Linux tells it."""

from __future__ import annotations

from pathlib import Path


def held(kind: str) -> int:
    """Return bytes of this process.

    Parameters
    ----------
    kind : {"VmRSS", "VmHWM", "RssAnon"}
        All that lies in memory now; the most that did since :func:`forget_peak`; all now but the
        files that it has mapped.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == kind:
            return int(value.split()[0]) * 1024
    raise SystemExit(f"this system does not tell {kind}")


def forget_peak() -> None:
    """Let the most memory that this process has had be what it has now."""
    Path("/proc/self/clear_refs").write_text("5")
