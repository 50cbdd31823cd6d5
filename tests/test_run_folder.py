"""The run folder: what a run leaves, what is refused, and Ctrl-C."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.data.scan import LeftOut
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.losses.mining import SemiHard
from tripletnet.networks.fingerprint import fingerprint
from tripletnet.networks.zoo import make_classifier
from tripletnet.retrieval.encoder import Encoder
from tripletnet.runs import load_run, read_threshold, read_threshold_target
from tripletnet.training import Trainer, TrainingConfig, check_initial, fit_encoder, train_run
from tripletnet.training import run as run_module
from tripletnet.training.callbacks import Callback
from tripletnet.training.schedule import learning_rate

#: Twelve steps of 24 images.
CONFIG = TrainingConfig(images=288, code_size=8, batch_size=24, shift=2, learning_rate=0.05)
STEPS = 12


@pytest.fixture(scope="module")
def noise() -> ImageSet:
    pixels = np.random.default_rng(5).integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)
    return ImageSet("noise", pixels, np.arange(30) % 3, ["a", "b", "c"])


@pytest.fixture(scope="module")
def finished(noise, tmp_path_factory):
    """The images and the folder of a finished run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_run(noise, CONFIG, folder)
    return noise, folder


@pytest.fixture
def run_copy(finished, tmp_path):
    """The same, to be damaged or gone on with."""
    images, folder = finished
    return images, Path(shutil.copytree(folder, tmp_path / "run"))


def test_a_run_explains_itself(finished):
    images, folder = finished
    described = json.loads((folder / "run.json").read_text())
    assert described["finished"] is True
    assert described["training"] == CONFIG.to_json()
    assert described["data"] == {**images.identity(), "validation": None}
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
    assert set(rows[0]) >= {"images", "loss", "learning_rate", "active", "spread", "norm"}
    assert [int(row["images"]) for row in rows] == [24 * (step + 1) for step in range(STEPS)]
    rates = [learning_rate(step, STEPS, 0.05) for step in range(STEPS)]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(rates, rel=1e-5)
    for row in rows:
        assert 0 < float(row["loss"]) < 3
        assert 0 < float(row["active"]) <= 1
        assert 0 <= float(row["spread"]) <= 1


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


DAMAGE = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "junk": lambda content: b"junk" * 100,
}


@pytest.mark.parametrize("name", ["run.json", "encoder.params"])
@pytest.mark.parametrize("damage", [*DAMAGE, "missing"])
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


def test_a_folder_whose_name_is_not_unicode_is_refused_before_the_work(
    run_copy, monkeypatch, tmp_path, tripletnet
):
    images, folder = run_copy
    odd = folder.rename(tmp_path / b"no\xffname".decode("utf-8", "surrogateescape"))
    complaint = "no\ufffdname: its name is not valid UTF-8: rename it"
    with pytest.raises(InputError, match=complaint):
        load_run(odd)
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("trained"))
    for out in (odd, odd.with_name(f"{odd.name} too")):
        with pytest.raises(InputError, match="not valid UTF-8"):
            train_run(images, CONFIG, out, resume=True)
        monkeypatch.setattr("tripletnet.commands.train.load_examples", None)
        status, _, said = tripletnet("train", "digits", "--out", out)
        assert status == 2 and "not valid UTF-8: rename it" in said and said.count("\n") == 1


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
    with pytest.raises(InputError, match="started with data of the sha256"):
        train_run(changed, CONFIG, folder, resume=True)
    with pytest.raises(InputError, match="started with a number of examples of 30, not 29"):
        train_run(images.subset(np.arange(29)), CONFIG, folder, resume=True)


