"""From an impression log to one row per user, to totals and to days; nothing loops over users."""

import numpy as np
import pandas as pd
from scipy.stats import norm

from recab_helpers.analysis.metrics import CONTROL, variants_of
from recab_helpers.data.dataset import (
    DataError,
    require_columns,
    require_no_missing,
    require_numbers,
    require_unique,
)

COUNTS = ("impressions", "clicks", "sessions", "clicked_any", "weighted_clicks", "novelty_bits")


def check_impressions(log: pd.DataFrame, *, source: str = "impressions", pilot: bool = False) -> pd.DataFrame:
    """The log with its contract checked; `day` counts from the first impression. A pilot may have one variant only.

    Raises:
        DataError: a missing column or value, a click that is neither 0 nor 1, a repeated (user_id, slate_id,
            position), fewer than two variants or none named control.
    """
    require_columns(log, ("user_id", "slate_id", "position", "variant", "item_id", "clicked"), source=source)
    require_no_missing(log, ("user_id", "slate_id", "position", "variant", "item_id"), source=source)
    clicked = require_numbers(log, "clicked", source=source)
    if (bad := ~clicked.isin((0, 1))).any():
        raise DataError(
            f"{source}: clicked is {clicked[bad].iloc[0]:g} in row {int(np.argmax(bad)) + 1}; it must be 0 or 1 per "
            "impression. Log one row per item shown."
        )
    position = require_numbers(log, "position", source=source)
    if (position < 1).any():
        row = int(np.argmax(position < 1))
        raise DataError(f"{source}: position is {position.iloc[row]:g} in row {row + 1}; positions count from 1.")
    require_unique(log, ["user_id", "slate_id", "position"], source=source)
    variants = log["variant"].astype(str).unique()
    if not pilot and (CONTROL not in variants or len(variants) < 2):
        raise DataError(
            f"{source}: variant holds {', '.join(sorted(variants))}; it needs {CONTROL} and at least one treatment. "
            f"Rename the variant that users had before to {CONTROL}."
        )
    names = ("user_id", "variant", "item_id", *(["title"] if "title" in log else []))
    columns = {c: log[c].astype("category") for c in names}
    return log.assign(clicked=clicked.astype(np.int8), position=position, day=_day(log, source), **columns)


