"""Judge the encoder of a run on triplets or pairs of a file, without classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Optional

from tripletnet.data.judged_file import read_judged
from tripletnet.evaluation.pairs import Rates
from tripletnet.files import PathLike
from tripletnet.retrieval.encoder import Encoder
from tripletnet.training.held_out import held_out


@dataclass(frozen=True)
class RowsJudgement:
    """How well the codes of a run agree with what was judged.

    Attributes
    ----------
    kind : {"triplets", "pairs"}
        What was judged.
    file : str
        Where it stands.
    rows, pictures : int
        How many of both were used.
    measure, meaning : str
        The name of the measure and what it is.
    value : float
        The measure, from 0 to 1.
    threshold : float or None
        The run's squared distance up to which two images count as the same.
    rates : Rates or None
        What that comes to: anchors with their sames and their diffs count as pairs.
    notices : sequence of str
        What is not used.
    """

    kind: str
    file: str
    rows: int
    pictures: int
    measure: str
    meaning: str
    value: float
    threshold: Optional[float]
    rates: Optional[Rates]
    notices: list[str]

    def __str__(self) -> str:
        lines = [
            f"{self.file}: {self.rows:,} {self.kind} of {self.pictures:,} pictures; "
            f"{self.meaning}: {self.value:.4f}"
        ]
        if self.rates is not None:
            lines.append(
                f"up to the run's squared distance of {self.threshold:.4f} count as the same "
                f"{self.rates.recall:.1%} of the similar pairs and "
                f"{self.rates.false_positive_rate:.1%} of the others"
            )
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        rates = None if self.rates is None else vars(self.rates)
        return {**vars(self), "rates": rates}


def judge_rows(
    encoder: Encoder,
    kind: str,
    file: PathLike,
    pictures: Optional[PathLike] = None,
    *,
    progress: Optional[Callable[[int, int], None]] = None,
) -> RowsJudgement:
    """Judge an encoder on a file of triplets or pairs.

    Parameters
    ----------
    encoder : Encoder
        Whose codes to judge.
    kind : {"triplets", "pairs"}
        What the file holds.
    file : str or Path
        See :func:`tripletnet.data.judged_file.read_judged`.
    pictures : str or Path, optional
        The folder that its paths start from.
    progress : callable, optional
        Called with how many of how many pictures have been decoded.

    Raises
    ------
    InputError
        If a row is bad, or of pairs all are similar or none is.
    """
    data = read_judged(
        kind, file, pictures, size=encoder.image_size, fit=encoder.fit, progress=progress
    )
    examples = held_out(data.train)
    codes = encoder.encode(data.train.images)

    distances = examples.pairs(lambda images: codes)
    threshold = encoder.threshold
    return RowsJudgement(
        kind,
        str(file),
        len(data.train),
        len(data.train.images),
        examples.measure,
        examples.meaning,
        examples.score(lambda images: codes),
        threshold,
        None if threshold is None else distances.rates(threshold),
        [*data.notices],
    )
