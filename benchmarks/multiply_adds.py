"""Multiply-adds and weights of networks for one image, counted from the shapes of their layers.

    python -m benchmarks.multiply_adds residual deep-ranking:64 gluoncv:resnet18_v1:224

What follows the last colon is the image's size in pixels; without it, the network's own.
"""

from __future__ import annotations

import argparse
import json
import math

from tripletnet.backend import mx
from tripletnet.command import CommandParser, run_command
from tripletnet.networks import EncoderBlock, get_network


def by_layer(network: EncoderBlock) -> list[tuple[str, int]]:
    """Return each convolution's and dense layer's weight and multiply-adds for one image."""
    symbol = network.layers(mx.sym.var("input"))
    inner = symbol.get_internals()
    side = network.image_size
    _, shapes, _ = inner.infer_shape(input=(1, 3, side, side))
    shape_of = dict(zip(inner.list_outputs(), shapes))
    nodes = json.loads(symbol.tojson())["nodes"]
    layers = []
    for node in nodes:
        if node["op"] in ("Convolution", "FullyConnected"):
            taken = weight = nodes[node["inputs"][1][0]]
            while weight["op"] != "null":  # a kernel that is made of the weights
                weight = nodes[weight["inputs"][0][0]]
            kernel = taken["name"] if taken is weight else f"{taken['name']}_output"
            output = shape_of[f"{node['name']}_output"]
            # a convolution uses its kernel at every point, a dense layer once
            layers.append((weight["name"], math.prod(shape_of[kernel]) * math.prod(output[2:])))
    return layers


def multiply_adds(network: EncoderBlock) -> int:
    """Return the multiply-adds of a network's convolutions and dense layers for one image."""
    return sum(count for _, count in by_layer(network))


def training_multiply_adds(network: EncoderBlock) -> int:
    """Return the multiply-adds of a training step for one image.

    Backward, the gradients of the inputs and of the weights cost a forward pass each; those of the
    pixels and of weights that are not learnt are not needed.
    """
    layers = by_layer(network)
    parameters = network.layers.collect_params()
    learnt = sum(count for weight, count in layers if parameters[weight].grad_req != "null")
    _, first = layers[0]
    return 2 * multiply_adds(network) - first + learnt


def parser() -> CommandParser:
    options = CommandParser(
        "python -m benchmarks.multiply_adds", description=__doc__.splitlines()[0]
    )
    options.add_argument("networks", nargs="+", metavar="NAME[:PIXELS]")
    return options


def main(options: argparse.Namespace) -> None:
    print(f"{'network':32}{'pixels':>8}{'million multiply-adds':>24}{'million weights':>18}")
    for text in options.networks:
        name, _, size = text.rpartition(":")
        sized = size.isdigit()
        network = get_network(name, image_size=int(size)) if sized else get_network(text)
        weights = sum(math.prod(p.shape) for p in network.layers.collect_params().values())
        print(
            f"{name if sized else text:32}{network.image_size:8}"
            f"{multiply_adds(network) / 1e6:24,.0f}{weights / 1e6:18,.1f}"
        )


if __name__ == "__main__":
    run_command(main, parser())
