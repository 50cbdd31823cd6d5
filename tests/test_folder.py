"""Any folder of images: what is kept, what is left out, and what is said."""

from __future__ import annotations

import io
import json
import os
import struct
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tripletnet.data.folder import FolderData, load_folder
from tripletnet.data.images import ImageSet
from tripletnet.data.scan import LeftOut, describe_left_out, scan_folder
from tripletnet.data.split import split_from_json, split_to_json
from tripletnet.errors import InputError
from tripletnet.run_files import CALIBRATION, DESCRIPTION

Load = Callable[..., FolderData]


def picture(seed: int, kind: str = "PNG", **options: object) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC)
    mode = options.pop("mode", None)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def fill(root: Path, counts: dict[str, int], start: int = 0) -> None:
    """Make a folder with so many different pictures for each class."""
    for name, count in counts.items():
        for number in range(count):
            write(root / name / f"{number:03}.png", picture(start))
            start += 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def load(root: Path, tmp_path: Path) -> Load:
    def load_root(**options: object) -> FolderData:
        return load_folder(root, size=16, cache=tmp_path / "cache", **options)

    return load_root


def sets(data: FolderData) -> dict[str, ImageSet]:
    named = {
        "train": data.splits.train,
        "validation": data.splits.validation,
        "test": data.splits.test,
        "held_out": data.held_out,
        "unseen": data.unseen,
    }
    return {name: images for name, images in named.items() if images is not None}


def where(data: FolderData) -> dict[str, str]:
    """Return the part of each path."""
    return {path: name for name, images in sets(data).items() for path in images.paths}


def with_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture(100 + orientation, "JPEG", exif=exif.tobytes())


def forged() -> bytes:
    data = bytearray(picture(0))
    struct.pack_into(">II", data, 16, 60000, 60000)
    struct.pack_into(">I", data, 29, zlib.crc32(bytes(data[12:29])))
    return bytes(data)


GOOD = {
    "a.jpg": picture(1, "JPEG"),
    "b.JPEG": picture(2, "JPEG", progressive=True),
    "c.Png": picture(3),
    "deep/er/d.webp": picture(4, "WEBP"),
    "deep/e.bmp": picture(5, "BMP"),
    "f.TIF": picture(6, "TIFF"),
    "g.gif": picture(7, "GIF"),
    "grey.png": picture(8, mode="L"),
    "palette.png": picture(9, mode="P"),
    "alpha.png": picture(10, mode="RGBA"),
    "cmyk.jpg": picture(11, "JPEG", mode="CMYK"),
    "sixteen bits.png": picture(12, mode="I;16"),
    "a jpeg called.png": picture(13, "JPEG"),
    "Ålesund, 夏 🌞.jpg": picture(14, "JPEG"),
    **{f"orientation {number}.jpg": with_exif(number) for number in range(1, 9)},
}
BAD = {
    "truncated.jpg": (picture(20, "JPEG")[:900], "truncated JPEG"),
    "truncated.png": (picture(21)[:900], "truncated PNG"),
    "empty.jpg": (b"", "empty file"),
    "text.jpg": (b"no image", "not a JPEG, PNG, WebP, BMP, TIFF or GIF image"),
    "huge.png": (forged(), "too many pixels (60000 x 60000, the limit is 178,956,970)"),
    "notes.txt": (b"notes", "not an image by its ending (.txt)"),
    "README": (b"readme", "not an image by its ending (none)"),
}


