"""Training: the same weights from the same seed, what is learnt, and what goes wrong."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest
from short_trainings import CONFIG, make_trainer, runtime_warnings, same, train

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.networks.whitened import WhitenedNet
from tripletnet.registry import SCHEDULES
from tripletnet.training import (
    TrainingError,
    fit_control,
    fit_encoder,
    images_for_minutes,
    train_run,
)
from tripletnet.training.callbacks import Callback, History, StepResult
from tripletnet.training.collapse import CollapseWatch
from tripletnet.training.fit import make_loss
from tripletnet.training.optimizers import make_optimizer
from tripletnet.training.schedule import learning_rate
from tripletnet.training.sgd import MomentumSGD

# --- same seed, same weights


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam", "learning_rate": 0.001},
        {"optimizer": "nesterov", "network": "whitened", "schedule": "linear"},
        {"mining": "random"},
        {"loss": "supcon", "balance": "images", "crop": 0.8, "colour": 0.2},
    ],
    ids=["sgd", "adam", "whitened", "random triplets", "supcon"],
)
def test_a_seed_decides_the_weights(striped_images, changes):
    config = CONFIG.replace(**changes)
    first = fit_encoder(striped_images, config)
    mx.random.seed(99)
    np.random.seed(99)  # noqa: NPY002 - the global state must not count
    assert same(first, fit_encoder(striped_images, config))
    assert not same(first, fit_encoder(striped_images, config.replace(seed=1)))


def test_a_seed_decides_the_weights_of_the_control(striped_images):
    first = fit_control(striped_images, CONFIG)
    assert same(first, fit_control(striped_images, CONFIG))
    assert not same(first, fit_control(striped_images, CONFIG.replace(seed=1)))


def test_the_control_has_the_smoothing_of_the_run(striped_images):
    smoothed = CONFIG.replace(loss="prototypical", smoothing=0.3)
    assert not same(fit_control(striped_images, CONFIG), fit_control(striped_images, smoothed))


def test_the_control_has_a_rate_of_its_own_beside_muon(striped_images):
    config = CONFIG.replace(network="whitened", optimizer="muon", learning_rate=0.7)
    rate = WhitenedNet.softmax_learning_rate_beside_muon * math.sqrt(config.batch_size / 192)
    assert rate != WhitenedNet.softmax_learning_rate * math.sqrt(config.batch_size / 192)
    assert same(fit_control(striped_images, config), fit_control(striped_images, config, rate))


def test_the_control_of_a_run_by_adam_learns_by_the_rate_of_adam(striped_images):
    config = CONFIG.replace(images=720, shift=0, optimizer="adam")
    control = fit_control(striped_images, config)
    assert same(control, fit_control(striped_images, config, 0.001))
    found = encode(control, striped_images).argmax(axis=1)
    assert (found == striped_images.labels).mean() > 0.95


def test_training_learns(striped_images):
    config = CONFIG.replace(images=720, shift=0)
    history = History()
    trainer = train(striped_images, config, callbacks=[history])
    losses = [row["loss"] for row in history.rows]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    codes = encode(trainer.network, striped_images)
    near = codes @ codes.T - 9 * np.eye(len(codes))
    labels = striped_images.labels
    assert (labels[near.argmax(axis=1)] == labels).mean() > 0.95

    control = fit_control(striped_images, config)
    scores = encode(control, striped_images)
    assert (scores.argmax(axis=1) == labels).mean() > 0.95


def test_the_length_of_a_run_is_a_number_of_images(striped_images):
    for images, steps in ((1, 1), (24, 1), (25, 2), (288, 12)):
        assert make_trainer(striped_images, CONFIG.replace(images=images)).steps == steps
    trainer = train(striped_images, CONFIG.replace(images=60))
    assert (trainer.step, trainer.images_seen) == (3, 72)


# --- the optimiser


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_momentum_sgd_is_its_formula_and_mxnets_own(decay):
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(4, 3)), random.normal(size=(5, 4, 3))
    ends = []
    for optimizer in (
        MomentumSGD(learning_rate=0.2, wd=decay),
        mx.optimizer.SGD(learning_rate=0.2, wd=decay, momentum=0.9),
    ):
        weight = mx.gluon.Parameter("weight", shape=(4, 3))
        weight.initialize(ctx=mx.cpu())
        weight.set_data(mx.nd.array(start))
        trainer = mx.gluon.Trainer([weight], optimizer, kvstore=None)
        for gradient in gradients:
            with mx.autograd.record():
                value = (weight.data() * mx.nd.array(gradient)).sum()
            value.backward()
            trainer.step(1)
        ends.append(weight.data().asnumpy())
    np.testing.assert_array_equal(*ends)
    expected, momentum = start, 0.0
    for gradient in gradients:
        momentum = 0.9 * momentum - 0.2 * (gradient + decay * expected)
        expected = expected + momentum
    np.testing.assert_allclose(ends[0], expected, atol=1e-5)


def test_nesterovs_momentum_is_its_formula():
    """The step is taken from where the momentum leads."""
    random = np.random.default_rng(0)
    start, gradients = random.normal(size=(4, 3)), random.normal(size=(5, 4, 3))
    weight = mx.gluon.Parameter("weight", shape=(4, 3))
    weight.initialize(ctx=mx.cpu())
    weight.set_data(mx.nd.array(start))
    config = CONFIG.replace(optimizer="nesterov", learning_rate=0.2, weight_decay=0.3)
    optimizer = make_optimizer(config)
    trainer = mx.gluon.Trainer([weight], optimizer, kvstore=None)
    expected, momentum = start, 0.0
    for gradient in gradients:
        with mx.autograd.record():
            value = (weight.data() * mx.nd.array(gradient)).sum()
        value.backward()
        trainer.step(1)
        decayed = gradient + 0.3 * expected
        momentum = 0.9 * momentum + decayed
        expected = expected - 0.2 * (decayed + 0.9 * momentum)
    np.testing.assert_allclose(weight.data().asnumpy(), expected, atol=1e-5)


# --- what goes wrong


@pytest.mark.parametrize("loss", ["triplet", "supcon"])
def test_weights_beyond_all_bounds_end_training(striped_images, loss):
    config = CONFIG.replace(loss=loss, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss is nan .* lower the learning rate"):
        fit_encoder(striped_images, config)


def test_weights_that_the_last_step_has_ruined_are_told_before_they_are_measured(striped_images):
    class Measuring(Callback):
        def wants_weights(self, trainer):
            return trainer.step == 1

        def on_weights(self, trainer):
            trainer.codes_of(striped_images)

    config = CONFIG.replace(loss="supcon", learning_rate=1e38)
    with pytest.raises(TrainingError, match=r"codes hold NaN or infinity .* learning rate"):
        train(striped_images, config, callbacks=[Measuring()])


def test_collapsed_codes_are_warned_of():
    """All images are one, so that all codes are."""
    images = ImageSet("one", np.full((60, 12, 12, 3), 77, np.uint8), np.arange(60) % 3, "abc")
    with runtime_warnings() as caught:
        fit_encoder(images, CONFIG.replace(images=24 * 25))
    assert len(caught) == 1
    assert "the codes have collapsed" in caught[0] and "the loss is stuck at 1.000" in caught[0]
    assert "steps were so long" not in caught[0]  # they were not


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"loss": "triplet", "mining": "batch-hard"}, "start again with mining semi-hard or all"),
        ({"loss": "margin", "mining": "batch-hard"}, "start again with mining semi-hard or all"),
        ({"loss": "nt-xent"}, "start again with a learning rate"),
    ],
    ids=["triplet", "margin", "nt-xent"],
)
def test_a_collapse_names_its_cause(changes, advice):
    """Nothing can be learnt from noise, so that a step that is too long is never made good."""
    pixels = np.random.default_rng(5).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)
    noise = ImageSet("noise", pixels, np.arange(30) % 3, "abc")
    with runtime_warnings() as caught:
        fit_encoder(noise, CONFIG.replace(images=24 * 40, learning_rate=5.0, **changes))
    (warning,) = caught
    assert advice in warning
    assert "a learning rate well below 5: steps were so long that the norm" in warning


def test_collapse_is_warned_of_once_and_only_if_it_lasts():
    watch = CollapseWatch(spread=1e-3, patience=3)
    trainer = types.SimpleNamespace(config=CONFIG, loss=make_loss(CONFIG))
    with runtime_warnings() as caught:
        for spread in (0.0, 0.0, 0.5, 0.0, 0.0):
            watch.on_step(trainer, StepResult(7, 168, 1.0, 0.1, {"spread": spread, "norm": 2.0}))
        watch.on_step(trainer, StepResult(8, 192, 1.0, 0.1, {}))
        assert caught == []
        watch, stopped = CollapseWatch(spread=1e-3, patience=3), watch
        watch.restore(stopped.state())
        for step in range(9, 14):
            statistics = {"spread": 0.0, "norm": 30.0}
            watch.on_step(trainer, StepResult(step, 24 * step, 1.0, 0.1, statistics))
    assert len(caught) == 1
    assert "collapsed: after 264 images" in caught[0]
    assert "normalisation has gone from 2 to 30" in caught[0]


#: Choices that take a number with a fraction.
NUMBERS = (
    "learning_rate",
    "backbone_learning_rate",
    "freeze_backbone",
    "weight_decay",
    "warmup",
    "crop",
    "colour",
    "hue",
    "rotate",
    "text",
    "shrink",
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": 0},
        {"optimizer": "rmsprop"},
        {"schedule": "square"},
        {"balance": "both"},
        {"batch_size": 3},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
        {"warmup": 1.0},
        {"seed": -1},
        {"shift": -1},
        *({name: value} for name in NUMBERS for value in (math.nan, math.inf)),
    ],
)
def test_choices_that_make_no_sense_are_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(InputError, match=f"{name.replace('_', ' ')}.* {value!s}|'{value}'"):
        CONFIG.replace(**wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "resnet"}, "network 'resnet' is not known"),
        ({"loss": "arcface"}, "loss 'arcface' is not known"),
        ({"mining": "hardest"}, "mining 'hardest' is not known"),
        ({"margin": -1.0}, "margin is -1.0"),
        ({"margin": math.nan}, "margin is nan"),
        ({"margin": math.inf}, "margin is inf"),
        ({"loss": "supcon", "temperature": math.nan}, "temperature is nan"),
        ({"loss": "supcon", "temperature": math.inf}, "temperature is inf"),
        ({"loss": "prototypical", "smoothing": 1.0}, "smoothing is 1.0"),
        ({"loss": "triplet", "smoothing": 0.2}, "smoothing: the loss 'triplet' has none"),
    ],
)
def test_choices_that_do_not_fit_leave_nothing_behind(striped_images, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        train_run(striped_images, CONFIG.replace(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_that_are_not_square_are_refused():
    images = ImageSet("wide", np.zeros((4, 12, 20, 3), np.uint8), np.arange(4) % 2, "ab")
    with pytest.raises(InputError, match="wide: images are 20 x 12: networks take squares"):
        fit_encoder(images, CONFIG)


# --- the learning rate and the length


def test_learning_rate_by_hand():
    """Ten steps, two of them rising to 3."""
    rates = [learning_rate(step, 10, 3.0, warmup=0.2) for step in range(10)]
    half = [1.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    assert rates == pytest.approx([1.0, 2.0, *half])
    assert rates[2] == 3.0 and rates[6] == pytest.approx(1.5)
    assert learning_rate(0, 10, 3.0, warmup=0.0) == 3.0
    assert learning_rate(0, 1, 3.0) > 0


def test_other_schedules_by_hand():
    steps = [learning_rate(step, 8, 1.0, 0.0, "step") for step in range(8)]
    assert steps == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    linear = [learning_rate(step, 4, 2.0, 0.0, "linear") for step in range(4)]
    assert linear == pytest.approx([2.0, 1.525, 1.05, 0.575])
    to_zero = [learning_rate(step, 4, 2.0, 0.0, "linear-to-zero") for step in range(4)]
    assert to_zero == pytest.approx([2.0, 1.5, 1.0, 0.5])
    cyclic = [learning_rate(step, 8, 1.0, 0.0, "cyclic") for step in range(8)]
    assert cyclic == pytest.approx([1, 0.5] * 4)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
def test_learning_rates_stay_between_nothing_and_the_peak(schedule, steps):
    rates = [learning_rate(step, steps, 0.3, 0.05, schedule) for step in range(steps)]
    assert all(0 < rate <= 0.3 for rate in rates)


def test_images_for_minutes_is_the_measured_speed(striped_images, monkeypatch):
    """With a clock that goes on by a quarter of a second a step, 24 images make 96 a second."""
    ticks = iter(range(10_000))
    clock = types.SimpleNamespace(perf_counter=lambda: 0.25 * next(ticks))
    monkeypatch.setattr("tripletnet.training.fit.time", clock)
    assert images_for_minutes(0.5, striped_images, CONFIG) == 96 * 30
    used = next(ticks)
    assert used <= 4 * 3 + 3  # a tenth of the time that it speaks of


@pytest.mark.parametrize("minutes", [0, -1, math.nan, math.inf])
def test_minutes_that_make_no_sense_are_refused(striped_images, minutes):
    with pytest.raises(InputError, match=r"minutes is .*: give a finite number above 0"):
        images_for_minutes(minutes, striped_images, CONFIG)


def test_history_windows_are_means(tmp_path):
    history = History(rows=2)
    trainer = types.SimpleNamespace(steps=5)
    for step, loss in enumerate([1.0, 3.0, 5.0, 8.0, 9.0], 1):
        history.on_step(trainer, StepResult(step, 10 * step, loss, 0.1 * step, {"active": loss}))
    means = [(row["images"], row["loss"], row["active"]) for row in history.rows]
    assert means == [(30, 3.0, 3.0), (50, 8.5, 8.5)]
    history.save(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines()[:2] == [
        "images,loss,learning_rate,active",
        "30,3,0.3,3",
    ]
