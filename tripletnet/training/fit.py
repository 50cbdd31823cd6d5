"""From images and choices to a trained network: the encoder, and its control."""

from __future__ import annotations

import math
import time
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.data.examples import Examples
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.losses import BatchLoss, SoftmaxCrossEntropy, get_loss, options_of
from tripletnet.networks import Classifier, EncoderBlock, get_network
from tripletnet.registry import LOSS_PARAMETERS, NETWORKS, OPTIMIZERS
from tripletnet.training.backbone import check_backbone
from tripletnet.training.bf16 import training_precision
from tripletnet.training.callbacks import Callback, History, Progress, StepResult
from tripletnet.training.checkpoint import Checkpoints
from tripletnet.training.collapse import CollapseWatch
from tripletnet.training.config import TrainingConfig, finite_images
from tripletnet.training.supervision import REMEDIES, require_fit
from tripletnet.training.trainer import Trainer


def make_encoder(config: TrainingConfig, images: Examples) -> EncoderBlock:
    """Return the encoder that `config` names, for images of that size, not yet initialised."""
    height, width = images.image_shape
    if height != width:
        raise InputError(f"{images.name}: images are {width} x {height}: networks take squares")
    return get_network(
        config.network,
        code_size=config.code_size,
        image_size=height,
        mirror=config.mirror,
        rectify=config.projection is not None,
    )


def make_loss(config: TrainingConfig, supervision: str = "classes") -> BatchLoss:
    """Return the loss that `config` names, with its own parameters.

    Parameters
    ----------
    config : TrainingConfig
        The choices.
    supervision : {"classes", "triplets", "pairs", "views"}
        What the loss is to learn from.

    Raises
    ------
    InputError
        If the choices do not go together; the message lists those that do.
    """
    takes = options_of(config.loss)
    parameters: dict[str, Any] = {n: getattr(config, n) for n in LOSS_PARAMETERS if n in takes}
    if config.smoothing and "smoothing" not in takes:  # which the control would take
        raise InputError(f"smoothing: the loss '{config.loss}' has none: leave it out")
    if supervision == "triplets" and "mining" not in takes:
        raise InputError(REMEDIES[supervision])
    if supervision == "pairs" and "given_pairs" in takes:
        parameters["given_pairs"] = True
    choices = {n: getattr(config, n) for n in ("distance", "soft_margin", "average")}
    chosen = {name: choice for name, choice in choices.items() if choice}
    loss = get_loss(config.loss, config.mining, **parameters, **chosen)
    require_fit(loss, supervision, config)
    return loss


def make_trainer(
    network: mx.gluon.HybridBlock,
    loss: BatchLoss,
    examples: Examples,
    config: TrainingConfig,
    *,
    label: str,
    device: Optional[mx.Context] = None,
    checkpoints: Optional[Checkpoints] = None,
    quiet: bool = False,
) -> tuple[Trainer, History]:
    """Return a trainer with the usual callbacks, and its history.

    Parameters
    ----------
    network, loss, examples, config, device, checkpoints
        As for :class:`tripletnet.training.trainer.Trainer`.
    label : str
        What the progress bar calls the run.
    quiet : bool
        No progress bar.
    """
    history = History()
    callbacks = [history, CollapseWatch(), Progress(label, quiet)]
    return Trainer(network, loss, examples, config, device, callbacks, checkpoints), history


def settled(
    config: TrainingConfig,
    loss: BatchLoss,
    device: Optional[mx.Context] = None,
    new: bool = True,
) -> TrainingConfig:
    """Return `config` with what its network, `loss`, its optimiser and `device` take by default.

    Only a `new` run needs the file of its first weights.

    Raises
    ------
    InputError
        If the network does not have the backbone that `config` asks something for, or bf16 is
        asked for and cannot be had.
    """
    check_backbone(config, new)
    network = NETWORKS.named(config.network)
    code_size, rate = config.code_size, config.learning_rate
    if code_size is None:
        code_size = network.natural_code_size
    if rate is None:
        own = _own_rate(config.optimizer)
        rate = loss.learning_rate if own is None else own
    precision = training_precision(config.precision, network, config.network, device)
    return config.replace(code_size=code_size, learning_rate=rate, precision=precision)


