"""Our networks in PyTorch, with the weights of ours: one class and one line in TWINS a network."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.rivals import LeftOut
from tripletnet.networks import EncoderBlock


class Twin(nn.Module):
    """A network of ours in PyTorch.

    A subclass returns the layers of ours, in the same order; their weights are copied.

    Parameters
    ----------
    ours : EncoderBlock
        Initialised, all shapes known.

    Notes
    -----
    Shapes: input (N, 3, image_size, image_size) uint8; output (N, code_size) float32 of unit
    length.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, ours: EncoderBlock) -> None:
        super().__init__()
        self.layers = self.make_layers(ours)
        theirs = [tensor for module in self.layers.modules() for tensor in _weights(module)]
        parameters = list(ours.layers.collect_params().values())
        if [tuple(t.shape) for t in theirs] != [p.shape for p in parameters]:
            raise ValueError(f"{type(self).__name__} has other layers than {type(ours).__name__}")
        for tensor, parameter in zip(theirs, parameters):
            tensor.data.copy_(torch.from_numpy(parameter.data().asnumpy()))
        self.register_buffer("mean", torch.from_numpy(ours.pixels.mean.data().asnumpy()))
        self.register_buffer("std", torch.from_numpy(ours.pixels.std.data().asnumpy()))

    def make_layers(self, ours: EncoderBlock) -> nn.Module:
        """Return the layers from normalised pixels up to and including the code's dense layer."""
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the codes of uint8 images, of unit length."""
        code = self.layers((x.float() - self.mean) / self.std).float()
        return code / torch.sqrt((code * code).sum(dim=1, keepdim=True) + 1e-10)


class ArticleTwin(Twin):
    """`tripletnet.networks.TripletCNN`."""

    def make_layers(self, ours: EncoderBlock) -> nn.Module:
        layers: list[nn.Module] = []
        for channels, kernel in ((3, 5), (32, 3), (32, 3)):
            layers += [nn.Conv2d(channels, 32, kernel), nn.AvgPool2d(2, stride=1), nn.ReLU()]
        left = ours.image_size - 11
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(left * left * 32, ours.code_size))


class ResidualTwin(Twin):
    """`tripletnet.networks.ResidualNet`."""

    def make_layers(self, ours: EncoderBlock) -> nn.Module:
        layers = _convolution(3, 32, kernel=2, stride=2, padding=0)
        channels = 32
        for filters in (64, 128, 256):
            layers += _convolution(channels, filters)
            layers += [nn.MaxPool2d(2), _Residual(filters)]
            channels = filters
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, ours.code_size)]
        return nn.Sequential(*layers)


class WhitenedTwin(Twin):
    """`tripletnet.networks.whitened.WhitenedNet`."""

    widths: tuple[int, ...] = (64, 128, 256)
    activation: type[nn.Module] = nn.GELU

    def make_layers(self, ours: EncoderBlock) -> nn.Module:
        stride = max(1, ours.image_size // 32)
        first = nn.Conv2d(3, 32, 3 * stride, stride, bias=False)
        first.weight.requires_grad_(False)
        layers: list[nn.Module] = [first, self.activation()]
        channels = 32
        for filters in self.widths:
            layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.MaxPool2d(2)]
            layers += [_norm(filters), self.activation()]
            layers += [nn.Conv2d(filters, filters, 3, padding=1, bias=False)]
            layers += [_norm(filters), self.activation()]
            channels = filters
        layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(channels, ours.code_size)]
        return nn.Sequential(*layers)


class WideWhitenedTwin(WhitenedTwin):
    """`tripletnet.networks.whitened.WideWhitenedNet`."""

    widths = (64, 256, 256)


class RectifiedWhitenedTwin(WhitenedTwin):
    """`tripletnet.networks.whitened.RectifiedWhitenedNet`."""

    activation = nn.ReLU


TWINS: dict[str, type[Twin]] = {
    "article": ArticleTwin,
    "residual": ResidualTwin,
    "whitened": WhitenedTwin,
    "whitened-relu": RectifiedWhitenedTwin,
    "whitened-wide": WideWhitenedTwin,
}


def twin_of(name: str, ours: EncoderBlock) -> Twin:
    """Return the twin of a network of the registry, with the weights of `ours`.

    Raises
    ------
    LeftOut
        If it has none.
    """
    if name not in TWINS:
        raise LeftOut(f"network '{name}' has no twin: add one to benchmarks/twins.py")
    return TWINS[name](ours)


class _Residual(nn.Module):
    """x + two convolutions of x."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(filters, filters), *_convolution(filters, filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def _convolution(
    channels: int, filters: int, kernel: int = 3, stride: int = 1, padding: int = 1
) -> list[nn.Module]:
    """Return a convolution with batch normalisation and ReLU."""
    return [
        nn.Conv2d(channels, filters, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
    ]


def _norm(filters: int) -> nn.Module:
    """Return batch normalisation that shifts but does not scale."""
    norm = nn.BatchNorm2d(filters, momentum=0.2)  # of what is new, where Gluon's is of what is old
    norm.weight.requires_grad_(False)
    return norm


def _weights(module: nn.Module) -> list[torch.Tensor]:
    """Return a layer's own weights, in the order in which Gluon keeps them."""
    found: list[torch.Tensor] = list(module.parameters(recurse=False))
    if isinstance(module, nn.BatchNorm2d):
        assert module.running_mean is not None and module.running_var is not None
        found += [module.running_mean, module.running_var]
    return found
