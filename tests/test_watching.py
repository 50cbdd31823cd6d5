"""What a person sees of a run while it trains: TensorBoard and the grids of neighbours."""

from __future__ import annotations

import csv
import io
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tripletnet.command import CommandParser, add_tensorboard, tensorboard_folder
from tripletnet.data.images import ImageSet
from tripletnet.data.view_set import ViewSet
from tripletnet.errors import InputError
from tripletnet.plots import neighbour_mosaic
from tripletnet.plots.retrieval import NEUTRAL, RIGHT, WRONG
from tripletnet.training import TrainingConfig, train_run
from tripletnet.training.neighbour_grids import NeighbourGrids

#: Twelve steps of 24 images.
CONFIG = TrainingConfig(images=288, code_size=8, batch_size=24, shift=2, learning_rate=0.01)


def events(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], list[tuple[int, np.ndarray]]]:
    """Read the one event file of a folder: scalars by tag, and pictures."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.glob("events.out.tfevents.*.tripletnet")
    content = path.read_bytes()
    scalars: dict[str, list[tuple[int, float]]] = {}
    pictures = []
    place = 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        event = Event.FromString(content[place + 12 : place + 12 + length])
        place += 16 + length
        for value in event.summary.value:
            if value.HasField("image"):
                assert value.tag == "neighbours"
                picture = Image.open(io.BytesIO(value.image.encoded_image_string))
                pictures.append((event.step, np.asarray(picture)))
            else:
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars, pictures


def table(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def check_events(run: Path, folder: Path, groups=("training",)) -> None:
    """The event file holds what the run's tables and pictures hold, each point once."""
    scalars, pictures = events(folder)
    tags = set()
    for group in groups:
        rows = table(run / {"training": "history.csv", "validation": "validation.csv"}[group])
        for name in rows[0].keys() - {"images"}:
            tag = f"{group}/{name}"
            tags.add(tag)
            assert [step for step, _ in scalars[tag]] == [int(row["images"]) for row in rows]
            values = [value for _, value in scalars[tag]]
            assert values == pytest.approx([row[name] for row in rows], rel=1e-5)
    assert set(scalars) == tags
    drawn = sorted((run / "neighbours").iterdir())
    assert [step for step, _ in pictures] == [int(path.stem) for path in drawn]
    for (_, picture), path in zip(pictures, drawn):
        np.testing.assert_array_equal(picture, np.asarray(Image.open(path)))


@pytest.mark.parametrize("loss", ["triplet", "supcon", "margin"])
def test_tensorboard_shows_what_the_run_keeps(striped_images, tmp_path, loss):
    learnt, held = (striped_images.subset(np.arange(i, 60, 2)) for i in (0, 1))
    config = CONFIG.replace(loss=loss)
    train_run(learnt, config, tmp_path / "run", validation=held, tensorboard=tmp_path / "board")
    check_events(tmp_path / "run", tmp_path / "board", ("training", "validation"))
    scalars, pictures = events(tmp_path / "board")
    assert {"training/active_triplets", "training/norm", "training/learning_rate"} < set(scalars)
    # one for each pass over thirty images
    assert len(pictures) == 9 and pictures[-1][0] == 288


