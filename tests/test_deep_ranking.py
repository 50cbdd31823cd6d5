"""Triplets by deep ranking's sampling, as arrays and as the file that the command writes."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tripletnet.data.deep_ranking import deep_ranking_triplets
from tripletnet.data.judged_file import read_judged
from tripletnet.errors import InputError


@given(
    st.lists(st.integers(0, 3), min_size=3, max_size=20).filter(
        lambda labels: 1 < len(set(labels)) < len(labels)
    ),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_every_image_is_a_query_and_nothing_comes_up_twice(labels, positives, negatives, seed):
    labels = np.array(labels)
    found = list(deep_ranking_triplets(labels, positives, negatives, seed))
    assert len(found) == len(labels)
    for image, rows in enumerate(found):
        alike = np.flatnonzero(labels == labels[image])
        sames, diffs = min(positives, len(alike) - 1), min(negatives, len(labels) - len(alike))
        assert rows.shape == (sames * diffs, 3)
        assert (rows[:, 0] == image).all() and (rows[:, 1] != image).all()
        assert (labels[rows[:, 1]] == labels[image]).all()
        assert (labels[rows[:, 2]] != labels[image]).all()
        assert len(np.unique(rows, axis=0)) == len(rows)
        assert len(np.unique(rows[:, 1])) == sames


def test_all_others_come_up_and_the_seed_decides():
    labels = np.arange(40) % 4
    drawn = [np.concatenate(list(deep_ranking_triplets(labels, 9, 5, seed))) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    assert set(drawn[0][:, 1]) == set(drawn[0][:, 2]) == set(range(40))


@pytest.mark.parametrize(
    ("labels", "options", "said"),
    [
        ([0, 0, 1], {"positives": 0}, "positives is 0"),
        ([0, 0, 1], {"negatives": -1}, "negatives is -1"),
        ([0, 0, 0], {}, "two classes or more"),
        ([0, 1, 2], {}, "two images in one"),
    ],
)
def test_what_gives_no_triplets(labels, options, said):
    with pytest.raises(InputError, match=said):
        deep_ranking_triplets(np.array(labels), **options)


def test_the_command_writes_what_is_read_back(photos, tmp_path, own_cache):
    (photos / "b/4.png").unlink()
    out = tmp_path / "somewhere/triplets.csv"
    command = [sys.executable, "-m", "tripletnet", "triplets", str(photos), "--out", str(out)]
    options = ["--positives", "9", "--negatives", "2", "--size", "8"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{5 * 4 * 2 + 4 * 3 * 2} triplets of 9 images: {out}\n"
    assert "loose.png" in done.stderr
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 64 and rows[0]["anchor"].startswith("../photos/")
    read = read_judged("triplets", out, size=8).train
    assert len(read) == 64 and len(read.images) == 9
    for row in read.rows:
        anchor, same, diff = (read.images.paths[place].split("/")[-2] for place in row)
        assert anchor == same != diff

    for part in ("train", "test"):
        again = subprocess.run(
            [*command, "--part", part, "--test", "0.4", "--size", "8"], timeout=60
        )
        assert again.returncode == 0
        (tmp_path / f"{part}.csv").write_bytes(out.read_bytes())
    named = [
        {cell for row in csv.reader((tmp_path / f"{part}.csv").open()) for cell in row}
        for part in ("train", "test")
    ]
    assert named[0] & named[1] == {"anchor", "same", "diff"}


def test_triplets_name_files(tmp_path):
    command = [sys.executable, "-m", "tripletnet", "triplets", "cifar10", "--out", "t.csv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "give a folder of images" in done.stderr
