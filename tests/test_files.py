"""Files that are whole or absent, wherever they lie."""

from __future__ import annotations

import gc
import os
import threading

import numpy as np
import pytest

from tripletnet.errors import InputError
from tripletnet.files import atomic_path, only_one, save_arrays, write_text


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "table.csv", tmp_path / "link.csv"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["table.csv"]


def test_a_link_is_locked_as_what_it_points_to(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far/place")
    taken = pytest.raises(InputError, match="link: another command")
    with only_one(tmp_path / "far/place"), taken, only_one(tmp_path / "link"):
        pass
    with only_one(tmp_path / "link"):
        assert [path.name for path in (tmp_path / "far").iterdir()] == ["place.lock"]
    assert not list((tmp_path / "far").iterdir())


def test_a_pipe_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "rows")
    reader.join()
    assert read == ["rows"] and pipe.is_fifo()


def test_what_fails_leaves_the_old_file_and_names_it(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with pytest.raises(OSError, match="No space left") as failed, atomic_path(path) as scratch:
        scratch.write_text("half")
        raise OSError(28, "No space left on device", str(scratch))
    assert failed.value.filename == str(path)
    assert path.read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["table.csv"]
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as failed:
        write_text(folder, "rows")
    assert failed.value.filename == str(folder)


def test_arrays_are_written_as_numpy_does(tmp_path):
    arrays = {
        "rows": np.arange(6.0).reshape(2, 3).T,
        "none": np.zeros((0, 3)),
        "word": np.array("é"),
    }
    save_arrays(tmp_path / "ours.npz", arrays)
    np.savez(tmp_path / "theirs.npz", **arrays)
    ours, theirs = ((tmp_path / name).read_bytes() for name in ("ours.npz", "theirs.npz"))
    assert ours == theirs


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_an_error_and_nothing_else():
    with pytest.raises(OSError, match="No space left"):
        save_arrays("/dev/full", {"zeros": np.zeros(10**6)})
    gc.collect()


def test_two_that_change_one_thing_are_told_apart(tmp_path):
    index = tmp_path / "index"
    with only_one(index), pytest.raises(InputError, match="another command is"), only_one(index):
        pass
    assert not list(tmp_path.iterdir())
