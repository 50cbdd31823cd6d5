"""Pictures become codes: from arrays, files and folders, in one go or taken up again."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tripletnet.codes.file import read_codes
from tripletnet.data.decode import decode_image
from tripletnet.data.pictures import list_pictures
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.retrieval import encoder as encoder_module
from tripletnet.retrieval.encoder import Encoder

pytestmark = pytest.mark.usefixtures("own_cache")


def test_listing_one_folder(photos):
    (photos / "b/notes.txt").write_text("no picture")
    listing = list_pictures([photos])
    assert listing.root == photos and listing.whole
    assert listing.files[0] == "loose.png" and len(listing.files) == 11
    assert listing.labels == ["", *"aaaaabbbbb"]
    assert [item.path for item in listing.left_out] == ["b/notes.txt"]
    assert listing.stamps[0, 0] == (photos / "loose.png").stat().st_size


def test_listing_several_paths(photos):
    (photos / "unusual.dat").write_bytes((photos / "loose.png").read_bytes())
    b = photos / "b"
    listing = list_pictures([b, photos / "a/1.png", photos / "unusual.dat", b])
    assert listing.root == photos and not listing.whole
    assert listing.files == [*(f"b/{i}.png" for i in range(5)), "a/1.png", "unusual.dat"]


def test_the_folders_of_splits_are_no_classes(photos):
    (photos / "a").rename(photos / "train")
    (photos / "b").rename(photos / "test")
    (photos / "train/cat").mkdir()
    (photos / "train/0.png").rename(photos / "train/cat/0.png")
    listing = list_pictures([photos])
    assert dict(zip(listing.files, listing.labels))["train/cat/0.png"] == "cat"
    assert set(listing.labels) == {"", "cat"}


def test_listing_nothing(tmp_path):
    with pytest.raises(InputError, match="missing: no such file or folder"):
        list_pictures([tmp_path / "missing"])
    with pytest.raises(InputError, match="no pictures there"):
        list_pictures([tmp_path])
    with pytest.raises(InputError, match="no path: no pictures there"):
        list_pictures([])
    (tmp_path / "image.heic").write_bytes(b"")
    with pytest.raises(InputError, match=r"no pictures there \(left out, .*image\.heic\)"):
        list_pictures([tmp_path])


def test_arrays_files_and_folders_give_the_same_codes(small_run, photos):
    encoder = Encoder.load(small_run)
    files = [photos / "a/1.png", photos / "b/2.png"]
    codes = encoder.encode(files)
    assert codes.shape == (2, 16) and codes.dtype == np.float32
    assert np.allclose(np.linalg.norm(codes, axis=1), 1, atol=1e-5)
    whole = np.stack([decode_image(file) for file in files])
    assert np.allclose(encoder.encode(whole), codes, atol=1e-6)
    assert np.allclose(encoder.encode(whole[1]), codes[1:], atol=1e-6)
    encoded, left_out = encoder.encode_files(photos)  # one path, or several
    assert not left_out
    rows = [encoded.paths.index(name) for name in ("a/1.png", "b/2.png")]
    assert np.allclose(encoded.codes[rows], codes, atol=1e-6)


def test_what_is_known_of_the_files(small_run, photos):
    encoder = Encoder.load(small_run)
    encoded, _ = encoder.encode_files([photos])
    assert encoded.root == str(photos) and encoded.run == str(small_run)
    assert encoded.fingerprint == encoder.fingerprint
    assert encoded.labels.tolist() == ["", *"aaaaabbbbb"]
    assert (encoded.sizes == [24, 20]).all()
    first, copy = (encoded.paths.index(name) for name in ("a/0.png", "b/4.png"))
    assert encoded.digests[first] == encoded.digests[copy]
    assert len(set(encoded.digests)) == 10
    assert "16 x 16" in repr(encoder) and encoder.threshold == 0.05


def test_bad_input(small_run, photos):
    encoder = Encoder.load(small_run)
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff and then nothing")
    encoded, left_out = encoder.encode_files([photos])
    assert len(encoded) == 11 and [item.path for item in left_out] == ["bad.jpg"]
    with pytest.raises(InputError, match=r"bad\.jpg: .*JPEG"):
        encoder.encode([photos / "loose.png", photos / "bad.jpg"])
    with pytest.raises(InputError, match=r"none of 1 pictures can be used; the first is bad\.jpg"):
        encoder.encode_files([photos / "bad.jpg"])
    with pytest.raises(InputError, match=r"expected uint8 of shape \(N, H, W, 3\), got float64"):
        encoder.encode(np.zeros((2, 16, 16, 3)))
    with pytest.raises(InputError, match="not a run folder"):
        Encoder.load(photos)


def test_a_few_files_leave_the_cache_of_their_folder_whole(small_run, photos):
    encoder = Encoder.load(small_run)
    encoder.encode_files([photos])
    encoder.encode_files([photos / "a", photos / "loose.png"])
    decoded = []
    encoder.encode_files([photos], progress=lambda stage, done, total: decoded.append(stage))
    assert "decoding" not in decoded and "encoding" in decoded


def test_a_stopped_encoding_is_taken_up_again(small_run, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_module, "_BLOCK", 4)
    encoder = Encoder.load(small_run)
    expected, _ = encoder.encode_files([photos])
    keep = tmp_path / "kept"

    def stop(stage, done, total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoder.encode_files([photos], keep=keep, progress=stop)
    seen = []
    encoded, _ = encoder.encode_files(
        [photos], keep=keep, progress=lambda stage, done, total: seen.append(done)
    )
    assert seen == [11]
    assert np.array_equal(encoded.codes, expected.codes)
    # other pictures: nothing is taken over
    Image.new("RGB", (9, 9)).save(photos / "a/1.png")
    changed, _ = encoder.encode_files([photos], keep=keep)
    assert not np.array_equal(changed.codes, expected.codes)
    assert np.array_equal(changed.codes, encoder.encode_files([photos])[0].codes)


def test_codes_of_another_encoder_in_int8_are_not_taken_over(
    small_run, photos, tmp_path, monkeypatch, tripletnet
):
    monkeypatch.setattr(encoder_module, "_BLOCK", 4)
    run, keep = shutil.copytree(small_run, tmp_path / "run"), tmp_path / "kept"

    def encode_on(stop_at=None):
        seen = []

        def progress(stage, done, total):
            seen.append(done)
            if done == stop_at:
                raise KeyboardInterrupt

        try:
            encoder = Encoder.load(run, precision="int8")
            return encoder.encode_files([photos], keep=keep, progress=progress)[0].codes, seen
        except KeyboardInterrupt:
            return None, seen

    Encoder.load(run).encode_files([photos])  # now they are decoded
    assert tripletnet("quantize", run, photos / "a")[0] == 0
    assert encode_on(stop_at=4)[1] == [4]
    assert encode_on(stop_at=8)[1] == [8]  # the same one, loaded again
    assert tripletnet("quantize", run, photos / "b")[0] == 0
    codes, seen = encode_on()
    assert seen == [4, 8, 11]
    fresh, _ = Encoder.load(run, precision="int8").encode_files([photos])
    assert np.array_equal(codes, fresh.codes)


def test_the_command(small_run, photos, tmp_path, tripletnet):
    (photos / "a/broken.png").write_bytes(b"")
    out = tmp_path / "out/codes.npz"
    status, said, notices = tripletnet("encode", small_run, photos, "--out", out)
    assert status == 0 and "11 pictures encoded" in said
    assert "left out, empty file: 1 (a/broken.png)" in notices
    stored = read_codes(out)
    assert len(stored) == 11 and stored.root == str(photos)
    assert "broken.png\tempty file" in (tmp_path / "out/codes.npz.left_out.tsv").read_text()
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "codes.npz",
        "codes.npz.left_out.tsv",
    ]
    assert "11 images of 16 x 16" in tripletnet("cache")[1]
    assert "freed" in tripletnet("cache", "--clear")[1]
    for wrong, complaint in (
        ([photos, photos, "--out", out], "not a run folder"),
        ([small_run, tmp_path / "none", "--out", out], "no such file or folder"),
        ([small_run, photos, "--out", tmp_path], "--out names the file"),
    ):
        status, _, said = tripletnet("encode", *wrong)
        assert status == 2 and said.startswith("tripletnet: error:") and complaint in said
        assert said.count("\n") == 1


def test_codes_that_others_were_written_over_are_not_taken_for_these(
    small_run, photos, tmp_path, monkeypatch
):
    monkeypatch.setattr(encoder_module, "_BLOCK", 4)
    encoder = Encoder.load(small_run)
    expected, _ = encoder.encode_files([photos / "a"])
    keep = tmp_path / "kept"

    def stop(stage, done, total):
        if stage == "encoding":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoder.encode_files([photos / "a"], keep=keep, progress=stop)
    # other pictures, as many, killed before they were saved for the first time
    monkeypatch.setattr("tripletnet.retrieval.partial_codes.PartialCodes._save", lambda self: None)
    with pytest.raises(KeyboardInterrupt):
        encoder.encode_files([photos / "b"], keep=keep, progress=stop)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    again, _ = encoder.encode_files([photos / "a"], keep=keep)
    assert np.allclose(again.codes, expected.codes, atol=1e-5)


@pytest.mark.parametrize("refusal", [errno.ENOSPC, errno.EFBIG, errno.EOPNOTSUPP])
def test_too_small_a_disk_is_told_before_the_work(
    small_run, photos, tmp_path, monkeypatch, tripletnet, refusal
):
    def refuse(file, offset, size):
        raise OSError(refusal, os.strerror(refusal))

    Encoder.load(small_run).encode_files(photos)  # decoded pictures have a room of their own
    command = ("encode", small_run, photos, "--out", tmp_path / "codes.npz")
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", refuse)
        full.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=100))
        full.setattr(Encoder, "_encode_block", None)  # a TypeError, if it came to that
        status, _, said = tripletnet(*command, "--quiet")
    assert status == 2 and said.count("\n") == 1
    assert f"{tmp_path}/codes.npz.part: cannot be written (" in said
    assert not list(tmp_path.glob("codes*"))
    assert tripletnet(*command)[0] == 0


def test_a_disk_that_cannot_reserve_room_takes_the_codes(small_run, photos, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    encoder = Encoder.load(small_run)
    kept, _ = encoder.encode_files(photos, keep=tmp_path / "kept")
    np.testing.assert_array_equal(kept.codes, encoder.encode_files(photos)[0].codes)


@pytest.mark.parametrize(
    "images",
    [[np.zeros((3, 3, 3), np.uint8)], [None], None, 3, np.zeros((1, 0, 4, 3), np.uint8)],
    ids=["arrays", "none", "nothing", "a number", "no pixels"],
)
def test_what_is_no_picture_is_told_in_a_line(small_run, images):
    with pytest.raises(InputError, match="images: "):
        Encoder.load(small_run).encode(images)


def test_encode_names_what_it_takes(small_run, striped_images):
    encoder = Encoder.load(small_run)
    for arguments, complaint in (
        ((encoder.network, striped_images.pixels), "expected an ImageSet, got ndarray"),
        ((encoder, striped_images), "an Encoder has encode for itself"),
        ((encoder.network, striped_images, 0), "batch_size is 0"),
    ):
        with pytest.raises(InputError, match=complaint):
            encode(*arguments)


def test_threads_share_an_encoder(small_run):
    """MXNet traces a network when it is first called, which no two threads may do at once."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    expected = Encoder.load(small_run).encode(pixels)
    for _ in range(5):
        encoder = Encoder.load(small_run)
        with ThreadPoolExecutor(6) as pool:
            for codes in pool.map(encoder.encode, [pixels] * 12):
                np.testing.assert_allclose(codes, expected, atol=1e-6)
