"""Train an encoder into a run folder, or go on with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.data.examples import Examples
from tripletnet.data.scan import LeftOut, write_left_out
from tripletnet.data.split import split_to_json
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.evaluation.threshold import Threshold, choose_threshold
from tripletnet.extras import load_tensorboardx
from tripletnet.files import PathLike, write_json
from tripletnet.int8.calibration import choose_calibration, save_calibration
from tripletnet.int8.store import remove_int8
from tripletnet.networks import EncoderBlock
from tripletnet.plots import save_figure, training_curves
from tripletnet.run_files import (
    BEST_PARAMETERS,
    CALIBRATION,
    CURVES,
    HISTORY,
    LEFT_OUT,
    NEIGHBOURS,
    SPLIT,
    THRESHOLD,
    VALIDATION,
)
from tripletnet.runs import (
    going_on,
    load_run,
    only_trainer,
    read_threshold,
    save_run,
    write_description,
    write_threshold,
)
from tripletnet.training.checkpoint import Checkpoints
from tripletnet.training.config import TrainingConfig
from tripletnet.training.first_weights import weights_for
from tripletnet.training.fit import make_encoder, make_trainer
from tripletnet.training.held_out import held_out
from tripletnet.training.neighbour_grids import NeighbourGrids
from tripletnet.training.plan import plan_run
from tripletnet.training.tensorboard import TensorBoard
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
    out = Path(out)
    if tensorboard is not None:
        load_tensorboardx()  # before all else
    plan = plan_run(
        examples,
        config,
        out,
        validation=validation,
        initial=initial,
        about=about,
        minutes=minutes,
        resume=resume,
        device=device,
    )
    if plan.is_done:
        return _with_threshold(TrainedRun(out, *load_run(out, device)), validation, device)
    config, earlier = plan.config, plan.earlier
    checkpoints = Checkpoints(out, checkpoint_minutes)
    encoder = make_encoder(config, examples)
    trainer, history = make_trainer(
        encoder,
        plan.loss,
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
            held_out(validation), out / BEST_PARAMETERS, every, patience, out / VALIDATION
        )
        trainer.callbacks.append(watch)
        looked_at, name = validation, "validation images"
    elif patience is not None:
        raise InputError("patience: nothing is held out to validate on: leave it out")
    every = max(len(examples) * examples.images_each, config.images // 10)
    grids = NeighbourGrids(looked_at, name, out / NEIGHBOURS, every, config.seed)
    trainer.callbacks.append(grids)
    if tensorboard is not None:
        trainer.callbacks.append(TensorBoard(tensorboard, history, watch, grids))

    def save(finished: bool) -> None:
        history.save(out / HISTORY)
        measured = watch.rows if watch is not None else []
        if history.rows:
            title = (
                f"{examples.name}: {config.network} network, {config.loss} loss ({config.mining})"
            )
            figure = training_curves(history.rows, title, measured)
            save_figure(figure, out / CURVES)
        # these are of the weights that are replaced now
        remove_int8(out)
        (out / THRESHOLD).unlink(missing_ok=True)
        save_run(out, encoder, config.network, **describe(finished))

    def describe(finished: bool) -> dict[str, Any]:
        return {
            "data": plan.data,
            "classes": list(examples.classes),
            "training": config.to_json(),
            "images_seen": trainer.images_seen,
            "finished": finished,
            "minutes": plan.minutes,
            **plan.chosen,
        }

    # an encoder that is there goes on being the run's until there is a new one, that of a finished
    # run until the longer one is finished as well
    kept: dict[str, Any] = {
        key: earlier[key] for key in ("network", "fingerprint") if key in earlier
    }
    if plan.lengthens_a_finished_run:
        kept.update(images_seen=earlier["images_seen"], lengthening=True)
    source = plan.initial
    first = None if source is None or earlier else weights_for(encoder, config, source)
    with only_trainer(out):
        if not earlier:
            going_on(out, resume=False)  # whoever was at it may have made a run
            trainer.try_backbone()
        trainer.start()
        if trainer.step == 0 and earlier.get("images_seen"):
            raise InputError(
                f"{out}: has no checkpoint to go on from: start the run again in another folder"
            )
        if source is not None and earlier and trainer.step == 0:  # it has learnt nothing yet
            first = weights_for(encoder, config, source)
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
            if not plan.lengthens_a_finished_run:
                save(finished=False)
            raise
        if watch is not None:
            encoder.load_parameters(str(watch.best))
        save(finished=True)
        checkpoints.keep(1)  # from which the run can be lengthened
        return _with_threshold(TrainedRun(out, *load_run(out, device)), validation, device)


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
