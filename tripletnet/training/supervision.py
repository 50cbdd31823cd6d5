"""How a loss learns from what there is: the sampler that fits both, or why there is none."""

from __future__ import annotations

from tripletnet.data.examples import Examples
from tripletnet.data.images import ImageSet
from tripletnet.data.sampling import BalancedSampler, Sampler, TripletSampler, UniformSampler
from tripletnet.errors import InputError
from tripletnet.losses import BatchLoss
from tripletnet.training.config import TrainingConfig

#: What to do where a loss cannot learn from examples of a supervision.
REMEDIES = {
    "classes": "given pairs come from a file of pairs, not from classes: take all pairs of a batch",
    "triplets": "triplets of a file are learnt from as they are: use loss triplet, mining random",
    "pairs": "pairs of a file are learnt from as they are: use loss contrastive",
    "views": "mining random draws triplets of classes, and without classes there are none to draw: "
    "use random-in-batch, or another mining",
}


def require_fit(loss: BatchLoss, supervision: str, config: TrainingConfig) -> None:
    """Raise InputError unless `loss` can learn from examples of this supervision, so altered."""
    fits = {
        "classes": loss.sampling != "pairs",
        "triplets": loss.sampling == "triplets" and not loss.needs_classes,
        "pairs": loss.sampling == "pairs",
        "views": loss.sampling == "balanced",
    }
    if not fits[supervision]:
        raise InputError(REMEDIES[supervision])
    if supervision == "views" and not config.augmentation:
        raise InputError(
            "the two views of a picture are the same, as nothing alters them: use one or more of "
            "flip, shift, crop, rotate, colour, hue, text, shrink and jpeg"
        )


def make_sampler(loss: BatchLoss, examples: Examples, config: TrainingConfig) -> Sampler:
    """Return the sampler that draws batches as `loss` wants them.

    Raises
    ------
    InputError
        If the loss cannot learn from such examples.
    """
    require_fit(loss, examples.supervision, config)
    if not isinstance(examples, ImageSet):
        size = max(2, config.batch_size // examples.images_each)
        return UniformSampler(len(examples), size, config.seed)
    if loss.sampling == "triplets":
        triplets = max(1, config.batch_size // 3)
        return TripletSampler(examples.labels, triplets, config.seed, config.balance)
    if loss.sampling == "uniform":
        return UniformSampler(len(examples), config.batch_size, config.seed)
    return BalancedSampler(
        examples.labels, config.batch_size, seed=config.seed, balance=config.balance
    )
