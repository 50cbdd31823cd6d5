"""A network of ours and its rivals, each as a function from pixels to codes.

PyTorch runs the network's twin; ONNX Runtime and OpenVINO run the ONNX file that PyTorch exports
of it. All have the same weights and the same number of threads.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Callable

import numpy as np

from benchmarks.rivals import TORCH_WAYS, LeftOut, make_all, named, require, threads
from tripletnet.backend import mx
from tripletnet.networks import EncoderBlock, get_network

#: (N, 3, H, W) uint8 to (N, D) float32. All batches are of one shape.
Encode = Callable[[np.ndarray], np.ndarray]

OURS = "tripletnet fp32"
CALIBRATION_BATCHES = 4
# by ONNX Runtime; what comes before and after the layers stays in fp32
QUANTIZED = ("Conv", "Gemm", "MatMul", "AveragePool", "MaxPool", "Relu", "Add")
# how far codes may be from ours: the lowest cosine of an image's two codes
LOWEST_COSINE = {"fp32": 0.99999, "bf16": 0.999, "int8": 0.97}


def our_network(name: str, **arguments: Any) -> EncoderBlock:
    """Return a network of the registry with random weights, ready to run."""
    mx.random.seed(0)
    network = get_network(name, **arguments)
    network.initialize(mx.init.MSRAPrelu())
    network.hybridize(static_alloc=True, static_shape=True)
    return network


def draw_pixels(network: EncoderBlock, batch: int) -> np.ndarray:
    """Return a batch of noise, (batch, 3, H, W) uint8."""
    side = network.image_size
    return np.random.default_rng(0).integers(0, 256, (batch, 3, side, side), dtype=np.uint8)


def our_encode(network: EncoderBlock) -> Encode:
    """Return what encodes by MXNet, as `tripletnet encode` does it."""
    return lambda pixels: network(mx.nd.array(pixels, dtype="uint8")).asnumpy()


def rival_encoders(
    name: str, ours: EncoderBlock, pixels: np.ndarray, kinds: tuple[str, ...] = ()
) -> tuple[dict[str, Encode], dict[str, str]]:
    """Return the rivals that can be measured, and why each of the others is left out.

    Parameters
    ----------
    name : str
        The network's name in the registry.
    ours : EncoderBlock
        The network, whose weights all have.
    pixels : ndarray of uint8, shape (N, 3, H, W)
        A batch, to say the shape and to calibrate int8 with.
    kinds : tuple of str
        Only rivals with one of these words in their names; none: all.
    """
    with tempfile.TemporaryDirectory() as scratch:
        makers = _makers(name, ours, pixels, Path(scratch))
        made, left_out = make_all(named(makers, kinds))
        if not kinds:
            left_out["ONNX Runtime bf16"] = "it has no bf16 kernels for x86 processors"
        return made, left_out


def check_same_codes(encoders: dict[str, Encode], pixels: np.ndarray) -> dict[str, float]:
    """Return each encoder's lowest cosine to the first one's codes over a batch.

    Raises
    ------
    SystemExit
        If one is further off than rounding to its precision explains.
    """
    codes = {name: encode(pixels) for name, encode in encoders.items()}
    reference = next(iter(codes.values()))
    cosines = {name: float((found * reference).sum(axis=1).min()) for name, found in codes.items()}
    for name, cosine in cosines.items():
        kinds = [kind for kind in LOWEST_COSINE if kind in name]
        if not kinds:
            raise SystemExit(f"{name}: name it with its precision: {', '.join(LOWEST_COSINE)}")
        lowest = LOWEST_COSINE[kinds[0]]
        if not cosine >= lowest:
            raise SystemExit(f"{name}: its codes have cosine {cosine} to ours: another network")
    return cosines


def torch_runner(
    name: str, ours: EncoderBlock, layout: str = "contiguous_format", compiled: bool = False
) -> tuple[Any, Any]:
    """Return the network's twin in a memory layout, compiled or not, and the function to run it.

    Raises
    ------
    LeftOut
        If PyTorch is missing, or the network has no twin.
    """
    (torch,) = require("torch")
    from benchmarks.twins import twin_of

    torch.set_num_threads(threads())
    twin = twin_of(name, ours).to(memory_format=getattr(torch, layout))  # type: ignore
    return twin, torch.compile(twin) if compiled else twin


def not_compiled(error: Exception) -> LeftOut:
    """Return why torch.compile does not work here."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return LeftOut(f"torch.compile does not work here ({reason[:200]}): it needs a C++ compiler")


