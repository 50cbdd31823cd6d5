"""What a run is going to do, settled before anything is written: a new one, or one that goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from tripletnet.backend import mx
from tripletnet.data.examples import Examples
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.losses import BatchLoss
from tripletnet.runs import going_on, read_description
from tripletnet.training.config import TrainingConfig
from tripletnet.training.fit import images_for_minutes, make_loss, settled

#: What tells one set of examples from another, see their ``identity``, for people.
_DATA_IN_WORDS = {
    "dataset": "a data set called",
    "size": "a number of examples of",
    "sha256": "data of the sha256",
    "validation": "held-out data of the sha256",
}


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do.

    Attributes
    ----------
    config : TrainingConfig
        The choices, with what network, loss, optimiser and device take by default.
    loss : BatchLoss
        What it minimises.
    earlier : dict
        What ``run.json`` tells of the run that goes on; empty for a new one.
    longer : bool
        Whether it goes on to more images than it was made for.
    minutes : float or None
        The time that the number of images was settled by.
    chosen : dict
        What else ``run.json`` tells: the run that gives the first weights, as ``initial``, and what
        the caller tells about the data.
    data : dict
        What tells the examples from others.
    """

    config: TrainingConfig
    loss: BatchLoss
    earlier: dict[str, Any]
    longer: bool
    minutes: Optional[float]
    chosen: dict[str, Any]
    data: dict[str, Any]

    @property
    def initial(self) -> Optional[str]:
        """The run whose encoder gives the first weights."""
        return self.chosen["initial"]

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to train."""
        return bool(self.earlier) and self.earlier["finished"] and not self.longer

    @property
    def lengthens_a_finished_run(self) -> bool:
        """Whether a finished encoder stays the run's until the longer run is finished."""
        earlier = self.earlier
        return bool(earlier) and (earlier["finished"] or earlier.get("lengthening", False))


def plan_run(
    examples: Examples,
    config: TrainingConfig,
    out: Path,
    *,
    validation: Optional[Examples],
    initial: Optional[PathLike],
    about: Optional[dict[str, Any]],
    minutes: Optional[float],
    resume: bool,
    device: Optional[mx.Context],
) -> RunPlan:
    """Settle what a run is going to do; the arguments are those of `train_run`.

    Raises
    ------
    InputError
        If choices, examples and what lies in `out` do not go together.
    """
    for name in ("network", "loss", "mining", "distance"):
        if not isinstance(getattr(config, name), (str, type(None))):
            raise InputError(
                f"{name}: a run folder tells its choices by name: give one, of the project's or of "
                "your own in its registry (docs/losses.md)"
            )
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
    data = examples.identity()
    data["validation"] = None if validation is None else validation.identity()["sha256"]
    if initial is None:
        initial = earlier.get("initial")
    chosen = {**(about or {}), "initial": None if initial is None else str(initial)}
    longer = bool(earlier) and minutes is None and config.images > earlier["training"]["images"]
    if earlier:
        # the number of images that minutes came to was settled when the run was started
        _refuse_other_minutes(out, earlier, minutes)
        if minutes is not None:
            config = config.replace(images=earlier["training"]["images"])
        asked = config.replace(images=earlier["training"]["images"]) if longer else config
        _refuse_difference(out, earlier, asked, data, chosen)
        minutes = None if longer else earlier.get("minutes", minutes)
    elif minutes is not None:
        config = config.replace(images=images_for_minutes(minutes, examples, config, device))
    return RunPlan(config, loss, earlier, longer, minutes, chosen, data)


def _refuse_other_minutes(out: Path, stored: dict[str, Any], minutes: Optional[float]) -> None:
    """Raise InputError if a run is to go on for another time than the one that it was given."""
    if minutes is not None and stored.get("minutes", minutes) != minutes:
        raise InputError(
            f"{out}: minutes is {minutes:g}, but the run is settled on "
            f"{stored['training']['images']:,} images: leave minutes out, or give more images to "
            "lengthen it"
        )


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
