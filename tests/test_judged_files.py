"""Files of triplets and pairs: what is read, what is refused and what is left out, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tripletnet.data.batches import assemble
from tripletnet.data.judged_file import load_judged, read_judged
from tripletnet.data.path_table import read_path_table
from tripletnet.data.sampling import UniformSampler
from tripletnet.errors import InputError

pytestmark = pytest.mark.usefixtures("own_cache")

GOOD = "anchor,same,diff\na/0.png,a/1.png,b/0.png\n"


def write(folder: Path, text: str, name: str = "judged.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_name_pictures_by_paths_relative_to_the_file(photos):
    file = write(
        photos, "note,diff,same,anchor\nx,b/0.png,a/1.png,./a/0.png\n,b/1.png,a/0.png,a/1.png\n"
    )
    table = read_path_table(file, ("anchor", "same", "diff"))
    named = [[table.files[place] for place in row] for row in table.rows]
    assert named == [["a/0.png", "a/1.png", "b/0.png"], ["a/1.png", "a/0.png", "b/1.png"]]
    assert table.root == photos and table.unused == ["note"]
    assert table.place(1) == f"{file}, line 3"
    assert table.rows.dtype == np.int32


def test_paths_start_from_the_folder_of_pictures_and_may_lie_anywhere(photos, tmp_path):
    elsewhere = write(tmp_path, "a,b,similar\n0.png,../b/0.png,yes\n0.png,1.png,0\n")
    table = read_path_table(elsewhere, ("a", "b"), "similar", photos / "a")
    assert table.root == photos
    assert table.files == ["a/0.png", "b/0.png", "a/1.png"]
    assert table.truths.tolist() == [1, 0]
    absolute = write(tmp_path, f"a,b,similar\n{photos / 'a/0.png'},{photos / 'a/1.png'},TRUE\n")
    assert read_path_table(absolute, ("a", "b"), "similar").root == tmp_path


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("triplets", "", "line 1: has no column 'anchor'"),
        ("triplets", "a/0.png,a/1.png,b/0.png\n", "begin the file with the line anchor,same,diff"),
        ("triplets", "anchor,same,diff,same\n", "more than one column 'same'"),
        ("triplets", "anchor,same,diff\n", "has no rows"),
        ("triplets", GOOD + "a/0.png,a/1.png\n", "line 3: has 2 fields"),
        ("triplets", GOOD + "\na/0.png,,b/0.png\n", "line 4: same is empty"),
        ("triplets", GOOD + "a/0.png,a/9.png,b/0.png\n", "line 3: a/9.png: No such file"),
        ("triplets", GOOD + "a/0.png,b/0.png,./b/0.png\n", "line 3: same and diff are the same"),
        ("triplets", GOOD + '"a/0.png,', "line 3: not CSV"),
        ("pairs", "a,b,similar\na/0.png,a/1.png,maybe\n", "line 2: similar is 'maybe'"),
        ("pairs", "a,b\na/0.png,a/1.png\n", "no column 'similar'"),
        ("pairs", "a,b,similar\na/0.png,b/0.png,0\n", "no pair is similar"),
    ],
)
def test_a_bad_row_is_named_by_its_line(photos, kind, text, said):
    file = write(photos, text)
    with pytest.raises(InputError) as raised:
        load_judged(kind, file, validation=0)
    assert said in str(raised.value)
    assert str(file) in str(raised.value) or "pair is similar" in said
    assert "\n" not in str(raised.value)


def test_files_that_cannot_be_read(photos, tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_judged("triplets", photos / "none.csv")
    with pytest.raises(InputError, match="no such folder"):
        read_judged("triplets", write(photos, GOOD), photos / "nowhere")
    (photos / "latin.csv").write_bytes(GOOD.encode() + b"a/0.png,a/1.png,\xe9.png\n")
    with pytest.raises(InputError, match="not in UTF-8"):
        read_judged("triplets", photos / "latin.csv")


def test_pictures_that_cannot_be_used_take_their_rows_with_them(photos):
    (photos / "broken.png").write_bytes(b"nothing")
    rows = "a/0.png,broken.png,b/1.png\na/0.png,a/1.png,b/4.png\n"  # b/4 is a copy of a/0
    file = write(photos, GOOD + rows)
    data = read_judged("triplets", file, size=8)
    assert len(data.train) == 1 and data.train.rows.tolist() == [[0, 1, 2]]
    assert data.train.images.paths == ["a/0.png", "a/1.png", "b/0.png"]
    assert [item.path for item in data.left_out] == ["broken.png"]
    told = "; ".join(data.notices)
    assert f"cannot be used: 1 (the first: {file}, line 3)" in told
    assert f"byte for byte the same picture: 1 (the first: {file}, line 4)" in told
    with pytest.raises(InputError, match=r"line 3: broken\.png: "):
        read_judged("triplets", file, size=8, strict=True)
    with pytest.raises(InputError, match=r"line 3: rows call two different"):
        read_judged("triplets", write(photos, GOOD + "a/0.png,a/1.png,b/4.png\n"), strict=True)
    with pytest.raises(InputError, match="no row can be used"):
        read_judged("triplets", write(photos, "anchor,same,diff\n" + rows))


def test_batches_are_anchors_then_sames_then_diffs(photos):
    data = read_judged("triplets", write(photos, GOOD + "b/1.png,b/0.png,a/2.png\n"), size=8)
    pixels, _ = assemble(data.train, UniformSampler(2, 2, seed=1), 0)
    order = UniformSampler(2, 2, seed=1).indices(0)
    images = data.train.images
    for place, row in enumerate(order):
        for column in range(3):
            shown = pixels[column * 2 + place].transpose(1, 2, 0)
            wanted = images.take(data.train.rows[row, column : column + 1])[0]
            np.testing.assert_array_equal(shown, wanted)


def test_batches_of_pairs(photos):
    text = "a,b,similar\na/0.png,a/1.png,1\nb/0.png,a/2.png,0\n"
    data = read_judged("pairs", write(photos, text), size=8)
    pixels, similar = data.train.draw(np.array([1, 0, 1]))
    assert pixels.shape == (6, 8, 8, 3) and similar.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(pixels[0], pixels[2])


def paint_30(photos: Path, random: np.random.Generator) -> None:
    for number in range(30):
        noise = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(photos / f"{number}.png")


def many_triplets(photos: Path, count: int = 40) -> Path:
    random = np.random.default_rng(0)
    paint_30(photos, random)
    rows = [random.permutation(30)[:3] for _ in range(count)]
    text = "".join(",".join(f"{place}.png" for place in row) + "\n" for row in rows)
    return write(photos, "anchor,same,diff\n" + text)


def test_no_picture_is_on_both_sides_and_what_is_dropped_is_counted(photos):
    file = many_triplets(photos, 400)
    data = load_judged("triplets", file, validation=0.4, size=8)
    sides = [set(part.images.digests) for part in (data.train, data.validation)]
    assert sides[0].isdisjoint(sides[1]) and all(sides)
    learnt, chosen = len(data.train), len(data.validation)
    (notice,) = data.notices
    assert notice.startswith(f"{learnt:,} rows to learn from, {chosen:,} to validate on, and ")
    assert f"{400 - learnt - chosen} not used" in notice
    again = load_judged("triplets", file, split=data.split, size=8)
    assert again.train.identity() == data.train.identity()
    assert {data.split[digest] for digest in sides[1]} == {"validation"}


def test_nothing_is_held_out_where_it_would_tell_nothing(photos):
    data = load_judged("triplets", many_triplets(photos), size=8)
    assert data.validation is None and len(data.train) == 40
    assert "nothing is held out" in data.notices[0]
    with pytest.raises(InputError, match=r"validation 0\.05: 0 of 40 rows are of held-out"):
        load_judged("triplets", many_triplets(photos), validation=0.05, size=8)
    assert load_judged("triplets", many_triplets(photos), validation=0, size=8).validation is None


def test_a_file_to_validate_on(photos):
    file, other = many_triplets(photos), write(photos, GOOD, "other.csv")
    data = load_judged("triplets", file, validation_file=other, size=8)
    assert (len(data.train), len(data.validation)) == (40, 1)
    assert not data.notices
    # so that `evaluate` counts none of either as unseen
    assert set(data.split) == {*data.train.images.digests, *data.validation.images.digests}
    assert {data.split[content] for content in data.train.images.digests} == {"train"}
    same = load_judged("triplets", file, validation_file=file, size=8)
    assert "learnt from and validated on: 30 of 30" in same.notices[0]
    with pytest.raises(InputError, match="leave one of the two out"):
        load_judged("triplets", file, validation=0.1, validation_file=other)


def test_where_all_pairs_are_similar_different_ones_are_drawn(photos):
    names = [f"{folder}/{i}.png" for folder in "ab" for i in range(4)]
    rows = [f"{a},{b},1\n" for a, b in zip(names[:-1], names[1:])]
    data = load_judged("pairs", write(photos, "a,b,similar\n" + "".join(rows)), validation=0)
    pairs = data.train
    assert pairs.truths.tolist() == [1] * 7 + [0] * 7
    assert "7 different pairs were drawn" in "; ".join(data.notices)
    linked = {frozenset(row) for row in pairs.rows[:7].tolist()}
    for row in pairs.rows[7:].tolist():
        assert len(set(row)) == 2 and frozenset(row) not in linked
    with pytest.raises(InputError, match="too few others to draw different pairs from"):
        load_judged("pairs", write(photos, "a,b,similar\n" + rows[0]), validation=0)


def test_no_different_pair_is_drawn_of_copies_or_of_what_a_copy_is_similar_to(photos):
    for number in range(4):
        copy = photos / f"copy {number}.png"
        copy.write_bytes((photos / f"a/{number}.png").read_bytes())
    rows = [f"a/{i}.png,a/{i + 1}.png,1\n" for i in range(3)]
    rows += [f"copy {i}.png,b/{i}.png,1\n" for i in range(4)]
    file = write(photos, "a,b,similar\n" + "".join(rows))
    for seed in range(20):
        pairs = load_judged("pairs", file, validation=0, seed=seed, size=8).train
        contents = np.array(pairs.images.digests)[pairs.rows]
        similar, different = contents[:7], contents[7:]
        linked = {frozenset(row) for row in similar.tolist()}
        for row in different.tolist():
            assert len(set(row)) == 2 and frozenset(row) not in linked


def test_held_out_pairs_of_which_none_is_similar(photos):
    paint_30(photos, np.random.default_rng(0))
    pairs = [(a, b) for a in range(30) for b in range(a)]
    rows = [f"{a}.png,{b}.png,{int(a == b + 1 == 2)}\n" for a, b in pairs] * 40
    file = write(photos, "a,b,similar\n" + "".join(rows))
    data = load_judged("pairs", file, size=8)
    assert data.validation is None and data.train.truths.sum() == 40
    assert set(data.split.values()) == {"train"}
    assert data.notices == [
        "nothing is held out: among the held-out rows, no pair is similar, so that nothing shows "
        "what is; give a share of pictures or a file of rows to validate on (--validation-file)"
    ]
    with pytest.raises(InputError) as raised:
        load_judged("pairs", file, validation=0.1, size=8)
    assert str(raised.value) == (
        "validation 0.1: among the held-out rows, no pair is similar, so that nothing shows what "
        "is: give another share, or a file of rows to validate on (--validation-file)"
    )
    # it is the file that lacks them, whatever is held out
    different = write(photos, "a,b,similar\n" + "".join(rows).replace(",1\n", ",0\n"), "no.csv")
    for share in (None, 0.2):
        with pytest.raises(InputError, match=r"^no: no pair is similar.*: add some$"):
            load_judged("pairs", different, validation=share, size=8)
