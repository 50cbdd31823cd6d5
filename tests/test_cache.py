"""The cache decodes once, survives crashes and company, and says what is wrong."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from tripletnet.data import cache_fill, decode
from tripletnet.data.cache import CachedImages, cache_info, cached_images, clear_cache
from tripletnet.data.decode import decode_image
from tripletnet.errors import InputError

# Decodes the folder argv[1] into the cache argv[2]. What argv[3] says happens after some images:
# "kill" ends the process at once, "kill saved" with an index saved after every chunk. "little
# memory" leaves it 40 MB to take and tells the failures.
FILL = """
import json, os, resource, signal, sys, warnings
from pathlib import Path
import numpy as np
from tripletnet.data import cache_fill
from tripletnet.data.cache import cached_images

warnings.simplefilter("ignore")
root, cache, what = sys.argv[1:4]
cache_fill._CHUNK_IMAGES = 4
if what == "kill saved":
    cache_fill._SECONDS_BETWEEN_SAVES = 0
files = sorted(path.name for path in Path(root).iterdir())
stats = [os.stat(Path(root) / file) for file in files]
stamps = np.array([(s.st_size, s.st_mtime_ns) for s in stats])
decoded = 0

def progress(done, total):
    global decoded
    decoded = done
    if what.startswith("kill") and done >= 12:
        os.kill(os.getpid(), signal.SIGKILL)

if what == "little memory":
    cache_fill.usable_cores = lambda: 2  # each thread takes some megabytes
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 40_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
images = cached_images(root, files, stamps, size=(16, 16), cache=cache, progress=progress)
if what == "little memory":
    sys.exit(json.dumps(images.failures))
print(decoded, images.pixels[images.rows].astype(int).sum())
"""


def fill(root: Path, cache: Path, what: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", FILL, str(root), str(cache), what],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Forty images of 24 x 24 pixels."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(40):
        paint(folder / f"{number:02}.png", number)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def paint(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


class Reader:
    """Reads a folder through a cache and counts what is decoded."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache, self.decoded = root, cache, 0

    def __call__(self, size: tuple[int, int] = (16, 16), fit: str = "crop") -> CachedImages:
        self.decoded = 0
        files = sorted(path.name for path in self.root.iterdir())
        stats = [(self.root / file).stat() for file in files]
        stamps = np.array([(s.st_size, s.st_mtime_ns) for s in stats])
        images = cached_images(
            self.root,
            files,
            stamps,
            size=size,
            fit=fit,
            cache=self.cache,
            progress=lambda done, total: setattr(self, "decoded", done),
        )
        for file, row in zip(files, images.rows):
            if row >= 0:
                expected = decode_image(self.root / file, size=size, fit=fit)
                assert (images.pixels[row] == expected).all()
        return images


@pytest.fixture
def read(root: Path, cache: Path) -> Reader:
    return Reader(root, cache)


def test_decoded_once(read: Reader) -> None:
    first = read()
    assert read.decoded == 40
    again = read()
    assert read.decoded == 0
    assert again.hashes == first.hashes
    assert (again.rows == first.rows).all()
    assert not again.failures
    assert not again.pixels.flags.writeable
    assert isinstance(again.pixels.base, np.memmap)


def test_hash_is_sha256_of_the_file(read: Reader, root: Path) -> None:
    import hashlib

    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(root.iterdir())]
    assert read().hashes == expected
    assert read().hashes == expected


def test_new_changed_and_removed_files(read: Reader, root: Path) -> None:
    before = read()
    paint(root / "99.png", 99)
    paint(root / "07.png", 77)
    (root / "03.png").unlink()
    after = read()
    assert read.decoded == 2
    assert len(after.rows) == 40
    assert (before.pixels[before.rows[7]] != after.pixels[after.rows[6]]).any()
    paint(root / "03.png", 3)
    read()
    assert read.decoded == 1


def test_size_and_fit_have_caches_of_their_own(read: Reader, cache: Path) -> None:
    for size, fit in (((16, 16), "crop"), ((16, 12), "crop"), ((16, 12), "letterbox")):
        read(size, fit)
        assert read.decoded == 40
    for size, fit in (((16, 16), "crop"), ((16, 12), "crop"), ((16, 12), "letterbox")):
        read(size, fit)
        assert read.decoded == 0
    assert len(cache_info(cache)) == 3