@pytest.mark.parametrize("way", ["killed", "interrupted"])
def test_going_on_doubles_no_point_and_loses_none(striped_images, tmp_path, monkeypatch, way):
    config = CONFIG.replace(images=480)
    run, board = tmp_path / "run", tmp_path / "board"
    board.mkdir()
    foreign = board / "events.out.tfevents.1.other"
    foreign.write_text("mine")
    whole = tmp_path / "whole"
    train_run(striped_images, config, whole, tensorboard=tmp_path / "whole-board")

    with pytest.MonkeyPatch.context() as patch:
        kill = {"killed": ConnectionError, "interrupted": KeyboardInterrupt}[way]
        draw = NeighbourGrids.on_weights

        def draw_and_stop(self, trainer):
            draw(self, trainer)
            if trainer.step == 13:
                if way == "killed":
                    raise ConnectionError
                os.kill(os.getpid(), signal.SIGINT)

        patch.setattr(NeighbourGrids, "on_weights", draw_and_stop)
        with pytest.raises(kill):
            # the state is saved after each step, but not after that one where it is killed
            train_run(striped_images, config, run, tensorboard=board, checkpoint_minutes=0.0)
    assert events(board)[1]
    train_run(striped_images, config, run, tensorboard=board, resume=True)
    check_events(run, board)
    for name in ("encoder.params", "history.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    drawn = {path.name: path.read_bytes() for path in (run / "neighbours").iterdir()}
    assert drawn == {path.name: path.read_bytes() for path in (whole / "neighbours").iterdir()}
    assert foreign.read_text() == "mine"


def test_a_run_that_goes_on_can_begin_to_be_shown(striped_images, tmp_path):
    train_run(striped_images, CONFIG, tmp_path / "run")
    longer = CONFIG.replace(images=360)
    board = tmp_path / "run/tensorboard"
    train_run(striped_images, longer, tmp_path / "run", resume=True, tensorboard=board)
    check_events(tmp_path / "run", board)


def test_a_run_leaves_the_event_file_of_another_run_alone(striped_images, tmp_path):
    for name in ("first", "second"):
        train_run(striped_images, CONFIG, tmp_path / name, tensorboard=tmp_path / "board")
        if name == "first":
            (first,) = (tmp_path / "board").iterdir()
            content = first.read_bytes()
    longer = CONFIG.replace(images=360)
    again = {"resume": True, "tensorboard": tmp_path / "board"}
    train_run(striped_images, longer, tmp_path / "second", **again)
    assert first.read_bytes() == content
    (second,) = set((tmp_path / "board").iterdir()) - {first}
    second.rename(tmp_path / second.name)
    check_events(tmp_path / "first", tmp_path / "board")


def test_without_the_extra_nothing_begins(striped_images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(InputError, match=r"pip install 'tripletnet\[tensorboard\]'"):
        train_run(striped_images, CONFIG, tmp_path / "run", tensorboard=tmp_path / "board")
    assert list(tmp_path.iterdir()) == []


def command(*options: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "tripletnet", "train", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_option_without_the_extra_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "packages/tensorboardX").mkdir(parents=True)
    broken = "raise ModuleNotFoundError('no', name='tensorboardX')"
    (tmp_path / "packages/tensorboardX/__init__.py").write_text(broken)
    path = os.pathsep.join([str(tmp_path / "packages"), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    done = command("digits", "--out", tmp_path / "run", "--tensorboard")
    assert done.returncode == 2
    assert done.stderr == (
        "tripletnet: error: --tensorboard needs the package tensorboardX, which is not installed: "
        "pip install 'tripletnet[tensorboard]'\n"
    )
    assert not (tmp_path / "run").exists()


def test_the_option_writes_under_the_name_of_the_run_or_into_it(tmp_path, tripletnet):
    options = ["train", "digits", "--out", tmp_path / "run", "--images", 400, "--code-size", 16]
    assert tripletnet(*options, "--tensorboard", tmp_path / "boards")[0] == 0
    check_events(tmp_path / "run", tmp_path / "boards/run")

    options[3] = tmp_path / "elsewhere/run"
    status, _, said = tripletnet(*options, "--tensorboard", tmp_path / "boards")
    assert status == 2 and said.count("\n") == 1
    assert f"is of another run than {options[3]}, of the same name: give" in said
    assert not options[3].exists()
    check_events(tmp_path / "run", tmp_path / "boards/run")

    # moved together, they are still of each other
    moved = (tmp_path / "moved").resolve()
    moved.mkdir()
    for name in ("run", "boards"):
        (tmp_path / name).rename(moved / name)
    options[3], options[5] = moved / "run", 800
    assert tripletnet(*options, "--resume", "--tensorboard", moved / "boards")[0] == 0
    check_events(moved / "run", moved / "boards/run")

    parser = CommandParser()
    add_tensorboard(parser)
    given = parser.parse_args(["--tensorboard"]).tensorboard
    assert tensorboard_folder(given, tmp_path) == tmp_path / "tensorboard"
    assert tensorboard_folder(parser.parse_args([]).tensorboard, tmp_path) is None


# --- the grids


def test_a_mosaic_frames_right_and_wrong_neighbours():
    queries, neighbours = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 2, 8, 8, 3), np.uint8)
    right = np.array([[True, True], [True, False]])

    def colours(picture):
        return {f"#{bytes(c).hex()}" for c in np.unique(picture.reshape(-1, 3), axis=0)}

    known = neighbour_mosaic(queries, neighbours, right, "noise")
    assert known.dtype == np.uint8 and known.ndim == 3
    assert {RIGHT, WRONG, NEUTRAL} <= colours(known)
    assert WRONG not in colours(neighbour_mosaic(queries, neighbours, right | True, "noise"))
    unknown = colours(neighbour_mosaic(queries, neighbours, None, "noise"))
    assert NEUTRAL in unknown and not {RIGHT, WRONG} & unknown
    assert neighbour_mosaic(queries, neighbours, None, "a very long name " * 9).shape == known.shape


@pytest.mark.parametrize("number", [1, 2])
def test_few_validation_images_make_small_grids_or_none(striped_images, tmp_path, number):
    held = striped_images.subset(np.arange(number))
    train_run(striped_images, CONFIG.replace(images=24), tmp_path, validation=held)
    assert (tmp_path / "neighbours").exists() == (number > 1)


def test_images_without_classes_have_neutral_frames(tmp_path):
    pixels = np.zeros((6, 12, 12, 3), np.uint8)
    views = ViewSet(ImageSet("x", pixels, np.zeros(6, np.int64), ()))
    grids = NeighbourGrids(views, "images", tmp_path, 1)

    class Still:
        step, steps, images_seen, batch_size = 1, 1, 6, 6

        def codes_of(self, images):
            return images.pixels.astype(np.float32).reshape(len(images), -1)

    grids.on_start(Still())
    assert grids.wants_weights(Still())
    grids.on_weights(Still())
    ((images, path),) = grids.drawn
    assert images == 6 and path == tmp_path / "000000006.png"
    found = np.asarray(Image.open(path)).reshape(-1, 3)
    assert WRONG not in {f"#{bytes(c).hex()}" for c in np.unique(found, axis=0)}