def test_going_on_from_other_weights_or_with_another_split_is_refused(run_copy):
    images, folder = run_copy
    with pytest.raises(InputError, match="started with initial None, not 'runs/other'"):
        train_run(images, CONFIG, folder, resume=True, initial="runs/other")
    described = json.loads((folder / "run.json").read_text())
    described["source"] = {"size": 12, "hold_out_classes": 3}
    (folder / "run.json").write_text(json.dumps(described))
    other = {"source": {"size": 12, "hold_out_classes": 2}}
    with pytest.raises(InputError, match="started with hold_out_classes 3, not 2"):
        train_run(images, CONFIG, folder, resume=True, about=other)
    train_run(images, CONFIG, folder, resume=True, about={"source": described["source"]})


def test_a_finished_run_is_not_replaced(run_copy):
    images, folder = run_copy
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match="holds a finished run: take another --out"):
        train_run(images, CONFIG.replace(seed=1), folder)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("name", ["validation.csv", "split.json", "neighbours/mine.png"])
def test_what_is_no_runs_is_not_written_over(striped_images, tmp_path, tripletnet, name):
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (tmp_path / "mine" / "notes.txt").write_text("do no harm")
    for resume in (False, True):
        with pytest.raises(InputError, match=f"{name}: a run in .* would write over it"):
            train_run(striped_images, CONFIG, tmp_path / "mine", resume=resume)
    status, _, said = tripletnet("train", "digits", "--out", tmp_path / "mine")
    assert status == 2 and said.count("\n") == 1 and "take another --out" in said
    assert mine.read_text() == "mine"


def test_one_training_at_a_time(striped_images, tmp_path, monkeypatch):
    def another(trainer):
        with pytest.raises(InputError, match="another command is making or changing it"):
            train_run(striped_images, CONFIG, tmp_path / "run", resume=True)

    monkeypatch.setattr(Trainer, "run", another)
    train_run(striped_images, CONFIG, tmp_path / "run")
    assert not list(tmp_path.rglob("*.lock"))


def test_first_weights_come_from_one_place(striped_images, run_copy, tmp_path):
    config = CONFIG.replace(network="gluoncv:cifar_resnet20_v1", weights="model.params")
    with pytest.raises(InputError, match="leave one out"):
        train_run(striped_images, config, tmp_path / "new", initial=run_copy[1])
    assert not (tmp_path / "new").exists()


def test_a_run_goes_on_without_what_its_first_weights_came_from(run_copy, tmp_path):
    images, folder = run_copy
    first, config = tmp_path / "first", CONFIG.replace(images=48)
    folder.rename(first)
    train_run(images, config, tmp_path / "run", initial=first)
    first.rename(tmp_path / "moved")
    for images_seen, initial in ((96, first), (144, None)):
        longer = config.replace(images=images_seen)
        run = train_run(images, longer, tmp_path / "run", initial=initial, resume=True)
        assert run.description["images_seen"] == images_seen
        assert run.description["initial"] == str(first)
    with pytest.raises(InputError, match="started with initial"):
        train_run(images, longer, tmp_path / "run", initial=tmp_path / "moved", resume=True)


def test_a_run_goes_on_without_the_file_of_its_backbones_weights(striped_images, tmp_path):
    model = make_classifier("cifar_resnet20_v1")
    model.initialize()
    model(mx.nd.zeros((1, 3, 16, 16)))
    model.save_parameters(str(tmp_path / "model.params"))
    network = {"network": "gluoncv:cifar_resnet20_v1", "weights": str(tmp_path / "model.params")}
    config = CONFIG.replace(images=24, **network)
    train_run(striped_images, config, tmp_path / "run")
    (tmp_path / "model.params").unlink()
    longer = config.replace(images=48)
    run = train_run(striped_images, longer, tmp_path / "run", resume=True)
    assert run.description["images_seen"] == 48
    with pytest.raises(InputError, match="there is no such file"):
        train_run(striped_images, config, tmp_path / "new")


def test_the_same_seed_gives_the_same_weights_whatever_is_looked_at_meanwhile(
    striped_images, tmp_path
):
    """What encodes while it trains lays the weights out anew, at a time that is not fixed."""
    config = CONFIG.replace(
        optimizer="nesterov", loss="triplet", mining="random", learning_rate=0.1
    )
    runs = [train_run(striped_images, config, tmp_path / str(i)) for i in range(3)]
    assert len({fingerprint(run.encoder) for run in runs}) == 1


