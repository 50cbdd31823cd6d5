"""The report for people: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template

import numpy as np
from matplotlib.figure import Figure

from tripletnet.evaluation.html import escape, image, paragraph, section
from tripletnet.evaluation.judgement import Judgement
from tripletnet.evaluation.neighbour_grid import neighbour_grid
from tripletnet.evaluation.projection import project_pca, project_tsne
from tripletnet.evaluation.tables import (
    class_table,
    confusions_table,
    figures_table,
    rates_table,
)
from tripletnet.evaluation.verdict import Verdict, verdict
from tripletnet.files import PathLike, write_text
from tripletnet.plots import (
    confusion_matrix,
    distance_histogram,
    figure_png,
    projection,
    threshold_curve,
    training_curves,
)

#: How many codes are drawn in two dimensions.
DRAWN_CODES = 2000
#: How many lines the list of what was left out has at the most.
LISTED_NOTES = 100

_QUERIES = (
    "Every test image is a query once; the others are ranked by the {unit} distance of their "
    "codes. A hit is an image of the query's class, R is how many others there are of it. A query "
    "is never in its own list."
)

Rows = Sequence[Mapping[str, float]]


def write_report(
    path: PathLike,
    judgement: Judgement,
    *,
    about: Sequence[str] = (),
    history: Rows = (),
    validation: Rows = (),
    seed: int = 0,
) -> None:
    """Write a judgement as one HTML file that needs nothing else.

    Parameters
    ----------
    path : str or Path
        Where to.
    judgement : Judgement
        What to tell. Pictures are shown where its codes give some.
    about : sequence of str
        What was judged, a phrase each: the run, its network, how long it was trained.
    history, validation : sequence of rows
        How training went, see :func:`tripletnet.plots.training_curves`.
    seed : int
        Decides which codes are drawn in two dimensions, and t-SNE.
    """
    words = verdict(judgement)
    unit = judgement.test.pairs.distance.label
    parts = {
        "Figures": [figures_table(judgement), paragraph(_QUERIES.format(unit=unit), "soft")],
        "Same or not": _threshold(judgement),
        "Neighbours": _neighbours(judgement),
        "Map of the codes": _maps(judgement, seed),
        "SVM probe": _probe(judgement),
        "Classes": _classes(judgement),
        "Training": _training(judgement, history, validation),
        "What was left out": _notes(judgement),
    }
    present = {title: content for title, content in parts.items() if content}
    names = {title: title.lower().replace(" ", "-") for title in present}
    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    columns = 1 + judgement.test.random.found.shape[1]
    page = Template(template).substitute(
        title=escape(f"{judgement.dataset}: can these codes be trusted?"),
        about=" &middot; ".join(escape(phrase) for phrase in _about(judgement, about)),
        verdict=_verdict(words),
        links="".join(f'<a href="#{name}">{escape(title)}</a>' for title, name in names.items()),
        sections="\n".join(
            section(names[title], title, *content) for title, content in present.items()
        ),
        footer=escape(f"Distances are {unit} distances of the codes."),
        columns=columns,
    )
    write_text(path, page)


def _about(judgement: Judgement, about: Sequence[str]) -> list[str]:
    test = judgement.test
    facts = [
        *about,
        f"{len(test.codes):,} test images of {len(test.per_class)} classes",
        f"codes of {test.codes.codes.shape[1]:,} numbers",
    ]
    if judgement.held_out is not None:
        held = judgement.held_out
        facts.append(f"{len(held.codes):,} images of {len(held.per_class)} held-out classes")
    return facts


def _verdict(words: Verdict) -> str:
    listed = "".join(f"<li>{escape(reason)}</li>" for reason in words.reasons)
    cautions = "".join(
        f"<li><strong>Beware:</strong> {escape(caution)}</li>" for caution in words.cautions
    )
    return (
        f'<div class="verdict {words.grade}"><h2>{escape(words.headline)}</h2>'
        f"<ul>{listed}{cautions}</ul></div>"
    )


def _threshold(judgement: Judgement) -> list[str]:
    test, threshold, name = judgement.test, judgement.threshold, judgement.dataset
    distance = None if threshold is None else threshold.distance
    unit = test.pairs.distance.label
    histogram = distance_histogram(
        test.pairs.same,
        test.pairs.different,
        distance,
        f"{name}: distances of {'sampled' if test.pairs.sampled else 'all'} pairs of test images",
        unit,
    )
    content = [_chart(histogram, "Histogram of the distances of same and of different pairs")]
    if threshold is None:
        return content
    wanted = threshold.target.replace("_", " ").replace("false positive", "false-positive")
    title = f"{name}: what a threshold comes to, validation pairs"
    curve = threshold_curve(threshold.curve, threshold.distance, title, unit)
    pairs = f"{threshold.same_pairs:,} same and {threshold.different_pairs:,} different pairs"
    return [
        paragraph(
            f"Two images count as the same up to a distance of {threshold.distance:.4g}. This was "
            f"chosen for a {wanted} of {threshold.value:g} on {pairs} of validation images"
            f"{', of which a sample was measured' if threshold.sampled else ''}."
        ),
        rates_table(judgement),
        paragraph(
            "Precision: same pairs among those joined; it falls where there are more classes. "
            "Recall: same pairs that are joined. False-positive rate: different pairs that are "
            "joined.",
            "soft",
        ),
        *content,
        _chart(curve, "Precision, recall and false-positive rate over the distance"),
    ]


def _neighbours(judgement: Judgement) -> list[str]:
    test, unseen = judgement.test, judgement.held_out
    grids = [
        ("Random queries", test, test.random),
        ("Worst queries by average precision, at most two of a class", test, test.worst),
    ]
    if unseen is not None:
        grids += [
            ("Random queries of held-out classes", unseen, unseen.random),
            ("Worst queries of held-out classes", unseen, unseen.worst),
        ]
    return [
        paragraph(
            "Left: the query. Then its nearest neighbours with their classes and "
            f"{test.pairs.distance.label} distances. Solid green: of the query's class; dashed "
            "red: of another.",
            "soft",
        ),
        *(
            f"<h3>{escape(title)}</h3>\n{neighbour_grid(part.codes, shown, judgement.classes)}"
            for title, part, shown in grids
        ),
    ]


def _maps(judgement: Judgement, seed: int) -> list[str]:
    part = judgement.test.codes
    drawn = np.arange(len(part))
    if len(part) > DRAWN_CODES:
        drawn = np.sort(np.random.default_rng(seed).choice(drawn, DRAWN_CODES, replace=False))
    codes, labels = part.codes[drawn], part.labels[drawn]
    title = f"{judgement.dataset}: {len(drawn):,} test codes by"
    return [
        _chart(
            projection(project(codes, seed), labels, judgement.classes, f"{title} {name}"),
            f"Test codes in two dimensions by {name}",
        )
        for name, project in (("t-SNE", project_tsne), ("PCA", project_pca))
    ]


def _probe(judgement: Judgement) -> list[str]:
    probe, classes = judgement.probe, judgement.classes
    if probe is None:
        return []
    known = np.flatnonzero(probe.confusion.sum(axis=0) + probe.confusion.sum(axis=1))
    counts = probe.confusion[np.ix_(known, known)]
    names = [classes[label] for label in known]
    matrix = confusion_matrix(counts, names, f"{judgement.dataset}: SVM probe, test images")
    content = [_chart(matrix, "Confusion matrix of the SVM probe")]
    confusions = confusions_table(counts, names)
    return [*content, "<h3>Most often confused</h3>" if confusions else "", confusions]


def _classes(judgement: Judgement) -> list[str]:
    confusion = None if judgement.probe is None else judgement.probe.confusion
    content = [
        paragraph("The weakest first, by Recall@1.", "soft"),
        class_table(judgement.test, judgement.classes, confusion),
    ]
    if judgement.held_out is not None:
        content.append("<h3>Held-out classes</h3>")
        content.append(class_table(judgement.held_out, judgement.classes, None))
    return content


def _training(judgement: Judgement, history: Rows, validation: Rows) -> list[str]:
    if not history:
        return []
    figure = training_curves(history, f"{judgement.dataset}: training", validation)
    return [_chart(figure, "Curves of training")]


def _notes(judgement: Judgement) -> list[str]:
    shown = "".join(f"<li>{escape(note)}</li>" for note in judgement.notes[:LISTED_NOTES])
    more = len(judgement.notes) - LISTED_NOTES
    return [
        f"<ul>{shown}</ul>" if shown else paragraph("Nothing."),
        paragraph(f"And {more:,} more: see report.json.") if more > 0 else "",
    ]


def _chart(figure: Figure, alternative: str) -> str:
    return image("image/png", figure_png(figure), alternative)
