"""Training: the same weights from the same seed, interrupted or not, and what a run leaves."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import signal
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.losses import AllTriplets
from tripletnet.networks import Encoder
from tripletnet.networks.fingerprint import fingerprint
from tripletnet.retrieval.encode import encode
from tripletnet.runs import load_run
from tripletnet.training import (
    Callback,
    Trainer,
    TrainingConfig,
    TrainingError,
    fit_control,
    fit_encoder,
    images_for_minutes,
    train_run,
)
from tripletnet.training.callbacks import CollapseWatch, History, StepResult
from tripletnet.training.checkpoint import Checkpoints, TrainingState
from tripletnet.training.fit import make_encoder, make_loss
from tripletnet.training.schedule import SCHEDULES, learning_rate

#: Twelve steps of 24 images.
CONFIG = TrainingConfig(images=288, code_size=8, batch_size=24, shift=2, learning_rate=0.05)
STEPS = 12


class DropoutNet(Encoder):
    """An encoder with everything that a checkpoint could forget."""

    def make_layers(self):
        nn = mx.gluon.nn
        layers = nn.HybridSequential()
        layers.add(
            nn.Conv2D(4, 3, in_channels=3),
            nn.BatchNorm(in_channels=4),
            nn.Activation("relu"),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Dense(self.code_size, in_units=4 * (self.image_size - 2) ** 2),
        )
        return layers


class StopAt(Callback):
    """Stop after a step has been told about: the step after it is the last."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        if result.step == self._step:
            trainer.stop()


def make_trainer(images, config=CONFIG, network=None, callbacks=(), folder=None, minutes=60.0):
    return Trainer(
        network or make_encoder(config, images),
        make_loss(config),
        images,
        config,
        callbacks=callbacks,
        checkpoints=Checkpoints(folder, minutes) if folder else None,
    )


def train(images, *arguments, **options) -> Trainer:
    trainer = make_trainer(images, *arguments, **options)
    trainer.start()
    trainer.run()
    return trainer


def parameters(network) -> dict[str, np.ndarray]:
    found = network._collect_params_with_prefix()
    return {name: parameter.data().asnumpy() for name, parameter in found.items()}


@contextlib.contextmanager
def runtime_warnings():
    """Collect the texts of our warnings and let nobody else's through."""
    texts: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = lambda message, *where, **more: texts.append(str(message))
        yield texts


def same(a, b) -> bool:
    a, b = parameters(a), parameters(b)
    assert a.keys() == b.keys()
    return all(np.array_equal(a[name], b[name]) for name in a)


# --- same seed, same weights


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adam", "learning_rate": 0.001},
        {"mining": "random"},
        {"loss": "supcon", "balance": "images", "crop": 0.8, "colour": 0.2},
    ],
    ids=["sgd", "adam", "random triplets", "supcon"],
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


# --- going on


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("network", [None, DropoutNet], ids=["article", "dropout"])
@pytest.mark.parametrize("stop", [1, 7])
def test_going_on_is_as_if_it_had_never_stopped(striped_images, tmp_path, optimizer, network, stop):
    config = CONFIG.replace(optimizer=optimizer, learning_rate=0.01, loss="supcon")

    def make():
        return network(code_size=8, image_size=16) if network else None

    undisturbed = History()
    whole = train(striped_images, config, make(), [undisturbed])

    stopped = train(striped_images, config, make(), [History(), StopAt(stop)], tmp_path)
    assert stopped.step == stop + 1
    assert not same(stopped.network, whole.network)
    history = History()
    resumed = make_trainer(striped_images, config, make(), [history, StopAt(99)], tmp_path)
    resumed.start()
    assert resumed.step == stop + 1
    resumed.run()
    assert resumed.step == STEPS
    assert same(resumed.network, whole.network)
    assert history.rows == undisturbed.rows


def test_dropout_is_not_the_same_in_every_step(striped_images):
    """Else a test of going on with dropout would show nothing."""
    masks = []

    class Record(mx.gluon.Block):
        def forward(self, x):
            dropped = mx.nd.Dropout(mx.nd.ones((50,)))
            masks.append(tuple(dropped.asnumpy()))
            return x

    network = DropoutNet(code_size=8, image_size=16)
    loss = AllTriplets()
    record, forward = Record(), loss.forward
    loss.forward = lambda codes, labels: forward(record(codes), labels)
    trainer = Trainer(network, loss, striped_images, CONFIG)
    trainer.start()
    trainer.run()
    assert len(set(masks)) == STEPS


