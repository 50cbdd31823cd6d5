"""Turn a trained encoder into one that computes in whole numbers of 8 bits."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.int8.folding import APART, fold, knows_no_scale
from tripletnet.int8.graph import INPUT, Graph, bound
from tripletnet.int8.ranges import Ranges
from tripletnet.int8.rounding import round_weights
from tripletnet.networks import EncoderBlock
from tripletnet.networks.base import normalize_rows
from tripletnet.processor import processor_has

_BACKEND, _QUANTIZE = "MKLDNN_QUANTIZE", "_contrib_quantize_v2"
#: Images that go through a network together while it is looked at.
_BATCH = 32
# x * x of a normalisation inside of a network: 8 bits are too few for a sum of squares.
_IN_FLOAT = ["elemwise_mul"]


class QuantisedBlock(mx.gluon.SymbolBlock):
    """What computes in 8 bits; :func:`tripletnet.encoding.encode` takes it."""

    gives_codes = True
    mirror = False
    image_size = 0
    #: Tells its codes from those of others, see :class:`Quantised`.
    digest = ""

    def forward(self, x: Any, *args: Any) -> Any:
        """Return the codes of images, after the check of their shape that fp32 makes."""
        EncoderBlock.check_images(self, x)
        return super().forward(x, *args)


@dataclass(frozen=True)
class Quantised:
    """An encoder in whole numbers of 8 bits.

    Attributes
    ----------
    graph : str
        Its operators: MXNet's symbol as JSON. Takes uint8 (N, 3, H, W), gives codes of unit length,
        (N, D) float32.
    parameters : dict of str to NDArray
        Its parameters and running statistics.
    image_size : int
        Height and width of the images, in pixels.
    mirror : bool
        Whether it encodes an image as the sum of its code and that of its mirror image, see
        :class:`tripletnet.networks.EncoderBlock`.
    static_shape : bool
        Whether MXNet may count on batches of one shape, which makes small ones up to eight times as
        fast; with some networks it fails then.
    """

    graph: str
    parameters: dict[str, Any]
    image_size: int
    mirror: bool = False
    static_shape: bool = True

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of graph, which holds the ranges, and parameters, however they are stored."""
        graph = json.dumps(json.loads(self.graph), sort_keys=True)
        digest = hashlib.sha256(graph.encode())
        for name, parameter in sorted(self.parameters.items()):
            values = parameter.asnumpy()
            digest.update(f"{name}{values.dtype}{values.shape}".encode())
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()

    def block(self) -> QuantisedBlock:
        """Return it as a block that is ready to encode, on the CPU.

        Raises
        ------
        KeyError, mxnet.MXNetError
            If graph and parameters do not fit together.
        """
        symbol = mx.sym.load_json(self.graph)
        block = QuantisedBlock(symbol, [mx.sym.var(INPUT, dtype="uint8")])
        block.mirror, block.image_size, block.digest = self.mirror, self.image_size, self.digest
        for name, parameter in block.collect_params().items():
            parameter._load_init(
                self.parameters[name], mx.cpu(), cast_dtype=True, dtype_source="saved"
            )
        block.hybridize(static_alloc=True, static_shape=self.static_shape)
        return block


def sums_in_32_bits() -> bool:
    """Tell whether the processor adds products of 8 bits in 32 bits at once: VNNI.

    Others add two of them in 16 bits first, where 255 times 127 twice is cut off: what is quantised
    for them keeps to half of the steps from 0 to 255.
    """
    return processor_has("avx512_vnni", "avx_vnni")