def test_folder_with_every_kind_of_file(root: Path, load: Load) -> None:
    fill(root, {"dogs": 12, "one": 1}, start=200)
    for name, data in GOOD.items():
        write(root / "cats" / name, data)
    for name, (data, _) in BAD.items():
        write(root / "cats" / name, data)
    (root / "cats/dangling.jpg").symlink_to("nowhere.jpg")
    (root / "cats/itself.jpg").symlink_to("itself.jpg")
    (root / "cats/round").symlink_to("..")
    (root / "cats/deep/back").symlink_to("../../dogs")
    (root / "cats/folder.jpg").mkdir()
    write(root / "cats/folder.jpg/inside.png", picture(15))
    os.mkfifo(root / "cats/pipe.jpg")
    write(root / "cats/.hidden.jpg", b"")
    write(root / "cats/.hidden/a.jpg", b"")
    write(root / "stray.png", picture(16))
    (root / "nothing").mkdir()

    data = load()
    kept = where(data)
    assert {path for path in kept if path.startswith("cats/")} == {
        *(f"cats/{name}" for name in GOOD),
        "cats/folder.jpg/inside.png",
    }
    assert sum(path.startswith("dogs/") for path in kept) == 12
    assert {item.path: item.reason for item in data.left_out} == {
        **{f"cats/{name}": expected for name, (_, expected) in BAD.items()},
        "cats/dangling.jpg": "a link that leads nowhere",
        "cats/itself.jpg": "cannot be read (Too many levels of symbolic links)",
        "cats/round": "a link to a folder that is read elsewhere",
        "cats/deep/back": "a link to a folder that is read elsewhere",
        "cats/pipe.jpg": "not a regular file",
        "stray.png": "lies in no folder of a class",
        "nothing": "a folder without images",
    }
    assert data.splits.train.classes == ["cats", "dogs", "one"]
    assert data.lonely == ["one"]
    notices = "\n".join(data.notices())
    assert "left out, a link to a folder that is read elsewhere: 2 (cats/" in notices
    assert "left out, truncated JPEG: 1 (cats/truncated.jpg)" in notices
    assert "which serves as a different one only: 1 (one)" in notices
    assert data.splits.name == "data"
    for images in sets(data).values():
        assert images.take(np.arange(len(images))).shape == (len(images), 16, 16, 3)

    again = load()
    assert where(again) == kept
    assert again.left_out == data.left_out


@pytest.mark.parametrize("name", ["truncated.jpg", "empty.jpg", "text.jpg", "huge.png"])
def test_strict_makes_a_bad_file_an_error(root: Path, load: Load, name: str) -> None:
    fill(root, {"a": 3, "b": 3})
    write(root / "a/notes.txt", b"notes")
    assert len(load(strict=True).splits.train) == 6
    write(root / "b" / name, BAD[name][0])
    with pytest.raises(InputError) as caught:
        load(strict=True)
    assert str(caught.value) == f"{root / 'b' / name}: {BAD[name][1]}"


def test_strict_before_anything_is_decoded(root: Path, load: Load) -> None:
    fill(root, {"a": 3, "b": 3})
    (root / "b/dangling.jpg").symlink_to("nowhere.jpg")

    def fail(done: int, total: int) -> None:
        raise AssertionError("decoded")

    with pytest.raises(InputError, match=r"dangling\.jpg: a link that leads nowhere"):
        load(strict=True, progress=fail)


def test_pixels_labels_and_paths_belong_together(root: Path, load: Load) -> None:
    for number, name in enumerate(["red", "green", "blue"]):
        for shade in range(20):
            colour = [shade] * 3
            colour[number] = 255 - shade
            file = io.BytesIO()
            Image.new("RGB", (20, 20), tuple(colour)).save(file, "PNG")
            write(root / name / f"{shade}.png", file.getvalue())
    data = load()
    assert data.splits.train.classes == ["blue", "green", "red"]
    for images in sets(data).values():
        pixels = images.take(np.arange(len(images)))[:, 8, 8]
        assert (pixels.argmax(axis=1) == 2 - images.labels).all()
        for path, label, pixel in zip(images.paths, images.labels, pixels):
            assert path == f"{images.classes[label]}/{pixel.min()}.png"


def test_classes_in_natural_order(root: Path) -> None:
    fill(root, {"class 10": 1, "class 9": 1, "Class 1": 1, "b": 1})
    assert scan_folder(root).classes == ["b", "Class 1", "class 9", "class 10"]