def fit_encoder(
    examples: Examples, config: TrainingConfig, loss: Optional[BatchLoss] = None, **options: Any
) -> EncoderBlock:
    """Train an encoder on `examples` and return it; nothing is written.

    Parameters
    ----------
    examples : Examples
        What to learn from: an ImageSet, a TripletSet, a PairSet or a ViewSet.
    config : TrainingConfig
        The choices.
    loss : BatchLoss, optional
        What to minimise; default: what `config` names. Its miner and its distance, too, can be
        objects that have no name.
    **options
        `device`, `checkpoints` and `quiet`, as for :func:`make_trainer`.

    Raises
    ------
    InputError
        If the choices do not fit together or do not fit the examples.
    """
    loss = loss or make_loss(config, examples.supervision)
    if not isinstance(loss, BatchLoss):
        raise InputError(f"loss: expected a BatchLoss, got {type(loss).__name__}")
    config = settled(config, loss, options.get("device"))
    encoder = make_encoder(config, examples)
    trainer, _ = make_trainer(encoder, loss, examples, config, label="encoder", **options)
    trainer.start()
    trainer.run()
    return encoder


def fit_control(
    images: ImageSet,
    config: TrainingConfig,
    learning_rate: Optional[float] = None,
    **options: Any,
) -> Classifier:
    """Train the control: the same layers end to end as a classifier, on as many images.

    Parameters
    ----------
    images, config, **options
        As for :func:`fit_encoder`; the augmentation and the smoothing are the same.
    learning_rate : float, optional
        The control's own; default: that of its optimiser, if it has one, as Adam does; else the
        network's, times the root of the batch over 192.
    """
    encoder = make_encoder(config, images)
    control = Classifier(encoder, len(images.classes))
    if learning_rate is None:
        learning_rate = _own_rate(config.optimizer)
    if learning_rate is None:
        learning_rate = encoder.softmax_learning_rate
        if config.optimizer == "muon":
            learning_rate = encoder.softmax_learning_rate_beside_muon or learning_rate
        learning_rate *= math.sqrt(config.batch_size / 192)
    own = config.replace(learning_rate=learning_rate)
    trainer, _ = make_trainer(
        control, SoftmaxCrossEntropy(config.smoothing), images, own, label="control", **options
    )
    trainer.start()
    trainer.run()
    return control


def _own_rate(optimizer: str) -> Optional[float]:
    """Return the learning rate that an optimiser takes by default, whatever it is to minimise."""
    return getattr(OPTIMIZERS[optimizer], "default_learning_rate", None)


class _Stopwatch(Callback):
    """Measure images/s after the first steps, then stop the run."""

    def __init__(self, skip: int, seconds: float) -> None:
        self._skip = skip
        self._seconds = seconds
        self._start = 0.0
        self.speed = 0.0

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        """Count from the step after the skipped ones."""
        if result.step == self._skip:
            self._start = time.perf_counter()
        elif result.step > self._skip:
            elapsed = time.perf_counter() - self._start
            self.speed = (result.step - self._skip) * trainer.batch_size / elapsed
            if elapsed >= self._seconds:
                trainer.stop()


def images_for_minutes(
    minutes: float,
    examples: Examples,
    config: TrainingConfig,
    device: Optional[mx.Context] = None,
    seconds: float = 10.0,
) -> int:
    """Return how many images training would see in so many minutes on this machine.

    A network that is thrown away is trained on real batches and timed.

    Parameters
    ----------
    minutes : float
        How long the run is to take.
    examples, config, device
        Of the run.
    seconds : float
        How long to measure, at the most; a tenth of the minutes if that is less.
    """
    if not 0 < minutes < math.inf:
        raise InputError(f"minutes is {minutes}: give a finite number above 0")
    watch = _Stopwatch(skip=3, seconds=min(seconds, 6.0 * minutes))
    loss = make_loss(config, examples.supervision)
    frozen = "always" if config.freeze_backbone == "always" else None
    trial = settled(config, loss, device).replace(
        images=1_000_000 * config.batch_size, freeze_backbone=frozen
    )
    trainer = Trainer(make_encoder(trial, examples), loss, examples, trial, device, [watch])
    trainer.initialize()
    trainer.run()
    return max(trainer.batch_size, int(finite_images(watch.speed * 60.0 * minutes)))
