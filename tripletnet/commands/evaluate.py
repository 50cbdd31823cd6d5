"""Judge a run, or codes from anywhere, in a report that says whether to trust them."""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from tripletnet.errors import InputError

if TYPE_CHECKING:
    from tripletnet.data import ImageSet
    from tripletnet.data.source import LoadedData
    from tripletnet.evaluation.judgement import Control, Judgement


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    add = parser.add_argument
    add("judged", metavar="RUN|CODES.npz", type=Path, help="a run folder, or a file of codes")
    add(
        "data",
        metavar="DATA",
        nargs="?",
        help="for a run: a folder with one folder of images a class, cifar10 or digits (default: "
        "what it was trained on, where that has a name); for codes: where their paths start",
    )
    add("--out", metavar="REPORT", type=Path, required=True, help="the folder for the report")
    add("--root", type=Path, help="where CIFAR-10 lies (default: TRIPLETNET_DATA, or the cache)")
    add("--control", action="store_true", help="train the same layers as a classifier beside it")
    wish = parser.add_mutually_exclusive_group()
    wish.add_argument(
        "--fpr-target",
        dest="false_positive_rate",
        metavar="SHARE",
        type=float,
        help="choose the threshold for this false-positive rate (default: 0.01)",
    )
    for target in ("precision", "recall"):
        wish.add_argument(
            f"--{target}-target",
            dest=target,
            metavar="SHARE",
            type=float,
            help=f"choose it for this {target}",
        )
    add("--json", action="store_true", help="print the content of report.json")
    add("--seed", type=int, default=0, help="decides all that is random (default: %(default)s)")
    add("--device", default="cpu", help="cpu, gpu or gpu:N (the GPU is untested)")
    add("--quiet", action="store_true", help="no progress bars")


def run(args: argparse.Namespace) -> None:
    """Judge, write the report, and print the verdict."""
    if args.judged.is_dir():
        judgement, extras = _judge_run(args)
    else:
        judgement, extras = _judge_codes(args), {}

    from tripletnet.evaluation.report import write_report
    from tripletnet.evaluation.verdict import verdict
    from tripletnet.files import write_json

    figures = {**judgement.to_json(), **extras.pop("figures", {})}
    write_report(args.out / "report.html", judgement, seed=args.seed, **extras)
    write_json(args.out / "report.json", figures)
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))
        return
    words = verdict(judgement)
    print(f"{judgement.dataset}. {words.headline}")
    for line in (*words.reasons, *words.cautions, *judgement.notes[:10]):
        print(f"- {line}")
    print(f"report: {args.out / 'report.html'}")


