"""Training without classes: measures by hand, runs that can be taken up, and what they leave."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from short_trainings import StopAt, parameters

from tripletnet.backend import mx
from tripletnet.data import ImageSet
from tripletnet.data.augment import Augmentation
from tripletnet.data.batches import assemble
from tripletnet.data.pair_set import PairSet
from tripletnet.data.sampling import UniformSampler
from tripletnet.data.triplet_set import TripletSet
from tripletnet.data.unlabelled import load_unlabelled
from tripletnet.data.view_set import ViewSet
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.evaluation.orderings import ordered_right, originals_first, triplet_distances
from tripletnet.losses import (
    LOSSES,
    MINERS,
    Contrastive,
    MarginLoss,
    RandomTriplets,
    SupervisedContrastive,
)
from tripletnet.training import (
    Trainer,
    TrainingConfig,
    fit_encoder,
    train_run,
)
from tripletnet.training.checkpoint import Checkpoints
from tripletnet.training.fit import make_encoder, make_loss
from tripletnet.training.held_out import held_out

CODES = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], np.float32)


def unlabelled(count: int = 4) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    return ImageSet("some", pixels, np.zeros(count, np.int64), ())


def test_triplets_ordered_right_by_hand():
    triplets = np.array([[0, 1, 2], [0, 2, 1], [0, 3, 1], [2, 1, 0]], np.int32)
    same, diff = triplet_distances(CODES, triplets)
    np.testing.assert_allclose(same, [0.4, 2, 4, 0.8], atol=1e-6)
    np.testing.assert_allclose(diff, [2, 0.4, 0.4, 2], atol=1e-6)
    assert ordered_right(same, diff) == 0.5
    assert ordered_right(same, same) == 0
    judged = held_out(TripletSet(unlabelled(), triplets))
    assert judged.score(lambda images: CODES) == 0.5
    assert judged.pairs(lambda images: CODES).different_pairs == 4


def test_area_under_the_curve_of_pairs_by_hand():
    rows = np.array([[0, 1], [0, 2], [0, 3], [1, 2]], np.int32)
    judged = held_out(PairSet(unlabelled(), rows, np.array([1, 1, 0, 0], np.int8)))
    # similar 0.4 and 2, different 4 and 0.8: three of four comparisons are right
    assert judged.score(lambda images: CODES) == 0.75
    with pytest.raises(InputError, match="2 pairs to validate on 2 are similar"):
        held_out(PairSet(unlabelled(), rows[:2], np.array([1, 1], np.int8)))


def test_contrastive_on_given_pairs_by_hand():
    loss = Contrastive(margin=1.5, distance="euclidean", given_pairs=True)
    codes = mx.nd.array(CODES[[0, 0, 1, 2]])  # pairs (0, 1) and (0, 2)
    given = loss(codes, np.array([1, 0])).asnumpy()
    far = np.sqrt(2)
    np.testing.assert_allclose(given, [0.4 / 2, (1.5 - far) ** 2 / 2], atol=1e-4)
    assert float(loss.statistics["active"].asscalar()) == 1.0


def triplets(count: int = 60) -> TripletSet:
    random = np.random.default_rng(1)
    rows = np.array([random.permutation(20)[:3] for _ in range(count)], np.int32)
    return TripletSet(unlabelled(20), rows)


def pairs(count: int = 60) -> PairSet:
    rows = triplets(count).rows[:, :2]
    return PairSet(unlabelled(20), rows, (np.arange(count) % 2).astype(np.int8))


@pytest.mark.parametrize(
    ("examples", "loss", "said"),
    [
        (triplets(), SupervisedContrastive(), "use loss triplet, mining random"),
        (triplets(), MarginLoss(mining="random"), "use loss triplet, mining random"),
        (triplets(), Contrastive(given_pairs=True), "use loss triplet, mining random"),
        (pairs(), RandomTriplets(), "use loss contrastive"),
        (pairs(), Contrastive(), "use loss contrastive"),
        (unlabelled(), Contrastive(given_pairs=True), "from a file of pairs, not from classes"),
    ],
)
def test_a_loss_that_cannot_learn_from_it_is_refused(examples, loss, said):
    with pytest.raises(InputError, match=said):
        fit_encoder(examples, TrainingConfig(images=100, code_size=8), loss, quiet=True)


def views(count: int = 20) -> ViewSet:
    return ViewSet(unlabelled(count))


CONFIG = TrainingConfig(images=240, code_size=8, batch_size=24, learning_rate=0.02)
KINDS = {
    "triplets": (triplets(), {"mining": "random"}),
    "pairs": (pairs(), {"loss": "contrastive"}),
    "views": (views(), {"loss": "nt-xent", "jpeg": 40, "hue": 20, "rotate": 5, "shrink": 0.5}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_is_as_if_it_had_never_stopped(kind, tmp_path):
    examples, choices = KINDS[kind]
    config = CONFIG.replace(**choices)
    weights = []
    for stops, folder in ((1, None), (2, tmp_path)):
        for part in range(stops):
            trainer = Trainer(
                make_encoder(config, examples),
                make_loss(config, kind),
                examples,
                config,
                callbacks=[StopAt(5)] if part < stops - 1 else [],
                checkpoints=Checkpoints(folder, 60.0) if folder else None,
            )
            trainer.start()
            trainer.run()
        assert (trainer.step, trainer.images_seen) == (10, 240)
        found = trainer.network._collect_params_with_prefix()
        weights.append({name: p.data().asnumpy() for name, p in found.items()})
    for name, values in weights[0].items():
        np.testing.assert_array_equal(values, weights[1][name])


def test_a_run_keeps_the_weights_that_none_are_better_than_and_refuses_other_rows(tmp_path):
    config = CONFIG.replace(images=480, mining="random")
    options = {"validation": triplets(), "quiet": True}
    run = train_run(triplets(), config, tmp_path, **options)
    with (tmp_path / "validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = [float(row["ordered_right"]) for row in rows]
    assert len(values) > 1 and all(0 < value < 1 for value in values)
    kept = held_out(triplets()).score(partial(encode, run.encoder))
    best = max(values)
    none_better = [v for v in values if v >= best - (best * (1 - best) / 60) ** 0.5]
    assert kept == pytest.approx(none_better[-1], abs=1e-5)
    assert run.description["classes"] == []
    with pytest.raises(InputError, match="started with a number of examples of 60, not 59"):
        train_run(triplets(59), config, tmp_path, resume=True, **options)


# --- views


def test_a_batch_of_views_holds_every_picture_twice_each_altered_its_own_way():
    examples = views()
    sampler = UniformSampler(20, 6, seed=3)
    pixels, labels = assemble(examples, sampler, 1, Augmentation(jpeg=30), seed=4)
    assert pixels.shape == (12, 3, 16, 16)
    np.testing.assert_array_equal(labels, np.tile(sampler.indices(1), 2))
    assert (pixels[:6] != pixels[6:]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize(
    "loss", [name for name in (*LOSSES, *MINERS) if name not in ("triplet", "random")]
)
def test_every_loss_and_miner_learns_from_views(loss):
    choices = {"loss": loss} if loss in LOSSES else {"loss": "triplet", "mining": loss}
    config = CONFIG.replace(images=72, weight_decay=0.0, **choices)
    encoder = make_encoder(config, views())
    trainer = Trainer(encoder, make_loss(config, "views"), views(), config)
    trainer.start()
    first = parameters(encoder)
    trainer.run()
    learnt = parameters(encoder)
    assert any(not np.array_equal(first[name], learnt[name]) for name in first)
    assert all(np.isfinite(values).all() for values in learnt.values())


def test_random_mining_has_no_classes_to_draw_from():
    with pytest.raises(InputError, match="use random-in-batch"):
        fit_encoder(views(), CONFIG.replace(mining="random"), quiet=True)


#: No alteration at all.
OFF = {"flip": False, "shift": 0}


@pytest.mark.parametrize("loss", [None, SupervisedContrastive()], ids=["named", "given"])
def test_views_that_nothing_alters_are_refused(loss):
    with pytest.raises(InputError, match="the two views of a picture are the same"):
        fit_encoder(views(), CONFIG.replace(loss="nt-xent", **OFF), loss, quiet=True)
    one = CONFIG.replace(loss="nt-xent", images=24, **{**OFF, "shift": 1})
    fit_encoder(views(), one, loss, quiet=True)


def test_originals_first_by_hand():
    altered = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.7]], np.float32)
    assert originals_first(CODES, altered, np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_held_out_views_tell_whether_an_altered_picture_finds_its_own():
    judged = held_out(views(16))

    def by_content(images: ImageSet) -> np.ndarray:
        pixels = images.take(np.arange(len(images))).reshape(len(images), -1) - 127.5
        return (pixels / np.linalg.norm(pixels, axis=1, keepdims=True)).astype(np.float32)

    assert judged.score(by_content) > 0.5
    distances = judged.pairs(by_content)
    assert (distances.same_pairs, distances.different_pairs) == (16, 16 * 15)
    assert np.median(distances.same) < np.median(distances.different)
    random = np.random.default_rng(0)
    assert judged.score(lambda images: random.normal(size=(16, 4)).astype(np.float32)) < 0.5


def test_one_picture_cannot_be_validated_on(tmp_path):
    config = TrainingConfig(images=40, network="article", loss="nt-xent", batch_size=8)
    with pytest.raises(InputError, match="has no other to be told from"):
        train_run(views(), config, tmp_path / "run", validation=views(1), quiet=True)


def test_pictures_without_labels_are_read_recursively_and_copies_count_once(photos, own_cache):
    (photos / "a/deeper").mkdir()
    (photos / "a/0.png").rename(photos / "a/deeper/0.png")
    (photos / "broken.png").write_bytes(b"nothing")
    data = load_unlabelled(str(photos), size=16, validation=0.3)
    assert (len(data.train), len(data.validation)) == (7, 3)
    assert [item.path for item in data.left_out] == ["broken.png"]
    assert "copies of others, of which each counts once: 1" in data.notices[-1]
    paths = {*data.train.images.paths, *data.validation.images.paths}
    assert {"loose.png", "a/deeper/0.png"} <= paths
    again = load_unlabelled(str(photos), size=16, split=data.split)
    assert again.train.identity() == data.train.identity()
    with pytest.raises(InputError, match=r"broken\.png"):
        load_unlabelled(str(photos), size=16, strict=True)
    with pytest.raises(InputError, match="neither a folder"):
        load_unlabelled("nowhere")
    with pytest.raises(InputError, match="1 different pictures to learn from"):
        load_unlabelled(str(photos / "a/deeper"), size=16)
    with pytest.raises(InputError, match="root tells where CIFAR-10 lies"):
        load_unlabelled(str(photos), root=photos)


def test_one_picture_is_not_held_out_by_itself(photos):
    """Among one picture, its own comes first whatever the codes."""
    data = load_unlabelled(str(photos), size=16, validation=0.1)
    assert data.validation is None and set(data.split.values()) == {"train"}
    assert any("none is held out" in notice for notice in data.notices)
    assert len(data.train) == 10
    held = load_unlabelled(str(photos), size=16, validation=0.2).validation
    assert len(held) == 2


def test_labels_of_a_named_data_set_are_not_looked_at():
    data = load_unlabelled("digits", validation=0.1)
    assert data.recipe == {"kind": "digits", "positives": "augment", "validation": 0.1}
    assert len(data.train) + len(data.validation) + 1 > 1290
    assert data.train.label_count == len(data.train)


@pytest.fixture
def files(photos: Path) -> Path:
    """Triplets and pairs of the photos, which their folders tell apart."""
    (photos / "b/4.png").unlink()
    names = {folder: [f"{folder}/{i}.png" for i in range(4)] for folder in "ab"}
    triplets, pairs = [["anchor", "same", "diff"]], [["a", "b", "similar"]]
    for near, far in ("ab", "ba"):
        for i, anchor in enumerate(names[near]):
            for other in names[near][i + 1 :]:
                triplets += [[anchor, other, diff] for diff in names[far]]
                pairs.append([anchor, other, "1"])
            pairs += [[anchor, other, "0"] for other in names[far][:2]]
    for name, rows in (("triplets", triplets), ("pairs", pairs)):
        with (photos / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return photos


SMALL = (
    "--network",
    "article",
    "--code-size",
    8,
    "--size",
    16,
    "--images",
    240,
    "--batch-size",
    24,
)


@pytest.mark.parametrize(
    ("kind", "measure", "meaning"),
    [("triplets", "ordered_right", "triplets ordered right"), ("pairs", "roc_auc", "ROC-AUC")],
)
def test_the_command_line_on_files(files, tmp_path, own_cache, tripletnet, kind, measure, meaning):
    file, out = files / f"{kind}.csv", tmp_path / "run"
    options = ("train", f"--{kind}", file, "--out", out, *SMALL, "--validation-file", file)
    status, said, notices = tripletnet(*options)
    assert status == 0, notices
    assert "learnt from and validated on: 8 of 8" in notices
    written = {path.name for path in out.iterdir()}
    assert written >= {"run.json", "encoder.params", "validation.csv"}
    if "threshold.json" in written:
        assert "count as the same up to a squared distance" in said
    else:  # eight pictures seldom give one
        assert "no threshold was chosen: no distance gives a false pos" in said
    assert measure in (out / "validation.csv").read_text()

    status, said, notices = tripletnet("evaluate", out, f"--{kind}", file, "--json")
    assert status == 0, notices
    told = json.loads(said)
    assert told["measure"] == measure and told["pictures"] == 8
    assert meaning in told["meaning"] and 0 <= told["value"] <= 1
    best = max(float(row[measure]) for row in csv.DictReader((out / "validation.csv").open()))
    assert told["value"] == pytest.approx(best, abs=1e-5)
    status, _, said = tripletnet("evaluate", out, f"--{kind}", file, "--recall-target", 0.9)
    assert status == 2 and "do not go with --triplets" in said
    status, _, said = tripletnet("evaluate", out, "--out", tmp_path / "report")
    assert status == 2 and f"--{kind} FILE" in said


def test_the_command_line_on_pictures_without_labels(photos, tmp_path, own_cache, tripletnet):
    out = tmp_path / "run"
    options = ("train", photos, "--positives", "augment", "--out", out, *SMALL)
    status, _, notices = tripletnet(*options, "--validation", 0.3)
    assert status == 0, notices
    assert "copies of others, of which each counts once: 1" in notices
    assert "originals_first" in (out / "validation.csv").read_text()
    assert set(json.loads((out / "split.json").read_text())["images"].values()) == {
        "train", "validation",
    }  # fmt: skip
    assert tripletnet(*options, "--validation", 0.3, "--resume")[0] == 0
    status, _, said = tripletnet(*options, "--validation", 0.4, "--resume")
    assert status == 2 and "the run was started with validation 0.3, not 0.4" in said
    index, one, other = tmp_path / "index", photos / "a/1.png", photos / "a/2.png"
    for command in (
        ("index", out, photos, "--out", index),
        ("search", index, one, "--max-distance", "inf", "--json"),
        ("compare", out, one, other),
    ):
        status, _, said = tripletnet(*command)
        assert status == 0, said