def test_split_is_stratified_seeded_and_stored(root: Path, load: Load) -> None:
    fill(root, {"a": 20, "b": 40})
    data = load(validation=0.2, test=0.1, seed=3)
    parts = where(data)
    for name, count in (("a", 20), ("b", 40)):
        found = Counter(part for path, part in parts.items() if path.startswith(f"{name}/"))
        assert found == {"train": 0.7 * count, "validation": 0.2 * count, "test": 0.1 * count}
    assert where(load(validation=0.2, test=0.1, seed=3)) == parts
    assert where(load(validation=0.2, test=0.1, seed=4)) != parts
    stored = split_from_json(json.loads(json.dumps(split_to_json(data.split))))
    assert where(load(split=stored, seed=5)) == parts
    assert load(split=stored).unseen is None


def test_stored_split_knows_content_and_names_what_is_new(root: Path, load: Load) -> None:
    fill(root, {"a": 20, "b": 20, "c": 20})
    before = load(hold_out_classes=["b"])
    parts = where(before)
    (root / "a/000.png").rename(root / "a/renamed.png")
    write(root / "a/new.png", picture(500))
    write(root / "b/new.png", picture(501))
    after = load(split=before.split)
    expected = {path.replace("a/000", "a/renamed"): part for path, part in parts.items()}
    # what is new in a class that was held out was not learnt from either
    assert where(after) == {**expected, "a/new.png": "unseen", "b/new.png": "held_out"}
    assert after.unseen.classes == after.splits.train.classes == ["a", "c"]
    assert "images that the given split does not know: 1" in after.notices()
    assert before.split.items() <= after.split.items()


def test_copies_stay_together(root: Path, load: Load) -> None:
    fill(root, {"a": 20, "b": 20})
    for number in range(20):
        write(root / f"a/more/copy {number}.png", picture(number))
    data = load(test=0.3)
    parts = where(data)
    for number in range(20):
        assert parts[f"a/{number:03}.png"] == parts[f"a/more/copy {number}.png"]
    assert data.copies == 20
    assert "images that are copies of others in the same part: 20" in data.notices()
    assert len(data.split) == 40


def test_copies_in_several_classes_are_left_out(root: Path, load: Load) -> None:
    fill(root, {"a": 5, "b": 5})
    write(root / "b/copy.png", picture(0))
    data = load()
    reason = "the same image lies in several classes: a, b"
    assert data.left_out == [LeftOut("a/000.png", reason), LeftOut("b/copy.png", reason)]
    assert len(where(data)) == 9
    with pytest.raises(InputError, match="the same image lies in several classes"):
        load(strict=True)


def test_given_splits(root: Path, load: Load) -> None:
    fill(root, {"train/a": 6, "train/b": 6, "Test/a": 3, "Test/b": 2, "val/a": 1, "val/b": 2})
    write(root / "train/loose.png", picture(300))
    write(root / "extra/a/0.png", picture(301))
    data = load(validation=0.5, test=0.5)
    assert Counter(where(data).values()) == {"train": 12, "test": 5, "validation": 3}
    assert all(
        path.lower().startswith(part[:3]) for path, part in where(data).items() if part != "train"
    )
    assert data.splits.train.classes == ["a", "b"]
    assert data.left_out == [
        LeftOut("extra", "lies beside the folders of the splits"),
        LeftOut("train/loose.png", "lies in no folder of a class"),
    ]


def test_a_part_that_is_not_given_is_cut_from_train(root: Path, load: Load) -> None:
    fill(root, {"train/a": 20, "train/b": 20, "test/a": 3, "test/b": 3})
    data = load(validation=0.1, test=0.1)
    assert Counter(where(data).values()) == {"train": 36, "validation": 4, "test": 6}
    assert load(validation=0).splits.validation is None


