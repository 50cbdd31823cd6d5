"""The repairs around MXNet: cores, threads, NumPy, devices, and what stays unimported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tripletnet import processor, runtime
from tripletnet.errors import InputError
from tripletnet.processor import has_tiles, processor_has


def run_python(code: str, **environment: str) -> str:
    """Run `code` in a fresh Python without OMP_NUM_THREADS and return what it prints."""
    inherited = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_tree(root: Path, files: Mapping[str, object]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    root.mkdir(exist_ok=True)
    return root


def make_cpus(root: Path, places: list[tuple[int, int]]) -> Path:
    """Lay out sysfs for processors that lie at (package, core)."""
    files = {}
    for cpu, (package, core) in enumerate(places):
        files[f"cpu{cpu}/topology/physical_package_id"] = package
        files[f"cpu{cpu}/topology/core_id"] = core
    return make_tree(root, files)


def test_mxnet_leaves_what_it_hardly_needs_unimported():
    code = (
        "import sys; from tripletnet.backend import mx; "
        "print([name in sys.modules for name in ('sklearn', 'pandas', 'scipy.stats')], "
        "mx.test_utils.ss.norm.ppf(0.5, 0, 1), mx.contrib.quantization.stats.__name__); "
        "import scipy.stats, sklearn.base"
    )
    assert run_python(code) == "[False, False, False] 0.0 scipy.stats"
    code = (
        "import scipy.stats as s; from tripletnet.backend import mx; print(mx.test_utils.ss is s)"
    )
    assert run_python(code) == "True"


def test_whoever_trains_or_encodes_does_not_wait_for_scikit_learn():
    code = (
        "import sys; import tripletnet.training, tripletnet.retrieval.encoder; "
        "print([name in sys.modules for name in ('sklearn', 'pandas', 'scipy.stats')]); "
        "from tripletnet.evaluation import SVMProbe; print(SVMProbe(C=2.0))"
    )
    assert run_python(code).splitlines() == ["[False, False, False]", "SVMProbe(C=2.0)"]


@pytest.fixture
def allow(monkeypatch):
    """Set the affinity mask of this process, as far as Python shows it."""

    def set_mask(*cpus: int) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(cpus), raising=False)

    return set_mask


FOUR_CORES_EIGHT_THREADS = [(0, 0), (0, 1), (1, 0), (1, 1)] * 2


@pytest.mark.parametrize(
    ("mask", "cores"),
    [
        (range(8), 4),  # threads of one core count once, equal cores of two packages twice
        ([0, 4], 1),
        ([0, 2], 2),
        ([0, 1, 5], 2),
    ],
)
def test_cores_within_the_affinity_mask(tmp_path, allow, mask, cores):
    allow(*mask)
    cpus = make_cpus(tmp_path / "cpu", FOUR_CORES_EIGHT_THREADS)
    assert processor.usable_cores(cpus, tmp_path / "none") == cores


def test_processors_count_where_the_topology_is_hidden(tmp_path, allow):
    allow(0, 3, 5)
    assert processor.usable_cores(tmp_path / "none", tmp_path / "none") == 3


def test_cores_without_affinity(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert processor.usable_cores(tmp_path, tmp_path) == 6


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "10000 100000"}, 1),
        ({"cpu.max": "900000 100000"}, 4),  # no more than there are
        ({"cpu.max": "max 100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": 300000, "cpu/cpu.cfs_period_us": 100000}, 3),
        ({"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100000}, 4),
        ({"cpu/cpu.cfs_quota_us": 300000}, 4),
        ({}, 4),
    ],
)
def test_cores_within_the_container_quota(tmp_path, allow, quota, cores):
    allow(*range(8))
    cpus = make_cpus(tmp_path / "cpus", FOUR_CORES_EIGHT_THREADS)
    assert processor.usable_cores(cpus, make_tree(tmp_path / "cgroup", quota)) == cores


def test_this_machine_has_a_core():
    assert 1 <= processor.usable_cores() <= (os.cpu_count() or 1)


def test_numpy_is_left_as_it_was_and_mxnet_has_its_threads():
    told = run_python(
        "import os, warnings, numpy as np\n"
        "names = ('bool', 'int', 'float', 'object', 'str', 'complex')\n"
        "before = {name: vars(np).get(name) for name in names}\n"
        "from tripletnet.processor import usable_cores\n"
        "from tripletnet.runtime import load_mxnet\n"
        "warnings.simplefilter('error')\n"
        "mx = load_mxnet()\n"
        "assert load_mxnet() is mx\n"
        "assert {name: vars(np).get(name) for name in names} == before\n"
        "print(int(os.environ['OMP_NUM_THREADS']) == usable_cores())"
    )
    assert told == "True"


def test_threads_that_the_user_chose_are_kept():
    told = run_python(
        "import os, sys, types\n"
        "from tripletnet.runtime import load_mxnet\n"
        # an mxnet that knows nothing, so that only the environment is looked at
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'mxnet':\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "try:\n"
        "    load_mxnet()\n"
        "except ValueError as error:\n"
        "    print(os.environ['OMP_NUM_THREADS'], type(error).__name__, error)",
        OMP_NUM_THREADS="7",
    )
    assert told.startswith("7 InputError ")
    assert "pip install" in told


def test_mxnet_finds_its_bool_after_the_import():
    mx = runtime.load_mxnet()
    array = mx.np.array([1.0, -2.0, 3.0])
    mask = np.array([True, False, True])
    assert array[array > 0].asnumpy().tolist() == [1.0, 3.0]
    assert array[mask].asnumpy().tolist() == [1.0, 3.0]
    array[array < 0] = 0
    assert array.asnumpy().tolist() == [1.0, 0.0, 3.0]
    assert mx.np.full((2,), True).dtype == np.bool_
    mx.test_utils.assert_almost_equal(np.ones(2), np.ones(2))


@pytest.mark.parametrize(("threads", "warned"), [({}, True), ({"OMP_NUM_THREADS": "1"}, False)])
def test_warns_where_mxnet_was_imported_before(threads, warned):
    told = run_python(
        "import warnings, numpy\n"
        "numpy.bool = bool\n"  # as MXNet wants it
        "import mxnet as before\n"
        "from tripletnet.runtime import load_mxnet\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    assert load_mxnet() is before and load_mxnet() is before\n"
        "for warning in caught:\n"
        "    print(warning.category.__name__, warning.message)",
        **threads,
    )
    if warned:
        assert told.count("\n") == 0
        assert told.startswith("RuntimeWarning mxnet was imported before")
        assert "OMP_NUM_THREADS" in told
    else:
        assert told == ""


def test_importing_tripletnet_is_light():
    told = run_python(
        "import sys, tripletnet, tripletnet.errors, tripletnet.files, tripletnet.runtime\n"
        "heavy = ('mxnet', 'cv2', 'matplotlib', 'sklearn', 'scipy', 'gluoncv')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert told == "[]"


def test_device_cpu():
    mx = runtime.load_mxnet()
    assert runtime.device() == runtime.device("cpu") == mx.cpu()


@pytest.mark.parametrize("name", ["", "cuda", "CPU", "cpu:1", "gpu:", "gpu:x", "gpu:-1", "gpu1"])
def test_unknown_devices_are_refused(name):
    with pytest.raises(InputError, match=f"device '{name}' is not known: use cpu, gpu or gpu:N"):
        runtime.device(name)


@pytest.mark.parametrize("name", ["gpu", "gpu:0", "gpu:99"])
def test_missing_gpus_are_refused(name):
    mx = runtime.load_mxnet()
    try:
        count = mx.context.num_gpus()
    except mx.MXNetError:
        count = 0
    if name != "gpu:99" and count:
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match=rf"device '{name}': MXNet sees {count} GPUs; use"):
        runtime.device(name)


def test_versions_name_what_a_result_depends_on():
    versions = runtime.versions()
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["numpy"] == np.__version__
    assert versions["mxnet"] == runtime.load_mxnet().__version__
    assert versions["tripletnet"]


@pytest.mark.parametrize(
    ("vendor", "flags", "core"),
    [
        ("GenuineIntel", "sse avx2 fma avx512f avx512cd avx512bw avx512dq avx512vl", "SkylakeX"),
        ("GenuineIntel", "sse avx2 fma avx512f", "Haswell"),
        ("GenuineIntel", "sse avx", None),
        ("AuthenticAMD", "sse avx2 fma", None),
    ],
)
def test_an_old_openblas_is_told_the_processor(tmp_path, monkeypatch, vendor, flags, core):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"vendor_id\t: {vendor}\nflags\t\t: {flags}\n")
    with runtime.known_processor(cpuinfo):
        assert os.environ.get("OPENBLAS_CORETYPE") == core
    assert "OPENBLAS_CORETYPE" not in os.environ
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    with runtime.known_processor(cpuinfo):
        assert os.environ["OPENBLAS_CORETYPE"] == "Zen"
    with runtime.known_processor(tmp_path / "none"):
        pass


CONVOLVE = """
import os
import numpy as np
from tripletnet.backend import mx
from tripletnet.training.tracing import _BF16
image = np.arange(800.0).reshape(1, 32, 5, 5) % 7
kernels = np.arange(9216.0).reshape(32, 32, 3, 3) % 3
low = [mx.nd.amp_cast(mx.nd.array(a), dtype=_BF16) for a in (image, kernels)]
out = mx.nd.Convolution(*low, kernel=(3, 3), num_filter=32, no_bias=True)
print(mx.nd.amp_cast(out, dtype="float32").asnumpy()[0, :4, 0, 0].tolist())
print(os.environ.get("DNNL_MAX_CPU_ISA"))
"""


def test_a_processor_without_tiles_has_none(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags\t\t: avx2 avx512f avx512_bf16\n")
    assert not has_tiles(cpuinfo)
    assert not has_tiles(tmp_path / "none")


@pytest.mark.skipif(not has_tiles(), reason="the processor has no tiles (amx_tile)")
@pytest.mark.parametrize(
    ("said", "tiles"), [(None, True), ("AVX512_CORE_AMX", True), ("AVX512_CORE_BF16", False)]
)
def test_onednn_multiplies_in_tiles_unless_it_is_told_otherwise(said, tiles):
    environment = {"MKLDNN_VERBOSE": "1", **({"DNNL_MAX_CPU_ISA": said} if said else {})}
    *told, values, left = run_python(CONVOLVE, **environment).splitlines()
    convolutions = [line for line in told if "exec,cpu,convolution" in line]
    assert convolutions
    assert all(("amx" in line) == tiles for line in convolutions)
    image = np.arange(800.0).reshape(32, 5, 5) % 7
    kernels = np.arange(9216.0).reshape(32, 32, 3, 3) % 3
    right = [(image[:, :3, :3] * kernel).sum() for kernel in kernels[:4]]
    np.testing.assert_allclose(json.loads(values), right, rtol=2**-8)
    assert left == str(said)  # what a child would inherit


@pytest.mark.skipif(not processor_has("amx_bf16"), reason="the processor has no tiles (amx_bf16)")
def test_linux_gives_the_tiles_to_who_asks():
    assert has_tiles()


def test_operators_are_written_when_they_are_called():
    told = run_python(
        "import numpy as np, sys\n"
        "from tripletnet.runtime import load_mxnet\n"
        "mx = load_mxnet()\n"
        "assert not any('late' in type(finder).__module__ for finder in sys.meta_path)\n"
        "told = 'told of here when it has been called'\n"
        "assert all(told in o.__doc__ for o in (mx.nd.dot, mx.sym.dot))\n"
        "assert mx.nd.dot.__name__ == 'dot'\n"
        "a, b = mx.nd.array([[1, 2], [3, 4]]), mx.nd.array([[5], [6]])\n"
        "assert mx.nd.dot(a, b).asnumpy().tolist() == [[17], [39]]\n"
        "assert mx.nd.dot(a, rhs=b, transpose_a=True).asnumpy().tolist() == [[23], [34]]\n"
        "symbol = mx.sym.dot(mx.sym.var('a'), mx.sym.var('b'), name='product')\n"
        "assert symbol.eval(a=a, b=b)[0].asnumpy().tolist() == [[17], [39]]\n"
        "assert symbol.name == 'product'\n"
        "assert mx.np.tril(mx.np.ones((2, 2))).asnumpy().tolist() == [[1, 0], [1, 1]]\n"
        "assert all('told of here' not in o.__doc__ for o in (mx.nd.dot, mx.sym.dot))\n"
        "assert mx.nd.dot.__doc__.startswith('Dot product of two arrays')\n"
        "try:\n"
        "    mx.nd.dot(a, 3)\n"
        "except AssertionError as error:\n"
        "    print(error)"
    )
    assert told == "Argument rhs must have NDArray type, but got 3"
