"""From an impression log to one row per user, and the metrics as data."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from recab_helpers.data.tables import (
    DataError,
    require_columns,
    require_no_missing,
    require_numbers,
    require_unique,
)

Role = Literal["goal", "secondary", "guardrail"]
Kind = Literal["mean", "ratio"]
CONTROL = "control"


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A mean of one column of the users table, or a ratio of two column means."""

    name: str
    label: str
    kind: Kind
    numerator: str
    denominator: str = ""
    role: Role = "secondary"

    @property
    def columns(self) -> list[str]:
        """Columns of the users table that the metric reads."""
        return [self.numerator] if self.kind == "mean" else [self.numerator, self.denominator]


CLICKS_PER_USER = MetricSpec(name="clicks_per_user", label="Clicks per user", kind="mean", numerator="clicks")
METRICS = (
    MetricSpec(name="ctr", label="CTR", kind="ratio", numerator="clicks", denominator="impressions", role="goal"),
    CLICKS_PER_USER,
    MetricSpec(
        name="clicks_per_session",
        label="Clicks per session",
        kind="ratio",
        numerator="clicks",
        denominator="sessions",
    ),
    MetricSpec(name="clicked_any", label="Users with a click", kind="mean", numerator="clicked_any"),
)


def check_impressions(log: pd.DataFrame, *, source: str = "impressions") -> pd.DataFrame:
    """The log with its contract checked; `day` counts from the first impression.

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
    require_unique(log, ["user_id", "slate_id", "position"], source=source)
    variants = log["variant"].astype(str).unique()
    if CONTROL not in variants or len(variants) < 2:
        raise DataError(
            f"{source}: variant holds {', '.join(sorted(variants))}; it needs {CONTROL} and at least one treatment. "
            f"Rename the variant that users had before to {CONTROL}."
        )
    columns = {"clicked": clicked.astype(np.int8), "variant": log["variant"].astype("category")}
    return log.assign(user_id=log["user_id"].astype("category"), day=_day(log, source), **columns)


def users_table(impressions: pd.DataFrame) -> pd.DataFrame:
    """One row per user and variant: impressions, clicks, sessions, clicked_any and exposed_at (a day).

    Impressions are counted in integer codes; nothing loops over users.
    """
    user, variant = impressions["user_id"].cat.codes, impressions["variant"].cat.codes
    n_variants = len(impressions["variant"].cat.categories)
    unit, keys = pd.factorize(user.to_numpy(np.int64) * n_variants + variant.to_numpy())
    _, first = np.unique(impressions["slate_id"].to_numpy(), return_index=True)
    clicks = np.bincount(unit, weights=impressions["clicked"], minlength=len(keys))
    return pd.DataFrame(
        {
            "user_id": impressions["user_id"].cat.categories[keys // n_variants],
            "variant": impressions["variant"].cat.categories[keys % n_variants].astype(str),
            "impressions": np.bincount(unit, minlength=len(keys)),
            "clicks": clicks.astype(np.int64),
            "sessions": np.bincount(unit[first], minlength=len(keys)),
            "clicked_any": (clicks > 0).astype(np.int64),
            "exposed_at": impressions["day"].groupby(unit).min().to_numpy(),
        }
    )


def totals(users: pd.DataFrame) -> pd.DataFrame:
    """Users, sessions, impressions and clicks per variant, and CTR; control first."""
    columns = ["sessions", "impressions", "clicks"]
    table = users.groupby("variant")[columns].sum()
    table.insert(0, "users", users.groupby("variant").size())
    table["ctr"] = table["clicks"] / table["impressions"]
    return table.loc[variants_of(users)]


def daily_totals(impressions: pd.DataFrame) -> pd.DataFrame:
    """Impressions, clicks and CTR per variant and day."""
    by = impressions.groupby(["variant", "day"], observed=True)["clicked"]
    table = by.agg(impressions="size", clicks="sum")
    return table.assign(ctr=table["clicks"] / table["impressions"])


def variants_of(users: pd.DataFrame) -> list[str]:
    """Names of the variants, control first."""
    names = sorted(map(str, users["variant"].unique()))
    return [CONTROL, *(n for n in names if n != CONTROL)]


def _day(log: pd.DataFrame, source: str) -> pd.Series:
    if "timestamp" in log:
        stamps = pd.to_datetime(log["timestamp"], unit="s" if pd.api.types.is_numeric_dtype(log["timestamp"]) else None)
        return (stamps.dt.floor("D") - stamps.min().floor("D")).dt.days
    if "day" not in log:
        raise DataError(f"{source} has neither timestamp nor day; add one, so that days can be told apart.")
    return require_numbers(log, "day", source=source).astype(np.int64)