def test_checkpoints_come_from_time_to_time_and_two_are_kept(striped_images, tmp_path):
    train(striped_images, folder=tmp_path, minutes=0.0)
    kept = [f"checkpoint-{step:09d}.npz" for step in (STEPS - 1, STEPS)]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    assert Checkpoints(tmp_path).load().step == STEPS
    Checkpoints(tmp_path).clear()
    assert list(tmp_path.iterdir()) == []
    assert Checkpoints(tmp_path).load() is None


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "junk": lambda content: b"junk" * 100,
    "a changed byte": lambda content: content[:5000] + b"\x55\xaa\x55\xaa" + content[5004:],
    "an unknown compression": lambda content: content[:-40] + content[-40:].replace(b"PK", b"PX"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(striped_images, tmp_path, damage):
    whole = train(striped_images)
    train(striped_images, callbacks=[StopAt(6)], folder=tmp_path, minutes=0.0)
    before, newest = sorted(tmp_path.iterdir())
    newest.write_bytes(damage(newest.read_bytes()))
    resumed = make_trainer(striped_images, folder=tmp_path)
    with runtime_warnings() as caught:
        resumed.start()
    assert len(caught) == 1
    assert str(newest) in caught[0] and before.name in caught[0]
    assert resumed.step == 5
    resumed.run()
    assert same(resumed.network, whole.network)


def test_no_damage_of_a_byte_goes_unseen(tmp_path):
    """Every second byte of a small checkpoint is changed in turn."""
    state = TrainingState(3, {"weight/a": np.arange(6.0), "optimizer/0/0": np.ones(3)}, {"H": [1]})
    path = Checkpoints(tmp_path).save(state)
    content = path.read_bytes()
    seen = 0
    for place in range(0, len(content), 2):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :])
        try:
            loaded = Checkpoints(tmp_path).load()
        except InputError as error:
            assert path.name in str(error)
            seen += 1
            continue
        # times, permissions and the like, which nobody reads
        assert (loaded.step, loaded.told) == (3, {"H": [1]})
        assert loaded.arrays.keys() == state.arrays.keys()
        for name, array in state.arrays.items():
            np.testing.assert_array_equal(loaded.arrays[name], array)
    assert seen > len(content) / 4


def test_checkpoints_that_are_all_damaged_are_an_error(striped_images, tmp_path):
    train(striped_images, folder=tmp_path, minutes=0.0)
    for path in tmp_path.iterdir():
        path.write_bytes(b"junk")
    with pytest.raises(InputError, match="no checkpoint can be read") as caught:
        make_trainer(striped_images, folder=tmp_path).start()
    assert all(path.name in str(caught.value) for path in tmp_path.iterdir())


# --- what goes wrong


@pytest.mark.parametrize("loss", ["triplet", "supcon"])
def test_weights_beyond_all_bounds_end_training(striped_images, loss):
    config = CONFIG.replace(loss=loss, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss is nan .* lower the learning rate"):
        fit_encoder(striped_images, config)


def test_collapsed_codes_are_warned_of():
    """All images are one, so that all codes are."""
    images = ImageSet("one", np.full((60, 12, 12, 3), 77, np.uint8), np.arange(60) % 3, "abc")
    with runtime_warnings() as caught:
        fit_encoder(images, CONFIG.replace(images=24 * 25))
    assert len(caught) == 1
    assert "the codes have collapsed" in caught[0]
    assert "the loss is stuck at 1.000" in caught[0]


def test_collapse_is_warned_of_once_and_only_if_it_lasts():
    watch = CollapseWatch(spread=1e-3, patience=3)
    with runtime_warnings() as caught:
        for spread in (0.0, 0.0, 0.5, 0.0, 0.0):
            watch.on_step(None, StepResult(7, 168, 1.0, 0.1, {"spread": spread}))
        watch.on_step(None, StepResult(8, 192, 1.0, 0.1, {}))
        assert caught == []
        for step in range(9, 14):
            watch.on_step(None, StepResult(step, 24 * step, 1.0, 0.1, {"spread": 0.0}))
    assert len(caught) == 1
    assert "collapsed: after 264 images" in caught[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"images": 0},
        {"optimizer": "rmsprop"},
        {"schedule": "linear"},
        {"balance": "both"},
        {"batch_size": 3},
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"weight_decay": -1.0},
        {"warmup": 1.0},
        {"seed": -1},
        {"shift": -1},
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
        ({"mining": "hardest"}, "mining 'hardest' does not go"),
        ({"margin": -1.0}, "margin is -1.0"),
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


@pytest.mark.parametrize("minutes", [0, -1, math.nan])
def test_minutes_that_make_no_sense_are_refused(striped_images, minutes):
    with pytest.raises(InputError, match="minutes is .*: give a number above 0"):
        images_for_minutes(minutes, striped_images, CONFIG)


# --- the run folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, its images, and what it printed."""
    pixels = np.random.default_rng(5).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)
    images = ImageSet("noise", pixels, np.arange(30) % 3, ["a", "b", "c"])
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_run(images, CONFIG, folder)
    return images, folder


