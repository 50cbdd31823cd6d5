"""Results for people: tables on the terminal and in docs/benchmarks.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Result, benchmark_of
from tripletnet.errors import InputError
from tripletnet.files import write_text

END = "<!-- end -->"
_START = "<!-- made by python -m benchmarks: "
_READINGS = {"rate": "{} is times as fast", "time": "{} is times as fast", "share": "% of {}"}
_BEST_OF_SGEMM = "of sgemm"
QUICK = "**Of tiny sizes (`--quick`): the figures mean nothing.**"


def number(value: float) -> str:
    """Return a number with three digits or so."""
    if not math.isfinite(value):
        return str(value)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def median_and_range(values: np.ndarray) -> str:
    """Return the median of the rounds and their range; of one round, the one number."""
    if len(values) == 1:
        return number(float(values[0]))
    middle, low, high = (number(float(f(values))) for f in (np.median, np.min, np.max))
    return f"{middle} ({low} to {high})"


def rows(result: Result) -> list[list[str]]:
    """Return a table's heading and rows, one for each that took part."""
    extra: Mapping[str, Mapping[str, str]] = result.figures.get("columns", {})
    alone = len(result.samples) == 1
    heading = ["", result.unit]
    if not alone:
        heading.append(_READINGS[result.reading].format(result.first))
    shared = result.sgemm_share() is not None
    table = [[*heading, *[_BEST_OF_SGEMM] * shared, *extra]]
    for name in result.samples:
        row = [name, median_and_range(result.values(name))]
        if not alone:
            scale = 100 if result.reading == "share" else 1
            is_first = name == result.first
            row.append("" if is_first else median_and_range(scale * result.ratios(name)))
        share = result.sgemm_share(name)
        if share is not None:
            row.append(f"{np.median(share):.2f}")
        table.append(row + [column.get(name, "") for column in extra.values()])
    return table


def remarks(result: Result) -> list[str]:
    """Return what is to be told beside the table."""
    said = [result.figures["summary"]] if result.figures.get("summary") else []
    said += [result.note] if result.note else []
    if result.sgemm is not None:
        said.append(f"sgemm: {median_and_range(np.array(result.sgemm))} GFLOP/s.")
    reasons: dict[str, list[str]] = {}
    for name, reason in result.left_out.items():
        reasons.setdefault(reason, []).append(name)
    said += [f"Left out: {'; '.join(names)}: {reason}." for reason, names in reasons.items()]
    return said


def as_text(result: Result) -> str:
    """Return a result for the terminal."""
    table = rows(result)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = [f"\n{result.title} ({_rounds(result)})"]
    for first, *others in table:
        cells = "".join(f"{cell:>{width + 2}}" for cell, width in zip(others, widths[1:]))
        lines.append(f"{first:{widths[0]}}{cells}")
    return "\n".join([*lines, *remarks(result)])


def as_markdown(result: Result) -> str:
    """Return a result for a page: its title, table and remarks."""
    table = rows(result)
    heading, *others = (f"| {' | '.join(row)} |" for row in table)
    rule = "|" + "---|" * len(table[0])
    text = "\n".join([f"**{result.title}** ({_rounds(result)})", "", heading, rule, *others])
    said = remarks(result)
    return f"{text}\n\n{' '.join(said)}" if said else text


def _rounds(result: Result) -> str:
    count = len(result.values(result.first))
    return "one round" if count == 1 else f"{count} rounds: median, and their range"


def results_of(benchmark: str, results: Sequence[Result]) -> list[Result]:
    """Return the results of one benchmark."""
    return [result for result in results if result.benchmark == benchmark]


def section(benchmark: str, results: Sequence[Result], command: str, page: Path) -> str:
    """Return what the page says of one benchmark; it has no images of its own."""
    parts = [as_markdown(result) for result in results_of(benchmark, results)]
    return "\n\n".join([f"`{command}`", *parts])


def origins(content: Mapping[str, Any]) -> str:
    """Return on what machines and with what versions the results were measured."""
    names: dict[tuple[str, str], list[str]] = {}  # by what is told before and behind them
    commits: list[str] = []
    for name, origin in content["origins"].items():
        known = {name: version for name, version in origin["versions"].items() if version}
        versions = ", ".join(f"{name} {version}" for name, version in known.items())
        where = origin["machine"]
        machine = f"{where['threads']} threads on {where['processor']} ({where['system']})"
        of_these = revisions(name, content)
        commits += of_these
        plural = "s" * (len(of_these) > 1)
        commit = f" (commit{plural} {', '.join(of_these)})" if of_these else ""
        names.setdefault((machine, versions + commit), []).append(f"`{name}`")
    texts = [
        f"Measured with {machine}: {', '.join(some)}, with {versions}."
        for (machine, versions), some in names.items()
    ]
    if content["settings"]["quick"]:
        texts.insert(0, QUICK)
    if any(commit.endswith("-dirty") for commit in commits):
        texts.append("`-dirty`: with changes that were not committed.")
    failed = [f"`{name}` ({reason})" for name, reason in content["failed"].items()]
    texts += [f"Failed: {', '.join(failed)}."] * bool(failed)
    return "\n\n".join(texts)


def revisions(benchmark: str, content: Mapping[str, Any]) -> list[str]:
    """Return the commits at which the results of one benchmark were measured, as far as known."""
    # results of older stores have that of their benchmark
    first = content["origins"][benchmark]["revision"]
    found = [
        result.get("revision", first)
        for name, result in content["results"].items()
        if benchmark_of(name) == benchmark
    ]
    return [commit for commit in dict.fromkeys(found) if commit]


def processor(benchmark: str, content: Mapping[str, Any]) -> str:
    """Return the line that says what one benchmark was measured on, and whether in earnest."""
    line = f"On {content['origins'][benchmark]['machine']['processor']}:"
    return f"{QUICK}\n\n{line}" if content["settings"]["quick"] else line


def mark(name: str) -> str:
    """Return the line that a section of the page begins with."""
    return f"{_START}{name} -->"


def check_marks(path: Path, starts: Sequence[str]) -> None:
    """Raise InputError if a Markdown file lacks one of the lines, or an end after it."""
    for start in starts:
        _split(path, start)


def put_between(path: Path, start: str, text: str) -> None:
    """Put `text` between the line `start` and the next end mark of a Markdown file.

    Raises
    ------
    InputError
        If the file has no such lines.
    """
    before, after = _split(path, start)
    write_text(path, f"{before}{start}\n{text}\n{END}{after}")


def _split(path: Path, start: str) -> tuple[str, str]:
    """Return what comes before `start` and what comes after the next end mark."""
    try:
        page = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file: give a page that has the marks") from None
    before, found, rest = page.partition(start)
    between, end, after = rest.partition(END)
    if not (found and end) or _START in between:
        raise InputError(f"{path}: has no lines {start} and {END}: add them where it goes")
    return before, after