def quantised_versions(
    network: EncoderBlock, pixels: np.ndarray, narrow: bool = False
) -> Iterator[Quantised]:
    """Give a trained encoder in whole numbers of 8 bits, calibrated in one way after another.

    Which way is better depends on the network: all that a layer gives on the images fits, or the
    largest of it is cut for finer steps, see :class:`tripletnet.int8.ranges.Ranges`.

    Parameters
    ----------
    network : EncoderBlock
        The encoder, on the CPU.
    pixels : ndarray of uint8, shape (N, H, W, 3)
        Images such as it will see.
    narrow : bool
        Keep to 127 steps where nothing is negative, for any processor.

    Raises
    ------
    InputError
        If MXNet cannot quantise the network.
    """
    quantization = mx.contrib.quantization
    try:
        graph = Graph.of(network)
        raw = fold(graph)
        round_weights(graph, pixels)
        arguments, states = graph.arguments(), graph.states()
        # convolutions take up the normalisations and activations that follow them
        fused = graph.symbol().get_backend_symbol(_BACKEND)
        quantised, layers = quantization._quantize_symbol(
            fused,
            mx.cpu(),
            excluded_symbols=_fused_in_float(Graph(fused, {})),
            excluded_operators=_IN_FLOAT,
            offline_params=list(arguments),
            quantized_dtype="auto",
            quantize_mode="full",
        )
        seen = _look(fused, {**arguments, **states}, pixels, layers)
        for limits in (seen.whole(), seen.cut()):
            if raw in limits:  # whatever the darkest and brightest of the images may be
                limits[raw] = (0.0, 255.0)
            if narrow:
                limits = {name: halved(*found) for name, found in limits.items()}
            calibrated = quantization._calibrate_quantized_sym(quantised, limits)
            parameters = quantization._quantize_params(calibrated, arguments, limits)
            codes = _finished(calibrated, {**parameters, **states}, narrow)
            yield Quantised(*codes, network.image_size, network.mirror)
    except (mx.MXNetError, NotImplementedError, AttributeError, KeyError) as error:
        raise InputError(f"MXNet cannot quantise this network ({last_line(error)})") from None


def halved(low: float, high: float) -> tuple[float, float]:
    """Return a range of which values from `low` to `high` take half the steps, if none is negative.

    What can be negative has 127 steps on either side as it is.
    """
    return (low, high) if low < 0 else (low, 2 * high)


def last_line(error: Exception) -> str:
    """Return what an error of MXNet says, without the places in its source."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].rpartition("Error: ")[2][:200]


def _fused_in_float(graph: Graph) -> list[str]:
    """Return the names of convolutions that have taken up an activation which knows a scale."""
    return [
        node["name"]
        for node in graph.operators()
        if any(not knows_no_scale(n) for part in node.get("subgraphs", ()) for n in part["nodes"])
    ]


def _look(
    symbol: mx.sym.Symbol, parameters: dict[str, Any], pixels: np.ndarray, layers: list[str]
) -> Ranges:
    """Show images to a network and return what some of its layers give."""
    count = min(_BATCH, len(pixels))
    shape = (count, 3, *pixels.shape[1:3])
    executor = bound(symbol, parameters, shape)
    ranges = Ranges(layers)
    executor.set_monitor_callback(ranges.collect, monitor_all=True)
    for start in range(0, len(pixels), count):
        rows = np.resize(np.arange(start, min(start + count, len(pixels))), count)
        batch = pixels[rows].transpose(0, 3, 1, 2).astype(np.float32)
        executor.forward(is_train=False, **{INPUT: mx.nd.array(batch)})
        mx.nd.waitall()
    unseen = set(layers) - set(ranges.whole())
    if unseen:
        raise InputError(f"MXNet cannot quantise this network ({min(unseen)} is not to be seen)")
    return ranges


def _finished(
    symbol: mx.sym.Symbol, parameters: dict[str, Any], narrow: bool
) -> tuple[str, dict[str, Any]]:
    """Return graph and parameters of a network that is quantised and calibrated already."""
    # the second time, quantised layers take up what turns their results into numbers again
    graph = Graph(symbol.get_backend_symbol(_BACKEND), parameters)
    for node in list(graph.operators()):
        if node["op"] == APART:
            graph.drop(node)
    (cast,) = (n for n in graph.operators() if any(i["name"] == INPUT for i in graph.inputs(n)))
    takers = graph.consumers(cast)
    if not narrow and [node["op"] for node in takers] == [_QUANTIZE]:
        # pixels are 8 bits from 0 to 255 already: the first layer takes them as they are, and what
        # else a quantisation gives, the lowest and the highest value, is known
        limits = {"pixel_lowest": np.zeros(1), "pixel_highest": np.full(1, 255.0)}
        graph.replace_by_parameters(takers[0], limits)
        graph.drop(cast)
    codes = normalize_rows(mx.sym, graph.symbol())
    return codes.tojson(), graph.parameters