def _wish(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the threshold is to be chosen for, as arguments for `judge`."""
    for target in ("false_positive_rate", "precision", "recall"):
        if getattr(args, target) is not None:
            return {"target": target, "value": getattr(args, target)}
    return {}


def _judge_codes(args: argparse.Namespace) -> Judgement:
    """Judge a file of codes."""
    from tripletnet.evaluation.codes_file import read_codes
    from tripletnet.evaluation.judgement import judge
    from tripletnet.evaluation.parts import Codes

    if args.control:
        raise InputError("--control: a file of codes has no layers to train: give a run folder")
    file = read_codes(args.judged)
    if file.labels is None:
        raise InputError(f"{args.judged}: has no field labels: add the class of each code")
    classes, labels = np.unique(file.labels, return_inverse=True)
    pictures = None
    if file.paths is not None:
        paths = [Path(args.data or ".") / path for path in file.paths]

        def pictures(indices: np.ndarray) -> list[Optional[np.ndarray]]:
            return [_picture(paths[index]) for index in indices]

    codes = Codes(file.codes, labels, file.paths, pictures)
    return judge(
        codes,
        [str(name) for name in classes],
        dataset=args.judged.stem,
        seed=args.seed,
        notes=["Whether the encoder that made these codes has learnt from them is not known."],
        **_wish(args),
    )


def _picture(path: Path) -> Optional[np.ndarray]:
    """Return the picture at `path`, small; None if there is none."""
    from tripletnet.data.decode import ImageError, decode_image

    try:
        return decode_image(path, size=(96, 96), fit="letterbox")
    except ImageError:
        return None


def _judge_run(args: argparse.Namespace) -> tuple[Judgement, dict[str, Any]]:
    """Judge a run; return also what the report is to tell of it."""
    from tripletnet.evaluation.judgement import judge
    from tripletnet.evaluation.parts import Codes
    from tripletnet.files import write_json
    from tripletnet.retrieval.encode import encode
    from tripletnet.runs import load_run
    from tripletnet.runtime import device

    where = device(args.device)
    encoder, description = load_run(args.judged, where)
    data, own = _load(args, description, encoder.image_size)
    parts = _parts(args, data, description)

    def codes(images: ImageSet, first_label: int = 0) -> Codes:
        found = encode(encoder, images, device=where)
        return Codes(found, images.labels + first_label, images.paths, images.take)

    known = parts.test.classes
    unseen = parts.held_out
    judgement = judge(
        codes(parts.test),
        [*known, *(unseen.classes if unseen else ())],
        train=codes(parts.train) if parts.train else None,
        validation=codes(parts.validation) if parts.validation else None,
        held_out=codes(unseen, len(known)) if unseen else None,
        control=_control(parts, description, where, args.quiet) if args.control else None,
        dataset=parts.test.name,
        seed=args.seed,
        notes=parts.notes,
        **_wish(args),
    )
    training = description["training"]
    if own and judgement.threshold is not None:
        stored = {**judgement.threshold.to_json(), "fingerprint": description["fingerprint"]}
        write_json(args.judged / "threshold.json", stored)
    about = [
        f"run {args.judged}",
        f"{training['network']} network, {training['loss']} loss ({training['mining']})",
        f"{description['images_seen']:,} training images seen",
    ]
    figures = {name: training[name] for name in ("network", "loss", "mining")}
    figures["images"] = description["images_seen"]
    return judgement, {
        "about": about,
        "history": _rows(args.judged / "history.csv"),
        "validation": _rows(args.judged / "validation.csv"),
        "figures": figures,
    }


def _load(
    args: argparse.Namespace, description: dict[str, Any], size: int
) -> tuple[LoadedData, bool]:
    """Load DATA in the split of the run; tell whether it is what the run was trained on."""
    from tripletnet.commands.train import decoding_bar
    from tripletnet.data import load_data
    from tripletnet.data.split import split_from_json
    from tripletnet.files import read_json

    source = description.get("source", {})
    name = args.data or source.get("kind")
    if name in (None, "folder"):
        raise InputError(
            f"{args.judged}: this run was trained on a folder: give it again as DATA, or another"
        )
    stored = args.judged / "split.json"
    with decoding_bar(args.quiet) as progress:
        data = load_data(
            name,
            root=args.root,
            size=size,
            fit=source.get("fit", "crop"),
            seed=args.seed,
            split=split_from_json(read_json(stored)) if stored.exists() else None,
            show_progress=not args.quiet,
            progress=progress,
        )
    own = data.splits.name == description["data"]["dataset"]
    if stored.exists():
        own = own and len(data.splits.train) > 0
    return data, own


@dataclass(frozen=True)
class _Parts:
    """The images to fit on, to choose on, to score, and those of held-out classes; None if none."""

    train: Optional[ImageSet]
    validation: Optional[ImageSet]
    test: ImageSet
    held_out: Optional[ImageSet]
    notes: list[str]


def _parts(args: argparse.Namespace, data: LoadedData, description: dict[str, Any]) -> _Parts:
    """Cut the data into what was learnt from, and what can be scored.

    Raises
    ------
    InputError
        If there is nothing to score that the encoder has not seen.
    """
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
        raise InputError(
            f"{args.data}: holds nothing that the encoder has not seen: all its "
            f"{len(train) + len(validation or ()):,} images are in the training and validation "
            f"parts of {args.judged}; give other images, or train with a test part (--test 0.1)"
        )
    strange = sorted(set(test.classes) - set(description["classes"]))
    if strange:
        more = f" and {len(strange) - 10:,} more" if len(strange) > 10 else ""
        notes.append(
            f"{len(strange):,} of the {len(test.classes):,} classes are none that the encoder "
            f"learnt: {', '.join(strange[:10])}{more}."
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


def _control(parts: _Parts, description: dict[str, Any], where: Any, quiet: bool) -> Control:
    """Train the control on as many images as the run has seen, and score it."""
    from tripletnet.evaluation.judgement import Control
    from tripletnet.evaluation.probe import SVMProbe
    from tripletnet.retrieval.encode import encode
    from tripletnet.training import TrainingConfig, fit_control

    train, test = parts.train, parts.test
    if train is None:
        raise InputError("--control: DATA holds no training images of the run to train it on")
    config = TrainingConfig(**description["training"]).replace(images=description["images_seen"])
    control = fit_control(train, config, device=where, quiet=quiet)
    scores = encode(control, test, device=where)
    probe = SVMProbe().fit(encode(control.features, train, device=where), train.labels)
    features = encode(control.features, test, device=where)
    return Control(
        accuracy=float((scores.argmax(axis=1) == test.labels).mean()),
        probe_accuracy=float(probe.score(features, test.labels)),
    )


def _rows(path: Path) -> list[dict[str, float]]:
    """Return the rows of a history; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
