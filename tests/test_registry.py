"""Whatever can be chosen by name is a class and a line: nothing else knows the names."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.cli import make_parser
from tripletnet.codes.distances import Distance
from tripletnet.errors import InputError
from tripletnet.losses import BatchLoss, SquaredEuclidean
from tripletnet.losses.mining import Miner, Triplets
from tripletnet.networks import EncoderBlock
from tripletnet.registry import (
    DISTANCES,
    LOSSES,
    MINERS,
    NETWORKS,
    OPTIMIZERS,
    SCHEDULES,
    Registry,
)
from tripletnet.runs import load_run

REGISTRIES = {
    "--network": NETWORKS,
    "--loss": LOSSES,
    "--mining": MINERS,
    "--distance": DISTANCES,
    "--optimizer": OPTIMIZERS,
    "--schedule": SCHEDULES,
}


class PullTogether(BatchLoss):
    """A toy: sames at one point, diffs wherever they are."""

    def __init__(self, margin=1.0):
        super().__init__()
        self.margin = margin

    def forward(self, codes, labels):
        same = mx.nd.array(labels[:, None] == labels)
        distances = SquaredEuclidean().pairwise(mx.nd, codes, codes)
        return (distances * same).sum(axis=1) * self.margin


class NextOfItsClass(Miner):
    """A toy: each image, the next one if it is of its class, the first one of another."""

    def mine(self, codes, labels, distance, random):
        assert isinstance(distance, Manhattan)
        triplets = [
            (i, j, int(np.flatnonzero(labels != labels[i])[0]))
            for i, j in enumerate(np.roll(np.arange(len(labels)), -1))
            if labels[i] == labels[j] and i != j
        ]
        return Triplets(*np.array(triplets, dtype=np.int64).reshape(-1, 3).T)


class Manhattan(Distance):
    """A toy: the sum of the differences."""

    def pairwise(self, F, a, b):
        return F.broadcast_sub(a.expand_dims(1), b.expand_dims(0)).abs().sum(axis=2)


class OneLayer(EncoderBlock):
    """A toy: a dense layer on the pixels."""

    def make_layers(self):
        layers = mx.gluon.nn.HybridSequential()
        layers.add(mx.gluon.nn.Dense(self.code_size, in_units=3 * self.image_size**2))
        return layers


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setitem(LOSSES, "toy-loss", PullTogether)
    monkeypatch.setitem(MINERS, "toy-miner", NextOfItsClass)
    monkeypatch.setitem(DISTANCES, "toy-distance", Manhattan)
    monkeypatch.setitem(NETWORKS, "toy-network", OneLayer)
    monkeypatch.setitem(OPTIMIZERS, "toy-optimizer", mx.optimizer.Signum)
    monkeypatch.setitem(SCHEDULES, "toy-schedule", lambda done: 1.0)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    "options",
    [
        ("--loss", "toy-loss", "--margin", "0.5"),
        ("--loss", "triplet", "--mining", "toy-miner", "--distance", "toy-distance"),
        ("--optimizer", "toy-optimizer", "--schedule", "toy-schedule"),
    ],
    ids=["loss", "miner and distance", "optimizer and schedule"],
)
def test_the_command_line_trains_with_what_has_a_class_and_a_line(options, tmp_path, capsys):
    out = tmp_path / "run"
    train = ("train", "digits", "--out", str(out), "--images", "200", "--code-size", "8", "--quiet")
    args = make_parser().parse_args([*train, "--network", "toy-network", *options])
    args.run(args)
    assert "run folder" in capsys.readouterr().out
    chosen = json.loads((out / "run.json").read_text())["training"]
    assert [str(chosen[name[2:]]) for name in options[::2]] == list(options[1::2])
    encoder, description = load_run(out)
    assert type(encoder) is OneLayer
    assert description["finished"]
    losses = np.genfromtxt(out / "history.csv", delimiter=",", names=True)["loss"]
    assert np.isfinite(losses).all()


@pytest.mark.usefixtures("toys")
def test_the_help_lists_what_has_a_line(capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args(["train", "--help"])
    shown = "".join(capsys.readouterr().out.split())  # whatever lines it was cut into
    for registry in REGISTRIES.values():
        assert all(name in shown for name in registry)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("option", REGISTRIES)
def test_a_name_that_has_no_line_is_refused_with_those_that_have(option, tmp_path):
    train = ("train", "digits", "--out", str(tmp_path / "run"), "--quiet")
    args = make_parser().parse_args([*train, option, "nonesuch"])
    with pytest.raises(InputError, match="'nonesuch' is not known: use one of") as caught:
        args.run(args)
    assert all(name in str(caught.value) for name in REGISTRIES[option])
    assert not (tmp_path / "run").exists()


def test_the_help_of_train_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from tripletnet.cli import make_parser\n"
        "try:\n"
        "    make_parser().parse_args(['train', '--help'])\n"
        "finally:\n"
        "    assert not {'mxnet', 'cv2', 'numpy'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=lambda registry: registry.kind)
def test_every_line_has_its_class_or_function(registry):
    functions = registry in (OPTIMIZERS, SCHEDULES)
    for name, kind in registry.items():
        assert callable(kind) if functions else isinstance(kind, type), name


def test_a_registry_is_a_mapping_that_imports_what_is_asked_for():
    registry = Registry("shape", {"fraction": "fractions:Fraction", "nothing": "no.such:Module"})
    assert "nothing" in registry
    assert str(registry) == "fraction, nothing"
    assert registry["fraction"].__name__ == "Fraction"
    assert registry.choose("fraction", numerator=3) == 3
    assert registry.choose(half := registry["fraction"](1, 2)) is half
    del registry["nothing"]
    assert len(registry) == 1
