"""Ready MXNet 1.9.1 for today's Python: the only place that knows its wounds.

MXNet is imported through :func:`load_mxnet` and nowhere else, so that `import tripletnet` stays
light and so that the repairs and the number of threads are in place before MXNet is first loaded.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import sys
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.late_operators import late_operators
from tripletnet.processor import CPUINFO, has_tiles, processor_facts, usable_cores

if TYPE_CHECKING:
    import mxnet

# These look up numpy.bool not only while they are imported but whenever they are used.
_READ_BOOL_LATER = {
    "mxnet.numpy.multiarray": "_np",
    "mxnet.ndarray.numpy._op": "_np",
    "mxnet.symbol.numpy._symbol": "_np",
    "mxnet.test_utils": "np",
}

# MXNet imports these for parts of it that hardly anybody uses, and they take longer than MXNet
# itself. They are kept from it, and imported where such a part asks its alias for something.
# (Of sklearn it only wants a base class for FeedForward, its API before Gluon and Module.)
_IMPORTED_LATER: dict[str, dict[str, str]] = {
    "sklearn": {},
    "scipy.stats": {"mxnet.contrib.quantization": "stats", "mxnet.test_utils": "ss"},
}
# Without this one MXNet cannot be imported, though it asks it for nothing then: it has a stand-in.
_STOOD_IN_FOR = "requests"


@functools.cache
def load_mxnet() -> types.ModuleType:
    """Import MXNet, repaired and with a thread for each physical core, and return it.

    The environment variable OMP_NUM_THREADS wins where it is set. The aliases that NumPy no
    longer has are lent for the import and taken away again. Its libraries are told what an Intel
    processor can do, unless OPENBLAS_CORETYPE or DNNL_MAX_CPU_ISA says it.

    Warns
    -----
    RuntimeWarning
        If MXNet was imported before and OMP_NUM_THREADS was not set: MXNet then uses half of the
        processors, and nothing changes that afterwards.

    Raises
    ------
    InputError
        If MXNet is not installed or a system library that it needs is missing.
    """
    if "mxnet" in sys.modules:
        if "OMP_NUM_THREADS" not in os.environ:
            warnings.warn(
                "mxnet was imported before tripletnet could set its threads, so it may use only "
                "half of the processors: import tripletnet's networks first, or set "
                "OMP_NUM_THREADS",
                RuntimeWarning,
                stacklevel=2,
            )
        _use_tiles(sys.modules["mxnet"])
        return sys.modules["mxnet"]
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    lent = "bool" not in vars(np)
    if lent:
        np.bool = np.bool_  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings(), known_processor(), _import_later(), late_operators():
            warnings.simplefilter("ignore", DeprecationWarning)
            import mxnet
    except ModuleNotFoundError as error:
        if error.name == "distutils":
            raise InputError(
                "MXNet needs distutils, which Python 3.12 dropped: pip install setuptools"
            ) from error
        raise InputError(
            f"MXNet cannot be imported, {error.name} is missing: pip install 'mxnet==1.9.1'"
        ) from error
    except OSError as error:
        raise InputError(
            f"MXNet cannot load a system library ({error}): install it "
            "(Debian and Ubuntu: apt-get install libgomp1 libquadmath0)"
        ) from error
    finally:
        if lent:
            del np.bool  # type: ignore[attr-defined]
    if lent:
        numpy_with_bool = _NumPyWithBool("numpy")
        for module, alias in _READ_BOOL_LATER.items():
            setattr(sys.modules[module], alias, numpy_with_bool)
    _use_tiles(mxnet)
    return mxnet


def _use_tiles(mxnet: types.ModuleType) -> None:
    """Let oneDNN multiply in the processor's tiles (AMX), which its version 2.4 leaves alone."""
    # a child that has not asked for the tiles would die of them, so that it must not inherit this
    name = "DNNL_MAX_CPU_ISA"
    if not has_tiles() or name in os.environ:
        return
    with environment(name, "AVX512_CORE_AMX"):
        # oneDNN reads it once, for the first thing that it computes
        one = mxnet.nd.ones((1, 1))
        mxnet.nd.FullyConnected(one, one, num_hidden=1, no_bias=True).wait_to_read()


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment meanwhile; afterwards it is as it was."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def _import_later() -> Iterator[None]:
    """Keep what MXNet hardly needs from being imported with it; what is there already stays."""
    hidden = [name for name in _IMPORTED_LATER if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: not to be found
    stand_ins = {_STOOD_IN_FOR} - set(sys.modules)
    sys.modules.update({name: _Later(name) for name in stand_ins})
    try:
        yield
    finally:
        for name in [*hidden, *stand_ins]:
            del sys.modules[name]
    for name in hidden:
        for module, alias in _IMPORTED_LATER[name].items():
            setattr(sys.modules[module], alias, _Later(name))


class _Later(types.ModuleType):
    """A module that is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


class _NumPyWithBool(types.ModuleType):
    """NumPy as MXNet's own modules expect it, so that everybody else's stays untouched."""

    bool = np.bool_

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@functools.cache
def load_gluoncv() -> types.ModuleType:
    """Import GluonCV, which takes 2 s, and return it.

    It refuses to be imported beside PyTorch 2, which it does not need, so that PyTorch is out of
    sight meanwhile; and it makes Pillow take truncated images for whole ones, which is undone.

    Raises
    ------
    InputError
        If GluonCV is not installed or something that it needs is missing.
    """
    load_mxnet()
    from PIL import ImageFile

    take_truncated = ImageFile.LOAD_TRUNCATED_IMAGES
    torch = sys.modules.get("torch")
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import gluoncv.model_zoo
    except ImportError as error:
        raise InputError(
            f"GluonCV cannot be imported ({error}): pip install 'gluoncv>=0.10.5'"
        ) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = take_truncated
        del sys.modules["torch"]
        if torch is not None:
            sys.modules["torch"] = torch
    return gluoncv


@contextlib.contextmanager
def known_processor(cpuinfo: Path = CPUINFO) -> Iterator[None]:
    """Tell an old OpenBLAS that is imported inside which kernels an Intel processor can run.

    It takes processors that are younger than itself for a Pentium 4, which makes matrix products
    several times slower. OPENBLAS_CORETYPE overrules this, and is as it was afterwards.

    Parameters
    ----------
    cpuinfo : Path
        Where the kernel tells the processor's vendor and flags.
    """
    core = None if "OPENBLAS_CORETYPE" in os.environ else _openblas_core(cpuinfo)
    with environment("OPENBLAS_CORETYPE", core) if core else contextlib.nullcontext():
        yield


def _openblas_core(cpuinfo: Path) -> Optional[str]:
    """Return OpenBLAS's name for the kernels that an Intel processor can run; None for others."""
    facts = processor_facts(cpuinfo)
    if facts.get("vendor_id") != "GenuineIntel":
        return None
    flags = set(facts.get("flags", "").split())
    if flags >= {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}:
        return "SkylakeX"
    return "Haswell" if flags >= {"avx2", "fma"} else None


def device(name: str = "cpu") -> mxnet.Context:
    """Return the MXNet context that `name` stands for.

    Parameters
    ----------
    name : str
        ``cpu``, ``gpu`` or ``gpu:N``. The GPU is untested: MXNet's wheel on PyPI has no CUDA.

    Raises
    ------
    InputError
        If the name is none of these, or this MXNet or machine has no such GPU.
    """
    if not re.fullmatch(r"cpu|gpu(:\d+)?", name):
        raise InputError(f"device '{name}' is not known: use cpu, gpu or gpu:N")
    mx = load_mxnet()
    if name == "cpu":
        return mx.cpu()
    try:
        count = mx.context.num_gpus()
    except mx.MXNetError:
        count = 0
    index = int(name.partition(":")[2] or 0)
    if index >= count:
        raise InputError(
            f"device '{name}': MXNet sees {count} GPUs; use --device cpu, or install an MXNet "
            "built for CUDA"
        )
    return mx.gpu(index)


def versions() -> Mapping[str, Optional[str]]:
    """Return the versions of Python and of the libraries that a result depends on."""
    from importlib import metadata

    found: dict[str, Optional[str]] = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in ("tripletnet", "mxnet", "gluoncv", "numpy", "opencv-python", "scikit-learn"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
