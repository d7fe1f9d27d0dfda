"""Sums over user rows: statistics, histograms and counts by variant, by one set of expressions for every engine."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from recab_helpers.impressions.histograms import CAP, Histogram
from recab_helpers.impressions.statistics import PRE, ByVariant, SufficientStatistics
from recab_helpers.references import in_order


def with_capped(users: nw.LazyFrame, caps: dict[str, float], columns: Sequence[str]) -> nw.LazyFrame:
    """The users with these columns shrunk together where one of `caps` is exceeded, so that ratios stay a user's own.

    The counts of before are capped at the same quantile of what the column was then.
    """
    before = [c for c in columns if c.startswith(PRE)]
    then = [f"{PRE}{c}" for c in caps if f"{PRE}{c}" in before]
    most = {}
    if then:
        found = users.select(*(nw.col(c).cast(nw.Float64).quantile(CAP, "linear") for c in then)).collect("pyarrow")
        most = {c: float(found[c][0]) for c in then if found[c][0]}
    now, early = weight_by({c: nw.col(c) for c in caps}, caps), weight_by({c: nw.col(c) for c in most}, most)
    return users.with_columns(**{c: nw.col(c).cast(nw.Float64) * (early if c in before else now) for c in columns})


def weight_by(sizes: dict[str, nw.Expr], caps: dict[str, float]) -> nw.Expr:
    """What a user counts: the least that one of `caps` leaves of its size, at most 1."""
    weight = nw.lit(1.0)
    for column, cap in caps.items():
        size = sizes[column].cast(nw.Float64)
        weight = nw.when(size * weight > cap).then(cap / size).otherwise(weight)
    return weight


def missing_numbers(users: nw.LazyFrame, columns: Sequence[str]) -> dict[str, int]:
    """How many users have no number in a column, or an infinite one; columns in which all have one are left out."""
    values = {c: nw.col(c).cast(nw.Float64) for c in columns}
    bad = {c: v.is_null() | ~v.is_finite() for c, v in values.items()}
    counts = users.select(*(b.cast(nw.Int64).sum().alias(c) for c, b in bad.items()))
    return {column: int(n) for column, n in counts.collect("pyarrow").rows(named=True)[0].items() if n}


def statistics_by(
    users: nw.LazyFrame, columns: Sequence[str], shift: np.ndarray, by: tuple[str, ...]
) -> dict[tuple[str, ...], ByVariant]:
    """Statistics by variant in every group of `by`, from sums of the columns less `shift` and of their products."""
    k = len(columns)
    less = {f"x{i}": nw.col(c).cast(nw.Float64) - float(s) for i, (c, s) in enumerate(zip(columns, shift, strict=True))}
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    products = {f"p{i}_{j}": nw.col(f"x{i}") * nw.col(f"x{j}") for i, j in pairs}
    grouped = users.select(*by, "variant", **less)
    grouped = grouped.with_columns(**products) if products else grouped
    table = grouped.group_by(*by, "variant").agg(
        nw.len().alias("n"),
        *(nw.col(f"x{i}").sum().alias(f"s{i}") for i in range(k)),
        *(nw.col(f"p{i}_{j}").sum() for i, j in pairs),
    )
    found: dict[tuple[str, ...], ByVariant] = {}
    for row in table.collect("pyarrow").rows(named=True):
        cross = np.empty((k, k))
        for i, j in pairs:
            cross[i, j] = cross[j, i] = row[f"p{i}_{j}"]
        made = SufficientStatistics.from_sums(
            int(row["n"]), np.array([row[f"s{i}"] for i in range(k)]), cross, columns, shift=shift
        )
        found.setdefault(tuple(str(row[b]) for b in by), {})[str(row["variant"])] = made
    return {group: {v: by_variant[v] for v in in_order(by_variant)} for group, by_variant in sorted(found.items())}


def histogram_by(users: nw.LazyFrame, columns: tuple[str, ...], variants: Sequence[str]) -> Histogram:
    table = users.group_by(*columns, "variant").agg(nw.len().alias("users")).collect("pandas").to_native()
    wide = table.pivot_table(index=list(columns), columns="variant", values="users", fill_value=0, aggfunc="sum")
    values = np.column_stack([wide.index.get_level_values(c).to_numpy(dtype=np.float64) for c in columns])
    return Histogram(columns=columns, values=values, counts={v: wide[v].to_numpy(dtype=np.int64) for v in variants})


def users_by_day(users: nw.LazyFrame, by: str, labels: list[Any]) -> pd.DataFrame:
    """Users by day (rows, from 0) and variant (columns)."""
    table = users.group_by(by, "variant").agg(nw.len().alias("users")).collect("pandas").to_native()
    day = day_numbers(table[by], labels)
    wide = table.assign(day=day).pivot_table(
        index="day", columns="variant", values="users", fill_value=0, aggfunc="sum"
    )
    return wide.rename_axis(columns=None)


def day_numbers(days: pd.Series, labels: list[Any]) -> np.ndarray:
    """Days from 0, by the calendar."""
    first = labels[0]
    if isinstance(first, (int, float)):
        return days.to_numpy(dtype=np.int64) - int(first)
    return (pd.to_datetime(days) - pd.Timestamp(first)).dt.days.to_numpy()