def users_table(impressions: pd.DataFrame, known: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row per user and variant: the COUNTS, exposed_at (a day) and exposure, `known` adds columns by user_id.

    `exposure` tells users first seen in the early half of the test from late ones (the novelty segment).

    `weighted_clicks` discounts a click at position k by log2(k + 1) (Jarvelin and Kekalainen 2002);
    `novelty_bits` sums -log2 of the shown items' shares of all impressions (Vargas and Castells 2011).
    Pre-experiment counts of users whom `known` lacks are 0, other columns stay empty.
    """
    unit, keys = _units(impressions)
    names = impressions["variant"].cat.categories
    _, first = np.unique(impressions["slate_id"].to_numpy(), return_index=True)
    clicked = impressions["clicked"].to_numpy(np.float64)
    item = impressions["item_id"].cat.codes.to_numpy()
    bits = np.log2(len(item) / np.maximum(np.bincount(item), 1))[item]

    def total(weights) -> np.ndarray:
        return np.bincount(unit, weights=weights, minlength=len(keys))

    clicks = total(clicked)
    users = pd.DataFrame(
        {
            "user_id": impressions["user_id"].cat.categories[keys // len(names)].astype(str),
            "variant": pd.Categorical.from_codes(keys % len(names), names),
            "impressions": total(None),
            "clicks": clicks.astype(np.int64),
            "sessions": np.bincount(unit[first], minlength=len(keys)),
            "clicked_any": (clicks > 0).astype(np.int64),
            "weighted_clicks": total(clicked / np.log2(impressions["position"].to_numpy() + 1)),
            "novelty_bits": total(bits),
            "exposed_at": impressions["day"].groupby(unit).min().to_numpy(),
        }
    )
    users["exposure"] = np.where(users["exposed_at"] * 2 <= users["exposed_at"].max(), "early", "late")
    return users if known is None else join_known(users, known)


def join_known(users: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Add what is known of the users from before the experiment: `pre_` counts and segments.

    Raises:
        DataError: `known` lacks user_id, repeats a user, or holds a negative or non-numeric pre-experiment count.
    """
    require_columns(known, ("user_id",), source="users table")
    require_unique(known, ["user_id"], source="users table")
    pre = [c for c in known if c.startswith("pre_")]
    counts = {c: require_numbers(known, c, source="users table") for c in pre}
    for name, column in counts.items():
        if (column < 0).any():
            row = int(np.argmax(column < 0))
            raise DataError(f"users table: {name} is {column.iloc[row]:g} in row {row + 1}; counts are 0 or more.")
    known = known.assign(user_id=known["user_id"].astype(str), **counts)
    joined = users.merge(known.drop(columns="variant", errors="ignore"), on="user_id", how="left")
    return joined.fillna(dict.fromkeys(pre, 0.0))


def check_users(users: pd.DataFrame, *, source: str = "users") -> pd.DataFrame:
    """A users table that comes from elsewhere: two variants, counts that are numbers, possible and not negative.

    Raises:
        DataError: naming the column, the row and the way out.
    """
    require_columns(users, ("user_id", "variant"), source=source)
    require_no_missing(users, ("user_id", "variant"), source=source)
    names = set(map(str, users["variant"].unique()))
    if CONTROL not in names or len(names) < 2:
        raise DataError(
            f"{source}: variant holds {', '.join(sorted(names))}; it needs {CONTROL} and at least one treatment."
        )
    for column in {c for c in users if c.removeprefix("pre_") in COUNTS}:
        if (values := require_numbers(users, column, source=source)).min() < 0:
            row = int(np.argmax(values < 0))
            raise DataError(f"{source}: {column} is {values.iloc[row]:g} in row {row + 1}; counts are 0 or more.")
    if {"clicks", "impressions"} <= set(users) and (more := users["clicks"] > users["impressions"]).any():
        row = int(np.argmax(more))
        raise DataError(f"{source}: row {row + 1} has more clicks than impressions. Count clicks per item shown once.")
    return users


def totals(users: pd.DataFrame) -> pd.DataFrame:
    """Users, sessions, impressions and clicks per variant, and CTR; control first."""
    by = users.groupby("variant", observed=True)
    table = by[["sessions", "impressions", "clicks"]].sum()
    table.insert(0, "users", by.size())
    table["ctr"] = table["clicks"] / table["impressions"]
    table.index = table.index.astype(str)
    return table.loc[variants_of(users)]


def ctr_by(impressions: pd.DataFrame, by: str, *, alpha: float = 0.05) -> pd.DataFrame:
    """Impressions, clicks and CTR per variant and level of `by` (day or position), with the interval of each CTR.

    Indexed by variant (control first) and level; users are the unit (delta method), so that `low` and `high` are as
    wide as users who see a level often make them. One user alone in a variant leaves them nan.
    """
    cells = _cells(impressions, by)
    names = variants_of(impressions)
    variant = pd.Categorical(cells["variant"], names).codes.astype(np.int64)
    levels = np.unique(cells[by])
    group = variant * len(levels) + np.searchsorted(levels, cells[by])
    index = pd.MultiIndex.from_product([names, levels.tolist()], names=["variant", by])
    shown, clicks = (np.bincount(group, cells[c], len(index)) for c in ("impressions", "clicks"))
    with np.errstate(invalid="ignore", divide="ignore"):
        ctr = clicks / shown
        rest = cells["clicks"] - ctr[group] * cells["impressions"]
        users = np.repeat(np.bincount(variant[~cells["unit"].duplicated()], minlength=len(names)), len(levels))
        se = np.sqrt(np.bincount(group, rest**2, len(index)) * users / (users - 1)) / shown
    half = norm.isf(alpha / 2) * se
    columns = {"impressions": shown.astype(np.int64), "clicks": clicks.astype(np.int64), "ctr": ctr}
    table = pd.DataFrame(columns | {"low": np.maximum(ctr - half, 0), "high": ctr + half}, index)
    return table[table["impressions"] > 0]


def users_by_day(impressions: pd.DataFrame) -> pd.DataFrame:
    """Impressions and clicks per user, variant and day: what cumulative looks are made of."""
    return _cells(impressions, "day")


def _cells(impressions: pd.DataFrame, by: str) -> pd.DataFrame:
    """Impressions and clicks per unit (a user in a variant) and level of the column `by`, where there are any."""
    unit, keys = _units(impressions)
    level = impressions[by].to_numpy(np.int64)
    n_levels = int(level.max()) + 1
    cell, first = pd.factorize(unit.astype(np.int64) * n_levels + level)
    names = impressions["variant"].cat.categories
    return pd.DataFrame(
        {
            "unit": first // n_levels,
            "variant": pd.Categorical.from_codes(keys[first // n_levels] % len(names), names),
            by: first % n_levels,
            "impressions": np.bincount(cell),
            "clicks": np.bincount(cell, weights=impressions["clicked"]),
        }
    )


def _units(impressions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Code per impression of its (user, variant), and that pair's key: user code x variants + variant code."""
    user, variant = (impressions[c].cat.codes.to_numpy(np.int64) for c in ("user_id", "variant"))
    return pd.factorize(user * len(impressions["variant"].cat.categories) + variant)


def moments(timestamp: pd.Series) -> pd.Series:
    """Timestamps as dates with times; numbers are seconds since 1970."""
    return pd.to_datetime(timestamp, unit="s" if pd.api.types.is_numeric_dtype(timestamp) else None)


def _day(log: pd.DataFrame, source: str) -> pd.Series:
    if "timestamp" in log:
        stamps = moments(log["timestamp"])
        return (stamps.dt.floor("D") - stamps.min().floor("D")).dt.days
    if "day" not in log:
        raise DataError(f"{source} has neither timestamp nor day; add one, so that days can be told apart.")
    day = require_numbers(log, "day", source=source).astype(np.int64)
    return day - day.min()
