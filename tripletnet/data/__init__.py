"""Where images come from: files and data sets in, uint8 RGB arrays out. Knows no MXNet."""

from tripletnet.data.cifar10 import find_cifar10, load_cifar10
from tripletnet.data.digits import load_digits
from tripletnet.data.images import ImageSet, Splits
from tripletnet.data.judged_file import load_judged
from tripletnet.data.pair_set import PairSet
from tripletnet.data.source import LoadedData, load_data
from tripletnet.data.triplet_set import TripletSet
from tripletnet.data.unlabelled import load_unlabelled
from tripletnet.data.view_set import ViewSet

__all__ = [
    "ImageSet",
    "LoadedData",
    "PairSet",
    "Splits",
    "TripletSet",
    "ViewSet",
    "find_cifar10",
    "load_cifar10",
    "load_data",
    "load_digits",
    "load_judged",
    "load_unlabelled",
]
