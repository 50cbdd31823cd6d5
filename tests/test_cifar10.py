"""CIFAR-10 from made-up files in its format, from broken ones, and from the real ones."""

from __future__ import annotations

import errno
import functools
import hashlib
import http.server
import io
import os
import tarfile
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from tripletnet.data.cifar10 import CLASSES, find_cifar10, load_cifar10
from tripletnet.data.download import DownloadError
from tripletnet.errors import InputError

FOLDER = "cifar-10-batches-bin"
ARCHIVE = "cifar-10-binary.tar.gz"
FILES = [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]
LABELS = np.arange(10_000) % 10


def write_batch(path, labels=LABELS, number=0):
    """Write a batch file whose first image counts from `number`; the other images are black."""
    records = np.zeros((10_000, 3073), np.uint8)
    records[:, 0] = labels
    records[0, 1:] = (number + np.arange(3072)) % 251
    path.write_bytes(records.tobytes())


@pytest.fixture(scope="module")
def made_up():
    """A folder with made-up batch files and, apart from them, their archive."""
    # not tmp_path: pytest would keep 200 MB of the last three runs each
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "extracted" / FOLDER).mkdir(parents=True)
        for number, file in enumerate(FILES):
            labels = np.roll(LABELS, number)
            write_batch(root / "extracted" / FOLDER / file, labels, number)
        text = "".join(f"{one}\n" for one in CLASSES) + "\n"
        (root / "extracted" / FOLDER / "batches.meta.txt").write_text(text)
        (root / "packed").mkdir()
        with tarfile.open(root / "packed" / ARCHIVE, "w:gz", compresslevel=1) as archive:
            archive.add(root / "extracted" / FOLDER, FOLDER)
        yield root


