"""Totals by variant, and CTR by day and by position with the interval of every point."""

import numpy as np
import pandas as pd
from scipy.stats import norm

from recab_helpers.impressions.aggregates import Users

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


def ctr_table(cells: pd.DataFrame | None, users: Users, *, alpha: float = 0.05) -> pd.DataFrame | None:
    """CTR_COLUMNS per variant and level of `cells` (`Aggregates.by_day` or `by_position`); None where they are None.

    Users are the unit (delta method), so that intervals are as wide as users who see a level often make them. One
    user alone in a variant leaves them nan.
    """
    if cells is None:
        return None
    shown, clicks = cells["impressions"].to_numpy(dtype=float), cells["clicks"].to_numpy(dtype=float)
    n = cells.index.get_level_values("variant").map(users.counts).to_numpy(dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        ctr = clicks / shown
        rest = (
            cells["clicks_clicks"] - 2 * ctr * cells["clicks_impressions"] + ctr**2 * cells["impressions_impressions"]
        )
        se = np.sqrt(np.maximum(rest, 0) * n / (n - 1)) / shown
    half = norm.isf(alpha / 2) * se
    counts = {"impressions": cells["impressions"].astype(np.int64), "clicks": cells["clicks"].astype(np.int64)}
    return pd.DataFrame(counts | {"ctr": ctr, "low": np.maximum(ctr - half, 0), "high": ctr + half}, cells.index)
