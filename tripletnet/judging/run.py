"""Judge the encoder of a run folder on images that it has not seen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np

from tripletnet.backend import mx
from tripletnet.codes.distances import Distance
from tripletnet.data import ImageSet, load_data
from tripletnet.data.source import LoadedData
from tripletnet.data.split import split_from_json
from tripletnet.encoding import encode
from tripletnet.errors import InputError, some_of
from tripletnet.evaluation.judgement import Judgement, judge
from tripletnet.evaluation.parts import Codes
from tripletnet.evaluation.threshold import (
    DEFAULT_TARGET,
    DEFAULT_VALUE,
    Threshold,
    check_target,
)
from tripletnet.files import PathLike, read_json
from tripletnet.int8.precision import RunEncoder, load_encoder
from tripletnet.judging.control import control_of_run, encoding_stage
from tripletnet.registry import DISTANCES
from tripletnet.run_files import SPLIT, THRESHOLD
from tripletnet.runs import read_description, read_threshold_target, write_threshold


def load_run_data(
    run: PathLike,
    name: Optional[str] = None,
    *,
    root: Optional[PathLike] = None,
    seed: int = 0,
    show_progress: bool = False,
    progress: Optional[Callable[[int, int], None]] = None,
) -> LoadedData:
    """Load images as a run knows them: at its size, and in its split.

    Parameters
    ----------
    run : str or Path
        The run folder.
    name : str, optional
        ``cifar10``, ``digits`` or a folder. Default: what the run was trained on, if that is no
        folder.
    root, seed, show_progress, progress
        As for :func:`tripletnet.data.load_data`.

    Raises
    ------
    InputError
        If the run was trained on a folder and none is named, or there is no such data set.
    """
    run = Path(run)
    description = read_description(run)
    source = description.get("source", {})
    if name is None:
        name = _named_data(run, source.get("kind"))
    stored = run / SPLIT
    if source.get("kind") in ("folder", "triplets", "pairs") and not stored.exists():
        raise InputError(
            f"{stored}: no such file, so that nobody knows which images the run has learnt from: "
            "take it from where the run was made, or train again"
        )
    return load_data(
        name,
        root=root,
        size=description["network"]["arguments"]["image_size"],
        fit=source.get("fit", "crop"),
        seed=seed,
        split=split_from_json(read_json(stored)) if stored.exists() else None,
        show_progress=show_progress,
        progress=progress,
    )


def _threshold_target(
    run: Path, target: Optional[str], value: Optional[float]
) -> tuple[str, float]:
    """Return what a threshold is to be chosen for: if nothing is given, what the run's was."""
    stored = read_threshold_target(run) if target is None and value is None else None
    if stored is not None:
        try:
            check_target(*stored)
        except InputError as error:
            raise InputError(f"{run / THRESHOLD}: {error}; or remove the file") from None
        return stored
    target = DEFAULT_TARGET if target is None else target
    value = DEFAULT_VALUE if value is None else value
    check_target(target, value)
    return target, value


def _named_data(run: Path, kind: Optional[str]) -> str:
    """Return the data set that a run was trained on, if that has a name."""
    if kind in ("triplets", "pairs"):
        raise InputError(
            f"{run}: this run was trained on {kind}: give some by --{kind} FILE, or as DATA a data "
            "set with classes"
        )
    if kind in (None, "folder"):
        on_a_folder = "was trained on a folder: give that folder as DATA, or another"
        untold = "does not tell what it was trained on: give DATA, a folder, cifar10 or digits"
        raise InputError(f"{run}: this run {on_a_folder if kind else untold}")
    return kind


def judge_run(
    run: PathLike,
    data: LoadedData,
    *,
    control: bool = False,
    target: Optional[str] = None,
    value: Optional[float] = None,
    distance: Union[str, Distance] = "squared",
    seed: int = 0,
    device: Optional[mx.Context] = None,
    precision: str = "fp32",
    quiet: bool = False,
    progress: Optional[Callable[[str, int, int], None]] = None,
) -> Judgement:
    """Judge the encoder of a run: the SVM learns from train, test alone is scored.

    The threshold, chosen on validation, is stored in the run as ``threshold.json``, in squared
    Euclidean distances, if these are the images that the run was trained on and the encoder
    computed in fp32. The judgement's first note says whether it was.

    Parameters
    ----------
    run : str or Path
        The run folder.
    data : LoadedData
        See :func:`load_run_data`.
    control : bool
        Train the control, too: the same layers as a classifier, on as many images.
    target, value, distance, seed
        As for :func:`tripletnet.evaluation.judgement.judge`; default of the first two: what the
        run's threshold was chosen for.
    device : mxnet.Context
        Where the networks run.
    precision : {"fp32", "int8", "auto"}
        What the encoder computes in, see :func:`tripletnet.int8.precision.load_encoder`.
    quiet : bool
        No progress bar for the control's training.
    progress : callable, optional
        Called as ``progress("encoding train", done, total)``, and so on for each part.

    Raises
    ------
    InputError
        If there is no image to score that the encoder has not seen.
    """
    run = Path(run)
    target, value = _threshold_target(run, target, value)
    measure = DISTANCES.choose(distance)
    loaded = load_encoder(run, precision, device)
    encoder, description = loaded.encode, loaded.description
    parts = _parts(run, data, description)
    known_images = _are_the_runs_images(parts.train, description)

    def codes(images: ImageSet, part: str, first_label: int = 0) -> Codes:
        found = encode(encoder, images, device=device, progress=encoding_stage(progress, part))
        return Codes(found, images.labels + first_label, images.paths, images.take)

    known, unseen = parts.test.classes, parts.held_out
    judgement = judge(
        codes(parts.test, "test"),
        [*known, *(unseen.classes if unseen else ())],
        train=codes(parts.train, "train") if parts.train else None,
        validation=codes(parts.validation, "validation") if parts.validation else None,
        held_out=codes(unseen, "held-out classes", len(known)) if unseen else None,
        control=control_of_run(
            parts.train, parts.test, description, device=device, quiet=quiet, progress=progress
        )
        if control
        else None,
        dataset=parts.test.name,
        target=target,
        value=value,
        distance=measure,
        seed=seed,
        notes=[*parts.notes, *(["The encoder computed in int8."] * (loaded.precision == "int8"))],
    )
    if judgement.threshold is None:
        return judgement
    squared = judgement.threshold.squared(measure)
    told = _store_threshold(run, squared, known_images, loaded)
    return replace(judgement, notes=(told, *judgement.notes))


