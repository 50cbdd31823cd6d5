"""Rewrite a network so that less is left to do, and all of it fits whole numbers.

Each pass keeps what the network computes, up to rounding.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.int8.graph import INPUT, Graph, Node, option, pair

#: Does nothing, and stands between what must not be joined.
APART = "BlockGrad"
#: A convolution of so many values, pixels of a patch times channels, may stay in float.
_FEW = 64


def fold(graph: Graph) -> str:
    """Apply all passes; return the name of the raw pixels that the first layer takes, if it does.

    It is empty where the pixels are normalised before the first layer.
    """
    drop_dropout(graph)
    compute_parameters(graph)
    before_max_pooling(graph)
    fold_average_pooling(graph)
    keep_activations_apart(graph)
    return fold_pixels(graph)


def drop_dropout(graph: Graph) -> None:
    """Take out dropout, which does nothing outside of training."""
    for node in list(graph.operators()):
        if node["op"] == "Dropout":
            graph.drop(node)


def before_max_pooling(graph: Graph) -> None:
    """Let batch normalisation and ReLU come before max pooling, not after it.

    A map that never falls keeps what is largest, so both orders give the same (normalisation if its
    scales are positive); beside a convolution they become part of it.
    """
    for pooling in list(graph.operators()):
        if pooling["op"] != "Pooling" or option(pooling, "pool_type") != "max":
            continue
        (before,) = graph.inputs(pooling)
        if before["op"] != "Convolution" or graph.only_consumer(before) is not pooling:
            continue
        while True:
            after = graph.only_consumer(pooling)
            if after is None or not _never_falls(graph, after):
                break
            graph.swap(pooling, after)
            pooling = after  # the nodes have kept their places


def _never_falls(graph: Graph, node: Node) -> bool:
    """Return whether what an operator gives never falls as what it takes rises."""
    if node["op"] == "BatchNorm":
        fixed = option(node, "fix_gamma", "True") == "True"
        return fixed or bool((graph.values(graph.inputs(node)[1]) > 0).all())
    return node["op"] == "Activation" and option(node, "act_type") == "relu"


def keep_activations_apart(graph: Graph) -> None:
    """Keep convolutions from taking up activations that know a scale.

    MXNet scales results to 8 bits first and activates then. That is the same for a ReLU, which
    knows no scale, and wrong for a GELU. A convolution of few values costs little in float: it
    takes up its activation there, which spares two roundings and two ways through memory.
    """
    for node in list(graph.operators()):
        kind = option(node, "act_type")
        if node["op"] == "Activation" and kind in ("sigmoid", "tanh"):
            node["op"], node["attrs"] = kind, {}  # operators of their own, which nothing takes up
        elif not knows_no_scale(node):
            (source, *_) = graph.inputs(node)
            if source["op"] != "null" and not _stays_in_float(graph, source):
                graph.insert_after(source, APART, f"{node['name']}_apart", {})


def compute_parameters(graph: Graph) -> None:
    """Compute once what depends on parameters alone, such as the pooling of a kernel."""
    for node in list(graph.operators()):
        inputs = graph.inputs(node)
        if inputs and all(taken["name"] in graph.parameters for taken in inputs):
            values = [mx.nd.array(graph.values(taken)) for taken in inputs]
            result = getattr(mx.nd, node["op"])(*values, **node.get("attrs", {}))
            graph.turn_into_parameter(node, result.asnumpy())


def fold_average_pooling(graph: Graph) -> None:
    """Make average pooling of stride 1 a part of the convolution behind it.

    A convolution of the means of k x k neighbours is a convolution whose kernel is the mean of the
    k x k shifted ones, k - 1 larger. It multiplies more, and saves to write and read all that it
    takes, in whole numbers a second time.
    """
    for pooling in list(graph.operators()):
        node = graph.only_consumer(pooling)
        if pooling["op"] != "Pooling" or not _is_plain_average(pooling):
            continue
        if node is None or not _is_plain_convolution(node) or graph.inputs(node)[0] is not pooling:
            continue
        weights = graph.inputs(node)[1]
        if graph.only_consumer(weights) is None:
            continue
        kernel, window = pair(node, "kernel"), pair(pooling, "kernel")
        values = graph.values(weights)
        larger = tuple(k + w - 1 for k, w in zip(kernel, window))
        sums = np.zeros((*values.shape[:2], *larger), np.float64)
        for row in range(window[0]):
            for column in range(window[1]):
                sums[:, :, row : row + kernel[0], column : column + kernel[1]] += values
        graph.set_values(weights, sums / (window[0] * window[1]))
        node["attrs"]["kernel"] = str(larger)
        graph.drop(pooling)


def fold_pixels(graph: Graph) -> str:
    """Make the pixels' normalisation a part of the convolutions that take it.

    Parameters
    ----------
    graph : Graph
        A network that begins with (x - mean) / std.

    Returns
    -------
    str
        The name of the pixels in float, which the convolutions take now. Empty if it could not be
        done: a convolution that pads its input with zeros, which stand for the mean, is none that
        it could be done for.
    """
    chain = _normalisation(graph)
    if chain is None:
        return ""
    subtract, divide = chain
    convolutions = graph.consumers(divide)
    for node in convolutions:
        if node["op"] != "Convolution" or max(pair(node, "pad", (0, 0))) > 0:
            return ""
        if int(option(node, "num_group", "1")) != 1:
            return ""
        if any(graph.only_consumer(parameter) is None for parameter in graph.inputs(node)[1:]):
            return ""
    mean = graph.values(graph.inputs(subtract)[1]).astype(np.float64)
    std = graph.values(graph.inputs(divide)[1]).astype(np.float64)
    for node in convolutions:
        _, weights, *bias = graph.inputs(node)
        scaled = graph.values(weights) / std
        shift = -(scaled * mean).sum(axis=(1, 2, 3))
        graph.set_values(weights, scaled)
        if bias:
            graph.set_values(bias[0], graph.values(bias[0]) + shift)
        else:
            node["attrs"]["no_bias"] = "False"
            place = graph.add_parameter(f"{node['name']}_bias", shift)
            node["inputs"].append([place, 0, 0])
    cast = graph.inputs(subtract)[0]
    for node in (divide, subtract):
        graph.drop(node)
    return f"{cast['name']}_output"


def knows_no_scale(node: Node) -> bool:
    """Return False for activations that give another multiple if what they take is scaled."""
    if node["op"] not in ("Activation", "LeakyReLU"):
        return True
    return option(node, "act_type", "leaky") in ("relu", "leaky")


def _stays_in_float(graph: Graph, node: Node) -> bool:
    """Return whether an operator is a convolution of so few values that it may stay in float."""
    if node["op"] != "Convolution" or graph.only_consumer(node) is None:
        return False
    return bool(np.prod(graph.values(graph.inputs(node)[1]).shape[1:]) <= _FEW)


def _normalisation(graph: Graph) -> Optional[tuple[Node, Node]]:
    """Return the nodes that subtract the mean and divide by the deviation, if there are any."""
    for divide in graph.operators():
        if divide["op"] != "broadcast_div":
            continue
        subtract = graph.inputs(divide)[0]
        if subtract["op"] != "broadcast_sub":
            continue
        cast = graph.inputs(subtract)[0]
        if cast["op"] == "Cast" and graph.inputs(cast)[0]["name"] == INPUT:
            alone = graph.only_consumer(cast) and graph.only_consumer(subtract)
            return (subtract, divide) if alone else None
    return None


def _is_plain_average(pooling: Node) -> bool:
    plain = option(pooling, "global_pool", "False") == "False"
    unpadded = pair(pooling, "pad", (0, 0)) == (0, 0)
    single = pair(pooling, "stride", (1, 1)) == (1, 1)
    return plain and unpadded and single and option(pooling, "pool_type") == "avg"


def is_convolution_of_images(node: Node) -> bool:
    """Return whether a node is a convolution in two directions that dilates nothing."""
    if node["op"] != "Convolution" or len(pair(node, "kernel")) != 2:
        return False
    return pair(node, "dilate", (1, 1)) == (1, 1)


def _is_plain_convolution(node: Node) -> bool:
    """Return whether a convolution of images pads and dilates nothing."""
    return is_convolution_of_images(node) and max(pair(node, "pad", (0, 0))) == 0
