"""What interactions and a catalog must hold, written once: it drives the check and every error.

Errors name the table, the column, the row, the value and the way out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from recab_helpers.errors import DataError

Kind = Literal["id", "number", "time", "text"]


@dataclass(frozen=True)
class Column:
    """One column of a table: an id is never empty, a number and a time are finite, an empty text is ''."""

    name: str
    kind: Kind
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Contract:
    """The columns of a table; no two rows share a key."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def check(self, table: pd.DataFrame, *, source: str) -> pd.DataFrame:
        """The columns of the contract, each as its kind says (ids and texts as str, times in seconds), sorted by key.

        Raises:
            DataError: a missing column, no rows, an empty id, a number or time that is none, two rows with one key.
        """
        require_columns(table, [c.name for c in self.columns if c.required], source=source)
        present = [c for c in self.columns if c.name in table]
        require_no_missing(table, [c.name for c in present if c.kind == "id"], source=source)
        checked = pd.DataFrame({c.name: READ[c.kind](table, c.name, source) for c in present})
        for c in present:
            if c.kind == "id":
                require_whole(checked[c.name], source=source)
        require_unique(checked, self.key, source=source)
        return checked.sort_values(list(self.key), ignore_index=True)


def require_columns(table: pd.DataFrame, columns: Sequence[str], *, source: str) -> None:
    """Refuse a table that lacks one of `columns` or has no row."""
    if missing := [c for c in columns if c not in table.columns]:
        raise DataError(
            f"{source} lacks the column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}. "
            f"Add it, or say which one it is: data_columns={{{missing[0]}: NAME}}."
        )
    if table.empty:
        raise DataError(f"{source} has no rows. Give at least one.")


def require_no_missing(table: pd.DataFrame, columns: Sequence[str], *, source: str) -> None:
    """Refuse empty values in `columns`, naming the first row."""
    for column in columns:
        if (missing := table[column].isna()).any():
            raise DataError(
                f"{source}: column {column} is empty in {missing.sum():,} rows, first in row "
                f"{int(np.argmax(missing)) + 1}. Fill or drop these rows."
            )


def require_whole(ids: pd.Series, *, source: str) -> None:
    """Refuse ids that a spreadsheet rounded, naming the first."""
    known = pd.Series(ids.unique())
    if (short := known.str.fullmatch(SHORTENED)).any():
        raise DataError(
            f"{source}: column {ids.name} holds {known[short].iloc[0]!r}; an id of so many digits was rounded there. "
            "Export it as text or as a whole number."
        )


def require_unique(table: pd.DataFrame, key: Sequence[str], *, source: str) -> None:
    """Refuse two rows with the same key."""
    key = list(key)
    if (twice := table.duplicated(key)).any():
        row = table.loc[twice, key].iloc[0].to_dict()
        raise DataError(
            f"{source}: {twice.sum():,} rows repeat an earlier {' and '.join(key)}, the first is {row}. "
            f"Keep one of each, for instance drop_duplicates({key}, keep='last')."
        )


def require_numbers(table: pd.DataFrame, column: str, *, source: str) -> pd.Series:
    """Return the column as finite float64, or refuse it and name the first row that is not a number."""
    numbers = pd.to_numeric(table[column], errors="coerce").astype(np.float64)
    if (bad := ~np.isfinite(numbers)).any():
        row = int(np.argmax(bad))
        value = table[column].iloc[row]
        what = "is empty" if pd.isna(value) else f"holds {value!r}"
        raise DataError(
            f"{source}: column {column} {what} in row {row + 1}, which is not a finite number ({bad.sum():,} such "
            "rows). Correct or drop them."
        )
    return numbers


def as_ids(column: pd.Series) -> pd.Series:
    """Ids as text in one spelling, however they were stored: 7, 7.0 and b"7" are "7"; "007" stays as it is."""
    if not (pd.api.types.is_float_dtype(column) or column.dtype == object):
        return column.astype(str)
    codes, values = pd.factorize(column)  # few values, many rows
    spelled = [_spelled(value) for value in values]
    return pd.Series(np.array(spelled, dtype=object)[codes], column.index, dtype=str, name=column.name)


def _spelled(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def require_times(table: pd.DataFrame, column: str, *, source: str) -> pd.Series:
    """The column as seconds since 1970, float64: numbers by their size in s, ms, us or ns, else dates as ISO 8601.

    Raises:
        DataError: a value that is neither.
    """
    values = table[column]
    if pd.api.types.is_datetime64_any_dtype(values):
        times = pd.to_datetime(values, utc=True)
    else:
        numbers = pd.to_numeric(values, errors="coerce")
        if numbers.notna().any():
            seconds = require_numbers(table, column, source=source)
            return seconds / 1000.0 ** np.searchsorted(LARGEST_TIMES, seconds.abs().median())
        times = pd.to_datetime(values, utc=True, errors="coerce", format="ISO8601")
    if (bad := times.isna()).any():
        row = int(np.argmax(bad))
        raise DataError(
            f"{source}: column {column} holds {values.iloc[row]!r} in row {row + 1}, which is no time ({bad.sum():,} "
            "such rows). Write it as 2024-05-31 or in seconds since 1970, or leave the column out."
        )
    return (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)


SHORTENED = r"\d[.,]?\d*[eE]\+\d+"  # 1.23456E+15
LARGEST_TIMES = (1e11, 1e14, 1e17)  # of the year 5138 in seconds, milliseconds and microseconds
READ: dict[Kind, Callable[[pd.DataFrame, str, str], pd.Series]] = {
    "id": lambda table, name, _: as_ids(table[name]),
    "number": lambda table, name, source: require_numbers(table, name, source=source),
    "time": lambda table, name, source: require_times(table, name, source=source),
    "text": lambda table, name, _: table[name].fillna("").astype(str),
}

INTERACTIONS = Contract(
    columns=(
        Column("user_id", "id", "who met the item"),
        Column("item_id", "id", "which item"),
        Column(
            "rating", "number", "stars, points, thumbs or counts, higher is better; without it, rows are counted", False
        ),
        Column("timestamp", "time", "when: a date or seconds since 1970; needed to split by time", False),
    ),
    key=("user_id", "item_id"),
)
CATALOG = Contract(
    columns=(
        Column("item_id", "id", "the item"),
        Column("title", "text", "what people call it; without it, its id", required=False),
        Column("text", "text", "what content-based models read; without it they step aside", required=False),
    ),
    key=("item_id",),
)