def _are_the_runs_images(train: Optional[ImageSet], description: dict[str, Any]) -> bool:
    """Return whether the run was trained on these images; warn of another copy of a data set."""
    if train is None:
        return False
    trained_on, found = description["data"], train.identity()
    if found["sha256"] == trained_on["sha256"]:
        return True
    same_name = found["dataset"] == trained_on["dataset"]
    whole = bool(description["classes"])  # without classes it learnt from some of the images
    if whole and same_name and description.get("source", {}).get("kind") == "cifar10":
        warnings.warn(
            f"{train.name}: the run was trained on another copy of it than is judged here: give "
            "its folder as root (or TRIPLETNET_DATA)",
            stacklevel=3,
        )
    return False


def _store_threshold(
    run: Path, threshold: Threshold, known_images: bool, encoder: RunEncoder
) -> str:
    """Make a threshold the run's own where it is; return what was done, a sentence."""
    description = encoder.description
    kept = "The run's own threshold was left as it is, as"
    if not description["classes"]:
        return f"{kept} what a run without classes calls the same is not what classes do."
    if not known_images:
        return f"{kept} these are not the images that the run was trained on."
    if encoder.precision != "fp32":
        return f"{kept} the encoder computed in {encoder.precision}."
    try:
        write_threshold(run, threshold.to_json(), description["fingerprint"])
    except OSError as error:
        return f"{kept} {error.filename} cannot be written ({error.strerror})."
    wish = threshold.target.replace("_", " ")
    return (
        f"The run's own threshold is now a squared distance of {threshold.distance:.3f}, for a "
        f"{wish} of {threshold.value:g}."
    )


@dataclass(frozen=True)
class _Parts:
    """The images to fit on, to choose on, to score, and those of held-out classes; None if none."""

    train: Optional[ImageSet]
    validation: Optional[ImageSet]
    test: ImageSet
    held_out: Optional[ImageSet]
    notes: Sequence[str]


def _parts(run: Path, data: LoadedData, description: dict[str, Any]) -> _Parts:
    notes = list(data.notices)
    if not description["finished"]:
        notes.append("The run was stopped before it was finished.")
    train, test, validation = data.splits.train, data.splits.test, data.splits.validation
    if data.unseen:
        test = _join(test, data.unseen)
        notes.append(f"{len(data.unseen):,} images unknown to the run count as test images.")
    if not test and data.held_out:
        notes.append("There are no test images: the held-out classes alone were judged.")
        return _Parts(None, None, data.held_out, None, notes)
    if not test:
        learnt = len(train) + len(validation or ())
        raise InputError(
            f"{train.name}: holds nothing that the encoder has not seen: all {learnt:,} images are "
            f"in the training and validation parts of {run}; give other images"
            + (", or train with a test part (--test 0.1)" if description["classes"] else "")
        )
    if not (np.bincount(test.labels) > 1).any():
        raise InputError(
            f"{test.name}: no class has two of the {len(test):,} images that the encoder has not "
            "seen, so that none has anything to find: add images, train with a larger test part "
            "(--test 0.2), or give other images"
        )
    strange = sorted(set(test.classes) - set(description["classes"]))
    if strange:
        notes.append(
            f"{len(strange):,} of the {len(test.classes):,} classes are none that the encoder "
            f"learnt: {some_of(strange)}."
        )
    return _Parts(train or None, validation or None, test, data.held_out, notes)


def _join(first: ImageSet, second: ImageSet) -> ImageSet:
    """Return two sets of one source as one."""
    return replace(
        first,
        rows=np.concatenate([first.rows, second.rows]),
        labels=np.concatenate([first.labels, second.labels]),
        paths=[*(first.paths or ()), *(second.paths or ())],
        digests=None,
    )