@pytest.fixture
def run_copy(finished, tmp_path):
    images, folder = finished
    copy = tmp_path / "run"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return images, copy


def test_a_run_explains_itself(finished):
    images, folder = finished
    described = json.loads((folder / "run.json").read_text())
    assert described["finished"] is True
    assert described["training"] == CONFIG.to_json()
    assert described["data"] == images.identity()
    assert described["classes"] == ["a", "b", "c"]
    assert described["images_seen"] == 288
    assert described["network"] == {
        "name": "article",
        "arguments": {"code_size": 8, "image_size": 12},
    }
    assert described["versions"]["mxnet"] == mx.__version__
    assert (folder / "encoder.params").stat().st_size > 1000
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_history_has_a_row_for_each_window(finished):
    _, folder = finished
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["images", "loss", "learning_rate", "active", "spread"]
    assert [int(row["images"]) for row in rows] == [24 * (step + 1) for step in range(STEPS)]
    rates = [learning_rate(step, STEPS, 0.05) for step in range(STEPS)]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(rates, rel=1e-5)
    for row in rows:
        assert 0 < float(row["loss"]) < 3
        assert 0 < float(row["active"]) <= 1
        assert 0 <= float(row["spread"]) <= 1


def test_history_windows_are_means(tmp_path):
    history = History(rows=2)
    trainer = types.SimpleNamespace(steps=5)
    for step, loss in enumerate([1.0, 3.0, 5.0, 8.0, 9.0], 1):
        history.on_step(trainer, StepResult(step, 10 * step, loss, 0.1 * step, {"active": loss}))
    assert [(row["images"], row["loss"], row["active"]) for row in history.rows] == [
        (20, 2.0, 2.0),
        (40, 6.5, 6.5),
        (50, 9.0, 9.0),
    ]
    history.save(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines()[:2] == [
        "images,loss,learning_rate,active",
        "20,2,0.2,2",
    ]


def test_a_loaded_run_gives_the_codes_that_were_trained(finished):
    images, folder = finished
    encoder, described = load_run(folder)
    trained = fit_encoder(images, CONFIG)
    assert fingerprint(encoder) == fingerprint(trained) == described["fingerprint"]
    np.testing.assert_array_equal(encode(encoder, images), encode(trained, images))


def test_a_run_prints_nothing(striped_images, tmp_path, capfd):
    run = train_run(striped_images, CONFIG.replace(images=48), tmp_path / "run")
    assert run.folder == tmp_path / "run"
    assert run.description["finished"]
    assert capfd.readouterr() == ("", "")


def test_a_finished_run_is_returned_as_it_is(run_copy, monkeypatch):
    images, folder = run_copy
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("trained again"))
    run = train_run(images, CONFIG, folder, resume=True)
    assert run.description["finished"]
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_finished_run_may_be_trained_anew(run_copy):
    images, folder = run_copy
    run = train_run(images, CONFIG.replace(seed=1, images=48), folder)
    assert run.description["training"]["seed"] == 1
    assert run.description["images_seen"] == 48


@pytest.mark.parametrize("name", ["run.json", "encoder.params"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "junk", "missing"])
def test_damaged_files_of_a_run_are_named(run_copy, name, damage):
    _, folder = run_copy
    path = folder / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(InputError) as caught:
        load_run(folder)
    message = str(caught.value)
    assert name in message and str(folder) in message
    assert "\n" not in message


def test_parameters_of_another_run_are_refused(run_copy):
    images, folder = run_copy
    fit_encoder(images, CONFIG.replace(seed=1)).save_parameters(str(folder / "encoder.params"))
    with pytest.raises(InputError, match=r"encoder\.params: the parameters are not those"):
        load_run(folder)
    other = CONFIG.replace(code_size=9, images=24)
    fit_encoder(images, other).save_parameters(str(folder / "encoder.params"))
    with pytest.raises(InputError, match=r"encoder\.params"):
        load_run(folder)


def test_a_run_of_another_format_is_refused(run_copy):
    _, folder = run_copy
    described = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**described, "format": 99}))
    with pytest.raises(InputError, match=r"run\.json: its format is 99"):
        load_run(folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"images": 144}, "images 288, not 144"),
        ({"loss": "supcon"}, "loss 'triplet', not 'supcon'"),
        ({"learning_rate": 0.1}, "learning_rate 0.05, not 0.1"),
    ],
)
def test_going_on_with_other_choices_is_refused(run_copy, change, message):
    images, folder = run_copy
    with pytest.raises(InputError, match=message):
        train_run(images, CONFIG.replace(**change), folder, resume=True)


