"""The control: the same layers as a classifier, trained on as many images."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any, Callable, Optional

import numpy as np

from tripletnet.backend import mx
from tripletnet.data import ImageSet
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.evaluation.judgement import Control
from tripletnet.evaluation.probe import SVMProbe
from tripletnet.registry import NETWORKS
from tripletnet.training import TrainingConfig, fit_control
from tripletnet.training.bf16 import training_precision


def control_of_run(
    train: Optional[ImageSet],
    test: ImageSet,
    description: dict[str, Any],
    *,
    device: Optional[mx.Context] = None,
    quiet: bool = False,
    progress: Optional[Callable[[str, int, int], None]] = None,
) -> Control:
    """Train and judge the control of the run that `description` is of; see :func:`judge_control`.

    Raises
    ------
    InputError
        If there are no images to train it on.
    """
    if train is None:
        raise InputError("control: there are no images of the run's training part to train it on")
    config = TrainingConfig(**description["training"]).replace(images=description["images_seen"])
    if config.precision == "bf16":  # this may be another machine
        network = NETWORKS.named(config.network)
        config = config.replace(
            precision=training_precision("auto", network, config.network, device)
        )
        if config.precision == "fp32":
            warnings.warn(
                "the run was trained in bf16, which cannot be had here: its control is trained in "
                "fp32",
                stacklevel=3,
            )
    return judge_control(train, test, config, device=device, quiet=quiet, progress=progress)


def judge_control(
    train: ImageSet,
    test: ImageSet,
    config: TrainingConfig,
    *,
    device: Optional[mx.Context] = None,
    progress: Optional[Callable[[str, int, int], None]] = None,
    **options: Any,
) -> Control:
    """Train the control of a run and judge it, by its softmax and by an SVM on its features.

    Parameters
    ----------
    train, test : ImageSet
        What to learn from, and what to score.
    config : TrainingConfig
        The run's: network, images seen, batches, augmentation and mirror images are the same.
    device : mxnet.Context
        Where the network runs.
    progress : callable, optional
        Called as for :func:`judge_run`.
    **options
        As for :func:`tripletnet.training.fit_control`.
    """
    control = fit_control(train, config, device=device, **options)
    scores = encode(control, test, device=device)

    def features(images: ImageSet, part: str) -> np.ndarray:
        told = encoding_stage(progress, f"{part} by the control")
        return encode(control.features, images, device=device, mirror=config.mirror, progress=told)

    probe = SVMProbe(random_state=config.seed).fit(features(train, "train"), train.labels)
    return Control(
        accuracy=float((scores.argmax(axis=1) == test.labels).mean()),
        probe_accuracy=float(probe.score(features(test, "test"), test.labels)),
    )


def encoding_stage(
    progress: Optional[Callable[[str, int, int], None]], part: str
) -> Optional[Callable[[int, int], None]]:
    """Return what is called with how many images of a part are encoded."""
    return None if progress is None else partial(progress, f"encoding {part}")
