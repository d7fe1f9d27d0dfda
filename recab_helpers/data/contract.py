"""What interactions and a catalog must hold, written once: it drives the check and every error.

Errors name the table, the column, the row, the value and the way out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from recab_helpers.errors import DataError

Kind = Literal["id", "number", "text"]


@dataclass(frozen=True)
class Column:
    """One column of a table: an id is never empty, a number is finite, an empty text is ''."""

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
        """The columns of the contract, each as its kind says (ids and texts as str), sorted by key.

        Raises:
            DataError: a missing column, no rows, an empty id, a number that is none, or two rows with one key.
        """
        require_columns(table, [c.name for c in self.columns if c.required], source=source)
        present = [c for c in self.columns if c.name in table]
        require_no_missing(table, [c.name for c in present if c.kind == "id"], source=source)
        checked = pd.DataFrame({c.name: READ[c.kind](table, c.name, source) for c in present})
        require_unique(checked, self.key, source=source)
        return checked.sort_values(list(self.key), ignore_index=True)


def require_columns(table: pd.DataFrame, columns: Sequence[str], *, source: str) -> None:
    """Refuse a table that lacks one of `columns` or has no row."""
    if missing := [c for c in columns if c not in table.columns]:
        raise DataError(
            f"{source} lacks the column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}. "
            "Rename or add the column."
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
        raise DataError(
            f"{source}: column {column} holds {table[column].iloc[row]!r} in row {row + 1}, which is not a "
            f"finite number ({bad.sum():,} such rows). Correct or drop them."
        )
    return numbers


READ: dict[Kind, Callable[[pd.DataFrame, str, str], pd.Series]] = {
    "id": lambda table, name, _: table[name].astype(str),
    "number": lambda table, name, source: require_numbers(table, name, source=source),
    "text": lambda table, name, _: table[name].fillna("").astype(str),
}

INTERACTIONS = Contract(
    columns=(
        Column("user_id", "id", "who met the item"),
        Column("item_id", "id", "which item of the catalog"),
        Column("rating", "number", "how it was liked; higher is better"),
        Column("timestamp", "number", "when, in seconds; needed to split by time", required=False),
    ),
    key=("user_id", "item_id"),
)
CATALOG = Contract(
    columns=(
        Column("item_id", "id", "the item"),
        Column("title", "text", "what people call it"),
        Column("text", "text", "what content-based models read; one item at least has a word"),
    ),
    key=("item_id",),
)