def test_copies_across_given_splits_are_left_out_of_the_laxer(root: Path, load: Load) -> None:
    fill(root, {"train/a": 6, "train/b": 6})
    for path in ("test/a/0.png", "validation/a/0.png", "test/a/again.png"):
        write(root / path, picture(0))
    write(root / "validation/b/6.png", picture(6))
    data = load()
    assert {item.path: item.reason for item in data.left_out} == {
        "train/a/000.png": "a copy of an image in test",
        "validation/a/0.png": "a copy of an image in test",
        "train/b/000.png": "a copy of an image in validation",
    }
    assert sorted(data.splits.test.paths) == ["test/a/0.png", "test/a/again.png"]


def test_stored_split_leaves_out_the_same_copies(root: Path, load: Load) -> None:
    fill(root, {"train/a": 6, "train/b": 6, "test/a": 3, "validation/a": 3})
    write(root / "test/a/again.png", picture(0))
    write(root / "validation/b/again.png", picture(6))
    before = load()
    after = load(split=before.split)
    assert where(after) == where(before)
    assert after.left_out == before.left_out and len(after.left_out) == 2
    # copies that the split does not know: one of them is unseen
    for part in ("train", "test"):
        write(root / part / "a/new.png", picture(100))
    assert where(load(split=before.split)) == {**where(before), "test/a/new.png": "unseen"}


def test_pictures_that_were_put_into_other_classes_since(root: Path, load: Load) -> None:
    fill(root, {"a": 10, "b": 10, "c": 10})
    before = load(hold_out_classes=["b"])
    (root / "b/000.png").rename(root / "a/was b.png")
    learnt = before.splits.train.paths[0]
    assert learnt.startswith("a/")
    (root / learnt).rename(root / "b/was a.png")
    after = load(split=before.split)
    expected = {
        path: part for path, part in where(before).items() if path not in ("b/000.png", learnt)
    }
    # the encoder has not seen the one, and has learnt the other
    assert where(after) == {**expected, "a/was b.png": "unseen"}
    moved = LeftOut("b/was a.png", "lies in a class held out, and was learnt in another")
    assert moved in after.left_out and after.held_out.classes == ["b"]


def test_held_out_classes_are_some_that_would_be_learnt(root: Path, load: Load) -> None:
    fill(root / "train", {"a": 5, "b": 5, "c": 5})
    fill(root / "test", {"a": 2, "b": 2, "c": 2, "z": 2}, start=20)
    for seed in range(6):
        held = load(hold_out_classes=1, seed=seed).held_out.classes
        assert len(held) == 1 and held != ["z"]
    with pytest.raises(InputError, match="leaves fewer than two to learn from"):
        load(hold_out_classes=["a", "b"])


@pytest.mark.parametrize("names", [("training", "valid", "testing"), ("train", "dev", "test")])
def test_other_names_of_splits(root: Path, load: Load, names: tuple[str, ...]) -> None:
    for place, name in enumerate(names):
        fill(root / name, {"a": 3, "b": 3}, start=10 * place)
    data = load()
    assert data.splits.train.classes == ["a", "b"]
    assert {part: len(images) for part, images in sets(data).items()} == {
        "train": 6, "validation": 6, "test": 6,
    }  # fmt: skip


def test_one_name_in_two_spellings_of_unicode_is_one_class(root: Path, load: Load) -> None:
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    fill(root, {composed: 4, "b": 4, "c": 4})
    fill(root, {decomposed: 4}, start=30)
    assert load().splits.train.classes == ["b", "c", composed]
    for name in (composed, decomposed):
        assert load(hold_out_classes=[name]).held_out.classes == [composed]
        assert len(load(hold_out_classes=[name]).held_out) == 8


def test_a_run_folder_among_the_images_is_no_class(root: Path, load: Load) -> None:
    fill(root, {"a": 4, "b": 4})
    run = root / "runs/one"
    write(run / "neighbours/000000100.png", picture(50))
    for name in (DESCRIPTION, CALIBRATION):
        write(run / name, b"")
    data = load()
    assert data.splits.train.classes == ["a", "b"]
    assert LeftOut("runs/one", "a run folder, whose pictures are not yours") in data.left_out


