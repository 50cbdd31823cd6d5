"""What this machine's processor is and can do, and how much of it this process may use."""

from __future__ import annotations

import ctypes
import functools
import math
import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CPUS = Path("/sys/devices/system/cpu")
CGROUP = Path("/sys/fs/cgroup")

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


def usable_cores(cpus: Path = CPUS, cgroup: Path = CGROUP) -> int:
    """Count the physical cores that this process may use.

    Two hardware threads of one core count once; the affinity mask and a container's CPU quota
    (control groups, version 1 and 2) are respected.

    Parameters
    ----------
    cpus, cgroup : Path
        Where the kernel shows the processors and the control group.

    Returns
    -------
    int
        At least 1.
    """
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
    cores = set()
    for cpu in allowed:
        topology = cpus / f"cpu{cpu}" / "topology"
        try:
            package = (topology / "physical_package_id").read_text().strip()
            core = (topology / "core_id").read_text().strip()
        except OSError:  # some containers hide it
            package, core = "", str(cpu)
        cores.add((package, core))
    return max(1, math.ceil(min(len(cores), _cpu_quota(cgroup))))


def _cpu_quota(cgroup: Path) -> float:
    """Return how many processors the container's quota allows; infinity if there is none."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return math.inf
    if quota in ("max", "-1"):
        return math.inf
    return float(quota) / float(period)


@functools.cache
def threads() -> int:
    """Return how many threads libraries are given: OMP_NUM_THREADS, or one for each core."""
    try:
        return max(1, int(os.environ["OMP_NUM_THREADS"].split(",")[0]))
    except (KeyError, ValueError):
        return usable_cores()