def test_failures_are_remembered_until_the_file_changes(read: Reader, root: Path) -> None:
    (root / "05.png").write_bytes(b"")
    (root / "06.png").write_text("text")
    for decoded in (40, 0):
        images = read()
        assert read.decoded == decoded
        assert images.failures == {
            5: "empty file",
            6: "not a JPEG, PNG, WebP, BMP, TIFF or GIF image",
        }
        assert images.rows[[5, 6]].tolist() == [-1, -1]
    paint(root / "05.png", 5)
    assert list(read().failures) == [6]
    assert read.decoded == 1


def test_what_could_not_be_read_is_tried_again(
    read: Reader, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, size: int) -> bytes:
        if path.endswith("05.png"):
            raise decode.ImageError("cannot be read (Permission denied)", path)
        return decode.read_bytes(path, size)

    with monkeypatch.context() as patch:
        patch.setattr(cache_fill, "read_bytes", refuse)
        assert read().failures == {5: "cannot be read (Permission denied)"}
        assert read().failures == {5: "cannot be read (Permission denied)"}
        assert read.decoded == 1
    assert not read().failures
    assert read.decoded == 1


def black_png(width: int) -> bytes:
    """A small file of width x width pixels."""
    file = io.BytesIO()
    Image.new("RGB", (width, width)).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much is taken is not told")
def test_what_is_too_large_for_the_memory_is_left_out_and_tried_again(
    read: Reader, root: Path
) -> None:
    (root / "05.png").write_bytes(black_png(4500))
    for name, size in (("06.png", 80_000_000), ("07.png", decode.MAX_BYTES + 1)):
        with (root / name).open("wb") as file:
            file.truncate(size)  # takes no room
    too_large = {7: "too large (4,294,967,297 bytes, the limit is 4,294,967,296)"}
    reason = "too large for the memory that is free"
    # in a process of its own: this one may have memory that earlier tests took and gave back
    _, told = fill(root, read.cache, "little memory").communicate()
    assert json.loads(told) == {"5": reason, "6": reason, "7": too_large[7]}
    no_image = "not a JPEG, PNG, WebP, BMP, TIFF or GIF image"
    assert read().failures == {6: no_image, **too_large}
    assert read.decoded == 3


def test_nothing_but_failures(read: Reader, root: Path) -> None:
    for path in root.iterdir():
        path.write_bytes(b"")
    assert len(read().failures) == 40
    assert len(read().failures) == 40
    assert read.decoded == 0


def test_no_files(cache: Path) -> None:
    images = cached_images(cache.parent, [], np.empty((0, 2), np.int64), size=(4, 4), cache=cache)
    assert images.pixels.shape == (0, 4, 4, 3)
    assert len(images.rows) == 0


@pytest.mark.parametrize(("what", "decoded_before"), [("kill", 0), ("kill saved", 8)])
def test_kill_while_it_fills(read: Reader, what: str, decoded_before: int) -> None:
    process = fill(read.root, read.cache, what)
    process.communicate()
    assert process.returncode == -9
    read()  # compares every image
    assert read.decoded == 40 - decoded_before
    (entry,) = cache_info(read.cache)
    assert len(list(entry.path.iterdir())) == 3  # nothing is left lying about
    read()
    assert read.decoded == 0