MADE_UP = [picture(number) for number in range(12)]


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from("abc")), min_size=8, max_size=30),
    st.sampled_from([[""], ["train", "test"], ["train", "val"], ["train", "validation", "test"]]),
    st.integers(0, 1),
    st.randoms(use_true_random=False),
)
def test_stored_split_repeats_the_load(
    images: list[tuple[int, str]], parts: list[str], held: int, random: Random
) -> None:
    with TemporaryDirectory() as folder:
        root, cache = Path(folder, "data"), Path(folder, "cache")
        for number, (content, name) in enumerate(images):
            write(root / random.choice(parts) / name / f"{number}.png", MADE_UP[content])
        options = {"size": 8, "cache": cache}
        try:
            before = load_folder(root, hold_out_classes=held, validation=0.2, test=0.2, **options)
        except InputError:  # too few to learn from
            return
        after = load_folder(root, split=before.split, **options)
        assert {part: images.paths for part, images in sets(after).items()} == {
            part: images.paths for part, images in sets(before).items()
        }
        assert (after.left_out, after.split) == (before.left_out, before.split)
        assert after.notices() == before.notices()


def test_train_alone_is_a_class_like_any_other(root: Path) -> None:
    fill(root, {"train": 2, "plane": 2})
    assert scan_folder(root).classes == ["plane", "train"]
    fill(root, {"test": 1})
    assert scan_folder(root).splits is not None


def test_class_absent_from_train_is_named(root: Path, load: Load) -> None:
    fill(root, {"train/a": 6, "train/b": 6, "test/a": 3, "test/c": 2})
    data = load(validation=0)
    assert data.splits.train.classes == ["a", "b", "c"]
    assert data.lonely == []
    assert data.notices() == [
        "classes without an image to learn from: 1 (c)",
        "no images for validation",
        "classes without an image for test: 1 (b)",
    ]


def test_parts_that_small_classes_leave_empty_are_named(root: Path, load: Load) -> None:
    fill(root, {"a": 20, "b": 6, "c": 4})
    assert load().notices() == [
        "classes without an image for validation: 1 (c)",
        "classes without an image for test: 1 (c)",
    ]
    assert load(validation=0.05, test=0).notices() == [
        "classes without an image for validation: 2 (b, c)",
        "no images for test",
        "no class has two images for validation, so nothing tells which weights are best and the "
        "last ones are taken: add images, or give validation a larger share",
    ]
    # somebody else's images: nothing of them was to be learnt from
    assert load(split={}).notices() == ["images that the given split does not know: 30"]


