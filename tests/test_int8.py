"""Encoders in int8: what is folded, what is calibrated, and that codes stay what they were."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.data.view_set import ViewSet
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.int8 import making
from tripletnet.int8.agreement import Agreement, agreement
from tripletnet.int8.calibration import Calibration, choose_calibration, evenly
from tripletnet.int8.folding import fold
from tripletnet.int8.graph import INPUT, Graph
from tripletnet.int8.making import make_int8
from tripletnet.int8.ranges import cut_range
from tripletnet.networks import NETWORKS, EncoderBlock, ResidualNet, TripletCNN

nn = mx.gluon.nn


class Gelu(mx.gluon.HybridBlock):
    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return F.LeakyReLU(x, act_type="gelu")


class PooledNet(EncoderBlock):
    """Convolutions whose pooling comes before normalisation and activation."""

    activation: Any = Gelu

    def make_layers(self) -> mx.gluon.HybridBlock:
        layers = nn.HybridSequential()
        layers.add(nn.Conv2D(16, 2, in_channels=3), self.activation())
        for channels, filters in ((16, 24), (24, 32)):
            layers.add(
                nn.Conv2D(filters, 3, padding=1, in_channels=channels, use_bias=False),
                nn.MaxPool2D(2),
                nn.BatchNorm(in_channels=filters, scale=False),
                self.activation(),
                nn.Dropout(0.5),
            )
        layers.add(nn.GlobalMaxPool2D(), nn.Flatten(), nn.Dense(self.code_size, in_units=32))
        return layers


class PooledReLU(PooledNet):
    activation = staticmethod(lambda: nn.Activation("relu"))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Ninety-six 16x16 images of a few large patches."""
    patches = np.random.default_rng(0).integers(0, 256, (96, 4, 4, 3), dtype=np.uint8)
    return patches.repeat(4, 1).repeat(4, 2)


def ready(kind: type[EncoderBlock], pixels: np.ndarray, **arguments: Any) -> EncoderBlock:
    """Return a network whose normalisations have seen some batches."""
    mx.random.seed(1)
    network = kind(code_size=32, image_size=16, **arguments)
    network.initialize(mx.init.MSRAPrelu())
    batch = mx.nd.array(pixels[:32].transpose(0, 3, 1, 2), dtype="uint8")
    for _ in range(10):
        with mx.autograd.record():
            codes = network(batch)
        codes.backward()
    network.hybridize(static_alloc=True, static_shape=True)
    return network


def operators(graph: Graph) -> list[str]:
    return [node["op"] for node in graph.operators()]


@pytest.mark.parametrize("kind", [TripletCNN, ResidualNet, PooledNet, PooledReLU])
def test_folding_changes_nothing_that_is_computed(kind, pixels):
    network = ready(kind, pixels)
    graph = Graph.of(network)
    assert fold(graph)  # none of these pads its first layer
    symbol = graph.symbol()
    batch = mx.nd.array(pixels[:8].transpose(0, 3, 1, 2))
    executor = symbol.bind(
        mx.cpu(), {INPUT: batch, **graph.arguments()}, aux_states=graph.states(), grad_req="null"
    )
    (folded,) = executor.forward(is_train=False)
    expected = network.unscaled(mx.nd, batch).asnumpy()
    assert np.abs(folded.asnumpy() - expected).max() < 2e-4 * np.abs(expected).max()
    left = set(operators(graph))
    assert not left & {"Dropout", "broadcast_sub", "broadcast_div"}


def test_what_is_folded(pixels):
    article = Graph.of(ready(TripletCNN, pixels))
    fold(article)
    layer = ["Convolution", "Activation"]
    assert operators(article) == ["Cast", *layer * 3, "Flatten", "FullyConnected"]
    pooled = Graph.of(ready(PooledReLU, pixels))
    fold(pooled)
    moved = ["Convolution", "BatchNorm", "Activation", "Pooling"]
    assert operators(pooled)[3:11] == moved * 2


def test_average_pooling_stays_before_a_convolution_that_pads(pixels):
    class Padded(TripletCNN):
        def make_layers(self) -> mx.gluon.HybridBlock:
            layers = nn.HybridSequential()
            layers.add(nn.AvgPool2D(2, strides=1), nn.Conv2D(8, 3, padding=1, in_channels=3))
            layers.add(nn.Flatten(), nn.Dense(self.code_size, in_units=8 * 15 * 15))
            return layers

    graph = Graph.of(ready(Padded, pixels))
    fold(graph)
    assert operators(graph)[3:5] == ["Pooling", "Convolution"]


