"""How a number that every impression has, such as a latency, is spread in each variant; users are its clusters."""

from collections.abc import Mapping, Sequence
from math import inf

import narwhals as nw
import numpy as np

from recab_helpers.errors import DataError, ParameterError, closest
from recab_helpers.impressions.counting import UNIT
from recab_helpers.impressions.histograms import ALL, AT_MOST, BINS, Spread
from recab_helpers.impressions.statistics import SufficientStatistics
from recab_helpers.impressions.summing import statistics_by


def spreads(log: nw.LazyFrame, column: str, quantile: float, variants: Sequence[str]) -> dict[str, Spread]:
    """The column of a log's impressions by variant, in two passes of its engine; empty cells are left out.

    Raises:
        DataError: a value is below zero, or a variant has none.
    """
    value, variant = nw.col(column).cast(nw.Float64), nw.col("variant").cast(nw.String)
    rows = log.filter(~value.is_null()).select("user_id", variant=variant, value=value)
    number = nw.when(nw.col("value") > 0).then((nw.col("value").log() * BINS).floor()).otherwise(-inf)
    binned = rows.with_columns(bin=number, low=nw.col("value"))
    table = binned.group_by("variant", "bin").agg(n=nw.len(), low=nw.col("low").min()).collect("pandas").to_native()
    refuse_least(column, dict.fromkeys(variants) | table.groupby("variant")["low"].min().to_dict())
    found = {}
    for v in variants:
        of = table[table["variant"] == v].sort_values("bin")
        nothing = SufficientStatistics.of(np.empty((0, 2)), (AT_MOST, ALL))
        found[v] = Spread(bins=of["bin"].to_numpy(float), counts=of["n"].to_numpy(float), statistics=nothing)
    below = nw.lit(0.0)
    for v, spread in found.items():
        low = (nw.col("variant") == v) & (nw.col("value") <= spread.at(quantile))
        below = nw.when(low).then(nw.lit(1.0)).otherwise(below)
    users = (
        rows.with_columns(below=below).group_by(*UNIT).agg(nw.col("below").sum().alias(AT_MOST), nw.len().alias(ALL))
    )
    by = statistics_by(users, (AT_MOST, ALL), np.zeros(2), ())[()]
    return {v: Spread(bins=s.bins, counts=s.counts, statistics=by[v]) for v, s in found.items()}


def refuse_unspread(columns: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a quantile of what is none of these columns of the impressions.

    Raises:
        ParameterError: there is one.
    """
    if lacking := [c for c in columns if c not in there]:
        way = f"Name a column of the log.{closest(lacking[0], there)}" if there else "Leave it out: there is no log."
        raise ParameterError(f"A metric is a quantile of {lacking[0]}, which the impressions do not have. {way}")


def refuse_least(column: str, least: Mapping[str, float | None]) -> None:
    """Refuse a quantile of a column with these least values by variant; None where it is empty.

    Raises:
        DataError: a value is below zero, or a variant has none.
    """
    if below := [low for low in least.values() if low is not None and low < 0]:
        raise DataError(
            f"The column {column} holds {min(below):g}; a quantile is told of values of 0 and more. Correct or empty "
            "these cells, or leave the metric out."
        )
    if empty := [v for v, low in least.items() if low is None]:
        raise DataError(f"The column {column} is empty for every impression of {empty[0]}. Fill it, or leave it out.")


def refuse_unordered(log: nw.LazyFrame, columns: Sequence[str]) -> None:
    """Refuse what `spreads` would refuse of these columns, by their least values.

    Raises:
        DataError: a value is below zero, or a variant has none.
    """
    rows = log.select(variant=nw.col("variant").cast(nw.String), **{c: nw.col(c).cast(nw.Float64) for c in columns})
    least = rows.group_by("variant").agg(*(nw.col(c).min() for c in columns)).collect("pyarrow").rows(named=True)
    for c in columns:
        refuse_least(c, {row["variant"]: row[c] for row in least})
