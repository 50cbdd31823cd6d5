"""Train an encoder into a run folder, or go on with one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.data.examples import Examples
from tripletnet.data.scan import LeftOut, write_left_out
from tripletnet.data.split import split_to_json
from tripletnet.errors import InputError
from tripletnet.evaluation.threshold import Threshold, choose_threshold
from tripletnet.extras import load_tensorboardx
from tripletnet.files import PathLike, write_json
from tripletnet.int8.calibration import choose_calibration, save_calibration
from tripletnet.int8.store import remove_int8
from tripletnet.networks import EncoderBlock
from tripletnet.plots import save_figure, training_curves
from tripletnet.retrieval.encode import encode
from tripletnet.runs import (
    CALIBRATION,
    LEFT_OUT,
    SPLIT,
    THRESHOLD,
    going_on,
    load_run,
    only_trainer,
    read_description,
    read_threshold,
    save_run,
    write_description,
    write_threshold,
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
from tripletnet.training.held_out import held_out
from tripletnet.training.neighbour_grids import NeighbourGrids
from tripletnet.training.tensorboard import TensorBoard
from tripletnet.training.validation import Validation

#: What tells one set of examples from another, see their ``identity``, for people.
_DATA_IN_WORDS = {
    "dataset": "a data set called",
    "size": "a number of examples of",
    "sha256": "data of the sha256",
    "validation": "held-out data of the sha256",
}

#: Arguments of an encoder that its weights have nothing to do with.
_WITHOUT_WEIGHTS = {"mirror", "rectify"}


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
    threshold : Threshold, optional
        How near two images have to be to count as the same, in squared Euclidean distances, if that
        was chosen now.
    no_threshold : str, optional
        Why the run has none.
    """

    folder: Path
    encoder: EncoderBlock
    description: dict[str, Any]
    threshold: Optional[Threshold] = None
    no_threshold: Optional[str] = None


