"""What is chosen for a run: everything that, with the data, decides the weights."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Optional, Union

from tripletnet.data.augment import Augmentation
from tripletnet.data.sampling import draws_images
from tripletnet.errors import InputError
from tripletnet.registry import OPTIMIZERS, SCHEDULES, TRAINING_PRECISIONS

#: The longest run; the first steps of a longer one would have learning rates that are no numbers.
MOST_IMAGES = 10**12


def finite_images(images: float) -> float:
    """Return a length that was computed; one that TrainingConfig refuses in place of a longer."""
    return min(images, 2.0 * MOST_IMAGES)


@dataclass(frozen=True)
class TrainingConfig:
    """The choices of one run of training.

    Parameters
    ----------
    images : int
        How many images training sees, repeats counted: the length of the run.
    network : str
        The encoder's name.
    code_size : int, optional
        How many numbers a code has; default: the network's own.
    loss, mining
        The loss's name, and the name of the way its triplets are picked.
    margin, temperature
        Parameters of the losses that have such: `margin` of the triplet hinge and the contrastive
        loss, `temperature` of the supervised contrastive loss, the prototypical one and NT-Xent.
    smoothing : float
        The share of an anchor's target that all others have alike, in the supervised contrastive
        and the prototypical loss; the control's softmax takes it, too.
    distance : str, optional
        The name of the distance; default: the loss's own.
    soft_margin : bool
        The triplet loss without a margin.
    average : {"all", "active"}, optional
        Over which triplets the triplet loss is averaged; default: its own.
    batch_size : int
        About how many images each step takes.
    optimizer : str
        A name of :data:`tripletnet.registry.OPTIMIZERS`: `sgd` has momentum 0.9; `nesterov` is SGD
        with Nesterov's momentum of 0.9; `muon` is that with
        :class:`tripletnet.training.muon.Muon` for convolutions.
    learning_rate : float, optional
        The highest; default: the loss's own for SGD, 0.001 for Adam.
    muon_rate : float
        By which share of its length, at the highest, Muon moves a convolution's filters in a step.
    weight_decay : float
        L2 penalty on all weights, but those that Muon moves.
    warmup : float
        The share of the run, from 0 to 1, in which the learning rate rises.
    schedule : str
        How it falls afterwards, a name of :data:`tripletnet.registry.SCHEDULES`.
    balance : {"classes", "images"}
        What is drawn evenly into batches.
    flip, shift, crop, colour, hue, rotate, text, shrink, jpeg
        Augmentation: see :class:`tripletnet.data.augment.Augmentation`.
    mirror : bool
        Encode images as the mean of their code and that of their mirror image.
    projection : int, optional
        Train through a projection head of so many numbers: codes are then what it is given, after
        ReLU.
    precision : {"fp32", "bf16", "auto"}
        What the network computes in while it learns: `auto` takes bfloat16 where processor and
        network are made for it, see :mod:`tripletnet.training.bf16`.
    seed : int
        Decides the first weights, the batches and their augmentation.
    pretrained : bool
        Start the network's backbone from the weights of GluonCV's model store.
    weights : str, optional
        The same from a file of parameters.
    freeze_backbone : "always" or float, optional
        Let the backbone learn nothing, or not before so many passes over the training images.
    backbone_learning_rate : float, optional
        The backbone's highest learning rate; default: that of the other layers.
    """

    images: int
    network: str = "article"
    code_size: Optional[int] = None
    loss: str = "triplet"
    mining: str = "all"
    margin: float = 1.0
    temperature: float = 0.1
    smoothing: float = 0.0
    distance: Optional[str] = None
    soft_margin: bool = False
    average: Optional[str] = None
    batch_size: int = 192
    optimizer: str = "sgd"
    learning_rate: Optional[float] = None
    muon_rate: float = 0.12
    weight_decay: float = 5e-4
    warmup: float = 0.05
    schedule: str = "cosine"
    balance: str = "classes"
    flip: bool = True
    shift: int = 4
    crop: float = 1.0
    colour: float = 0.0
    hue: float = 0.0
    rotate: float = 0.0
    text: float = 0.0
    shrink: float = 1.0
    jpeg: int = 100
    mirror: bool = False
    projection: Optional[int] = None
    precision: str = "fp32"
    seed: int = 0
    pretrained: bool = False
    weights: Optional[str] = None
    freeze_backbone: Union[str, float, None] = None
    backbone_learning_rate: Optional[float] = None

    def __post_init__(self) -> None:
        if not 1 <= self.images <= MOST_IMAGES:
            raise InputError(f"images is {self.images}: train on 1 to {MOST_IMAGES:,} images")
        for registry, name in ((OPTIMIZERS, self.optimizer), (SCHEDULES, self.schedule)):
            registry.named(name)  # refuses what is not known
        _ = draws_images(self.balance)  # refuses what is not known
        if self.batch_size < 4:
            raise InputError(f"batch size is {self.batch_size}: give 4 or more")
        rates = {
            "learning rate": self.learning_rate,
            "muon rate": self.muon_rate,
            "backbone learning rate": self.backbone_learning_rate,
        }
        for name, rate in rates.items():
            if rate is not None and not (rate > 0 and math.isfinite(rate)):
                raise InputError(f"{name} is {rate}: give a number above 0")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(
                f"weight decay is {self.weight_decay}: give a finite number, 0 or more"
            )
        if not 0 <= self.warmup < 1:
            raise InputError(f"warmup is {self.warmup}: give a share from 0 to below 1")
        if self.projection is not None and self.projection < 1:
            raise InputError(f"projection is {self.projection}: give 1 or more numbers, or none")
        if self.precision not in TRAINING_PRECISIONS:
            raise InputError(
                f"precision '{self.precision}' is not known: use one of "
                f"{', '.join(TRAINING_PRECISIONS)}"
            )
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}: give 0 or more")
        _ = self.augmentation  # refuses what makes no sense
        self._check_backbone()

    def _check_backbone(self) -> None:
        frozen = self.freeze_backbone
        if self.pretrained and self.weights is not None:
            raise InputError("pretrained and weights both give the first weights: give one of them")
        if frozen is not None and frozen != "always":
            if isinstance(frozen, str) or not 0 < frozen < math.inf:
                raise InputError(
                    f"freeze backbone is {frozen!r}: give 'always' or a number of epochs above 0"
                )
        elif frozen == "always" and self.backbone_learning_rate is not None:
            raise InputError(
                "a backbone that is always frozen has no learning rate: leave out one of the two"
            )

    @property
    def augmentation(self) -> Augmentation:
        """How training images are altered."""
        names = [field.name for field in dataclasses.fields(Augmentation)]
        return Augmentation(**{name: getattr(self, name) for name in names})

    def replace(self, **changes: Any) -> TrainingConfig:
        """Return a copy with some choices changed."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Return the choices as a dictionary for JSON."""
        return dataclasses.asdict(self)
