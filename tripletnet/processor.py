"""What this machine's processor can do."""

from __future__ import annotations

import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor_has(*features: str, cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether the processor has one of some features.

    Parameters
    ----------
    *features : str
        As Linux names them among the processor's flags.
    cpuinfo : Path
        Where Linux tells the flags; elsewhere the answer is no.
    """
    try:
        flags = re.search(r"^flags\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)
    except OSError:
        return False
    return flags is not None and not set(features).isdisjoint(flags[1].split())
