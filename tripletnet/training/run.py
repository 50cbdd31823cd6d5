"""Train an encoder into a run folder, or go on with one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.networks import Encoder
from tripletnet.plots import save_figure, training_curves
from tripletnet.runs import (
    DESCRIPTION,
    load_run,
    read_description,
    save_run,
    write_description,
)
from tripletnet.training.checkpoint import Checkpoints
from tripletnet.training.config import TrainingConfig
from tripletnet.training.fit import (
    images_for_minutes,
    make_encoder,
    make_loss,
    make_trainer,
    settled,
)


@dataclass(frozen=True)
class TrainedRun:
    """A finished run.

    Attributes
    ----------
    folder : Path
        The run folder.
    encoder : Encoder
        The trained network.
    description : dict
        What its ``run.json`` tells.
    """

    folder: Path
    encoder: Encoder
    description: dict[str, Any]


def train_run(
    images: ImageSet,
    config: TrainingConfig,
    out: PathLike,
    *,
    minutes: Optional[float] = None,
    resume: bool = False,
    device: Optional[mx.Context] = None,
    checkpoint_minutes: float = 5.0,
    quiet: bool = False,
) -> TrainedRun:
    """Train an encoder and leave a run folder behind.

    Parameters
    ----------
    images : ImageSet
        What to learn from.
    config : TrainingConfig
        The choices.
    out : str or Path
        The run folder.
    minutes : float, optional
        Train about so long: a timed trial turns it into the number of images, which takes the
        place of the configuration's and is stored.
    resume : bool
        Go on with the run that was stopped in `out`; a finished run is returned as it is, and
        where there is none a new one starts.
    device : mxnet.Context
        Where the network runs.
    checkpoint_minutes : float
        How often to save the state of the run.
    quiet : bool
        No progress bar.

    Raises
    ------
    InputError
        If `out` holds an unfinished run and `resume` was not asked for, or another run than this.
    KeyboardInterrupt
        If the user interrupted: the state and the encoder as it is are saved then.
    """
    out = Path(out)
    config = settled(config)
    data = images.identity()
    stored = read_description(out) if (out / DESCRIPTION).exists() else None
    checkpoints = Checkpoints(out, checkpoint_minutes)
    if stored is not None and resume:
        # the number of images that minutes came to was settled when the run was started
        config = config.replace(images=stored["training"]["images"]) if minutes else config
        _refuse_difference(out, stored, {"data": data, "training": config.to_json()})
        if stored["finished"]:
            return TrainedRun(out, *load_run(out, device))
    else:
        if stored is not None and not stored["finished"]:
            raise InputError(
                f"{out}: holds an unfinished run: add --resume to go on with it, or take another "
                "--out"
            )
        checkpoints.clear()
        if minutes is not None:
            config = config.replace(images=images_for_minutes(minutes, images, config, device))

    encoder = make_encoder(config, images)
    trainer, history = make_trainer(
        encoder,
        make_loss(config),
        images,
        config,
        label="encoder",
        device=device,
        checkpoints=checkpoints,
        quiet=quiet,
    )

    def describe(finished: bool) -> dict[str, Any]:
        return {
            "data": data,
            "classes": list(images.classes),
            "training": config.to_json(),
            "images_seen": trainer.images_seen,
            "finished": finished,
        }

    write_description(out, describe(finished=False))
    trainer.start()
    finished = False
    try:
        trainer.run()
        finished = True
    finally:
        history.save(out / "history.csv")
        if history.rows:
            title = f"{images.name}: {config.network} network, {config.loss} loss ({config.mining})"
            save_figure(training_curves({"loss": history.rows}, title), out / "curves.png")
        save_run(out, encoder, config.network, **describe(finished))
    return TrainedRun(out, *load_run(out, device))


def _refuse_difference(out: Path, stored: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise InputError if a run was started on other data or with other choices."""
    for part in ("data", "training"):
        for key, value in json.loads(json.dumps(ours[part])).items():
            before = stored[part].get(key)
            if before != value:
                raise InputError(
                    f"{out}: the run was started with {key} {before!r}, not {value!r}: resume it "
                    "with the same, or start a new run in another folder"
                )
