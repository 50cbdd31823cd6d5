"""Codes in a file, one's own and anybody's."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tripletnet.codes.file import EncodedImages, read_codes, write_codes
from tripletnet.errors import InputError

CODES = np.arange(1, 7, dtype=np.float32).reshape(3, 2)


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "of my own.codes"
    content = EncodedImages(CODES, np.array([2, 0, 2]), ["a.jpg", "ö/b c.png", "d"], "abc")
    write_codes(path, content)
    stored = read_codes(path)
    assert np.array_equal(stored.codes, CODES) and stored.codes.dtype == np.float32
    assert stored.labels.tolist() == [2, 0, 2]
    assert list(stored.paths) == ["a.jpg", "ö/b c.png", "d"]
    assert stored.fingerprint == "abc"
    assert list(tmp_path.iterdir()) == [path]


def test_codes_alone(tmp_path):
    write_codes(tmp_path / "c.npz", EncodedImages(CODES))
    stored = read_codes(tmp_path / "c.npz")
    assert (stored.labels, stored.paths, stored.fingerprint) == (None, None, None)


@pytest.mark.parametrize("kind", ["float16", "float64", "uint8", "int64"])
def test_anybodys_numbers_become_float32_and_nothing_else(tmp_path, kind):
    np.savez_compressed(tmp_path / "c.npz", codes=CODES.astype(kind), labels=["x", "y", "x"])
    stored = read_codes(tmp_path / "c.npz")
    assert stored.codes.dtype == np.float32
    assert np.array_equal(stored.codes, CODES)  # not scaled to unit length
    assert stored.labels.tolist() == ["x", "y", "x"]


def test_bytes_are_taken_for_text(tmp_path):
    np.savez(tmp_path / "c.npz", codes=CODES, labels=np.array([b"x", b"y", b"x"]))
    assert read_codes(tmp_path / "c.npz").labels.tolist() == ["x", "y", "x"]


class Trap:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "has no field codes"),
        ({"vectors": CODES}, "has no field codes"),
        ({"codes": CODES[0]}, r"codes: expected numbers of shape \(N, D\)"),
        ({"codes": CODES.astype(str)}, "codes: expected numbers"),
        ({"codes": CODES[:0]}, "codes: there are none"),
        ({"codes": CODES * np.float32("inf")}, "codes: 3 of 3 rows"),
        ({"codes": np.array([Trap()])}, "codes: .*never unpickled.*"),
        ({"codes": CODES, "labels": np.arange(2)}, "labels: expected one for each of the 3 codes"),
        ({"codes": CODES, "labels": np.ones(3)}, "labels: expected integers or strings"),
        ({"codes": CODES, "labels": np.array(["a", 1, "b"], object)}, "labels: .*as an array of"),
        ({"codes": CODES, "labels": np.array([b"\xff"] * 3)}, "labels: not UTF-8"),
        ({"codes": CODES, "paths": ["a", "b", "\udcff.png"]}, "paths: not UTF-8"),
        ({"codes": CODES, "paths": np.array(["a"])}, "paths: expected one string for each"),
        ({"codes": CODES, "paths": np.arange(3)}, "paths: expected a list of strings"),
        ({"codes": CODES, "paths": np.array([Trap()])}, "paths: expected a list of strings"),
        ({"codes": CODES, "fingerprint": np.arange(3)}, "fingerprint: expected one string"),
    ],
)
def test_every_defect_names_the_file_and_the_field(tmp_path, capsys, fields, complaint):
    path = tmp_path / "anybodys.npz"
    np.savez(path, **fields)
    with pytest.raises(InputError, match=complaint) as caught:
        read_codes(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert "run" not in capsys.readouterr().out


def test_no_file_a_bare_array_and_junk(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_codes(tmp_path / "none.npz")
    np.save(tmp_path / "bare.npy", CODES)
    with pytest.raises(InputError, match="one bare array"):
        read_codes(tmp_path / "bare.npy")
    for name, content in (("empty", b""), ("junk", b"\x80\x04junk"), ("folder", None)):
        path = tmp_path / name
        path.write_bytes(content) if content is not None else path.mkdir()
        with pytest.raises(InputError, match=r"not readable as \.npz"):
            read_codes(path)


def test_one_long_path_costs_its_own_length(tmp_path):
    paths = [f"{row}.jpg" for row in range(10_000)]
    paths[5000] = "deep/" * 800 + "ö.jpg"
    digests = [f"{row:064x}" for row in range(10_000)]
    codes = np.ones((10_000, 1), np.float32)
    tracemalloc.start()
    write_codes(tmp_path / "c.npz", EncodedImages(codes, paths=paths, digests=digests))
    stored = read_codes(tmp_path / "c.npz")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert list(stored.paths) == paths and list(stored.digests) == digests
    assert (tmp_path / "c.npz").stat().st_size < 5e6  # 160 MB as NumPy's array of strings
    assert most < 1e8
    with np.load(tmp_path / "c.npz") as plain:  # still an array to everybody else
        assert plain["paths"][5000] == paths[5000]


def test_a_damaged_file(tmp_path):
    path = tmp_path / "c.npz"
    write_codes(path, EncodedImages(np.ones((500, 20), np.float32)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"c\.npz"):
        read_codes(path)
    np.savez(path, codes=np.eye(2, dtype=np.float32), paths=np.array(["a", "b"]))
    path.write_bytes(path.read_bytes().replace(b"'<U1'", b"'<U0'"))
    with pytest.raises(InputError, match=r"c\.npz: paths: "):
        read_codes(path)
    path.write_bytes(whole.replace(np.ones(20, np.float32).tobytes(), bytes(80)))
    with pytest.raises(InputError, match=r"c\.npz: codes: cannot be read"):
        read_codes(path)
    header = whole.index(b"'shape'")
    path.write_bytes(whole[:header] + b"(" + whole[header + 1 :])
    with pytest.raises(InputError, match=r"c\.npz"):
        read_codes(path)
    with path.open("wb") as file:
        np.save(file, np.ones((3, 3)))
    with pytest.raises(InputError, match=r"c\.npz"):
        read_codes(path)


@pytest.mark.parametrize("count", [1, 500])
def test_codes_can_stay_in_the_file(tmp_path, count):
    path = tmp_path / "c.npz"
    codes = np.random.default_rng(0).standard_normal((count, 20)).astype(np.float32)
    paths = [f"{row}.jpg" for row in range(count)]
    write_codes(path, EncodedImages(codes, paths=paths))
    stored = read_codes(path, mapped=True)
    assert isinstance(stored.codes.base, np.memmap) or isinstance(stored.codes, np.memmap)
    assert np.array_equal(stored.codes, codes) and list(stored.paths) == paths
    whole = path.read_bytes()
    path.write_bytes(whole.replace(codes[0].tobytes(), bytes(80)))
    with pytest.raises(InputError, match=r"c\.npz: codes: cannot be read"):
        read_codes(path, mapped=True)
    for others in (codes.astype(float), np.asfortranarray(codes), codes[:0]):
        np.savez(path, codes=others)
        if len(others):
            assert np.allclose(read_codes(path, mapped=True).codes, codes)
        else:
            with pytest.raises(InputError, match="there are none"):
                read_codes(path, mapped=True)
    np.savez_compressed(path, codes=codes)
    assert np.array_equal(read_codes(path, mapped=True).codes, codes)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (EncodedImages(CODES[0]), "codes: expected"),
        (EncodedImages(CODES, np.arange(2)), "labels: expected"),
        (EncodedImages(CODES, None, ["a"]), "paths: expected"),
    ],
)
def test_parts_that_do_not_fit_are_not_written(tmp_path, content, complaint):
    with pytest.raises(InputError, match=complaint):
        write_codes(tmp_path / "c.npz", content)
    assert not list(tmp_path.iterdir())
