"""Lists that any model returned, held to the contract of the recommendations table before a user sees one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers.data.contract import as_ids
from recab_helpers.errors import DataError

COLUMNS = ("user_id", "position", "item_id")


def as_table(answer: Any) -> Any:
    """What a model returned: a table of pandas if it is one of another library or a list of rows, else as it is."""
    if isinstance(answer, list) and answer and all(isinstance(row, dict) for row in answer):
        return pd.DataFrame(answer)
    frame = nw.from_native(answer, eager_only=True, pass_through=True)
    return frame.to_pandas() if isinstance(frame, nw.DataFrame) else answer


@dataclass(frozen=True)
class Fault:
    """What breaks the contract in the lists of some users, in words that follow the name of the model."""

    users: np.ndarray  # (n,) True for whom
    kind: str  # the same in a few words, without the names of users and items
    said: str


def checked_slates(table: Any, user_ids: np.ndarray, item_ids: np.ndarray, k: int, *, source: str) -> np.ndarray:
    """Item codes of the first k positions of each user, (len(user_ids), k) int32, whatever the order of the rows.

    Ids are compared whole and as text. Positions beyond k are left out.

    Raises:
        DataError: no table with user_id, position and item_id; a user who was not asked for or got fewer than k items;
            positions that are not 1, 2, ... without a gap; an item twice in a list or not in the catalog.
    """
    items, faults = slates_and_faults(table, user_ids, item_ids, k)
    if faults:
        raise DataError(
            f"{source} {faults[0].said}. A model returns user_id, position (1 is best) and item_id: k items of the "
            "catalog for every user, none twice. Correct it; recab_helpers.check_model tells whether it is right."
        )
    return items


def slates_for(model: Any, user_ids: np.ndarray, k: int, *, log: str) -> tuple[np.ndarray, int | None]:
    """What a model would show to the users of a log: item ids as text, (n_users, k), and how many it does not know.

    A model says whom it does not know by a column `cold`; one without it does not say, which is None.

    Raises:
        DataError: as `checked_slates`, whose catalog is here what the model itself returns; or it knows nobody.
    """
    table = model.recommend(user_ids, k)
    try:
        catalog = np.unique(as_ids(table["item_id"]).to_numpy(dtype=object).astype(str))
    except (KeyError, TypeError):
        catalog = np.zeros(0, dtype=str)  # the check says what is wrong
    items = checked_slates(table, user_ids, catalog, k, source=str(model.address))
    if "cold" not in table:
        return catalog[items], None
    unknown = as_ids(table["user_id"])[table["cold"].astype(bool).to_numpy()].nunique()
    if unknown == len(user_ids):
        raise DataError(
            f"{model.address} knows none of the users of {log}, such as {user_ids[0]!s}, and shows all of them the "
            "same. Give the ids that it was trained with: columns={user_id: COLUMN}."
        )
    return catalog[items], unknown


def slates_and_faults(table: Any, user_ids: np.ndarray, item_ids: np.ndarray, k: int) -> tuple[np.ndarray, list[Fault]]:
    """`checked_slates`, with -1 in the lists of users for whom the contract is broken, and how; each has one fault."""
    items = np.full((len(user_ids), k), -1, dtype=np.int32)
    right, faults = np.ones(len(user_ids), dtype=bool), []

    def fault(broken: np.ndarray, kind: str, said: str) -> None:
        nonlocal right
        if broken.any():
            faults.append(Fault(broken, kind, said))
            right = right & ~broken

    if not isinstance(table, pd.DataFrame):
        return items, [Fault(right, "returned no table", f"returned {_kind_of(table)}")]
    if missing := [c for c in COLUMNS if c not in table]:
        said = f"returned {', '.join(map(str, table.columns)) or 'no column'}, without {', '.join(missing)}"
        return items, [Fault(right, "returned other columns", said)]
    try:
        rank = pd.to_numeric(table["position"], errors="coerce").to_numpy(dtype=float)
        users, given = as_ids(table["user_id"]), as_ids(table["item_id"])
    except TypeError:  # a cell that is a list or a mapping, or two columns of one name
        return items, [Fault(right, *["returned cells that are neither text nor numbers"] * 2)]
    asked = pd.Index(user_ids)
    user = asked.get_indexer(users)
    if (user < 0).any():
        said = f"returned the user {users.iloc[int(np.argmin(user))]!r}, who was not asked for"
        return items, [Fault(right, "returned users who were not asked for", said)]

    def first(broken: np.ndarray) -> str:
        return f"the user {user_ids[int(np.argmax(broken))]!s}"

    count = np.bincount(user, minlength=len(asked))
    short = count < k
    said = f"returned {count[int(np.argmax(short))]} items for {first(short)}; asked were {k}"
    if short.all() and np.ptp(count) == 0 and len(table):
        said += " (MLflow hands k over only where the signature of the model has it)"
    fault(short, "returned too few items", said)
    order = np.lexsort((rank, user))
    rows = np.zeros((len(asked), k), dtype=np.int64)  # of the table, by user and position; of no meaning where too few
    rows[right] = order[(np.cumsum(count) - count)[right, None] + np.arange(k)]
    wrong = right & ~np.all(rank[rows] == np.arange(1, k + 1), axis=1) if len(rank) else right
    fault(wrong, "did not number the items", f"does not number the items of {first(wrong)} from 1 to {k}")
    ids = given.iloc[rows[right].ravel()]
    items[right] = pd.Index(item_ids).get_indexer(ids).reshape(-1, k)
    unknown = right & (items < 0).any(axis=1)
    if unknown.any():
        names = ids[items[right].ravel() < 0].unique()
        lacks = f"{len(names):,} item{'s' if len(names) > 1 else ''} that the catalog lacks"
        has = f"it has {', '.join(repr(str(i)) for i in item_ids[:2])}"
        said = f"returned {lacks} ({', '.join(map(repr, names[:3]))}; {has})"
        fault(unknown, "returned items that the catalog lacks", said)
    twice = right & (np.diff(np.sort(items, axis=1), axis=1) == 0).any(axis=1)
    fault(twice, "returned an item twice", f"returned an item twice for {first(twice)}")
    items[~right] = -1
    return items, faults


def _kind_of(answer: Any) -> str:
    """What an answer is that is no table: None, a list, a numpy ndarray, a pandas Series."""
    kind = type(answer)
    library = "" if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]} "
    return "nothing (None)" if answer is None else f"a {library}{kind.__name__}, no table"
