"""Training in bfloat16: what it changes, what it leaves alone, and who may have it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.networks import get_network
from tripletnet.registry import NETWORKS
from tripletnet.training import Trainer, TrainingConfig, bf16, fit_control, tracing, train_run
from tripletnet.training.bf16 import has_bf16_units, training_precision
from tripletnet.training.fit import make_encoder, make_loss
from tripletnet.training.tracing import traced_in

units = pytest.mark.skipif(
    not has_bf16_units(), reason="the processor has no bfloat16 units (avx512_bf16 or amx_bf16)"
)
NAMES = [name for name in NETWORKS if NETWORKS.named(name).trains_in_bf16]


def pixels_of(count: int = 12) -> mx.nd.NDArray:
    random = np.random.default_rng(0)
    return mx.nd.array(random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8), dtype="uint8")


def fresh(name: str):
    mx.random.seed(0)
    network = get_network(name, code_size=8)
    network.initialize(mx.init.MSRAPrelu())
    network.hybridize(static_alloc=True, static_shape=True)
    return network


def step(name: str, precision: str) -> tuple[np.ndarray, dict[str, mx.nd.NDArray]]:
    """Return the codes of a network in training mode, and the gradients of a sum over them."""
    network = fresh(name)
    with mx.autograd.record():
        with traced_in(precision, network):
            codes = network(pixels_of())
        total = (codes * mx.nd.arange(96).reshape((12, 8))).sum()
    total.backward()
    parameters = network._collect_params_with_prefix()
    learnt = {key: p.grad() for key, p in parameters.items() if p.grad_req != "null"}
    return codes.asnumpy(), learnt


@units
@pytest.mark.parametrize("name", NAMES)
def test_codes_and_gradients_are_those_of_fp32_but_for_rounding(name):
    exact, low = step(name, "fp32"), step(name, "bf16")
    assert (exact[0] != low[0]).any()  # it did compute in bf16
    assert np.abs(exact[0] - low[0]).max() < 0.05
    for key, gradient in low[1].items():
        assert gradient.dtype == np.float32
        a, b = exact[1][key].asnumpy().ravel(), gradient.asnumpy().ravel()
        # where a max pooling finds another pixel the largest, a gradient goes another way
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.93, key


@units
def test_what_is_traced_later_is_fp32_again():
    network = fresh("residual")
    with traced_in("bf16", network):
        low = network(pixels_of()).asnumpy()
    network.hybridize()
    assert (network(pixels_of()).asnumpy() == fresh("residual")(pixels_of()).asnumpy()).all()
    assert (low != fresh("residual")(pixels_of()).asnumpy()).any()


@units
def test_a_trainer_learns_in_bf16_and_encodes_in_fp32(striped_images):
    def train(precision: str):
        config = TrainingConfig(
            240, network="residual", code_size=8, batch_size=30, learning_rate=0.05,
            precision=precision,
        )  # fmt: skip
        network = make_encoder(config, striped_images)
        trainer = Trainer(network, make_loss(config), striped_images, config)
        trainer.start()
        trainer.run()
        return network

    low, again, exact = train("bf16"), train("bf16"), train("fp32")
    x = mx.nd.array(striped_images.pixels.transpose(0, 3, 1, 2), dtype="uint8")
    codes = low(x).asnumpy()
    assert (codes == again(x).asnumpy()).all()
    assert (codes != exact(x).asnumpy()).any()
    plain = get_network("residual", code_size=8, image_size=16)
    plain.initialize()
    for key, parameter in plain._collect_params_with_prefix().items():
        parameter.set_data(low._collect_params_with_prefix()[key].data())
    plain.hybridize()
    assert (plain(x).asnumpy() == codes).all()


@units
def test_the_control_is_scored_in_fp32(striped_images):
    config = TrainingConfig(
        120, network="residual", code_size=8, batch_size=30, precision="bf16"
    )  # fmt: skip
    control = fit_control(striped_images, config, quiet=True)
    x = mx.nd.array(striped_images.pixels.transpose(0, 3, 1, 2), dtype="uint8")
    scores = control(x).asnumpy()
    control.hybridize()
    assert (control(x).asnumpy() == scores).all()


@units
def test_layers_with_an_activation_and_layers_that_come_twice():
    nn = mx.gluon.nn
    twice = nn.Conv2D(16, 3, padding=1, in_channels=16, activation="relu")
    network = nn.HybridSequential()
    network.add(nn.Conv2D(16, 3, in_channels=3), twice, twice, nn.GlobalAvgPool2D(), nn.Flatten())
    network.add(nn.Dense(4, in_units=16, activation="tanh"))
    network.initialize(mx.init.Xavier())
    x = pixels_of().astype("float32") / 256
    exact = network(x).asnumpy()
    with traced_in("bf16", network):
        low = network(x).asnumpy()
    assert (low != exact).any() and np.abs(low - exact).max() < 0.02
    assert (network(x).asnumpy() == exact).all()


def test_an_error_inside_leaves_the_layers_as_they_were():
    network = get_network("residual", code_size=8)
    with pytest.raises(ZeroDivisionError), traced_in("bf16", network):
        raise ZeroDivisionError
    assert not any("hybrid_forward" in vars(layer) for layer in tracing._layers(network))


@pytest.mark.parametrize("before", ["fp32", "bf16", None])
def test_auto_goes_on_in_what_the_run_was_started_in(striped_images, tmp_path, monkeypatch, before):
    config = TrainingConfig(60, network="residual", code_size=8, batch_size=30)
    train_run(striped_images, config, tmp_path, quiet=True)
    told = json.loads((tmp_path / "run.json").read_text())
    told["training"]["precision"] = before
    if before is None:  # a run of a version that knew no other
        del told["training"]["precision"]
    (tmp_path / "run.json").write_text(json.dumps(told))
    monkeypatch.setattr(bf16, "has_bf16_units", lambda: before != "bf16")
    config = config.replace(precision="auto")
    if before == "bf16":
        with pytest.raises(InputError, match="this processor has no units for bf16"):
            train_run(striped_images, config, tmp_path, resume=True, quiet=True)
    else:
        again = train_run(striped_images, config, tmp_path, resume=True, quiet=True)
        assert again.description["images_seen"] == 60


@pytest.mark.parametrize(
    ("flags", "tiles", "expected"),
    [
        ("fma avx512f avx512_bf16", False, True),
        ("avx512_bf16 amx_bf16 amx_tile", True, True),
        ("avx512_bf16 amx_bf16 amx_tile", False, False),
        ("avx2 avx512f", False, False),
    ],
)
def test_units_by_the_processors_flags(tmp_path, monkeypatch, flags, tiles, expected):
    monkeypatch.setattr(bf16, "has_tiles", lambda cpuinfo: tiles)
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\nbugs\t\t: none\n")
    assert has_bf16_units(told) is expected
    assert not has_bf16_units(tmp_path / "missing")


def test_what_is_taken_and_what_is_refused(monkeypatch):
    article, other = NETWORKS.named("article"), NETWORKS.named("deep-ranking")
    monkeypatch.setattr(bf16, "has_bf16_units", lambda: True)
    assert training_precision("auto", article, "article") == "bf16"
    assert training_precision("bf16", article, "article", mx.cpu()) == "bf16"
    assert training_precision("fp32", article, "article") == "fp32"
    assert training_precision("auto", other, "deep-ranking") == "fp32"
    assert training_precision("auto", article, "article", mx.gpu()) == "fp32"
    with pytest.raises(InputError, match="'deep-ranking' does not train in bf16: take fp32"):
        training_precision("bf16", other, "deep-ranking")
    with pytest.raises(InputError, match="bf16 is for the CPU"):
        training_precision("bf16", article, "article", mx.gpu())
    monkeypatch.setattr(bf16, "has_bf16_units", lambda: False)
    assert training_precision("auto", article, "article") == "fp32"
    with pytest.raises(InputError, match="this processor has no units for bf16"):
        training_precision("bf16", article, "article")


def test_the_command_line(tmp_path, tripletnet):
    command = ("train", "digits", "--images", 60, "--network", "residual", "--code-size", 8)
    options = (*command, "--batch-size", 30, "--quiet", "--out")
    status, _, said = tripletnet(*options, tmp_path / "run", "--precision", "auto")
    assert status == 0, said
    stored = json.loads((tmp_path / "run" / "run.json").read_text())["training"]["precision"]
    assert stored == ("bf16" if has_bf16_units() else "fp32")
    status, _, said = tripletnet(*options, tmp_path / "new", "--precision", "int4")
    assert (status, said) == (
        2,
        "tripletnet: error: precision 'int4' is not known: use one of fp32, bf16, auto\n",
    )
