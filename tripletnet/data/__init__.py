"""Where images come from: files and data sets in, uint8 RGB arrays out. Knows no MXNet."""

from tripletnet.data.cifar10 import find_cifar10, load_cifar10
from tripletnet.data.digits import load_digits
from tripletnet.data.images import ImageSet, Splits
from tripletnet.data.source import LoadedData, load_data

__all__ = [
    "ImageSet",
    "LoadedData",
    "Splits",
    "find_cifar10",
    "load_cifar10",
    "load_data",
    "load_digits",
]