@pytest.fixture
def folder(made_up):
    """A copy of the made-up folder, made of links: replace a file, do not write into it."""
    with tempfile.TemporaryDirectory(dir=made_up) as name:
        copy = Path(name) / FOLDER
        copy.mkdir()
        for file in (made_up / "extracted" / FOLDER).iterdir():
            (copy / file.name).symlink_to(file)
        yield copy


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache, and no word of the user's about where CIFAR-10 lies."""
    monkeypatch.delenv("TRIPLETNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tripletnet" / "cifar-10"


def refusal(root, **options):
    """Load, expect the refusal, and return its message, which is one line."""
    with pytest.raises(InputError) as caught:
        load_cifar10(root, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize("where", [f"extracted/{FOLDER}", f"packed/{ARCHIVE}"])
def test_reads_images_labels_and_classes(made_up, where):
    splits = load_cifar10(made_up / where)
    assert splits.name == "CIFAR-10"
    for part, count in ((splits.train, 50_000), (splits.test, 10_000)):
        assert part.pixels.shape == (count, 32, 32, 3)
        assert part.pixels.dtype == np.uint8 and part.pixels.flags.c_contiguous
        assert part.labels.shape == (count,) and part.labels.dtype == np.int64
        assert list(part.classes) == list(CLASSES)

    # image 0 of file number f holds (f + 1024 colour + 32 row + column) % 251
    row, column, colour = np.ogrid[:32, :32, :3]
    first = 1024 * colour + 32 * row + column
    for number in range(5):
        assert np.array_equal(splits.train.pixels[10_000 * number], (number + first) % 251)
        labels = splits.train.labels[10_000 * number : 10_000 * (number + 1)]
        assert np.array_equal(labels, np.roll(LABELS, number))
    assert np.array_equal(splits.test.pixels[0], (5 + first) % 251)
    assert not splits.test.pixels[1:].any()


@pytest.mark.parametrize(
    ("root", "found"),
    [
        ("extracted", f"extracted/{FOLDER}"),
        (f"extracted/{FOLDER}", f"extracted/{FOLDER}"),
        ("packed", f"packed/{ARCHIVE}"),
        (f"packed/{ARCHIVE}", f"packed/{ARCHIVE}"),
        (".", None),
        ("nowhere", None),
    ],
)
def test_finds_every_form(made_up, monkeypatch, root, found):
    expected = None if found is None else made_up / found
    assert find_cifar10(made_up / root) == expected
    assert find_cifar10(str(made_up / root)) == expected
    monkeypatch.setenv("TRIPLETNET_DATA", str(made_up / root))
    assert find_cifar10() == expected


def test_a_folder_of_batch_files_may_have_any_name(folder):
    renamed = folder.rename(folder.with_name("pictures"))
    assert find_cifar10(renamed) == renamed


def test_root_goes_before_the_environment_and_that_before_the_cache(
    made_up, cache, monkeypatch, folder
):
    assert find_cifar10() is None
    cache.mkdir(parents=True)
    (cache / ARCHIVE).symlink_to(made_up / "packed" / ARCHIVE)
    assert find_cifar10() == cache / ARCHIVE
    monkeypatch.setenv("TRIPLETNET_DATA", str(made_up / "extracted"))
    assert find_cifar10() == made_up / "extracted" / FOLDER
    assert find_cifar10(folder) == folder
    monkeypatch.setenv("TRIPLETNET_DATA", "")
    assert find_cifar10() == cache / ARCHIVE


def test_where_the_user_pointed_it_must_be(tmp_path, monkeypatch):
    assert f"{tmp_path}: no CIFAR-10 there" in refusal(tmp_path)
    monkeypatch.setenv("TRIPLETNET_DATA", str(tmp_path / "nowhere"))
    assert f"{tmp_path / 'nowhere'}: no CIFAR-10 there" in refusal(None)


def test_no_download_unless_allowed(cache):
    assert f"{cache}: no CIFAR-10 there" in refusal(None, download=False)


def test_downloads_into_the_cache_once(made_up, cache, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(made_up / "packed"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/{ARCHIVE}"
    content = (made_up / "packed" / ARCHIVE).read_bytes()
    md5 = hashlib.md5(content).hexdigest()
    try:
        with pytest.raises(DownloadError, match="damaged"):
            load_cifar10(url=url, md5="0" * 32, size=None)
        assert find_cifar10() is None
        splits = load_cifar10(url=url, md5=md5, size=len(content))
    finally:
        server.shutdown()
        server.server_close()
    assert len(splits.train) == 50_000
    assert find_cifar10() == cache / ARCHIVE
    assert len(asked) == 2

    # the server is off
    assert len(load_cifar10(url=url, md5=md5).test) == 10_000
    with pytest.raises(DownloadError, match="cannot be reached"):
        (cache / ARCHIVE).unlink()
        load_cifar10(url=url, md5=md5)


def test_another_copy_in_another_order_is_welcome(folder):
    (folder / "batches.meta.txt").unlink()
    for file in FILES:
        (folder / file).unlink()
    # uneven files, but 5,000 images of each class in train
    write_batch(folder / FILES[0], np.repeat([0, 1], 5_000))
    write_batch(folder / FILES[1], np.repeat([2, 3], 5_000))
    write_batch(folder / FILES[2], np.repeat([4, 5], 5_000))
    write_batch(folder / FILES[3], np.repeat([6, 7], 5_000))
    write_batch(folder / FILES[4], np.repeat([9, 8], 5_000))
    write_batch(folder / FILES[5], LABELS[::-1])
    splits = load_cifar10(folder)
    assert splits.train.labels[-1] == 8
    assert list(splits.test.labels[:3]) == [9, 8, 7]
    assert list(splits.test.classes) == list(CLASSES)


def test_takes_the_names_of_the_classes_from_their_file(folder):
    names = [f"fire truck {n}" for n in range(10)]
    (folder / "batches.meta.txt").unlink()
    (folder / "batches.meta.txt").write_text("\r\n".join(names) + "\r\n\r\n")
    assert list(load_cifar10(folder).train.classes) == names


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"cat\n" * 10, b"a\nb\nc\n"])
def test_a_file_of_class_names_that_does_not_name_ten(folder, content):
    (folder / "batches.meta.txt").unlink()
    (folder / "batches.meta.txt").write_bytes(content)
    assert f"{folder / 'batches.meta.txt'}: does not name ten classes" in refusal(folder)


@pytest.mark.parametrize("file", [FILES[0], FILES[5]])
def test_a_missing_file(folder, file):
    (folder / file).unlink()
    assert f"{folder / file}: no such file" in refusal(folder.parent)


@pytest.mark.parametrize("length", [0, 30_729_999, 30_730_001])
def test_a_file_of_another_length(folder, length):
    path = folder / "data_batch_3.bin"
    path.unlink()
    with path.open("wb") as file:
        file.truncate(length)
    assert f"{path}: {length:,} bytes long, not 30,730,000" in refusal(folder)


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    path = folder / "data_batch_3.bin"

    # root may read every file, so that a mode of 0 would not do
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "open", refuse)
    monkeypatch.setattr(type(path), "read_bytes", refuse)
    assert "cannot be read (Permission denied)" in refusal(folder)


@pytest.mark.parametrize("file", ["data_batch_2.bin", "test_batch.bin"])
def test_a_label_that_is_none(folder, file):
    labels = LABELS.copy()
    labels[1234] = 10
    (folder / file).unlink()
    write_batch(folder / file, labels)
    assert f"{folder / file}: image 1234 has the label 10" in refusal(folder)


@pytest.mark.parametrize(
    ("file", "named", "count"),
    [
        ("data_batch_2.bin", f"{FILES[0]} to {FILES[4]}", "5,001 images of class 1 (automobile)"),
        ("test_batch.bin", FILES[5], "1,001 images of class 1 (automobile)"),
    ],
)
def test_a_class_with_the_wrong_number_of_images(folder, file, named, count):
    labels = LABELS.copy()
    labels[5] = 1
    (folder / file).unlink()
    write_batch(folder / file, labels)
    message = refusal(folder)
    assert message.startswith(f"{folder}{os.sep}{named}: ")
    assert count in message


def damaged(made_up, tmp_path, change):
    content = bytearray((made_up / "packed" / ARCHIVE).read_bytes())
    (tmp_path / ARCHIVE).write_bytes(change(content))
    return tmp_path / ARCHIVE


def flip_in_checksum(content):
    content[-6] ^= 1
    return content


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: b"<html>please sign in</html>",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-4],
        lambda content: b"\0" * 100 + content[100:],
        lambda content: content[:2000] + bytes(500) + content[2500:],
        flip_in_checksum,
    ],
    ids=["empty", "no archive", "half", "no end", "no beginning", "hole", "checksum"],
)
def test_a_damaged_archive(made_up, tmp_path, change):
    path = damaged(made_up, tmp_path, change)
    assert str(path) in refusal(tmp_path)


