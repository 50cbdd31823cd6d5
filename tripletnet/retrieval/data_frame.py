"""Results as pandas data frames, where pandas is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

from tripletnet.errors import InputError

if TYPE_CHECKING:
    import pandas


def data_frame(
    content: Union[Mapping[str, Any], Iterable[Mapping[str, Any]]],
    columns: Optional[Sequence[str]] = None,
) -> pandas.DataFrame:
    """Return columns by their names, or rows with these columns, as a data frame.

    Raises
    ------
    InputError
        If pandas is not installed.
    """
    try:
        import pandas
    except ModuleNotFoundError:
        raise InputError("to_pandas: pandas is not installed: pip install pandas") from None
    return pandas.DataFrame(content, columns=columns)