def export_onnx(name: str, ours: EncoderBlock, pixels: np.ndarray, path: Path) -> Path:
    """Write the network as ONNX, by PyTorch; uint8 pixels in, codes of unit length out."""
    torch, _ = require("torch", "onnx")
    if path.exists():
        return path
    twin, _ = torch_runner(name, ours)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            twin.eval(),
            (torch.from_numpy(pixels),),
            str(path),
            dynamo=False,  # the other exporter needs onnxscript, which wants a younger onnx
            input_names=["pixels"],
            output_names=["codes"],
            opset_version=17,
        )
    return path


def _makers(
    name: str, ours: EncoderBlock, pixels: np.ndarray, scratch: Path
) -> dict[str, Callable[[], Encode]]:
    onnx = partial(export_onnx, name, ours, pixels, scratch / "fp32.onnx")
    return {
        **{way: partial(_torch, name, ours, pixels, **how) for way, how in TORCH_WAYS.items()},
        "ONNX Runtime fp32": lambda: _onnx_runtime(onnx()),
        "ONNX Runtime int8": lambda: _onnx_runtime(_quantized(onnx(), pixels)),
        "OpenVINO fp32": lambda: _openvino(onnx(), "f32", pixels),
        "OpenVINO bf16": lambda: _openvino(onnx(), "bf16", pixels),
        "OpenVINO int8": lambda: _openvino(onnx(), "int8", pixels),
    }


def _torch(
    name: str,
    ours: EncoderBlock,
    pixels: np.ndarray,
    layout: str = "contiguous_format",
    bf16: bool = False,
    compiled: bool = False,
) -> Encode:
    (torch,) = require("torch")
    twin, run = torch_runner(name, ours, layout, compiled)
    twin.eval()
    order = getattr(torch, layout)

    def encode(pixels: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            codes: np.ndarray = run(torch.from_numpy(pixels).to(memory_format=order)).numpy()
        return codes

    if compiled:
        try:
            encode(pixels)
        except Exception as error:  # whatever the compiler's absence makes it raise
            raise not_compiled(error) from error
    return encode


def _onnx_runtime(path: Path) -> Encode:
    (onnxruntime,) = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    # its threads are not to wait in a loop while another one has its turn
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0]


def _quantized(path: Path, pixels: np.ndarray) -> Path:
    """Return an int8 model made by ONNX Runtime's own tool: static, weights by channel."""
    _, quantization, shapes = require(
        "onnx", "onnxruntime.quantization", "onnxruntime.quantization.shape_inference"
    )

    class Batches(quantization.CalibrationDataReader):  # type: ignore
        def __init__(self) -> None:
            self.left = iter([pixels] * CALIBRATION_BATCHES)

        def get_next(self) -> Any:
            batch = next(self.left, None)
            return None if batch is None else {"pixels": batch}

    prepared, quantized = path.with_name("prepared.onnx"), path.with_name("int8.onnx")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        shapes.quant_pre_process(str(path), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(quantized),
            Batches(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=list(QUANTIZED),
        )
    finally:
        root.setLevel(level)
    return quantized


def _openvino(path: Path, precision: str, pixels: np.ndarray) -> Encode:
    (openvino,) = require("openvino")
    core = openvino.Core()
    model = core.read_model(str(path))
    if precision == "int8":
        model = _nncf(model, pixels)
    hint = "f32" if precision == "int8" else precision
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads(),
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    return lambda pixels: compiled(pixels)[0]


def _nncf(model: Any, pixels: np.ndarray) -> Any:
    """Return an int8 model made by OpenVINO's own tool, NNCF."""
    (nncf,) = require("nncf")
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        return nncf.quantize(model, nncf.Dataset([pixels] * CALIBRATION_BATCHES))