def test_two_processes_at_once(read: Reader) -> None:
    processes = [fill(read.root, read.cache) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    (one, sum_one), (other, sum_other) = (output.split() for output, _ in outputs)
    assert sorted([one, other]) == ["0", "40"]
    assert sum_one == sum_other
    read()
    assert read.decoded == 0


def test_waiting_is_said(read: Reader, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read()
    (entry,) = cache_info(cache)
    other = FileLock(f"{entry.path}.lock")
    acquire = FileLock.acquire

    def acquire_and_free_the_other(self: FileLock, timeout: float = -1) -> object:
        if timeout < 0:
            other.release()
        return acquire(self, timeout=timeout)

    other.acquire()
    monkeypatch.setattr(FileLock, "acquire", acquire_and_free_the_other)
    with pytest.warns(UserWarning, match="another run is filling this cache, waiting"):
        read()


def damage_index(place: Path) -> None:
    path = place / "index.npz"
    path.write_bytes(path.read_bytes()[:200])


def empty_index(place: Path) -> None:
    (place / "index.npz").write_bytes(b"")


def cut_pixels(place: Path) -> None:
    (path,) = place.glob("pixels-*")
    os.truncate(path, 1000)


def remove_pixels(place: Path) -> None:
    (path,) = place.glob("pixels-*")
    path.unlink()


@pytest.mark.parametrize("damage", [damage_index, empty_index, cut_pixels, remove_pixels])
def test_damaged_caches_are_made_anew(read: Reader, cache: Path, damage: object) -> None:
    read()
    (entry,) = cache_info(cache)
    damage(entry.path)
    read()
    assert read.decoded == 40


def test_room_of_forgotten_images_is_given_back(read: Reader, root: Path, cache: Path) -> None:
    reader_before = read()
    kept = reader_before.pixels[reader_before.rows].copy()
    size = cache_info(cache)[0].bytes
    for number in range(30):
        (root / f"{number:02}.png").unlink()
    paint(root / "50.png", 50)
    after = read()
    assert read.decoded == 1
    assert len(after.rows) == 11
    assert cache_info(cache)[0].bytes < size / 2
    # whoever has the old file mapped still sees it
    assert (reader_before.pixels[reader_before.rows] == kept).all()


def test_info_and_clear(read: Reader, root: Path, cache: Path) -> None:
    assert cache_info(cache) == []
    assert clear_cache(cache) == 0
    read()
    (entry,) = cache_info(cache)
    assert entry.root == str(root.resolve())
    assert (entry.size, entry.fit, entry.images) == ((16, 16), "crop", 40)
    assert entry.bytes == sum(path.stat().st_size for path in entry.path.iterdir())
    assert clear_cache(cache) == entry.bytes
    assert cache_info(cache) == []
    read()
    assert read.decoded == 40


@pytest.mark.parametrize("content", ["{", "[]", '{"root": "a", "size": 3, "fit": "crop"}'])
def test_a_cache_whose_settings_are_damaged_is_shown_and_cleared(
    read: Reader, cache: Path, content: str
) -> None:
    read()
    (whole,) = cache_info(cache)
    path = whole.path / "settings.json"
    path.write_text(content)
    (entry,) = cache_info(cache)
    assert entry.root == f"unknown, as {path} is damaged"
    assert entry.images == 40
    assert clear_cache(cache) == entry.bytes
    assert cache_info(cache) == []


def test_clear_leaves_a_cache_in_use_alone(read: Reader, cache: Path) -> None:
    read()
    (entry,) = cache_info(cache)
    with FileLock(f"{entry.path}.lock"), pytest.raises(InputError, match="another run is filling"):
        clear_cache(cache)
    assert cache_info(cache) == [entry]


@pytest.mark.parametrize(("seconds", "threads"), [(0.0, 1), (0.005, 4)])
def test_threads_where_they_pay(
    read: Reader, monkeypatch: pytest.MonkeyPatch, seconds: float, threads: int
) -> None:
    used = set()

    def decode(data: bytes, **options: object) -> tuple[np.ndarray, tuple[int, int]]:
        if threading.current_thread() is not threading.main_thread():
            used.add(threading.get_ident())
        if seconds:
            time.sleep(seconds)
        return np.zeros((16, 16, 3), np.uint8), (24, 24)

    monkeypatch.setattr(cache_fill, "_CHUNK_IMAGES", 4)
    monkeypatch.setattr(cache_fill, "usable_cores", lambda: 4)
    monkeypatch.setattr("tripletnet.data.cache.decode_bgr", decode)
    files = [path.name for path in sorted(read.root.iterdir())]
    stamps = np.zeros((len(files), 2), np.int64)
    images = cached_images(read.root, files, stamps, size=(16, 16), cache=read.cache)
    assert not images.failures and (images.sizes == [24, 24]).all()
    assert len(used) == threads


def test_default_place(
    read: Reader, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    read.cache = None
    read()
    assert (tmp_path / "home/tripletnet/images").is_dir()
    assert len(cache_info()) == 1


def test_too_little_room(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10_000))
    with pytest.raises(InputError, match=r"cannot be written .*MB are needed.*: free some room"):
        read()


def test_disk_full_while_it_fills(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite

    def run_full(file: int, data: memoryview, offset: int) -> int:
        if offset > 10 * 16 * 16 * 3:
            raise OSError(28, "No space left on device")
        return pwrite(file, data[: len(data) // 2 + 1], offset)

    monkeypatch.setattr(cache_fill, "_CHUNK_IMAGES", 4)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", run_full)
        with pytest.raises(InputError, match="No space left on device"):
            read()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read()
    assert read.decoded == 40


def test_a_place_that_cannot_be_written(read: Reader, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(InputError, match="the cache of decoded images cannot be written"):
        read()
