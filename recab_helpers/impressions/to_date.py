"""What users did to date at the end of every day, and its trend, from one row per user and day."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np

from recab_helpers.impressions.aggregates import TREND, Running
from recab_helpers.impressions.counting import UNIT
from recab_helpers.impressions.statistics import ByVariant
from recab_helpers.impressions.summing import day_numbers, statistics_by, weight_by


def trend_by(days: nw.LazyFrame, first: Any, caps: dict[str, float]) -> ByVariant:
    """Statistics of TREND over the users; heavy ones count less."""
    number = (nw.col("day") - nw.lit(first)).cast(nw.Float64)
    counts = {c: nw.col(c).cast(nw.Float64) for c in TREND[:2]}
    rows = days.select(*UNIT, **counts, **{t: counts[c] * number for t, c in zip(TREND[2:], TREND[:2], strict=True)})
    users = rows.group_by(*UNIT).agg(*(nw.col(c).sum() for c in TREND))
    caps = {c: cap for c, cap in caps.items() if c in counts}
    if caps:
        weight = weight_by({c: nw.col(c) for c in caps}, caps)
        users = users.with_columns(**{c: nw.col(c) * weight for c in TREND})
    return statistics_by(users, TREND, np.zeros(len(TREND)), ())[()]


def running_sums(
    days: nw.LazyFrame,
    labels: list[Any],
    columns: Sequence[str],
    variants: Sequence[str],
    caps: dict[str, float],
    known: Sequence[str],
) -> Running:
    """Sums to date by day: what each day changes in the sums of users' values and of their products, added up.

    Users whose counts to date exceed one of `caps` count less, as in the statistics. `known` are columns of `days` that
    say the same of a user on every day.
    """
    sources = list(dict.fromkeys(("impressions", *("clicks" if c == "clicked_any" else c for c in columns))))
    to_date = {f"to {c}": nw.col(c).cum_sum().over("user_id", order_by="day") for c in sources}
    frame = days.select(*UNIT, "day", *sources, *known).with_columns(**to_date)
    seen_before = (nw.col("to impressions") > nw.col("impressions")).cast(nw.Float64)  # every day has some
    caps = {c: cap for c, cap in caps.items() if c in sources}
    now = weight_by({c: nw.col(f"to {c}") for c in caps}, caps)
    then = weight_by({c: nw.col(f"to {c}") - nw.col(c) for c in caps}, caps)
    after, before = {}, {}
    for i, c in enumerate(columns):
        if c == "clicked_any":
            after[f"a{i}"] = (nw.col("to clicks") > 0).cast(nw.Float64)
            before[f"b{i}"] = (nw.col("to clicks") - nw.col("clicks") > 0).cast(nw.Float64)
        else:
            after[f"a{i}"], before[f"b{i}"] = nw.col(f"to {c}") * now, (nw.col(f"to {c}") - nw.col(c)) * then
    for i, c in enumerate(known, len(columns)):
        after[f"a{i}"], before[f"b{i}"] = nw.col(c), nw.col(c) * seen_before
    columns = (*columns, *known)
    k = len(columns)
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    frame = frame.with_columns(**after, **before, new=1.0 - seen_before)
    changes = {f"s{i}": nw.col(f"a{i}") - nw.col(f"b{i}") for i in range(k)}
    changes |= {f"p{i}_{j}": nw.col(f"a{i}") * nw.col(f"a{j}") - nw.col(f"b{i}") * nw.col(f"b{j}") for i, j in pairs}
    frame = frame.select("variant", "day", "new", **changes)
    table = frame.group_by("variant", "day").agg(nw.col("new").sum(), *(nw.col(c).sum() for c in changes))
    found = table.collect("pandas").to_native()
    found["day"] = day_numbers(found["day"], labels)
    n_days = int(found["day"].max()) + 1
    n, sums, products = {}, {}, {}
    for name in variants:
        of = found[found["variant"] == name].drop(columns="variant").set_index("day")
        of = of.reindex(range(n_days), fill_value=0)
        n[name] = of["new"].to_numpy(dtype=np.int64).cumsum()
        sums[name] = np.column_stack([of[f"s{i}"].to_numpy(dtype=np.float64) for i in range(k)]).cumsum(axis=0)
        cross = np.empty((n_days, k, k))
        for i, j in pairs:
            cross[:, i, j] = cross[:, j, i] = of[f"p{i}_{j}"].to_numpy(dtype=np.float64).cumsum()
        products[name] = cross
    return Running(columns=tuple(columns), n=n, sums=sums, products=products)
