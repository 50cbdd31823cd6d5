"""The command evaluate: a run or codes in, a report out."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import warnings

import numpy as np
import pytest

from tripletnet.commands import evaluate
from tripletnet.data.opencv import cv2
from tripletnet.errors import InputError
from tripletnet.judging import judge_run, load_run_data
from tripletnet.training import bf16


def run(*words) -> None:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    evaluate.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def codes_file(tmp_path):
    """Forty codes of two classes, with pictures of half of them."""
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    codes = random.normal(size=(40, 6)) + 3 * labels[:, None]
    (tmp_path / "pictures").mkdir()
    paths = [f"pictures/{i}.png" for i in range(40)]
    for path in paths[::2]:
        cv2.imwrite(str(tmp_path / path), np.full((20, 20, 3), 99, np.uint8))
    np.savez(tmp_path / "codes.npz", codes=codes, labels=np.array(["a", "b"])[labels], paths=paths)
    return tmp_path / "codes.npz"


def test_codes_from_anywhere(codes_file, tmp_path, capsys):
    run(codes_file, tmp_path, "--out", tmp_path / "report", "--recall-target", "0.5", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert (told["dataset"], told["classes"], told["queries"]) == ("codes", ["a", "b"], 40)
    assert (told["threshold"]["target"], told["threshold"]["value"]) == ("recall", 0.5)
    assert not told["unit_length"]
    assert any("learnt from them is not known" in note for note in told["notes"])
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert 'alt="a"' in page and 'class="picture nothing"' in page
    assert 'title="pictures/1.png"' in page


def test_pictures_that_cannot_be_shown_are_told(codes_file, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    run(codes_file, tmp_path / "elsewhere", "--out", tmp_path / "report")
    assert "pictures cannot be shown" in capsys.readouterr().err
    with pytest.raises(InputError, match="nowhere: no such folder"):
        run(codes_file, tmp_path / "nowhere", "--out", tmp_path / "report")
    stored = dict(np.load(codes_file))
    del stored["paths"]
    np.savez(tmp_path / "bare.npz", **stored)
    with pytest.raises(InputError, match="has no field paths"):
        run(tmp_path / "bare.npz", tmp_path, "--out", tmp_path / "report")


def test_codes_whose_name_is_not_unicode_are_refused(codes_file, tmp_path):
    odd = codes_file.rename(tmp_path / b"no\xffname.npz".decode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="not valid UTF-8: rename it"):
        run(odd, "--out", tmp_path / "report")


def test_a_report_is_no_file(codes_file):
    with pytest.raises(InputError, match=r"codes\.npz: is a file"):
        run(codes_file, "--out", codes_file)


def test_what_a_person_reads(codes_file, tmp_path, capsys):
    run(codes_file, "--out", tmp_path / "report")
    printed = capsys.readouterr().out
    assert printed.startswith("codes. ") and "of 40 queries" in printed
    assert printed.rstrip().endswith("report.html")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--control"], "give a run folder"),
        (["--fpr-target", "1.5"], "makes no sense"),
        (["--precision-target", "0"], "makes no sense"),
        (["--precision", "int8"], "--precision: a file of codes has no encoder"),
        (["--root", "x"], "--root: a file of codes has no encoder"),
        (["--device", "gpu"], "--device: a file of codes has no encoder"),
    ],
)
def test_what_codes_cannot_have_is_refused(codes_file, tmp_path, options, complaint):
    with pytest.raises(InputError, match=complaint):
        run(codes_file, "--out", tmp_path / "report", *options)
    assert not (tmp_path / "report").exists()


def test_codes_of_no_known_class_are_left_out_and_counted(codes_file, tmp_path, capsys):
    stored = dict(np.load(codes_file))
    stored["labels"][:4] = ""
    np.savez(tmp_path / "some.npz", **stored, root=str(codes_file.parent))
    (tmp_path / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "elsewhere")  # the file tells where its pictures lie
        run(tmp_path / "some.npz", "--out", tmp_path / "report", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["classes"], told["queries"]) == (["a", "b"], 36)
    assert any("4 codes are of no known class" in note for note in told["notes"])
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert 'class="picture nothing"' in page and page.count("data:image/") > 2
    stored["labels"][:] = ""
    np.savez(tmp_path / "none.npz", **stored)
    with pytest.raises(InputError, match="no code has a class"):
        run(tmp_path / "none.npz", "--out", tmp_path / "report")


def test_codes_without_labels_are_refused(tmp_path):
    np.savez(tmp_path / "c.npz", codes=np.eye(4))
    with pytest.raises(InputError, match=r"c\.npz: has no field labels"):
        run(tmp_path / "c.npz", "--out", tmp_path / "report")
    with pytest.raises(InputError, match="no such file"):
        run(tmp_path / "none", "--out", tmp_path / "report")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve images in each of four classes: a bright stripe each, in noise."""
    root = tmp_path_factory.mktemp("data") / "stripes"
    random = np.random.default_rng(0)
    for label, name in enumerate(("north", "south", "west", "east")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            picture = random.integers(0, 60, (16, 16, 3), dtype=np.uint8)
            picture[4 * label : 4 * label + 4] += 150
            cv2.imwrite(str(root / name / f"{number}.png"), picture)
    return root


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """A run on that folder, with one class held out."""
    from tripletnet.data import load_data
    from tripletnet.training import TrainingConfig, train_run

    data = load_data(
        str(folder), size=16, validation=0.25, test=0.25, hold_out_classes=["west", "east"]
    )
    out = tmp_path_factory.mktemp("run")
    config = TrainingConfig(images=48, code_size=8, batch_size=12, shift=0, flip=False)
    about = {"source": data.recipe}
    train_run(data.splits.train, config, out, about=about, split=data.split, quiet=True)
    return out


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Keep decoded images out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_run_is_judged_on_its_own_split(trained, folder, tmp_path, capsys):
    run(trained, folder, "--out", tmp_path, "--control", "--quiet", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["dataset"], told["network"], told["images"]) == ("stripes", "article", 48)
    assert (told["probe_fitted_on"], told["probe_scored_on"], told["queries"]) == (12, 6, 6)
    assert 0 <= told["control_accuracy"] <= 1 and 0 <= told["control_probe_accuracy"] <= 1
    assert told["held_out"]["queries"] == 24
    assert set(told["held_out"]["per_class"]) == {"west", "east"}
    assert told["threshold"]["same_pairs"] == 2 * 3  # three validation images a class
    stored = json.loads((trained / "threshold.json").read_text("utf-8"))
    described = json.loads((trained / "run.json").read_text("utf-8"))
    assert stored.pop("fingerprint") == described["fingerprint"]
    assert stored == told["threshold"]
    assert told["notes"][0].startswith("The run's own threshold is now a squared distance of ")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Curves of training" in page and "article network, triplet loss" in page


def test_how_far_encoding_is_is_told_of_each_part(trained, folder):

    told = {}
    judge_run(
        trained,
        load_run_data(trained, str(folder)),
        control=True,
        quiet=True,
        progress=lambda stage, done, total: told.update({stage: (done, total)}),
    )
    parts = {"test": 6, "train": 12, "validation": 6, "held-out classes": 24}
    parts.update({"train by the control": 12, "test by the control": 6})
    assert told == {f"encoding {part}": (count, count) for part, count in parts.items()}


def test_a_control_that_cannot_be_trained_as_the_run_was_says_so(
    trained, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(bf16, "has_bf16_units", lambda: False)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(trained, elsewhere)
    described = json.loads((elsewhere / "run.json").read_text("utf-8"))
    described["training"]["precision"] = "bf16"
    (elsewhere / "run.json").write_text(json.dumps(described), "utf-8")
    with pytest.warns(UserWarning, match="its control is trained in fp32"):
        run(elsewhere, folder, "--out", tmp_path / "report", "--control", "--quiet")


def test_a_run_needs_something_that_it_has_not_seen(trained, folder, tmp_path):
    with pytest.raises(InputError, match="give that folder as DATA"):
        run(trained, "--out", tmp_path / "report", "--quiet")
    with pytest.raises(InputError, match="root tells where CIFAR-10 lies and does not go with"):
        run(trained, folder, "--root", folder, "--out", tmp_path / "report", "--quiet")
    untold = tmp_path / "untold"
    shutil.copytree(trained, untold)
    described = json.loads((untold / "run.json").read_text("utf-8"))
    for source, complaint in (
        ({}, "does not tell what it was trained on"),
        ({"kind": "triplets"}, r"split\.json: no such file"),
    ):
        (untold / "run.json").write_text(json.dumps({**described, "source": source}), "utf-8")
        (untold / "split.json").unlink(missing_ok=True)
        data = [folder] if source else []
        with pytest.raises(InputError, match=complaint):
            run(untold, *data, "--out", tmp_path / "report", "--quiet")
    split = json.loads((trained / "split.json").read_text("utf-8"))
    learnt = tmp_path / "run"
    learnt.mkdir()
    for name in ("run.json", "encoder.params"):
        (learnt / name).write_bytes((trained / name).read_bytes())
    split["images"] = {content: "train" for content in split["images"]}
    (learnt / "split.json").write_text(json.dumps(split), "utf-8")
    with pytest.raises(InputError, match="nothing that the encoder has not seen: all 48 images"):
        run(learnt, folder, "--out", tmp_path / "report", "--quiet")
    assert not (tmp_path / "report").exists()


def test_a_run_needs_two_unseen_images_of_a_class(trained, tmp_path):
    few = tmp_path / "few"
    for number, name in enumerate(("north", "south")):
        (few / name).mkdir(parents=True)
        cv2.imwrite(str(few / name / "0.png"), np.full((16, 16, 3), 90 * number, np.uint8))
    with pytest.raises(InputError, match=r"few: no class has two of the 2 images .* a larger test"):
        run(trained, few, "--out", tmp_path / "report", "--quiet")
    assert not (tmp_path / "report").exists()


def test_other_images_are_unseen_and_leave_the_runs_threshold_alone(trained, tmp_path, capsys):
    random = np.random.default_rng(1)
    other = tmp_path / "other"
    for name in ("north", "up"):
        (other / name).mkdir(parents=True)
        for number in range(6):
            picture = random.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            cv2.imwrite(str(other / name / f"{number}.png"), picture)
    (trained / "threshold.json").write_text('{"distance": 0.25}', "utf-8")
    run(trained, other, "--out", tmp_path / "report", "--quiet", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["dataset"], told["queries"]) == ("other", 12)
    assert any("12 images unknown to the run" in note for note in told["notes"])
    assert any(
        "1 of the 2 classes are none that the encoder learnt: up" in n for n in told["notes"]
    )
    assert any("random half of the test codes" in note for note in told["notes"])
    assert (trained / "threshold.json").read_text("utf-8") == '{"distance": 0.25}'
    assert "these are not the images that the run was trained on" in told["notes"][0]
    with pytest.raises(InputError, match="control: there are no images of the run's training part"):
        run(trained, other, "--out", tmp_path / "report", "--quiet", "--control")


def test_a_folder_may_be_called_as_a_kind_of_data_is(trained, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pairs", "folder"):
        shutil.copytree(folder, name)
        assert len(load_run_data(trained, name).splits.train) == 12


def test_the_runs_images_are_known_by_what_they_are(trained, folder, tmp_path, capsys):
    run_folder = tmp_path / "run"
    shutil.copytree(trained, run_folder)
    own = run_folder / "threshold.json"
    # under another name they are the same, and under the same name others are not
    shutil.copytree(folder, tmp_path / "renamed")
    run(run_folder, tmp_path / "renamed", "--fpr-target", "0.2", "--out", tmp_path / "r", "--quiet")
    assert json.loads(own.read_text("utf-8"))["value"] == 0.2
    assert "threshold is now" in capsys.readouterr().out
    # what it was chosen for stays until another target is given
    run(run_folder, folder, "--out", tmp_path / "r", "--quiet", "--json")
    assert json.loads(capsys.readouterr().out)["threshold"]["value"] == 0.2
    assert json.loads(own.read_text("utf-8"))["value"] == 0.2
    data = load_run_data(run_folder, folder)
    for asked, expected in (
        ({"value": 0.5}, ("false_positive_rate", 0.5)),
        ({"target": "recall", "value": 1}, ("recall", 1)),
        ({}, ("recall", 1)),
        ({"target": "precision"}, ("precision", 0.01)),
    ):
        chosen = judge_run(run_folder, data, **asked).threshold
        assert (chosen.target, chosen.value) == expected
    before = own.read_text("utf-8")
    own.write_text(json.dumps({**json.loads(before), "target": "nonsense"}), "utf-8")
    with pytest.raises(InputError, match=r"threshold\.json: .*'nonsense' .* remove the file"):
        judge_run(run_folder, data)
    own.write_text(before, "utf-8")
    fewer = tmp_path / "fewer" / folder.name
    shutil.copytree(folder, fewer)
    parts = json.loads((trained / "split.json").read_text("utf-8"))["images"]
    contents = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path for path in fewer.rglob("*.png")
    }
    next(contents[content] for content, part in parts.items() if part == "train").unlink()
    before = own.read_bytes()
    for data, options in ((fewer, []), (folder, ["--precision", "int8"])):
        run(run_folder, data, "--out", tmp_path / "r", "--quiet", *options)
        assert own.read_bytes() == before
        assert "threshold was left as it is" in capsys.readouterr().out
    # a data set of a fixed content, of which there are copies
    described = json.loads((run_folder / "run.json").read_text("utf-8"))
    described["source"]["kind"] = "cifar10"
    (run_folder / "run.json").write_text(json.dumps(described), "utf-8")
    with pytest.warns(UserWarning, match="trained on another copy of it .* give its folder as"):
        run(run_folder, fewer, "--out", tmp_path / "r", "--quiet")
    # what learns without labels has learnt from some of the images only
    described["classes"] = []
    (run_folder / "run.json").write_text(json.dumps(described), "utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        run(run_folder, fewer, "--out", tmp_path / "r", "--quiet")
