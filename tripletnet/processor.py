"""What this machine's processor is and can do."""

from __future__ import annotations

import ctypes
import functools
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")

# arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) of x86-64: Linux's documentation, x86/xstate
_ARCH_PRCTL, _ASK, _TILE_DATA = 158, 0x1023, 18


def processor_facts(cpuinfo: Path = CPUINFO) -> dict[str, str]:
    """Return what Linux tells of the first processor, by its names for it; elsewhere nothing.

    Parameters
    ----------
    cpuinfo : Path
        Where Linux tells it.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return {}
    first, _, _ = text.strip().partition("\n\n")
    lines = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def processor_has(*features: str, cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether the processor has one of some features, as Linux names its flags."""
    flags = processor_facts(cpuinfo).get("flags", "").split()
    return not set(features).isdisjoint(flags)


@functools.cache
def has_tiles(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether the processor multiplies matrices in tiles (AMX), and Linux lets this process.

    Linux gives the tiles' registers to none but those that ask; this asks.

    Parameters
    ----------
    cpuinfo : Path
        Where Linux tells what the processor has.
    """
    if platform.machine() != "x86_64" or not processor_has("amx_tile", cpuinfo=cpuinfo):
        return False
    return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _ASK, _TILE_DATA) == 0


def processor_name() -> str:
    """Return what tells this processor from others: its name, family and model."""
    facts = processor_facts()
    told = [facts.get("model name") or platform.processor() or platform.machine()]
    # clouds give many processors one name
    told += [
        f"{name.rpartition(' ')[2]} {facts[name]}"
        for name in ("cpu family", "model")
        if name in facts
    ]
    return ", ".join(told)
