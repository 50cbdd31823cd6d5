"""Short trainings, and what shows how they went."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np

from tripletnet.training import Callback, StepResult, Trainer, TrainingConfig
from tripletnet.training.checkpoint import Checkpoints
from tripletnet.training.fit import make_encoder, make_loss

#: Twelve steps of 24 images.
CONFIG = TrainingConfig(images=288, code_size=8, batch_size=24, shift=2, learning_rate=0.05)
STEPS = 12


class StopAt(Callback):
    """Stop after a step has been told about: the step after it is the last."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        if result.step == self._step:
            trainer.stop()


def make_trainer(images, config=CONFIG, network=None, callbacks=(), folder=None, minutes=60.0):
    return Trainer(
        network or make_encoder(config, images),
        make_loss(config),
        images,
        config,
        callbacks=callbacks,
        checkpoints=Checkpoints(folder, minutes) if folder else None,
    )


def train(images, *arguments, **options) -> Trainer:
    trainer = make_trainer(images, *arguments, **options)
    trainer.start()
    trainer.run()
    return trainer


def parameters(network) -> dict[str, np.ndarray]:
    found = network._collect_params_with_prefix()
    return {name: parameter.data().asnumpy() for name, parameter in found.items()}


@contextlib.contextmanager
def runtime_warnings():
    """Collect the texts of our warnings and let nobody else's through."""
    texts: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = lambda message, *where, **more: texts.append(str(message))
        yield texts


def same(a, b) -> bool:
    a, b = parameters(a), parameters(b)
    assert a.keys() == b.keys()
    return all(np.array_equal(a[name], b[name]) for name in a)
