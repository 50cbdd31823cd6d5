"""The shapes of layers that wait for their first image to know them."""

from __future__ import annotations

import contextlib
import io

from tripletnet.backend import mx


def infer_shapes(
    block: mx.gluon.HybridBlock, input_shape: tuple[int, ...]
) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """Return the shape of what `block` gives, and those of its parameters by their names.

    Parameters
    ----------
    block : HybridBlock
        Takes one array and gives one.
    input_shape : tuple of int
        The shape of what it takes.

    Raises
    ------
    mxnet.MXNetError
        If the layers do not fit an input of that shape.
    """
    output = block(mx.sym.var("input"))
    with contextlib.redirect_stdout(io.StringIO()):  # where MXNet prints what it raises anyway
        arguments, (shape,), states = output.infer_shape(input=input_shape)
    names = output.list_arguments() + output.list_auxiliary_states()
    return shape, dict(zip(names, arguments + states))


def settle_shapes(block: mx.gluon.HybridBlock, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give all parameters of `block` their shapes, without a weight in memory.

    Parameters and errors are those of :func:`infer_shapes`.

    Returns
    -------
    tuple of int
        The shape of what the block gives.
    """
    shape, known = infer_shapes(block, input_shape)
    for name, parameter in block.collect_params().items():
        parameter.shape = known[name]
    return shape
