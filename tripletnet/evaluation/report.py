"""The report for people: one HTML file with everything in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from string import Template
from typing import Optional

import numpy as np
from matplotlib.figure import Figure

from tripletnet.evaluation.html import bar, escape, image, paragraph, section, table
from tripletnet.evaluation.judgement import Judgement
from tripletnet.evaluation.neighbour_grid import neighbour_grid
from tripletnet.evaluation.pairs import Rates
from tripletnet.evaluation.projection import project_pca, project_tsne
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
#: How many confusions are listed.
LISTED_CONFUSIONS = 12
#: How many lines the list of what was left out has at the most.
LISTED_NOTES = 100

Histories = Mapping[str, Sequence[Mapping[str, float]]]


def write_report(
    path: PathLike,
    judgement: Judgement,
    *,
    about: Sequence[str] = (),
    histories: Optional[Histories] = None,
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
    histories : mapping of str to rows, optional
        How training went, see :func:`tripletnet.plots.training_curves`.
    seed : int
        Decides which codes are drawn in two dimensions, and t-SNE.
    """
    words = verdict(judgement)
    parts = {
        "Figures": _figures(judgement),
        "Same or not": _threshold(judgement),
        "Neighbours": _neighbours(judgement),
        "Map of the codes": _maps(judgement, seed),
        "SVM probe": _probe(judgement),
        "Classes": _classes(judgement),
        "Training": _training(judgement, histories),
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
        footer=escape("Distances are squared Euclidean distances of the codes."),
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


def _figures(judgement: Judgement) -> list[str]:
    parts = {"known classes": judgement.test}
    if judgement.held_out is not None:
        parts["held-out classes"] = judgement.held_out
    retrieval = [part.retrieval for part in parts.values()]
    rows: list[tuple[str, list[Optional[float]], str]] = []
    for k in judgement.test.retrieval.recall_at:
        meaning = f"share of queries with a hit among the first {k}"
        rows.append((f"Recall@{k}", [r.recall_at.get(k) for r in retrieval], meaning))
    for k in judgement.test.retrieval.precision_at:
        meaning = f"hits among the first {k}, over {k}"
        rows.append((f"Precision@{k}", [r.precision_at.get(k) for r in retrieval], meaning))
    rows += [
        ("R-precision", [r.r_precision for r in retrieval], "hits among the first R, over R"),
        (
            "MAP@R",
            [r.map_at_r for r in retrieval],
            "precision@i summed over the places i of the hits among the first R, over R",
        ),
        (
            "mAP",
            [r.map for r in retrieval],
            "precision@i summed over the places i of all hits in the full ranking, over R",
        ),
        (
            "ROC-AUC",
            [part.roc_auc for part in parts.values()],
            "how often a pair of one class is nearer than a pair of two; ties count half",
        ),
        (
            "NMI",
            [part.nmi for part in parts.values()],
            "mutual information of k-means clusters and classes, over the mean of their entropies",
        ),
    ]
    probe, control = judgement.probe, judgement.control
    if probe is not None:
        fitted = f"linear, C = {probe.C:g}, fitted on {probe.fitted_on:,} codes, "
        rows.insert(0, ("SVM probe", [probe.accuracy], f"{fitted}accuracy on {probe.scored_on:,}"))
    if control is not None:
        rows[1:1] = [
            (
                "Control, softmax",
                [control.accuracy],
                "the same layers trained as a classifier on as many images: its test accuracy",
            ),
            ("Control, SVM probe", [control.probe_accuracy], "an SVM on the control's features"),
        ]
    cells = [
        (name, *_shares(values, len(parts)), escape(meaning)) for name, values, meaning in rows
    ]
    for name, part in parts.items():
        cells.append((f"Queries ({name})", *[""] * len(parts), f"{part.retrieval.queries:,}"))
    return [
        table(("", *parts, "how it is reckoned"), cells, "formulas", markup=True),
        paragraph(
            "Every test image is a query once; the others are ranked by the squared Euclidean "
            "distance of their codes. A hit is an image of the query's class, R is how many "
            "others there are of it. A query is never in its own list.",
            "soft",
        ),
    ]


def _shares(values: Sequence[Optional[float]], columns: int) -> list[str]:
    return [bar(value) for value in [*values, *[None] * (columns - len(values))]]


def _threshold(judgement: Judgement) -> list[str]:
    test, threshold, name = judgement.test, judgement.threshold, judgement.dataset
    distance = None if threshold is None else threshold.distance
    histogram = distance_histogram(
        test.pairs.same,
        test.pairs.different,
        distance,
        f"{name}: distances of {'sampled' if test.pairs.sampled else 'all'} pairs of test images",
    )
    content = [_chart(histogram, "Histogram of the distances of same and of different pairs")]
    if threshold is None:
        return content
    wanted = threshold.target.replace("_", " ").replace("false positive", "false-positive")
    chosen = Rates(threshold.precision, threshold.recall, threshold.false_positive_rate)
    rates = {"validation (chosen on)": chosen, "test": test.at_threshold}
    if judgement.held_out is not None:
        rates["held-out classes"] = judgement.held_out.at_threshold
    rows = [
        (part, *_shares([r.precision, r.recall, r.false_positive_rate], 3))
        for part, r in rates.items()
        if r is not None
    ]
    curve = threshold_curve(
        threshold.curve, threshold.distance, f"{name}: what a threshold comes to, validation pairs"
    )
    pairs = f"{threshold.same_pairs:,} same and {threshold.different_pairs:,} different pairs"
    return [
        paragraph(
            f"Two images count as the same up to a distance of {threshold.distance:.4g}. This was "
            f"chosen for a {wanted} of {threshold.value:g} on {pairs} of validation images"
            f"{', of which a sample was measured' if threshold.sampled else ''}."
        ),
        table(("pairs", "precision", "recall", "false-positive rate"), rows, markup=True),
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
        ("Worst queries, by average precision", test, test.worst),
    ]
    if unseen is not None:
        grids += [
            ("Random queries of held-out classes", unseen, unseen.random),
            ("Worst queries of held-out classes", unseen, unseen.worst),
        ]
    return [
        paragraph(
            "Left: the query. Then its nearest neighbours with their classes and squared Euclidean "
            "distances. Solid green: of the query's class; dashed red: of another.",
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
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:LISTED_CONFUSIONS]
    rows = [
        (
            f"{names[true]} taken for {names[taken]}",
            f"{wrong[true, taken]:,} of {counts[true].sum():,}",
        )
        for true, taken in zip(*np.unravel_index(order, wrong.shape))
        if wrong[true, taken]
    ]
    if rows:
        content += ["<h3>Most often confused</h3>", table(("", "test images"), rows)]
    return content


def _classes(judgement: Judgement) -> list[str]:
    content = []
    confusion = None if judgement.probe is None else judgement.probe.confusion
    for part in (judgement.test, judgement.held_out):
        if part is None:
            continue
        svm = confusion if part is judgement.test else None
        rows = []
        for label, metrics in part.per_class.items():
            figures = [metrics.recall_at[1], metrics.r_precision, metrics.map]
            if svm is not None:
                of = svm[label].sum()
                figures.append(svm[label, label] / of if of else None)
            size = metrics.queries + metrics.left_out
            known = [None if f is None or math.isnan(f) else float(f) for f in figures]
            rows.append((known, (judgement.classes[label], f"{size:,}", *map(bar, known))))
        rows.sort(key=lambda row: (row[0][0] is None, row[0]))
        header = [
            "class",
            "images",
            "Recall@1",
            "R-precision",
            "mAP",
            *["SVM probe"] * (svm is not None),
        ]
        if part is judgement.held_out:
            content.append("<h3>Held-out classes</h3>")
        content.append(table(header, [cells for _, cells in rows], markup=True))
    return [paragraph("The weakest first, by Recall@1.", "soft"), *content]


def _training(judgement: Judgement, histories: Optional[Histories]) -> list[str]:
    histories = {name: rows for name, rows in (histories or {}).items() if rows}
    if not histories:
        return []
    figure = training_curves(histories, f"{judgement.dataset}: training")
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