def test_going_on_with_other_data_is_refused(run_copy):
    images, folder = run_copy
    pixels = images.pixels.copy()
    pixels[3, 4, 5, 0] ^= 1
    changed = ImageSet(images.name, pixels, images.labels, images.classes)
    with pytest.raises(InputError, match="sha256"):
        train_run(changed, CONFIG, folder, resume=True)


def test_a_finished_run_can_be_lengthened(run_copy):
    images, folder = run_copy
    before = (folder / "history.csv").read_text()
    run = train_run(images, CONFIG.replace(images=384), folder, resume=True)
    assert run.description["images_seen"] == run.description["training"]["images"] == 384
    assert run.description["finished"]
    after = (folder / "history.csv").read_text()
    assert after.startswith(before) and after.count("\n") == before.count("\n") + 4


def test_a_run_can_start_from_the_weights_of_another(run_copy, tmp_path, monkeypatch):
    images, folder = run_copy
    other = CONFIG.replace(seed=3, images=24)
    monkeypatch.setattr(Trainer, "run", lambda self: None)
    run = train_run(images, other, tmp_path / "new", initial=folder)
    assert run.description["training"]["seed"] == 3
    assert same(run.encoder, load_run(folder)[0])
    with pytest.raises(InputError, match="ask for the same network"):
        train_run(images, other.replace(code_size=9), tmp_path / "other", initial=folder)


def test_the_weights_that_are_best_on_validation_images_are_kept(striped_images, tmp_path):
    learnt, held = (striped_images.subset(np.arange(i, 60, 2)) for i in (0, 1))
    run = train_run(learnt, CONFIG, tmp_path, validation=held)
    with (tmp_path / "validation.csv").open(newline="") as file:
        rows = [(int(r["images"]), float(r["recall_at_1"])) for r in csv.DictReader(file)]
    assert rows[-1][0] == 288
    codes = encode(run.encoder, held)
    near = (codes @ codes.T - 9 * np.eye(len(codes))).argmax(axis=1)
    recall = (held.labels[near] == held.labels).mean()
    assert recall == pytest.approx(max(recall for _, recall in rows), rel=1e-5)


# --- Ctrl-C


def interrupt_at(monkeypatch, batch: int) -> None:
    """Send this process the signal of Ctrl-C while a batch is being assembled."""
    take = ImageSet.take
    assembled = []

    def take_and_interrupt(self, indices):
        if len(indices) == CONFIG.batch_size:
            assembled.append(indices)
            if len(assembled) == batch:
                os.kill(os.getpid(), signal.SIGINT)
        return take(self, indices)

    monkeypatch.setattr(ImageSet, "take", take_and_interrupt)


@pytest.mark.parametrize("batch", [1, 6])
def test_an_interrupted_run_goes_on_to_the_same_weights(striped_images, tmp_path, batch):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    config = CONFIG.replace(images=24 * 20)
    train_run(striped_images, config, whole)

    before = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_at(monkeypatch, batch)
        with pytest.raises(KeyboardInterrupt):
            train_run(striped_images, config, folder)
    assert signal.getsignal(signal.SIGINT) is before

    # what there is can be used
    encoder, described = load_run(folder)
    assert described["finished"] is False
    assert 0 < described["images_seen"] < 24 * 20
    assert np.isfinite(encode(encoder, striped_images)).all()
    assert (folder / "history.csv").exists() and (folder / "curves.png").exists()

    with pytest.raises(InputError, match="unfinished run: add --resume"):
        train_run(striped_images, config, folder)
    run = train_run(striped_images, config, folder, resume=True)
    assert run.description["finished"] is True
    for name in ("encoder.params", "history.csv", "run.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again(run_copy, tmp_path):
    """All that such a run leaves is the description that it began with."""
    images, finished = run_copy
    described = json.loads((finished / "run.json").read_text())
    for name in ("network", "fingerprint"):
        del described[name]
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({**described, "finished": False, "images_seen": 0}))
    with pytest.raises(InputError, match="go on with it by --resume"):
        load_run(folder)
    train_run(images, CONFIG, folder, resume=True)
    content = Path(folder / "encoder.params").read_bytes()
    assert content == (finished / "encoder.params").read_bytes()


def test_minutes_are_settled_once(striped_images, tmp_path, monkeypatch):
    """A run that is taken up again keeps the number of images that its minutes came to."""
    measured = iter([24 * 9])
    monkeypatch.setattr(
        "tripletnet.training.run.images_for_minutes", lambda *arguments: next(measured)
    )
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train_run(striped_images, CONFIG, tmp_path, minutes=1.0)
    run = train_run(striped_images, CONFIG, tmp_path, minutes=1.0, resume=True)
    assert run.description["training"]["images"] == run.description["images_seen"] == 24 * 9
