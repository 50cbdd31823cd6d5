"""The classifiers of GluonCV's zoo as encoders."""

from __future__ import annotations

import contextlib
import functools
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.networks.base import EncoderBlock
from tripletnet.networks.imagenet import IMAGENET_MEAN, IMAGENET_STD
from tripletnet.networks.shapes import infer_shapes, settle_shapes
from tripletnet.networks.zoo import check_classifier, make_classifier

CIFAR_MEAN = (125.307, 122.961, 113.8575)
CIFAR_STD = (51.5865, 50.847, 51.255)
# The sizes that an error names where the model takes them.
_USUAL_SIZES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 299, 331)


class GluonCVBackbone(EncoderBlock):
    """A classifier of GluonCV's zoo, its last layer replaced by a dense layer that gives the code.

    The base of what :func:`gluoncv_type` returns; `backbone_model` is the model's name.

    Parameters
    ----------
    code_size : int, optional
        How many numbers a code has; 1024 by default.
    image_size : int, optional
        Height and width of the images, in pixels; default: what the model was made for. Models
        with pooling of a fixed size or with dense layers inside take few sizes, others all that
        leave a point of the image.

    Raises
    ------
    InputError
        If the model does not take images of that size.

    Notes
    -----
    Shapes: input (N, 3, image_size, image_size), uint8 or float, 0..255; output (N, code_size)
    float32, each row of unit length. The pixels are normalised as the zoo's weights expect: by the
    mean and standard deviation of ImageNet, or of CIFAR-10 for the models named ``cifar_...``.
    """

    backbone_model: str

    def __init__(
        self, code_size: Optional[int] = None, image_size: Optional[int] = None, **kwargs: Any
    ) -> None:
        cifar = self.backbone_model.startswith("cifar_")
        super().__init__(
            code_size,
            self.photo_size if image_size is None else image_size,
            CIFAR_MEAN if cifar else IMAGENET_MEAN,
            CIFAR_STD if cifar else IMAGENET_STD,
            **kwargs,
        )

    def make_layers(self) -> mx.gluon.HybridBlock:
        """Return the model with the code's dense layer in place of the classifier."""
        model = make_classifier(self.backbone_model)
        code = _replace_classifier(model, self.code_size)
        self._code = list(code.params.values())
        try:
            given = settle_shapes(model, (1, 3, self.image_size, self.image_size))
        except mx.MXNetError:
            raise InputError(
                f"image_size is {self.image_size}: {type(self).__name__} does not take images of "
                f"{self.image_size} x {self.image_size} pixels; {_sizes_taken(model)}"
            ) from None
        assert given == (1, self.code_size), f"{type(self).__name__} gives {given}"
        return model

    def backbone(self) -> dict[str, mx.gluon.Parameter]:
        """Return all parameters of the model but those of the code's dense layer."""
        code = {id(parameter) for parameter in self._code}
        named = self.layers._collect_params_with_prefix()
        return {name: p for name, p in named.items() if id(p) not in code}


@functools.cache
def gluoncv_type(model: str) -> type[GluonCVBackbone]:
    """Return the class of the encoder that is made of a classifier of GluonCV's zoo.

    Parameters
    ----------
    model : str
        The model's name in the zoo, such as ``resnet18_v1``.

    Raises
    ------
    InputError
        If there is no such model, with the names that are alike, or it can be no encoder, with the
        reason.
    """
    check_classifier(model)
    attributes = {"backbone_model": model, "photo_size": _size(model)}
    return type(f"gluoncv:{model}", (GluonCVBackbone,), attributes)


def _size(model: str) -> int:
    """Return the height and width of the images that a model of the zoo was made for."""
    if model.startswith("cifar_"):
        return 32
    if model.startswith("nasnet_6"):
        return 331
    return 299 if model.startswith(("inceptionv3", "xception")) else 224


def _replace_classifier(model: mx.gluon.HybridBlock, code_size: int) -> mx.gluon.nn.Dense:
    """Put a dense layer in the place of the model's last layer with weights; return it."""
    nn = mx.gluon.nn
    code = nn.Dense(code_size)
    if type(model).__name__ == "SqueezeNet":
        # convolution, ReLU and average pooling of a fixed size: a code needs neither of the latter
        output = nn.HybridSequential()
        output.add(nn.GlobalAvgPool2D(), nn.Flatten(), code)
        model.output = output
        return code
    last = [block for block in _blocks(model) if isinstance(block, (nn.Dense, nn.Conv2D))][-1]
    # GoogLeNet lists its classifier twice; the innermost place is the one that is used
    *others, parent = (block for block in _blocks(model) if last in block._children.values())
    for block in others:
        block._children = {k: child for k, child in block._children.items() if child is not last}
    for places in (parent._children, vars(parent)):
        for name, child in list(places.items()):
            if child is last:
                places[name] = code
    return code


def _blocks(block: mx.gluon.Block) -> list[mx.gluon.Block]:
    """Return a block and all that are in it, in the order in which they were made."""
    return [block, *(inner for child in block._children.values() for inner in _blocks(child))]


def _sizes_taken(model: mx.gluon.HybridBlock) -> str:
    """Say which of the usual sizes of images a model takes."""
    taken = []
    for size in _USUAL_SIZES:
        with contextlib.suppress(mx.MXNetError):
            infer_shapes(model, (1, 3, size, size))
            taken.append(str(size))
    return f"it takes {', '.join(taken)}"