def test_hold_out_classes_by_name(root: Path, load: Load) -> None:
    fill(root, {"a": 10, "b": 10, "c": 10, "d": 10})
    data = load(hold_out_classes=["d", "b"])
    assert data.splits.train.classes == ["a", "c"]
    assert data.held_out.classes == ["b", "d"]
    assert len(data.held_out) == 20
    assert {path[0] for path in data.held_out.paths} == {"b", "d"}
    assert [path[0] for path in data.held_out.paths] == [
        data.held_out.classes[label] for label in data.held_out.labels
    ]
    assert Counter(data.split.values())["held_out"] == 20
    with pytest.raises(InputError, match="hold-out class 'e' is not in the folder: use some of a"):
        load(hold_out_classes=["e"])
    with pytest.raises(InputError, match="holding 3 classes out leaves fewer than two"):
        load(hold_out_classes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hold_out_classes": ["e"]}, "hold-out class 'e' is not in the folder"),
        ({"hold_out_classes": 4}, "hold-out of 4 classes: 2 classes to learn from have two images"),
        ({"validation": 0.5, "test": 0.5}, "must be fractions whose sum is below 1"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_decoded(
    root: Path, load: Load, options: dict[str, object], said: str
) -> None:
    fill(root, {"a": 3, "b": 3})
    with pytest.raises(InputError, match=said):
        load(**options, progress=lambda done, of: pytest.fail("an image was decoded"))


def test_hold_out_classes_by_number(root: Path, load: Load) -> None:
    fill(root, {"a": 10, "b": 10, "c": 10, "d": 10, "one": 1})
    held = {tuple(load(hold_out_classes=2, seed=seed).held_out.classes) for seed in range(8)}
    assert len(held) > 1
    assert all(len(set(names)) == 2 and "one" not in names for names in held)
    assert load(hold_out_classes=0).held_out is None
    with pytest.raises(InputError, match="hold-out of 5 classes: 4 classes to learn from have"):
        load(hold_out_classes=5)


def test_folder_that_is_none(load: Load, root: Path) -> None:
    root.rmdir()
    with pytest.raises(InputError, match="cannot be read as a folder"):
        load()


def test_no_classes(load: Load, root: Path) -> None:
    with pytest.raises(InputError, match="no class of images to learn from, but it takes two"):
        load()
    write(root / "a.png", picture(0))
    with pytest.raises(InputError, match=r"into a folder of its own; left out, lies in no"):
        load()


def test_one_class(load: Load, root: Path) -> None:
    fill(root, {"a": 3})
    with pytest.raises(InputError, match=r"one class \('a'\) of images"):
        load()
    write(root / "b/empty.png", b"")
    with pytest.raises(InputError, match=r"one class \('a'\) of images.*; left out, empty file: 1"):
        load()


def test_class_without_a_usable_image_is_named(load: Load, root: Path) -> None:
    fill(root, {"a": 3, "b": 3})
    write(root / "c/empty.png", b"")
    data = load()
    assert data.splits.train.classes == ["a", "b"]
    assert data.left_out == [
        LeftOut("c/empty.png", "empty file"),
        LeftOut("c", "a class without a usable image"),
    ]


def test_no_class_with_two_images(load: Load, root: Path) -> None:
    fill(root, {"a": 1, "b": 1})
    with pytest.raises(InputError, match="no class has two images to learn from"):
        load()


def test_size_that_is_none(load: Load, root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="size 0 x 0: must be 1 pixel or more"):
        load_folder(root, size=0, cache=tmp_path)


def test_names_that_are_not_unicode_are_left_out(root: Path) -> None:
    fill(root, {"a": 1})
    with open(os.fsencode(root) + b"/a/\xff.png", "wb") as file:  # noqa: PTH123
        file.write(picture(1))
    listing = scan_folder(root)
    assert listing.files == ["a/000.png"]
    assert listing.left_out == [LeftOut("a/\ufffd.png", "its name is not valid UTF-8: rename it")]


def test_a_folder_whose_own_name_is_not_unicode_is_refused(tmp_path: Path) -> None:
    root = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")
    with pytest.raises(InputError, match="its name is not valid UTF-8: rename it"):
        load_folder(root)


def test_links_to_images_are_followed(root: Path, tmp_path: Path, load: Load) -> None:
    fill(tmp_path / "elsewhere", {"x": 4, "y": 4})
    (root / "x").symlink_to(tmp_path / "elsewhere/x")
    (root / "y").mkdir()
    for path in (tmp_path / "elsewhere/y").iterdir():
        (root / "y" / path.name).symlink_to(path)
    assert len(where(load())) == 8


def test_describe_left_out() -> None:
    left_out = [LeftOut("a", "empty file"), LeftOut("b", "odd"), LeftOut("c", "empty file")]
    assert describe_left_out(left_out) == [
        "left out, empty file: 2 (a and others)",
        "left out, odd: 1 (b)",
    ]


def test_sign_digits(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "sign-digits"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}: photos of hand signs, one folder a digit")
    data = load_folder(folder, size=32, cache=tmp_path)
    assert data.splits.train.classes == list("0123456789")
    assert len(where(data)) == 2062
    assert not data.left_out