def train_run(
    examples: Examples,
    config: TrainingConfig,
    out: PathLike,
    *,
    validation: Optional[Examples] = None,
    patience: Optional[int] = None,
    initial: Optional[PathLike] = None,
    about: Optional[dict[str, Any]] = None,
    split: Optional[Mapping[str, str]] = None,
    left_out: Optional[Sequence[LeftOut]] = None,
    minutes: Optional[float] = None,
    resume: bool = False,
    device: Optional[mx.Context] = None,
    checkpoint_minutes: float = 5.0,
    tensorboard: Optional[PathLike] = None,
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
        :mod:`tripletnet.training.held_out`, and the latest weights that it finds no better ones
        than become the encoder, see :class:`tripletnet.training.validation.Validation`. The run's
        threshold is chosen there, too, for few wrong pairs, unless the run has one.
    patience : int, optional
        Stop after so many measurements in a row without a better one.
    initial : str or Path, optional
        The run folder whose encoder gives the first weights. A run that goes on has its own, and
        need not name it.
    about : dict, optional
        What else ``run.json`` is to tell, for JSON. Going on asks for the same ``source``.
    split : mapping of str to str, optional
        The part of each image by its content hash, for ``split.json``: how the run is judged later
        on nothing that it has learnt from.
    left_out : sequence of LeftOut, optional
        What of the data could not be used, for ``left_out.tsv``.
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
    tensorboard : str or Path, optional
        A folder, this run's own, for curves and pictures that TensorBoard shows while it trains.
    quiet : bool
        No progress bar.

    Raises
    ------
    InputError
        If `out` holds a run and `resume` was not asked for, or another run than this, or files of
        somebody else that a run would write over, or its name is not valid UTF-8, or another
        training is at it, or the encoder of `initial` is another network, or the weights for its
        backbone cannot be had, or there is `patience` and no validation, or the extra `tensorboard`
        is missing. What lies in `out` is as it was then.
    KeyboardInterrupt
        If the user interrupted: the state and the encoder as it is are saved then. A finished run
        that was being lengthened keeps its encoder.
    """
    for name in ("network", "loss", "mining", "distance"):
        if not isinstance(getattr(config, name), (str, type(None))):
            raise InputError(
                f"{name}: a run folder tells its choices by name: give one, of the project's or of "
                "your own in its registry (docs/losses.md)"
            )
    out = Path(out)
    earlier = read_description(out) if going_on(out, resume) else {}
    loss = make_loss(config, examples.supervision)
    if initial is not None and (config.pretrained or config.weights is not None):
        raise InputError(
            "init, and pretrained or weights, both give the first weights: leave one out"
        )
    if earlier and config.precision == "auto":
        # what it is, the run has settled; nothing said so before there was a choice
        config = config.replace(precision=earlier["training"].get("precision", "fp32"))
    config = settled(config, loss, device, new=not earlier)
    if tensorboard is not None:
        load_tensorboardx()  # before all else
    data = examples.identity()
    data["validation"] = None if validation is None else validation.identity()["sha256"]
    if initial is None:
        initial = earlier.get("initial")
    chosen = {**(about or {}), "initial": None if initial is None else str(initial)}
    checkpoints = Checkpoints(out, checkpoint_minutes)
    longer = bool(earlier) and minutes is None and config.images > earlier["training"]["images"]
    if earlier:
        # the number of images that minutes came to was settled when the run was started
        _refuse_other_minutes(out, earlier, minutes)
        if minutes is not None:
            config = config.replace(images=earlier["training"]["images"])
        asked = config.replace(images=earlier["training"]["images"]) if longer else config
        _refuse_difference(out, earlier, asked, data, chosen)
        if earlier["finished"] and not longer:
            trained = TrainedRun(out, *load_run(out, device))
            return _with_threshold(trained, validation, device)
    elif minutes is not None:
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
    looked_at, name = examples, "training images"
    if validation is not None and len(validation):
        every = max(len(examples) * examples.images_each, config.images // 20)
        watch = Validation(
            held_out(validation), out / "best.params", every, patience, out / "validation.csv"
        )
        trainer.callbacks.append(watch)
        looked_at, name = validation, "validation images"
    elif patience is not None:
        raise InputError("patience: nothing is held out to validate on: leave it out")
    every = max(len(examples) * examples.images_each, config.images // 10)
    grids = NeighbourGrids(looked_at, name, out / "neighbours", every, config.seed)
    trainer.callbacks.append(grids)
    if tensorboard is not None:
        trainer.callbacks.append(TensorBoard(tensorboard, history, watch, grids))

    def save(finished: bool) -> None:
        history.save(out / "history.csv")
        measured = watch.rows if watch is not None else []
        if history.rows:
            title = (
                f"{examples.name}: {config.network} network, {config.loss} loss ({config.mining})"
            )
            figure = training_curves(history.rows, title, measured)
            save_figure(figure, out / "curves.png")
        # these are of the weights that are replaced now
        remove_int8(out)
        (out / THRESHOLD).unlink(missing_ok=True)
        save_run(out, encoder, config.network, **describe(finished))

    def describe(finished: bool) -> dict[str, Any]:
        return {
            "data": data,
            "classes": list(examples.classes),
            "training": config.to_json(),
            "images_seen": trainer.images_seen,
            "finished": finished,
            "minutes": None if longer else earlier.get("minutes", minutes),
            **chosen,
        }

    # an encoder that is there goes on being the run's until there is a new one, that of a finished
    # run until the longer one is finished as well
    kept: dict[str, Any] = {
        key: earlier[key] for key in ("network", "fingerprint") if key in earlier
    }
    lengthening = bool(earlier) and (earlier["finished"] or earlier.get("lengthening", False))
    if lengthening:
        kept.update(images_seen=earlier["images_seen"], lengthening=True)
    first = None if initial is None or earlier else _weights_for(encoder, config, initial)
    with only_trainer(out):
        if not earlier:
            going_on(out, resume=False)  # whoever was at it may have made a run
            trainer.try_backbone()
        trainer.start()
        if trainer.step == 0 and earlier.get("images_seen"):
            raise InputError(
                f"{out}: has no checkpoint to go on from: start the run again in another folder"
            )
        if initial is not None and earlier and trainer.step == 0:  # it has learnt nothing yet
            first = _weights_for(encoder, config, initial)
        write_description(out, {**describe(finished=False), **kept})
        if left_out is not None:
            write_left_out(left_out, out / LEFT_OUT)
        if not (out / CALIBRATION).exists():
            save_calibration(out, choose_calibration(looked_at))
        if split is not None and not (out / SPLIT).exists():
            write_json(out / SPLIT, split_to_json(split))
        if first is not None:
            for name, parameter in encoder._collect_params_with_prefix().items():
                parameter.set_data(first[name].data())
        try:
            trainer.run()
        except KeyboardInterrupt:
            if not lengthening:
                save(finished=False)
            raise
        if watch is not None:
            encoder.load_parameters(str(watch.best))
        save(finished=True)
        checkpoints.keep(1)  # from which the run can be lengthened
        trained = TrainedRun(out, *load_run(out, device))
        return _with_threshold(trained, validation, device)


def _with_threshold(
    trained: TrainedRun, validation: Optional[Examples], device: Optional[mx.Context]
) -> TrainedRun:
    """Choose on what is held out how near two images have to be to count as the same."""
    if read_threshold(trained.folder) is not None:
        return trained  # the user may have chosen it since
    if validation is None or not len(validation):
        return replace(trained, no_threshold="nothing is held out")
    examples = held_out(validation)
    try:
        pairs = examples.pairs(partial(encode, trained.encoder, device=device))
        threshold = choose_threshold(pairs, value=examples.false_positive_rate)
    except InputError as error:
        return replace(trained, no_threshold=str(error))
    write_threshold(trained.folder, threshold.to_json(), trained.description["fingerprint"])
    return replace(trained, threshold=threshold)


def _refuse_other_minutes(out: Path, stored: dict[str, Any], minutes: Optional[float]) -> None:
    """Raise InputError if a run is to go on for another time than the one that it was given."""
    if minutes is not None and stored.get("minutes", minutes) != minutes:
        raise InputError(
            f"{out}: minutes is {minutes:g}, but the run is settled on "
            f"{stored['training']['images']:,} images: leave minutes out, or give more images to "
            "lengthen it"
        )


def check_initial(run: PathLike, config: TrainingConfig) -> EncoderBlock:
    """Return the encoder of the run that is to give the first weights.

    Raises
    ------
    InputError
        If there is none, or it is another network than `config` names.
    """
    encoder, description = load_run(run)
    named = description["network"]["name"]
    if named != config.network:
        raise InputError(
            f"{run}: its network is '{named}', and this run's '{config.network}': ask for the same"
        )
    return encoder


def _weights_for(
    encoder: EncoderBlock, config: TrainingConfig, run: PathLike
) -> dict[str, mx.gluon.Parameter]:
    """Return the weights of the encoder of another run, by the names that `encoder` has."""
    other = check_initial(run, config)
    theirs, ours = (
        {name: value for name, value in block.arguments.items() if name not in _WITHOUT_WEIGHTS}
        for block in (other, encoder)
    )
    if type(other) is not type(encoder) or theirs != ours:
        raise InputError(
            f"{run}: its encoder has {theirs}, and this run's {ours}: ask for the same network"
        )
    return other._collect_params_with_prefix()


def _refuse_difference(
    out: Path,
    stored: dict[str, Any],
    config: TrainingConfig,
    data: dict[str, Any],
    chosen: dict[str, Any],
) -> None:
    """Raise InputError if a run was started on other data or with other choices."""
    # what a run of an earlier version does not name was as it is by default
    known = {**TrainingConfig(images=1).to_json(), **stored["training"]}
    in_words = {_DATA_IN_WORDS.get(key, key): value for key, value in data.items()}
    stored_data = {_DATA_IN_WORDS.get(key, key): value for key, value in stored["data"].items()}
    for told, ours in (
        (known, config.to_json()),
        (stored, {"initial": chosen["initial"]}),
        (stored.get("source", {}), chosen.get("source", {})),  # before the data that come of it
        (stored_data, in_words),
    ):
        for key, value in json.loads(json.dumps(ours)).items():
            before = told.get(key, value)
            if before != value:
                raise InputError(
                    f"{out}: the run was started with {key} {before!r}, not {value!r}: resume it "
                    "with the same, or start a new run in another folder"
                )
