"""The report for people: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest

from tripletnet.data.opencv import cv2
from tripletnet.evaluation.judgement import Control, judge
from tripletnet.evaluation.parts import Codes
from tripletnet.evaluation.report import write_report
from tripletnet.plots import confusion_matrix, figure_png, picture_data, projection

SECTIONS = [
    "Figures",
    "Same or not",
    "Neighbours",
    "Map of the codes",
    "SVM probe",
    "Classes",
    "Training",
    "What was left out",
]
EMPTY = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.images: list[dict] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        assert tag not in {"script", "link", "iframe", "object"}
        assert not any(name.startswith("on") for name in values)
        assert values.get("src", "data:image/").startswith("data:image/")
        assert values.get("href", "#").startswith("#")
        self.links += [values["href"][1:]] if "href" in values else []
        self.ids += [values["id"]] if "id" in values else []
        self.styles += (values.get("class") or "").split()
        self.images += [values] if tag == "img" else []
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            assert "url(" not in data and "@import" not in data
        elif self.open and self.open[-1] == "h2":
            self.headings.append(data)
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def some(labels, each=8, seed=0, **known) -> Codes:
    random = np.random.default_rng(seed)
    named = np.repeat(labels, each)
    codes = np.eye(max(labels) + 5)[named] + 0.3 * random.normal(size=(len(named), max(labels) + 5))
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return Codes(codes.astype(np.float32), named, **known)


def grey(indices):
    return [np.full((20, 30, 3), index, np.uint8) for index in indices]


def page_of(tmp_path, judgement, **known) -> Page:
    write_report(tmp_path / "report.html", judgement, **known)
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Page:
    """The page of a run of which everything is known."""
    judgement = judge(
        some([0, 1, 2], paths=[f"in/{i}.jpg" for i in range(24)], pictures=grey),
        ["ant", "bee & <b>wasp</b>", "cow", "dog", "elk"],
        train=some([0, 1, 2], seed=1),
        validation=some([0, 1, 2], seed=2),
        held_out=some([3, 4], seed=3, pictures=grey),
        control=Control(0.5, 0.625),
        dataset="Beasts <& friends>",
        notes=["a $note of <things>"],
    )
    return page_of(
        tmp_path_factory.mktemp("full"),
        judgement,
        about=["run runs/x"],
        history=[{"images": i, "loss": 1 / i, "active": 0.5, "spread": 0.9} for i in (1, 2, 3)],
        validation=[{"images": 3, "recall_at_1": 0.5}],
    )


def test_every_section_is_there_and_can_be_reached(full):
    assert full.headings[1:] == SECTIONS  # the first is the verdict
    assert full.links and set(full.links) <= set(full.ids)
    assert len(set(full.ids)) == len(full.ids) == len(SECTIONS)


def test_text_is_told_as_it_is(full):
    for words in (
        "Beasts <& friends>: can these codes be trusted?",
        "run runs/x · 24 test images of 3 classes · codes of 7 numbers · 16 images of 2 held-out",
        "bee & <b>wasp</b>",
        "a $note of <things>",
        "Control, softmax",
        "62.5 %",
        "held-out classes",
        "MAP@R",
    ):
        assert words in full.text
    assert "$" not in full.text.replace("a $note", "")


def test_pictures_lie_in_the_page(full):
    charts = [image for image in full.images if image["class"] == "chart"]
    assert len(charts) == 6  # histogram, threshold, two maps, confusion, training
    for image in charts:
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/png;base64" and image["alt"]
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert pixels.std() > 5
    tiles = [image for image in full.images if image["class"] == "picture"]
    # ten random queries and six worst (two of each of three classes), each with ten neighbours;
    # of the held-out classes ten and four
    assert len(tiles) == (10 + 6 + 10 + 4) * 11
    assert full.styles.count("query") == 30
    assert full.styles.count("right") + full.styles.count("wrong") == 300


def test_without_pictures_paths_history_and_parts(tmp_path):
    page = page_of(tmp_path, judge(some([0, 1, 2]), ["ant", "bee", "cow"], dataset="codes"))
    assert page.headings[1:] == [name for name in SECTIONS if name != "Training"]
    assert {image["class"] for image in page.images} == {"chart"}
    assert page.styles.count("nothing") == 16 * 11
    assert "held-out" not in page.text and "Control" not in page.text
    assert "random half of the test codes" in page.text


def test_pictures_that_are_missing_leave_an_empty_tile(tmp_path):
    codes = some([0, 1, 2], pictures=lambda indices: [None] * len(indices))
    page = page_of(tmp_path, judge(codes, ["ant", "bee", "cow"]))
    assert page.styles.count("nothing") == 16 * 11


def test_codes_that_are_all_the_same_have_a_report_too(tmp_path):
    codes = Codes(np.ones((12, 1), np.float32), np.arange(12) % 3)
    page = page_of(tmp_path, judge(codes, ["ant", "bee", "cow"]))
    assert "collapsed" in page.text and "There is no threshold" in page.text
    assert "inf" not in page.text.replace("information", "") and "nan" not in page.text


def test_sixty_classes(tmp_path):
    names = [f"class {number}" for number in range(60)]
    page = page_of(tmp_path, judge(some(range(60), each=4), names))
    assert "60 classes" in page.text
    assert page.styles.count("bar") > 4 * 60


def test_names_are_drawn_letter_by_letter():
    names = ["$a_b^c$", "_hidden", "夏", "long " * 20]
    points, labels = np.random.default_rng(0).normal(size=(12, 2)), np.arange(12) % 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = [
            projection(points, labels, names, "$_$"),
            confusion_matrix(np.eye(4, dtype=int), names, "$_$"),
        ]
        for figure in figures:
            figure_png(figure)
    (legend,) = figures[0].legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == [r"\$a_b^c\$", " _hidden", "夏", "long long …ng long long "]


def test_no_name_on_the_map_covers_another():
    points = np.random.default_rng(0).normal(size=(300, 2))
    many = projection(points, np.arange(300) % 150, [f"class {i}" for i in range(150)], "codes")
    assert not many.legends and not many.axes[0].texts
    assert many.axes[0].get_title() == "codes; 150 classes, which share 20 colours"
    figure = projection(points, np.arange(300) % 60, [f"class {i}" for i in range(60)], "codes")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 60
    for i, box in enumerate(boxes):
        for other in boxes[:i]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            height = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert width < 2 or height < 2


@pytest.mark.parametrize(
    ("shape", "kind", "small"),
    [((32, 32), "png", (32, 32)), ((48, 90), "jpeg", (48, 90)), ((300, 200), "jpeg", (96, 64))],
)
def test_picture_data(shape, kind, small):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    told, data = picture_data(picture)
    assert told == f"image/{kind}"
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert stored.shape == (*small, 3)
    if kind == "png":
        assert np.array_equal(stored, picture)