def test_pictures_of_others_beside_the_grids_stay(run_copy):
    images, folder = run_copy
    mine = folder / "neighbours/000000096 (copy).png"
    mine.write_text("mine")
    train_run(images, CONFIG.replace(images=384), folder, resume=True)
    assert mine.read_text() == "mine"


def test_patience_where_nothing_can_be_told_is_refused(striped_images, tmp_path):
    one_each = striped_images.subset(np.arange(3))
    with pytest.raises(InputError, match="patience: too little is held out to tell"):
        train_run(striped_images, CONFIG, tmp_path / "run", validation=one_each, patience=2)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_can_be_lengthened(run_copy):
    images, folder = run_copy
    before = (folder / "history.csv").read_text()
    run = train_run(images, CONFIG.replace(images=384), folder, resume=True)
    assert run.description["images_seen"] == run.description["training"]["images"] == 384
    assert run.description["finished"]
    after = (folder / "history.csv").read_text()
    assert after.startswith(before) and after.count("\n") == before.count("\n") + 4


def test_a_finished_run_keeps_its_encoder_until_a_longer_one_is_finished(run_copy):
    images, folder = run_copy
    before = (folder / "encoder.params").read_bytes()
    longer = CONFIG.replace(images=CONFIG.images + 240)
    for batch in (2, 3):
        with pytest.MonkeyPatch.context() as monkeypatch:
            interrupt_at(monkeypatch, batch)
            with pytest.raises(KeyboardInterrupt):
                train_run(images, longer, folder, resume=True)
        assert (folder / "encoder.params").read_bytes() == before
        described = load_run(folder)[1]
        assert (described["finished"], described["images_seen"]) == (False, CONFIG.images)
    described = train_run(images, longer, folder, resume=True).description
    assert (described["finished"], described["images_seen"]) == (True, longer.images)
    assert "lengthening" not in described
    assert (folder / "encoder.params").read_bytes() != before


def test_a_run_goes_on_with_what_was_held_out(striped_images, tmp_path):
    learnt, held = (striped_images.subset(np.arange(i, 60, 2)) for i in (0, 1))
    train_run(learnt, CONFIG.replace(images=48), tmp_path, validation=held)
    fewer = held.subset(np.arange(20))
    with pytest.raises(InputError, match="started with held-out data of the sha256"):
        train_run(learnt, CONFIG, tmp_path, validation=fewer, resume=True)
    with pytest.raises(InputError, match="started with held-out data of the sha256"):
        train_run(learnt, CONFIG, tmp_path, resume=True)


def test_a_run_can_start_from_the_weights_of_another(run_copy, tmp_path, monkeypatch):
    images, folder = run_copy
    config = CONFIG.replace(seed=3, images=24)
    monkeypatch.setattr(Trainer, "run", lambda self: None)
    run = train_run(images, config, tmp_path / "new", initial=folder)
    assert run.description["training"]["seed"] == 3
    ours, theirs = run.encoder.collect_params(), load_run(folder)[0].collect_params()
    for parameter, other in zip(ours.values(), theirs.values()):
        np.testing.assert_array_equal(parameter.data().asnumpy(), other.data().asnumpy())
    with pytest.raises(InputError, match="ask for the same network"):
        train_run(images, config.replace(code_size=9), tmp_path / "other", initial=folder)
    for name, change in {"mirror": {"mirror": True}, "head": {"projection": 4}}.items():
        run = train_run(images, config.replace(**change), tmp_path / name, initial=folder)
        for parameter, other in zip(run.encoder.collect_params().values(), theirs.values()):
            np.testing.assert_array_equal(parameter.data().asnumpy(), other.data().asnumpy())
    with pytest.raises(InputError, match="its network is 'article', and this run's 'residual'"):
        check_initial(folder, config.replace(network="residual"))