def test_a_first_layer_that_pads_keeps_the_normalisation(pixels):
    class Padded(TripletCNN):
        def make_layers(self) -> mx.gluon.HybridBlock:
            layers = nn.HybridSequential()
            layers.add(nn.Conv2D(8, 3, padding=1, in_channels=3), nn.Activation("relu"))
            layers.add(nn.Flatten(), nn.Dense(self.code_size, in_units=8 * 16 * 16))
            return layers

    network = ready(Padded, pixels)
    graph = Graph.of(network)
    assert not fold(graph)
    assert operators(graph)[:3] == ["Cast", "broadcast_sub", "broadcast_div"]
    made = make_int8(network, "f", Calibration(pixels))
    assert made.agreement is not None and made.agreement.cosine > 0.999


@pytest.mark.parametrize("kind", [TripletCNN, ResidualNet, PooledNet, PooledReLU])
def test_codes_of_int8_are_those_of_fp32(kind, pixels):
    network = ready(kind, pixels)
    made = make_int8(network, "f", Calibration(pixels, np.arange(96) % 5))
    assert made.refusal == "" and made.quantised is not None and made.agreement is not None
    block = made.quantised.block()
    batch = mx.nd.array(pixels[:40].transpose(0, 3, 1, 2), dtype="uint8")
    codes, expected = block(batch).asnumpy(), network(batch).asnumpy()
    assert np.allclose(np.linalg.norm(codes, axis=1), 1, atol=1e-5)
    assert (codes * expected).sum(axis=1).min() > 0.99
    assert made.agreement.cosine > 0.995 and made.agreement.map_at_r_int8 is not None
    assert np.array_equal(made.quantised.block()(batch).asnumpy(), codes)
    # batches of other sizes are no other codes
    assert np.allclose(block(batch[:7]).asnumpy(), codes[:7], atol=1e-5)


def test_sums_of_the_largest_products_are_right_on_every_processor(monkeypatch):
    monkeypatch.setattr("tripletnet.int8.making.sums_in_32_bits", lambda: False)
    white = np.full((96, 16, 16, 3), 255, np.uint8)
    white[::2, :, 4:8] = 0  # an image of one value has a code, too, but not much of one
    network = ready(TripletCNN, white)
    for name, parameter in network.collect_params().items():
        if "conv" in name and name.endswith("weight"):
            parameter.set_data(0.01 * mx.nd.ones(parameter.shape))
    made = make_int8(network, "f", Calibration(white))
    assert made.agreement is not None and made.agreement.least_cosine > 0.999


def test_codes_of_mirror_images(pixels):
    network = ready(TripletCNN, pixels, mirror=True)
    made = make_int8(network, "f", Calibration(pixels))
    assert made.agreement is not None and made.agreement.least_cosine > 0.99
    images = ImageSet("images", pixels, np.zeros(len(pixels), int), ())
    block = made.quantised.block()
    codes = encode(block, images)
    assert np.allclose(np.linalg.norm(codes, axis=1), 1, atol=1e-5)
    assert np.allclose(codes, encode(block, flipped(images)), atol=1e-5)
    assert not np.allclose(codes, encode(block, images, mirror=False), atol=1e-2)


def flipped(images: ImageSet) -> ImageSet:
    return dataclasses.replace(images, pixels=images.pixels[:, :, ::-1])


def test_codes_after_a_relu(pixels):
    network = ready(TripletCNN, pixels, rectify=True)
    made = make_int8(network, "f", Calibration(pixels))
    assert made.agreement is not None and made.agreement.least_cosine > 0.99
    batch = mx.nd.array(pixels[:8].transpose(0, 3, 1, 2), dtype="uint8")
    assert (made.quantised.block()(batch).asnumpy() >= 0).all()


@pytest.mark.parametrize("name", ["whitened", "whitened-relu"])
def test_networks_of_the_presets(name, pixels):
    network = ready(NETWORKS[name], pixels)
    made = make_int8(network, "f", Calibration(pixels))
    assert made.agreement is not None and made.agreement.cosine > 0.99


@pytest.mark.parametrize("vnni", [True, False])
def test_what_the_int8_network_is_made_of(pixels, vnni, monkeypatch):
    monkeypatch.setattr("tripletnet.int8.making.sums_in_32_bits", lambda: vnni)
    made = make_int8(ready(TripletCNN, pixels), "f", Calibration(pixels))
    assert made.quantised is not None and made.narrow == (not vnni)
    graph = Graph(mx.sym.load_json(made.quantised.graph), made.quantised.parameters)
    # nothing is left between the pixels and the first convolution, nor between the layers; without
    # VNNI the pixels' 8 bits are made 7
    first = [] if vnni else ["Cast", "_contrib_quantize_v2"]
    convolution = "_sg_mkldnn_conv"
    flat = ["_contrib_quantized_flatten", "_sg_mkldnn_fully_connected", "L2Normalization"]
    assert operators(graph) == first + [convolution] * 3 + flat
    names = [name for name in made.quantised.parameters if name.endswith("weight_quantize")]
    assert [made.quantised.parameters[name].dtype for name in names] == [np.int8]


