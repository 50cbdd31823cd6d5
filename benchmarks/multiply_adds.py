"""Multiply-adds and weights of networks for one image, counted from the shapes of their layers.

    python -m benchmarks.multiply_adds residual deep-ranking:64 gluoncv:resnet18_v1:224

What follows the last colon is the image's size in pixels; without it, the network's own.
"""

from __future__ import annotations

import json
import math
import sys

from tripletnet.backend import mx
from tripletnet.networks import EncoderBlock, get_network


def by_layer(network: EncoderBlock) -> list[int]:
    """Return the multiply-adds of each convolution and dense layer for one image, in order."""
    symbol = network.layers(mx.sym.var("input"))
    inner = symbol.get_internals()
    side = network.image_size
    _, shapes, _ = inner.infer_shape(input=(1, 3, side, side))
    shape_of = dict(zip(inner.list_outputs(), shapes))
    nodes = json.loads(symbol.tojson())["nodes"]
    counts = []
    for node in nodes:
        if node["op"] in ("Convolution", "FullyConnected"):
            weight = shape_of[nodes[node["inputs"][1][0]]["name"]]
            output = shape_of[f"{node['name']}_output"]
            # a convolution uses its weights at every point, a dense layer once
            counts.append(math.prod(weight) * math.prod(output[2:]))
    return counts


def multiply_adds(network: EncoderBlock) -> int:
    """Return the multiply-adds of a network's convolutions and dense layers for one image."""
    return sum(by_layer(network))


def training_multiply_adds(network: EncoderBlock) -> int:
    """Return the multiply-adds of a training step for one image.

    Backward, the gradients of the inputs and of the weights cost a forward pass each; that of the
    pixels is not needed.
    """
    layers = by_layer(network)
    return 3 * sum(layers) - layers[0]


def main() -> None:
    print(f"{'network':32}{'pixels':>8}{'million multiply-adds':>24}{'million weights':>18}")
    for text in sys.argv[1:]:
        name, _, size = text.rpartition(":")
        sized = size.isdigit()
        network = get_network(name, image_size=int(size)) if sized else get_network(text)
        weights = sum(math.prod(p.shape) for p in network.layers.collect_params().values())
        print(
            f"{name if sized else text:32}{network.image_size:8}"
            f"{multiply_adds(network) / 1e6:24,.0f}{weights / 1e6:18,.1f}"
        )


if __name__ == "__main__":
    main()
