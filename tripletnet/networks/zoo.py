"""GluonCV's zoo: which of its models can be an encoder, and which cannot and why."""

from __future__ import annotations

import difflib
from typing import Any

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.runtime import load_gluoncv

# Whose models classify single images, by the module of gluoncv.model_zoo that makes them.
_CLASSIFIERS = {
    "alexnet",
    "cifarresnet",
    "cifarresnext",
    "cifarwideresnet",
    "darknet",
    "densenet",
    "dla",
    "googlenet",
    "hrnet",
    "inception",
    "mobilenet",
    "mobilenetv3",
    "nasnet",
    "residual_attentionnet",
    "resnest",
    "resnet",
    "resnetv1b",
    "resnetv1b_pruned",
    "resnext",
    "senet",
    "shufflenet",
    "squeezenet",
    "vgg",
    "xception",
}
# What a maker needs so that the model gives nothing but the scores of the classes.
_OPTIONS: dict[str, dict[str, Any]] = {"nasnet": {"use_aux": False}}


def load_zoo() -> dict[str, Any]:
    """Return the makers of GluonCV's models by their names."""
    return load_gluoncv().model_zoo.model_zoo._models


def refusal(name: str) -> str:
    """Return why the zoo's model `name` can be no encoder; empty if it can."""
    maker = load_zoo()[name]
    family = maker.__module__.rpartition(".")[2]
    if name.endswith("_int8"):
        return "it is quantised, a fixed graph that cannot learn"
    if family not in _CLASSIFIERS:
        return "it does not classify single images"
    if name.endswith("_gn"):
        return "its group normalisation cannot be compiled into a graph"
    if family == "hrnet" and not name.endswith("_c"):
        return "it segments images"
    return ""


def classifier_names() -> list[str]:
    """Return the names of the models that can be an encoder, sorted."""
    return sorted(name for name in load_zoo() if not refusal(name))


def check_classifier(name: str) -> None:
    """Raise InputError if there is no model `name`, or it can be no encoder."""
    if name not in load_zoo():
        names = classifier_names()
        alike = difflib.get_close_matches(name, names, n=5, cutoff=0.5)
        raise InputError(
            f"network 'gluoncv:{name}' is not known: "
            + (f"did you mean {', '.join(alike)}?" if alike else f"use one of {', '.join(names)}")
        )
    reason = refusal(name)
    if reason:
        raise InputError(f"network 'gluoncv:{name}' can be no encoder: {reason}")


def make_classifier(name: str) -> mx.gluon.HybridBlock:
    """Make a model of the zoo with the classes that it has there, and without weights."""
    maker = load_zoo()[name]
    # some makers look for the option though they have a default
    return maker(pretrained=False, **_OPTIONS.get(maker.__module__.rpartition(".")[2], {}))