def test_between_its_layers_relus_and_max_pooling_leave_nothing_in_float(pixels):
    made = make_int8(ready(NETWORKS["whitened-relu"], pixels), "f", Calibration(pixels))
    assert made.quantised is not None
    graph = Graph(mx.sym.load_json(made.quantised.graph), made.quantised.parameters)
    convolution, pooling = "_sg_mkldnn_conv", "_contrib_quantized_pooling"
    layers = [convolution, *[convolution, pooling, convolution] * 3, pooling]
    flat = ["_contrib_quantized_flatten", "_sg_mkldnn_fully_connected", "L2Normalization"]
    found = operators(graph)
    assert found[found.index(convolution) :] == layers + flat


def test_a_network_that_cannot_be_quantised(pixels):
    network = ready(TripletCNN, pixels)
    network(mx.nd.array(pixels[:1].transpose(0, 3, 1, 2), dtype="uint8"))
    network.unscaled = lambda F, x: x.no_such_method()
    made = make_int8(network, "f", Calibration(pixels))
    assert made.quantised is None
    assert made.refusal.startswith("MXNet cannot quantise this network (")


def test_a_way_to_calibrate_that_fails_leaves_the_others(pixels, monkeypatch):
    real = making.quantised_versions

    def second_fails(*given):
        yield next(real(*given))
        raise InputError("MXNet cannot quantise this network (the second time)")

    def first_cannot_run(*given):
        first, second = real(*given)
        yield dataclasses.replace(first, graph="no graph")
        yield second

    network = ready(TripletCNN, pixels)
    for versions in (second_fails, first_cannot_run):
        monkeypatch.setattr(making, "quantised_versions", versions)
        made = make_int8(network, "f", Calibration(pixels))
        assert made.refusal == "" and made.agreement is not None
        assert made.agreement.least_cosine > 0.99


def test_parameters_have_one_order_in_all_processes(pixels):
    network = ready(ResidualNet, pixels)
    symbol = network.unscaled(mx.sym, mx.sym.var(INPUT))
    named = [*symbol.list_arguments(), *symbol.list_auxiliary_states()]
    assert [INPUT, *Graph.of(network).parameters] == named


def test_the_range_that_is_cut():
    values = np.random.default_rng(0).exponential(size=50_000)

    def error(limit: float) -> float:
        step = limit / 255
        return float(((np.minimum(np.rint(values / step), 255) * step - values) ** 2).sum())

    low, high = cut_range(values, 0.0, float(values.max()))
    assert low == 0 and high < values.max()
    assert error(high) < 1.02 * min(map(error, np.linspace(0.1, 1, 91) * values.max()))
    even = np.linspace(-3, 5, 10_001)
    assert cut_range(even, -3.0, 5.0) == (-3.0, pytest.approx(5.0, rel=0.02))
    assert cut_range(np.zeros(5), 0.0, 0.0) == (0.0, 0.0)


def test_agreement_by_hand():
    fp32 = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
    same = agreement(fp32, fp32, np.array([0, 0, 1, 1]))
    assert (same.cosine, same.least_cosine, same.map_at_r_int8, same.objection) == (1, 1, 1, "")
    other = fp32.copy()
    other[3] = fp32[0]
    found = agreement(fp32, other, np.array([0, 0, 1, 1]))
    assert (found.cosine, found.least_cosine) == (0.75, 0)
    assert found.map_at_r_fp32 == 1 and found.map_at_r_int8 < 1
    assert agreement(fp32, fp32 * np.nan, None).cosine == 0
    assert agreement(fp32, fp32, None).map_at_r_fp32 is None
    assert "mean cosine" in Agreement(9, 0.9989, 0.9989).objection
    assert "an image" in Agreement(9, 0.9995, 0.98).objection
    assert "0.30 points" in Agreement(9, 0.9999, 0.9999, 0.5, 0.503).objection
    assert Agreement(9, 0.999, 0.99, 0.5, 0.5019).objection == ""


def test_calibration_images_are_spread_over_the_classes():
    labels = np.r_[np.zeros(1000, int), np.ones(10, int), [2]]
    chosen = labels[evenly(labels, 60)]
    assert len(chosen) == 60 and np.bincount(chosen).tolist() == [49, 10, 1]
    many = np.repeat(np.arange(500), 4)
    counts = np.bincount(many[evenly(many, 100)], minlength=500)
    assert counts.sum() == 100 and set(counts) == {0, 2}
    assert len(evenly(labels, 5000)) == len(labels)


def test_calibration_images_of_any_kind_of_examples(striped_images):
    chosen = choose_calibration(striped_images)
    assert chosen.pixels.shape == (60, 16, 16, 3)
    assert np.bincount(chosen.labels).tolist() == [20, 20, 20]
    views = choose_calibration(ViewSet(striped_images))
    assert views.labels is None and np.array_equal(views.pixels, striped_images.pixels)
    large = ImageSet("large", np.zeros((40, 512, 512, 3), np.uint8), np.arange(40), ())
    assert len(choose_calibration(large).pixels) == 32
