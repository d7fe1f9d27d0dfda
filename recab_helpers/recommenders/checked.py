"""Lists that any model returned, held to the contract of the recommendations table before a user sees one."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import pandas as pd

from recab_helpers.data.contract import as_ids
from recab_helpers.errors import DataError

COLUMNS = ("user_id", "position", "item_id")


def checked_slates(table: Any, user_ids: np.ndarray, item_ids: np.ndarray, k: int, *, source: str) -> np.ndarray:
    """Item codes of the first k positions of each user, (len(user_ids), k) int32, whatever the order of the rows.

    Ids are compared whole and as text. Positions beyond k are left out.

    Raises:
        DataError: no table with user_id, position and item_id; a user who was not asked for or got fewer than k items;
            positions that are not 1, 2, ... without a gap; an item twice in a list or not in the catalog.
    """
    if not isinstance(table, pd.DataFrame):
        _refuse(source, f"returned a {type(table).__name__}")
    if missing := [c for c in COLUMNS if c not in table]:
        _refuse(source, f"returned {', '.join(map(str, table.columns)) or 'no column'}, without {', '.join(missing)}")
    asked, rank = pd.Index(user_ids), pd.to_numeric(table["position"], errors="coerce").to_numpy(dtype=float)
    user = asked.get_indexer(as_ids(table["user_id"]))
    if (user < 0).any():
        _refuse(source, f"returned the user {table['user_id'].iloc[int(np.argmin(user))]!r}, who was not asked for")
    count = np.bincount(user, minlength=len(asked))
    if (count < k).any():
        short = int(np.argmax(count < k))
        _refuse(source, f"returned {count[short]} items for the user {user_ids[short]!s}; asked were {k}")
    order = np.lexsort((rank, user))
    first = order[(np.cumsum(count) - count)[:, None] + np.arange(k)]
    if (wrong := ~np.all(rank[first] == np.arange(1, k + 1), axis=1)).any():
        _refuse(source, f"does not number the items of the user {user_ids[int(np.argmax(wrong))]!s} from 1 to {k}")
    ids = as_ids(table["item_id"]).iloc[first.ravel()]
    items = pd.Index(item_ids).get_indexer(ids).reshape(first.shape)
    if (unknown := items.ravel() < 0).any():
        examples = ", ".join(map(repr, ids[unknown].unique()[:3]))
        _refuse(source, f"returned {ids[unknown].nunique():,} items that the catalog lacks ({examples})")
    if (twice := (np.diff(np.sort(items, axis=1), axis=1) == 0).any(axis=1)).any():
        _refuse(source, f"returned an item twice for the user {user_ids[int(np.argmax(twice))]!s}")
    return items.astype(np.int32)


def _refuse(source: str, what: str) -> NoReturn:
    raise DataError(
        f"{source} {what}. A model returns user_id, position (1 is best) and item_id: k items of the catalog for every "
        "user, none twice. Correct it; recab_helpers.check_model tells whether it is right."
    )
