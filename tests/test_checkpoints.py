"""Going on where a run stopped: bit for bit as if it never had, also from damaged files."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
from short_trainings import CONFIG, STEPS, StopAt, make_trainer, runtime_warnings, same, train

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.losses import AllTriplets
from tripletnet.networks import EncoderBlock
from tripletnet.training import Trainer, train_run
from tripletnet.training.callbacks import History
from tripletnet.training.checkpoint import Checkpoints, TrainingState


class DropoutNet(EncoderBlock):
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


@pytest.fixture(scope="module")
def noise() -> ImageSet:
    pixels = np.random.default_rng(5).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)
    return ImageSet("noise", pixels, np.arange(30) % 3, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("optimizer", "network", "stop"),
    [
        ("sgd", None, 7),
        ("nesterov", None, 2),
        ("adam", None, 1),
        ("sgd", DropoutNet, 1),
        ("adam", DropoutNet, 7),
        ("muon", None, 5),
    ],
    ids=["sgd", "nesterov and a head", "adam", "sgd with dropout", "adam with dropout", "muon"],
)
def test_going_on_is_as_if_it_had_never_stopped(striped_images, tmp_path, optimizer, network, stop):
    config = CONFIG.replace(optimizer=optimizer, learning_rate=0.01, loss="supcon")
    if optimizer == "nesterov":
        config = config.replace(projection=4)

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
    Checkpoints(tmp_path).keep(0)
    assert list(tmp_path.iterdir()) == []
    assert Checkpoints(tmp_path).load() is None


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "junk": lambda content: b"junk" * 100,
    "a changed byte": lambda content: content[:5000] + b"\x55\xaa\x55\xaa" + content[5004:],
    "an unknown compression": lambda content: content[:-40] + content[-40:].replace(b"PK", b"PX"),
}


@pytest.fixture(scope="module")
def stopped(noise, tmp_path_factory):
    """A folder with the checkpoints of steps 5 and 6, and where an undisturbed run ends."""
    folder = tmp_path_factory.mktemp("stopped")
    train(noise, callbacks=[StopAt(6)], folder=folder, minutes=0.0)
    return folder, train(noise).network


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(noise, stopped, tmp_path, damage):
    source, undisturbed = stopped
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    before, newest = sorted(tmp_path.iterdir())
    newest.write_bytes(damage(newest.read_bytes()))
    resumed = make_trainer(noise, folder=tmp_path)
    with runtime_warnings() as caught:
        resumed.start()
    assert len(caught) == 1
    assert str(newest) in caught[0] and before.name in caught[0]
    assert resumed.step == 5
    resumed.run()
    assert same(resumed.network, undisturbed)


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


@pytest.mark.parametrize("minutes", [math.nan, math.inf, -1.0])
def test_minutes_after_which_nothing_would_be_saved_are_refused(noise, tmp_path, minutes):
    with pytest.raises(InputError, match=f"minutes between checkpoints is {minutes}: give"):
        train_run(noise, CONFIG, tmp_path / "run", checkpoint_minutes=minutes)
    assert not (tmp_path / "run").exists()


def test_checkpoints_that_are_all_damaged_are_an_error(noise, stopped, tmp_path):
    shutil.copytree(stopped[0], tmp_path, dirs_exist_ok=True)
    for path in tmp_path.iterdir():
        path.write_bytes(b"junk")
    with pytest.raises(InputError, match="no checkpoint can be read") as caught:
        make_trainer(noise, folder=tmp_path).start()
    assert all(path.name in str(caught.value) for path in tmp_path.iterdir())
