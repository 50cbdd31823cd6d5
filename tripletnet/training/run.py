"""Train an encoder into a run folder, or go on with one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.data.examples import Examples
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.networks import EncoderBlock
from tripletnet.plots import save_figure, training_curves
from tripletnet.runs import (
    DESCRIPTION,
    load_run,
    read_description,
    save_run,
    write_description,
)
from tripletnet.training.callbacks import write_rows
from tripletnet.training.checkpoint import Checkpoints
from tripletnet.training.config import TrainingConfig
from tripletnet.training.fit import (
    images_for_minutes,
    make_encoder,
    make_loss,
    make_trainer,
    settled,
)
from tripletnet.training.held_out import held_out
from tripletnet.training.validation import Validation


@dataclass(frozen=True)
class TrainedRun:
    """A finished run.

    Attributes
    ----------
    folder : Path
        The run folder.
    encoder : EncoderBlock
        The trained network.
    description : dict
        What its ``run.json`` tells.
    """

    folder: Path
    encoder: EncoderBlock
    description: dict[str, Any]


def train_run(
    examples: Examples,
    config: TrainingConfig,
    out: PathLike,
    *,
    validation: Optional[Examples] = None,
    patience: Optional[int] = None,
    initial: Optional[PathLike] = None,
    about: Optional[dict[str, Any]] = None,
    minutes: Optional[float] = None,
    resume: bool = False,
    device: Optional[mx.Context] = None,
    checkpoint_minutes: float = 5.0,
    quiet: bool = False,
) -> TrainedRun:
    """Train an encoder and leave a run folder behind.

    Parameters
    ----------
    examples : Examples
        What to learn from: an ImageSet, or what has no classes (a TripletSet, a PairSet, a
        ViewSet).
    config : TrainingConfig
        The choices.
    out : str or Path
        The run folder.
    validation : Examples, optional
        What the weights are chosen on, of the same kind: how well the codes do there is measured
        after each pass over `examples` (at most 20 times a run), see
        :mod:`tripletnet.training.held_out`, and the best weights become the encoder.
    patience : int, optional
        Stop after so many measurements in a row without a better one.
    initial : str or Path, optional
        The run folder whose encoder gives the first weights.
    about : dict, optional
        What else ``run.json`` is to tell, for JSON.
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
        If `out` holds an unfinished run and `resume` was not asked for, or another run than this,
        or the encoder of `initial` is another network.
    KeyboardInterrupt
        If the user interrupted: the state and the encoder as it is are saved then.
    """
    out = Path(out)
    loss = make_loss(config, examples.supervision)
    config = settled(config, loss)
    data = examples.identity()
    checkpoints = Checkpoints(out, checkpoint_minutes)
    stored = read_description(out) if (out / DESCRIPTION).exists() else None
    if stored is not None and resume:
        # the number of images that minutes came to was settled when the run was started
        config = config.replace(images=stored["training"]["images"]) if minutes else config
        longer = config.images > stored["training"]["images"]
        asked = config.replace(images=stored["training"]["images"]) if longer else config
        _refuse_difference(out, stored, {"data": data, "training": asked.to_json()})
        if stored["finished"] and not longer:
            return TrainedRun(out, *load_run(out, device))
    else:
        if stored is not None and not stored["finished"]:
            raise InputError(
                f"{out}: holds an unfinished run: add --resume to go on with it, or take another "
                "--out"
            )
        checkpoints.keep(0)
        if minutes is not None:
            config = config.replace(images=images_for_minutes(minutes, examples, config, device))

    encoder = make_encoder(config, examples)
    trainer, history = make_trainer(
        encoder,
        loss,
        examples,
        config,
        label="encoder",
        device=device,
        checkpoints=checkpoints,
        quiet=quiet,
    )
    watch = None
    if validation is not None and len(validation):
        every = max(len(examples) * examples.images_each, config.images // 20)
        watch = Validation(held_out(validation), out / "best.params", every, patience)
        trainer.callbacks.append(watch)

    def save(finished: bool) -> None:
        history.save(out / "history.csv")
        measured = watch.rows if watch is not None else []
        write_rows(out / "validation.csv", measured)
        if history.rows:
            title = (
                f"{examples.name}: {config.network} network, {config.loss} loss ({config.mining})"
            )
            figure = training_curves({"loss": history.rows}, title, measured)
            save_figure(figure, out / "curves.png")
        save_run(out, encoder, config.network, **describe(finished))

    def describe(finished: bool) -> dict[str, Any]:
        return {
            "data": data,
            "classes": list(examples.classes),
            "training": config.to_json(),
            "images_seen": trainer.images_seen,
            "finished": finished,
            **(about or {}),
        }

    trainer.start()
    if initial is not None and trainer.step == 0:
        _take_weights(encoder, initial)
    write_description(out, describe(finished=False))
    try:
        trainer.run()
    except KeyboardInterrupt:
        save(finished=False)
        raise
    if watch is not None:
        encoder.load_parameters(str(watch.best))
    save(finished=True)
    checkpoints.keep(1)  # from which the run can be lengthened
    return TrainedRun(out, *load_run(out, device))


def _take_weights(encoder: EncoderBlock, run: PathLike) -> None:
    """Give `encoder` the weights of the encoder of another run."""
    other, description = load_run(run)
    if type(other) is not type(encoder) or other.arguments != encoder.arguments:
        named = description["network"]
        raise InputError(
            f"{run}: its encoder is {named['name']} with {named['arguments']}, which differs from "
            f"{encoder.arguments} of this run: ask for the same network"
        )
    weights = other._collect_params_with_prefix()
    for name, parameter in encoder._collect_params_with_prefix().items():
        parameter.set_data(weights[name].data())


def _refuse_difference(out: Path, stored: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise InputError if a run was started on other data or with other choices."""
    # what a run of an earlier version does not name was as it is by default
    known = {**TrainingConfig(images=1).to_json(), **stored["training"]}
    for part, told in (("data", stored["data"]), ("training", known)):
        for key, value in json.loads(json.dumps(ours[part])).items():
            before = told.get(key)
            if before != value:
                raise InputError(
                    f"{out}: the run was started with {key} {before!r}, not {value!r}: resume it "
                    "with the same, or start a new run in another folder"
                )
