"""The loop that trains a network on batches of images."""

from tripletnet.training.callbacks import Callback, StepResult
from tripletnet.training.config import TrainingConfig
from tripletnet.training.first_weights import check_initial
from tripletnet.training.fit import fit_control, fit_encoder, images_for_minutes
from tripletnet.training.run import TrainedRun, train_run
from tripletnet.training.trainer import Trainer, TrainingError

__all__ = [
    "Callback",
    "StepResult",
    "TrainedRun",
    "Trainer",
    "TrainingConfig",
    "TrainingError",
    "check_initial",
    "fit_control",
    "fit_encoder",
    "images_for_minutes",
    "train_run",
]