def pack(path, members):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_an_archive_without_the_batch_files(tmp_path):
    pack(tmp_path / ARCHIVE, {"cifar-10-batches-py/data_batch_1": b"a pickle"})
    assert f"{tmp_path / ARCHIVE / FILES[0]}: no such file" in refusal(tmp_path)


def test_an_archive_with_a_short_batch_file(tmp_path):
    pack(tmp_path / ARCHIVE, {f"{FOLDER}/data_batch_4.bin": b"short"})
    assert f"{tmp_path / ARCHIVE / 'data_batch_4.bin'}: 5 bytes long" in refusal(tmp_path)


def test_an_archive_is_read_in_any_order_and_never_written_out(made_up, tmp_path):
    """Other members, links and paths that lead outside are passed over."""
    source = made_up / "extracted" / FOLDER
    place = tmp_path / "place"
    place.mkdir()
    with tarfile.open(place / ARCHIVE, "w:gz", compresslevel=1) as archive:
        for name in (f"../{FOLDER}/data_batch_1.bin", "/etc/data_batch_1.bin", "readme.html"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo(f"{FOLDER}/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        for file in reversed(FILES):
            archive.add(source / file, f"./{FOLDER}/{file}")
    splits = load_cifar10(place)
    assert splits.train.pixels[0, 0, 1, 0] == 1
    assert splits.test.pixels[0, 0, 1, 0] == 6
    assert list(place.iterdir()) == [place / ARCHIVE]
    assert not (tmp_path / FOLDER).exists()


def test_the_real_one(data_root):
    splits = load_cifar10(data_root)
    assert np.array_equal(np.bincount(splits.train.labels), [5_000] * 10)
    assert np.array_equal(np.bincount(splits.test.labels), [1_000] * 10)
    assert list(splits.train.classes) == list(CLASSES)
    # about the known mean of the training images, in the order red, green, blue
    assert splits.train.pixels[::10].mean((0, 1, 2)) == pytest.approx([125.3, 123.0, 113.9], abs=1)
    # upright: on the whole, pictures are brighter above than below
    ships = splits.test.pixels[splits.test.labels == CLASSES.index("ship")]
    assert ships[:, :8].mean() > ships[:, -8:].mean() + 10