def test_the_latest_weights_that_validation_finds_none_better_than_are_kept(
    striped_images, tmp_path
):
    learnt, held = (striped_images.subset(np.arange(i, 60, 2)) for i in (0, 1))
    run = train_run(learnt, CONFIG, tmp_path, validation=held)
    with (tmp_path / "validation.csv").open(newline="") as file:
        rows = [(int(r["images"]), float(r["recall_at_1"])) for r in csv.DictReader(file)]
    assert rows[-1][0] == 288
    codes = encode(run.encoder, held)
    near = (codes @ codes.T - 9 * np.eye(len(codes))).argmax(axis=1)
    recall = (held.labels[near] == held.labels).mean()
    best = max(recall for _, recall in rows)
    bound = best - (best * (1 - best) / len(held)) ** 0.5
    kept = [recall for _, recall in rows if recall >= bound][-1]
    assert recall == pytest.approx(kept, rel=1e-5)


def test_where_nothing_tells_which_weights_are_best_the_last_are_kept(finished, tmp_path):
    images, whole = finished
    alone = images.subset(np.array([0, 1, 2]))  # one of each class
    train_run(images, CONFIG, tmp_path, validation=alone)
    assert (tmp_path / "encoder.params").read_bytes() == (whole / "encoder.params").read_bytes()


def test_what_is_measured_can_be_read_while_a_run_trains(striped_images, tmp_path):
    learnt, held = (striped_images.subset(np.arange(i, 60, 2)) for i in (0, 1))
    seen = []

    class Reader(Callback):
        def on_step(self, trainer, result):
            file = tmp_path / "validation.csv"
            seen.append(len(file.read_text().splitlines()) - 1 if file.exists() else 0)

    make = run_module.make_trainer

    def watched(*arguments, **options):
        trainer, history = make(*arguments, **options)
        trainer.callbacks.append(Reader())
        return trainer, history

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "make_trainer", watched)
        train_run(learnt, CONFIG, tmp_path, validation=held)
    assert seen[0] == 0 and seen[-1] > 0 and seen == sorted(seen)


def test_a_threshold_goes_when_the_weights_do(run_copy):
    images, folder = run_copy
    (folder / "threshold.json").write_text('{"distance": 1.0}', "utf-8")
    train_run(images, CONFIG, folder, resume=True)  # finished: nothing changes
    assert (folder / "threshold.json").exists()
    train_run(images, CONFIG.replace(images=320), folder, resume=True)
    assert not (folder / "threshold.json").exists()


def test_a_run_chooses_its_threshold_on_what_is_held_out(striped_images, tmp_path):
    learnt, held = (striped_images.subset(np.arange(part, 60, 2)) for part in (0, 1))
    run = train_run(learnt, CONFIG, tmp_path, validation=held)
    assert run.threshold is not None and run.threshold.same_pairs == 3 * 10 * 9 // 2
    assert read_threshold(tmp_path) == run.threshold.distance
    assert read_threshold_target(tmp_path) == ("false_positive_rate", 0.01)
    assert Encoder.load(tmp_path).threshold == run.threshold.distance
    # one that the user chose since stays, one of other weights does not count
    stored = json.loads((tmp_path / "threshold.json").read_text("utf-8"))
    for change, kept in (({"distance": 9.5}, 9.5), ({"fingerprint": "other"}, None)):
        (tmp_path / "threshold.json").write_text(json.dumps({**stored, **change}), "utf-8")
        assert read_threshold(tmp_path) == kept
        again = train_run(learnt, CONFIG, tmp_path, validation=held, resume=True)
        assert (again.threshold is None) == (kept is not None)
    assert train_run(held, CONFIG, tmp_path / "alone").no_threshold == "nothing is held out"


