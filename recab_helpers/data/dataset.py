"""The tables that enter recab and what each must hold; errors name file, column, row and the way out."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from recab_helpers.errors import DataError

if TYPE_CHECKING:
    from recab_helpers.data.synthetic import World

SHOWN = 3  # how many offending values an error quotes


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Interactions and catalog that passed their contracts; `world` is the truth where data are synthetic."""

    name: str
    interactions: pd.DataFrame  # user_id, item_id, rating, timestamp (optional); sorted by user and item
    catalog: pd.DataFrame  # item_id, title, text; sorted by item_id
    world: "World | None" = field(default=None, repr=False)

    def digest(self) -> str:
        """Sixteen hex digits that change when any row changes."""
        rows = (pd.util.hash_pandas_object(t, index=False) for t in (self.interactions, self.catalog))
        return hashlib.sha256(b"".join(r.to_numpy().tobytes() for r in rows)).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """Interactions as integer codes, sorted by user then item; the ids are the sorted strings."""

    user_ids: np.ndarray  # (n_users,)
    item_ids: np.ndarray  # (n_items,)
    user: np.ndarray  # (n,) codes into user_ids
    item: np.ndarray  # (n,) codes into item_ids
    rating: np.ndarray  # (n,) float64

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)


def encode(interactions: pd.DataFrame, *, user_ids: np.ndarray, item_ids: np.ndarray) -> Interactions:
    """Code the rows against the given sorted ids; the result does not depend on the order of the rows."""
    user = np.searchsorted(user_ids, interactions["user_id"].to_numpy(dtype=user_ids.dtype))
    item = np.searchsorted(item_ids, interactions["item_id"].to_numpy(dtype=item_ids.dtype))
    order = np.lexsort((item, user))
    rating = interactions["rating"].to_numpy(dtype=np.float64)
    return Interactions(user_ids=user_ids, item_ids=item_ids, user=user[order], item=item[order], rating=rating[order])


def ids_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Sorted user and item ids of the whole data set, as numpy strings."""
    users = np.unique(dataset.interactions["user_id"].to_numpy(dtype=str))
    return users, dataset.catalog["item_id"].to_numpy(dtype=str)


def make_dataset(name: str, interactions: pd.DataFrame, catalog: pd.DataFrame, **more) -> Dataset:
    """Check both tables against their contracts.

    Raises:
        DataError: a missing column, an empty table, a rating that is not a number, an item id that the
            catalog lacks, or duplicate rows.
    """
    catalog = _check_catalog(catalog, source=f"{name} catalog")
    interactions = _check_interactions(interactions, source=f"{name} interactions")
    unknown = ~interactions["item_id"].isin(catalog["item_id"])
    if unknown.any():
        raise DataError(
            f"{name}: {unknown.sum():,} interactions name an item_id that the catalog lacks "
            f"({_quote(interactions.loc[unknown, 'item_id'])}). Add these items to the catalog or drop the rows."
        )
    return Dataset(name=name, interactions=interactions, catalog=catalog, **more)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read .parquet, .csv, .csv.gz or .tsv.

    Raises:
        DataError: no such file, an unknown ending, or an empty file.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a .parquet, .csv, .csv.gz or .tsv file.")
    name = path.name.removesuffix(".gz")
    try:
        if name.endswith(".parquet"):
            table = pd.read_parquet(path)
        elif name.endswith((".csv", ".tsv")):
            table = pd.read_csv(
                path, sep="\t" if name.endswith(".tsv") else ",", dtype={"user_id": str, "item_id": str}
            )
        else:
            raise DataError(f"{path} is neither .parquet, .csv, .csv.gz nor .tsv. Convert it to one of these.")
    except pd.errors.EmptyDataError:
        raise DataError(f"{path} is empty. Give a file with a header and at least one row.") from None
    return table


def require_columns(table: pd.DataFrame, columns: tuple[str, ...], *, source: str) -> None:
    """Refuse a table that lacks one of `columns` or has no row."""
    if missing := [c for c in columns if c not in table.columns]:
        raise DataError(
            f"{source} lacks the column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}. "
            "Rename or add the column."
        )
    if table.empty:
        raise DataError(f"{source} has no rows. Give at least one.")


def require_no_missing(table: pd.DataFrame, columns: tuple[str, ...], *, source: str) -> None:
    """Refuse empty values in `columns`, naming the first row."""
    for column in columns:
        if (missing := table[column].isna()).any():
            raise DataError(
                f"{source}: column {column} is empty in {missing.sum():,} rows, first in row "
                f"{int(np.argmax(missing)) + 1}. Fill or drop these rows."
            )


def require_unique(table: pd.DataFrame, key: list[str], *, source: str) -> None:
    """Refuse two rows with the same key."""
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


def _check_interactions(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    require_columns(table, ("user_id", "item_id", "rating"), source=source)
    require_no_missing(table, ("user_id", "item_id"), source=source)
    columns = {
        "user_id": table["user_id"].astype(str),
        "item_id": table["item_id"].astype(str),
        "rating": require_numbers(table, "rating", source=source),
    }
    if "timestamp" in table:
        columns["timestamp"] = require_numbers(table, "timestamp", source=source)
    checked = pd.DataFrame(columns)
    require_unique(checked, ["user_id", "item_id"], source=source)
    return checked.sort_values(["user_id", "item_id"], ignore_index=True)


def _check_catalog(table: pd.DataFrame, *, source: str) -> pd.DataFrame:
    require_columns(table, ("item_id", "title", "text"), source=source)
    require_no_missing(table, ("item_id",), source=source)
    checked = table[["item_id", "title", "text"]].fillna("").astype(str)
    require_unique(checked, ["item_id"], source=source)
    if not checked["text"].str.contains(r"\w\w").any():
        raise DataError(
            f"{source}: no item has a word in its text, so content cannot be compared. Fill the text column."
        )
    return checked.sort_values("item_id", ignore_index=True)


def _quote(values: pd.Series) -> str:
    shown = ", ".join(map(repr, values.unique()[:SHOWN]))
    return shown + (", …" if values.nunique() > SHOWN else "")
