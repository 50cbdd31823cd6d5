"""What training computes as one operation, and that it is what the layers say."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.networks import get_network
from tripletnet.training.tracing import traced_in

nn = mx.gluon.nn
JOINED = "_contrib_BatchNormWithReLU"
NAMES = ["article", "residual", "whitened", "whitened-relu", "gluoncv:cifar_resnet20_v1"]


def step(name: str, as_training_does: bool) -> list[np.ndarray]:
    """Return codes in training, all gradients, running statistics, and the codes afterwards."""
    mx.random.seed(0)
    network = get_network(name, code_size=8, image_size=32)
    network.initialize(mx.init.MSRAPrelu())
    network.hybridize(static_alloc=True, static_shape=True)
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
    x = mx.nd.array(images, dtype="uint8")
    context = traced_in("fp32", network) if as_training_does else contextlib.nullcontext()
    with mx.autograd.record():
        with context:
            codes = network(x)
        total = (codes * mx.nd.arange(96).reshape((12, 8))).sum()
    total.backward()
    parameters = list(network.collect_params().values())
    gradients = [p.grad().asnumpy() for p in parameters if p.grad_req != "null"]
    states = [p.data().asnumpy() for p in parameters if p.grad_req == "null"]
    return [codes.asnumpy(), *gradients, *states, network(x).asnumpy()]


def operators(network: mx.gluon.Block, **options: Any) -> Counter[str]:
    with traced_in("fp32", network, **options):
        graph = json.loads(network(mx.sym.var("data")).tojson())
    return Counter(node["op"] for node in graph["nodes"])


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_what_the_layers_say_bit_for_bit(name):
    for a, b in zip(step(name, True), step(name, False)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "joined", "norms", "activations"),
    [("residual", 7, 3, 3), ("whitened-relu", 5, 1, 2), ("whitened", 0, 6, 0)],
)
def test_relu_becomes_a_part_of_the_normalisation_before_it(name, joined, norms, activations):
    found = operators(get_network(name))
    assert (found[JOINED], found["BatchNorm"], found["Activation"]) == (joined, norms, activations)


def test_what_cannot_be_joined_is_left_alone(monkeypatch):
    def layers(*blocks: mx.gluon.HybridBlock) -> mx.gluon.HybridBlock:
        network = nn.HybridSequential()
        network.add(*blocks, convolution())
        return network

    def convolution() -> mx.gluon.HybridBlock:
        return nn.Conv2D(4, 3, padding=1, in_channels=4)

    norm, relu = nn.BatchNorm(in_channels=4), nn.Activation("relu")
    for network in (
        layers(nn.Dense(4, in_units=4), nn.BatchNorm(in_channels=4), nn.Activation("relu")),
        layers(convolution(), nn.BatchNorm(in_channels=4), nn.Activation("tanh")),
        layers(convolution(), nn.BatchNorm(in_channels=4), nn.LeakyReLU(0.1)),
        layers(convolution(), nn.BatchNorm(axis=3, in_channels=4), nn.Activation("relu")),
        layers(convolution(), norm, nn.Activation("relu"), convolution(), norm),
        layers(convolution(), nn.BatchNorm(in_channels=4), relu, convolution(), relu),
    ):
        assert operators(network)[JOINED] == 0
    network = layers(convolution(), nn.BatchNorm(in_channels=4), nn.Activation("relu"))
    assert operators(network)[JOINED] == 1
    assert operators(network, device=mx.gpu())[JOINED] == 0
    monkeypatch.setenv("MXNET_MKLDNN_ENABLED", "0")
    assert operators(network)[JOINED] == 0


def test_what_is_traced_later_is_as_the_layers_say():
    network = get_network("residual", code_size=8)
    before = json.loads(network(mx.sym.var("data")).tojson())["nodes"]
    operators(network)
    after = json.loads(network(mx.sym.var("data")).tojson())["nodes"]
    assert [node["op"] for node in before] == [node["op"] for node in after]


@pytest.mark.parametrize(
    "pooling",
    [[nn.GlobalAvgPool2D()], [nn.GlobalMaxPool2D()], [nn.AvgPool2D(8)], [nn.MaxPool2D(8)], []],
    ids=["average", "maximum", "whole average", "whole maximum", "in a block of their own"],
)
def test_narrow_maps_that_are_pooled_whole_have_gradients(pooling):
    """Joined, oneDNN has no gradient for 8 channels of 8x8 behind global pooling."""
    network, first = nn.HybridSequential(), nn.HybridSequential()
    layers = (nn.Conv2D(8, 3, padding=1, in_channels=3), nn.BatchNorm(), nn.Activation("relu"))
    if pooling:
        network.add(*layers, *pooling)
    else:
        first.add(*layers)
        network.add(first, nn.GlobalAvgPool2D())
    network.add(nn.Flatten(), nn.Dense(4))
    network.initialize()
    network.hybridize(static_alloc=True, static_shape=True)
    images = mx.nd.random.normal(shape=(6, 3, 8, 8))
    with mx.autograd.record(), traced_in("fp32", network):
        codes = network(images)
    codes.backward()
    assert np.abs(network[-1].weight.grad().asnumpy()).max() > 0
    assert all(np.isfinite(p.grad().asnumpy()).all() for p in layers[0].collect_params().values())