def test_an_encoder_can_be_used_until_a_lengthened_run_has_a_new_one(run_copy, monkeypatch):
    images, folder = run_copy
    (folder / "threshold.json").write_text('{"distance": 1.0}', "utf-8")
    before = encode(load_run(folder)[0], images)

    def killed(self: Trainer) -> None:
        raise SystemExit

    monkeypatch.setattr(Trainer, "run", killed)
    with pytest.raises(SystemExit):
        train_run(images, CONFIG.replace(images=320), folder, resume=True)
    encoder, described = load_run(folder)
    assert not described["finished"]
    assert np.array_equal(encode(encoder, images), before)
    assert (folder / "threshold.json").exists()


@pytest.mark.parametrize("harm", ["damaged", "gone"])
def test_a_run_whose_checkpoint_cannot_be_had_is_left_as_it_was(run_copy, harm):
    images, folder = run_copy
    for path in folder.glob("checkpoint*"):
        path.write_bytes(b"no checkpoint") if harm == "damaged" else path.unlink()
    for name in ("threshold.json", "int8.json", "int8.params"):
        (folder / name).write_text("of the run")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    message = {"damaged": "no checkpoint can be read", "gone": "no checkpoint to go on from"}[harm]
    with pytest.raises(InputError, match=message):
        train_run(images, CONFIG.replace(images=320), folder, resume=True)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_what_was_left_out_belongs_to_the_run(run_copy):
    images, folder = run_copy
    table, lost = folder / "left_out.tsv", [LeftOut("x.png", "is empty")]
    with pytest.raises(InputError, match="number of examples of 30, not 20"):
        train_run(images.subset(np.arange(20)), CONFIG, folder, resume=True, left_out=lost)
    assert not table.exists()
    longer = [CONFIG.replace(images=CONFIG.images + more) for more in (24, 48, 72)]
    train_run(images, longer[0], folder, resume=True, left_out=lost)
    assert table.read_text("utf-8").splitlines() == ["path\treason", "x.png\tis empty"]
    train_run(images, longer[1], folder, resume=True)
    assert table.exists()
    train_run(images, longer[2], folder, resume=True, left_out=[])
    assert not table.exists()


def test_kept_weights_that_are_gone_or_damaged_are_named(striped_images, tmp_path):
    learnt, held = (striped_images.subset(np.arange(i, 60, 2)) for i in (0, 1))
    train_run(learnt, CONFIG.replace(images=48), tmp_path, validation=held)
    best = tmp_path / "best.params"
    best.write_bytes(best.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"best\.params: damaged, and it held the weights"):
        train_run(learnt, CONFIG, tmp_path, validation=held, resume=True)
    best.unlink()
    with pytest.raises(InputError, match=r"best\.params: no such file, and it held the weights"):
        train_run(learnt, CONFIG, tmp_path, validation=held, resume=True)


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


def test_an_interrupted_run_goes_on_to_the_same_weights(striped_images, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "run"
    config = CONFIG.replace(images=24 * 20)
    train_run(striped_images, config, whole)

    before = signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_at(monkeypatch, 6)
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
    ours, theirs = (path / "encoder.params" for path in (folder, finished))
    assert ours.read_bytes() == theirs.read_bytes()


def test_minutes_are_settled_once(striped_images, tmp_path, monkeypatch):
    """A run that is taken up again keeps the number of images that its minutes came to."""
    measured = iter([24 * 9])
    monkeypatch.setattr(
        "tripletnet.training.plan.images_for_minutes", lambda *arguments: next(measured)
    )
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train_run(striped_images, CONFIG, tmp_path, minutes=1.0)
    run = train_run(striped_images, CONFIG, tmp_path, minutes=1.0, resume=True)
    assert run.description["training"]["images"] == run.description["images_seen"] == 24 * 9
    with pytest.raises(InputError, match="minutes is 2, but the run is settled on 216 images"):
        train_run(striped_images, CONFIG, tmp_path, minutes=2.0, resume=True)


def test_objects_have_no_place_in_a_run_folder(striped_images, tmp_path):
    config = CONFIG.replace(mining=SemiHard())
    with pytest.raises(InputError, match="mining: a run folder tells its choices by name"):
        train_run(striped_images, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="expected a BatchLoss, got str"):
        fit_encoder(striped_images, CONFIG, "triplet")
