"""Totals by variant, and CTR by day and by position with the interval of every point."""

import numpy as np
import pandas as pd
from scipy import special

from recab_helpers.impressions.aggregates import CELL, Users

CTR_COLUMNS = {
    "impressions": "items shown",
    "clicks": "of them clicked",
    "ctr": "clicks / impressions",
    "low": "low end of its interval",
    "high": "high end of its interval",
}


def totals(users: Users) -> pd.DataFrame:
    """Users, and sessions, impressions, clicks and CTR where they are counted, by variant; control first.

    >>> totals(Users.of(["control", "treatment", "treatment"], {"clicks": [1, 0, 4], "impressions": [10, 10, 10]}))
               users  impressions  clicks  ctr
    variant
    control        1           10       1  0.1
    treatment      2           20       4  0.2
    """
    rows = {}
    for name, s in users.statistics.items():
        rows[name] = {"users": s.n}
        rows[name] |= {c: round(s.sum(c)) for c in ("sessions", "impressions", "clicks") if c in s.columns}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")
    if {"clicks", "impressions"} <= set(table):
        table["ctr"] = table["clicks"] / table["impressions"]
    return table


def ctr_table(cells: pd.DataFrame | None, *, alpha: float = 0.05) -> pd.DataFrame | None:
    """CTR_COLUMNS per variant and level of `cells` (`Aggregates.by_day` or `by_position`); None where they are None.

    Wilson's intervals (1927) of as many impressions as the error by users is worth (Korn and Graubard 1998): a normal
    interval holds a CTR of few clicks too seldom. Student's t and the error take a few heavy users for what they are
    (`effective_users`). One user alone leaves them nan.
    """
    if cells is None:
        return None
    names = ("impressions", "clicks", *CELL)
    counts = {c: cells[c].astype(np.int64) for c in names[:2]}
    ends = ctr_intervals(*(cells[c].to_numpy(dtype=float) for c in names), alpha=alpha)
    return pd.DataFrame(counts | dict(zip(("ctr", "low", "high"), ends, strict=True)), cells.index)


def ctr_intervals(
    shown: np.ndarray,
    clicks: np.ndarray,
    clicks_clicks: np.ndarray,
    clicks_impressions: np.ndarray,
    impressions_impressions: np.ndarray,
    *,
    alpha: float = 0.05,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CTR and both ends of its interval, of arrays of cells: their sums, and the sums of products over their users."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ctr = clicks / shown
        rest = clicks_clicks - 2 * ctr * clicks_impressions + ctr**2 * impressions_impressions
        effective = shown**2 / impressions_impressions
        variance = np.maximum(rest, 0) / shown**2 / (1 - 1 / effective)
        worth = np.where(variance > 0, ctr * (1 - ctr) / variance, shown)
        t2 = special.stdtrit(np.where(effective > 1, effective - 1, np.nan), 1 - alpha / 2) ** 2 / worth
        middle = (ctr + t2 / 2) / (1 + t2)
        half = np.sqrt(t2 * (ctr * (1 - ctr) + t2 / 4)) / (1 + t2)
    return ctr, middle - half, middle + half
