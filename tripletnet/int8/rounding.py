"""Round the weights of small convolutions so that their errors make up for each other."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tripletnet.backend import mx
from tripletnet.int8.folding import is_convolution_of_images, knows_no_scale
from tripletnet.int8.graph import Graph, Node, bound, option, pair

#: A convolution of more values, pixels of a patch times channels, gains little: its weights' errors
#: are many and small beside those of what it takes.
_MOST = 300
#: Images that are looked at, their pixels together, and values of patches of a layer's input.
_IMAGES, _PIXELS, _VALUES = 64, 2**19, 2**22
#: Of the mean square of what a convolution takes: keeps the inverse finite where values agree.
_DAMPING = 0.01
#: Into which MXNet divides the largest weight of a filter: it becomes 127 of them, or -128.
_STEPS = 127.5


def round_weights(graph: Graph, pixels: np.ndarray) -> None:
    """Bring the weights of convolutions of few values to the numbers that 8 bits can tell.

    MXNet rounds each weight to the nearest step. Where a filter takes differences of neighbours
    that are nearly the same, such as pixels, what is rounded off adds up to much more than such a
    difference. Here the weights that are left are altered for each that is rounded, so that MXNet's
    own rounding finds nothing to do but for the largest weight, which is taken into account.

    Parameters
    ----------
    graph : Graph
        Of a folded network.
    pixels : ndarray of uint8, shape (N, H, W, 3)
        Images such as it will see.
    """
    _, height, width, _ = pixels.shape
    count = min(len(pixels), max(1, min(_IMAGES, _PIXELS // (height * width))))
    images = pixels[np.linspace(0, len(pixels) - 1, count).astype(int)]
    for node in [node for node in graph.operators() if _is_small(graph, node)]:
        weights = graph.inputs(node)[1]
        values = graph.values(weights)
        products = _mean_products(_patches(_input(graph, node, images), node))
        if not np.isfinite(products).all():
            continue  # such codes are none, which comparing them to those of fp32 will show
        rounded = rounded_together(values.reshape(len(values), -1), products)
        graph.set_values(weights, rounded.reshape(values.shape))


def rounded_together(weights: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Return weights of whole steps, rounded with regard to what they are multiplied with.

    Parameters
    ----------
    weights : ndarray of float, shape (M, N)
        A row for each filter. The largest of it, on either side of 0, is 127.5 steps and stays;
        MXNet will make it 127, or -128.
    products : ndarray of float64, shape (N, N)
        Mean products of the values that the weights are for.

    Returns
    -------
    ndarray of float64, shape (M, N)

    References
    ----------
    Frantar, Ashkboos, Hoefler, Alistarh (2023), "GPTQ: Accurate Post-Training Quantization for
    Generative Pre-trained Transformers", ICLR.
    """
    count = weights.shape[1]
    sizes = np.diag(products)
    order = np.argsort(-sizes, kind="stable")
    left = weights[:, order].astype(np.float64)
    largest = np.abs(left).argmax(axis=1)
    limits = np.take_along_axis(left, largest[:, None], axis=1)[:, 0]
    steps = np.where(limits == 0, 1.0, np.abs(limits) / _STEPS)
    damped = products[np.ix_(order, order)] + np.eye(count) * (_DAMPING * sizes.mean() or 1.0)
    # row i: by how much those after it make up for an error of 1 at i
    makes_up = np.linalg.cholesky(np.linalg.inv(damped)).T
    for i in range(count):
        whole = np.clip(np.rint(left[:, i] / steps), -127, 127)
        whole = np.where(largest == i, np.clip(np.rint(limits / steps), -128, 127), whole)
        error = (left[:, i] - steps * whole) / makes_up[i, i]
        left[:, i + 1 :] -= error[:, None] * makes_up[i, i + 1 :]
        left[:, i] = np.where(largest == i, limits, steps * whole)
    return left[:, np.argsort(order)]


def _is_small(graph: Graph, node: Node) -> bool:
    """Return whether a node is a convolution of images, of few values, that computes in 8 bits."""
    if not is_convolution_of_images(node) or option(node, "num_group", "1") != "1":
        return False
    after, weights = graph.only_consumer(node), graph.inputs(node)[1]
    (source, *_), (_, result, *_) = graph.inputs(node), node["inputs"][0]
    if graph.only_consumer(weights) is None or source["op"] == "null" or result != 0:
        return False
    if after is not None and not knows_no_scale(after):  # it stays in float
        return False
    return bool(np.prod(graph.values(weights).shape[1:]) <= _MOST)


def _input(graph: Graph, node: Node, images: np.ndarray) -> np.ndarray:
    """Return what a convolution takes, (N, C, H, W)."""
    (source, *_) = graph.inputs(node)
    wanted = graph.symbol().get_internals()[f"{source['name']}_output"]
    batch = images.transpose(0, 3, 1, 2)
    executor = bound(wanted, graph.parameters, batch.shape)
    (found,) = executor.forward(is_train=False, data=mx.nd.array(batch.astype(np.float32)))
    return found.asnumpy()


def _patches(images: np.ndarray, node: Node) -> np.ndarray:
    """Return patches of images, (N, C, H, W), as a convolution sees them: (patches, values)."""
    (above, beside), (down, right) = pair(node, "pad", (0, 0)), pair(node, "stride", (1, 1))
    padded = np.pad(images, ((0, 0), (0, 0), (above, above), (beside, beside)))
    windows: np.ndarray = sliding_window_view(padded, pair(node, "kernel"), axis=(2, 3))  # type: ignore
    windows = windows[:, :, ::down, ::right].transpose(0, 2, 3, 1, 4, 5)
    each = windows.shape[1] * windows.shape[2]
    number = len(windows) * each
    most = _VALUES // (windows.shape[3] * windows.shape[4] * windows.shape[5])
    chosen = np.random.default_rng(0).choice(number, min(most, number), replace=False)
    image, place = np.divmod(chosen, each)
    row, column = np.divmod(place, windows.shape[2])
    return windows[image, row, column].reshape(len(chosen), -1)


def _mean_products(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    return values.T @ values / len(values)
