"""A data set whose tables passed their contracts, and the same as integer codes."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from recab_helpers.data.contract import CATALOG, INTERACTIONS
from recab_helpers.data.world import World
from recab_helpers.errors import DataError

SHOWN = 3  # how many offending values an error quotes


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Interactions and catalog that passed their contracts; `world` is the truth where data are synthetic."""

    name: str
    interactions: pd.DataFrame  # INTERACTIONS, sorted by user and item
    catalog: pd.DataFrame  # CATALOG, sorted by item
    world: World | None = field(default=None, repr=False)

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


def make_dataset(name: str, interactions: pd.DataFrame, catalog: pd.DataFrame, world: World | None = None) -> Dataset:
    """Check both tables against their contracts and against each other.

    Raises:
        DataError: a broken contract, texts without a word, or an interaction with an item that the catalog lacks.
    """
    catalog = CATALOG.check(catalog, source=f"{name} catalog")
    interactions = INTERACTIONS.check(interactions, source=f"{name} interactions")
    if not catalog["text"].str.contains(r"\w\w").any():
        raise DataError(
            f"{name} catalog: no item has a word in its text, so content cannot be compared. Fill the text column."
        )
    unknown = ~interactions["item_id"].isin(catalog["item_id"])
    if unknown.any():
        raise DataError(
            f"{name}: {unknown.sum():,} interactions name an item_id that the catalog lacks "
            f"({_quote(interactions.loc[unknown, 'item_id'])}). Add these items to the catalog or drop the rows."
        )
    return Dataset(name=name, interactions=interactions, catalog=catalog, world=world)


def describe(dataset: Dataset, train: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    """Users, items, interactions and mean rating of the whole data set and of both parts."""
    parts = {"all": dataset.interactions, "train": train, "held out": held_out}
    rows = {
        name: {
            "users": t["user_id"].nunique(),
            "items": t["item_id"].nunique(),
            "interactions": len(t),
            "mean_rating": t["rating"].mean(),
        }
        for name, t in parts.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(dataset.name)


def ids_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Sorted user and item ids of the whole data set, as numpy strings."""
    users = np.unique(dataset.interactions["user_id"].to_numpy(dtype=str))
    return users, dataset.catalog["item_id"].to_numpy(dtype=str)


def encode(interactions: pd.DataFrame, *, user_ids: np.ndarray, item_ids: np.ndarray) -> Interactions:
    """Code the rows against the given sorted ids; the result does not depend on the order of the rows.

    Raises:
        DataError: a user or an item that the ids lack.
    """
    user = codes_of(interactions["user_id"], user_ids, what="user_id")
    item = codes_of(interactions["item_id"], item_ids, what="item_id")
    order = np.lexsort((item, user))
    rating = interactions["rating"].to_numpy(dtype=np.float64)
    return Interactions(user_ids=user_ids, item_ids=item_ids, user=user[order], item=item[order], rating=rating[order])


def codes_of(values: pd.Series, ids: np.ndarray, *, what: str) -> np.ndarray:
    """Where each value stands in the sorted ids.

    Ids are compared whole: as fixed-width strings of the width of `ids`, longer values would be cut in silence.

    Raises:
        DataError: a value that the ids lack.
    """
    wanted = values.to_numpy(dtype=str)
    codes = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    if (unknown := ids[codes] != wanted).any():
        raise DataError(
            f"{unknown.sum():,} rows have an unknown {what} ({_quote(values[unknown])}); there are {len(ids):,}, from "
            f"{ids[0]!s} to {ids[-1]!s}. Correct them or drop the rows."
        )
    return codes


def _quote(values: pd.Series) -> str:
    shown = ", ".join(map(repr, values.unique()[:SHOWN]))
    return shown + (", …" if values.nunique() > SHOWN else "")
