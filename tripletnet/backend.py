"""MXNet, ready to use: ``from tripletnet.backend import mx``, and never ``import mxnet``."""

from tripletnet.runtime import load_mxnet

load_mxnet()

import mxnet as mx  # noqa: E402

__all__ = ["mx"]
