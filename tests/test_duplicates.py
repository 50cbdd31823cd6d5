"""Near-duplicates: the groups, the distance, what to keep, and the command."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.codes.file import EncodedImages
from tripletnet.commands import duplicates as command
from tripletnet.data.opencv import cv2
from tripletnet.errors import InputError
from tripletnet.plots.contact_sheet import Tile, contact_sheet, shorten
from tripletnet.retrieval.duplicate_threshold import choose_duplicate_threshold
from tripletnet.retrieval.duplicates import find_duplicates, first_copies
from tripletnet.retrieval.index import Index
from tripletnet.retrieval.keep import choose_keep, sharpness


class BruteForce:
    """As much of an index as finding duplicates takes."""

    def __init__(self, codes, digests=None, block=3, both_ways=True):
        self.points = np.asarray(codes, np.float32).reshape(len(codes), -1)
        names = [f"{row}.png" for row in range(len(codes))]
        digests = names if digests is None else digests
        self.images = SimpleNamespace(paths=names, digests=digests, root=None)
        self.block, self.both_ways = block, both_ways

    def __len__(self):
        return len(self.points)

    def distances(self):
        return ((self.points[:, None] - self.points[None]) ** 2).sum(axis=2)

    def within(self, max_distance, progress=None):
        for start in range(0, len(self), self.block):
            distances = self.distances()[start : start + self.block]
            rows, neighbours = np.nonzero(distances <= max_distance)
            found = distances[rows, neighbours]
            rows += start
            good = rows != neighbours if self.both_ways else rows < neighbours
            yield rows[good], neighbours[good], found[good]


def found(index, max_distance):
    return [
        list(zip(group.members, group.kinds))
        for group in find_duplicates(index, max_distance).groups
    ]


def test_a_chain_is_not_one_group():
    assert found(BruteForce([0, 1, 2, 3, 4]), 1) == [
        [(1, "centre"), (0, "near"), (2, "near")],
        [(3, "centre"), (4, "near")],
    ]


def test_most_neighbours_first_and_members_by_distance():
    groups = find_duplicates(BruteForce([9, 5, 0, 2, 1]), 4.5).groups
    assert [(group.members, group.distances) for group in groups] == [([2, 4, 3], [0, 1, 4])]
    groups = find_duplicates(BruteForce([10, 0.5, 0, 2, 11, 12]), 4.5).groups
    assert [group.members for group in groups] == [[0, 4, 5], [1, 2, 3]]
    assert groups[1].distances == [0, 0.25, 2.25] and groups[1].centre == 1


def test_copies_are_told_apart_and_stay_together():
    digests = ["a", "b", "a", "c", "b", "d", "d"]
    index = BruteForce([0, 1, 0.001, 50, 1.001, 90, 90], digests)
    assert found(index, 1.1) == [
        [(0, "centre"), (2, "exact"), (1, "near"), (4, "exact")],
        [(5, "centre"), (6, "exact")],
    ]
    # even where their codes are apart
    assert found(BruteForce([0, 7], ["a", "a"]), 0) == [[(0, "centre"), (1, "exact")]]


def test_unknown_content_equals_nothing():
    assert first_copies(["", "x", "", "x", "y"]).tolist() == [0, 1, 2, 1, 4]
    assert found(BruteForce([0, 9], ["", ""]), 1) == []


def test_an_index_without_hashes_says_that_it_cannot_tell_copies():
    index = BruteForce([0, 0, 9])
    index.images.digests = None
    with pytest.warns(UserWarning, match="exact copies are listed as near ones"):
        assert found(index, 1) == [[(0, "centre"), (1, "near")]]


def test_nothing_found_says_so():
    result = find_duplicates(BruteForce([0, 9]), 1)
    assert len(result) == 0 and list(result.rows()) == []
    assert str(result).startswith("0 groups up to a squared distance of 1.0000")


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40),
    st.integers(0, 30),
    st.randoms(use_true_random=False),
)
def test_groups_against_brute_force(points, max_distance, random):
    """Stars of near pictures; whoever is left out has nobody left out beside them."""
    digests = [str(random.randrange(2 * len(points))) for _ in points]
    index = BruteForce(points, digests)
    result = find_duplicates(index, max_distance)
    away = index.distances()
    members = [row for group in result.groups for row in group.members]
    assert len(members) == len(set(members))
    for group in result.groups:
        assert len(group) > 1 and group.kinds[0] == "centre" and group.distances[0] == 0
        assert group.kinds.count("centre") == 1
        for place, (row, kind, distance) in enumerate(
            zip(group.members, group.kinds, group.distances)
        ):
            if kind == "exact":
                assert digests[row] == digests[group.members[place - 1]]
            else:
                assert digests[row] not in [digests[other] for other in group.members[:place]]
                assert distance == away[group.centre, row] <= max_distance
    group_of = {row: n for n, group in enumerate(result.groups) for row in group.members}
    for row, digest in enumerate(digests):
        same = [other for other in range(len(points)) if digests[other] == digest]
        assert len({group_of.get(other) for other in same}) == 1
        assert len(same) == 1 or row in group_of
    left = [row for row in range(len(points)) if row not in group_of]
    for row in left:
        assert not any(away[row, other] <= max_distance for other in left if other != row)
    one_way = BruteForce(points, digests, block=100, both_ways=False)
    assert find_duplicates(one_way, max_distance) == result


def test_too_many_pairs_are_refused_with_a_remedy():
    index = BruteForce(np.arange(40))
    with pytest.raises(InputError, match=r"more than 50 pairs .* give less than") as caught:
        find_duplicates(index, 1e6, max_pairs=50)
    advised = float(str(caught.value).rpartition(" ")[2])
    find_duplicates(index, 0.9 * advised, max_pairs=50)
    # copies are no pairs
    find_duplicates(BruteForce(np.zeros(40), ["same"] * 40), 1, max_pairs=1)


def test_a_group_as_a_table_and_as_text():
    result = find_duplicates(BruteForce([0, 0.5, 0], ["a", "b", "a"]), 1)
    table = result.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table.values.tolist() == [
        [1, "0.png", "centre", 0.0],
        [1, "2.png", "exact", 0.0],
        [1, "1.png", "near", 0.25],
    ]
    assert str(result.groups[0]).splitlines()[2] == "near   0.2500  1.png"
    assert str(result).endswith("1 exact copies, 1 near ones")
    large = find_duplicates(BruteForce(np.arange(30) / 100), 1)
    assert "... and 10 more\n" in str(large)


def test_the_largest_then_the_sharpest_then_the_first_is_kept():
    assert choose_keep(["c", "b", "a"], [9, 16, 16], [9.0, 1.0, 2.0]) == 2
    assert choose_keep(["c", "b", "a"], [16, 16, 16], [1.0, 1.0, 1.0]) == 2
    assert choose_keep(["c", "b"], [99, 1], [None, 0.0]) == 1  # the larger one is gone
    assert choose_keep(["c"], [99], [None]) is None
    assert choose_keep(["a", "b"], [16, 16], [1.0, 1.0], [True, False]) == 1  # a link to it


def test_sharpness_falls_with_blur_and_compares_sizes():
    picture = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(picture, (0, 0), 2)
    assert sharpness(picture) > 2 * sharpness(blurred) > 0
    assert sharpness(np.full((20, 20, 3), 7, np.uint8)) == 0


def test_the_distance_by_hand():
    # at 0.2 half of them are found and nothing else; at 0.5 one other is in the way
    same = np.array([[0.1, 0.5], [0.2, 0.9]])
    other = np.array([[0.4, 0.95], [0.6, 0.7]])
    chosen = choose_duplicate_threshold(same, other, ["crop", "text"], precision=0.9, index_size=7)
    assert (chosen.distance, chosen.precision, chosen.recall, chosen.wrong) == (0.2, 1, 0.5, 0)
    assert chosen.recalls == {"crop": 1.0, "text": 0.0}
    # 0.1 x 0.75 / (0.1 x 0.75 + 0.25)
    looser = choose_duplicate_threshold(same, other, ["crop", "text"], precision=0.2, index_size=7)
    assert (looser.distance, looser.precision) == (0.5, pytest.approx(0.075 / 0.325))
    assert "about 2 pictures of this index" in str(looser)
    with pytest.raises(InputError, match=r"no distance keeps to 0\.9"):
        choose_duplicate_threshold(same, same / 2, ["a", "b"], precision=0.9, index_size=7)


def test_long_paths_are_shortened_in_the_middle():
    assert shorten("a/b.jpg") == "a/b.jpg"
    short = shorten("holidays/2019/beach/IMG_0042.jpg", 20)
    assert len(short) == 20 and short.startswith("holidays") and short.endswith("_0042.jpg")


def test_names_that_are_no_text_are_shown_and_kept(tmp_path):
    names = [b"caf\xe9.png".decode("utf-8", "surrogateescape"), "$a$.png", "c\nd.png"]
    codes = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    images = EncodedImages(codes, paths=names, digests=["a", "a", "b"], root=str(tmp_path))
    Index.build(images).save(tmp_path / "$x^$")
    command = ["-m", "tripletnet", "duplicates", tmp_path / "$x^$", "--max-distance", "2"]
    command += ["--out", tmp_path / "out"]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    assert "centre 0.0000  caf\\udce9.png" in done.stdout
    assert b",caf\xe9.png,centre," in (tmp_path / "out/groups.csv").read_bytes()
    assert cv2.imread(str(tmp_path / "out/sheet.png")) is not None
    done = subprocess.run([sys.executable, *command, "--json"], capture_output=True, check=True)
    assert [member["path"] for member in json.loads(done.stdout)["members"]] == names


def test_a_contact_sheet_takes_what_is_not_there():
    tiles = [Tile(np.zeros((9, 4, 3), np.uint8), "$a_b$.png", "centre", True), Tile(None, "b", "")]
    figure = contact_sheet([tiles, tiles[:1]], "two groups", hidden=[4, 0])
    assert len(figure.axes) == 3
    assert any("and 4 more" in text.get_text() for text in figure.texts)
    figure.canvas.draw()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """An untrained run, a folder of forty pictures, a copy and an almost-copy; and its index."""
    from tripletnet.backend import mx
    from tripletnet.networks import get_network
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.runs import save_run

    folder = tmp_path_factory.mktemp("planted")
    mx.random.seed(0)
    encoder = get_network("article", code_size=16, image_size=16)
    encoder.initialize(mx.init.Xavier())
    encoder(mx.nd.zeros((1, 3, 16, 16), dtype="uint8"))
    save_run(folder / "run", encoder, "article")
    random = np.random.default_rng(0)
    root = folder / "pictures"
    (root / "deep").mkdir(parents=True)
    for number in range(40):
        picture = cv2.resize(random.integers(0, 256, (4, 4, 3), dtype=np.uint8), (24, 24))
        cv2.imwrite(str(root / f"{number:02d}.png"), picture)
    (root / "deep" / "copy.png").write_bytes((root / "07.png").read_bytes())
    larger = cv2.resize(cv2.imread(str(root / "03.png")), (32, 32), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(root / "deep" / "larger.png"), larger)
    loaded = Encoder.load(folder / "run")
    images, _ = loaded.encode_files([root])
    Index.build(images).save(folder / "index")
    return folder


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Keep decoded images out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def run(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([str(word) for word in words]))


def sorted_groups(members):
    groups = {}
    for member in members:
        groups.setdefault(member["group"], set()).add(member["path"])
    return sorted(groups.values(), key=sorted)


def test_the_command_finds_what_was_planted(planted, tmp_path, capsys):
    out = tmp_path / "out"
    run(planted / "index", "--keep", "best", "--out", out, "--json", "--quiet")
    told = json.loads(capsys.readouterr().out)
    assert {"07.png", "deep/copy.png"} in sorted_groups(told["members"])
    assert {"03.png", "deep/larger.png"} in sorted_groups(told["members"])
    assert (told["exact"], told["pictures"]) == (1, 42)
    assert told["max_distance"] == told["calibration"]["distance"]
    assert told["calibration"]["look_alikes"] >= 1  # 03 and its larger version
    with (out / "groups.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted_groups(rows) == sorted_groups(told["members"])
    by_path = {row["path"]: row for row in rows}
    assert by_path["deep/larger.png"]["keep"] == "yes" and by_path["03.png"]["keep"] == "no"
    assert by_path["deep/larger.png"]["width"] == "32"
    assert by_path["07.png"]["keep"] == "yes" and by_path["deep/copy.png"]["kind"] == "exact"
    assert cv2.imread(str(out / "sheet.png")) is not None
    before = sorted(planted.rglob("*"))
    run(planted / "index", "--json", "--quiet")
    again = json.loads(capsys.readouterr().out)
    assert again["calibration"] == told["calibration"]
    assert sorted(planted.rglob("*")) == before


def test_what_a_person_reads(planted, capsys):
    run(planted / "index", "--max-distance", "0", "--keep", "best")
    printed = capsys.readouterr().out
    assert "exact  0.0000  deep/copy.png" in printed
    assert "keep 07.png" in printed and "nothing was deleted" in printed
    assert "calibrated" not in printed


def test_pictures_that_are_gone_are_named(planted, tmp_path, capsys):
    gone = planted / "pictures" / "deep" / "copy.png"
    content = gone.read_bytes()
    gone.unlink()
    try:
        run(planted / "index", "--max-distance", "0", "--keep", "best", "--out", tmp_path)
    finally:
        gone.write_bytes(content)
    told = capsys.readouterr()
    assert "copy.png: cannot be read" in told.err
    with (tmp_path / "groups.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert (rows["deep/copy.png"]["width"], rows["deep/copy.png"]["keep"]) == ("", "no")
    assert rows["07.png"]["keep"] == "yes"


def test_pictures_that_have_changed_are_not_calibrated_on(planted, capsys):
    changed = planted / "pictures" / "11.png"
    content = changed.read_bytes()
    changed.write_bytes((planted / "pictures" / "12.png").read_bytes())
    try:
        run(planted / "index", "--json", "--quiet")
    finally:
        changed.write_bytes(content)
    assert json.loads(capsys.readouterr().out)["calibration"]["unreadable"] == 1


@pytest.mark.parametrize(
    "option", [("--precision", "0.9"), ("--run", "elsewhere"), ("--device", "gpu")]
)
def test_options_of_the_calibration_do_not_go_with_a_distance(planted, option):
    with pytest.raises(InputError, match=f"{option[0]} is for the calibration"):
        run(planted / "index", "--max-distance", "0.1", *option)


def test_without_the_run_or_the_pictures_a_distance_must_be_given(planted, tmp_path):
    for name in ("run", "pictures"):
        (planted / name).rename(tmp_path / name)
        try:
            with pytest.raises(InputError, match="give --max-distance"):
                run(planted / "index", "--quiet")
            run(planted / "index", "--max-distance", "0.01")
        finally:
            (tmp_path / name).rename(planted / name)


def test_a_negative_distance_is_refused(planted):
    with pytest.raises(InputError, match="0 or more"):
        run(planted / "index", "--max-distance", "-1")


def test_the_content_hash_is_of_the_file(planted):

    images = Index.load(planted / "index").images
    content = (planted / "pictures" / "07.png").read_bytes()
    assert images.digests[images.paths.index("07.png")] == hashlib.sha256(content).hexdigest()
