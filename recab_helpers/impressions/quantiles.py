"""How a number that every impression has, such as a latency, is spread in each variant; users are its clusters."""

from collections.abc import Sequence
from math import inf

import narwhals as nw
import numpy as np

from recab_helpers.errors import DataError
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
    if not table["low"].min() >= 0:
        raise DataError(
            f"The column {column} holds {table['low'].min():g}; a quantile is told of values of 0 and more. Correct or "
            "empty these cells, or leave the metric out."
        )
    found = {}
    for v in variants:
        of = table[table["variant"] == v].sort_values("bin")
        if of.empty:
            raise DataError(f"The column {column} is empty for every impression of {v}. Fill it, or leave it out.")
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
