"""What can be chosen by name, a line each: networks, losses, miners, optimisers and so on.

Only the names are here, so that ``tripletnet train --help`` can list them without MXNet: each
class or function is imported when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Optional, TypeVar, Union

from tripletnet.errors import InputError

if TYPE_CHECKING:
    from tripletnet.codes.distances import Distance
    from tripletnet.losses import BatchLoss, Miner
    from tripletnet.networks import EncoderBlock

Kind = TypeVar("Kind")


class Registry(MutableMapping[str, "type[Kind]"], Generic[Kind]):
    """Classes of one kind, or functions, by their names.

    Parameters
    ----------
    kind : str
        What they are, for errors.
    entries : mapping of str to str or class
        Where each lies, as ``"module:Class"`` or ``"module:function"``, or the class itself.
    families : mapping of str to str, optional
        Where lie functions that turn NAME into a class, as ``"module:function"``, for names of
        the form ``FAMILY:NAME``, which are too many to list.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, Union[str, type[Kind]]],
        families: Optional[Mapping[str, str]] = None,
    ) -> None:
        self.kind = kind
        self._entries = dict(entries)
        self._families = dict(families or {})

    def __getitem__(self, name: str) -> type[Kind]:
        entry = self._entries[name]
        if isinstance(entry, str):
            entry = self._entries[name] = _import(entry)
        return entry

    def __setitem__(self, name: str, entry: Union[str, type[Kind]]) -> None:
        self._entries[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # without an import

    def __str__(self) -> str:
        return ", ".join([*self, *(f"{family}:NAME" for family in self._families)])

    def named(self, name: str) -> type[Kind]:
        """Return the class called `name`.

        Raises
        ------
        InputError
            If there is none; the message lists those that there are.
        """
        family, colon, member = name.partition(":")
        if colon and family in self._families:
            return _import(self._families[family])(member)
        if name not in self:
            raise InputError(f"{self.kind} '{name}' is not known: use one of {self}")
        return self[name]

    def choose(self, choice: Union[str, Kind], **arguments: Any) -> Kind:
        """Return `choice` itself, or an object of the class of that name, made of `arguments`.

        Raises
        ------
        InputError
            If there is no such name; the message lists those that there are.
        """
        return self.named(choice)(**arguments) if isinstance(choice, str) else choice


def _import(place: str) -> Any:
    """Return what is called ``"module:attribute"``."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


#: In which numbers an encoder may compute, see :mod:`tripletnet.int8.precision`.
ENCODING_PRECISIONS = ("fp32", "int8", "auto")
#: In which numbers a network may learn, see :mod:`tripletnet.training.bf16`.
TRAINING_PRECISIONS = ("fp32", "bf16", "auto")

NETWORKS: Registry[EncoderBlock] = Registry(
    "network",
    {
        "article": "tripletnet.networks.triplet_cnn:TripletCNN",
        "residual": "tripletnet.networks.residual:ResidualNet",
        "whitened": "tripletnet.networks.whitened:WhitenedNet",
        "whitened-relu": "tripletnet.networks.whitened:RectifiedWhitenedNet",
        "whitened-wide": "tripletnet.networks.whitened:WideWhitenedNet",
        "deep-ranking": "tripletnet.networks.deep_ranking:DeepRanking",
    },
    families={"gluoncv": "tripletnet.networks.gluoncv_backbone:gluoncv_type"},
)

LOSSES: Registry[BatchLoss] = Registry(
    "loss",
    {
        "triplet": "tripletnet.losses.triplet_loss:TripletLoss",
        "supcon": "tripletnet.losses.supervised_contrastive:SupervisedContrastive",
        "prototypical": "tripletnet.losses.prototypical:Prototypical",
        "contrastive": "tripletnet.losses.contrastive_pairs:Contrastive",
        "margin": "tripletnet.losses.margin:MarginLoss",
        "multi-similarity": "tripletnet.losses.multi_similarity:MultiSimilarity",
        "nt-xent": "tripletnet.losses.nt_xent:NTXent",
    },
)

MINERS: Registry[Miner] = Registry(
    "mining",
    {
        "all": "tripletnet.losses.mining.every:EveryTriplet",
        "random": "tripletnet.losses.mining.drawn:DrawnTriplets",
        "random-in-batch": "tripletnet.losses.mining.random_in_batch:RandomInBatch",
        "semi-hard": "tripletnet.losses.mining.semi_hard:SemiHard",
        "batch-hard": "tripletnet.losses.mining.batch_hard:BatchHard",
        "distance-weighted": "tripletnet.losses.mining.distance_weighted:DistanceWeighted",
    },
)

#: Choices of training that are parameters of some losses.
LOSS_PARAMETERS = ("margin", "temperature", "smoothing")

DISTANCES: Registry[Distance] = Registry(
    "distance",
    {
        "squared": "tripletnet.codes.distances:SquaredEuclidean",
        "euclidean": "tripletnet.codes.distances:Euclidean",
        "cosine": "tripletnet.codes.distances:Cosine",
    },
)

#: Classes and functions that make an optimiser of its options.
OPTIMIZERS: Registry[Any] = Registry(
    "optimizer",
    {
        "sgd": "tripletnet.training.sgd:MomentumSGD",
        "nesterov": "tripletnet.training.optimizers:Nesterov",
        "adam": "tripletnet.training.optimizers:Adam",
        "muon": "tripletnet.training.muon:Muon",
    },
)

#: How the learning rate falls: functions of the share of the run that is done to a factor.
SCHEDULES: Registry[Any] = Registry(
    "schedule",
    {
        "cosine": "tripletnet.training.schedule:cosine",
        "linear": "tripletnet.training.schedule:linear",
        "linear-to-zero": "tripletnet.training.schedule:linear_to_zero",
        "cyclic": "tripletnet.training.schedule:cyclic",
        "step": "tripletnet.training.schedule:step",
    },
)
