"""Weights of GluonCV's zoo for the backbone of an encoder: from the model store or from a file."""

from __future__ import annotations

import contextlib
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.networks.base import EncoderBlock
from tripletnet.networks.zoo import make_classifier
from tripletnet.runtime import load_gluoncv

# What the files of some models are called where it is not the name of the model.
_FILES = {
    "resnet18_v1b_0.89": "resnet18_v1b_2.6x",
    "resnet50_v1d_0.86": "resnet50_v1d_1.8x",
    "resnet50_v1d_0.48": "resnet50_v1d_3.6x",
    "resnet50_v1d_0.37": "resnet50_v1d_5.9x",
    "resnet50_v1d_0.11": "resnet50_v1d_8.8x",
    "resnet101_v1d_0.76": "resnet101_v1d_1.9x",
    "resnet101_v1d_0.73": "resnet101_v1d_2.2x",
}
_NAMED = 4  # parameters that an error names


def _stored_name(model: str) -> str:
    return _FILES.get(model, f"{model}ls" if model.startswith("hrnet") else model)


def check_stored(model: str) -> None:
    """Raise InputError if GluonCV's model store has no weights for `model`."""
    try:
        load_gluoncv().model_zoo.model_store.short_hash(_stored_name(model))
    except ValueError:
        raise InputError(
            f"pretrained: GluonCV's model store has no weights for {model}: train it from the "
            "start, or give a file as weights"
        ) from None


def fetch_weights(model: str) -> Path:
    """Return the file with the weights that GluonCV's model store has for `model`.

    The store downloads it from where the environment variable MXNET_GLUON_REPO says, checks its
    SHA-1 and keeps it in ``~/.mxnet/models``, or in ``models`` below MXNET_HOME.

    Raises
    ------
    InputError
        If the store has none, or they cannot be fetched; the message says how to bring the file.
    """
    check_stored(model)
    import requests

    model_store = load_gluoncv().model_zoo.model_store
    name = _stored_name(model)
    file = f"{name}-{model_store.short_hash(name)}"
    home = os.environ.get("MXNET_HOME")
    folder = (Path(home) if home else Path("~/.mxnet").expanduser()) / "models"
    source = os.environ.get("MXNET_GLUON_REPO", model_store.apache_repo_url).rstrip("/")
    by_hand = (
        f"bring {source}/gluon/models/{file}.zip by hand and unpack it as "
        f"{folder / file}.params, or give a file as weights"
    )
    try:
        # the store tells on standard output what it does
        with contextlib.redirect_stdout(sys.stderr):
            return Path(model_store.get_model_file(name))
    except requests.RequestException as error:
        reason = "no answer" if isinstance(error, requests.ConnectionError) else str(error)
        problem = f"{source} cannot be reached ({reason})"
    except RuntimeError:
        problem = f"{source} does not have them"
    except (ValueError, zipfile.BadZipFile):
        problem = f"what {source} sent is damaged or another file (its SHA-1 is wrong)"
    raise InputError(
        f"--pretrained: the weights of {model} cannot be fetched: {problem}: {by_hand}"
    )


def load_backbone(encoder: EncoderBlock, path: PathLike) -> None:
    """Give the backbone of an initialised encoder the weights in a file.

    Parameters
    ----------
    encoder : EncoderBlock
        Has a backbone.
    path : str or Path
        A file of Gluon with the parameters of `encoder.backbone_model`, its classifier included,
        which may have any number of classes; named by the structure of the blocks
        (``save_parameters``) or by prefixes (``collect_params().save``).

    Raises
    ------
    InputError
        If the file cannot be read or is of another model; the first parameters that do not fit
        are named.
    """
    model = encoder.backbone_model
    assert model is not None
    try:
        stored: Any = mx.nd.load(str(path))
    except (mx.MXNetError, OSError):
        raise InputError(
            f"{path}: cannot be read as parameters of Gluon: give a whole .params file of {model}"
        ) from None
    stored = _by_structure(stored, model) if isinstance(stored, dict) else {}
    ours = encoder.backbone()
    wrong = [
        f"{name} is missing"
        if name not in stored
        else f"{name} is {stored[name].shape}, not {parameter.shape}"
        for name, parameter in ours.items()
        if name not in stored or stored[name].shape != parameter.shape
    ]
    if wrong:
        more = f", and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise InputError(
            f"{path}: these are not the weights of {model} for images of {encoder.image_size} "
            f"pixels: {', '.join(wrong[:_NAMED])}{more}: give a .params file of that model"
        )
    for name, parameter in ours.items():
        parameter.set_data(stored[name].astype("float32"))


def _by_structure(stored: dict[str, Any], model: str) -> dict[str, Any]:
    """Return parameters by the names that the structure of a model's blocks gives them."""
    stored = {name.partition(":")[2] or name: value for name, value in stored.items()}
    if any("." in name for name in stored):
        return stored
    whole = make_classifier(model)
    prefixes = {
        parameter.name[len(whole.prefix) :]: name
        for name, parameter in whole._collect_params_with_prefix().items()
    }
    return {prefixes[name]: value for name, value in stored.items() if name in prefixes}
